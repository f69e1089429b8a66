//! One layer of a sleep replay: its neurons and its weight update, computed spike by spike.

use super::ReplayOptions;
use crate::Result;
use crate::kernels::conv2d::Geometry;
use crate::simd::{Isa, LANES, Lanes, Simd, dispatch, math};
use crate::sleep::check_weight;
use crate::tensor::Shape;
use std::ops::Range;

/// Neurons `v <- decay v + alpha W s`, a spike and a reset to 0 where `v >= threshold`, and then, in the same step, for
/// every neuron that spiked:
///
/// ```text
/// w <- w + increase phi(w)   where the input spiked       phi(w) = 2 (1 - sigmoid(w / softness))
/// w <- w - decrease phi(w)   where it did not
/// ```
///
/// A convolution's weight is many synapses, one at every place; it gets the mean of their changes.
#[derive(Clone, Debug)]
pub struct ReplayLayer {
    geometry: Geometry,
    weight: Vec<f32>,
    alpha: f32,
    threshold: f32,
    decay: f32,
    increase: f32,
    decrease: f32,
    softness: f32,
    membrane: Vec<f32>,
    spikes: Vec<bool>,
    /// `W s` of this step.
    impulse: Vec<f32>,
    /// For one output channel, how often each weight's two ends spiked in this step.
    together: Vec<u32>,
}

impl ReplayLayer {
    /// A layer of these sizes with weights `[out][in / groups][y][x]`, factor `alpha` on its currents and this threshold;
    /// the options give the rest.
    ///
    /// # Errors
    /// If the number of weights is another, or the options make no sense.
    pub fn new(
        geometry: Geometry,
        weight: &[f32],
        alpha: f32,
        threshold: f32,
        options: &ReplayOptions,
    ) -> Result<Self> {
        options.validate()?;
        check_weight("sleep replay", geometry.weights(), weight)?;
        let features = geometry.output.features();
        Ok(Self {
            geometry,
            weight: weight.to_vec(),
            alpha,
            threshold,
            decay: options.decay,
            increase: options.increase,
            decrease: options.decrease,
            softness: options.softness,
            membrane: vec![0.0; features],
            spikes: vec![false; features],
            impulse: vec![0.0; features],
            together: vec![0; geometry.fan_in()],
        })
    }

    /// Weights `[out][in / groups][y][x]`.
    pub fn weight(&self) -> &[f32] {
        &self.weight
    }

    /// Membranes, after the reset.
    pub fn membrane(&self) -> &[f32] {
        &self.membrane
    }

    /// The shape of its spikes.
    pub fn output(&self) -> Shape {
        self.geometry.output
    }

    /// One step of neurons and weights; returns who spiked. `input` holds one truth value a feature of the geometry's
    /// input, without its border; missing ones are silent.
    pub fn step(&mut self, isa: Isa, input: &[bool]) -> &[bool] {
        let input = &input[..input.len().min(self.geometry.unpadded().features())];
        self.integrate(input);
        for channel in 0..self.geometry.output.channels {
            self.learn(isa, input, channel);
        }
        &self.spikes
    }

