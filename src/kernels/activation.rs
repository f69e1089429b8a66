//! Activations: functions of one feature at a time, each with its derivative. Dead lanes stay zero: functions that are
//! not zero at zero are masked.

use super::elementwise::{map, zip};
use crate::simd::{Isa, Lanes, Simd, dispatch, math};

/// A function of one number, with its derivative. NaN stays NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// max(0, x); the derivative at 0 is 0.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// x above 0, `slope x` elsewhere.
    LeakyRelu {
        /// Slope left of 0.
        slope: f32,
    },
    /// x above 0, `alpha (exp(x) - 1)` elsewhere.
    Elu {
        /// The limit on the left, with its sign changed.
        alpha: f32,
    },
    /// x sigmoid(x)
    Silu,
    /// x times the normal distribution function of x, within 4e-7.
    Gelu,
    /// The approximation of [`Gelu`](Self::Gelu) by a hyperbolic tangent.
    GeluTanh,
    /// x times the hyperbolic tangent of [`Softplus`](Self::Softplus).
    Mish,
    /// ln(1 + exp(x))
    Softplus,
    /// x / 6 + 1/2, limited to 0..=1.
    HardSigmoid,
    /// x times [`HardSigmoid`](Self::HardSigmoid).
    HardSwish,
    /// x, limited to a range; the derivative is 1 between the limits, and at them.
    Clamp {
        /// The lower limit.
        low: f32,
        /// The upper limit.
        high: f32,
    },
}

/// `out = f(x)`, a block with `live` samples.
pub fn activate(isa: Isa, activation: Activation, live: usize, x: &[Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => match activation {
        Activation::Relu => map(s, x, out, #[inline(always)] |x| s.max(s.zero(), x)),
        Activation::Tanh => map(s, x, out, #[inline(always)] |x| math::tanh(s, x)),
        Activation::Sigmoid => {
            map(s, x, out, #[inline(always)] |x| s.keep_first(math::sigmoid(s, x), live));
        }
        Activation::LeakyRelu { slope } => map(s, x, out, #[inline(always)] |x| {
            s.select(s.gt(x, s.zero()), x, s.mul(s.splat(slope), x))
        }),
        Activation::Elu { alpha } => map(s, x, out, #[inline(always)] |x| {
            s.select(s.gt(x, s.zero()), x, s.mul(s.splat(alpha), exp_m1(s, x)))
        }),
        Activation::Silu => {
            map(s, x, out, #[inline(always)] |x| s.mul(x, math::sigmoid(s, x)));
        }
        Activation::Gelu => map(s, x, out, #[inline(always)] |x| s.mul(x, normal(s, x).0)),
        Activation::GeluTanh => map(s, x, out, #[inline(always)] |x| {
            s.mul(x, tanh_share(s, x).0)
        }),
        Activation::Mish => map(s, x, out, #[inline(always)] |x| s.mul(x, mish_share(s, x).0)),
        Activation::Softplus => {
            map(s, x, out, #[inline(always)] |x| s.keep_first(softplus(s, x), live));
        }
        Activation::HardSigmoid => {
            map(s, x, out, #[inline(always)] |x| s.keep_first(hard_sigmoid(s, x), live));
        }
        Activation::HardSwish => {
            map(s, x, out, #[inline(always)] |x| s.mul(x, hard_sigmoid(s, x)));
        }
        Activation::Clamp { low, high } => map(s, x, out, #[inline(always)] |x| {
            s.keep_first(s.min(s.splat(high), s.max(s.splat(low), x)), live)
        }),
    });
}

/// `out = grad f'(x)`, from the input `x` and the output `y = f(x)`.
pub fn activation_grad(
    isa: Isa,
    activation: Activation,
    (x, y): (&[Lanes], &[Lanes]),
    grad: &[Lanes],
    out: &mut [Lanes],
) {
    dispatch!(isa, s => match activation {
        Activation::Relu => zip(s, y, grad, out, #[inline(always)] |y, grad| {
            s.select(s.gt(y, s.zero()), grad, s.zero())
        }),
        Activation::Tanh => zip(s, y, grad, out, #[inline(always)] |y, grad| {
            s.mul(grad, s.neg_mul_add(y, y, s.splat(1.0)))
        }),
        Activation::Sigmoid => zip(s, y, grad, out, #[inline(always)] |y, grad| {
            s.mul(grad, s.mul(y, s.sub(s.splat(1.0), y)))
        }),
        Activation::LeakyRelu { slope } => zip(s, x, grad, out, #[inline(always)] |x, grad| {
            s.select(s.gt(x, s.zero()), grad, s.mul(grad, s.splat(slope)))
        }),
        Activation::Elu { alpha } => zip(s, x, grad, out, #[inline(always)] |x, grad| {
            let slope = s.mul(s.splat(alpha), math::exp(s, s.min(s.zero(), x)));
            s.select(s.gt(x, s.zero()), grad, s.mul(grad, slope))
        }),
        Activation::Silu => zip(s, x, grad, out, #[inline(always)] |x, grad| {
            let share = math::sigmoid(s, x);
            // s + x s (1 - s)
            let slope = s.mul_add(s.mul(x, share), s.sub(s.splat(1.0), share), share);
            s.mul(grad, slope)
        }),
        Activation::Gelu => zip(s, x, grad, out, #[inline(always)] |x, grad| {
            let (share, density) = normal(s, x);
            s.mul(grad, s.mul_add(x, density, share))
        }),
        Activation::GeluTanh => zip(s, x, grad, out, #[inline(always)] |x, grad| {
            let (share, slope) = tanh_share(s, x);
            s.mul(grad, s.mul_add(x, slope, share))
        }),
        Activation::Mish => zip(s, x, grad, out, #[inline(always)] |x, grad| {
            let (share, slope) = mish_share(s, x);
            s.mul(grad, s.mul_add(s.min(s.splat(MISH_LINE), x), slope, share))
        }),
        Activation::Softplus => zip(s, x, grad, out, #[inline(always)] |x, grad| {
            s.mul(grad, math::sigmoid(s, x))
        }),
        Activation::HardSigmoid => zip(s, x, grad, out, #[inline(always)] |x, grad| {
            s.select(within(s, x, -3.0, 3.0), s.mul(grad, s.splat(1.0 / 6.0)), s.zero())
        }),
        Activation::HardSwish => zip(s, x, grad, out, #[inline(always)] |x, grad| {
            let between = s.mul(grad, s.mul_add(x, s.splat(1.0 / 3.0), s.splat(0.5)));
            let inside = s.select(within(s, x, -3.0, 3.0), between, s.zero());
            s.select(s.ge(x, s.splat(3.0)), grad, inside)
        }),
        Activation::Clamp { low, high } => zip(s, x, grad, out, #[inline(always)] |x, grad| {
            let inside = s.mask_and(s.ge(x, s.splat(low)), s.le(x, s.splat(high)));
            s.select(inside, grad, s.zero())
        }),
    });
}

