//! The published slow-wave linear layer (docs/method.md, section 3; golden: tests/golden/stdp_linear.safetensors).

use super::{TieBreak, check_weight, load_membrane, save_membrane};
use crate::Result;
use crate::checkpoint::StateDict;
use crate::kernels::batch;
use crate::kernels::conv2d::{self, Geometry};
use crate::kernels::stdp::{self, Competition};
use crate::simd::{LANES, Lanes};
use crate::tensor::{Context, Shape, Tensor};

/// Share of the membrane that is left a step later.
const DECAY: f32 = 0.99;
/// The first thresholds, in units of the first batch's largest current.
const FIRST_THRESHOLD: f32 = 3.0;
/// What a winner lowers the others' membranes by, in units of the sample's largest current.
const INHIBITION: f32 = 25.0;
/// Learning rate of the weights.
const RATE: f32 = 1e-4;
/// Growth of a threshold, per current and win.
const GROWTH: f32 = 0.002;
/// The largest threshold; all are lowered together to keep to it.
const CEILING: f32 = 350.0;
/// The largest weight of each row.
const LARGEST: f32 = 0.1;

/// Weights and state of the layer.
#[derive(Clone, Debug)]
pub struct StdpLinear {
    geometry: Geometry,
    weight: Vec<f32>,
    packed: Vec<f32>,
    current: Tensor,
    counts: Tensor,
    membrane: Option<Tensor>,
    /// Set by the first batch.
    threshold: Option<Vec<f32>>,
}

impl StdpLinear {
    /// A layer from `features` to `outputs`, with weights `[out][features]`.
    ///
    /// # Errors
    /// If the number of weights is another.
    pub fn new(features: usize, outputs: usize, weight: &[f32]) -> Result<Self> {
        check_weight("slow-wave linear layer", features * outputs, weight)?;
        let empty = Tensor::zeros(Shape::flat(outputs), 0);
        Ok(Self {
            geometry: Geometry::linear(features, outputs),
            weight: weight.to_vec(),
            packed: Vec::new(),
            current: empty.clone(),
            counts: empty,
            membrane: None,
            threshold: None,
        })
    }

    /// Weights `[out][features]`.
    pub fn weight(&self) -> &[f32] {
        &self.weight
    }

    /// Wins of every neuron in the last batch.
    pub fn counts(&self) -> &Tensor {
        &self.counts
    }

    /// Thresholds, one an output; none before the first batch.
    pub fn threshold(&self) -> &[f32] {
        self.threshold.as_deref().unwrap_or_default()
    }

    /// Membranes after the last batch; none before the first, and after a [`reset`](Self::reset).
    pub fn membrane(&self) -> Option<&Tensor> {
        self.membrane.as_ref()
    }

    /// Forgets the membranes, as after every batch of a convolution's pass; thresholds stay.
    pub fn reset(&mut self) {
        self.membrane = None;
    }

    /// Adds weights, thresholds and membranes to a state dict, for a resumed sleep.
    pub(super) fn save_into(&self, name: &str, state: &mut StateDict) -> Result<()> {
        state.insert(&format!("{name}.weight"), vec![self.weight.len()], self.weight.clone())?;
        if let Some(threshold) = &self.threshold {
            state.insert(&format!("{name}.threshold"), vec![threshold.len()], threshold.clone())?;
        }
        save_membrane(name, self.membrane.as_ref(), state)
    }

    /// Takes back what [`save_into`](Self::save_into) added.
    pub(super) fn load_from(&mut self, name: &str, state: &StateDict) -> Result<()> {
        let weight = state.expect(&format!("{name}.weight"), &[self.weight.len()])?;
        self.weight.copy_from_slice(weight);
        let outputs = [self.geometry.output.channels];
        let threshold = state.expect_if_there(&format!("{name}.threshold"), &outputs)?;
        self.threshold = threshold.map(<[f32]>::to_vec);
        self.membrane = load_membrane(name, self.geometry.output, state)?;
        Ok(())
    }

