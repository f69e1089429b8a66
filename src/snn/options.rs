//! The options of spiking networks, and what happens to statistics in a conversion.

use super::{Encoder, Neuron, Surrogate};
use crate::nn::RunningStatistics;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How a spiking network spikes. The default is the published network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SpikingOptions {
    /// Time steps.
    pub steps: usize,
    /// The neurons of all layers.
    pub neuron: Neuron,
    /// What stands for the derivative of a spike.
    pub surrogate: Surrogate,
    /// How images become input.
    pub encoder: Encoder,
}

crate::options::with!(SpikingOptions);

impl Default for SpikingOptions {
    fn default() -> Self {
        Self {
            steps: 8,
            neuron: Neuron::default(),
            surrogate: Surrogate::default(),
            encoder: Encoder::Direct,
        }
    }
}

impl SpikingOptions {
    /// Time steps at most: at this many, sixteen images take gigabytes.
    pub const MOST_STEPS: usize = 10_000;

    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// If there are no time steps or more than [`MOST_STEPS`](Self::MOST_STEPS), or the encoder, the
    /// surrogate or the neuron cannot be (see [`Neuron::dynamics`]).
    pub fn validate(&self) -> Result<()> {
        let (steps, most) = (self.steps, Self::MOST_STEPS);
        if !(1..=most).contains(&steps) {
            let problem = format!("{steps} time steps; 1 to {most} are possible");
            return Err(Error::argument("spiking network", problem));
        }
        self.encoder.validate()?;
        self.surrogate.validate()?;
        self.neuron.dynamics().map(|_| ())
    }
}

/// What a conversion does with the running statistics of batch normalization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// Mean 0, variance 1: the published code, which forgets them.
    Reset,
    /// Those of the network converted from.
    Carry,
    /// Mean 0, variance 1, then measured anew by one pass over the training set (see
    /// [`recalibrate`](crate::nn::recalibrate)).
    Recalibrate,
}

impl Statistics {
    /// Forgets running statistics, unless they are carried.
    pub(crate) fn apply(self, statistics: &mut [RunningStatistics]) {
        if self != Self::Carry {
            for statistics in statistics {
                *statistics = RunningStatistics::new(statistics.mean.len());
            }
        }
    }
}
