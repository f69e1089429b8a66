//! `inspect`: describes a saved network in numbers and pictures.

use crate::architecture::{ArchitectureOption, open};
use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::model::{files, read, saved_network, spiking};
use crate::numbers::{at_least, whole};
use crate::output::OutputFiles;
use crate::stderr::shown;
use crate::threat::one_radius;
use anyhow::{Result, bail};
use clap::{ArgGroup, Args};
use deepsleep::attack::{Norm, Samples};
use deepsleep::certify::Certifier;
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, Split};
use deepsleep::draw::{MappedImage, filters_svg, maps_svg, raster_svg};
use deepsleep::files::Content;
use deepsleep::method::noted_spiking_options;
use deepsleep::nn::{Freeze, Model, Network};
use deepsleep::snn::{FrozenSpikingModel, SpikeTrain, firing_rates, spike_trains};
use deepsleep::tensor::Context;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Test images that firing rates are measured on, unless the user says how many.
const IMAGES: usize = 256;
/// Test images that are drawn with what can be moved in them.
const MAPS: usize = 10;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("of_image").multiple(true)))]
pub struct Inspect {
    /// Network to describe: a safetensors or ONNX file, or a bundled network: control, deepsleep, plain, lucid or bounds
    #[arg(value_name = "FILE|NAME", value_parser = saved_network())]
    model: PathBuf,
    #[command(flatten)]
    architecture: ArchitectureOption,
    /// Number of test images to measure firing rates on [default: 256, if the data set is found]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    images: Option<usize>,
    /// Draw the filters of the first convolution and, where an activation follows it, at which response each opens it, as if
    /// its weights had an L1 norm of 1
    #[arg(long, value_name = "FILE.svg")]
    filters: Option<PathBuf>,
    /// Draw the spikes for one test image, in all layers or those given by --layer
    #[arg(long, value_name = "FILE.svg", group = "of_image")]
    raster: Option<PathBuf>,
    /// Draw ten test images, and below each how far a perturbation of --eps (linf) can move what the network's first activations
    /// say there, by interval bounds: black is not at all, red is as far as any image could
    #[arg(long, value_name = "FILE.svg", group = "of_image", requires = "eps")]
    movable: Option<PathBuf>,
    /// Radius of the perturbation for --movable, with pixels in 0..=1, e.g. 64/255 or 0.25
    #[arg(long, value_name = "RADIUS", requires = "movable")]
    eps: Option<String>,
    /// Test image for the raster, or first one of --movable, counted from 0 [default: 0]
    #[arg(long, value_name = "I", requires = "of_image", value_parser = whole::<usize>)]
    image: Option<usize>,
    /// Layer to show in the raster, by node name; may be given several times
    #[arg(long, value_name = "NAME", requires = "raster")]
    layer: Vec<String>,
    #[command(flatten)]
    data: DatasetOptions,
}

#[derive(Serialize)]
struct LayerSummary {
    name: String,
    shape: Vec<usize>,
    l2_norm: f64,
    mean: f64,
    smallest: f32,
    largest: f32,
}

#[derive(Serialize)]
struct InspectSummary<'a> {
    model: &'a Path,
    parameters: usize,
    layers: Vec<LayerSummary>,
    /// Spikes per neuron and time step of each spiking layer, before pooling; none without test images or ReLUs.
    firing_rates: Option<Vec<f64>>,
    /// What these layers are called.
    spiking_layers: Vec<String>,
    time_steps: usize,
    /// That the firing rates were measured on.
    images: usize,
    /// Mean of the drawn maps, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    movable: Option<f64>,
    notes: serde_json::Value,
}

