//! Surrogate gradients: functions that replace the derivative of a spike, a step function of `x = membrane - threshold`.
//!
//! Each is the derivative of a smooth step, [`Surrogate::step`], which rises from 0 to 1. The exceptions are
//! [`FastSigmoid`], which its authors left unnormalized: its step x / (1 + a |x|) rises from -1/a to 1/a; and
//! [`StraightThrough`], whose step is a line. Tests hold gradients of neurons over time to these steps.

use crate::simd::{Simd, math};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The derivative of a smooth step, on sixteen lanes.
pub trait Slope: Copy {
    /// The derivative at `x`.
    fn slope<S: Simd>(self, s: S, x: S::F32) -> S::F32;
}

/// max(0, a - a^2 |x|): the published choice, a = 2 (METHOD section 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuadraticGate(pub f32);

/// a / (2 (1 + (pi/2 a x)^2))
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arctan(pub f32);

/// a sg(a x) (1 - sg(a x)), sg the logistic function
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sigmoid(pub f32);

/// max(0, w - |x|) / w^2, of half width w
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Triangle(pub f32);

/// a / 2 where |x| < 1 / a, else 0
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rectangle(pub f32);

/// a / 2 e^(-a |x|)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential(pub f32);

/// The number itself, wherever the membrane is: the spike as a linear function of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StraightThrough(pub f32);

/// 1 / (1 + a |x|)^2 (Zenke and Ganguli 2018)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FastSigmoid(pub f32);

impl Slope for QuadraticGate {
    #[inline(always)]
    fn slope<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        let slope = s.neg_mul_add(s.splat(self.0 * self.0), s.abs(x), s.splat(self.0));
        s.max(slope, s.zero())
    }
}

impl Slope for Arctan {
    #[inline(always)]
    fn slope<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        let x = s.mul(x, s.splat(std::f32::consts::FRAC_PI_2 * self.0));
        s.div(s.splat(self.0 / 2.0), s.mul_add(x, x, s.splat(1.0)))
    }
}

impl Slope for Sigmoid {
    #[inline(always)]
    fn slope<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        let a = s.splat(self.0);
        let y = math::sigmoid(s, s.mul(a, x));
        s.mul(a, s.mul(y, s.sub(s.splat(1.0), y)))
    }
}

impl Slope for Triangle {
    #[inline(always)]
    fn slope<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        let height = s.max(s.sub(s.splat(self.0), s.abs(x)), s.zero());
        s.mul(height, s.splat(1.0 / (self.0 * self.0)))
    }
}

impl Slope for Rectangle {
    #[inline(always)]
    fn slope<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        let inside = s.lt(s.abs(x), s.splat(1.0 / self.0));
        s.select(inside, s.splat(self.0 / 2.0), s.zero())
    }
}

impl Slope for Exponential {
    #[inline(always)]
    fn slope<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        // e^-80 is nothing beside 1.
        let power = s.max(s.mul(s.abs(x), s.splat(-self.0)), s.splat(-80.0));
        s.mul(s.splat(self.0 / 2.0), math::exp(s, power))
    }
}

impl Slope for StraightThrough {
    #[inline(always)]
    fn slope<S: Simd>(self, s: S, _x: S::F32) -> S::F32 {
        s.splat(self.0)
    }
}

impl Slope for FastSigmoid {
    #[inline(always)]
    fn slope<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        let root = s.mul_add(s.splat(self.0), s.abs(x), s.splat(1.0));
        s.div(s.splat(1.0), s.mul(root, root))
    }
}

/// The run-time choice between them; the number is the type's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Surrogate {
    /// [`QuadraticGate`]
    QuadraticGate(f32),
    /// [`Arctan`]
    Arctan(f32),
    /// [`Sigmoid`]
    Sigmoid(f32),
    /// [`Triangle`]
    Triangle(f32),
    /// [`Rectangle`]
    Rectangle(f32),
    /// [`FastSigmoid`]
    FastSigmoid(f32),
    /// [`Exponential`]
    Exponential(f32),
    /// [`StraightThrough`]
    StraightThrough(f32),
}

impl Default for Surrogate {
    /// The published one.
    fn default() -> Self {
        Self::QuadraticGate(2.0)
    }
}

impl Surrogate {
    /// The one parameter.
    pub fn parameter(self) -> f32 {
        match self {
            Self::QuadraticGate(a)
            | Self::Arctan(a)
            | Self::Sigmoid(a)
            | Self::Triangle(a)
            | Self::Rectangle(a)
            | Self::FastSigmoid(a)
            | Self::Exponential(a)
            | Self::StraightThrough(a) => a,
        }
    }

