//! The settings and results of a training, as notes in its files and as the printed result.

use super::watch::TimedPoint;
use crate::console::Console;
use crate::numbers::percent;
use crate::stderr::shown;
use anyhow::{Result, anyhow};
use deepsleep::checkpoint::{MadeWith, StateDict};
use deepsleep::data::{DataIdentity, Dataset, ImageSet};
use deepsleep::experiment::NUMERICS;
use deepsleep::method::{HISTORY, TRAINED_SPIKING, Training};
use deepsleep::nn::architecture::Architecture;
use deepsleep::nn::{Origin, TrainingOptions};
use deepsleep::snn::SpikingOptions;
use deepsleep::tensor::Context;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// The note of what a network was trained from: a fingerprint of that file.
pub const FROM: &str = "from";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// On which images a network is trained, and by which engine.
#[derive(Clone, Debug, Serialize)]
pub struct TrainedOn {
    pub dataset: String,
    pub train_images: usize,
    pub numerics: u32,
    #[serde(flatten)]
    pub origin: Origin,
}

impl TrainedOn {
    /// Hashes of the training images that are used, and of all test images.
    pub fn new(
        architecture: &Architecture,
        dataset: &str,
        train: &Dataset,
        test: &Dataset,
    ) -> Self {
        let (train, test) = (ImageSet::of(train), ImageSet::of(test));
        Self {
            dataset: dataset.to_owned(),
            train_images: train.images,
            numerics: NUMERICS,
            origin: Origin::new(
                architecture,
                DataIdentity { name: dataset.to_owned(), train, test },
            ),
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
        let number = |name: &str| state.noted::<u64>(name);
        let theirs = MadeWith::default()
            .and_if("version", state.noted::<String>("version"))
            .and_if("numerics", number("numerics"))
            .and_if("--data", state.noted::<String>("dataset"))
            .and_if("--limit-train", number("train_images"));
        let ours = MadeWith::default()
            .and("version", VERSION)
            .and("numerics", self.numerics)
            .and("--data", &self.dataset)
            .and("--limit-train", self.train_images);
        let mut all = theirs.differences(&ours);
        if all.is_empty() {
            // The name and the number are the same: what is left are other files of that name.
            all.extend(self.origin.differences(state));
        }
        all
    }
}

/// Everything that the bits of the result depend on.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedSettings {
    pub defense: Training,
    #[serde(flatten)]
    pub source: TrainedOn,
    /// The network that it started from, by its file's SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    pub options: TrainingOptions,
    /// How the network spikes that was trained; None of one with ReLUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiking: Option<SpikingOptions>,
}

impl RecordedSettings {
    /// Writes them beside the arrays.
    pub fn note_in(&self, state: &mut StateDict) {
        self.source.note_in(state);
        state.note("defense", self.defense);
        state.note("training.options", &self.options);
        if let Some(spiking) = &self.spiking {
            state.note(TRAINED_SPIKING, spiking);
        }
        if let Some(from) = &self.from {
            state.note(FROM, from);
        }
    }

    /// How the settings of a file differ from these, in words; empty if they do not.
    pub fn differences(&self, state: &StateDict) -> Vec<String> {
        let mut all = self.source.differences(state);
        let theirs = state.noted::<TrainingOptions>("training.options");
        let theirs = made_with(state.noted("defense"), theirs.as_ref());
        let ours = made_with(Some(self.defense), Some(&self.options));
        all.extend(theirs.differences(&ours));
        // Of what `--model-kind snn` and its settings say.
        if state.noted::<SpikingOptions>(TRAINED_SPIKING) != self.spiking {
            all.push("how the network spikes".to_owned());
        }
        let from = |from: Option<String>| MadeWith::default().and_if("--from", from);
        all.extend(from(state.noted(FROM)).differences(&from(self.from.clone())));
        all
    }
}

fn made_with(defense: Option<Training>, options: Option<&TrainingOptions>) -> MadeWith {
    let made_with = MadeWith::default().and_if("--defense", defense);
    let Some(options) = options else { return made_with };
    let TrainingOptions {
        batch_size,
        learning_rate,
        schedule,
        warm_up,
        rule,
        label_smoothing,
        temperature,
        seed,
        augmentation,
        // A training may be continued for more epochs; the rest is for defenses, which compare all of their settings.
        ..
    } = options;
    made_with
        .and("--batch-size", batch_size)
        .and("--lr", learning_rate)
        .and("--schedule", schedule)
        .and("--warm-up", warm_up)
        .and("--rule", rule)
        .and("--label-smoothing", label_smoothing)
        .and("control.temperature", temperature)
        .and("--seed", seed)
        .and("--augment-shift", augmentation.shift)
        .and("--augment-flip", augmentation.flip)
}

/// The result that is printed.
#[derive(Serialize)]
pub struct TrainingSummary<'a, R> {
    model: &'a Path,
    clean_accuracy: f64,
    version: &'static str,
    /// How it was trained.
    #[serde(flatten)]
    record: &'a R,
    /// With times, unless the network was finished before this run.
    history: serde_json::Value,
    /// Of this run.
    #[serde(flatten)]
    run: Option<RunCost>,
}

/// What a run took.
#[derive(Serialize)]
struct RunCost {
    seconds: f64,
    threads: usize,
    isa: &'static str,
}

impl RunCost {
    fn of(context: &Context, time: Duration) -> Self {
        let (threads, isa) = (context.threads(), context.isa().name());
        Self { seconds: time.as_secs_f64(), threads, isa }
    }
}

impl<'a, R: Serialize> TrainingSummary<'a, R> {
    /// Of a training that this process did, with the accuracy of what it is trained as.
    pub fn of_run(
        record: &'a R,
        (model, clean_accuracy): (&'a Path, f64),
        history: Vec<TimedPoint<'_>>,
        context: &Context,
        time: Duration,
    ) -> Result<Self> {
        let run = Some(RunCost::of(context, time));
        let history = serde_json::to_value(history)?;
        Ok(Self { model, clean_accuracy, version: VERSION, record, history, run })
    }

    /// Of a network that was there already.
    pub fn of_finished(record: &'a R, model: &'a Path, state: &StateDict) -> Result<Self> {
        let missing = || anyhow!("{}: no note of its accuracy", model.display());
        let clean_accuracy = state.noted("clean_accuracy").ok_or_else(missing)?;
        let history = state.noted(HISTORY).unwrap_or_default();
        Ok(Self { model, clean_accuracy, version: VERSION, record, history, run: None })
    }

    pub fn print(&self, console: Console) -> Result<()> {
        let (model, accuracy) = (shown(self.model), percent(self.clean_accuracy, 1.0));
        console.result(self, format_args!("{model}: test accuracy {accuracy}"))
    }
}
