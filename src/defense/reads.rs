//! Which settings a training reads. Results are kept under what they depend on, and a setting that nothing reads is not
//! taken in silence: both follow from this list.

use super::Defense;
use crate::sleep::{Distillation, Settings, SleepDefense};
use crate::snn::Statistics;
use serde_json::Value;
use std::collections::BTreeMap;

/// The settings of a training with their values: of a defense, or of the control (none). Nothing else in `settings`
/// makes a difference to it, but the control that a defense starts from.
pub fn settings_read(defense: Option<Defense>, settings: &Settings) -> BTreeMap<String, Value> {
    let all = settings.list().into_iter();
    all.filter(|(name, _)| reads(defense, settings, name)).collect()
}

/// Whether a training reads the setting of this dotted name. What is part of one that is read counts as read; what
/// matters may depend on others, as the teacher's epochs do on whose distillation it is.
pub fn reads(defense: Option<Defense>, settings: &Settings, name: &str) -> bool {
    let s = settings;
    let under = |part: &&str| {
        name.strip_prefix(*part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let any = |parts: &[&str]| parts.iter().any(under);
    // Recalibration goes over the images in batches of the fast-wave sleep's size.
    let recalibrates = s.conversion == Statistics::Recalibrate && any(&["fast_wave.batch_size"]);
    let converts = any(&["conversion"]) || recalibrates;
    any(&["seed"])
        || match defense {
            None => any(&["control"]) && name != "control.seed",
            Some(Defense::AdversarialTraining) => any(&["adversarial_training"]),
            Some(Defense::Distillation) => {
                // The published teacher is never trained.
                let untrained = s.distillation.method == Distillation::Published;
                any(&["distillation"]) && !(untrained && name == "distillation.teacher_epochs")
            }
            Some(Defense::Sleep) => {
                let own = match s.sleep.method {
                    SleepDefense::AsRun => any(&["sleep.steps", "sleep.passes", "slow_wave"]),
                    SleepDefense::Tadros => any(&["sleep.replay"]) && name != "sleep.replay.seed",
                };
                any(&["sleep.method"]) || own || converts
            }
            Some(Defense::SlowWave) => any(&["slow_wave"]) || converts,
            Some(Defense::FastWave) => any(&["fast_wave"]) || converts,
            Some(Defense::DeepSleep) => any(&["cycles", "slow_wave", "fast_wave"]) || converts,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sleep::Profile;

    #[test]
    fn every_setting_has_a_reader_in_some_profile() {
        let defenses = || std::iter::once(None).chain(Defense::ALL.map(Some));
        let profiles = [Profile::Published, Profile::Paper, Profile::Standard].map(Settings::new);
        let unread: Vec<String> = profiles[0]
            .list()
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !profiles.iter().any(|s| defenses().any(|d| reads(d, s, name))))
            .collect();
        // Seeds of parts follow `seed`; the profile is where the others come from.
        assert_eq!(unread, ["control.seed", "profile", "sleep.replay.seed"]);
    }

    #[test]
    fn names_are_compared_part_by_part() {
        let settings = Settings::new(Profile::Published);
        let reads = |defense, name| reads(Some(defense), &settings, name);
        assert!(reads(Defense::FastWave, "fast_wave.dream.eps"));
        assert!(reads(Defense::FastWave, "fast_wave") && reads(Defense::FastWave, "seed"));
        assert!(!reads(Defense::FastWave, "fast_wavelet") && !reads(Defense::FastWave, "cycles"));
        assert!(!reads(Defense::Distillation, "distillation.teacher_epochs"));
        assert!(!reads(Defense::DeepSleep, "control.epochs"));
    }
}
