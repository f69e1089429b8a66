//! How a network runs as a spiking one, as its file notes it.

use super::{Settings, Training};
use crate::checkpoint::StateDict;
use crate::nn::architecture::Architecture;
use crate::snn::SpikingOptions;
use crate::{Error, Result};

/// The note of a network whose own training had no part in them.
const SPIKING: &str = "spiking";

/// The note of all settings of a defense.
pub(super) const SETTINGS: &str = "settings";

/// The note of a control that was trained as a spiking network: how it spiked.
pub const TRAINED_SPIKING: &str = "training.spiking";

/// Whether the network of a file ended its training as a spiking one, and is another network with rectifiers.
pub fn was_trained_spiking(state: &StateDict) -> bool {
    let by_defense = || {
        let (training, settings) =
            (state.noted::<Training>("defense")?, state.noted::<Settings>(SETTINGS)?);
        let spiking = settings.adversarial_training.spiking;
        Some(spiking && training.reads(&settings, "adversarial_training.spiking"))
    };
    state.notes().contains_key(TRAINED_SPIKING) || by_defense().unwrap_or_default()
}

/// The spiking options that a network's file notes; None if it notes none, so that those of
/// [`SpikingOptions::default`] are as good as any.
///
/// # Errors
/// If a note is not of the kind that this version writes.
pub fn noted_spiking_options(state: &StateDict) -> Result<Option<SpikingOptions>> {
    let unreadable = |note: &str| {
        let problem = format!(
            "its note `{note}` is not of the kind that this version writes; run it with rectifiers, or train it again"
        );
        Error::format(state.path(), problem)
    };
    if state.notes().contains_key(SPIKING) {
        return state.noted(SPIKING).map(Some).ok_or_else(|| unreadable(SPIKING));
    }
    if state.notes().contains_key(SETTINGS) {
        let settings: Option<Settings> = state.noted(SETTINGS);
        let options = settings.map(|settings| settings.fast_wave.spiking);
        return options.map(Some).ok_or_else(|| unreadable(SETTINGS));
    }
    Ok(None)
}

/// The options to run the network of a file with as a spiking one; and what has to be said about them: that a network which
/// was made with neurons does not say for how many steps it runs.
///
/// # Errors
/// Those of [`noted_spiking_options`].
pub fn spiking_options(
    state: &StateDict,
    architecture: &Architecture,
) -> Result<(SpikingOptions, Option<String>)> {
    if let Some(options) = noted_spiking_options(state)? {
        return Ok((options, None));
    }
    let options = SpikingOptions::default();
    let note = architecture.has_neurons().then(|| {
        format!(
            "it does not say for how many time steps its spiking neurons run; {} are taken (`deepsleep-cli convert \
             --time-steps N` writes another number into the file)",
            options.steps
        )
    });
    Ok((options, note))
}

/// Notes in a network's file how it runs as a spiking network.
pub fn note_spiking_options(state: &mut StateDict, options: SpikingOptions) {
    state.note(SPIKING, options);
}

/// Notes in a network's file for how many time steps it runs as a spiking network.
///
/// # Errors
/// If there cannot be so many, or those of [`noted_spiking_options`].
pub fn note_time_steps(state: &mut StateDict, steps: usize) -> Result<()> {
    let options = SpikingOptions { steps, ..noted_spiking_options(state)?.unwrap_or_default() };
    options.validate()?;
    note_spiking_options(state, options);
    Ok(())
}

/// Keeps the spiking options of the network that a training started from, unless the training has its own. Returns where those
/// differ, in words.
///
/// # Errors
/// If the notes of `start` are not of the kind that this version writes.
pub fn keep_spiking_options(
    start: &StateDict,
    training: Training,
    settings: &Settings,
    trained: &mut StateDict,
) -> Result<Vec<String>> {
    let Some(options) = noted_spiking_options(start)? else { return Ok(Vec::new()) };
    let mut kept = settings.clone();
    kept.fast_wave.spiking = options;
    let is_own =
        |name: &str| name.starts_with("fast_wave.spiking") && training.reads(settings, name);
    let own = settings.written().into_iter().zip(kept.written());
    let own: Vec<_> = own.filter(|((name, _), _)| is_own(name)).collect();
    if own.is_empty() {
        trained.note(SPIKING, options);
    }
    let differing = own.into_iter().filter(|(ours, theirs)| ours != theirs);
    Ok(differing
        .map(|((name, ours), (_, theirs))| format!("`{name}` {theirs}, now {ours}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{AdversarialTraining, FastWaveDefense, Profile};

    #[test]
    fn a_training_keeps_the_spiking_options_that_it_has_no_part_in() {
        let settings = Settings::new(Profile::Published);
        let mut theirs = settings.clone();
        theirs.set("fast_wave.spiking.steps", "7").expect("a setting");
        let (empty, mut start) = (StateDict::default(), StateDict::default());
        start.note(SETTINGS, &theirs);
        let keep = |training, start: &StateDict| {
            let mut trained = StateDict::default();
            let told = keep_spiking_options(start, training, &settings, &mut trained);
            (told.expect("readable"), trained)
        };
        for training in [Training::Control, Training::Defense(&AdversarialTraining)] {
            let (told, trained) = keep(training, &start);
            assert!(told.is_empty(), "{told:?}");
            let options = noted_spiking_options(&trained).expect("readable").expect("kept");
            assert_eq!(options.steps, 7);
            // Through another training, too.
            let (_, again) = keep(Training::Control, &trained);
            assert_eq!(noted_spiking_options(&again).expect("readable"), Some(options));
            assert_eq!(noted_spiking_options(&keep(training, &empty).1).expect("none"), None);
        }
        // Trained as a spiking network, it has its own.
        let (told, trained) = keep(Training::Defense(&FastWaveDefense), &start);
        assert_eq!(told, ["`fast_wave.spiking.steps` 7, now 8"]);
        assert_eq!(noted_spiking_options(&trained).expect("none"), None);
        // Scripts of other libraries note no more than the number of steps.
        let mut brief = StateDict::default();
        brief.note(SPIKING, serde_json::json!({ "steps": 25 }));
        let options = noted_spiking_options(&brief).expect("readable").expect("noted");
        assert_eq!(options, SpikingOptions { steps: 25, ..SpikingOptions::default() });
        start.note(SETTINGS, "of another kind");
        let refused = noted_spiking_options(&start).expect_err("unreadable").to_string();
        assert!(refused.contains("`settings`") && refused.contains("train it again"), "{refused}");
    }
}
