//! `train`: from a data set to a network on disk, an epoch at a time.

mod defend;
mod files;
mod record;

use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::interrupt::Leftover;
use crate::numbers::{at_least, between, positive};
use crate::output::Outputs;
use anyhow::Result;
use clap::{Args, ValueEnum};
use deepsleep::data::Dataset;
use deepsleep::nn::{Augmentation, Freeze, LeNet, Network, Trainer, TrainingOptions, accuracy};
use files::Files;
use record::{Epoch, Outcome, Settings, Source, TimedEpoch};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;

#[derive(Debug, Args)]
pub struct Train {
    /// Defence to train with
    #[arg(long, value_enum, default_value_t = Defense::None, ignore_case = true)]
    defense: Defense,
    /// Passes of the control over the training images [default: 10]
    #[arg(long, value_name = "N", value_parser = between::<1, 1_000_000>)]
    epochs: Option<usize>,
    /// Images of the control's steps; a last, smaller batch is dropped [default: 128]
    #[arg(long, value_name = "N", value_parser = at_least::<2>)]
    batch_size: Option<usize>,
    /// Learning rate of the control [default: 0.1]
    #[arg(long, value_name = "RATE", value_parser = positive)]
    lr: Option<f32>,
    /// Move the control's training images by up to N pixels along each axis, anew in every epoch [default: 0]
    #[arg(long, value_name = "N")]
    augment_shift: Option<usize>,
    /// Mirror half of the control's training images, left to right, anew in every epoch
    #[arg(long)]
    augment_flip: bool,
    /// Control that a defence starts from
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Values that a defence's settings start from: published, paper or standard [default: published]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// One setting of a defence, e.g. fast_wave.dream.eps=64/255; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Print every setting of the defences with its value, and do nothing else
    #[arg(long, conflicts_with_all = [
        "defense", "epochs", "batch_size", "lr", "augment_shift", "augment_flip", "from", "limit_train", "data", "dataset", "data_dir", "out", "resume",
    ])]
    print_config: bool,
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
    /// Training on adversarial examples
    AdversarialTraining,
    /// Defensive distillation
    Distillation,
    /// Sleep Defense
    Sleep,
    /// Slow-wave sleep alone
    SlowWave,
    /// Fast-wave sleep alone
    FastWave,
    /// Cycles of slow-wave and fast-wave sleep
    #[value(name = "deepsleep")]
    #[serde(rename = "deepsleep")]
    DeepSleep,
}

impl Defense {
    /// The library's name for it; none for the control.
    fn of_library(self) -> Option<deepsleep::defense::Defense> {
        use deepsleep::defense::Defense as Library;
        Some(match self {
            Self::None => return None,
            Self::AdversarialTraining => Library::AdversarialTraining,
            Self::Distillation => Library::Distillation,
            Self::Sleep => Library::Sleep,
            Self::SlowWave => Library::SlowWave,
            Self::FastWave => Library::FastWave,
            Self::DeepSleep => Library::DeepSleep,
        })
    }
}

impl Train {
    /// What is left of it when it is interrupted.
    pub fn leftover(&self) -> Leftover {
        Leftover::beside(&self.out)
    }

    pub fn computes_nothing(&self) -> bool {
        self.print_config
    }

    pub fn run(&self, common: &Common) -> Result<()> {
        if self.print_config {
            return defend::print_config(&defend::settings(self, None)?, common);
        }
        match self.defense.of_library() {
            Some(defense) => defend::run(self, defense, common),
            None => {
                self.refuse_options_of_defenses()?;
                self.control(common)
            }
        }
    }

    /// What is written, beside what is read.
    fn files(&self, common: &Common) -> Result<Files> {
        let mut read = self.data.files();
        read.extend(self.from.clone().map(|path| ("--from", path)));
        Files::new(Outputs::new(common.console(), read), &self.out)
    }

    /// The training images that `--limit-train` leaves, and the test images.
    fn images(&self) -> Result<(Dataset, Dataset)> {
        let (images, test) = self.data.load_both()?;
        match self.limit_train {
            Some(limit) if limit > images.len() => {
                let all = images.len();
                let problem = format!("--limit-train {limit}: there are {all} training images");
                Err(WrongUse(problem).into())
            }
            Some(limit) => Ok((images.slice(0, limit)?, test)),
            None => Ok((images, test)),
        }
    }

    fn refuse_options_of_defenses(&self) -> Result<()> {
        for (option, given) in [
            ("--from", self.from.is_some()),
            ("--set", !self.set.is_empty()),
            ("--profile", self.profile.is_some()),
        ] {
            if given {
                let problem = format!("{option} is for defences; --defense names one");
                return Err(WrongUse(problem).into());
            }
        }
        Ok(())
    }

    fn control(&self, common: &Common) -> Result<()> {
        let start = Instant::now();
        let console = common.console();
        let files = self.files(common)?;
        let context = common.context()?;
        let mut network = LeNet::new(self.seed);
        let mut trainer = Trainer::new(&network, self.options())?;
        let (images, test) = self.images()?;
        let TrainingOptions { epochs, batch_size, .. } = self.options();
        if images.len() < batch_size {
            let (images, size) = (images.len(), batch_size);
            let problem = format!("--batch-size {size}: there are only {images} training images");
            return Err(WrongUse(problem).into());
        }
        let settings = Settings {
            defense: self.defense,
            source: Source::new(&self.data.name(), &images, &test),
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
            settings.source.train_images,
            settings.source.dataset,
            context.threads(),
            context.isa().name()
        ));

        let per_epoch = images.len() / batch_size * batch_size;
        let mut progress =
            console.progress((epochs - trainer.epochs_done()).saturating_mul(per_epoch));
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
        let default = TrainingOptions::default();
        TrainingOptions {
            epochs: self.epochs.unwrap_or(default.epochs),
            batch_size: self.batch_size.unwrap_or(default.batch_size),
            learning_rate: self.lr.unwrap_or(default.learning_rate),
            seed: self.seed,
            augmentation: Augmentation {
                shift: self.augment_shift.unwrap_or(0),
                flip: self.augment_flip,
            },
            ..default
        }
    }
}
