//! Sixteen lanes as one AVX-512 register.

use super::transpose::transpose;
use super::{LANES, Lanes, LanesU32, Simd};
use std::arch::x86_64::*;

/// Proof that the processor has AVX-512 F and DQ (and AVX2 and FMA, which come with them).
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// The token, where the processor has AVX-512 F and DQ.
    pub fn new() -> Option<Self> {
        let has = std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma");
        has.then_some(Self(()))
    }
}

/// Calls an intrinsic that touches no memory.
///
/// SAFETY of every use below: the token's existence proves the instruction.
macro_rules! call {
    ($($f:tt)*) => {
        // SAFETY: as said above.
        unsafe { $($f)* }
    };
}

impl Avx512 {
    /// Lanes of `a` and `b` in turn: `[a0, b0, a1, b1, ...]`, the first sixteen and the last.
    #[inline(always)]
    fn interleave(self, a: __m512, b: __m512) -> [__m512; 2] {
        // Index 16 and up means `b`.
        call!([
            _mm512_permutex2var_ps(
                a,
                _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
                b
            ),
            _mm512_permutex2var_ps(
                a,
                _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
                b
            ),
        ])
    }
}

impl Simd for Avx512 {
    const NAME: &'static str = "avx512";
    const PARTS: usize = 1;
    const ACCUMULATORS: usize = 20;

    type F32 = __m512;
    type U32 = __m512i;
    type Mask = __mmask16;
    type Part = __m512;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
        fn shim<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        // SAFETY: `self` proves that the processor has what the shim is compiled for.
        unsafe { shim(f) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F32 {
        call!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    fn load(self, x: &Lanes) -> Self::F32 {
        // SAFETY: sixteen f32 lie there, aligned to 64 bytes.
        unsafe { _mm512_load_ps(x.0.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: Self::F32, to: &mut Lanes) {
        // SAFETY: sixteen f32 lie there, aligned to 64 bytes, borrowed mutably.
        unsafe { _mm512_store_ps(to.0.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        call!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        call!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        call!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        call!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        call!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        call!(_mm512_fnmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn sqrt(self, x: Self::F32) -> Self::F32 {
        call!(_mm512_sqrt_ps(x))
    }
    #[inline(always)]
    fn round(self, x: Self::F32) -> Self::F32 {
        // The same mode bits as SSE4.1's round: nearest even, no exceptions; scale 0 (the high bits).
        call!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x))
    }
    #[inline(always)]
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        call!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        call!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        call!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn le(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        call!(_mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b))
    }
    #[inline(always)]
    fn eq(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        call!(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b))
    }
    #[inline(always)]
    fn select(self, mask: Self::Mask, a: Self::F32, b: Self::F32) -> Self::F32 {
        call!(_mm512_mask_blend_ps(mask, b, a))
    }
    #[inline(always)]
    fn select_u32(self, mask: Self::Mask, a: Self::U32, b: Self::U32) -> Self::U32 {
        call!(_mm512_mask_blend_epi32(mask, b, a))
    }
    #[inline(always)]
    fn mask_and(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        a & b
    }
    #[inline(always)]
    fn mask_or(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        a | b
    }
    #[inline(always)]
    fn mask_not(self, a: Self::Mask) -> Self::Mask {
        !a
    }
    #[inline(always)]
    fn mask_bits(self, a: Self::Mask) -> u16 {
        a
    }
    #[inline(always)]
    fn mask_from_bits(self, bits: u16) -> Self::Mask {
        bits
    }

    #[inline(always)]
    fn splat_u32(self, x: u32) -> Self::U32 {
        call!(_mm512_set1_epi32(x.cast_signed()))
    }
    #[inline(always)]
    fn load_u32(self, x: &LanesU32) -> Self::U32 {
        // SAFETY: sixteen u32 lie there, aligned to 64 bytes.
        unsafe { _mm512_load_si512(x.0.as_ptr().cast()) }
    }
    #[inline(always)]
    fn store_u32(self, x: Self::U32, to: &mut LanesU32) {
        // SAFETY: sixteen u32 lie there, aligned to 64 bytes, borrowed mutably.
        unsafe { _mm512_store_si512(to.0.as_mut_ptr().cast(), x) }
    }
    #[inline(always)]
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        call!(_mm512_add_epi32(a, b))
    }
    #[inline(always)]
    fn sub_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        call!(_mm512_sub_epi32(a, b))
    }
    #[inline(always)]
    fn and_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        call!(_mm512_and_si512(a, b))
    }
    #[inline(always)]
    fn or_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        call!(_mm512_or_si512(a, b))
    }
    #[inline(always)]
    fn xor_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        call!(_mm512_xor_si512(a, b))
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, x: Self::U32) -> Self::U32 {
        call!(_mm512_slli_epi32::<N>(x))
    }
    #[inline(always)]
    fn shift_right<const N: u32>(self, x: Self::U32) -> Self::U32 {
        call!(_mm512_srli_epi32::<N>(x))
    }
    #[inline(always)]
    fn eq_u32(self, a: Self::U32, b: Self::U32) -> Self::Mask {
        call!(_mm512_cmpeq_epi32_mask(a, b))
    }
    #[inline(always)]
    fn to_bits(self, x: Self::F32) -> Self::U32 {
        call!(_mm512_castps_si512(x))
    }
    #[inline(always)]
    fn from_bits(self, x: Self::U32) -> Self::F32 {
        call!(_mm512_castsi512_ps(x))
    }
    #[inline(always)]
    fn i32_to_f32(self, x: Self::U32) -> Self::F32 {
        call!(_mm512_cvtepi32_ps(x))
    }
    #[inline(always)]
    fn f32_to_i32(self, x: Self::F32) -> Self::U32 {
        call!(_mm512_cvtps_epi32(x))
    }

    #[inline(always)]
    fn transpose(self, rows: [Self::F32; LANES]) -> [Self::F32; LANES] {
        transpose(
            rows,
            #[inline(always)]
            |a, b| self.interleave(a, b),
        )
    }

    #[inline(always)]
    fn load_part(self, x: &Lanes, _part: usize) -> Self::Part {
        self.load(x)
    }
    #[inline(always)]
    fn store_part(self, x: Self::Part, to: &mut Lanes, _part: usize) {
        self.store(x, to);
    }
    #[inline(always)]
    fn mul_add_part(self, a: Self::Part, b: Self::Part, c: Self::Part) -> Self::Part {
        self.mul_add(a, b, c)
    }

    #[inline(always)]
    fn reduce_add(self, x: Self::F32) -> f32 {
        // The tree of the default method, in registers.
        // SAFETY: the token proves AVX-512 F and DQ.
        unsafe {
            let x = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
        }
    }
}
