//! Integrate-and-fire neurons, leaky or not (Eq. 8 of the paper, its time step explicit).

use super::Dynamics;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What happens to the membrane at a spike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reset {
    /// It returns to the resting potential.
    #[default]
    Hard,
    /// It is lowered by the threshold.
    Soft,
    /// Nothing.
    None,
}

/// A neuron: `tau du/dt = -(u - rest) + resistance I(t)`, in steps of `time_step`; a spike where `u > threshold`.
///
/// The default is the published one (docs/method.md, section 2): `u <- u + (I - u) / 2`, threshold 0.5, hard reset to 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neuron {
    /// Membrane time constant, in the unit of `time_step`; `None` does not leak (IF).
    pub tau: Option<f32>,
    /// Time between two steps.
    pub time_step: f32,
    /// Factor on the current.
    pub resistance: f32,
    /// Resting potential: where the membrane starts, leaks to, and is reset to.
    pub rest: f32,
    /// A membrane above it spikes.
    pub threshold: f32,
    /// Whether a membrane exactly at the threshold spikes too, as in some libraries.
    pub inclusive: bool,
    /// What a spike does to the membrane.
    pub reset: Reset,
    /// Whether gradients flow through the spike in the reset.
    pub reset_grad: bool,
    /// Whether the input decays like the membrane, `(time_step / tau) resistance I` a step as Eq. 8 has it, or enters
    /// whole, `resistance I`.
    pub decay_input: bool,
    /// Time constant of an exponential synapse that turns input spikes into current; `None` takes the input as current.
    pub synapse_tau: Option<f32>,
}

impl Default for Neuron {
    fn default() -> Self {
        Self {
            tau: Some(2.0),
            time_step: 1.0,
            resistance: 1.0,
            rest: 0.0,
            threshold: 0.5,
            inclusive: false,
            reset: Reset::Hard,
            reset_grad: false,
            decay_input: true,
            synapse_tau: None,
        }
    }
}

impl Neuron {
    /// The numbers of its update.
    ///
    /// # Errors
    /// If a time constant is shorter than the time step (the membrane would overshoot), or a number is not finite.
    pub fn dynamics(&self) -> Result<Dynamics> {
        let numbers = [self.time_step, self.resistance, self.rest, self.threshold];
        if numbers.iter().any(|x| !x.is_finite()) || self.time_step <= 0.0 {
            return Err(Error::argument(
                "neuron",
                format!(
                    "time step, resistance, rest and threshold are {numbers:?}: all must be finite, the first positive"
                ),
            ));
        }
        let rate = |name: &str, tau: Option<f32>| match tau {
            None => Ok(None),
            Some(tau) if tau >= self.time_step && tau.is_finite() => Ok(Some(self.time_step / tau)),
            Some(tau) => Err(Error::argument(
                "neuron",
                format!("{name} {tau} is shorter than the time step {}", self.time_step),
            )),
        };
        let leak = rate("tau", self.tau)?.unwrap_or(0.0);
        let scale = if self.decay_input && self.tau.is_some() { leak } else { 1.0 };
        let (keep, reset) = match self.reset {
            Reset::Hard => (0.0, self.rest),
            Reset::Soft => (1.0, -self.threshold),
            Reset::None => (1.0, 0.0),
        };
        Ok(Dynamics {
            synapse: rate("synapse_tau", self.synapse_tau)?.map_or(0.0, |rate| 1.0 - rate),
            decay: 1.0 - leak,
            gain: scale * self.resistance,
            offset: leak * self.rest,
            initial: self.rest,
            threshold: self.threshold,
            inclusive: self.inclusive,
            keep,
            reset,
            reset_grad: self.reset_grad,
        })
    }
}
