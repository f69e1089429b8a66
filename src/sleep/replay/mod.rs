//! Sleep replay (Tadros, Krishnan, Ramyaa and Bazhenov 2022, Nature Communications 13:7742), on any network's
//! convolutions and linear layers.
//!
//! The trained network becomes one of leaky integrate-and-fire neurons, its layers scaled by their largest activations;
//! noise from the mean training image, seen through a small window, drives it; and whenever a neuron spikes, its
//! weights from inputs that spiked too rise, the others fall (docs/method.md, section 7). The published
//! algorithm knows fully connected layers. Here, convolutions learn patch by patch, the changes averaged over all places, and
//! batch normalization is folded into the weights that sleep; its shift drives no neuron (the authors' layers have no bias).
//!
//! There is one dream, not a batch: sixteen lanes would have nothing to do. What counts is that spikes are rare, so work
//! is done spike by spike.

mod layer;

pub use layer::ReplayLayer;

use super::circuit::{Circuit, CircuitOp, PlasticLayer};
use crate::autodiff::Tape;
use crate::data::Dataset;
use crate::kernels::pool::{PoolGeometry, PoolOptions};
use crate::nn::{Freeze, Model, Network};
use crate::simd::LANES;
use crate::simd::random::{Key, uniform_from_bits};
use crate::tensor::{Context, Shape};
use crate::{Error, Result};
use layer::seen_by;
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::Rng;
use serde::{Deserialize, Serialize};

/// The options of a sleep replay. The defaults are those that the authors found for class-incremental MNIST with three
/// layers of weights, 784-1200-1200-10. They are not LeNet's: under them one forgets most of what it knows within a few
/// hundred steps (a hundredth of both rates of change left 94 of 96 % after 2,000). Tune them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ReplayOptions {
    /// Time steps.
    pub steps: usize,
    /// Length of a step, in seconds.
    #[serde(alias = "time-step")]
    pub time_step: f32,
    /// Spikes a second at a pixel of 1/2: a pixel x spikes with probability `2 time_step rate x` a step.
    pub rate: f32,
    /// Side of the square of pixels that is seen at a step; the rest is dark.
    pub window: usize,
    /// Share of a membrane that is left a step later.
    pub decay: f32,
    /// What a membrane must reach to spike, in the first layer, those between, and the last.
    pub thresholds: [f32; 3],
    /// Factor on all currents, over the layer's own scale.
    #[serde(alias = "alpha-scale")]
    pub alpha_scale: f32,
    /// Growth of a weight whose two ends spike.
    pub increase: f32,
    /// Shrinking of a weight whose neuron spikes without its input.
    pub decrease: f32,
    /// The width of weights' bound `2 (1 - sigmoid(w / softness))`, which halts weights above a few times itself.
    pub softness: f32,
}

crate::options::with!(ReplayOptions);

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            steps: 15_000,
            time_step: 1e-3,
            rate: 239.515_36,
            window: 11,
            decay: 0.999,
            thresholds: [14.548_273, 44.560_317, 38.046_326],
            alpha_scale: 55.882_454,
            increase: 0.032_064,
            decrease: 0.003_344,
            softness: 1e-3,
        }
    }
}

impl ReplayOptions {
    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// If a number is negative or not finite, the decay is above 1, a threshold or the softness is 0, or the window is
    /// empty.
    pub fn validate(&self) -> Result<()> {
        let [first, second, third] = self.thresholds;
        let positive = [first, second, third, self.softness];
        let others = [self.time_step, self.rate, self.alpha_scale, self.increase, self.decrease];
        if positive.iter().chain(&others).any(|x| !x.is_finite() || *x < 0.0)
            || positive.contains(&0.0)
            || !(0.0..=1.0).contains(&self.decay)
            || self.window == 0
        {
            let problem = format!(
                "{self:?}: all must be finite and not negative, thresholds, softness and window positive, decay at most 1"
            );
            return Err(Error::argument("sleep replay", problem));
        }
        Ok(())
    }
}

impl ReplayOptions {
    /// Refuses a network that could not sleep so.
    ///
    /// # Errors
    /// If nothing of it is plastic, or the window is larger than its images.
    pub fn check(&self, model: &Model) -> Result<()> {
        let input = Circuit::new(model.architecture())?.input;
        if self.window > input.height.min(input.width) {
            let problem = format!(
                "`sleep.replay.window` is {}, which does not fit into images of {input}; it can be {} at most",
                self.window,
                input.height.min(input.width)
            );
            return Err(Error::argument("setting", problem));
        }
        Ok(())
    }
}

/// How far a sleep is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayProgress {
    /// Steps that are done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Spikes so far, of each plastic layer.
    pub spikes: Vec<u64>,
}

