//! The settings of a training: those of a profile, changed by `--set`, `--seed` and the control's own options.

use super::Train;
use crate::common::Common;
use crate::failure::WrongUse;
use crate::settings::{assignments, within};
use anyhow::Result;
use deepsleep::method::{Profile, Settings, Training, spiking_reads};
use serde_json::Value;

/// All settings. Where they are for a training, what that does not read is refused.
pub fn of(train: &Train, training: Option<Training>) -> Result<Settings> {
    let wrong = |error: deepsleep::Error| WrongUse(error.to_string());
    let profile = train.profile.as_deref().unwrap_or("published").to_ascii_lowercase();
    let profile: Profile = profile.parse().map_err(wrong)?;
    let mut settings = Settings::new(profile);
    settings.seed = train.seed.unwrap_or_default();
    let assignments = assignments(&train.set)?;
    if let (Some(seed), Some((_, value))) =
        (train.seed, assignments.iter().find(|(name, _)| *name == "seed"))
    {
        let problem = format!("--seed {seed} and --set seed={value}: give the seed once");
        return Err(WrongUse(problem).into());
    }
    for (option, setting, given) in train.shorthands() {
        let same = |name: &str| within(name, setting) || within(setting, name);
        if let Some((name, value)) = assignments.iter().find(|(name, _)| same(name)) {
            let problem = format!("{option} {given} and --set {name}={value}: give one of them");
            return Err(WrongUse(problem).into());
        }
        settings.set(setting, &given).map_err(|error| {
            let error = error.to_string();
            let problem = error.strip_prefix("setting: ").unwrap_or(&error);
            WrongUse(format!("{option} {given}: {problem}"))
        })?;
    }
    let mut steps = vec![settings.clone()];
    for (name, value) in &assignments {
        settings.set(name, value).map_err(wrong)?;
        steps.push(settings.clone());
    }
    settings.validate().map_err(wrong)?;
    let Some(training) = training else { return Ok(settings) };
    // What is read follows from all of them together: without noise, no dreams.
    // A spiking network is made of any defended file, with the file's settings.
    let is_read = |name: &str| {
        training.reads(&settings, name)
            || training != Training::Control && spiking_reads(&settings, name)
    };
    let read = |of: &Settings| -> Vec<(String, Value)> {
        of.list().into_iter().filter(|(name, _)| is_read(name)).collect()
    };
    for (step, (name, value)) in steps.windows(2).zip(&assignments) {
        let [before, after] = step else { continue };
        if before != after && read(before) == read(after) {
            let reader = training.defense().map_or("the control", |defense| defense.name());
            let problem = format!(
                "--set {name}={value}: {reader} does not read this setting when the others are as given"
            );
            return Err(WrongUse(problem).into());
        }
    }
    Ok(settings)
}

/// Prints every setting with its value.
pub fn print(settings: &Settings, common: &Common) -> Result<()> {
    let lines = settings.written().into_iter().map(|(name, value)| format!("{name} = {value}"));
    common.console().result(settings, lines.collect::<Vec<_>>().join("\n"))
}
