//! Sixteen lanes as an array: runs everywhere, and is simple enough for the compiler to vectorize.

use super::exact::{fused_multiply_add, round_ties_even};
use super::{LANES, Lanes, LanesU32, Simd, array};

/// The token of the portable instruction set; every processor has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

#[inline(always)]
fn map<A: Copy, R: Copy>(a: [A; LANES], f: impl Fn(A) -> R) -> [R; LANES] {
    array::from_fn(
        #[inline(always)]
        |i| f(a[i]),
    )
}

#[inline(always)]
fn zip<A: Copy, B: Copy, R: Copy>(
    a: [A; LANES],
    b: [B; LANES],
    f: impl Fn(A, B) -> R,
) -> [R; LANES] {
    array::from_fn(
        #[inline(always)]
        |i| f(a[i], b[i]),
    )
}

impl Simd for Portable {
    const NAME: &'static str = "portable";
    const PARTS: usize = 1;
    const ACCUMULATORS: usize = 5;

    type F32 = [f32; LANES];
    type U32 = [u32; LANES];
    // All bits or none, so that a selection is an `and` and an `or`.
    type Mask = [u32; LANES];
    type Part = [f32; LANES];

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F32 {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, x: &Lanes) -> Self::F32 {
        x.0
    }
    #[inline(always)]
    fn store(self, x: Self::F32, to: &mut Lanes) {
        to.0 = x;
    }
    #[inline(always)]
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        array::from_fn(
            #[inline(always)]
            |i| fused_multiply_add(a[i], b[i], c[i]),
        )
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        array::from_fn(
            #[inline(always)]
            |i| fused_multiply_add(-a[i], b[i], c[i]),
        )
    }
    #[inline(always)]
    fn sqrt(self, x: Self::F32) -> Self::F32 {
        map(x, f32::sqrt)
    }
    #[inline(always)]
    fn round(self, x: Self::F32) -> Self::F32 {
        map(x, round_ties_even)
    }
    #[inline(always)]
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        zip(a, b, |a, b| if a < b { u32::MAX } else { 0 })
    }
    #[inline(always)]
    fn le(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        zip(a, b, |a, b| if a <= b { u32::MAX } else { 0 })
    }
    #[inline(always)]
    fn eq(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        zip(a, b, |a, b| if a == b { u32::MAX } else { 0 })
    }
    #[inline(always)]
    fn select(self, mask: Self::Mask, a: Self::F32, b: Self::F32) -> Self::F32 {
        self.from_bits(self.select_u32(mask, self.to_bits(a), self.to_bits(b)))
    }
    #[inline(always)]
    fn select_u32(self, mask: Self::Mask, a: Self::U32, b: Self::U32) -> Self::U32 {
        array::from_fn(
            #[inline(always)]
            |i| (a[i] & mask[i]) | (b[i] & !mask[i]),
        )
    }
    #[inline(always)]
    fn mask_and(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn mask_or(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        zip(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn mask_not(self, a: Self::Mask) -> Self::Mask {
        map(a, |a| !a)
    }
    #[inline(always)]
    fn mask_bits(self, a: Self::Mask) -> u16 {
        a.iter().enumerate().fold(0, |bits, (i, &lane)| bits | (((lane & 1) as u16) << i))
    }
    #[inline(always)]
    fn mask_from_bits(self, bits: u16) -> Self::Mask {
        array::from_fn(
            #[inline(always)]
            |i| 0u32.wrapping_sub(u32::from(bits >> i) & 1),
        )
    }

    #[inline(always)]
    fn splat_u32(self, x: u32) -> Self::U32 {
        [x; LANES]
    }
    #[inline(always)]
    fn load_u32(self, x: &LanesU32) -> Self::U32 {
        x.0
    }
    #[inline(always)]
    fn store_u32(self, x: Self::U32, to: &mut LanesU32) {
        to.0 = x;
    }
    #[inline(always)]
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        zip(a, b, u32::wrapping_add)
    }
    #[inline(always)]
    fn sub_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        zip(a, b, u32::wrapping_sub)
    }
    #[inline(always)]
    fn and_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        zip(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn xor_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        zip(a, b, |a, b| a ^ b)
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, x: Self::U32) -> Self::U32 {
        map(x, |x| x << N)
    }
    #[inline(always)]
    fn shift_right<const N: u32>(self, x: Self::U32) -> Self::U32 {
        map(x, |x| x >> N)
    }
    #[inline(always)]
    fn eq_u32(self, a: Self::U32, b: Self::U32) -> Self::Mask {
        zip(a, b, |a, b| if a == b { u32::MAX } else { 0 })
    }
    #[inline(always)]
    fn to_bits(self, x: Self::F32) -> Self::U32 {
        map(x, f32::to_bits)
    }
    #[inline(always)]
    fn from_bits(self, x: Self::U32) -> Self::F32 {
        map(x, f32::from_bits)
    }
    #[inline(always)]
    fn i32_to_f32(self, x: Self::U32) -> Self::F32 {
        map(x, |x| x as i32 as f32)
    }
    #[inline(always)]
    fn f32_to_i32(self, x: Self::F32) -> Self::U32 {
        map(x, |x| round_ties_even(x) as i32 as u32)
    }

    // Out of line: 256 moves of single numbers wherever it is called took minutes to compile.
    #[inline(never)]
    fn transpose(self, rows: [Self::F32; LANES]) -> [Self::F32; LANES] {
        std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
    }

    #[inline(always)]
    fn load_part(self, x: &Lanes, _part: usize) -> Self::Part {
        x.0
    }
    #[inline(always)]
    fn store_part(self, x: Self::Part, to: &mut Lanes, _part: usize) {
        to.0 = x;
    }
    #[inline(always)]
    fn mul_add_part(self, a: Self::Part, b: Self::Part, c: Self::Part) -> Self::Part {
        self.mul_add(a, b, c)
    }
}
