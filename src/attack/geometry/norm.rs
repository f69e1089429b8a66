//! How far apart two images are.

use crate::simd::array;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The norm in which a perturbation is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Norm {
    /// The largest change of a pixel.
    Linf,
    /// The root of the sum of squared changes.
    L2,
    /// The sum of absolute changes.
    L1,
    /// The number of pixels (of each channel) that change, by however much.
    L0,
}

impl Norm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Linf, Self::L2, Self::L1, Self::L0];

    /// The largest distance between two images with `features` values.
    pub(crate) fn widest(self, features: usize) -> f32 {
        match self {
            Self::Linf => 1.0,
            Self::L2 => (features as f32).sqrt(),
            Self::L1 | Self::L0 => features as f32,
        }
    }

    /// Whether a perturbation that is one can have this length: of L0 it is a whole number, that of the values that change.
    pub(crate) fn is_radius(self, eps: f32) -> bool {
        eps > 0.0 && eps.is_finite() && (self != Self::L0 || eps.fract() == 0.0)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linf => "linf",
            Self::L2 => "l2",
            Self::L1 => "l1",
            Self::L0 => "l0",
        }
    }

    /// The norm of `x`, at any scale: it is 0 only if all of `x` is, and infinite only if it is too large for f32.
    pub fn of(self, x: &[f32]) -> f32 {
        self.over(x, x, |v, _| v)
    }

    /// The norm of `a - b`, which are of equal length, at any scale.
    pub fn distance(self, a: &[f32], b: &[f32]) -> f32 {
        self.over(a, b, |a, b| a - b)
    }

    /// The norm of `f(a, b)`.
    #[inline(always)]
    fn over(self, a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
        let largest = || a.iter().zip(b).fold(0.0f32, |m, (&a, &b)| m.max(f(a, b).abs()));
        match self {
            Self::Linf => largest(),
            Self::L1 => sum_of(a, b, |a, b| f(a, b).abs()),
            Self::L0 => sum_of(a, b, |a, b| f32::from(u8::from(f(a, b) != 0.0))),
            Self::L2 => {
                let square = |v: f32| v * v;
                let sum = sum_of(a, b, |a, b| square(f(a, b)));
                if SQUARES.contains(&sum) {
                    return sum.sqrt();
                }
                // Squares have overflowed, or are too small to be told apart.
                let unit = unit_of(largest());
                sum_of(a, b, |a, b| square(f(a, b) * unit)).sqrt() / unit
            }
        }
    }

    /// The norm that bounds `<x, y>` together with this one, of `x`; for L0, where no pixel of `y` exceeds 1.
    pub fn dual_of(self, x: &[f32]) -> f32 {
        match self {
            Self::Linf => Self::L1.of(x),
            Self::L2 => Self::L2.of(x),
            Self::L1 | Self::L0 => Self::Linf.of(x),
        }
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Norm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|norm| name.eq_ignore_ascii_case(norm.name()));
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::argument("norm", format!("`{name}` is none of {names}"))
        })
    }
}

/// Sums of squares in which every square that counts has all of its digits.
const SQUARES: std::ops::Range<f32> = 1e-28..1e36;

/// The power of two that brings `largest` near 1, so that nothing else of a vector overflows and nothing that counts
/// vanishes: to multiply by it is exact.
pub(in crate::attack) fn unit_of(largest: f32) -> f32 {
    // The exponent's bits, -126 to 126 whatever `largest` is, turned round.
    let exponent = (largest.to_bits() >> 23).clamp(1, 253);
    f32::from_bits((254 - exponent) << 23)
}

/// The sum of `f(a, b)` over two slices of equal length: sixteen partial sums, then those in order, so that the bits
/// are the same on every machine and a compiler may still use vectors.
#[inline(always)]
pub(in crate::attack) fn sum_of(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    let mut sums = [0.0f32; 16];
    for (a, b) in a.iter().zip(b) {
        // No iterators within: whether they are inlined is up to the build.
        sums = array::from_fn(
            #[inline(always)]
            |i| sums[i] + f(a[i], b[i]),
        );
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += f(*a, *b);
    }
    sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() as f32
}
