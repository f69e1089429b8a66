//! `train`: trains a network on a data set, one pass at a time, and saves it.

mod control;
mod defend;
mod files;
mod record;
mod settings;
mod watch;

use crate::architecture::ArchitectureOption;
use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::interrupt::Leftover;
use crate::model::{self, ModelKind, saved_network};
use crate::numbers::{at_least, between, positive, whole};
use crate::output::OutputFiles;
use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use deepsleep::data::Dataset;
use deepsleep::evaluation::CheckpointKind;
use deepsleep::method::Training;
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
    /// What to train: a network with ReLUs or, by backpropagation through time, a spiking one. How it spikes is said by the
    /// settings fast_wave.spiking (--set) or, without a defense, by the file to start from. With a defense, for adversarial
    /// training and lucid sleep
    #[arg(long, value_enum, default_value_t = ModelKind::Cnn, ignore_case = true)]
    model_kind: ModelKind,
    #[command(flatten)]
    architecture: ArchitectureOption,
    /// Epochs of the control's training [default: 10]
    #[arg(long, value_name = "N", value_parser = between::<1, 1_000_000>)]
    epochs: Option<usize>,
    /// Batch size for the control; a smaller last batch is dropped [default: 128]
    #[arg(long, value_name = "N", value_parser = at_least::<2>)]
    batch_size: Option<usize>,
    /// Learning rate of the control [default: 0.1]
    #[arg(long, value_name = "RATE", value_parser = positive)]
    lr: Option<f32>,
    /// Optimizer of the control: sgd or adam, optionally with options, e.g. adam:beta1=0.8,eps=1e-6 [default: sgd]
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// SGD momentum of the control [default: 0]
    #[arg(long, value_name = "SHARE")]
    momentum: Option<f32>,
    /// L2 penalty on the control's weights [default: 0]
    #[arg(long, value_name = "RATE")]
    weight_decay: Option<f32>,
    /// Learning rate schedule of the control: constant, linear, cosine, triangle:peak=0.3 or step:epochs=5,factor=0.1
    /// [default: constant]
    #[arg(long, value_name = "SCHEDULE")]
    schedule: Option<String>,
    /// Epochs over which the control's learning rate warms up to its schedule [default: 0]
    #[arg(long, value_name = "EPOCHS")]
    warm_up: Option<f32>,
    /// Label smoothing of the control: the share spread over all classes [default: 0]
    #[arg(long, value_name = "SHARE")]
    label_smoothing: Option<f32>,
    /// Shift the control's training images randomly by up to N pixels along each axis in every epoch [default: 0]
    #[arg(long, value_name = "N", value_parser = whole::<usize>)]
    augment_shift: Option<usize>,
    /// Flip a random half of the control's training images left to right in every epoch
    #[arg(long)]
    augment_flip: bool,
    /// Trained network to start from: the control of a defense, or a network to fine-tune without a defense
    #[arg(long, value_name = "FILE|NAME", value_parser = saved_network())]
    from: Option<PathBuf>,
    /// Profile with the initial values of all settings: published, paper, standard or lucid [default: published]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Change one setting of a defense, e.g. fast_wave.dream.eps=64/255, or of the control, e.g. control.temperature=2; may
    /// be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Print every setting with its value and exit
    #[arg(long, conflicts_with_all = [
        "defense", "model_kind", "epochs", "batch_size", "lr", "rule", "momentum", "weight_decay", "schedule", "warm_up", "label_smoothing",
        "augment_shift", "augment_flip", "architecture", "from", "limit_train", "data", "dataset", "data_dir", "out", "resume",
    ])]
    print_config: bool,
    /// Seed of the initial weights and the image order [default: 0]
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    seed: Option<u64>,
    /// Use only the first N training images
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    limit_train: Option<usize>,
    #[command(flatten)]
    data: DatasetOptions,
    /// File to save the network to; during training, FILE.checkpoint holds the last finished epoch
    #[arg(long, value_name = "FILE", default_value = "network.safetensors")]
    out: PathBuf,
    /// Continue an interrupted training from FILE.checkpoint, or a finished one for more --epochs; the result has the same
    /// bits as an uninterrupted training
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
    /// What remains of its work when it is interrupted.
    pub fn leftover(&self) -> Leftover {
        Leftover::beside(&self.out)
    }

    pub fn computes_nothing(&self) -> bool {
        self.print_config
    }

    pub fn run(&self, common: &Common) -> Result<()> {
        if self.print_config {
            return settings::print(&settings::of(self, None)?, common);
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
        read.extend(self.architecture.files());
        read.extend(self.from.iter().flat_map(|path| model::files("--from", path)));
        let kind = match self.defense {
            Training::Control => CheckpointKind::Training,
            Training::Defense(_) => CheckpointKind::Defense,
        };
        Files::new(OutputFiles::new(common.console(), read), &self.out, kind)
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
            Some(limit) => Ok((images.slice(0..limit)?, test)),
            None => Ok((images, test)),
        }
    }

    fn refuse_options_of_defenses(&self) -> Result<()> {
        match self.profile {
            None => Ok(()),
            Some(_) => {
                Err(WrongUse("--profile is for defenses; --defense names one".into()).into())
            }
        }
    }

    /// The options that stand for settings of the control, as given: option, setting, value.
    fn shorthands(&self) -> Vec<(&'static str, &'static str, String)> {
        let number = |value: Option<f32>| value.map(|value| value.to_string());
        let count = |value: Option<usize>| value.map(|value| value.to_string());
        let (option, rule) = self.rule();
        [
            ("--epochs", "control.epochs", count(self.epochs)),
            ("--batch-size", "control.batch_size", count(self.batch_size)),
            ("--lr", "control.learning_rate", number(self.lr)),
            (option, "control.rule", rule),
            ("--schedule", "control.schedule", self.schedule.clone()),
            ("--warm-up", "control.warm_up", number(self.warm_up)),
            ("--label-smoothing", "control.label_smoothing", number(self.label_smoothing)),
            ("--augment-shift", "control.augmentation.shift", count(self.augment_shift)),
            (
                "--augment-flip",
                "control.augmentation.flip",
                self.augment_flip.then(|| "true".into()),
            ),
        ]
        .into_iter()
        .filter_map(|(option, setting, value)| Some((option, setting, value?)))
        .collect()
    }

    /// The rule with its options, and the first option of the command line that says something of it.
    fn rule(&self) -> (&'static str, Option<String>) {
        let given = [
            ("--rule", self.rule.clone()),
            ("--momentum", self.momentum.map(|share| format!("momentum={share}"))),
            ("--weight-decay", self.weight_decay.map(|rate| format!("weight_decay={rate}"))),
        ];
        let Some(&(option, _)) = given.iter().find(|(_, value)| value.is_some()) else {
            return ("--rule", None);
        };
        let [(_, rule), options @ ..] = given;
        let mut rule = rule.unwrap_or_else(|| "sgd".into());
        for option in options.into_iter().filter_map(|(_, option)| option) {
            rule.push(if rule.contains(':') { ',' } else { ':' });
            rule += &option;
        }
        (option, Some(rule))
    }
}
