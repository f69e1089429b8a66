//! Validates all settings up front: a bad value of a late stage would otherwise fail hours into a run.

use super::Settings;
use crate::sleep::SlowWaveOptions;
use crate::{Error, Result};

/// Sleep cycles, at most.
const MOST_CYCLES: usize = 10_000;

impl Settings {
    /// Rejects values that no defense could work with.
    ///
    /// # Errors
    /// If there is one; the message says which, and what would be possible.
    pub fn validate(&self) -> Result<()> {
        self.check_counts()?;
        self.control.validate()?;
        self.slow_wave.validate()?;
        self.fast_wave.validate()?;
        for (name, value, most) in [
            ("cycles", self.cycles, MOST_CYCLES),
            ("sleep.passes", self.sleep.passes, SlowWaveOptions::MOST_PASSES),
        ] {
            if value > most {
                let problem = format!("`{name}` is {value}; at most {most} are possible");
                return Err(Error::argument("setting", problem));
            }
        }
        self.sleep.replay.validate()?;
        self.adversarial_training.validate()?;
        self.distillation.validate()
    }
}
