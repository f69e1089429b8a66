//! The recipe of a training by backpropagation: optimizer, schedule and the like, but not data or epochs.

use super::{Augmentation, Rule, Schedule, TrainingOptions};
use serde::{Deserialize, Serialize};

/// The options that every training by backpropagation has: that of a control, and those of the defenses that learn so.
/// The default is the paper's: plain gradient descent at a constant rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Images per step; a last, smaller batch is dropped.
    pub batch_size: usize,
    /// Learning rate, before the schedule.
    pub learning_rate: f32,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: Schedule,
    /// Epochs over which the learning rate rises to what the schedule says.
    #[serde(default)]
    pub warm_up: f32,
    /// How a gradient becomes a step.
    #[serde(default)]
    pub rule: Rule,
    /// Share of the labels' probability that is spread over all classes.
    #[serde(default)]
    pub label_smoothing: f32,
    /// How images are changed before they are learned from.
    #[serde(default)]
    pub augmentation: Augmentation,
}

impl Default for Recipe {
    fn default() -> Self {
        let TrainingOptions {
            batch_size,
            learning_rate,
            schedule,
            warm_up,
            rule,
            label_smoothing,
            augmentation,
            ..
        } = TrainingOptions::default();
        Self { batch_size, learning_rate, schedule, warm_up, rule, label_smoothing, augmentation }
    }
}

impl Recipe {
    /// The options of a training with `epochs` and `seed`, at temperature 1.
    pub fn training(self, epochs: usize, seed: u64) -> TrainingOptions {
        let Self {
            batch_size,
            learning_rate,
            schedule,
            warm_up,
            rule,
            label_smoothing,
            augmentation,
        } = self;
        TrainingOptions {
            epochs,
            batch_size,
            learning_rate,
            schedule,
            warm_up,
            rule,
            label_smoothing,
            temperature: 1.0,
            seed,
            augmentation,
            ..TrainingOptions::default()
        }
    }
}
