//! Encoders: how an image becomes input over time.

use crate::autodiff::{Tape, Var};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How an image becomes input over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Encoder {
    /// The pixels themselves, as a current that is the same at every step.
    #[default]
    Direct,
    /// Spikes: at every step each pixel is 1 with probability `rate * pixel`, else 0.
    Poisson {
        /// Probability of a spike at a pixel of 1.
        rate: f32,
    },
}

impl Encoder {
    /// Checks that the rate is a probability.
    ///
    /// # Errors
    /// If the rate is not in 0..=1.
    pub fn validate(self) -> Result<()> {
        match self {
            Self::Poisson { rate } if !(0.0..=1.0).contains(&rate) => {
                Err(Error::argument("encoder", format!("rate {rate} is not in 0..=1")))
            }
            _ => Ok(()),
        }
    }

    /// Whether it draws random numbers.
    pub fn is_random(self) -> bool {
        matches!(self, Self::Poisson { .. })
    }

    /// Encodes `x` (one time step) for `steps` steps. Random draws are those of the tape's keys
    /// ([`Tape::set_noise`]).
    ///
    /// # Errors
    /// If the rate is not in 0..=1, `x` has time steps already, or keys are needed and missing.
    pub fn encode(self, tape: &mut Tape, x: Var, steps: usize) -> Result<Var> {
        match self {
            Self::Direct => Ok(x),
            Self::Poisson { rate } => tape.poisson(x, rate, steps),
        }
    }
}