    fn integrate(&mut self, input: &[bool]) {
        let g = &self.geometry;
        let [kernel_y, kernel_x] = g.kernel;
        let [stride_y, stride_x] = g.stride;
        let (image, Shape { height, width, .. }) = (g.unpadded(), g.output);
        self.impulse.fill(0.0);
        for at in (0..input.len()).filter(|&at| input[at]) {
            let (channel, pixel) = (at / image.pixels(), at % image.pixels());
            let (y, x) = (pixel / image.width + g.padding[0], pixel % image.width + g.padding[1]);
            let (group, channel) = (channel / g.in_channels(), channel % g.in_channels());
            // The outputs (oy, ox) that see this input, by the tap (y - stride oy, x - stride ox).
            let rows = seen_by(y, kernel_y, stride_y, height);
            let columns = seen_by(x, kernel_x, stride_x, width);
            for out in group * g.out_channels()..(group + 1) * g.out_channels() {
                for oy in rows.clone() {
                    let kernel = (out * g.in_channels() + channel) * kernel_y + y - stride_y * oy;
                    let taps = &self.weight[kernel * kernel_x..][..kernel_x];
                    let impulse = &mut self.impulse[(out * height + oy) * width..][..width];
                    for ox in columns.clone() {
                        impulse[ox] += taps[x - stride_x * ox];
                    }
                }
            }
        }
        let neurons = self.membrane.iter_mut().zip(&mut self.spikes).zip(&self.impulse);
        for ((v, spike), impulse) in neurons {
            *v = self.alpha.mul_add(*impulse, self.decay * *v);
            *spike = *v >= self.threshold;
            if *spike {
                *v = 0.0;
            }
        }
    }

    /// The rule, for the weights of one output channel.
    fn learn(&mut self, isa: Isa, input: &[bool], channel: usize) {
        let g = &self.geometry;
        let [kernel_y, kernel_x] = g.kernel;
        let (pixels, width, image) = (g.output.pixels(), g.output.width, g.unpadded());
        let spikes = &self.spikes[channel * pixels..][..pixels];
        let spiked = spikes.iter().filter(|&&s| s).count();
        if spiked == 0 {
            return;
        }
        let first_channel = channel / g.out_channels() * g.in_channels();
        self.together.fill(0);
        for pixel in (0..pixels).filter(|&pixel| spikes[pixel]) {
            let (y, x) = (pixel / width * g.stride[0], pixel % width * g.stride[1]);
            // The taps that lie on the image, not on its border.
            let last = (image.width + g.padding[1]).saturating_sub(x).min(kernel_x);
            let taps = g.padding[1].saturating_sub(x).min(last)..last;
            if taps.is_empty() {
                continue;
            }
            for (row, together) in self.together.chunks_mut(kernel_x).enumerate() {
                let (c, y) = (first_channel + row / kernel_y, y + row % kernel_y);
                let Some(y) = y.checked_sub(g.padding[0]).filter(|&y| y < image.height) else {
                    continue;
                };
                let first = (c * image.height + y) * image.width + x + taps.start - g.padding[1];
                let seen = input.iter().skip(first);
                let together = &mut together[taps.clone()];
                together.iter_mut().zip(seen).for_each(|(n, &s)| *n += u32::from(s));
            }
        }
        let (increase, decrease) = (self.increase / pixels as f32, self.decrease / pixels as f32);
        let weights = &mut self.weight[channel * g.fan_in()..][..g.fan_in()];
        for (weights, together) in weights.chunks_mut(LANES).zip(self.together.chunks(LANES)) {
            let phi = bound(isa, weights, self.softness);
            for ((w, &together), phi) in weights.iter_mut().zip(together).zip(phi.0) {
                let alone = spiked as u32 - together;
                *w += (increase * together as f32 - decrease * alone as f32) * phi;
            }
        }
    }
}

/// The outputs along one side that see place `at` of the input with its border.
pub(super) fn seen_by(at: usize, kernel: usize, stride: usize, outputs: usize) -> Range<usize> {
    (at + 1).saturating_sub(kernel).div_ceil(stride)..outputs.min(at / stride + 1)
}

/// `2 (1 - sigmoid(w / softness))` of up to sixteen weights.
fn bound(isa: Isa, weights: &[f32], softness: f32) -> Lanes {
    let mut lanes = Lanes::ZERO;
    lanes.0.iter_mut().zip(weights).for_each(|(lane, w)| *lane = -w / softness);
    dispatch!(isa, s => {
        // 1 - sigmoid(x) = sigmoid(-x), without the cancellation.
        let phi = s.mul(s.splat(2.0), math::sigmoid(s, s.load(&lanes)));
        s.store(phi, &mut lanes);
    });
    lanes
}
