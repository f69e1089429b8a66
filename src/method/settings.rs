//! Every choice of the method as a named setting; a [`Profile`] is a set of values for them (docs/method.md, section 9).

use super::{
    AdversarialTrainingOptions, ControlOptions, DistillationOptions, Profile, SleepDefenseOptions,
    former_names, setting_forms,
};
use crate::checkpoint::flatten;
use crate::sleep::{
    DreamSource, FastWaveOptions, Layers, LucidOptions, Plasticity, SlowWaveOptions,
};
use crate::snn::{Encoder, Statistics};
use crate::wording::{fraction, meant, short_form, to_json};
use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

/// What a count can be at most.
const MOST: u64 = 1_000_000;

/// Every choice of the method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
#[non_exhaustive]
pub struct Settings {
    /// The profile that the values come from.
    pub profile: Profile,
    /// Training of the undefended control.
    pub control: ControlOptions,
    /// Slow-wave sleep.
    pub slow_wave: SlowWaveOptions,
    /// Fast-wave sleep.
    pub fast_wave: FastWaveOptions,
    /// Sleep cycles: slow-wave, then fast-wave.
    pub cycles: usize,
    /// Running statistics of the network rebuilt at the end.
    pub conversion: Statistics,
    /// Adversarial training.
    pub adversarial_training: AdversarialTrainingOptions,
    /// Defensive distillation.
    pub distillation: DistillationOptions,
    /// Sleep Defense.
    pub sleep: SleepDefenseOptions,
    /// The slow waves of lucid sleep.
    #[serde(default)]
    pub lucid: LucidOptions,
    /// The seed of everything random.
    pub seed: u64,
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// Files of older versions are read too: see `former_names`.
impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        former_names::update(&mut value);
        Self::deserialize(value).map_err(serde::de::Error::custom)
    }
}

impl Settings {
    /// The values of a profile.
    pub fn new(profile: Profile) -> Self {
        let mut settings = Self {
            profile,
            control: ControlOptions::default(),
            slow_wave: SlowWaveOptions::default(),
            fast_wave: FastWaveOptions::default(),
            cycles: 1,
            conversion: Statistics::Reset,
            adversarial_training: AdversarialTrainingOptions::new(profile),
            distillation: DistillationOptions::new(profile),
            sleep: SleepDefenseOptions::new(profile),
            lucid: LucidOptions::default(),
            seed: 0,
        };
        if profile != Profile::Published {
            settings.conversion = Statistics::Carry;
            settings.fast_wave.statistics = Statistics::Carry;
            settings.slow_wave.layers = Layers::All;
        }
        match profile {
            Profile::Published => {}
            Profile::Paper => {
                settings.slow_wave.plasticity = Plasticity::Pair;
                settings.fast_wave.dream.source = DreamSource::Control;
                settings.fast_wave.spiking.encoder = Encoder::Poisson { rate: 1.0 };
            }
            Profile::Standard | Profile::Lucid => {
                // Seed 0: 89.2 % clean with dreams of 128/255 (at 127.5/255 every image can be gray) and carried
                // statistics, 97.7 % so.
                settings.slow_wave.rescale = true;
                settings.fast_wave.dream.source = DreamSource::Live;
                settings.fast_wave.dream.eps = 32.0 / 255.0;
                settings.conversion = Statistics::Recalibrate;
            }
        }
        settings
    }

