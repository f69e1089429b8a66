//! Sixteen lanes as two AVX2 registers, with FMA.

use super::transpose::transpose;
use super::{LANES, Lanes, LanesU32, Simd};
use std::arch::x86_64::*;

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// The token, where the processor has AVX2 and FMA.
    pub fn new() -> Option<Self> {
        let has = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma");
        has.then_some(Self(()))
    }
}

const HALF: usize = LANES / 2;

/// Applies a two-register intrinsic to both halves.
///
/// SAFETY of every use below: the token's existence proves the instructions, and none of these touches memory.
macro_rules! both {
    ($f:ident, $a:expr) => {
        // SAFETY: as said above.
        unsafe { [$f($a[0]), $f($a[1])] }
    };
    ($f:ident, $a:expr, $b:expr) => {
        // SAFETY: as said above.
        unsafe { [$f($a[0], $b[0]), $f($a[1], $b[1])] }
    };
    ($f:ident, $a:expr, $b:expr, $c:expr) => {
        // SAFETY: as said above.
        unsafe { [$f($a[0], $b[0], $c[0]), $f($a[1], $b[1], $c[1])] }
    };
}

/// The lower 128 bits of both, and the upper.
#[inline(always)]
fn joined(a: __m256, b: __m256) -> [__m256; 2] {
    // SAFETY: called with values that only the token makes, which proves AVX.
    unsafe { [_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)] }
}

#[inline(always)]
fn ints(x: [__m256; 2]) -> [__m256i; 2] {
    both!(_mm256_castps_si256, x)
}

#[inline(always)]
fn floats(x: [__m256i; 2]) -> [__m256; 2] {
    both!(_mm256_castsi256_ps, x)
}

impl Avx2 {
    /// Lanes of `a` and `b` in turn: `[a0, b0, a1, b1, ...]`, the first sixteen and the last.
    #[inline(always)]
    fn interleave(self, a: [__m256; 2], b: [__m256; 2]) -> [[__m256; 2]; 2] {
        // Within 128 bits first: of either register, `low` and `high` have two quarters of the result each.
        let low = both!(_mm256_unpacklo_ps, a, b);
        let high = both!(_mm256_unpackhi_ps, a, b);
        [joined(low[0], high[0]), joined(low[1], high[1])]
    }
}

impl Simd for Avx2 {
    const NAME: &'static str = "avx2";
    const PARTS: usize = 2;
    const ACCUMULATORS: usize = 5;

