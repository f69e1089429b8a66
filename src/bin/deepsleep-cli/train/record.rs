//! What a training was told and what came of it: as notes in its files, and as the result that is printed.

use super::Defense;
use crate::console::Console;
use crate::stderr::shown;
use anyhow::{Result, anyhow};
use clap::ValueEnum;
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{DataIdentity, Dataset, ImageSet};
use deepsleep::experiment::NUMERICS;
use deepsleep::nn::{Origin, TrainingOptions};
use deepsleep::tensor::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// On which images a network is trained, and by which engine.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    pub dataset: String,
    pub train_images: usize,
    pub numerics: u32,
    #[serde(flatten)]
    pub origin: Origin,
}

impl Source {
    /// Of the training images that are used, and all test images.
    pub fn new(dataset: &str, train: &Dataset, test: &Dataset) -> Self {
        let (train, test) = (ImageSet::of(train), ImageSet::of(test));
        Self {
            dataset: dataset.to_owned(),
            train_images: train.images,
            numerics: NUMERICS,
            origin: Origin::of_lenet(DataIdentity { name: dataset.to_owned(), train, test }),
        }
    }

    /// Writes it beside the arrays.
    pub fn note_in(&self, state: &mut StateDict) {
        state.note("version", VERSION);
        state.note("numerics", self.numerics);
        state.note("dataset", &self.dataset);
        state.note("train_images", self.train_images);
        self.origin.note_in(state);
    }

    /// How that of a file differs, in words; empty if it does not.
    pub fn differences(&self, state: &StateDict) -> Vec<String> {
        let mut all = Vec::new();
        let mut compare = |what: &str, theirs: Option<String>, ours: String| {
            all.extend(difference(what, theirs, ours));
        };
        compare("version", noted(state, "version"), VERSION.to_owned());
        let number = |name: &str| noted::<u64>(state, name).map(|number| number.to_string());
        compare("numerics", number("numerics"), self.numerics.to_string());
        compare("--dataset", noted(state, "dataset"), self.dataset.clone());
        compare("--limit-train", number("train_images"), self.train_images.to_string());
        if all.is_empty() {
            // The name and the number are the same: what is left are other files of that name.
            all.extend(self.origin.differences(state));
        }
        all
    }
}

/// Everything that the bits of the result depend on.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    pub defense: Defense,
    #[serde(flatten)]
    pub source: Source,
    pub options: TrainingOptions,
}

impl Settings {
    /// Writes them beside the arrays.
    pub fn note_in(&self, state: &mut StateDict) {
        self.source.note_in(state);
        state.note("defense", self.defense);
        state.note("training.options", &self.options);
    }

    /// How the settings of a file differ from these, in words; empty if they do not. The number of epochs is not
    /// looked at: a training may be continued for longer.
    pub fn differences(&self, state: &StateDict) -> Vec<String> {
        let mut all = self.source.differences(state);
        let name = |defense: Defense| {
            defense.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
        };
        let theirs = state.noted::<TrainingOptions>("training.options");
        let theirs = |get: fn(&TrainingOptions) -> String| theirs.as_ref().map(get);
        let mut compare = |option: &str, theirs: Option<String>, ours: String| {
            all.extend(difference(option, theirs, ours));
        };
        compare("--defense", state.noted("defense").map(name), name(self.defense));
        let get = |o: &TrainingOptions| o.batch_size.to_string();
        compare("--batch-size", theirs(get), get(&self.options));
        let get = |o: &TrainingOptions| o.learning_rate.to_string();
        compare("--lr", theirs(get), get(&self.options));
        let get = |o: &TrainingOptions| o.seed.to_string();
        compare("--seed", theirs(get), get(&self.options));
        all
    }
}

/// How a value that a file notes differs from ours.
fn difference(option: &str, theirs: Option<String>, ours: String) -> Option<String> {
    match theirs {
        Some(theirs) if theirs == ours => None,
        Some(theirs) => Some(format!("{option} {theirs}, not {ours}")),
        None => Some(format!("no note of its {option}, not {ours}")),
    }
}

fn noted<T: DeserializeOwned>(state: &StateDict, name: &str) -> Option<T> {
    state.noted(name)
}

/// What came of an epoch: the same on every machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Mean over the training batches.
    pub loss: f32,
    /// On the whole test set, afterwards.
    pub test_accuracy: f64,
}

/// The same, with what this machine needed for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimedEpoch {
    #[serde(flatten)]
    pub result: Epoch,
    pub seconds: f64,
    pub images_per_second: f64,
}

impl TimedEpoch {
    pub fn line(&self, epochs: usize) -> String {
        let Epoch { epoch, loss, test_accuracy } = self.result;
        format!(
            "epoch {epoch}/{epochs}: loss {loss:.4}, test accuracy {:.2} %, {:.1} s, {:.0} images/s",
            100.0 * test_accuracy,
            self.seconds,
            self.images_per_second
        )
    }
}

/// The result that is printed.
#[derive(Serialize)]
pub struct Outcome<'a> {
    model: &'a Path,
    clean_accuracy: f64,
    version: &'static str,
    #[serde(flatten)]
    settings: &'a Settings,
    /// With times, unless the network was finished before this run.
    history: serde_json::Value,
    /// Of this run.
    #[serde(flatten)]
    run: Option<Run>,
}

#[derive(Serialize)]
struct Run {
    seconds: f64,
    threads: usize,
    isa: &'static str,
}

impl<'a> Outcome<'a> {
    /// Of a training that this process did.
    pub fn of_run(
        settings: &'a Settings,
        model: &'a Path,
        history: &[TimedEpoch],
        context: &Context,
        time: Duration,
    ) -> Result<Self> {
        let clean_accuracy = history.last().map_or(0.0, |last| last.result.test_accuracy);
        let (threads, isa) = (context.threads(), context.isa().name());
        let run = Some(Run { seconds: time.as_secs_f64(), threads, isa });
        let history = serde_json::to_value(history)?;
        Ok(Self { model, clean_accuracy, version: VERSION, settings, history, run })
    }

    /// Of a network that was there already.
    pub fn of_finished(settings: &'a Settings, model: &'a Path, state: &StateDict) -> Result<Self> {
        let missing = || anyhow!("{}: no note of its accuracy", model.display());
        let clean_accuracy = state.noted("clean_accuracy").ok_or_else(missing)?;
        let history = state.noted("history").unwrap_or_default();
        Ok(Self { model, clean_accuracy, version: VERSION, settings, history, run: None })
    }

    pub fn print(&self, console: Console) -> Result<()> {
        let (model, percent) = (shown(self.model), 100.0 * self.clean_accuracy);
        console.result(self, format_args!("{model}: test accuracy {percent:.2} %"))
    }
}
