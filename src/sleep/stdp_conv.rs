//! The published slow-wave convolution layer (docs/method.md, section 3; golden: tests/golden/stdp_conv.safetensors).

use super::{TieBreak, check_weight, load_membrane, save_membrane};
use crate::Result;
use crate::checkpoint::StateDict;
use crate::kernels::batch;
use crate::kernels::conv2d::{self, Geometry};
use crate::kernels::stdp::{self, Competition};
use crate::simd::{LANES, Lanes};
use crate::tensor::{Context, Tensor};

/// Share of the membrane that is left a step later: exp(-1/100), as in the published code.
const DECAY: f32 = 0.990_049_8;
/// What a winner lowers the others' membranes by, in units of the threshold.
const INHIBITION: f32 = 1.625;
/// Added to the largest current to make the threshold.
const MARGIN: f32 = 1e-4;

/// Weights and state of the layer.
#[derive(Clone, Debug)]
pub struct StdpConv {
    geometry: Geometry,
    weight: Vec<f32>,
    packed: Vec<f32>,
    /// `conv(x, weight)` of the last batch.
    u: Tensor,
    /// Squashed current, in units of the threshold.
    current: Tensor,
    counts: Tensor,
    /// The gradient of the currents: kept for its memory.
    delta: Tensor,
    /// Membranes after the last batch, in their own unit.
    membrane: Option<Tensor>,
    threshold: Vec<f32>,
}

impl StdpConv {
    /// A layer of these sizes, with weights `[out][in / groups][y][x]`.
    ///
    /// # Errors
    /// If the number of weights is another.
    pub fn new(geometry: Geometry, weight: &[f32]) -> Result<Self> {
        check_weight("slow-wave convolution", geometry.weights(), weight)?;
        let empty = Tensor::zeros(geometry.output, 0);
        Ok(Self {
            geometry,
            weight: weight.to_vec(),
            packed: Vec::new(),
            u: empty.clone(),
            current: empty.clone(),
            counts: empty.clone(),
            delta: empty,
            membrane: None,
            threshold: vec![0.0; geometry.output.channels],
        })
    }

    /// Weights `[out][in / groups][y][x]`.
    pub fn weight(&self) -> &[f32] {
        &self.weight
    }

    /// Wins of every neuron in the last batch.
    pub fn counts(&self) -> &Tensor {
        &self.counts
    }

    /// The last batch's threshold, one number a channel.
    pub fn threshold(&self) -> &[f32] {
        &self.threshold
    }

    /// Forgets the membranes, as after every batch of a convolution's own pass.
    pub fn reset(&mut self) {
        self.membrane = None;
    }

    /// Runs the layer on a batch for `steps` time steps, from the membranes that the last batch left.
    ///
    /// # Errors
    /// If the batch has another shape than the layer's input.
    pub fn simulate(
        &mut self,
        context: &Context,
        x: &Tensor,
        steps: usize,
        tie: &TieBreak<'_>,
    ) -> Result<()> {
        super::check_input("slow-wave convolution", self.geometry.unpadded(), x)?;
        let (g, isa, samples) = (self.geometry, context.isa(), x.samples());
        let (features, pixels, channels) =
            (g.output.features(), g.output.pixels(), g.output.channels);
        for tensor in [&mut self.u, &mut self.current, &mut self.counts] {
            super::resize(tensor, samples);
        }
        conv2d::pack_convolve(context, &g, &self.weight, &mut self.packed);
        batch::convolve(context, &g, x.lanes(), &self.packed, self.u.lanes_mut());
        let mut largest = vec![0.0; x.blocks() * channels];
        context.chunks(&mut largest, channels, |block, largest| {
            stdp::channel_max(isa, pixels, x.live(block), self.u.block(block), largest);
        });
        for (channel, threshold) in self.threshold.iter_mut().enumerate() {
            let of_blocks = largest.iter().skip(channel).step_by(channels);
            *threshold = of_blocks.fold(f32::NEG_INFINITY, |a, &b| a.max(b)) + MARGIN;
        }

        // In units of the threshold. A channel that is negative everywhere has a negative threshold, and its membrane
        // is above it at every step; one of threshold zero never gets there.
        let threshold = &self.threshold;
        let limit: Vec<f32> = threshold
            .iter()
            .map(|&th| {
                if th > 0.0 {
                    1.0
                } else if th < 0.0 {
                    f32::NEG_INFINITY
                } else {
                    f32::INFINITY
                }
            })
            .collect();
        let competition = Competition { shape: g.output, steps, decay: DECAY, threshold: &limit };
        let mut membrane = self.membrane.take().unwrap_or_else(|| Tensor::zeros(g.output, samples));
        super::resize(&mut membrane, samples);
        let rescale = |planes: &mut [Lanes], factor: &dyn Fn(f32) -> f32| {
            for (plane, &th) in planes.chunks_mut(pixels).zip(threshold) {
                let factor = factor(th);
                plane.iter_mut().for_each(|m| m.0.iter_mut().for_each(|m| *m *= factor));
            }
        };
        let u = &self.u;
        let inhibition = Lanes::splat(INHIBITION);
        let current = (self.current.lanes_mut(), features);
        let membranes = (membrane.lanes_mut(), features);
        let counts = (self.counts.lanes_mut(), features);
        context.chunks3(current, membranes, counts, |block, current, membrane, count| {
            let live = u.live(block);
            stdp::squash(isa, pixels, live, u.block(block), threshold, current);
            rescale(membrane, &|th| if th == 0.0 { 0.0 } else { 1.0 / th });
            let tie = |pixel, lane, step, candidates: &[u32]| {
                tie(block * LANES + lane, pixel, step, candidates)
            };
            stdp::compete(isa, &competition, live, current, &inhibition, membrane, count, tie);
            rescale(membrane, &|th| th);
        });
        self.membrane = Some(membrane);
        Ok(())
    }

