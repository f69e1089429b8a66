//! How the learning rate changes over the training.

use crate::wording::short_form;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// A factor on the learning rate, as a function of the share of the training that is done. All of them need only
/// arithmetic that is the same on every machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Always 1.
    #[default]
    Constant,
    /// `factor` to the number of times that `epochs` have passed.
    Step {
        /// Epochs between two changes.
        epochs: usize,
        /// What each change multiplies by.
        factor: f32,
    },
    /// Falls in a straight line from 1 to 0 at the end.
    Linear,
    /// Falls from 1 to 0 at the end along half a wave of the cosine (Loshchilov and Hutter 2017), without restarts.
    Cosine,
    /// Rises in a straight line from 0 to 1 at `peak` (a share of the training), then falls to 0 at the end: the
    /// cyclic rate of fast adversarial training (Wong, Rice and Kolter 2020).
    Triangle {
        /// Where the peak is, between 0 and 1.
        peak: f32,
    },
}

impl Schedule {
    /// Whether its numbers make sense.
    ///
    /// # Errors
    /// If steps are no epochs apart or their factor is negative or infinite, or the peak is not in 0..=1.
    pub fn validate(self) -> Result<()> {
        let fail = |problem: String| Err(Error::argument("schedule", problem));
        match self {
            Self::Step { epochs: 0, .. } => fail("0 epochs between two changes".into()),
            Self::Step { factor, .. } if !(factor >= 0.0 && factor.is_finite()) => {
                fail(format!("factor {factor} is not zero or a positive number"))
            }
            Self::Triangle { peak } if !(0.0..=1.0).contains(&peak) => {
                fail(format!("peak {peak} is not in 0..=1"))
            }
            _ => Ok(()),
        }
    }

    /// The factor at `step` of `steps_per_epoch * epochs` steps.
    pub fn factor(self, step: u64, steps_per_epoch: u64, epochs: usize) -> f32 {
        // A training without an end may have as many epochs as there are numbers.
        let total = steps_per_epoch.saturating_mul(epochs as u64).max(1);
        let done = (step as f32 / total as f32).min(1.0);
        match self {
            Self::Constant => 1.0,
            Self::Step { epochs, factor } => {
                let passed = step / steps_per_epoch.saturating_mul(epochs as u64).max(1);
                (0..passed).fold(1.0, |product, _| product * factor)
            }
            Self::Linear => 1.0 - done,
            Self::Cosine => half_wave(done),
            Self::Triangle { peak } if done < peak => done / peak,
            Self::Triangle { peak } if peak < 1.0 => (1.0 - done) / (1.0 - peak),
            Self::Triangle { .. } => 1.0,
        }
    }
}

/// As a setting takes it: `cosine`, `triangle:peak=0.3`.
impl Display for Schedule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&short_form::of(self))
    }
}

/// `(1 + cos(pi x)) / 2` for x in 0..=1, the same on every machine, which the standard library's cosine is not: with s the
/// sine of pi (1/2 - x), between -1 and 1, it is (1 + s) / 2. The series is exact to 1e-10 there.
fn half_wave(x: f32) -> f32 {
    let angle = std::f64::consts::PI * (0.5 - f64::from(x));
    let square = angle * angle;
    let series = (1..=8).rev().fold(1.0, |sum, k| {
        let k = f64::from(2 * k);
        1.0 - sum * square / (k * (k + 1.0))
    });
    (0.5 + 0.5 * angle * series).clamp(0.0, 1.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_without_an_end_has_a_rate() {
        for schedule in [
            Schedule::Constant,
            Schedule::Linear,
            Schedule::Cosine,
            Schedule::Step { epochs: usize::MAX, factor: 0.1 },
            Schedule::Triangle { peak: 0.5 },
        ] {
            let factor = schedule.factor(10, 468, usize::MAX);
            assert!((0.0..=1.0).contains(&factor), "{schedule:?}: {factor}");
        }
    }
}
