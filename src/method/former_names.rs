//! Former names of settings. Sheets, checkpoints, results and stores of older versions are still read.

#[cfg(feature = "experiment")]
use crate::checkpoint::flatten;
#[cfg(feature = "experiment")]
use crate::wording::to_json;
#[cfg(feature = "experiment")]
use serde::Serialize;
use serde_json::Value;
#[cfg(feature = "experiment")]
use serde_json::json;
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

/// Settings of a group: each name with a value as JSON.
type Defaults = &'static [(&'static str, &'static str)];

/// Settings that joined a group after results had been stored, each with the value that does what was done before. Files that
/// do not have them are read as if they had this value, and keys leave them out where they have it.
const ADDED: &[(&str, Defaults)] = &[
    ("control", RECIPE),
    ("fast_wave", RECIPE),
    ("fast_wave", RULE),
    ("adversarial_training", RECIPE),
    ("adversarial_training", RULE),
    ("adversarial_training", SCHEDULE),
    (
        "adversarial_training",
        &[
            ("eps_ramp", "0.0"),
            ("start", r#""uniform""#),
            ("loss", r#""ce""#),
            ("average", "0.0"),
            ("weight_perturbation", "0.0"),
            ("spiking", "false"),
        ],
    ),
    ("distillation", RECIPE),
    ("distillation", RULE),
    ("distillation", SCHEDULE),
];

/// What joined every [`Recipe`](crate::nn::Recipe), and what joined those of defenses.
const RECIPE: Defaults = &[
    ("warm_up", "0.0"),
    ("label_smoothing", "0.0"),
    ("augmentation", r#"{"shift": 0, "flip": false}"#),
];
const RULE: Defaults = &[("rule", r#"{"sgd": {"momentum": 0.0, "weight_decay": 0.0}}"#)];
const SCHEDULE: Defaults = &[("schedule", r#""constant""#)];

/// The added settings, each with its group, its name in it and its former value.
fn each(
    added: &'static [(&str, Defaults)],
) -> impl Iterator<Item = (&'static str, &'static str, Value)> {
    let all = added.iter().flat_map(|&(group, settings)| {
        settings.iter().map(move |&(name, value)| (group, name, value))
    });
    all.filter_map(|(group, name, value)| Some((group, name, serde_json::from_str(value).ok()?)))
}

/// Gives the added settings that a file does not have their former values.
fn add(added: &'static [(&str, Defaults)], settings: &mut Value) {
    for (group, name, before) in each(added) {
        if let Some(fields) = group_mut(settings, group) {
            fields.entry(name).or_insert(before);
        }
    }
}

/// Brings settings of a file to those of today: former names, which are noted in the log, and what it does not have yet.
pub(super) fn update(settings: &mut Value) {
    add(ADDED, settings);
    let mut notes = Vec::new();
    for (group, old, new) in RENAMED {
        let Some(fields) = group_mut(settings, group) else { continue };
        // If a file has both, the former one is an unknown name.
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
    is_as_before_among(ADDED, name, value)
}

#[cfg(feature = "experiment")]
fn is_as_before_among(added: &'static [(&str, Defaults)], name: &str, value: &Value) -> bool {
    each(added).any(|(group, added, before)| {
        let own = name.strip_prefix(group).and_then(|rest| rest.strip_prefix('.'));
        let part = own.and_then(|own| own.strip_prefix(added));
        part.is_some_and(|part| {
            flatten(&before).iter().any(|(name, before)| {
                let is_same = if name.is_empty() {
                    part.is_empty()
                } else {
                    part.strip_prefix('.') == Some(name)
                };
                is_same && before == value
            })
        })
    })
}

/// A group of settings for a key of the store: by the names in keys, without what is as before.
#[cfg(feature = "experiment")]
pub fn group_in_keys(group: &str, settings: &impl Serialize) -> Value {
    group_among(ADDED, group, settings)
}

#[cfg(feature = "experiment")]
fn group_among(
    added: &'static [(&str, Defaults)],
    group: &str,
    settings: &impl Serialize,
) -> Value {
    // Keys have numbers of 32 bits widened; what is as before is told by the numbers that are meant.
    fields_among(added, group, json!(settings), &to_json(settings).unwrap_or_default())
}

#[cfg(feature = "experiment")]
fn fields_among(
    added: &'static [(&str, Defaults)],
    group: &str,
    value: Value,
    meant: &Value,
) -> Value {
    let Value::Object(fields) = value else { return value };
    let kept = fields.into_iter().filter_map(|(field, value)| {
        let name = format!("{group}.{field}");
        let meant = &meant[&field];
        let is_before = |(part, value): &(String, Value)| {
            let dot = if part.is_empty() { "" } else { "." };
            is_as_before_among(added, &format!("{name}{dot}{part}"), value)
        };
        if flatten(meant).iter().all(is_before) {
            return None;
        }
        let value = fields_among(added, &name, value, meant);
        Some((key_name(name).split_off(group.len() + 1), value))
    });
    Value::Object(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{Profile, Settings};
    use serde_json::json;

    /// Settings of today that could have joined their groups later: among slow-wave sleep's, as that has a key of its own.
    const LATER: &[(&str, Defaults)] = &[
        ("slow_wave", &[("rescale", "false"), ("layers", r#""published""#)]),
        ("slow_wave.pair", &[("neuron", r#"{"tau": 20.0, "threshold": 1.0}"#)]),
        ("fast_wave.spiking", &[("encoder", r#""direct""#)]),
    ];

    #[test]
    fn a_setting_may_join_any_group() {
        let mut settings = Settings::new(Profile::Published);
        let mut old = serde_json::to_value(&settings).expect("JSON");
        for (group, name, _) in each(LATER).filter(|(_, name, _)| *name != "neuron") {
            assert!(group_mut(&mut old, group).expect("a group").remove(name).is_some());
        }
        assert!(serde_json::from_value::<Settings>(old.clone()).is_err());
        add(LATER, &mut old);
        assert_eq!(serde_json::from_value::<Settings>(old).expect("filled up"), settings);

        let slow_wave = |settings: &Settings| group_among(LATER, "slow_wave", &settings.slow_wave);
        let before = slow_wave(&settings);
        assert!(before.get("rescale").is_none() && before.get("layers").is_none());
        // Of a part, only what it had; numbers may be widened.
        let neuron = before["pair"]["neuron"].as_object().expect("a neuron");
        assert!(!neuron.contains_key("tau") && neuron.contains_key("rest"));
        assert!(is_as_before_among(LATER, "fast_wave.spiking.encoder", &json!("direct")));
        // How a network spikes is part of the keys of what measures it as a spiking one.
        let spiking = json!(settings.fast_wave.spiking);
        let kept = group_among(LATER, "fast_wave.spiking", &settings.fast_wave.spiking);
        let fields = |value: &Value| value.as_object().map(|fields| fields.len());
        assert_eq!(fields(&kept).map(|count| count + 1), fields(&spiking));
        assert!(kept.get("encoder").is_none());
        for (name, value) in [
            ("slow_wave.rescale", "true"),
            ("slow_wave.layers", "all"),
            ("slow_wave.pair.neuron.tau", "30"),
            ("fast_wave.spiking.encoder", "poisson:rate=1"),
        ] {
            settings.set(name, value).expect("a setting");
            let value = settings.value(name).expect("a setting");
            assert!(flatten(&value).iter().all(|(part, value)| {
                let name = if part.is_empty() { name.into() } else { format!("{name}.{part}") };
                !is_as_before_among(LATER, &name, value)
            }));
        }
        let after = slow_wave(&settings);
        assert_eq!((&after["rescale"], &after["layers"]), (&json!(true), &json!("all")));
        assert_eq!(after["pair"]["neuron"]["tau"], json!(30.0));
    }

    #[test]
    fn a_whole_part_that_is_as_before_leaves_nothing_in_a_key() {
        const ALL: &[(&str, Defaults)] = &[(
            "fast_wave.dream",
            &[
                ("attack", r#""fgsm""#),
                ("eps", "0.5019608"),
                ("ratio", "0.5"),
                ("source", r#""hybrid""#),
            ],
        )];
        let settings = Settings::new(Profile::Published);
        let kept = group_among(ALL, "fast_wave", &settings.fast_wave);
        assert!(kept.get("dream").is_none() && kept.get("spiking").is_some());
    }

    /// What a version wrote before any of these settings was added: a new one has to be in `ADDED`, or this file and all like it
    /// are refused.
    #[test]
    fn the_settings_of_the_first_files_are_read() {
        let first = include_str!("../../tests/golden/first_settings.json");
        let read: Settings = serde_json::from_str(first).expect("older settings");
        assert_eq!(read, Settings::new(Profile::Published));
        let all: usize = ADDED.iter().map(|(_, added)| added.len()).sum();
        assert_eq!(each(ADDED).count(), all, "JSON");
    }

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
        let settings = Settings::new(Profile::Published);
        let slow_wave = group_in_keys("slow_wave", &settings.slow_wave);
        assert_eq!(slow_wave["ratio"], json!(settings.slow_wave.decrease_ratio));
        assert_eq!(slow_wave["pair"]["tau-pre"], json!(settings.slow_wave.pair.tau_pre));
        let fields = |value: &Value| value.as_object().map(|fields| fields.len());
        assert_eq!(fields(&slow_wave), fields(&json!(settings.slow_wave)));
    }
}
