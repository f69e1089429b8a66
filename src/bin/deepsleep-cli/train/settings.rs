//! The settings of a training: those of a profile, changed by `--set`, `--seed` and the control's own options.

use super::Train;
use crate::common::Common;
use crate::failure::WrongUse;
use crate::model::ModelKind;
use crate::settings::assignments;
use anyhow::Result;
use deepsleep::checkpoint::StateDict;
use deepsleep::method::{Profile, Settings, Training, is_within, noted_spiking_options};
use deepsleep::nn::architecture::Architecture;
use deepsleep::snn::SpikingOptions;

/// The group of settings that say how networks spike.
const SPIKING: &str = "fast_wave.spiking";

/// The setting that lets the neurons of an adversarial training spike.
const ADVERSARIAL_SPIKES: &str = "adversarial_training.spiking";

/// How the network spikes that is trained, as `--set` says or else the file that it begins with; None if it is trained with
/// ReLUs.
pub fn spiking(
    train: &Train,
    settings: &Settings,
    began: Option<&StateDict>,
) -> Result<Option<SpikingOptions>> {
    if train.model_kind == ModelKind::Cnn {
        return Ok(None);
    }
    let noted = began.map(noted_spiking_options).transpose()?.flatten();
    let Some(noted) = noted else { return Ok(Some(settings.fast_wave.spiking)) };
    let mut kept = settings.clone();
    kept.fast_wave.spiking = noted;
    let mut changes = assignments(&train.set)?;
    changes.retain(|(name, _)| is_within(name, SPIKING));
    Ok(Some(kept.changed(&changes)?.fast_wave.spiking))
}

/// All settings. Where they are for a training, what that does not read is refused.
pub fn of(train: &Train, training: Option<Training>) -> Result<Settings> {
    let wrong = |error: deepsleep::Error| WrongUse(error.to_string());
    let profile = train.profile.as_deref().unwrap_or("published").to_ascii_lowercase();
    let profile: Profile = profile.parse().map_err(wrong)?;
    let mut settings = Settings::new(profile);
    settings.seed = train.seed.unwrap_or_default();
    if let (ModelKind::Snn, Some(Training::Defense(defense))) = (train.model_kind, training) {
        if !defense.reads(&settings).contains(&"adversarial_training") {
            let problem = format!(
                "--model-kind snn is for a control, adversarial-training and lucid; {} says itself where it lets neurons spike",
                defense.name()
            );
            return Err(WrongUse(problem).into());
        }
        settings.set(ADVERSARIAL_SPIKES, "true").map_err(wrong)?;
    }
    let assignments = assignments(&train.set)?;
    if let (Some(seed), Some((_, value))) =
        (train.seed, assignments.iter().find(|(name, _)| *name == "seed"))
    {
        let problem = format!("--seed {seed} and --set seed={value}: give the seed once");
        return Err(WrongUse(problem).into());
    }
    for (option, setting, given) in train.shorthands() {
        let same = |name: &str| is_within(name, setting) || is_within(setting, name);
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
    let changed = settings.changed(&assignments).map_err(wrong)?;
    if settings.adversarial_training.spiking && !changed.adversarial_training.spiking {
        let problem =
            format!("--model-kind snn and --set {ADVERSARIAL_SPIKES}=false: give one of them");
        return Err(WrongUse(problem).into());
    }
    // How a network spikes matters to one that is trained to.
    let is_read = |name: &str| train.model_kind == ModelKind::Snn && is_within(name, SPIKING);
    let others: Vec<_> = assignments.iter().copied().filter(|(name, _)| !is_read(name)).collect();
    let unread = training.map(|training| training.unread(&settings, &others)).transpose();
    match unread.map_err(wrong)?.flatten() {
        Some(problem) => Err(WrongUse(format!("--set {problem}")).into()),
        None => Ok(changed),
    }
}

/// Refuses settings that make no difference to a network.
pub fn refuse_unread_by(
    architecture: &Architecture,
    train: &Train,
    settings: &Settings,
) -> Result<()> {
    let of_profile = Settings::new(settings.profile);
    match of_profile.unread_by(architecture, &assignments(&train.set)?)? {
        Some(problem) => Err(WrongUse(format!("--set {problem}")).into()),
        None => Ok(()),
    }
}

/// Prints every setting with its value.
pub fn print(settings: &Settings, common: &Common) -> Result<()> {
    let lines = settings.written().into_iter().map(|(name, value)| format!("{name} = {value}"));
    common.console().result(settings, lines.collect::<Vec<_>>().join("\n"))
}
