//! A saved network, and what it is run as.

use anyhow::Result;
use clap::ValueEnum;
use deepsleep::checkpoint::StateDict;
use deepsleep::nn::{Freeze, FrozenNetwork, LeNet};
use deepsleep::sleep::Settings;
use deepsleep::snn::{SpikingLeNet, SpikingOptions, Statistics};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a saved network is run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// A network of rectifiers
    Cnn,
    /// Its spiking network, with the file's own settings or the published ones
    Snn,
}

impl ModelKind {
    /// Loads a file as this kind.
    pub fn load(self, path: &Path) -> Result<Box<dyn FrozenNetwork>> {
        let state = StateDict::load(path)?;
        let lenet = LeNet::from_state(&state)?;
        Ok(match self {
            Self::Cnn => Box::new(lenet.freeze()?),
            Self::Snn => Box::new(spiking(&state, &lenet)?.freeze()?),
        })
    }
}

/// The spiking network of a file, with the settings that it was made with, or the published ones.
pub fn spiking(state: &StateDict, lenet: &LeNet) -> Result<SpikingLeNet> {
    let settings: Option<Settings> = state.noted("settings");
    let options = settings.map_or_else(SpikingOptions::default, |s| s.fast_wave.spiking);
    Ok(SpikingLeNet::from_lenet(lenet, options, Statistics::Carry)?)
}
