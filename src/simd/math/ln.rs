//! The natural logarithm.

use super::polynomial;
use crate::simd::Simd;

/// ln 2 in two parts: the nearest `f32`, and the nearest `f32` to what that leaves.
const LN_2_HIGH: f32 = std::f32::consts::LN_2;
const LN_2_LOW: f32 = -1.904_654_2e-9;

/// (ln(1 + f) - f + f^2 / 2) / f^3 for 1 + f between sqrt(1/2) and sqrt(2); ln(1 + f) comes out with a relative error
/// of at most 2^-27.3.
const COEFFICIENTS: [f32; 8] = [
    0.333_333_3,
    -0.250_008_2,
    0.200_012_42,
    -0.166_234_09,
    0.142_015_8,
    -0.131_596_1,
    0.127_622_17,
    -0.076_364_39,
];

/// ln x, within 0.88 ulp for every x, denormal numbers included.
///
/// ln(±0) is -infinity, ln(infinity) infinity; a negative x or NaN gives NaN.
#[inline(always)]
pub fn ln<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // Denormal numbers: lifted into the normal range, which the exponent then takes back.
    let denormal = s.lt(x, s.splat(f32::MIN_POSITIVE));
    let lifted = s.select(denormal, s.mul(x, s.splat(8_388_608.0)), x);
    let bias = s.select(denormal, s.splat(127.0 + 23.0), s.splat(127.0));

    // lifted = 2^n (1 + f), 1 + f from sqrt(1/2) on: counted from there, the exponent bits change where they should.
    const SQRT_HALF: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
    const ONE: u32 = 1.0f32.to_bits();
    let bits = s.add_u32(s.to_bits(lifted), s.splat_u32(ONE - SQRT_HALF));
    let n = s.sub(s.i32_to_f32(s.shift_right::<23>(bits)), bias);
    let fraction = s.and_u32(bits, s.splat_u32(0x007f_ffff));
    let one_and_f = s.from_bits(s.add_u32(fraction, s.splat_u32(SQRT_HALF)));
    let f = s.sub(one_and_f, s.splat(1.0));

    // ln x = n LN_2_HIGH + (f + (f^2 (f P(f) - 1/2) + n LN_2_LOW)), small terms first.
    let square = s.mul(f, f);
    let curve = s.mul_add(f, polynomial(s, f, COEFFICIENTS), s.splat(-0.5));
    let small = s.mul_add(square, curve, s.mul(n, s.splat(LN_2_LOW)));
    let result = s.mul_add(n, s.splat(LN_2_HIGH), s.add(f, small));

    // Infinity and NaN stay what they are; zeros and negative numbers.
    let result = s.select(s.lt(x, s.splat(f32::INFINITY)), result, x);
    let pole = s.select(s.eq(x, s.zero()), s.splat(f32::NEG_INFINITY), s.splat(f32::NAN));
    s.select(s.le(x, s.zero()), pole, result)
}
