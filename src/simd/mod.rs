//! Sixteen samples per vector: the only home of `std::arch`.
//!
//! Everything the engine computes is written once, generic over [`Simd`], a *proof token*: a zero-sized value that can
//! only be made where the processor has the instructions. The vector types carry nothing; the operations hang on the
//! token. [`Isa`] is the run-time choice between the tokens, and [`dispatch!`](crate::simd::dispatch) the one place
//! where a choice becomes a type:
//!
//! ```
//! use deepsleep::simd::{dispatch, Isa, Lanes, Simd};
//!
//! #[inline(always)] // so that it is compiled anew, with the right instructions, inside every token's shim
//! fn double_body<S: Simd>(s: S, x: &mut [Lanes]) {
//!     for value in x {
//!         let v = s.load(value);
//!         s.store(s.add(v, v), value);
//!     }
//! }
//!
//! fn double(isa: Isa, x: &mut [Lanes]) {
//!     dispatch!(isa, s => double_body(s, x))
//! }
//!
//! let mut x = [Lanes::splat(1.5)];
//! double(Isa::detect()?, &mut x);
//! assert_eq!(x[0], Lanes::splat(3.0));
//! # Ok::<(), deepsleep::Error>(())
//! ```
//!
//! **Same bits everywhere.** A vector has 16 lanes on every instruction set (one AVX-512 register, two AVX2 registers,
//! an array in the portable one), every multiply-add is fused, and a fold over the lanes is one fixed tree
//! ([`Simd::reduce_add`]). So what is computed does not depend on where.

#[forbid(unsafe_code)]
pub mod array;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[forbid(unsafe_code)]
mod exact;
#[forbid(unsafe_code)]
mod isa;
pub mod math;
mod peak;
#[forbid(unsafe_code)]
mod portable;
pub mod random;
#[cfg(target_arch = "x86_64")]
mod transpose;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use isa::{Isa, dispatch};
pub use peak::fma_peak_gflops;
pub use portable::Portable;

/// Samples in a vector, on every instruction set.
pub const LANES: usize = 16;

/// One feature of sixteen samples: the element of every tensor, 64 bytes, aligned to 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub struct Lanes(pub [f32; LANES]);

impl Lanes {
    /// All lanes zero.
    pub const ZERO: Self = Self([0.0; LANES]);

    /// The same value in all lanes.
    pub const fn splat(value: f32) -> Self {
        Self([value; LANES])
    }
}

/// Sixteen unsigned integers: class labels, winning positions, random states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub struct LanesU32(pub [u32; LANES]);

impl LanesU32 {
    /// All lanes zero.
    pub const ZERO: Self = Self([0; LANES]);

    /// The same value in all lanes.
    pub const fn splat(value: u32) -> Self {
        Self([value; LANES])
    }
}

