//! What an attack did with one sample, before it is verified.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What it cost to attack a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Forward passes.
    pub forward_passes: u64,
    /// Backward passes.
    pub backward_passes: u64,
    /// Backward passes whose gradient was exactly zero at every pixel.
    pub zero_gradients: u64,
    /// Those of them at the first point of the first run.
    pub zero_starts: u64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        // What a file says may be anything.
        let add = |to: &mut u64, more: u64| *to = to.saturating_add(more);
        add(&mut self.forward_passes, other.forward_passes);
        add(&mut self.backward_passes, other.backward_passes);
        add(&mut self.zero_gradients, other.zero_gradients);
        add(&mut self.zero_starts, other.zero_starts);
    }
}

/// Which part of which attack found an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Winner {
    /// The attack: its name, and how it estimated the gradients of spikes if not as the network does, as in
    /// `pgd:gradient=rga:0.2`.
    pub attack: Cow<'static, str>,
    /// The restart, from 0.
    pub restart: usize,
    /// The class it steered to, if it had a target.
    pub target: Option<usize>,
    /// How many images of that run had been evaluated before.
    pub iteration: usize,
}

impl Winner {
    /// The attack's name alone.
    pub fn name(&self) -> &str {
        self.attack.split(':').next().unwrap_or_default()
    }
}

/// A point that an attack returns.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The image, `[channel][y][x]`.
    pub image: Vec<f32>,
    /// Who found it.
    pub winner: Winner,
}

/// What an attack did with one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The sample's place among the samples.
    pub sample: usize,
    /// What it found.
    pub hit: Option<Hit>,
    /// Whether a logit was not finite.
    pub invalid: bool,
    /// What that took.
    pub cost: Cost,
}

impl Candidate {
    /// Nothing done yet.
    pub fn new(sample: usize) -> Self {
        Self { sample, hit: None, invalid: false, cost: Cost::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::Cost;

    #[test]
    fn costs_that_a_file_makes_up_stop_at_the_end() {
        let end = u64::MAX;
        let most = Cost {
            forward_passes: end,
            backward_passes: end,
            zero_gradients: end - 1,
            zero_starts: 1,
        };
        let mut sum = most;
        sum += most;
        let expected = Cost { zero_gradients: end, zero_starts: 2, ..most };
        assert_eq!(sum, expected);
    }
}