    /// Sets one value by its dotted name, e.g. `fast_wave.dream.eps` to `64/255`. Values are numbers, fractions of
    /// numbers, `true` or `false`, names, names with options as in `triangle:peak=0.3`, or JSON.
    ///
    /// # Errors
    /// If there is no such setting (the nearest name is suggested), it does not take such a value, or nothing would read
    /// it: the profile is where all values come from.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let fail = |problem: String| Error::argument("setting", problem);
        if name == "profile" {
            let problem =
                "`profile` names where all values come from: choose it by itself, then change some";
            return Err(fail(problem.into()));
        }
        if former_names::REMOVED.contains(&name) {
            return Err(fail(format!("`{name}` follows from `seed`; set that")));
        }
        let name = &*former_names::name(name);
        let mut all = to_json(self).map_err(|e| fail(e.to_string()))?;
        let Some(place) = place_in(&mut all, name) else {
            let names = self.names();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let meant = meant(name, &names);
            return Err(fail(format!("there is no `{name}`{meant}")));
        };
        let parsed = parse(value);
        let now = std::mem::replace(place, parsed.clone());
        let refuse = |why: String| fail(format!("`{name}` does not take `{value}`: {why}"));
        // The name alone stands for a form whose options have defaults.
        let named = parsed.as_str().map(|form| json!({ form: {} }));
        let read = serde_json::from_value::<Self>(all.clone());
        let read = read.or_else(|error| match named {
            None => Err(error),
            Some(form) => {
                if let Some(place) = place_in(&mut all, name) {
                    *place = form;
                }
                serde_json::from_value(all).map_err(|_| error)
            }
        });
        let new = read.map_err(|error| refuse(setting_forms::takes(name, &now, &error)))?;
        // JSON knows no infinity, and a number can be too large for 32 bits.
        let written = to_json(&new).and_then(serde_json::from_value::<Self>);
        if written.ok().as_ref() != Some(&new) {
            return Err(refuse("it is too large".into()));
        }
        new.check_counts()?;
        *self = new;
        Ok(())
    }

    /// Refuses counts beyond any use, which would ask for more memory or time than there is.
    ///
    /// # Errors
    /// If one, other than the seed, is more than a million; it is named.
    pub(super) fn check_counts(&self) -> Result<()> {
        let large = |(name, value): &(String, Value)| {
            name != "seed" && value.as_u64().is_some_and(|count| count > MOST)
        };
        match self.list().into_iter().find(large) {
            None => Ok(()),
            Some((name, value)) => {
                let problem = format!("`{name}` is {value}; it can be {MOST} at most");
                Err(Error::argument("setting", problem))
            }
        }
    }

    /// The dotted names of all settings with their values.
    pub fn list(&self) -> Vec<(String, Value)> {
        to_json(self).map_or_else(|_| Vec::new(), |all| flatten(&all))
    }

    /// The value of the setting or group of this name.
    pub fn value(&self, name: &str) -> Option<Value> {
        let mut all = to_json(self).ok()?;
        place_in(&mut all, name).map(Value::take)
    }

    /// The dotted names of all settings with their values as people write them ([`written`](crate::wording::written)):
    /// [`set`](Self::set) takes them back, to the same bits.
    pub fn written(&self) -> Vec<(String, String)> {
        let mut written: Vec<(String, String)> = Vec::new();
        for (name, value) in self.list() {
            // A form with options is one value: `sgd:momentum=0.9`.
            let Some(form) = setting_forms::with_options(&name) else {
                written.push((name, short_form::plain(&value)));
                continue;
            };
            if written.last().is_none_or(|(last, _)| last != form) {
                let value = self.value(form).unwrap_or_default();
                let short = Value::from(short_form::of(&value)).to_string();
                written.push((form.to_owned(), short));
            }
        }
        written
    }

    /// The names of all settings, and of the groups that they are in.
    fn names(&self) -> Vec<String> {
        let all = self.list().into_iter().map(|(name, _)| name);
        let mut names: Vec<String> = all
            .flat_map(|name| {
                let dots = name.match_indices('.').map(|(at, _)| name[..at].to_owned());
                let groups: Vec<String> = dots.collect();
                groups.into_iter().chain([name])
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Whether a dotted name is this one, or that of a part of this group.
pub fn is_within(name: &str, group: &str) -> bool {
    name.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The place of a dotted name.
fn place_in<'a>(all: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    name.split('.').try_fold(all, |place, part| place.as_object_mut()?.get_mut(part))
}

/// A fraction, else JSON, else a form with options, else a name.
fn parse(text: &str) -> Value {
    let name = || short_form::read(text, |option| scalar(option).unwrap_or_else(|| option.into()));
    scalar(text).or_else(name).unwrap_or_else(|| Value::from(text))
}

/// A fraction, else JSON; there is one zero.
fn scalar(text: &str) -> Option<Value> {
    let value = fraction(text).map(Value::from).or_else(|| serde_json::from_str(text).ok())?;
    let zero = value.is_f64() && value.as_f64() == Some(0.0);
    Some(if zero { Value::from(0.0) } else { value })
}
