//! Elementary functions of sixteen lanes, written once over the operations of [`Simd`]: same bits on every
//! instruction set, no branches, no tables.
//!
//! | function | largest error over all `f32`, in ulp |
//! |---|---|
//! | [`exp`] | 1.013 |
//! | [`ln`] | 0.876 |
//! | [`tanh`] | 1.733 |
//! | [`sigmoid`] | 1.480 |
//! | [`atan`] | 1.382 |
//!
//! An ulp is the distance of neighbouring `f32` at the exact result, never less than the spacing of the denormal
//! numbers. The errors were measured on every one of the 2^32 arguments, against the `f64` functions of the standard
//! library (`DEEPSLEEP_ISA=avx2 DEEPSLEEP_ULP_STRIDE=1 cargo test --test simd ulp`, three minutes).
//!
//! **The coefficients** are ours. Each polynomial minimises the largest *relative* error of its function over the
//! reduced interval (least squares on 400 Chebyshev nodes, reweighted by the error until it is level: Lawson's method;
//! targets from 60-digit arithmetic). They were rounded to `f32` one after the other, lowest first, and those that
//! remained fitted anew to what the rounding left. Each file says what error the rounded polynomial has.

#![forbid(unsafe_code)]

mod atan;
mod exp;
mod ln;
mod sigmoid;
mod tanh;

pub use atan::atan;
pub use exp::exp;
pub use ln::ln;
pub use sigmoid::sigmoid;
pub use tanh::tanh;

use super::Simd;

/// c0 + c1 x + c2 x^2 + ... by Horner's rule.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::F32, c: [f32; N]) -> S::F32 {
    let mut sum = s.splat(c[N - 1]);
    for i in (0..N - 1).rev() {
        sum = s.mul_add(sum, x, s.splat(c[i]));
    }
    sum
}

/// n / (c + m), as if the sum had not been rounded: half an ulp, plus a trifle. Numerator and denominator must be
/// positive (or 0 / c), c a power of two, m at least 0.
#[inline(always)]
fn quotient<S: Simd>(s: S, n: S::F32, c: f32, m: S::F32) -> S::F32 {
    let c = s.splat(c);
    let sum = s.add(c, m);
    let lost = s.sub(m, s.sub(sum, c)); // exact while m < 2^24 c
    // A first quotient, what it leaves of the numerator (exact before `lost`), and one correction.
    let reciprocal = s.div(s.splat(1.0), sum);
    let first = s.mul(n, reciprocal);
    let left = s.neg_mul_add(first, lost, s.neg_mul_add(first, sum, n));
    s.mul_add(left, reciprocal, first)
}
