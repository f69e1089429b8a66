//! `inspect`: what is in a saved network, in numbers and pictures.

use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::model::spiking;
use crate::numbers::at_least;
use crate::output::Outputs;
use anyhow::Result;
use clap::Args;
use deepsleep::checkpoint::StateDict;
use deepsleep::data::Split;
use deepsleep::nn::{Freeze, LeNet, Network};
use deepsleep::report::{filters_svg, raster_svg};
use deepsleep::snn::{firing_rates, spike_trains};
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct Inspect {
    /// Network to describe: safetensors, ours or PyTorch's with the same names
    model: PathBuf,
    /// Test images that the firing rates are measured on [default: 256, or all if there are fewer]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    images: Option<usize>,
    /// Draw the first layer's filters
    #[arg(long, value_name = "FILE.svg")]
    filters: Option<PathBuf>,
    /// Draw the spikes of both layers for one test image
    #[arg(long, value_name = "FILE.svg")]
    raster: Option<PathBuf>,
    /// Test image of the raster, counted from 0
    #[arg(long, value_name = "I", default_value_t = 0, requires = "raster")]
    image: usize,
    #[command(flatten)]
    data: DatasetOptions,
}

#[derive(Serialize)]
struct Layer {
    name: String,
    shape: Vec<usize>,
    l2_norm: f64,
    mean: f64,
    smallest: f32,
    largest: f32,
}

#[derive(Serialize)]
struct Description<'a> {
    model: &'a Path,
    parameters: usize,
    layers: Vec<Layer>,
    /// Spikes a neuron and time step, of each spiking layer before pooling.
    firing_rates: [f64; 2],
    time_steps: usize,
    images: usize,
    notes: serde_json::Value,
}

/// Images that firing rates are measured on.
const USUAL: usize = 256;

impl Inspect {
    pub fn run(&self, common: &Common) -> Result<()> {
        let mut read = vec![("MODEL", self.model.clone())];
        read.extend(self.data.files());
        let mut outputs = Outputs::new(common.console(), read);
        let mut drawing = |option, path: Option<&Path>| {
            path.map_or(Ok(()), |path| is_svg(option, path))?;
            outputs.optional(option, path)
        };
        let filters = drawing("--filters", self.filters.as_deref())?;
        let raster = drawing("--raster", self.raster.as_deref())?;
        let context = common.context()?;
        let state = StateDict::load(&self.model)?;
        let lenet = LeNet::from_state(&state)?;
        let network = spiking(&state, &lenet)?.freeze()?;
        let test = self.data.load(Split::Test)?;
        let images = match self.images {
            Some(images) if images > test.len() => {
                let problem = format!("--images {images}: there are {} test images", test.len());
                return Err(WrongUse(problem).into());
            }
            images => images.unwrap_or(USUAL.min(test.len())),
        };
        if self.image >= test.len() {
            let (image, all) = (self.image, test.len());
            let problem = format!("--image {image}: there are {all} test images, numbered from 0");
            return Err(WrongUse(problem).into());
        }

        let firing_rates = firing_rates(&context, &network, &test.slice(0, images)?)?;
        if let Some(raster) = &raster {
            let trains = spike_trains(&context, &network, &test, self.image)?;
            let svg = raster_svg(&[("conv 1", &trains[0]), ("conv 2", &trains[1])])?;
            raster.write_all(svg.as_bytes())?;
            common.console().wrote(raster.path());
        }
        if let (Some(filters), Some(conv1)) = (&filters, state.get("conv1.weight")) {
            let svg = filters_svg(&conv1.values, [conv1.shape[2], conv1.shape[3]])?;
            filters.write_all(svg.as_bytes())?;
            common.console().wrote(filters.path());
        }

        let layers: Vec<Layer> = state.names().filter_map(|name| layer(name, &state)).collect();
        let description = Description {
            model: &self.model,
            parameters: lenet.parameters().count(),
            firing_rates,
            time_steps: network.steps(),
            images,
            notes: serde_json::to_value(state.notes())?,
            layers,
        };
        common.console().result(&description, text(&description))
    }
}

/// Refuses the name of another kind of picture than is drawn.
fn is_svg(option: &str, path: &Path) -> Result<()> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg")) {
        return Ok(());
    }
    let problem =
        format!("{option} {}: it is drawn as SVG; the name must end in .svg", path.display());
    Err(WrongUse(problem).into())
}

fn layer(name: &str, state: &StateDict) -> Option<Layer> {
    let entry = state.get(name)?;
    let values = entry.values.iter().map(|&v| f64::from(v));
    let (sum, squares) = values.fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
    Some(Layer {
        name: name.to_owned(),
        shape: entry.shape.clone(),
        l2_norm: squares.sqrt(),
        mean: sum / entry.values.len().max(1) as f64,
        smallest: entry.values.iter().copied().fold(f32::INFINITY, f32::min),
        largest: entry.values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
    })
}

fn text(description: &Description<'_>) -> String {
    let mut lines =
        vec![format!("{}: {} parameters", description.model.display(), description.parameters)];
    lines.push(format!(
        "{:<18} {:<14} {:>10} {:>10} {:>10} {:>10}",
        "array", "shape", "L2 norm", "mean", "smallest", "largest"
    ));
    for layer in &description.layers {
        let shape = layer.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        lines.push(format!(
            "{:<18} {shape:<14} {:>10.4} {:>10.4} {:>10.4} {:>10.4}",
            layer.name, layer.l2_norm, layer.mean, layer.smallest, layer.largest
        ));
    }
    let [first, second] = description.firing_rates;
    lines.push(format!(
        "firing rates as a spiking network ({} steps, {} images): {first:.4} and {second:.4} spikes a neuron and step",
        description.time_steps, description.images
    ));
    lines.join("\n")
}