impl Inspect {
    pub fn run(&self, common: &Common) -> Result<()> {
        let mut inputs = files("MODEL", &self.model);
        inputs.extend(self.architecture.files());
        inputs.extend(self.data.files());
        let mut outputs = OutputFiles::new(common.console(), inputs);
        let mut drawing = |option, path: Option<&Path>| {
            path.map_or(Ok(()), |path| is_svg(option, path))?;
            outputs.optional(option, path, Content::Picture)
        };
        let filters = drawing("--filters", self.filters.as_deref())?;
        let raster = drawing("--raster", self.raster.as_deref())?;
        let maps = drawing("--movable", self.movable.as_deref())?;
        let context = common.context()?;
        let state = read(&self.model, common.console())?;
        let architecture = self.architecture.architecture.as_deref();
        let network = open(&state, architecture, &|| self.data.shape())?;
        noted_spiking_options(&state)?;
        let spiking = match spiking(&state, &network) {
            Ok((spiking, note)) => {
                if let Some(note) = note {
                    let path = self.model.display();
                    common.console().say(format_args!("note: {path}: {note}"));
                }
                Some(spiking.freeze()?)
            }
            Err(error) if self.wants_spikes() => return Err(error),
            Err(error) => {
                common.console().say(format_args!("left out: firing rates: {error:#}"));
                None
            }
        };
        let test = self.test_images(common, &network)?;
        let (mut rates, mut images) = (None, 0);
        if let (Some(spiking), Some(test)) = (&spiking, &test) {
            images = self.images.unwrap_or(IMAGES.min(test.len()));
            let named = firing_rates(&context, spiking, &test.slice(0..images)?)?;
            rates = Some(named.into_iter().map(|(_, rate)| rate).collect());
            if let Some(raster) = &raster {
                let svg =
                    self.draw(spike_trains(&context, spiking, test, self.image.unwrap_or(0))?)?;
                raster.write_all(svg.as_bytes())?;
                common.console().wrote(raster.path());
            }
        }
        if let Some(filters) = &filters {
            filters.write_all(filters_of(&network)?.as_bytes())?;
            common.console().wrote(filters.path());
        }
        let mut movable = None;
        if let (Some(maps), Some(test)) = (&maps, &test) {
            let (svg, mean) = self.maps(&context, &network, test)?;
            movable = Some(mean);
            maps.write_all(svg.as_bytes())?;
            common.console().wrote(maps.path());
        }

        let layers: Vec<LayerSummary> =
            state.names().filter_map(|name| layer(name, &state)).collect();
        let names = spiking.as_ref().map(FrozenSpikingModel::layers).unwrap_or_default();
        let description = InspectSummary {
            model: &self.model,
            parameters: network.parameters().count(),
            firing_rates: rates,
            spiking_layers: names.into_iter().map(str::to_owned).collect(),
            time_steps: spiking.as_ref().map_or(0, FrozenSpikingModel::steps),
            images,
            movable,
            notes: serde_json::to_value(state.notes())?,
            layers,
        };
        common.console().result(&description, text(&description))
    }

    /// Whether the user asked for something that only neurons have.
    fn wants_spikes(&self) -> bool {
        self.raster.is_some() || self.images.is_some()
    }

    /// The test images with maps of what can be moved in them, and the mean of the maps.
    fn maps(&self, context: &Context, network: &Model, test: &Dataset) -> Result<(String, f64)> {
        let eps = self.eps.as_deref().unwrap_or_default();
        let eps = one_radius(eps, Norm::Linf, network.input_shape().features())?;
        let first = self.image.unwrap_or(0);
        let samples = Samples::from_dataset(test, first..test.len().min(first + MAPS))?;
        let movable = Certifier::new(network)?.movable(context, &samples, eps)?;
        let images = (0..samples.len())
            .map(|i| MappedImage { image: samples.image(i), map: movable.map(i) });
        let images: Vec<_> = images.collect();
        Ok((maps_svg(samples.shape(), movable.size, &images)?, movable.mean()))
    }

    /// Whether the user asked for something that test images are needed for.
    fn wants_images(&self) -> bool {
        self.wants_spikes() || self.movable.is_some()
    }

