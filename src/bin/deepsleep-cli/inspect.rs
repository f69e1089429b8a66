//! `inspect`: what is in a saved network, in numbers and pictures.

use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::model::spiking;
use crate::numbers::at_least;
use anyhow::{Context as _, Result};
use clap::Args;
use deepsleep::autodiff::Tape;
use deepsleep::checkpoint::StateDict;
use deepsleep::data::Split;
use deepsleep::nn::{Freeze, LeNet, Network};
use deepsleep::report::{filters_svg, raster_svg};
use deepsleep::tensor::{Shape, Tensor};
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct Inspect {
    /// Network to describe: safetensors, ours or PyTorch's with the same names
    model: PathBuf,
    /// Test images that the firing rates are measured on
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least::<1>)]
    images: usize,
    /// Draw the first layer's filters
    #[arg(long, value_name = "FILE.svg")]
    filters: Option<PathBuf>,
    /// Draw the spikes of both layers for one test image
    #[arg(long, value_name = "FILE.svg")]
    raster: Option<PathBuf>,
    /// Test image of the raster, counted from 0
    #[arg(long, value_name = "I", default_value_t = 0)]
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

impl Inspect {
    pub fn run(&self, common: &Common) -> Result<()> {
        let context = common.context()?;
        let state = StateDict::load(&self.model)?;
        let lenet = LeNet::from_state(&state)?;
        let network = spiking(&state, &lenet)?.freeze()?;
        let test = self.data.load(Split::Test)?;
        let images = self.images.min(test.len());
        if self.image >= test.len() {
            let (image, all) = (self.image, test.len());
            let problem = format!("--image {image}: there are {all} test images, numbered from 0");
            return Err(WrongUse(problem).into());
        }

        let mut tape = Tape::new(context);
        let mut totals = [0.0_f64; 2];
        // A few blocks at a time: all steps of all spikes are held at once.
        const PORTION: usize = 64;
        let indices: Vec<usize> = (0..images).collect();
        for portion in indices.chunks(PORTION) {
            let spikes = network_spikes(&mut tape, &network, &test, portion)?;
            for (total, spikes) in totals.iter_mut().zip(&spikes) {
                let sum: f64 = spikes.lanes().iter().flat_map(|l| l.0).map(f64::from).sum();
                let count = portion.len() * spikes.steps() * spikes.shape().features();
                *total += sum / count as f64 * portion.len() as f64 / images as f64;
            }
        }
        if let Some(path) = &self.raster {
            let spikes = network_spikes(&mut tape, &network, &test, &[self.image])?;
            let trains = spikes.map(|layer| {
                let step = |t| layer.sample(t, 0).map(|s| s > 0.5).collect();
                (0..layer.steps()).map(step).collect::<Vec<Vec<bool>>>()
            });
            write(path, &raster_svg(&[("conv 1", &trains[0]), ("conv 2", &trains[1])])?)?;
        }
        if let (Some(path), Some(conv1)) = (&self.filters, state.get("conv1.weight")) {
            write(path, &filters_svg(&conv1.values, [conv1.shape[2], conv1.shape[3]])?)?;
        }

        let layers: Vec<Layer> = state.names().filter_map(|name| layer(name, &state)).collect();
        let description = Description {
            model: &self.model,
            parameters: lenet.parameters().count(),
            firing_rates: totals,
            time_steps: network.steps(),
            images,
            notes: serde_json::to_value(state.notes())?,
            layers,
        };
        common.console().result(&description, text(&description))
    }
}

fn network_spikes(
    tape: &mut Tape,
    network: &deepsleep::snn::FrozenSpikingLeNet,
    test: &deepsleep::data::Dataset,
    indices: &[usize],
) -> Result<[Tensor; 2]> {
    let [channels, height, width] = test.shape();
    let mut images = tape.tensor(Shape::new(channels, height, width), indices.len(), 1);
    test.gather(&tape.context().clone(), indices, &mut images)?;
    let x = tape.constant(images);
    let spikes = network.spikes(tape, x)?.map(|var| tape.value(var).clone());
    tape.reset();
    Ok(spikes)
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

fn write(path: &Path, content: &str) -> Result<()> {
    std::fs::write(path, content).with_context(|| format!("{}: cannot write", path.display()))
}