/// Puts a network to sleep; `data` is what it was trained on, whose mean image it dreams of; the dreams follow from `seed`.
///
/// # Errors
/// If the options make no sense, the images are not the network's, there are none, or a layer has neither a positive
/// weight nor a positive activation.
pub fn replay(
    context: &Context,
    model: &Model,
    data: &Dataset,
    options: &ReplayOptions,
    seed: u64,
) -> Result<Model> {
    replay_with(context, model, data, options, seed, |_| {})
}

/// As [`replay`]; `observer` is told of every step.
///
/// # Errors
/// Those of [`replay`].
pub fn replay_with(
    context: &Context,
    model: &Model,
    data: &Dataset,
    options: &ReplayOptions,
    seed: u64,
    mut observer: impl FnMut(ReplayProgress) + Send,
) -> Result<Model> {
    options.validate()?;
    let circuit = Circuit::new(model.architecture())?;
    options.check(model)?;
    let input = circuit.input;
    if data.is_empty() || data.shape() != input {
        return Err(Error::shape(
            "sleep replay",
            format!("images of {input}, at least one"),
            format!("{} of {}", data.len(), data.shape()),
        ));
    }
    let mut model = model.clone();
    let normalizations = normalizations(&model, &circuit);
    let mut layers = layers(context, &model, &circuit, &normalizations, data, options)?;
    let before: Vec<Vec<f32>> = layers.iter().map(|layer| layer.weight().to_vec()).collect();
    let mut dream = Dream::new(data, input, options, seed);
    let mut spikes = vec![0; layers.len()];
    for step in 0..options.steps {
        circuit.walk(dream.next(), |part, inputs| {
            let CircuitOp::Layer(number) = *part else { return Ok(Some(pass_on(part, inputs))) };
            let fired = layers[number].step(context.isa(), &inputs[0]);
            spikes[number] += fired.iter().filter(|&&s| s).count() as u64;
            Ok(Some(fired.to_vec()))
        })?;
        let (step, steps, spikes) = (step + 1, options.steps, spikes.clone());
        observer(ReplayProgress { step, steps, spikes });
    }
    let woken = circuit.layers.iter().zip(&layers).zip(before.iter().zip(&normalizations));
    for ((of, layer), (before, scales)) in woken {
        let fan_in = of.geometry.fan_in();
        let name = of.weight();
        let Some(parameter) = model.parameters_mut().get_mut(&name) else {
            return Err(Error::NotFound(name));
        };
        let moved = layer.weight().iter().zip(before).map(|(new, old)| new - old);
        for (j, (value, change)) in parameter.values.iter_mut().zip(moved).enumerate() {
            // A channel that normalization switches off has no weights to speak of.
            let scale = scales[j / fan_in];
            *value += if scale == 0.0 { 0.0 } else { change / scale };
        }
    }
    Ok(model)
}

/// The factor of batch normalization on every output channel of each plastic layer.
fn normalizations(model: &Model, circuit: &Circuit) -> Vec<Vec<f32>> {
    let of = |layer: &PlasticLayer| {
        let ones = || vec![1.0; layer.geometry.output.channels];
        model.normalization_scale(layer.node).unwrap_or_else(ones)
    };
    circuit.layers.iter().map(of).collect()
}

/// The layers with their weights as they sleep, and a factor on their currents.
fn layers(
    context: &Context,
    model: &Model,
    circuit: &Circuit,
    normalizations: &[Vec<f32>],
    data: &Dataset,
    options: &ReplayOptions,
) -> Result<Vec<ReplayLayer>> {
    let activations = largest_activations(context, model, circuit.layers.len(), data)?;
    let [first, between, last] = options.thresholds;
    let mut layers = Vec::new();
    // What goes from part to part is the scale of the layer before; where several meet, the largest of theirs, and where they
    // multiply, their product.
    circuit.walk(1.0_f32, |part, scales| {
        let before = match part {
            CircuitOp::Mul => scales.iter().product(),
            _ => scales.iter().fold(0.0, |a: f32, &b| a.max(b)),
        };
        let CircuitOp::Layer(number) = *part else { return Ok(Some(before)) };
        let layer = &circuit.layers[number];
        let Some(parameter) = model.parameters().get(&layer.weight()) else {
            return Err(Error::NotFound(layer.weight()));
        };
        let rows = parameter.values.chunks(layer.geometry.fan_in()).zip(&normalizations[number]);
        let weight: Vec<f32> = rows.flat_map(|(row, s)| row.iter().map(move |w| w * s)).collect();
        // The factor as applied recurses: a_1 = s_1, a_2 = s_2 / a_1, a_3 = s_3 / a_2.
        let largest = weight.iter().fold(activations[number], |a, &b| a.max(b));
        let scale = largest / before;
        if !(scale > 0.0 && scale.is_finite()) {
            let problem =
                format!("layer `{}`: no positive weight, no positive activation", layer.name);
            return Err(Error::argument("sleep replay", problem));
        }
        let threshold = if number + 1 == circuit.layers.len() {
            last
        } else if number == 0 {
            first
        } else {
            between
        };
        let alpha = options.alpha_scale / scale;
        layers.push(ReplayLayer::new(layer.geometry, &weight, alpha, threshold, options)?);
        Ok(Some(scale))
    })?;
    Ok(layers)
}