    /// The raster of the layers that are asked for, by default of all.
    fn draw(&self, trains: Vec<SpikeTrain>) -> Result<String> {
        let names: Vec<&str> = trains.iter().map(|(name, _)| name.as_str()).collect();
        if let Some(name) = self.layer.iter().find(|name| !names.contains(&name.as_str())) {
            let problem = format!(
                "--layer {}: there is no such layer of neurons; there are {}",
                shown(Path::new(name)),
                names.join(", ")
            );
            return Err(WrongUse(problem).into());
        }
        let wanted = |name: &String| self.layer.is_empty() || self.layer.contains(name);
        let wanted = trains.iter().filter(|(name, _)| wanted(name));
        let panels: Vec<_> =
            wanted.map(|(name, train)| (name.as_str(), train.as_slice())).collect();
        Ok(raster_svg(&panels)?)
    }
}

/// The filters of a network's first convolution, with the responses at which they open the activation behind it.
fn filters_of(network: &Model) -> Result<String> {
    let Some(first) = network.first_convolution() else {
        bail!("--filters: the network has no convolution");
    };
    let mut captions = Vec::new();
    for threshold in network.first_thresholds().into_iter().flatten() {
        // What rounds to zero has no sign.
        let opens = format!("{threshold:.2}").replace("-0.00", "0.00");
        captions.push(format!("opens at {opens}"));
        // One for all channels of a filter.
        captions.extend(vec![String::new(); first.shape[1] - 1]);
    }
    Ok(filters_svg(&first.values, [first.shape[2], first.shape[3]], &captions)?)
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
    /// The test images; none where they are not found, or do not fit, and were not asked for.
    fn test_images(&self, common: &Common, network: &Model) -> Result<Option<Dataset>> {
        let test = self.data.load(Split::Test).and_then(|test| {
            self.data.check(&test, network.input_shape(), network.classes())?;
            Ok(test)
        });
        let test = match test {
            Err(error) if self.wants_images() || self.data.is_named() => return Err(error),
            Err(error) => {
                common.console().say(format_args!("left out: firing rates: {error:#}"));
                return Ok(None);
            }
            Ok(test) => test,
        };
        let all = test.len();
        if all == 0 {
            return Err(WrongUse("there are 0 test images".into()).into());
        }
        if let Some(images) = self.images.filter(|&images| images > all) {
            let problem = format!("--images {images}: there are {all} test images");
            return Err(WrongUse(problem).into());
        }
        if let Some(image) = self.image.filter(|&image| image >= all) {
            let problem = format!("--image {image}: there are {all} test images, numbered from 0");
            return Err(WrongUse(problem).into());
        }
        Ok(Some(test))
    }
}

fn layer(name: &str, state: &StateDict) -> Option<LayerSummary> {
    let entry = state.get(name)?;
    let values = entry.values.iter().map(|&v| f64::from(v));
    let (sum, squares) = values.fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
    Some(LayerSummary {
        name: name.to_owned(),
        shape: entry.shape.clone(),
        l2_norm: squares.sqrt(),
        mean: sum / entry.values.len().max(1) as f64,
        smallest: entry.values.iter().copied().fold(f32::INFINITY, f32::min),
        largest: entry.values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
    })
}

fn text(description: &InspectSummary<'_>) -> String {
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
    if let Some(rates) = &description.firing_rates {
        lines.push(format!(
            "firing rates as a spiking network ({} steps, {} images), spikes per neuron and step:",
            description.time_steps, description.images
        ));
        let rates = description.spiking_layers.iter().zip(rates);
        lines.extend(rates.map(|(name, rate)| format!("{name:<18} {rate:.4}")));
    }
    if let Some(mean) = description.movable {
        lines.push(format!(
            "movable in what the first activations say: {:.1} % of what any image could, on average",
            100.0 * mean
        ));
    }
    lines.join("\n")
}
