//! Former names of settings. Sheets, checkpoints, results and stores of older versions are still read.

#[cfg(feature = "experiment")]
use super::{AdversarialTrainingOptions, Profile, is_within};
#[cfg(feature = "experiment")]
use crate::checkpoint::flatten;
#[cfg(feature = "experiment")]
use crate::wording::to_json;
use serde_json::Value;
use std::borrow::Cow;

/// Settings that were renamed: group, old name, new name.
const RENAMED: &[(&str, &str, &str)] = &[
    ("lucid", "loss", "decay"),
    ("lucid", "rate", "learning_rate"),
    ("slow_wave", "ratio", "decrease_ratio"),
    ("slow_wave.pair", "tau-pre", "tau_pre"),
    ("slow_wave.pair", "tau-post", "tau_post"),
    ("sleep.replay", "time-step", "time_step"),
    ("sleep.replay", "alpha-scale", "alpha_scale"),
];

/// Settings that nothing read.
pub const REMOVED: &[&str] = &["control.seed", "sleep.replay.seed"];

/// The groups that hold a [`Recipe`](crate::nn::Recipe), each with the parts of it that it did not have in older versions.
#[cfg(feature = "experiment")]
const ADDED: &[(&str, &[&str])] = &[
    ("control", &["warm_up", "label_smoothing", "augmentation"]),
    ("fast_wave", &["warm_up", "label_smoothing", "augmentation", "rule"]),
    (
        "adversarial_training",
        &[
            "warm_up",
            "label_smoothing",
            "augmentation",
            "rule",
            "schedule",
            "eps_ramp",
            "start",
            "loss",
            "average",
            "weight_perturbation",
        ],
    ),
    ("distillation", &["warm_up", "label_smoothing", "augmentation", "rule", "schedule"]),
];

/// Brings settings of a file to their names of today, and notes it in the log.
pub(super) fn update(settings: &mut Value) {
    let mut notes = Vec::new();
    for (group, old, new) in RENAMED {
        let Some(fields) = group_mut(settings, group) else { continue };
        // Whoever writes both gets the error of an unknown name.
        if !fields.contains_key(*new)
            && let Some(value) = fields.remove(*old)
        {
            fields.insert((*new).to_owned(), value);
            notes.push(format!("`{group}.{old}` is `{group}.{new}` today"));
        }
    }
    for name in REMOVED {
        let (group, field) = name.rsplit_once('.').unwrap_or(("", name));
        if group_mut(settings, group).is_some_and(|fields| fields.remove(field).is_some()) {
            notes.push(format!("`{name}` is ignored, it follows from `seed`"));
        }
    }
    if !notes.is_empty() {
        log::info!(target: "note", "a file has settings of an older version: {}", notes.join("; "));
    }
}

fn group_mut<'a>(
    settings: &'a mut Value,
    group: &str,
) -> Option<&'a mut serde_json::Map<String, Value>> {
    group.split('.').try_fold(settings, |place, part| place.get_mut(part))?.as_object_mut()
}

/// The name of today of a setting; a former one is noted in the log.
pub fn name(name: &str) -> Cow<'_, str> {
    let renamed = RENAMED.iter().find(|(group, old, _)| {
        name.strip_prefix(group).and_then(|rest| rest.strip_prefix('.')) == Some(old)
    });
    match renamed {
        None => Cow::Borrowed(name),
        Some((group, _, new)) => {
            log::info!(target: "note", "the setting `{name}` is `{group}.{new}` today");
            Cow::Owned(format!("{group}.{new}"))
        }
    }
}

/// The name of a setting in keys of the store, which older versions understand: what they have computed is still found.
#[cfg(feature = "experiment")]
pub fn key_name(name: String) -> String {
    let renamed = RENAMED.iter().find(|(group, _, new)| {
        name.strip_prefix(group).and_then(|rest| rest.strip_prefix('.')) == Some(new)
    });
    renamed.map_or(name, |(group, old, _)| format!("{group}.{old}"))
}

/// Whether a setting that older versions did not have says what they did: keys leave it out, so that what they have
/// computed is still found.
#[cfg(feature = "experiment")]
pub fn is_as_before(name: &str, value: &Value) -> bool {
    ADDED.iter().any(|(group, added)| {
        let own = name.strip_prefix(group).and_then(|rest| rest.strip_prefix('.'));
        own.filter(|own| added.iter().any(|part| is_within(own, part))).is_some_and(|own| {
            // It holds all of a recipe too.
            let before = AdversarialTrainingOptions::new(Profile::Published);
            let before = to_json(&before).unwrap_or_default();
            flatten(&before).iter().any(|(name, before)| name == own && before == value)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{Profile, Settings};
    use serde_json::json;

    #[test]
    fn settings_of_older_files_are_read() {
        let mut settings = Settings::new(Profile::Paper);
        settings.set("slow_wave.pair.tau-pre", "7").expect("its former name");
        settings.set("sleep.replay.time_step", "0.5").expect("its name");
        let mut old = serde_json::to_value(&settings).expect("JSON");
        for (group, before, now) in RENAMED {
            let fields = group_mut(&mut old, group).expect("a group");
            let value = fields.remove(*now).expect("a setting");
            fields.insert((*before).to_owned(), value);
        }
        old["control"]["seed"] = json!(3);
        old["sleep"]["replay"]["seed"] = json!(3);
        let read: Settings = serde_json::from_value(old.clone()).expect("older settings");
        assert_eq!(read, settings);
        old["slow_wave"]["pair"]["tau_pre"] = json!(1.0);
        assert!(serde_json::from_value::<Settings>(old).is_err(), "under both names");
    }

    #[test]
    fn keys_leave_out_what_is_as_before() {
        let settings = Settings::new(Profile::Published);
        let left_out = |settings: &Settings| -> Vec<String> {
            let all = settings.list().into_iter().filter(|(name, value)| is_as_before(name, value));
            all.map(|(name, _)| name).filter(|name| name.starts_with("fast_wave.")).collect()
        };
        let whole = left_out(&settings);
        assert_eq!(
            whole,
            [
                "fast_wave.augmentation.flip",
                "fast_wave.augmentation.shift",
                "fast_wave.label_smoothing",
                "fast_wave.rule.sgd.momentum",
                "fast_wave.rule.sgd.weight_decay",
                "fast_wave.warm_up"
            ]
        );
        let mut changed = settings;
        for (name, value) in [
            ("fast_wave.rule", "adam"),
            ("fast_wave.warm_up", "1"),
            ("fast_wave.augmentation.shift", "2"),
            ("fast_wave.label_smoothing", "0.1"),
        ] {
            changed.set(name, value).expect("a setting");
        }
        assert_eq!(left_out(&changed), ["fast_wave.augmentation.flip"]);
    }

    #[test]
    fn keys_hold_former_names() {
        for (group, old, new) in RENAMED {
            assert_eq!(key_name(format!("{group}.{new}")), format!("{group}.{old}"));
            assert_eq!(name(&format!("{group}.{old}")), format!("{group}.{new}"));
        }
        assert_eq!(key_name("cycles".to_owned()), "cycles");
    }
}
