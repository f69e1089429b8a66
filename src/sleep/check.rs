//! Settings that make no sense are refused before any of them is worked with: a defense works for hours before it meets
//! its last one.

use super::{AdversarialTrainingOptions, DistillationOptions, Settings, SlowWaveOptions};
use crate::nn::TrainingOptions;
use crate::{Error, Result};

/// Sleep cycles, at most.
const MOST_CYCLES: usize = 10_000;

impl Settings {
    /// Refuses values that no defense could work with.
    ///
    /// # Errors
    /// If there is one; which, and what would be possible.
    pub fn check(&self) -> Result<()> {
        let refuse = |problem: String| Err(Error::argument("setting", problem));
        self.check_counts()?;
        self.control.check()?;
        if self.control.epochs == 0 {
            return refuse("`control.epochs` is 0; a control needs at least 1".into());
        }
        self.slow_wave.check()?;
        self.fast_wave.check()?;
        for (name, value, most) in [
            ("cycles", self.cycles, MOST_CYCLES),
            ("sleep.passes", self.sleep.passes, SlowWaveOptions::MOST_PASSES),
        ] {
            if value > most {
                return refuse(format!("`{name}` is {value}; at most {most} are possible"));
            }
        }
        self.sleep.replay.check()?;
        self.adversarial_training.check()?;
        self.distillation.check()
    }
}

impl AdversarialTrainingOptions {
    fn check(&self) -> Result<()> {
        for (name, value) in [("eps", self.eps), ("ratio", self.ratio)] {
            if !(0.0..=1.0).contains(&value) {
                let problem =
                    format!("`adversarial_training.{name}` is {value}, not between 0 and 1");
                return Err(Error::argument("setting", problem));
            }
        }
        training(self.batch_size, self.learning_rate, 1.0)
    }
}

impl DistillationOptions {
    fn check(&self) -> Result<()> {
        training(self.batch_size, self.learning_rate, self.temperature)
    }
}

/// What training says to these.
fn training(batch_size: usize, learning_rate: f32, temperature: f32) -> Result<()> {
    TrainingOptions { batch_size, learning_rate, temperature, ..TrainingOptions::default() }.check()
}
