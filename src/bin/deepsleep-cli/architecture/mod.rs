//! The option `--architecture`, and the subcommand that shows and checks networks.

mod show;

use crate::failure::WrongUse;
use crate::model;
use anyhow::Result;
use clap::Args;
use deepsleep::checkpoint::StateDict;
use deepsleep::data::Dataset;
use deepsleep::experiment::parse;
use deepsleep::files::read_regular;
use deepsleep::nn::Model;
use deepsleep::nn::architecture::{Architecture, BUILTIN};
use deepsleep::onnx;
use deepsleep::tensor::Shape;
pub use show::ArchitectureCommand;
use std::path::{Path, PathBuf};

/// Bytes of a file that is read.
const MOST: u64 = 1 << 30;

/// Which network.
#[derive(Clone, Debug, Args)]
pub struct ArchitectureOption {
    /// Network: a name (see `architecture list`), or a TOML or JSON file [default: lenet; where a model is read, what its file
    /// says]
    #[arg(long, value_name = "NAME|FILE")]
    pub architecture: Option<String>,
}

impl ArchitectureOption {
    /// The file that is read, if it is one, with the option that names it.
    pub fn files(&self) -> Vec<(&'static str, PathBuf)> {
        files("--architecture", self.architecture.as_deref())
    }

    /// The network to train on these images.
    pub fn of_images(&self, train: &Dataset, test: &Dataset) -> Result<Architecture> {
        let classes = train.classes().max(test.classes());
        let architecture = self.architecture.as_deref().unwrap_or("lenet");
        of_argument(architecture, train.shape(), classes)
    }
}

/// The network of a name, for these images and classes, or of a file, which says for which.
fn of_argument(text: &str, input: Shape, classes: usize) -> Result<Architecture> {
    if is_file(text) {
        return of_file(Path::new(text));
    }
    Architecture::named(text, input, classes).map_err(|error| {
        let error = error.to_string();
        let problem = error.strip_prefix("architecture: ").unwrap_or(&error);
        WrongUse(format!("--architecture {text}: {problem}")).into()
    })
}

/// The files that an option reads, if it does not name a network.
pub fn files(option: &'static str, text: Option<&str>) -> Vec<(&'static str, PathBuf)> {
    let file = text.filter(|text| is_file(text));
    file.into_iter().flat_map(|file| model::files(option, Path::new(file))).collect()
}

/// Whether it names a file, and no network.
pub fn is_file(text: &str) -> bool {
    let extension = Path::new(text).extension().and_then(|extension| extension.to_str());
    let known = ["toml", "json", "safetensors", "onnx"];
    text.contains(['/', '\\'])
        || extension
            .is_some_and(|extension| known.contains(&extension.to_ascii_lowercase().as_str()))
}

/// The network that a file describes: TOML, JSON, ONNX, or a model of ours.
fn of_file(path: &Path) -> Result<Architecture> {
    if onnx::is_onnx(path)? {
        return Ok(onnx::read(path)?.architecture);
    }
    let text = match String::from_utf8(read_regular(path, MOST)?) {
        Ok(text) => text,
        // No text: a model, or nothing.
        Err(other) => {
            let state = StateDict::from_bytes(other.as_bytes(), path)?;
            return Ok(Model::open(&state)?.architecture().as_ref().clone());
        }
    };
    if text.trim_start().starts_with('{') {
        return Ok(Architecture::from_json(&text, path)?);
    }
    Ok(parse(&text, path)?)
}

/// The network of a file, which says what it is, unless `architecture` does. A name needs to know the images.
pub fn open(
    state: &StateDict,
    architecture: Option<&str>,
    images: &dyn Fn() -> Result<Shape>,
) -> Result<Model> {
    let Some(text) = architecture else { return Ok(Model::open(state)?) };
    if is_file(text) {
        return Ok(Model::from_state(of_file(Path::new(text))?, state)?);
    }
    let builtin = BUILTIN.iter().find(|builtin| text.eq_ignore_ascii_case(builtin.name));
    // Where no images say it, those that the network was made for.
    let input = match (images(), builtin) {
        (Ok(shape), _) => shape,
        (Err(_), Some(builtin)) => builtin.input,
        (Err(error), None) => return Err(error),
    };
    // The last layer says how many classes there are.
    let any = of_argument(text, input, 10)?;
    let last = any.nodes().last().and_then(|node| state.get(&format!("{}.weight", node.name)));
    let classes = last.and_then(|last| last.shape.first().copied()).unwrap_or(any.classes());
    Ok(Model::from_state(of_argument(text, input, classes)?, state)?)
}