    type F32 = [__m256; 2];
    type U32 = [__m256i; 2];
    // All bits or none in every lane.
    type Mask = [__m256; 2];
    type Part = __m256;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2,fma")]
        fn shim<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        // SAFETY: `self` proves that the processor has what the shim is compiled for.
        unsafe { shim(f) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F32 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    fn load(self, x: &Lanes) -> Self::F32 {
        [self.load_part(x, 0), self.load_part(x, 1)]
    }
    #[inline(always)]
    fn store(self, x: Self::F32, to: &mut Lanes) {
        self.store_part(x[0], to, 0);
        self.store_part(x[1], to, 1);
    }
    #[inline(always)]
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_add_ps, a, b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_sub_ps, a, b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_mul_ps, a, b)
    }
    #[inline(always)]
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_div_ps, a, b)
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        both!(_mm256_fmadd_ps, a, b, c)
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        both!(_mm256_fnmadd_ps, a, b, c)
    }
    #[inline(always)]
    fn sqrt(self, x: Self::F32) -> Self::F32 {
        both!(_mm256_sqrt_ps, x)
    }
    #[inline(always)]
    fn round(self, x: Self::F32) -> Self::F32 {
        const MODE: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_round_ps::<MODE>(x[0]), _mm256_round_ps::<MODE>(x[1])] }
    }
    #[inline(always)]
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_min_ps, a, b)
    }
    #[inline(always)]
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_max_ps, a, b)
    }

    #[inline(always)]
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        // SAFETY: the token proves AVX.
        unsafe {
            [_mm256_cmp_ps::<_CMP_LT_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_LT_OQ>(a[1], b[1])]
        }
    }
    #[inline(always)]
    fn le(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        // SAFETY: the token proves AVX.
        unsafe {
            [_mm256_cmp_ps::<_CMP_LE_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_LE_OQ>(a[1], b[1])]
        }
    }
    #[inline(always)]
    fn eq(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        // SAFETY: the token proves AVX.
        unsafe {
            [_mm256_cmp_ps::<_CMP_EQ_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_EQ_OQ>(a[1], b[1])]
        }
    }
    #[inline(always)]
    fn select(self, mask: Self::Mask, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_blendv_ps, b, a, mask)
    }
    #[inline(always)]
    fn select_u32(self, mask: Self::Mask, a: Self::U32, b: Self::U32) -> Self::U32 {
        ints(self.select(mask, floats(a), floats(b)))
    }
    #[inline(always)]
    fn mask_and(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        both!(_mm256_and_ps, a, b)
    }
    #[inline(always)]
    fn mask_or(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        both!(_mm256_or_ps, a, b)
    }
    #[inline(always)]
    fn mask_not(self, a: Self::Mask) -> Self::Mask {
        both!(_mm256_xor_ps, a, floats(self.splat_u32(u32::MAX)))
    }
    #[inline(always)]
    fn mask_bits(self, a: Self::Mask) -> u16 {
        // SAFETY: the token proves AVX.
        unsafe { _mm256_movemask_ps(a[0]) as u16 | ((_mm256_movemask_ps(a[1]) as u16) << HALF) }
    }
    #[inline(always)]
    fn mask_from_bits(self, bits: u16) -> Self::Mask {
        // SAFETY: the token proves AVX2.
        unsafe {
            let all = _mm256_set1_epi32(i32::from(bits));
            let low = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let bit = [low, _mm256_slli_epi32::<{ HALF as i32 }>(low)];
            let hit = |bit| _mm256_cmpeq_epi32(_mm256_and_si256(all, bit), bit);
            floats([hit(bit[0]), hit(bit[1])])
        }
    }

    #[inline(always)]
    fn splat_u32(self, x: u32) -> Self::U32 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_set1_epi32(x.cast_signed()); 2] }
    }
    #[inline(always)]
    fn load_u32(self, x: &LanesU32) -> Self::U32 {
        let at = x.0.as_ptr().cast::<__m256i>();
        // SAFETY: sixteen u32 lie at `at`, aligned to 64 bytes.
        unsafe { [_mm256_load_si256(at), _mm256_load_si256(at.add(1))] }
    }
    #[inline(always)]
    fn store_u32(self, x: Self::U32, to: &mut LanesU32) {
        let at = to.0.as_mut_ptr().cast::<__m256i>();
        // SAFETY: sixteen u32 lie at `at`, aligned to 64 bytes, borrowed mutably.
        unsafe {
            _mm256_store_si256(at, x[0]);
            _mm256_store_si256(at.add(1), x[1]);
        }
    }
    #[inline(always)]
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        both!(_mm256_add_epi32, a, b)
    }
    #[inline(always)]
    fn sub_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        both!(_mm256_sub_epi32, a, b)
    }
    #[inline(always)]
    fn and_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        both!(_mm256_and_si256, a, b)
    }
    #[inline(always)]
    fn or_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        both!(_mm256_or_si256, a, b)
    }
    #[inline(always)]
    fn xor_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        both!(_mm256_xor_si256, a, b)
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, x: Self::U32) -> Self::U32 {
        // SAFETY: the token proves AVX2.
        unsafe {
            let n = _mm_cvtsi32_si128(N.cast_signed());
            [_mm256_sll_epi32(x[0], n), _mm256_sll_epi32(x[1], n)]
        }
    }
    #[inline(always)]
    fn shift_right<const N: u32>(self, x: Self::U32) -> Self::U32 {
        // SAFETY: the token proves AVX2.
        unsafe {
            let n = _mm_cvtsi32_si128(N.cast_signed());
            [_mm256_srl_epi32(x[0], n), _mm256_srl_epi32(x[1], n)]
        }
    }
    #[inline(always)]
    fn eq_u32(self, a: Self::U32, b: Self::U32) -> Self::Mask {
        floats(both!(_mm256_cmpeq_epi32, a, b))
    }
    #[inline(always)]
    fn to_bits(self, x: Self::F32) -> Self::U32 {
        ints(x)
    }
    #[inline(always)]
    fn from_bits(self, x: Self::U32) -> Self::F32 {
        floats(x)
    }
    #[inline(always)]
    fn i32_to_f32(self, x: Self::U32) -> Self::F32 {
        both!(_mm256_cvtepi32_ps, x)
    }
    #[inline(always)]
    fn f32_to_i32(self, x: Self::F32) -> Self::U32 {
        both!(_mm256_cvtps_epi32, x)
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
    fn load_part(self, x: &Lanes, part: usize) -> Self::Part {
        let x = &x.0[part * HALF..][..HALF];
        // SAFETY: eight f32 lie there; a half of `Lanes` is aligned to 32 bytes.
        unsafe { _mm256_load_ps(x.as_ptr()) }
    }
    #[inline(always)]
    fn store_part(self, x: Self::Part, to: &mut Lanes, part: usize) {
        let to = &mut to.0[part * HALF..][..HALF];
        // SAFETY: eight f32 lie there, borrowed mutably; a half of `Lanes` is aligned to 32 bytes.
        unsafe { _mm256_store_ps(to.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn mul_add_part(self, a: Self::Part, b: Self::Part, c: Self::Part) -> Self::Part {
        // SAFETY: the token proves FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn reduce_add(self, x: Self::F32) -> f32 {
        // The tree of the default method, in registers.
        // SAFETY: the token proves AVX.
        unsafe {
            let x = _mm256_add_ps(x[0], x[1]);
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
        }
    }
}
