//! Who attacks, how, and how far: options that `attack` and `evaluate` share.

use crate::console::Console;
use crate::model::ModelKind;
use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use deepsleep::attack::Norm;
use deepsleep::evaluation::ThreatModel;
use deepsleep::nn::FrozenNetwork;
use std::path::PathBuf;

/// Who attacks, how, and how far.
#[derive(Debug, Args)]
pub struct Threat {
    /// How a perturbation is measured
    #[arg(long, value_name = "NORM", default_value_t = Norm::Linf, value_parser = norms())]
    pub norm: Norm,
    /// Network that the images are crafted on, to be shown to --model (transfer) [default: --model itself]
    #[arg(long, value_name = "FILE")]
    pub source: Option<PathBuf>,
    /// What the source is run as
    #[arg(long, value_enum, default_value_t = ModelKind::Cnn)]
    pub source_kind: ModelKind,
    /// Seed of all random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

impl Threat {
    /// What the attacker knows.
    pub fn model(&self) -> ThreatModel {
        if self.source.is_some() { ThreatModel::Transfer } else { ThreatModel::WhiteBox }
    }

    /// The network of `--source`, if it was given.
    pub fn load_source(&self, console: Console) -> Result<Option<Box<dyn FrozenNetwork>>> {
        self.source.as_deref().map(|path| self.source_kind.load(path, console)).transpose()
    }
}

fn norms() -> impl TypedValueParser<Value = Norm> {
    PossibleValuesParser::new(["linf", "l2", "l1"]).try_map(|name| name.parse::<Norm>())
}
