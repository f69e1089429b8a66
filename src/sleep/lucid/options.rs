//! The options of the slow waves of lucid sleep.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The options of the slow waves of lucid sleep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LucidOptions {
    /// Times that synapses are adapted.
    pub passes: usize,
    /// Random patches of images that a pass sees.
    pub patches: usize,
    /// Whether synapses compete; otherwise filters only become non-negative, with an L1 norm of 1.
    pub down_selection: bool,
    /// How fast synapses grow and shrink.
    pub learning_rate: f32,
    /// How strongly a synapse is inhibited by the excess of a stronger synapse at the same kernel position of another filter in
    /// its half of the filters.
    pub inhibition: f32,
    /// The factors that a synapse changes by at least and at most in a pass.
    pub change: [f32; 2],
    /// What every synapse loses in a pass; the synapses of a filter sum to 1.
    pub decay: f32,
    /// Whether thresholds are set; otherwise they stay at the mean response.
    pub homeostasis: bool,
    /// The share of responses counted as dark.
    pub down: f32,
    /// The share of responses not counted as bright.
    pub up: f32,
    /// How far thresholds lie beyond what a perturbation reaches.
    pub distance: f32,
    /// What the distance of a response from its threshold is multiplied by.
    pub gain: f32,
    /// In later cycles, only neurons whose response is at most this share of the strongest one sleep.
    pub silent: f32,
}

crate::options::with!(LucidOptions);

impl Default for LucidOptions {
    fn default() -> Self {
        Self {
            passes: 60,
            patches: 4000,
            down_selection: true,
            learning_rate: 0.5,
            inhibition: 2.0,
            change: [0.2, 3.0],
            decay: 0.004,
            homeostasis: true,
            down: 0.1,
            up: 0.99,
            distance: 0.01,
            gain: 3.0,
            silent: 0.2,
        }
    }
}

impl LucidOptions {
    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// If there is one; it is named.
    pub fn validate(&self) -> Result<()> {
        let fail = |name: &str, problem: String| {
            Err(Error::argument("setting", format!("`lucid.{name}` is {problem}")))
        };
        for (name, count) in [("passes", self.passes), ("patches", self.patches)] {
            if count == 0 {
                return fail(name, "0; at least 1 is needed".into());
            }
        }
        let [least, most] = self.change;
        if !(0.0 < least && least <= 1.0 && 1.0 <= most && most.is_finite()) {
            let change =
                format!("{:?}; it takes [least, most] around 1, the least above 0", self.change);
            return fail("change", change);
        }
        for (name, value, [low, high]) in [
            ("learning_rate", self.learning_rate, [0.0, 10.0]),
            ("inhibition", self.inhibition, [0.0, 1000.0]),
            ("decay", self.decay, [0.0, 1.0]),
            ("down", self.down, [0.0, 1.0]),
            ("up", self.up, [0.0, 1.0]),
            ("distance", self.distance, [0.0, 1.0]),
            ("silent", self.silent, [0.0, 1.0]),
        ] {
            if !(low..=high).contains(&value) {
                return fail(name, format!("{value}; it must be in {low}..={high}"));
            }
        }
        if self.down >= self.up {
            return fail("down", format!("{}, which is not below up = {}", self.down, self.up));
        }
        if !(self.gain > 0.0 && self.gain.is_finite()) {
            return fail("gain", format!("{}; it must be positive", self.gain));
        }
        Ok(())
    }
}
