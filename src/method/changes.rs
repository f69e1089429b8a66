//! Changes of settings, and which of them a training or a network would not read.

use super::{Settings, Training, spiking_reads};
use crate::Result;
use crate::nn::architecture::{Architecture, Op};
use serde_json::Value;

/// What a network has none of, if that is all that a setting is about: the setting makes no difference to it.
///
/// ```
/// use deepsleep::method::lacking;
/// use deepsleep::nn::architecture::Architecture;
/// use deepsleep::tensor::Shape;
///
/// let named = |name| Architecture::named(name, Shape::new(1, 28, 28), 10);
/// assert_eq!(lacking(&named("lenet")?, "conversion"), None);
/// assert_eq!(lacking(&named("mlp")?, "conversion"), Some("batch normalization"));
/// assert_eq!(lacking(&named("mlp")?, "slow_wave.rescale"), Some("convolution"));
/// # Ok::<(), deepsleep::Error>(())
/// ```
pub fn lacking(architecture: &Architecture, name: &str) -> Option<&'static str> {
    let has = |such: fn(&Op) -> bool| architecture.nodes().iter().any(|node| such(&node.op));
    match name {
        "conversion" | "fast_wave.statistics" if !has(Op::is_norm) => Some("batch normalization"),
        // The published rule for linear layers has a rate of its own, and their weights are clamped.
        "slow_wave.learning_rate" | "slow_wave.rescale" if !has(Op::is_convolution) => {
            Some("convolution")
        }
        _ => None,
    }
}

impl Settings {
    /// What is wrong with the first of some changes that makes no difference to a network, which has no layer that it is
    /// about; none if there is none. Values that are those of these settings are no changes.
    ///
    /// # Errors
    /// Those of [`changed`](Self::changed).
    pub fn unread_by(
        &self,
        architecture: &Architecture,
        changes: &[(&str, &str)],
    ) -> Result<Option<String>> {
        let changed = self.changed(changes)?;
        let mut problems = changes.iter().filter_map(|(name, value)| {
            let lacking = lacking(architecture, name)?;
            (self.value(name) != changed.value(name)).then(|| {
                format!(
                    "{name}={value}: it makes no difference to this network, which has no {lacking}"
                )
            })
        });
        Ok(problems.next())
    }

    /// These settings after changes by name, one after the other.
    ///
    /// # Errors
    /// If a setting is unknown or does not take its value, or all together make no sense.
    pub fn changed(&self, changes: &[(&str, &str)]) -> Result<Self> {
        let mut settings = self.clone();
        changes.iter().try_for_each(|(name, value)| settings.set(name, value))?;
        settings.validate()?;
        Ok(settings)
    }
}

impl Training {
    /// What is wrong with the first of some changes that makes no difference to this training as the other settings are; none
    /// if all do.
    ///
    /// ```
    /// use deepsleep::method::{Profile, Settings, Training};
    ///
    /// let settings = Settings::new(Profile::Published);
    /// let unread = |name, value| Training::Control.unread(&settings, &[(name, value)]);
    /// assert_eq!(unread("control.epochs", "3")?, None);
    /// assert!(unread("cycles", "2")?.is_some_and(|problem| problem.contains("does not read this setting")));
    /// # Ok::<(), deepsleep::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Settings::changed`].
    pub fn unread(self, start: &Settings, changes: &[(&str, &str)]) -> Result<Option<String>> {
        let settings = start.changed(changes)?;
        // What is read follows from all of them together: without noise, no dreams. A spiking network is made of any
        // defended file, with the file's settings.
        let is_read = |name: &str| {
            let spikes = self != Self::Control && spiking_reads(&settings, name);
            spikes || self.reads(&settings, name)
        };
        let read = |of: &Settings| -> Vec<(String, Value)> {
            of.list().into_iter().filter(|(name, _)| is_read(name)).collect()
        };
        let mut before = start.clone();
        for (name, value) in changes {
            let mut after = before.clone();
            after.set(name, value)?;
            if before != after && read(&before) == read(&after) {
                let reader = self.defense().map_or("the control", |defense| defense.name());
                return Ok(Some(format!(
                    "{name}={value}: {reader} does not read this setting when the others are as given"
                )));
            }
            before = after;
        }
        Ok(None)
    }
}