/// exp(x) - 1 for x up to 0, also near 0, where the difference alone would lose all of its digits.
#[inline(always)]
fn exp_m1<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let x = s.min(s.zero(), x);
    // 2 t / (1 - t) with t = tanh(x / 2).
    let t = math::tanh(s, s.mul(x, s.splat(0.5)));
    s.div(s.add(t, t), s.sub(s.splat(1.0), t))
}

/// ln(1 + exp(x)), with all of its digits where it is small.
#[inline(always)]
fn softplus<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let one = s.splat(1.0);
    let small = math::exp(s, s.sub(s.zero(), s.abs(x)));
    let sum = s.add(one, small);
    // The sum is rounded: what its logarithm lacks is what the sum lacks.
    let rest = s.mul(math::ln(s, sum), s.div(small, s.sub(sum, one)));
    let rest = s.select(s.gt(sum, one), rest, small);
    s.add(s.max(s.zero(), x), rest)
}

/// Above this, mish is its argument.
const MISH_LINE: f32 = 20.0;

/// The factor tanh(ln(1 + exp(x))), and its derivative.
#[inline(always)]
fn mish_share<S: Simd>(s: S, x: S::F32) -> (S::F32, S::F32) {
    let two = s.splat(2.0);
    let e = math::exp(s, s.min(s.splat(MISH_LINE), x));
    // With w = e (e + 2) it is w / (w + 2), and dw / dx is 2 e (e + 1).
    let w = s.mul(e, s.add(e, two));
    let below = s.add(w, two);
    let share = s.div(w, below);
    let rise = s.mul(s.splat(4.0), s.mul(e, s.add(e, s.splat(1.0))));
    (share, s.div(s.div(rise, below), below))
}

#[inline(always)]
fn hard_sigmoid<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let line = s.mul(s.add(x, s.splat(3.0)), s.splat(1.0 / 6.0));
    s.min(s.splat(1.0), s.max(s.zero(), line))
}

#[inline(always)]
fn within<S: Simd>(s: S, x: S::F32, low: f32, high: f32) -> S::Mask {
    s.mask_and(s.gt(x, s.splat(low)), s.lt(x, s.splat(high)))
}

/// Distribution function and density of the normal distribution. The former by formula 7.1.26 of Abramowitz and Stegun
/// (1964), within 1.5e-7 of the error function.
#[inline(always)]
fn normal<S: Simd>(s: S, x: S::F32) -> (S::F32, S::F32) {
    const C: [f32; 5] = [0.254_829_6, -0.284_496_72, 1.421_413_8, -1.453_152, 1.061_405_4];
    let size = s.mul(s.abs(x), s.splat(std::f32::consts::FRAC_1_SQRT_2));
    let t = s.div(s.splat(1.0), s.mul_add(size, s.splat(0.327_591_1), s.splat(1.0)));
    let mut sum = s.splat(C[4]);
    for c in [C[3], C[2], C[1], C[0]] {
        sum = s.mul_add(sum, t, s.splat(c));
    }
    let bell = math::exp(s, s.mul(s.mul(x, x), s.splat(-0.5)));
    let tail = s.mul(s.mul(s.mul(sum, t), bell), s.splat(0.5));
    let below = s.select(s.lt(x, s.zero()), tail, s.sub(s.splat(1.0), tail));
    (below, s.mul(bell, s.splat(0.398_942_3)))
}

/// The factor (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, and its derivative.
#[inline(always)]
fn tanh_share<S: Simd>(s: S, x: S::F32) -> (S::F32, S::F32) {
    const ROOT: f32 = 0.797_884_6;
    let square = s.mul(x, x);
    let inner = s.mul(s.mul(x, s.splat(ROOT)), s.mul_add(square, s.splat(0.044_715), s.splat(1.0)));
    let t = math::tanh(s, inner);
    let slope = s.mul_add(square, s.splat(3.0 * 0.044_715 * ROOT), s.splat(ROOT));
    let half = s.splat(0.5);
    let derivative = s.mul(s.mul(s.neg_mul_add(t, t, s.splat(1.0)), slope), half);
    (s.mul_add(t, half, half), derivative)
}
