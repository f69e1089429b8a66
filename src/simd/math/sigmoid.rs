//! The logistic function.

use super::{exp, quotient};
use crate::simd::Simd;

/// 1 / (1 + e^-x), within 1.48 ulp for every x.
///
/// Nothing overflows on the way: far to the left the result runs through the denormal numbers to zero, and it is 1
/// from x = 17.4 on. NaN gives NaN.
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // e^-|x| never exceeds 1: sigmoid(x) = 1 / (1 + e^-|x|) on the right, e^-|x| / (1 + e^-|x|) on the left.
    let t = exp(s, s.from_bits(s.or_u32(s.to_bits(x), s.splat_u32(0x8000_0000))));
    let above = s.select(s.lt(x, s.zero()), t, s.splat(1.0));
    quotient(s, above, 1.0, t)
}
