//! Who attacks, how, and how far: options that `attack` and `evaluate` share.

use crate::failure::WrongUse;
use crate::model::ModelKind;
use crate::numbers::between;
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
    /// Seed of all random numbers, those of a network with Poisson spikes included
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Random draws that decide about an image together, for a network with Poisson spikes [default: 20]
    #[arg(long, value_name = "N", value_parser = between::<1, 100_000>)]
    pub draws: Option<usize>,
}

impl Threat {
    /// What the attacker knows.
    pub fn model(&self) -> ThreatModel {
        if self.source.is_some() { ThreatModel::Transfer } else { ThreatModel::WhiteBox }
    }

    /// The network of `--source`, if it was given.
    pub fn load_source(&self) -> Result<Option<Box<dyn FrozenNetwork>>> {
        let load = |path| self.source_kind.load(path, self.draws);
        self.source.as_deref().map(load).transpose()
    }

    /// Refuses `--draws` where none of these networks draws anything.
    pub fn check_draws<'a>(
        &self,
        networks: impl IntoIterator<Item = &'a dyn FrozenNetwork>,
    ) -> Result<()> {
        if self.draws.is_none() || networks.into_iter().any(|network| network.is_random()) {
            return Ok(());
        }
        let problem = "--draws is for networks that draw random numbers (spiking ones with Poisson spikes): this one \
                       gives the same answer every time";
        Err(WrongUse(problem.into()).into())
    }
}

fn norms() -> impl TypedValueParser<Value = Norm> {
    PossibleValuesParser::new(["linf", "l2", "l1"]).try_map(|name| name.parse::<Norm>())
}
