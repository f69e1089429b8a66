//! The exponential, and the reduction it shares with tanh.

use super::polynomial;
use crate::simd::Simd;

/// 1.5 * 2^23: adding it rounds to an integer (ties to even), which then stands in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// ln 2 in two parts: the nearest `f32`, and the nearest `f32` to what that leaves.
const LN_2_HIGH: f32 = std::f32::consts::LN_2;
const LN_2_LOW: f32 = -1.904_654_2e-9;

/// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2; e^r comes out with a relative error of at most 2^-28.2.
const COEFFICIENTS: [f32; 5] =
    [0.499_999_94, 0.166_665_21, 0.041_668_26, 0.008_368_667, 0.001_382_122_6];

/// y = n ln 2 + r, with the integer n nearest to y / ln 2.
pub(super) struct Reduced<S: Simd> {
    /// e^r - 1, with a small *relative* error also where r is next to zero.
    pub exp_m1: S::F32,
    /// n, plus the bits of [`ROUNDER`].
    n: S::U32,
}

/// Splits e^y into a power of two and the rest; |y| must stay below 2^21.
#[inline(always)]
pub(super) fn reduce<S: Simd>(s: S, y: S::F32) -> Reduced<S> {
    let shifted = s.mul_add(y, s.splat(std::f32::consts::LOG2_E), s.splat(ROUNDER));
    let n = s.sub(shifted, s.splat(ROUNDER));
    // Exact: |r| < 1/2, and y and the product are multiples of 2^-25 wherever n is not 0.
    let r = s.neg_mul_add(n, s.splat(LN_2_HIGH), y);
    let r = s.neg_mul_add(n, s.splat(LN_2_LOW), r);
    let exp_m1 = s.mul_add(s.mul(r, r), polynomial(s, r, COEFFICIENTS), r);
    Reduced { exp_m1, n: s.to_bits(shifted) }
}

impl<S: Simd> Reduced<S> {
    /// n plus `bias`, in the low bits.
    #[inline(always)]
    pub(super) fn biased_n(&self, s: S, bias: u32) -> S::U32 {
        s.add_u32(self.n, s.splat_u32(bias.wrapping_sub(ROUNDER.to_bits())))
    }
}

/// e^x, within 1.02 ulp for every x.
///
/// Results below 2^-126 are denormal numbers with an error of at most one of their spacings, below x = -103.97 zero.
/// Above x = 88.72 the result is infinite. NaN gives NaN.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // Beyond these bounds everything is infinity or zero. The order of the operands lets a NaN pass.
    let x = s.max(s.splat(-104.0), s.min(s.splat(89.0), x));
    let reduced = reduce(s, x);
    // n lies in -150..=128, beyond what one scale factor can express: 2^n = 2^a 2^b with a = floor(n / 2). The first
    // product is a normal number, so that the second rounds to the denormal ones once.
    let both = reduced.biased_n(s, 2 * 127);
    let a = s.shift_right::<1>(both);
    let b = s.sub_u32(both, a);
    let a = s.from_bits(s.shift_left::<23>(a));
    let b = s.from_bits(s.shift_left::<23>(b));
    s.mul(s.mul_add(reduced.exp_m1, a, a), b)
}