/// The operations on sixteen lanes; a value of an implementing type proves that the processor has them.
///
/// Comparisons with NaN are false; [`min`](Self::min) and [`max`](Self::max) return their second operand if either is
/// NaN or both are zeros, on every instruction set.
#[allow(clippy::wrong_self_convention)] // `self` is the token, also where bits become a number
pub trait Simd: Copy + Send + Sync + 'static {
    /// The name that `DEEPSLEEP_ISA` uses.
    const NAME: &'static str;
    /// Registers that together hold sixteen lanes: 2 for AVX2.
    const PARTS: usize;
    /// Accumulators of sixteen lanes that hide the latency of a multiply-add without spilling registers.
    const ACCUMULATORS: usize;

    /// Sixteen `f32`.
    type F32: Copy;
    /// Sixteen `u32`.
    type U32: Copy;
    /// Sixteen truth values.
    type Mask: Copy;
    /// One register's share of sixteen `f32`.
    type Part: Copy;

    /// Calls `f` compiled for this instruction set. What `f` calls must be `#[inline(always)]` to profit,
    /// closures included, and arrays are filled by [`mod@array`], not by the standard library.
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F32;
    /// Reads sixteen lanes.
    fn load(self, x: &Lanes) -> Self::F32;
    /// Writes sixteen lanes.
    fn store(self, x: Self::F32, to: &mut Lanes);
    /// a + b
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// a - b
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// a b
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// a / b
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// a b + c, rounded once
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// c - a b, rounded once
    fn neg_mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// Square root, correctly rounded.
    fn sqrt(self, x: Self::F32) -> Self::F32;
    /// To the nearest integer, ties to even.
    fn round(self, x: Self::F32) -> Self::F32;
    /// `if a < b { a } else { b }`
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `if a > b { a } else { b }`
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;

    /// a < b
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// a <= b
    fn le(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// a == b
    fn eq(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// a > b
    #[inline(always)]
    fn gt(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        self.lt(b, a)
    }
    /// a >= b
    #[inline(always)]
    fn ge(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        self.le(b, a)
    }
    /// Lane by lane, `a` where the mask holds, else `b`.
    fn select(self, mask: Self::Mask, a: Self::F32, b: Self::F32) -> Self::F32;
    /// Lane by lane, `a` where the mask holds, else `b`.
    fn select_u32(self, mask: Self::Mask, a: Self::U32, b: Self::U32) -> Self::U32;
    /// Both.
    fn mask_and(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Either.
    fn mask_or(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Not.
    fn mask_not(self, a: Self::Mask) -> Self::Mask;
    /// Lane i is bit i.
    fn mask_bits(self, a: Self::Mask) -> u16;
    /// Bit i becomes lane i.
    fn mask_from_bits(self, bits: u16) -> Self::Mask;

    /// All lanes `x`.
    fn splat_u32(self, x: u32) -> Self::U32;
    /// Reads sixteen lanes.
    fn load_u32(self, x: &LanesU32) -> Self::U32;
    /// Writes sixteen lanes.
    fn store_u32(self, x: Self::U32, to: &mut LanesU32);
    /// a + b, wrapping
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// a - b, wrapping
    fn sub_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// Bitwise and.
    fn and_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// Bitwise or.
    fn or_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// Bitwise exclusive or.
    fn xor_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// Toward the high bits, zeros in.
    fn shift_left<const N: u32>(self, x: Self::U32) -> Self::U32;
    /// Toward the low bits, zeros in.
    fn shift_right<const N: u32>(self, x: Self::U32) -> Self::U32;
    /// Toward the high bits, those that leave come back below.
    #[inline(always)]
    fn rotate_left<const N: u32, const REST: u32>(self, x: Self::U32) -> Self::U32 {
        const { assert!(N + REST == 32) };
        self.or_u32(self.shift_left::<N>(x), self.shift_right::<REST>(x))
    }
    /// a == b
    fn eq_u32(self, a: Self::U32, b: Self::U32) -> Self::Mask;
    /// The bits of `x`.
    fn to_bits(self, x: Self::F32) -> Self::U32;
    /// The number with these bits.
    fn from_bits(self, x: Self::U32) -> Self::F32;
    /// The lanes as *signed* integers, converted to the nearest `f32`.
    fn i32_to_f32(self, x: Self::U32) -> Self::F32;
    /// Rounded (ties to even) to *signed* integers. Lanes outside of the range of `i32` give an unspecified value.
    fn f32_to_i32(self, x: Self::F32) -> Self::U32;

    /// Register `part` of `x`: lanes `16 / PARTS * part` and on.
    fn load_part(self, x: &Lanes, part: usize) -> Self::Part;
    /// Writes register `part` of `to`.
    fn store_part(self, x: Self::Part, to: &mut Lanes, part: usize);
    /// Sixteen vectors as the rows of a matrix, turned into its columns: lane `j` of row `i` becomes lane `i` of row `j`.
    fn transpose(self, rows: [Self::F32; LANES]) -> [Self::F32; LANES];
    /// a b + c, rounded once
    fn mul_add_part(self, a: Self::Part, b: Self::Part, c: Self::Part) -> Self::Part;

    /// All lanes zero.
    #[inline(always)]
    fn zero(self) -> Self::F32 {
        self.splat(0.0)
    }
    /// |x|
    #[inline(always)]
    fn abs(self, x: Self::F32) -> Self::F32 {
        self.from_bits(self.and_u32(self.to_bits(x), self.splat_u32(0x7fff_ffff)))
    }
    /// -x, also for zeros
    #[inline(always)]
    fn neg(self, x: Self::F32) -> Self::F32 {
        self.from_bits(self.xor_u32(self.to_bits(x), self.splat_u32(0x8000_0000)))
    }
    /// |x| with the sign of `sign`
    #[inline(always)]
    fn copy_sign(self, x: Self::F32, sign: Self::F32) -> Self::F32 {
        let sign = self.and_u32(self.to_bits(sign), self.splat_u32(0x8000_0000));
        self.from_bits(self.or_u32(self.to_bits(self.abs(x)), sign))
    }
    /// `x` in the first `live` lanes, zero in the others: what keeps the tail block's dead lanes at zero.
    #[inline(always)]
    fn keep_first(self, x: Self::F32, live: usize) -> Self::F32 {
        self.select(self.mask_from_bits(first_lanes(live)), x, self.zero())
    }
    /// The sum of the lanes by the one fixed tree: i + (i + 8), then + 4, + 2, + 1.
    #[inline(always)]
    fn reduce_add(self, x: Self::F32) -> f32 {
        let mut lanes = Lanes::ZERO;
        self.store(x, &mut lanes);
        fold(lanes.0, |a, b| a + b)
    }
    /// The largest lane (no NaN among them), by the same tree.
    #[inline(always)]
    fn reduce_max(self, x: Self::F32) -> f32 {
        let mut lanes = Lanes::ZERO;
        self.store(x, &mut lanes);
        fold(lanes.0, |a, b| if a > b { a } else { b })
    }
}

/// The bits of the first `live` lanes.
#[inline(always)]
pub const fn first_lanes(live: usize) -> u16 {
    if live >= LANES { u16::MAX } else { (1u16 << live) - 1 }
}

/// The one tree by which lanes are folded.
#[inline(always)]
fn fold(mut x: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            x[i] = f(x[i], x[i + half]);
        }
        half /= 2;
    }
    x[0]
}
