//! How far apart two images are.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The norm in which a perturbation is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// The largest change of a pixel.
    Linf,
    /// The root of the sum of squared changes.
    L2,
    /// The sum of absolute changes.
    L1,
}

impl Norm {
    /// The norm of `x`.
    pub fn of(self, x: &[f32]) -> f32 {
        match self {
            Self::Linf => x.iter().fold(0.0, |m, v| m.max(v.abs())),
            Self::L2 => sum_of(x, x, |v, _| v * v).sqrt(),
            Self::L1 => sum_of(x, x, |v, _| v.abs()),
        }
    }

    /// The norm of `a - b`, which are of equal length.
    pub fn distance(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Linf => a.iter().zip(b).fold(0.0, |m, (a, b)| m.max((a - b).abs())),
            Self::L2 => sum_of(a, b, |a, b| (a - b) * (a - b)).sqrt(),
            Self::L1 => sum_of(a, b, |a, b| (a - b).abs()),
        }
    }

    /// The norm that bounds `<x, y>` together with this one, of `x`.
    pub fn dual_of(self, x: &[f32]) -> f32 {
        match self {
            Self::Linf => Self::L1.of(x),
            Self::L2 => Self::L2.of(x),
            Self::L1 => Self::Linf.of(x),
        }
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linf => "linf",
            Self::L2 => "l2",
            Self::L1 => "l1",
        })
    }
}

impl FromStr for Norm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "linf" => Ok(Self::Linf),
            "l2" => Ok(Self::L2),
            "l1" => Ok(Self::L1),
            _ => Err(Error::argument("norm", format!("`{name}` is none of linf, l2, l1"))),
        }
    }
}

/// The sum of `f(a, b)` over two slices of equal length: sixteen partial sums, then those in order, so that the bits
/// are the same on every machine and a compiler may still use vectors.
#[inline(always)]
pub(super) fn sum_of(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    let mut sums = [0.0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += f(*a, *b);
        }
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += f(*a, *b);
    }
    sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() as f32
}
