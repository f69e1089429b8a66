//! Every choice of the method as a named setting; a profile is nothing but a set of values for them (METHOD section 9).

use super::{
    DreamAttack, DreamSource, FastWaveOptions, Layers, Plasticity, ReplayOptions, SlowWaveOptions,
};
use crate::checkpoint::to_json;
use crate::names::meant;
use crate::nn::TrainingOptions;
use crate::snn::{Encoder, Statistics};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::str::FromStr;

/// What a count can be at most.
const MOST: u64 = 1_000_000;

/// A named set of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// What the published code computes, quirks included.
    Published,
    /// What the paper's text says.
    Paper,
    /// The same pipeline with the defects mended.
    Standard,
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "published" => Ok(Self::Published),
            "paper" => Ok(Self::Paper),
            "standard" => Ok(Self::Standard),
            _ => Err(Error::argument(
                "profile",
                format!(
                    "unknown profile `{name}`{}; there are published, paper and standard",
                    meant(name, &["published", "paper", "standard"])
                ),
            )),
        }
    }
}

/// Adversarial training (METHOD section 7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversarialTrainingOptions {
    /// Passes over the data.
    pub epochs: usize,
    /// Images a step.
    pub batch_size: usize,
    /// Learning rate of plain SGD.
    pub learning_rate: f32,
    /// How the examples are made, on the current model.
    pub attack: DreamAttack,
    /// Their strength, of a pixel range of 1.
    pub eps: f32,
    /// Probability that a batch is adversarial.
    pub ratio: f32,
    /// Whether to start from random weights instead of the control's.
    pub from_scratch: bool,
}

/// Whose distillation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distillation {
    /// Papernot et al. (2016): a trained teacher, softened labels, deployed at temperature 1.
    Papernot,
    /// The published code: the teacher stays as initialised, and the student's loss takes a soft-max of a soft-max.
    Published,
}

/// Defensive distillation (METHOD section 7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillationOptions {
    /// Whose.
    pub method: Distillation,
    /// Temperature of teacher and student.
    pub temperature: f32,
    /// Passes of the teacher over the data.
    pub teacher_epochs: usize,
    /// Passes of the student over the data.
    pub student_epochs: usize,
    /// Images a step.
    pub batch_size: usize,
    /// Learning rate of plain SGD.
    pub learning_rate: f32,
}

/// Whose Sleep Defense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SleepDefense {
    /// As the paper ran it: the slow-wave network at a fixed number of time steps.
    AsRun,
    /// Sleep replay of Tadros et al.
    Tadros,
}

/// Sleep Defense (METHOD section 7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SleepDefenseOptions {
    /// Whose.
    pub method: SleepDefense,
    /// Time steps, as run.
    pub steps: usize,
    /// Passes, as run.
    pub passes: usize,
    /// The numbers of Tadros et al.'s replay.
    pub replay: ReplayOptions,
}

/// Every choice of the method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The profile that the values come from.
    pub profile: Profile,
    /// Training of the undefended control.
    pub control: TrainingOptions,
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
    /// Of everything random.
    pub seed: u64,
}

/// The authors' numbers with a hundredth of both rates of change and 2,000 steps: with the rates themselves, found for
/// 784-1200-1200-10, LeNet forgets what it knows within a few hundred steps.
fn gentle_replay() -> ReplayOptions {
    let authors = ReplayOptions::default();
    ReplayOptions {
        steps: 2000,
        increase: authors.increase / 100.0,
        decrease: authors.decrease / 100.0,
        ..authors
    }
}

