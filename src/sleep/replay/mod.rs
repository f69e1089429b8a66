//! Sleep replay (Tadros, Krishnan, Ramyaa and Bazhenov 2022, Nature Communications 13:7742), on LeNet's layers.
//!
//! The trained network becomes one of leaky integrate-and-fire neurons, its layers scaled by their largest activations;
//! noise from the mean training image, seen through a small window, drives it; and whenever a neuron spikes, its
//! weights from inputs that spiked too rise, the others fall (METHOD section 7). The published
//! algorithm knows fully connected layers. Here, convolutions learn patch by patch, the changes averaged over all places, and batch
//! normalization is folded into the weights that sleep; its shift drives no neuron (the authors' layers have no bias).
//!
//! There is one dream, not a batch: sixteen lanes would have nothing to do. What counts is that spikes are rare, so work
//! is done spike by spike.

mod layer;

pub use layer::ReplayLayer;

use crate::autodiff::{FrozenConv, Tape};
use crate::data::Dataset;
use crate::kernels::conv2d::{Conv2dOptions, Geometry};
use crate::nn::{BATCH_NORM_EPS, Freeze, LeNet, Network};
use crate::simd::LANES;
use crate::simd::random::{Key, uniform_from_bits};
use crate::tensor::{Context, Shape};
use crate::{Error, Result};
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The options of a sleep replay. The defaults are those that the authors found for class-incremental MNIST with three
/// layers of weights, 784-1200-1200-10. They are not LeNet's: under them one forgets most of what it knows within a few
/// hundred steps (a hundredth of both rates of change left 94 of 96 % after 2,000). Tune them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
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
    /// What a membrane must reach to spike, in each layer.
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

/// How far a sleep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayProgress {
    /// Steps that are done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Spikes so far, of each layer.
    pub spikes: [u64; 3],
}

/// Puts a LeNet to sleep; `data` is what it was trained on, whose mean image it dreams of; the dreams follow from `seed`. `progress` is called after
/// every step.
///
/// # Errors
/// If the options make no sense, the images are not LeNet's, there are none, or a layer has neither a positive weight
/// nor a positive activation.
pub fn replay(
    context: &Context,
    lenet: &LeNet,
    data: &Dataset,
    options: &ReplayOptions,
    seed: u64,
    progress: &mut (dyn FnMut(ReplayProgress) + Send),
) -> Result<LeNet> {
    options.validate()?;
    let input = lenet.input_shape();
    let fits = data.shape() == input;
    if data.is_empty() || !fits || options.window > input.height.min(input.width) {
        let found = format!("{} of {}, window {}", data.len(), data.shape(), options.window);
        return Err(Error::shape(
            "sleep replay",
            format!("images of {input}, a window inside"),
            found,
        ));
    }
    let mut lenet = lenet.clone();
    let mut layers = layers(context, &lenet, data, options)?;
    let before = layers.each_ref().map(|layer| layer.weight().to_vec());
    let mut dream = Dream::new(data, input, options, seed);
    let mut spikes = [0; 3];
    for step in 0..options.steps {
        let mut seen = dream.next();
        for (layer, spikes) in layers.iter_mut().zip(&mut spikes) {
            let shape = layer.output();
            let fired = layer.step(context.isa(), &seen);
            *spikes += fired.iter().filter(|&&s| s).count() as u64;
            seen = if shape.pixels() > 1 { pool(shape, fired) } else { Vec::new() };
        }
        progress(ReplayProgress { step: step + 1, steps: options.steps, spikes });
    }
    let scales = fold(&lenet);
    for (i, (layer, before)) in layers.iter().zip(&before).enumerate() {
        let fan_in = before.len() / layer.output().channels;
        let values = &mut lenet.parameters_mut().get_mut(NAMES[i]).ok_or_else(missing)?.values;
        let moved = layer.weight().iter().zip(before).map(|(new, old)| new - old);
        for (j, (value, change)) in values.iter_mut().zip(moved).enumerate() {
            // A channel that normalization switches off has no weights to speak of.
            let scale = scales[i][j / fan_in];
            *value += if scale == 0.0 { 0.0 } else { change / scale };
        }
    }
    Ok(lenet)
}

const NAMES: [&str; 3] = ["conv1.weight", "conv2.weight", "fc.weight"];

fn missing() -> Error {
    Error::argument("sleep replay", "LeNet lacks a layer")
}

