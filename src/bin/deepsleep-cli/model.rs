//! Loads a saved network, to run with ReLUs or as a spiking network.

use crate::architecture::open;
use crate::console::Console;
use anyhow::Result;
use clap::ValueEnum;
use clap::builder::{PathBufValueParser, TypedValueParser};
use deepsleep::checkpoint::StateDict;
use deepsleep::data::bundled_model;
use deepsleep::evaluation::fingerprint_of_file;
use deepsleep::method::{spiking_options, was_trained_spiking};
use deepsleep::nn::{Freeze, FrozenNetwork, Model};
use deepsleep::onnx;
use deepsleep::snn::{SpikingModel, Statistics};
use deepsleep::tensor::Shape;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Parses the place of a network: a file or, if there is no such file, the name of a bundled network.
pub fn saved_network() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(|path| match path.to_str() {
        Some(name) if !path.exists() => bundled_model(name).unwrap_or(path),
        _ => path,
    })
}

/// What a saved network is run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// With ReLUs
    Cnn,
    /// As a spiking network, with the file's own settings or the published ones
    Snn,
}

impl ModelKind {
    /// The word of `--model-kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cnn => "cnn",
            Self::Snn => "snn",
        }
    }

    /// Loads a file as this kind of model. If it is random, `draws` draws decide on an image (None: the default). The file
    /// or `architecture` says which network it is; `images` gives the shape of the images it will see.
    pub fn load(
        self,
        path: &Path,
        architecture: Option<&str>,
        images: &dyn Fn() -> Result<Shape>,
        draws: Option<usize>,
        console: Console,
    ) -> Result<LoadedNetwork> {
        let (state, model) = load(path, architecture, images, console)?;
        self.run(path, &state, &model, draws)
    }

    /// The network to run for a model that was read from `path`. If it is random, `draws` draws decide on an image.
    pub fn run(
        self,
        path: &Path,
        state: &StateDict,
        model: &Model,
        draws: Option<usize>,
    ) -> Result<LoadedNetwork> {
        let (network, note): (Box<dyn FrozenNetwork>, _) = match self {
            Self::Cnn => {
                let note = if model.architecture().has_neurons() {
                    Some(Note::Silent)
                } else {
                    was_trained_spiking(state).then_some(Note::TrainedSpiking)
                };
                (Box::new(model.freeze()?), note)
            }
            Self::Snn => {
                let (network, note) = spiking(state, model)?;
                let network = network.freeze()?;
                let network = match draws {
                    Some(draws) => network.with_draws(draws),
                    None => network,
                };
                (Box::new(network), note.map(Note::Steps))
            }
        };
        let architecture = model.architecture().to_string();
        let identity = Identity { sha256: fingerprint(path)?, architecture, kind: self };
        Ok(LoadedNetwork { network, identity, note })
    }
}

/// What has to be said of how the neurons in a file run.
enum Note {
    /// They are to spike, and do not.
    Silent,
    /// They are ReLUs, which were trained as neurons.
    TrainedSpiking,
    /// For how many steps is not known.
    Steps(String),
}

/// A network that runs, and what it is known by.
pub struct LoadedNetwork {
    pub network: Box<dyn FrozenNetwork>,
    pub identity: Identity,
    note: Option<Note>,
}

impl LoadedNetwork {
    /// Says what has to be said of its spiking neurons; `option` is what lets them spike.
    pub fn note_neurons(&self, option: &str, path: &Path, console: Console) {
        let note = match &self.note {
            None => return,
            Some(Note::Silent) => format!(
                "its spiking neurons (`lif`) are run as ReLUs; {option} snn lets them spike"
            ),
            Some(Note::TrainedSpiking) => format!(
                "it was trained as a spiking network, and is run with ReLUs; {option} snn runs it as it was trained"
            ),
            Some(Note::Steps(note)) => note.clone(),
        };
        console.say(format_args!("note: {}: {note}", path.display()));
    }
}

/// What makes a network the same one as before: the content of its files, the architecture that these were taken for, which
/// `--architecture` may have said, and what it is run as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    sha256: String,
    #[serde(default)]
    architecture: String,
    kind: ModelKind,
}

impl Identity {
    /// The fingerprint of its files.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// As settings of a result: the network of the option `--NAME`.
    pub fn settings(&self, name: &str) -> [(String, String); 3] {
        [
            (format!("--{name}"), self.sha256.clone()),
            (format!("architecture of --{name}"), self.architecture.clone()),
            (format!("--{name}-kind"), self.kind.name().to_owned()),
        ]
    }
}

/// Loads a file and the model in it. The file or `architecture` says which network it is; `images` gives the shape of the
/// images it will see.
pub fn load(
    path: &Path,
    architecture: Option<&str>,
    images: &dyn Fn() -> Result<Shape>,
    console: Console,
) -> Result<(StateDict, Model)> {
    let state = read(path, console)?;
    let model = open(&state, architecture, images)?;
    Ok((state, model))
}

/// Reads a network file, which may be ONNX. Removes the prefixes of PyTorch's wrappers, and prints what was left out.
pub fn read(path: &Path, console: Console) -> Result<StateDict> {
    if onnx::is_onnx(path)? {
        let read = onnx::read(path)?;
        for note in &read.notes {
            console.say(format_args!("note: {}: {note}", path.display()));
        }
        return Ok(read.state);
    }
    let (state, removed) = StateDict::load(path)?.unwrapped();
    if !removed.is_empty() {
        console.say(format_args!(
            "note: {}: the names of its arrays begin with `{removed}`, which PyTorch's wrappers add; it is \
             removed",
            path.display()
        ));
    }
    Ok(state)
}

/// The files that a network is read from, with the option that names it. What cannot be read is complained about when it
/// is.
pub fn files(option: &'static str, path: &Path) -> Vec<(&'static str, PathBuf)> {
    let is_onnx = onnx::is_onnx(path).unwrap_or(false);
    let beside =
        if is_onnx { onnx::files_of_weights(path).unwrap_or_default() } else { Vec::new() };
    [path.to_owned()].into_iter().chain(beside).map(|path| (option, path)).collect()
}

/// A fingerprint of everything that a network is read from.
pub fn fingerprint(path: &Path) -> Result<String> {
    Ok(if onnx::is_onnx(path)? { onnx::fingerprint(path)? } else { fingerprint_of_file(path)? })
}

/// The spiking network of a file, with the settings recorded in it, or the published ones; and what has to be said about
/// them.
pub fn spiking(state: &StateDict, model: &Model) -> Result<(SpikingModel, Option<String>)> {
    let (options, note) = spiking_options(state, model.architecture())?;
    Ok((SpikingModel::from_model(model, options, Statistics::Carry)?, note))
}
