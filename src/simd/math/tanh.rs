//! The hyperbolic tangent.

use super::exp::reduce;
use super::quotient;
use crate::simd::Simd;

/// tanh x, within 1.74 ulp for every x.
///
/// Tiny x come back unchanged, denormal numbers and the sign of zero included; from |x| = 9.02 on the result is ±1,
/// also at the infinities. NaN gives NaN.
#[inline(always)]
pub fn tanh<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // With m = e^(2|x|) - 1: tanh |x| = m / (m + 2), which needs no second formula where x is next to zero.
    // At the bound it rounds to 1. The order of the operands lets a NaN pass.
    let size = s.min(s.splat(9.25), s.abs(x));
    let reduced = reduce(s, s.add(size, size));
    // n lies in 0..=27. m = 2^n e^r - 1 = 2^n (e^r - 1) + (2^n - 1); where n is 0 that is the accurate e^r - 1 itself.
    let scale = s.from_bits(s.shift_left::<23>(reduced.biased_n(s, 127)));
    let m = s.mul_add(reduced.exp_m1, scale, s.sub(scale, s.splat(1.0)));
    s.copy_sign(quotient(s, m, 2.0, m), x)
}