    /// Runs the layer on a batch for `steps` time steps. Membranes and thresholds go on from the last batch.
    ///
    /// # Errors
    /// If the batch has another number of features than the layer's input.
    pub fn simulate(
        &mut self,
        context: &Context,
        x: &Tensor,
        steps: usize,
        tie: &TieBreak<'_>,
    ) -> Result<()> {
        super::check_input("slow-wave linear layer", self.geometry.input, x)?;
        let (g, isa, samples) = (self.geometry, context.isa(), x.samples());
        let outputs = g.output.channels;
        super::resize(&mut self.current, samples);
        super::resize(&mut self.counts, samples);
        conv2d::pack_convolve(context, &g, &self.weight, &mut self.packed);
        batch::convolve(context, &g, x.lanes(), &self.packed, self.current.lanes_mut());
        let current = &self.current;
        let threshold = self.threshold.get_or_insert_with(|| {
            let mut threshold = vec![f32::NEG_INFINITY; outputs];
            let mut of_block = vec![0.0; outputs];
            for block in 0..current.blocks() {
                stdp::channel_max(isa, 1, current.live(block), current.block(block), &mut of_block);
                threshold.iter_mut().zip(&of_block).for_each(|(a, &b)| *a = a.max(b));
            }
            threshold.iter().map(|largest| FIRST_THRESHOLD * largest).collect()
        });
        let competition = Competition { shape: g.output, steps, decay: DECAY, threshold };
        let mut membrane = self.membrane.take().unwrap_or_else(|| Tensor::zeros(g.output, samples));
        super::resize(&mut membrane, samples);
        let membranes = (membrane.lanes_mut(), outputs);
        context.chunks2(membranes, (self.counts.lanes_mut(), outputs), |block, membrane, count| {
            let (live, current) = (current.live(block), current.block(block));
            let mut inhibition = Lanes::splat(f32::NEG_INFINITY);
            for lanes in current {
                inhibition.0.iter_mut().zip(&lanes.0).for_each(|(a, &b)| *a = a.max(b));
            }
            inhibition.0.iter_mut().for_each(|a| *a *= INHIBITION);
            let tie = |pixel, lane, step, candidates: &[u32]| {
                tie(block * LANES + lane, pixel, step, candidates)
            };
            stdp::compete(isa, &competition, live, current, &inhibition, membrane, count, tie);
        });
        self.membrane = Some(membrane);
        Ok(())
    }

    /// What is handed on: each sample's counts over its largest; `out` has their sizes.
    pub fn normalize(&self, context: &Context, out: &mut Tensor) {
        super::normalize(context, &self.counts, out);
    }

    /// The published update from the batch `x` that was just simulated: Hebbian growth, growing thresholds, then
    /// weights clamped to 0..=1 and every row scaled to a maximum of 0.1 (a row of zeros stays).
    pub fn update(&mut self, context: &Context, x: &Tensor) {
        let g = self.geometry;
        let mut growth = vec![0.0; g.weights()];
        let counts = self.counts.lanes();
        batch::weight_gradient(context, &g, x.lanes(), counts, &mut growth, &mut Vec::new());
        if let Some(threshold) = &mut self.threshold {
            for (output, threshold) in threshold.iter_mut().enumerate() {
                let mut sum = 0.0_f32;
                for block in 0..self.counts.blocks() {
                    let pairs = self.counts.block(block)[output].0;
                    let pairs = pairs.iter().zip(&self.current.block(block)[output].0);
                    sum += pairs.map(|(count, current)| GROWTH * current * count).sum::<f32>();
                }
                *threshold += sum;
            }
            let excess = threshold.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b)) - CEILING;
            if excess > 0.0 {
                threshold.iter_mut().for_each(|threshold| *threshold -= excess);
            }
        }
        let rows = self.weight.chunks_mut(g.fan_in()).zip(growth.chunks(g.fan_in()));
        for (row, growth) in rows {
            for (w, grow) in row.iter_mut().zip(growth) {
                *w = (*w + RATE * grow).clamp(0.0, 1.0);
            }
            let largest = row.iter().fold(0.0_f32, |a, &b| a.max(b));
            if largest > 0.0 {
                row.iter_mut().for_each(|w| *w /= largest / LARGEST);
            }
        }
    }
}
