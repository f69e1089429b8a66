//! `inspect`: what is in a saved network, in numbers and pictures.

use crate::architecture::{ArchitectureOption, open};
use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::model::{read, spiking};
use crate::numbers::at_least;
use crate::output::Outputs;
use crate::stderr::shown;
use anyhow::Result;
use clap::Args;
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, Split};
use deepsleep::draw::{filters_svg, raster_svg};
use deepsleep::nn::{Freeze, FrozenNetwork, Network};
use deepsleep::snn::{firing_rates, spike_trains};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Test images that firing rates are measured on, unless the user says how many.
const IMAGES: usize = 256;

#[derive(Debug, Args)]
pub struct Inspect {
    /// Network to describe: safetensors, ours or PyTorch's with the same names
    model: PathBuf,
    #[command(flatten)]
    architecture: ArchitectureOption,
    /// Test images that the firing rates are measured on [default: 256, if the data set is found]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    images: Option<usize>,
    /// Draw the first layer's filters
    #[arg(long, value_name = "FILE.svg")]
    filters: Option<PathBuf>,
    /// Draw the spikes of both layers for one test image
    #[arg(long, value_name = "FILE.svg")]
    raster: Option<PathBuf>,
    /// Test image of the raster, counted from 0 [default: 0]
    #[arg(long, value_name = "I", requires = "raster")]
    image: Option<usize>,
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
    /// Spikes a neuron and time step, of each spiking layer before pooling; none without test images.
    firing_rates: Option<[f64; 2]>,
    time_steps: usize,
    /// That the firing rates were measured on.
    images: usize,
    notes: serde_json::Value,
}

impl Inspect {
    pub fn run(&self, common: &Common) -> Result<()> {
        let mut inputs = vec![("MODEL", self.model.clone())];
        inputs.extend(self.data.files());
        let mut outputs = Outputs::new(common.console(), inputs);
        let mut drawing = |option, path: Option<&Path>| {
            path.map_or(Ok(()), |path| is_svg(option, path))?;
            outputs.optional(option, path)
        };
        let filters = drawing("--filters", self.filters.as_deref())?;
        let raster = drawing("--raster", self.raster.as_deref())?;
        let context = common.context()?;
        let state = read(&self.model, common.console())?;
        let architecture = self.architecture.architecture.as_deref();
        let network = open(&state, architecture, &|| self.data.shape())?;
        let parameters = network.parameters().count();
        let first = network.first_convolution().cloned();
        let network = spiking(&state, &network)?.freeze()?;
        let (mut rates, mut images) = (None, 0);
        if let Some(test) = self.test_images(common)? {
            self.data.check(&test, network.input_shape(), network.classes())?;
            images = match self.images {
                Some(images) if images > test.len() => {
                    let all = test.len();
                    let problem = format!("--images {images}: there are {all} test images");
                    return Err(WrongUse(problem).into());
                }
                images => images.unwrap_or(IMAGES.min(test.len())),
            };
            let image = self.image.unwrap_or(0);
            if image >= test.len() {
                let all = test.len();
                let problem =
                    format!("--image {image}: there are {all} test images, numbered from 0");
                return Err(WrongUse(problem).into());
            }
            rates = Some(firing_rates(&context, &network, &test.slice(0, images)?)?);
            if let Some(raster) = &raster {
                let trains = spike_trains(&context, &network, &test, image)?;
                let svg = raster_svg(&[("conv 1", &trains[0]), ("conv 2", &trains[1])])?;
                raster.write_all(svg.as_bytes())?;
                common.console().wrote(raster.path());
            }
        }
        if let (Some(filters), Some(first)) = (&filters, first) {
            let svg = filters_svg(&first.values, [first.shape[2], first.shape[3]])?;
            filters.write_all(svg.as_bytes())?;
            common.console().wrote(filters.path());
        }

        let layers: Vec<Layer> = state.names().filter_map(|name| layer(name, &state)).collect();
        let description = Description {
            model: &self.model,
            parameters,
            firing_rates: rates,
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

impl Inspect {
    /// The test images; none where they are not found and nobody asked for them.
    fn test_images(&self, common: &Common) -> Result<Option<Dataset>> {
        let asked = self.raster.is_some() || self.images.is_some() || self.image.is_some();
        match self.data.load(Split::Test) {
            Err(error) if asked || self.data.is_named() => Err(error),
            Err(error) => {
                common.console().say(format_args!("left out: firing rates: {error:#}"));
                Ok(None)
            }
            Ok(test) => Ok(Some(test)),
        }
    }
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
        vec![format!("{}: {} parameters", shown(description.model), description.parameters)];
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
    if let Some([first, second]) = description.firing_rates {
        lines.push(format!(
            "firing rates as a spiking network ({} steps, {} images): {first:.4} and {second:.4} spikes a neuron and step",
            description.time_steps, description.images
        ));
    }
    lines.join("\n")
}
