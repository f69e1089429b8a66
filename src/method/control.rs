//! The undefended control.

use crate::nn::{Augmentation, Rule, Schedule, TrainingOptions};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How the control is trained: [`TrainingOptions`] without a seed, which is the seed of all settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ControlOptions {
    /// Passes over the training set.
    pub epochs: usize,
    /// Images per step; a last, smaller batch is dropped.
    pub batch_size: usize,
    /// Learning rate, before the schedule.
    pub learning_rate: f32,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// How a gradient becomes a step.
    pub rule: Rule,
    /// Temperature of the soft-max in the loss.
    pub temperature: f32,
    /// How images are changed before they are learned from.
    #[serde(default, skip_serializing_if = "Augmentation::is_off")]
    pub augmentation: Augmentation,
}

impl Default for ControlOptions {
    fn default() -> Self {
        let TrainingOptions {
            epochs,
            batch_size,
            learning_rate,
            schedule,
            rule,
            temperature,
            augmentation,
            ..
        } = TrainingOptions::default();
        Self { epochs, batch_size, learning_rate, schedule, rule, temperature, augmentation }
    }
}

impl ControlOptions {
    /// The options of the training with this seed.
    pub fn training(&self, seed: u64) -> TrainingOptions {
        let Self { epochs, batch_size, learning_rate, schedule, rule, temperature, augmentation } =
            *self;
        TrainingOptions {
            epochs,
            batch_size,
            learning_rate,
            schedule,
            rule,
            temperature,
            seed,
            augmentation,
        }
    }

    /// Rejects values that no training could work with.
    ///
    /// # Errors
    /// If there is one; it is named.
    pub fn validate(&self) -> Result<()> {
        self.training(0).validate()?;
        if self.epochs == 0 {
            let problem = "`control.epochs` is 0; a control needs at least 1";
            return Err(Error::argument("setting", problem));
        }
        Ok(())
    }
}
