//! Surrogates and the smooth steps that they are derivatives of, in f64.

use deepsleep::kernels::surrogate::Surrogate;

/// The derivative at `x`, in f64.
pub fn slope(surrogate: Surrogate, x: f64) -> f64 {
    let a = f64::from(surrogate.parameter());
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    match surrogate {
        Surrogate::QuadraticGate(_) => (a - a * a * x.abs()).max(0.0),
        Surrogate::Arctan(_) => a / (2.0 * (1.0 + (std::f64::consts::FRAC_PI_2 * a * x).powi(2))),
        Surrogate::Sigmoid(_) => a * logistic(a * x) * (1.0 - logistic(a * x)),
        Surrogate::Triangle(_) => (a - x.abs()).max(0.0) / (a * a),
        Surrogate::Rectangle(_) => {
            if x.abs() < 1.0 / a {
                a / 2.0
            } else {
                0.0
            }
        }
        Surrogate::FastSigmoid(_) => (1.0 + a * x.abs()).powi(-2),
        Surrogate::Exponential(_) => a / 2.0 * (-a * x.abs()).exp(),
        Surrogate::StraightThrough(_) => a,
    }
}

/// The smooth step whose derivative this is, 1/2 at `x` = 0 (0 for the fast sigmoid's), in f64.
pub fn step(surrogate: Surrogate, x: f64) -> f64 {
    let a = f64::from(surrogate.parameter());
    // The integral from 0 of an even function that ends at |x| = w with area 1.
    let gate = |y: f64| 0.5 + (y - y * y.abs() / 2.0).clamp(-0.5, 0.5);
    match surrogate {
        Surrogate::QuadraticGate(_) => gate((a * x).clamp(-1.0, 1.0)),
        Surrogate::Arctan(_) => {
            0.5 + (std::f64::consts::FRAC_PI_2 * a * x).atan() / std::f64::consts::PI
        }
        Surrogate::Sigmoid(_) => 1.0 / (1.0 + (-a * x).exp()),
        Surrogate::Triangle(_) => gate((x / a).clamp(-1.0, 1.0)),
        Surrogate::Rectangle(_) => (0.5 + a * x / 2.0).clamp(0.0, 1.0),
        Surrogate::FastSigmoid(_) => x / (1.0 + a * x.abs()),
        Surrogate::Exponential(_) => 0.5 - 0.5 * x.signum() * (-a * x.abs()).exp_m1(),
        Surrogate::StraightThrough(_) => 0.5 + a * x,
    }
}
