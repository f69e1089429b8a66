//! `train`: from a data set to a network on disk, a pass at a time.

mod control;
mod defend;
mod files;
mod record;
mod watch;

use crate::architecture::ArchitectureOption;
use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::interrupt::Leftover;
use crate::numbers::{at_least, between, positive};
use crate::output::Outputs;
use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use deepsleep::data::Dataset;
use deepsleep::method::Training;
use deepsleep::nn::{Augmentation, TrainingOptions};
use files::Files;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Train {
    /// Defense to train with
    #[arg(
        long, value_name = "DEFENSE", default_value_t = Training::Control, value_parser = trainings(),
        ignore_case = true,
    )]
    defense: Training,
    #[command(flatten)]
    architecture: ArchitectureOption,
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
    /// Control that a defense starts from
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Values that a defense's settings start from: published, paper or standard [default: published]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// One setting of a defense, e.g. fast_wave.dream.eps=64/255; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Print every setting of the defenses with its value, and do nothing else
    #[arg(long, conflicts_with_all = [
        "defense", "epochs", "batch_size", "lr", "augment_shift", "augment_flip", "architecture", "from", "limit_train", "data", "dataset", "data_dir", "out", "resume",
    ])]
    print_config: bool,
    /// Seed of the weights and of the order of images [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
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

/// A defense by name, in either case; help lists all of them.
fn trainings() -> impl TypedValueParser<Value = Training> {
    let name = |t: Training| PossibleValue::new(t.name()).help(t.about());
    PossibleValuesParser::new(Training::all().map(name))
        .try_map(|name| name.to_ascii_lowercase().parse::<Training>())
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
        match self.defense.defense() {
            Some(defense) => defend::run(self, defense, common),
            None => {
                self.refuse_options_of_defenses()?;
                control::run(self, common)
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
                let problem = format!("{option} is for defenses; --defense names one");
                return Err(WrongUse(problem).into());
            }
        }
        Ok(())
    }

    fn options(&self) -> TrainingOptions {
        let default = TrainingOptions::default();
        TrainingOptions {
            epochs: self.epochs.unwrap_or(default.epochs),
            batch_size: self.batch_size.unwrap_or(default.batch_size),
            learning_rate: self.lr.unwrap_or(default.learning_rate),
            seed: self.seed.unwrap_or_default(),
            augmentation: Augmentation {
                shift: self.augment_shift.unwrap_or(0),
                flip: self.augment_flip,
            },
            ..default
        }
    }
}
