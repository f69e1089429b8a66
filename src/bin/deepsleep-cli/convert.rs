//! `convert`: converts a network from one file format to another.

use crate::architecture::{ArchitectureOption, open};
use crate::common::Common;
use crate::failure::WrongUse;
use crate::model::{files, read, saved_network};
use crate::output::OutputFiles;
use crate::stderr::shown;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use deepsleep::files::Content;
use deepsleep::method::note_time_steps;
use deepsleep::nn::{Model, Network};
use deepsleep::onnx;
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct Convert {
    /// Network to convert: a safetensors file, or an ONNX file as PyTorch exports it
    #[arg(value_name = "FILE|NAME", value_parser = saved_network())]
    from: PathBuf,
    /// File to write: NAME.safetensors or NAME.onnx
    to: PathBuf,
    /// Time steps to run for as a spiking network, to be noted in the file
    #[arg(long, value_name = "N")]
    time_steps: Option<usize>,
    #[command(flatten)]
    architecture: ArchitectureOption,
}

#[derive(Serialize)]
struct Converted {
    file: PathBuf,
    input: [usize; 3],
    classes: usize,
    nodes: usize,
    parameters: usize,
}

impl Convert {
    pub fn run(&self, common: &Common) -> Result<()> {
        let console = common.console();
        let to_onnx = is_onnx(&self.to)?;
        let mut read_from = files("FROM", &self.from);
        read_from.extend(self.architecture.files());
        let mut outputs = OutputFiles::new(console, read_from);
        let output =
            outputs.once("TO", &self.to, if to_onnx { Content::Onnx } else { Content::Network })?;
        let state = read(&self.from, console)?;
        let no_images = || {
            bail!(
                "the input shape of the network is unknown, because there are no images; `architecture show NAME --input CxHxW --toml` writes a file for --architecture that has it"
            )
        };
        let model: Model = open(&state, self.architecture.architecture.as_deref(), &no_images)?;
        let mut new = model.state();
        for (name, note) in state.notes().iter().filter(|(name, _)| *name != "architecture") {
            new.note(name, note);
        }
        if let Some(steps) = self.time_steps {
            note_time_steps(&mut new, steps).context("--time-steps")?;
        }
        let architecture = model.architecture();
        let bytes = match to_onnx {
            true => onnx::to_bytes(architecture, &new)?,
            false => new.to_bytes()?,
        };
        output.write_all(&bytes)?;
        let input = model.input_shape();
        let converted = Converted {
            file: self.to.clone(),
            input: [input.channels, input.height, input.width],
            classes: architecture.classes(),
            nodes: architecture.nodes().len(),
            parameters: architecture.parameter_count(),
        };
        let Converted { classes, nodes, parameters, .. } = &converted;
        let text = format!(
            "{}: images of {input}, {classes} classes, {nodes} nodes, {parameters} parameters",
            shown(&self.to)
        );
        console.result(&converted, text)
    }
}

/// Whether a file is to be ONNX, by its name.
fn is_onnx(path: &Path) -> Result<bool> {
    let extension = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("onnx") => Ok(true),
        Some("safetensors") => Ok(false),
        _ => Err(WrongUse(format!(
            "{}: its name ends neither in .safetensors nor in .onnx, so its format is unclear",
            shown(path)
        ))
        .into()),
    }
}
