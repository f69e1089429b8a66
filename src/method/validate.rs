//! Validates all settings up front: a bad value of a late stage would otherwise fail hours into a run.

use super::Settings;
use crate::sleep::SlowWaveOptions;
use crate::snn::Statistics;
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
        // Of none of these a defense would do nothing, and its result be called that of a defense.
        let any = usize::MAX;
        for (name, value, most) in [
            ("cycles", self.cycles, MOST_CYCLES),
            ("slow_wave.length", self.slow_wave.length, SlowWaveOptions::MOST_PASSES),
            ("fast_wave.epochs", self.fast_wave.epochs, any),
            ("sleep.passes", self.sleep.passes, SlowWaveOptions::MOST_PASSES),
            ("sleep.steps", self.sleep.steps, any),
            ("sleep.replay.steps", self.sleep.replay.steps, any),
            ("adversarial_training.epochs", self.adversarial_training.epochs, any),
            ("distillation.teacher_epochs", self.distillation.teacher_epochs, any),
            ("distillation.student_epochs", self.distillation.student_epochs, any),
        ] {
            let problem = match value {
                0 => format!("`{name}` is 0, which would do nothing; at least 1 is needed"),
                value if value > most => {
                    format!("`{name}` is {value}; at most {most} are possible")
                }
                _ => continue,
            };
            return Err(Error::argument("setting", problem));
        }
        for (group, neuron) in [
            ("fast_wave.spiking", self.fast_wave.spiking.neuron),
            ("slow_wave.pair", self.slow_wave.pair.neuron),
        ] {
            if neuron.threshold <= 0.0 {
                let problem = format!(
                    "`{group}.neuron.threshold` is {}; it must be above 0, or neurons spike without input",
                    neuron.threshold
                );
                return Err(Error::argument("setting", problem));
            }
        }
        if self.fast_wave.statistics == Statistics::Recalibrate {
            let problem = "`fast_wave.statistics` is recalibrate, which would be the same as reset: fast-wave sleep \
                           measures the statistics as it learns; it takes reset or carry";
            return Err(Error::argument("setting", problem));
        }
        self.sleep.replay.validate()?;
        self.lucid.validate()?;
        self.adversarial_training.validate()?;
        self.distillation.validate()
    }
}