    /// Adds weights and membranes to a state dict, for a resumed sleep.
    pub(super) fn save_into(&self, name: &str, state: &mut StateDict) -> Result<()> {
        state.insert(&format!("{name}.weight"), vec![self.weight.len()], self.weight.clone())?;
        save_membrane(name, self.membrane.as_ref(), state)
    }

    /// Takes back what [`save_into`](Self::save_into) added.
    pub(super) fn load_from(&mut self, name: &str, state: &StateDict) -> Result<()> {
        let weight = state.expect(&format!("{name}.weight"), &[self.weight.len()])?;
        self.weight.copy_from_slice(weight);
        self.membrane = load_membrane(name, self.geometry.output, state)?;
        Ok(())
    }

    /// What is handed on: each sample's counts over its largest; `out` has their sizes.
    pub fn normalize(&self, context: &Context, out: &mut Tensor) {
        super::normalize(context, &self.counts, out);
    }

    /// The derivative of the mean of current x count to the weights, through the threshold as well: G of docs/method.md, one
    /// weight-gradient pass over the batch `x` that was just simulated.
    pub fn gradient(&mut self, context: &Context, x: &Tensor) -> Vec<f32> {
        let (g, isa) = (self.geometry, context.isa());
        let (features, pixels, channels) =
            (g.output.features(), g.output.pixels(), g.output.channels);
        let scale = 1.0 / (self.u.samples() * pixels) as f32;
        super::resize(&mut self.delta, self.u.samples());
        let mut delta = std::mem::replace(&mut self.delta, Tensor::zeros(g.output, 0));
        let mut partial = vec![0.0; delta.blocks() * channels];
        let deltas = (delta.lanes_mut(), features);
        context.chunks2(deltas, (&mut partial, channels), |block, delta, partial| {
            let (u, count) = (self.u.block(block), self.counts.block(block));
            stdp::squash_grad(isa, pixels, scale, u, &self.threshold, count, delta, partial);
        });
        for channel in 0..channels {
            let total: f32 = partial.iter().skip(channel).step_by(channels).sum();
            if let Some((place, lane)) = self.arg_max(channel) {
                delta.lanes_mut()[place].0[lane] += total;
            }
        }
        let mut grad = vec![0.0; g.weights()];
        let memory = &mut Vec::new();
        batch::weight_gradient(context, &g, x.lanes(), delta.lanes(), &mut grad, memory);
        self.delta = delta;
        grad
    }

    /// The first place (sample, then pixel) that holds a channel's largest current: (index of lanes, lane).
    fn arg_max(&self, channel: usize) -> Option<(usize, usize)> {
        let (pixels, features) = (self.geometry.output.pixels(), self.geometry.output.features());
        let mut best: Option<(f32, usize, usize)> = None;
        for block in 0..self.u.blocks() {
            let first = block * features + channel * pixels;
            for lane in 0..self.u.live(block) {
                for place in first..first + pixels {
                    let value = self.u.lanes()[place].0[lane];
                    if best.is_none_or(|(largest, ..)| value > largest) {
                        best = Some((value, place, lane));
                    }
                }
            }
        }
        best.map(|(_, place, lane)| (place, lane))
    }

    /// The published update: `weight <- zscore(weight + rate * gradient)`.
    pub fn update(&mut self, gradient: &[f32], rate: f32) {
        self.weight.iter_mut().zip(gradient).for_each(|(w, g)| *w += rate * g);
        self.standardize();
    }

    /// Mean 0 and population standard deviation 1 in every output channel (one without spread becomes zeros).
    pub fn standardize(&mut self) {
        for kernel in self.weight.chunks_mut(self.geometry.fan_in()) {
            let count = kernel.len() as f64;
            let mean = kernel.iter().map(|&w| f64::from(w)).sum::<f64>() / count;
            let squares = kernel.iter().map(|&w| (f64::from(w) - mean).powi(2)).sum::<f64>();
            let deviation = (squares / count).sqrt();
            let scale = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
            kernel.iter_mut().for_each(|w| *w = ((f64::from(*w) - mean) * scale) as f32);
        }
    }
}
