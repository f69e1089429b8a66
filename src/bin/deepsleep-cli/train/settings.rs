//! The settings of a training: those of a profile, changed by `--set`, `--seed` and the control's own options.

use super::Train;
use crate::common::Common;
use crate::failure::WrongUse;
use crate::settings::{assignments, within};
use anyhow::Result;
use deepsleep::method::{Profile, Settings, Training};

/// All settings. Where they are for a training, what that does not read is refused.
pub fn of(train: &Train, training: Option<Training>) -> Result<Settings> {
    let wrong = |error: deepsleep::Error| WrongUse(error.to_string());
    let set = |error: deepsleep::Error| {
        let text = error.to_string();
        WrongUse(text.replacen("setting: ", "--set ", usize::from(text.contains("does not read"))))
    };
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
    match training {
        Some(training) => settings = settings.changed_for(training, &assignments).map_err(set)?,
        None => {
            assignments
                .iter()
                .try_for_each(|(name, value)| settings.set(name, value))
                .map_err(wrong)?;
            settings.validate().map_err(wrong)?;
        }
    }
    Ok(settings)
}

/// Prints every setting with its value.
pub fn print(settings: &Settings, common: &Common) -> Result<()> {
    let lines = settings.written().into_iter().map(|(name, value)| format!("{name} = {value}"));
    common.console().result(settings, lines.collect::<Vec<_>>().join("\n"))
}
