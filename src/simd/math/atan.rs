//! The arc tangent.

use super::polynomial;
use crate::simd::Simd;

/// pi / 2 in two parts: the nearest `f32`, and the nearest `f32` to what that leaves.
const HALF_PI_HIGH: f32 = std::f32::consts::FRAC_PI_2;
const HALF_PI_LOW: f32 = -4.371_139e-8;

/// (atan t - t) / t^3 in powers of t^2, for t in 0..=1; atan t comes out with a relative error of at most 2^-28.4.
const COEFFICIENTS: [f32; 9] = [
    -0.333_333,
    0.199_985_3,
    -0.142_640_14,
    0.109_508_61,
    -0.083_992_08,
    0.057_878_87,
    -0.031_093_534,
    0.010_866_271,
    -0.001_782_144_2,
];

/// atan x in radians, within 1.39 ulp for every x.
///
/// Tiny x come back unchanged, denormal numbers and the sign of zero included; the infinities give ±pi/2. NaN gives
/// NaN.
#[inline(always)]
pub fn atan<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // Beyond 1, atan |x| = pi/2 - atan(1 / |x|). One division serves both cases: it leaves |x| / 1 as it is.
    let one = s.splat(1.0);
    let size = s.abs(x);
    let beyond = s.gt(size, one);
    let t = s.div(s.select(beyond, one, size), s.select(beyond, size, one));
    let square = s.mul(t, t);
    let angle = s.mul_add(s.mul(square, t), polynomial(s, square, COEFFICIENTS), t);
    let rest = s.sub(s.splat(HALF_PI_HIGH), s.sub(angle, s.splat(HALF_PI_LOW)));
    s.copy_sign(s.select(beyond, rest, angle), x)
}
