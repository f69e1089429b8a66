//! The undefended control, which every defense starts from.

use crate::nn::{Recipe, TrainingOptions};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How the control is trained: [`TrainingOptions`] without a seed, which is the seed of all settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ControlOptions {
    /// Passes over the training set.
    pub epochs: usize,
    /// How it learns.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Temperature of the soft-max in the loss.
    pub temperature: f32,
}

crate::options::with!(ControlOptions);

impl Default for ControlOptions {
    fn default() -> Self {
        let TrainingOptions { epochs, temperature, .. } = TrainingOptions::default();
        Self { epochs, recipe: Recipe::default(), temperature }
    }
}

impl ControlOptions {
    /// The options of the training with this seed.
    pub fn training(&self, seed: u64) -> TrainingOptions {
        let temperature = self.temperature;
        TrainingOptions { temperature, ..self.recipe.training(self.epochs, seed) }
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
