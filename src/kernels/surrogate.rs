//! Surrogate gradients: functions that replace the derivative of a spike, a step function of `x = membrane - threshold`.
//!
//! Each is the derivative of a smooth step, which rises from 0 to 1. The exceptions are [`FastSigmoid`], which its authors
//! left unnormalized: its step x / (1 + a |x|) rises from -1/a to 1/a; and [`StraightThrough`], whose step is a line. Tests
//! hold gradients of neurons over time to these steps.

use crate::simd::{Simd, math};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The derivative of a smooth step, on sixteen lanes.
pub trait Slope: Copy {
    /// The derivative at `x`.
    fn slope<S: Simd>(self, s: S, x: S::F32) -> S::F32;
}

/// max(0, a - a^2 |x|): the published choice, a = 2 (docs/method.md, section 2).
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
    /// All of them, each with a usual parameter.
    pub const ALL: [Self; 8] = [
        Self::QuadraticGate(2.0),
        Self::Arctan(2.0),
        Self::Sigmoid(4.0),
        Self::Triangle(1.0),
        Self::Rectangle(2.0),
        Self::FastSigmoid(1.0),
        Self::Exponential(2.0),
        Self::StraightThrough(1.0),
    ];

    /// Its name, the same in settings and in the options of attacks.
    pub fn name(self) -> &'static str {
        match self {
            Self::QuadraticGate(_) => "quadratic-gate",
            Self::Arctan(_) => "arctan",
            Self::Sigmoid(_) => "sigmoid",
            Self::Triangle(_) => "triangle",
            Self::Rectangle(_) => "rectangle",
            Self::FastSigmoid(_) => "fast-sigmoid",
            Self::Exponential(_) => "exponential",
            Self::StraightThrough(_) => "straight-through",
        }
    }

    /// The same with another parameter.
    #[must_use]
    pub fn with_parameter(mut self, parameter: f32) -> Self {
        let (Self::QuadraticGate(a)
        | Self::Arctan(a)
        | Self::Sigmoid(a)
        | Self::Triangle(a)
        | Self::Rectangle(a)
        | Self::FastSigmoid(a)
        | Self::Exponential(a)
        | Self::StraightThrough(a)) = &mut self;
        *a = parameter;
        self
    }

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
        let problem = format!("{self}: the parameter must be positive and finite");
        Err(Error::argument("surrogate", problem))
    }
}

impl fmt::Display for Surrogate {
    /// As it is asked for: `arctan:2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name(), self.parameter())
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
