//! `train`: from a data set to a network on disk, an epoch at a time.

mod files;
mod record;

use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::numbers::{at_least, positive};
use anyhow::Result;
use clap::{Args, ValueEnum};
use deepsleep::data::Split;
use deepsleep::nn::{Freeze, LeNet, Network, Trainer, TrainingOptions, accuracy};
use files::Files;
use record::{Epoch, Outcome, Settings, TimedEpoch};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;

#[derive(Debug, Args)]
pub struct Train {
    /// Defence to train with
    #[arg(long, value_enum, default_value_t = Defense::None)]
    defense: Defense,
    /// Passes over the training images
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least::<1>)]
    epochs: usize,
    /// Images a step; a last, smaller batch is dropped
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = at_least::<2>)]
    batch_size: usize,
    /// Learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.1, value_parser = positive)]
    lr: f32,
    /// Seed of the weights and of the order of images
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Use only the first N training images
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    limit_train: Option<usize>,
    #[command(flatten)]
    data: DatasetOptions,
    /// File to save the network to; while training, FILE.checkpoint holds the last finished epoch
    #[arg(long, value_name = "FILE", default_value = "deepsleep-lenet.safetensors")]
    out: PathBuf,
    /// Continue an interrupted training from FILE.checkpoint, to the same bits as an uninterrupted one
    #[arg(long)]
    resume: bool,
}

/// What a network is trained to withstand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defense {
    /// Nothing: the control
    None,
}

impl Train {
    pub fn run(&self, common: &Common) -> Result<()> {
        let start = Instant::now();
        let console = common.console();
        let files = Files::new(&self.out)?;
        let context = common.context()?;
        let mut network = LeNet::new(self.seed);
        let mut trainer = Trainer::new(&network, self.options())?;
        let (images, test) = (self.data.load(Split::Train)?, self.data.load(Split::Test)?);
        let images = match self.limit_train {
            Some(limit) if limit < images.len() => images.slice(0, limit)?,
            _ => images,
        };
        if images.len() < self.batch_size {
            let (images, size) = (images.len(), self.batch_size);
            let problem = format!("--batch-size {size}: there are only {images} training images");
            return Err(WrongUse(problem).into());
        }
        let settings = Settings {
            defense: self.defense,
            dataset: self.data.dataset.to_string(),
            train_images: images.len(),
            options: self.options(),
        };

        let mut history: Vec<TimedEpoch> = Vec::new();
        if self.resume {
            let Some(checkpoint) = files.checkpoint(&settings)? else {
                let model = files.finished(&settings)?;
                console.say(format_args!("{} is finished already", self.out.display()));
                return Outcome::of_finished(&settings, &self.out, &model)?.print(console);
            };
            trainer.resume(&mut network, &checkpoint)?;
            history = checkpoint.noted("history").unwrap_or_default();
            console.say(format_args!("continuing after epoch {}", trainer.epochs_done()));
        } else if files.has_checkpoint() {
            console.say(format_args!(
                "note: {} of an interrupted training will be replaced; --resume would continue it",
                files.checkpoint_path().display()
            ));
        }
        console.say(format_args!(
            "training LeNet on {} images of {}, {} threads, {}",
            settings.train_images,
            settings.dataset,
            context.threads(),
            context.isa().name()
        ));

        let epochs = self.epochs;
        let per_epoch = images.len() / self.batch_size * self.batch_size;
        let mut progress = console.progress((epochs - trainer.epochs_done()) * per_epoch);
        for epoch in trainer.epochs_done() + 1..=epochs {
            let epoch_start = Instant::now();
            let report = trainer.epoch(&context, &mut network, &images, &mut |step| {
                let state = format_args!("epoch {epoch}/{epochs}, loss {:.4}", step.loss);
                progress.advance(step.images, state);
            })?;
            let seconds = epoch_start.elapsed().as_secs_f64();
            let test_accuracy = accuracy(&context, &network.freeze()?, &test)?;
            let timed = TimedEpoch {
                result: Epoch { epoch, loss: report.loss, test_accuracy },
                seconds,
                images_per_second: per_epoch as f64 / seconds,
            };
            progress.say(format_args!("{}", timed.line(epochs)));
            history.push(timed);
            let mut checkpoint = trainer.checkpoint(&network)?;
            settings.note_in(&mut checkpoint);
            checkpoint.note("history", &history);
            files.save_checkpoint(&checkpoint)?;
        }
        drop(progress);

        let mut model = network.state();
        settings.note_in(&mut model);
        // Without times, threads and instruction set: equal trainings give equal bytes on every machine.
        model.note("history", history.iter().map(|timed| &timed.result).collect::<Vec<_>>());
        model.note("clean_accuracy", history.last().map(|timed| timed.result.test_accuracy));
        files.save_model(&model)?;
        Outcome::of_run(&settings, &self.out, &history, &context, start.elapsed())?.print(console)
    }

    fn options(&self) -> TrainingOptions {
        TrainingOptions {
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.lr,
            seed: self.seed,
            ..TrainingOptions::default()
        }
    }
}