impl Settings {
    /// The values of a profile.
    pub fn new(profile: Profile) -> Self {
        let mut settings = Self {
            profile,
            control: TrainingOptions::default(),
            slow_wave: SlowWaveOptions::default(),
            fast_wave: FastWaveOptions::default(),
            cycles: 1,
            conversion: Statistics::Reset,
            adversarial_training: AdversarialTrainingOptions {
                epochs: 24,
                batch_size: 128,
                learning_rate: 0.1,
                attack: DreamAttack::Fgsm,
                eps: 8.0 / 255.0,
                ratio: 0.5,
                from_scratch: false,
            },
            distillation: DistillationOptions {
                method: Distillation::Published,
                temperature: 10.0,
                teacher_epochs: 10,
                student_epochs: 24,
                batch_size: 128,
                learning_rate: 0.1,
            },
            sleep: SleepDefenseOptions {
                method: SleepDefense::AsRun,
                steps: 100,
                passes: 3,
                replay: gentle_replay(),
            },
            seed: 0,
        };
        if profile != Profile::Published {
            settings.conversion = Statistics::Carry;
            settings.fast_wave.statistics = Statistics::Carry;
            settings.slow_wave.layers = Layers::All;
            settings.distillation.method = Distillation::Papernot;
        }
        match profile {
            Profile::Published => {}
            Profile::Paper => {
                settings.slow_wave.plasticity = Plasticity::Pair;
                settings.fast_wave.dream.source = DreamSource::Control;
                settings.fast_wave.spiking.encoder = Encoder::Poisson { rate: 1.0 };
                settings.sleep.method = SleepDefense::Tadros;
            }
            Profile::Standard => {
                // Seed 0: 89.2 % clean with dreams of 128/255 (at 127.5/255 every image can be grey) and carried
                // statistics, 97.7 % so.
                settings.slow_wave.rescale = true;
                settings.fast_wave.dream.source = DreamSource::Live;
                settings.fast_wave.dream.eps = 32.0 / 255.0;
                settings.conversion = Statistics::Recalibrate;
                settings.sleep.method = SleepDefense::Tadros;
                // Full-strength baseline: Madry et al. (2018), every batch, 40 steps of 0.01, eps 0.3.
                let training = &mut settings.adversarial_training;
                training.attack = DreamAttack::Pgd { steps: 40, step: 0.01 };
                training.eps = 0.3;
                training.ratio = 1.0;
            }
        }
        settings
    }

    /// Sets one value by its dotted name, e.g. `fast_wave.dream.eps` to `64/255`. Values are numbers, fractions of
    /// numbers, `true` or `false`, names, or JSON.
    ///
    /// # Errors
    /// If there is no such setting (the nearest name is suggested), or it does not take such a value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let fail = |problem: String| Error::argument("setting", problem);
        let mut all = to_json(self).map_err(|e| fail(e.to_string()))?;
        let mut place = Some(&mut all);
        for part in name.split('.') {
            place = place.and_then(|place| place.as_object_mut()?.get_mut(part));
        }
        let Some(place) = place else {
            let names = self.names();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let meant = meant(name, &names);
            return Err(fail(format!("there is no `{name}`{meant}")));
        };
        let takes = kind(place);
        *place = parse(value);
        let refuse = |why: String| fail(format!("`{name}` does not take `{value}`: {why}"));
        let new: Self = serde_json::from_value(all).map_err(|e| {
            let names = e.to_string();
            // The names of an enumeration; all else that serde says is about Rust's types.
            let names = names
                .split_once("unknown variant")
                .and_then(|(_, rest)| rest.split_once("expected "));
            refuse(names.map_or(takes, |(_, names)| format!("it takes {names}")))
        })?;
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
        let mut out = Vec::new();
        if let Ok(all) = to_json(self) {
            flatten("", &all, &mut out);
        }
        out
    }

    fn names(&self) -> Vec<String> {
        self.list().into_iter().map(|(name, _)| name).collect()
    }
}

/// What a setting takes, from the value that it has.
fn kind(value: &Value) -> String {
    match value {
        Value::Bool(_) => "it takes true or false".into(),
        Value::Number(number) if number.is_f64() => {
            "it takes a number such as 0.5 or 64/255".into()
        }
        Value::Number(_) => "it takes a whole number from 0 on".into(),
        Value::Object(fields) => {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            format!("it is a group of settings: {}", names.join(", "))
        }
        other => format!("it takes a value of another kind, as {other} is"),
    }
}

fn flatten(name: &str, value: &Value, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (field, value) in fields {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(&format!("{name}{dot}{field}"), value, out);
            }
        }
        _ => out.push((name.to_owned(), value.clone())),
    }
}

/// A fraction, else JSON, else a name.
fn parse(text: &str) -> Value {
    let fraction = text.split_once('/').and_then(|(above, below)| {
        let (above, below): (f64, f64) = (above.trim().parse().ok()?, below.trim().parse().ok()?);
        Some(above / below).filter(|fraction| fraction.is_finite())
    });
    if let Some(fraction) = fraction {
        return Value::from(fraction);
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}