/// Images that a worker takes through the network at a time.
const CHUNK: usize = 2 * LANES;

/// The largest activation of each of `layers` layers over the data, at least 0.
fn largest_activations(
    context: &Context,
    model: &Model,
    layers: usize,
    data: &Dataset,
) -> Result<Vec<f32>> {
    let frozen = model.freeze()?;
    let mut maxima = vec![0.0_f32; layers * data.len().div_ceil(CHUNK)];
    let workers = context.workers(|context| (Tape::new(context), Vec::new()));
    workers.chunks(&mut maxima, layers, |(tape, indices), i, maxima| {
        tape.reset();
        indices.clear();
        indices.extend(i * CHUNK..data.len().min((i + 1) * CHUNK));
        let mut images = tape.tensor(model.input_shape(), indices.len(), 1);
        data.gather(tape.context(), indices, &mut images)?;
        let x = tape.constant(images);
        frozen.record_layers(tape, x, |number, value| {
            let values = value.lanes().iter().flat_map(|lanes| lanes.0);
            maxima[number] = values.fold(0.0, f32::max);
        })
    })?;
    let of = |i: usize| maxima.iter().skip(i).step_by(layers).fold(0.0_f32, |a, &b| a.max(b));
    Ok((0..layers).map(of).collect())
}

/// Spikes of the mean image, seen through a window that jumps.
struct Dream {
    /// Of a spike a step.
    probability: Vec<f32>,
    input: Shape,
    window: usize,
    generator: Xoshiro128PlusPlus,
}

impl Dream {
    fn new(data: &Dataset, input: Shape, options: &ReplayOptions, seed: u64) -> Self {
        let factor = 2.0 * f64::from(options.time_step) * f64::from(options.rate);
        let mean = data.mean_image();
        Self {
            probability: mean.into_iter().map(|mean| (factor * mean) as f32).collect(),
            input,
            window: options.window,
            generator: Key::new(seed).named("replay").generator(),
        }
    }

    fn next(&mut self) -> Vec<bool> {
        let Shape { channels, height, width } = self.input;
        let mut below =
            |count: usize| ((u64::from(self.generator.next_u32()) * count as u64) >> 32) as usize;
        let (top, left) = (below(height - self.window + 1), below(width - self.window + 1));
        let mut spikes = vec![false; self.probability.len()];
        for row in (0..channels).flat_map(|c| (top..top + self.window).map(move |y| c * height + y))
        {
            let first = row * width + left;
            let probability = &self.probability[first..][..self.window];
            for (spike, p) in spikes[first..][..self.window].iter_mut().zip(probability) {
                *spike = uniform_from_bits(self.generator.next_u32()) < *p;
            }
        }
        spikes
    }
}

/// What a part that is not a layer makes of spikes: any of a window's, any of those that meet, both of those that multiply.
fn pass_on(part: &CircuitOp, inputs: &[Vec<bool>]) -> Vec<bool> {
    match part {
        CircuitOp::MaxPool(g) | CircuitOp::AvgPool(g) => pool(g, &inputs[0]),
        CircuitOp::Add => inputs[0].iter().zip(&inputs[1]).map(|(a, b)| a | b).collect(),
        CircuitOp::Mul => inputs[0].iter().zip(&inputs[1]).map(|(a, b)| a & b).collect(),
        CircuitOp::Concat => inputs.concat(),
        CircuitOp::Layer(_) | CircuitOp::Same | CircuitOp::Scale(_) | CircuitOp::Flatten => {
            inputs[0].clone()
        }
    }
}

/// Any of every window.
fn pool(g: &PoolGeometry, spikes: &[bool]) -> Vec<bool> {
    let (image, PoolOptions { stride, padding, .. }) = (g.input, g.options);
    let Shape { height, width, .. } = g.output;
    let mut out = vec![false; g.output.features()];
    for at in (0..spikes.len()).filter(|&at| spikes[at]) {
        let (c, pixel) = (at / image.pixels(), at % image.pixels());
        let (y, x) = (pixel / image.width + padding[0], pixel % image.width + padding[1]);
        for oy in seen_by(y, g.window[0], stride[0], height) {
            for ox in seen_by(x, g.window[1], stride[1], width) {
                out[(c * height + oy) * width + ox] = true;
            }
        }
    }
    out
}