/// The factor of batch normalization on every output channel of the three layers.
fn fold(lenet: &LeNet) -> [Vec<f32>; 3] {
    let parameters = lenet.parameters();
    let of = |i: usize| {
        let (weight, bias) = (&parameters[3 * i + 1].values, &parameters[3 * i + 2].values);
        lenet.statistics()[i].fold(weight, bias, BATCH_NORM_EPS).0
    };
    [of(0), of(1), vec![1.0; lenet.classes()]]
}

fn layers(
    context: &Context,
    lenet: &LeNet,
    data: &Dataset,
    options: &ReplayOptions,
) -> Result<[ReplayLayer; 3]> {
    let frozen = lenet.freeze()?.layers();
    let activations = largest_activations(context, lenet, &frozen, data)?;
    let scales = fold(lenet);
    let mut input = lenet.input_shape();
    let mut before = 1.0;
    let mut layer = |i: usize| {
        let parameter = lenet.parameters().get(NAMES[i]).ok_or_else(missing)?;
        let geometry = match parameter.shape[..] {
            [out, channels, y, x] => {
                Geometry::new(input, [out, channels, y, x], Conv2dOptions::default())?
            }
            _ => Geometry::linear(input.features(), lenet.classes()),
        };
        let Shape { channels, height, width } = geometry.output;
        input = Shape::new(channels, height / 2, width / 2);
        let rows = parameter.values.chunks(geometry.fan_in()).zip(&scales[i]);
        let weight: Vec<f32> = rows.flat_map(|(row, s)| row.iter().map(move |w| w * s)).collect();
        // The factor as applied recurses: a_1 = s_1, a_2 = s_2 / a_1, a_3 = s_3 / a_2.
        let largest = weight.iter().fold(activations[i], |a, &b| a.max(b));
        let scale = largest / before;
        before = scale;
        if !(scale > 0.0 && scale.is_finite()) {
            let problem = format!("{}: no positive weight, no positive activation", NAMES[i]);
            return Err(Error::argument("sleep replay", problem));
        }
        ReplayLayer::new(
            geometry,
            &weight,
            options.alpha_scale / scale,
            options.thresholds[i],
            options,
        )
    };
    Ok([layer(0)?, layer(1)?, layer(2)?])
}

/// Images that a worker takes through the network at a time.
const CHUNK: usize = 2 * LANES;

/// The largest activation of every layer over the data, at least 0.
fn largest_activations(
    context: &Context,
    lenet: &LeNet,
    layers: &[Arc<FrozenConv>; 3],
    data: &Dataset,
) -> Result<[f32; 3]> {
    let mut maxima = vec![0.0_f32; 3 * data.len().div_ceil(CHUNK)];
    let workers = context.workers(|context| (Tape::new(context), Vec::new()));
    workers.chunks(&mut maxima, 3, |(tape, indices), i, maxima| {
        tape.reset();
        indices.clear();
        indices.extend(i * CHUNK..data.len().min((i + 1) * CHUNK));
        let mut images = tape.tensor(lenet.input_shape(), indices.len(), 1);
        data.gather(tape.context(), indices, &mut images)?;
        let x = tape.constant(images);
        let hidden = tape.frozen_relu_pool(x, &layers[0])?;
        let features = tape.frozen_relu_pool(hidden, &layers[1])?;
        let logits = tape.frozen(features, &layers[2])?;
        for (largest, var) in maxima.iter_mut().zip([hidden, features, logits]) {
            let values = tape.value(var).lanes().iter().flat_map(|lanes| lanes.0);
            *largest = values.fold(0.0, f32::max);
        }
        Ok(())
    })?;
    let of = |i: usize| maxima.iter().skip(i).step_by(3).fold(0.0_f32, |a, &b| a.max(b));
    Ok([of(0), of(1), of(2)])
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

/// Any of every 2 x 2 window.
fn pool(shape: Shape, spikes: &[bool]) -> Vec<bool> {
    let Shape { height, width, .. } = shape;
    let mut out = vec![false; shape.channels * (height / 2) * (width / 2)];
    for at in (0..spikes.len()).filter(|&at| spikes[at]) {
        let (c, y, x) = (at / (height * width), at / width % height, at % width);
        if y / 2 < height / 2 && x / 2 < width / 2 {
            out[(c * (height / 2) + y / 2) * (width / 2) + x / 2] = true;
        }
    }
    out
}