    /// The derivative by `x` of this step of `x / unit`. (Of the fast sigmoid up to a factor.)
    pub fn in_units(self, unit: f32) -> Self {
        match self {
            Self::QuadraticGate(a) => Self::QuadraticGate(a / unit),
            Self::Arctan(a) => Self::Arctan(a / unit),
            Self::Sigmoid(a) => Self::Sigmoid(a / unit),
            Self::Triangle(w) => Self::Triangle(w * unit),
            Self::Rectangle(a) => Self::Rectangle(a / unit),
            Self::FastSigmoid(a) => Self::FastSigmoid(a / unit),
            Self::Exponential(a) => Self::Exponential(a / unit),
            Self::StraightThrough(a) => Self::StraightThrough(a / unit),
        }
    }

    /// Refuses a parameter that gives no slope.
    ///
    /// # Errors
    /// If it is not a positive, finite number.
    pub fn validate(self) -> Result<()> {
        let parameter = self.parameter();
        if parameter > 0.0 && parameter.is_finite() {
            return Ok(());
        }
        let problem = format!("{self:?}: the parameter must be positive and finite");
        Err(Error::argument("surrogate", problem))
    }

    /// The derivative at `x`, in f64.
    pub fn slope(self, x: f64) -> f64 {
        let a = f64::from(self.parameter());
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        match self {
            Self::QuadraticGate(_) => (a - a * a * x.abs()).max(0.0),
            Self::Arctan(_) => a / (2.0 * (1.0 + (std::f64::consts::FRAC_PI_2 * a * x).powi(2))),
            Self::Sigmoid(_) => a * logistic(a * x) * (1.0 - logistic(a * x)),
            Self::Triangle(_) => (a - x.abs()).max(0.0) / (a * a),
            Self::Rectangle(_) => {
                if x.abs() < 1.0 / a {
                    a / 2.0
                } else {
                    0.0
                }
            }
            Self::FastSigmoid(_) => (1.0 + a * x.abs()).powi(-2),
            Self::Exponential(_) => a / 2.0 * (-a * x.abs()).exp(),
            Self::StraightThrough(_) => a,
        }
    }

    /// The smooth step whose derivative this is, 1/2 at `x` = 0 (0 for the fast sigmoid's), in f64.
    pub fn step(self, x: f64) -> f64 {
        let a = f64::from(self.parameter());
        // The integral from 0 of an even function that ends at |x| = w with area 1.
        let gate = |y: f64| 0.5 + (y - y * y.abs() / 2.0).clamp(-0.5, 0.5);
        match self {
            Self::QuadraticGate(_) => gate((a * x).clamp(-1.0, 1.0)),
            Self::Arctan(_) => {
                0.5 + (std::f64::consts::FRAC_PI_2 * a * x).atan() / std::f64::consts::PI
            }
            Self::Sigmoid(_) => 1.0 / (1.0 + (-a * x).exp()),
            Self::Triangle(_) => gate((x / a).clamp(-1.0, 1.0)),
            Self::Rectangle(_) => (0.5 + a * x / 2.0).clamp(0.0, 1.0),
            Self::FastSigmoid(_) => x / (1.0 + a * x.abs()),
            Self::Exponential(_) => 0.5 - 0.5 * x.signum() * (-a * x.abs()).exp_m1(),
            Self::StraightThrough(_) => 0.5 + a * x,
        }
    }
}

/// Runs an expression with the [`Slope`] of a [`Surrogate`].
macro_rules! with_slope {
    ($surrogate:expr, $slope:ident => $body:expr) => {
        match $surrogate {
            Surrogate::QuadraticGate(a) => {
                let $slope = QuadraticGate(a);
                $body
            }
            Surrogate::Arctan(a) => {
                let $slope = Arctan(a);
                $body
            }
            Surrogate::Sigmoid(a) => {
                let $slope = Sigmoid(a);
                $body
            }
            Surrogate::Triangle(a) => {
                let $slope = Triangle(a);
                $body
            }
            Surrogate::Rectangle(a) => {
                let $slope = Rectangle(a);
                $body
            }
            Surrogate::FastSigmoid(a) => {
                let $slope = FastSigmoid(a);
                $body
            }
            Surrogate::Exponential(a) => {
                let $slope = Exponential(a);
                $body
            }
            Surrogate::StraightThrough(a) => {
                let $slope = StraightThrough(a);
                $body
            }
        }
    };
}

/// Whichever it is.
impl Slope for Surrogate {
    #[inline(always)]
    fn slope<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        with_slope!(self, slope => slope.slope(s, x))
    }
}
