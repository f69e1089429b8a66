//! Changes of settings for one training: what it would not read is refused.

use super::{Settings, Training, spiking_reads};
use crate::{Error, Result};
use serde_json::Value;

impl Settings {
    /// Changes settings by name, one after the other, for a training.
    ///
    /// ```
    /// use deepsleep::method::{Profile, Settings, Training};
    ///
    /// let change = |name, value| {
    ///     let settings = Settings::new(Profile::Published);
    ///     settings.changed_for(Training::Control, &[(name, value)])
    /// };
    /// assert_eq!(change("control.epochs", "3")?.control.epochs, 3);
    /// assert!(change("cycles", "2").unwrap_err().to_string().contains("does not read this setting"));
    /// # Ok::<(), deepsleep::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a setting is unknown or does not take its value, all together make no sense, or a change makes no difference to
    /// the training as the others are.
    pub fn changed_for(self, training: Training, changes: &[(&str, &str)]) -> Result<Self> {
        let mut steps = vec![self];
        for (name, value) in changes {
            let mut next = steps[steps.len() - 1].clone();
            next.set(name, value)?;
            steps.push(next);
        }
        let settings = steps[steps.len() - 1].clone();
        settings.validate()?;
        // What is read follows from all of them together: without noise, no dreams. A spiking network is made of any
        // defended file, with the file's settings.
        let is_read = |name: &str| {
            let spikes = training != Training::Control && spiking_reads(&settings, name);
            spikes || training.reads(&settings, name)
        };
        let read = |of: &Self| -> Vec<(String, Value)> {
            of.list().into_iter().filter(|(name, _)| is_read(name)).collect()
        };
        for (step, (name, value)) in steps.windows(2).zip(changes) {
            let [before, after] = step else { continue };
            if before != after && read(before) == read(after) {
                let reader = training.defense().map_or("the control", |defense| defense.name());
                let problem = format!(
                    "{name}={value}: {reader} does not read this setting when the others are as given"
                );
                return Err(Error::argument("setting", problem));
            }
        }
        Ok(settings)
    }
}
