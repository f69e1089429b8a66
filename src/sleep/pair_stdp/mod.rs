//! Pair-based spike-timing-dependent plasticity with soft bounds (Eq. 9 of the paper), as published elsewhere.
//!
//! At every step, with `s` the spikes of a synapse's two ends, `x` the trace of the one before it (pre) and `y` that of
//! the one after it (post):
//!
//! ```text
//! x  <- x - x / tau_pre  + s_pre
//! y  <- y - y / tau_post + s_post
//! dw  = A+(w) x s_post - A-(w) y s_pre
//! ```
//!
//! (the order is SpikingJelly's: traces first, so that spikes of the same step count in both terms). The bounds are
//! those of Gütig et al. (2003, J. Neurosci. 23:3697): `A+(w) = a+ (w_max - w)^mu`, `A-(w) = a- (w - w_min)^mu`; the
//! exponent mu is 0 for additive plasticity with hard bounds (Song et al. 2000), 1 for multiplicative, soft ones.
//!
//! Weights stand still while time runs: the sums over time are two weight gradients, of the spikes of one end by the
//! traces of the other, a few steps at a time while both are in cache.

mod options;

pub use options::PairOptions;

use super::check_weight;
use crate::checkpoint::StateDict;
use crate::kernels::batch;
use crate::kernels::conv2d::{self, Geometry};
use crate::kernels::lif::Dynamics;
use crate::kernels::{encode, pad, trace};
use crate::simd::random::Key;
use crate::simd::{Isa, LANES, Lanes};
use crate::tensor::{Context, Tensor};
use crate::{Error, Result};

/// Lanes of spikes and traces that a block goes through before their products are summed up: 1 MiB.
const GROUP_LANES: usize = 16 * 1024;
/// Sums of weight changes that are kept at once, one set a block: 64 MiB. A wide layer goes through its blocks a few at a
/// time.
const MOST_SUMS: usize = 1 << 24;

/// A convolution or linear layer of spiking neurons with pair-based plasticity. It has state: [`simulate`] goes on from
/// where the last call ended, so that long times may come in pieces; [`update`] makes the changes that have gathered.
///
/// [`simulate`]: Self::simulate
/// [`update`]: Self::update
#[derive(Clone, Debug)]
pub struct PairLayer {
    geometry: Geometry,
    options: PairOptions,
    dynamics: Dynamics,
    weight: Vec<f32>,
    packed: Vec<f32>,
    /// For every block: membranes, synaptic currents, traces of the layer's spikes, traces of the input's.
    state: Vec<Lanes>,
    spikes: Tensor,
    /// Sums over time of trace by spike since the last update, means over samples and pixels.
    potentiation: Vec<f32>,
    depression: Vec<f32>,
}

impl PairLayer {
    /// A layer of these sizes, with weights `[out][in / groups][y][x]`; [`Geometry::linear`] is a linear layer.
    ///
    /// # Errors
    /// If the number of weights is another, or the options make no sense.
    pub fn new(geometry: Geometry, weight: &[f32], options: PairOptions) -> Result<Self> {
        options.validate()?;
        check_weight("pair-based plasticity", geometry.weights(), weight)?;
        Ok(Self {
            geometry,
            options,
            dynamics: options.neuron.dynamics()?,
            weight: weight.to_vec(),
            packed: Vec::new(),
            state: Vec::new(),
            spikes: Tensor::zeros(geometry.output, 0),
            potentiation: vec![0.0; weight.len()],
            depression: vec![0.0; weight.len()],
        })
    }

    /// Weights `[out][in][y][x]` or `[out][features]`.
    pub fn weight(&self) -> &[f32] {
        &self.weight
    }

    /// The layer's spikes in the last call of [`simulate`](Self::simulate).
    pub fn spikes(&self) -> &Tensor {
        &self.spikes
    }

    /// Sets the neurons' resistance so that, under the mean input `mean` (one step), the membrane of the most strongly
    /// driven neuron settles at `drive` thresholds; without a leak, such that it gets there in the trace's time
    /// constant. Where nothing is driven, nothing changes.
    ///
    /// # Errors
    /// If the samples do not have the shape of the layer's input.
    pub fn balance(&mut self, context: &Context, mean: &Tensor, drive: f32) -> Result<()> {
        let g = self.geometry;
        if mean.shape().features() != g.unpadded().features() || mean.steps() != 1 {
            return Err(Error::shape(
                "balance",
                format!("samples of {}, one time step", g.unpadded()),
                format!("samples of {}, {} steps", mean.shape(), mean.steps()),
            ));
        }
        conv2d::pack_convolve(context, &g, &self.weight, &mut self.packed);
        let mut current = Tensor::zeros(g.output, mean.samples());
        batch::convolve(context, &g, mean.lanes(), &self.packed, current.lanes_mut());
        // Dead lanes hold zeros.
        let largest = current.lanes().iter().flat_map(|lanes| lanes.0).fold(0.0, f32::max);
        let d = &mut self.dynamics;
        let sum = if d.decay < 1.0 { 1.0 / (1.0 - d.decay) } else { self.options.tau_post };
        let synapse = 1.0 / (1.0 - d.synapse);
        let settles = largest * synapse * sum;
        if settles > 0.0 {
            d.gain = drive * (d.threshold - d.initial) / settles;
        }
        Ok(())
    }

    /// Saves weights and resistance under `name`.
    pub(super) fn save_into(&self, name: &str, state: &mut StateDict) -> Result<()> {
        let weights = self.weight.len();
        state.insert(&format!("{name}.weight"), vec![weights], self.weight.clone())?;
        state.insert(&format!("{name}.gain"), vec![1], vec![self.dynamics.gain])
    }

    /// Takes over what [`save_into`](Self::save_into) saved.
    pub(super) fn load_from(&mut self, name: &str, state: &StateDict) -> Result<()> {
        let weights = self.weight.len();
        self.weight.copy_from_slice(state.expect(&format!("{name}.weight"), &[weights])?);
        self.dynamics.gain = state.expect(&format!("{name}.gain"), &[1])?[0];
        self.reset();
        Ok(())
    }

    /// Forgets membranes and traces (not the changes that have gathered), as before a new batch of images.
    pub fn reset(&mut self) {
        self.state.clear();
    }

    /// Runs the layer on spikes (or currents) of some time steps, from the membranes and traces that the last call left;
    /// a batch of another number of samples starts afresh.
    ///
    /// # Errors
    /// If the samples do not have the shape of the layer's input, or there are none.
    pub fn simulate(&mut self, context: &Context, x: &Tensor) -> Result<()> {
        self.advance(context, x, true)
    }

    /// [`simulate`](Self::simulate) without plasticity, for a layer before the one that learns: a third of the work.
    /// Traces stand still.
    ///
    /// # Errors
    /// As for [`simulate`](Self::simulate).
    pub fn propagate(&mut self, context: &Context, x: &Tensor) -> Result<()> {
        self.advance(context, x, false)
    }

    fn advance(&mut self, context: &Context, x: &Tensor, learn: bool) -> Result<()> {
        let g = self.geometry;
        let (inputs, outputs) = (g.unpadded().features(), g.output.features());
        let (samples, steps) = (x.samples(), x.steps());
        if x.shape().features() != inputs || samples == 0 {
            return Err(Error::shape(
                "pair-based plasticity",
                format!("samples of {}", g.unpadded()),
                format!("{samples} samples of {}", x.shape()),
            ));
        }
        let blocks = x.blocks() / steps;
        let size = 3 * outputs + g.input.features();
        if self.state.len() != blocks * size || self.spikes.samples() != samples {
            self.state.clear();
            self.state.resize(blocks * size, Lanes::ZERO);
            let initial = Lanes::splat(self.dynamics.initial);
            self.state.chunks_mut(size).for_each(|state| state[..outputs].fill(initial));
        }
        conv2d::pack_convolve(context, &g, &self.weight, &mut self.packed);
        let mut state = std::mem::take(&mut self.state);
        let empty = Tensor::zeros(g.output, 0);
        let buffer = std::mem::replace(&mut self.spikes, empty).into_lanes();
        let mut spikes = Tensor::with_steps(g.output, samples, steps, buffer);
        let sums_of_block = if learn { 2 * g.weights() } else { 0 };
        let together = (MOST_SUMS / sums_of_block.max(1)).max(context.threads()).min(blocks);
        let mut sums = vec![0.0; together * sums_of_block.max(1)];
        let mean = 1.0 / (samples * g.output.pixels()) as f32;

        let memory = Memory::new(&g, steps, learn);
        let (isa, scratch) = (context.isa(), memory.lanes());
        for first in (0..blocks).step_by(together) {
            let count = together.min(blocks - first);
            let range = |size: usize| first * size..(first + count) * size;
            let outs = (&mut spikes.lanes_mut()[range(steps * outputs)], steps * outputs);
            let states = (&mut state[range(size)], size);
            let sums = &mut sums[..count * sums_of_block.max(1)];
            sums.fill(0.0);
            let (this, sums_of) = (&*self, (&mut *sums, sums_of_block.max(1)));
            context.chunks3(outs, states, sums_of, |i, spikes, state, sums| {
                let block = (first + i) * steps;
                let (live, x) = (x.live(block), &x.lanes()[block * inputs..][..steps * inputs]);
                context.with_scratch(scratch, |scratch| {
                    this.run(isa, live, learn, &memory, x, spikes, state, sums, scratch);
                });
            });
            for sums in sums.chunks(sums_of_block.max(1)).filter(|_| learn) {
                let totals = self.potentiation.iter_mut().chain(&mut self.depression);
                totals.zip(sums).for_each(|(total, sum)| *total += mean * *sum);
            }
        }
        (self.state, self.spikes) = (state, spikes);
        Ok(())
    }

    /// All steps of one block.
    #[expect(clippy::too_many_arguments, reason = "the arrays of one block")]
    fn run(
        &self,
        isa: Isa,
        live: usize,
        learn: bool,
        memory: &Memory,
        x: &[Lanes],
        spikes: &mut [Lanes],
        state: &mut [Lanes],
        sums: &mut [f32],
        scratch: &mut [Lanes],
    ) {
        let (g, d) = (&self.geometry, &self.dynamics);
        let (inputs, outputs) = (g.unpadded().features(), g.output.features());
        let [keep_pre, keep_post] =
            [self.options.tau_pre, self.options.tau_post].map(|tau| 1.0 - 1.0 / tau);
        let (membrane, state) = state.split_at_mut(outputs);
        let (current, state) = state.split_at_mut(outputs);
        let (post, pre) = state.split_at_mut(outputs);
        let (u, scratch) = scratch.split_at_mut(outputs);
        let (bordered, scratch) = scratch.split_at_mut(memory.bordered);
        let (traces_pre, scratch) = scratch.split_at_mut(memory.traces_pre);
        let (traces_post, scratch) = scratch.split_at_mut(memory.traces_post);
        let group = memory.steps;
        for (x, spikes) in x.chunks(group * inputs).zip(spikes.chunks_mut(group * outputs)) {
            for (x, spikes) in x.chunks(inputs).zip(spikes.chunks_mut(outputs)) {
                conv2d::convolve(isa, g, x, &self.packed, u, scratch);
                trace::spike(isa, d, live, u, membrane, current, spikes);
            }
            if !learn {
                continue;
            }
            // With their border, as weight gradients want them; a trace of zeros is zero.
            let x = if g.is_padded() {
                let length = x.len() / inputs * g.input.features();
                let bordered = &mut bordered[..length];
                for (x, out) in x.chunks(inputs).zip(bordered.chunks_mut(g.input.features())) {
                    pad::pad(g.unpadded(), g.padding, x, out);
                }
                &*bordered
            } else {
                x
            };
            let (traces_pre, traces_post) =
                (&mut traces_pre[..x.len()], &mut traces_post[..spikes.len()]);
            follow(isa, keep_pre, x, pre, traces_pre);
            follow(isa, keep_post, spikes, post, traces_post);
            let (up, down) = sums.split_at_mut(g.weights());
            add_products(isa, g, traces_pre, spikes, up, scratch);
            add_products(isa, g, x, traces_post, down, scratch);
        }
    }

    /// Makes the changes that have gathered since the last update: Eq. 9 summed over time, its mean over samples and
    /// pixels (a convolution's weight is one synapse at every pixel).
    pub fn update(&mut self) {
        let sums = self.potentiation.iter_mut().zip(&mut self.depression);
        for (weight, (up, down)) in self.weight.iter_mut().zip(sums) {
            *weight += self.options.change(*weight, *up, *down);
            (*up, *down) = (0.0, 0.0);
        }
    }
}

/// Lanes that a block goes through a number of steps at a time.
struct Memory {
    /// Steps at a time.
    steps: usize,
    current: usize,
    bordered: usize,
    traces_pre: usize,
    traces_post: usize,
    /// For the convolution and its weight gradient.
    kernels: usize,
}

impl Memory {
    fn new(g: &Geometry, steps: usize, learn: bool) -> Self {
        let (inputs, outputs) = (g.input.features(), g.output.features());
        let steps = (GROUP_LANES / (2 * (inputs + outputs))).clamp(1, steps);
        let of = |lanes: usize| if learn { steps * lanes } else { 0 };
        Self {
            steps,
            current: outputs,
            bordered: if g.is_padded() { of(inputs) } else { 0 },
            traces_pre: of(inputs),
            traces_post: of(outputs),
            kernels: conv2d::convolve_scratch(g, 1).max(2 * g.fan_in()),
        }
    }

    fn lanes(&self) -> usize {
        self.current + self.bordered + self.traces_pre + self.traces_post + self.kernels
    }
}

/// Traces of some steps of spikes, from and to `trace`.
fn follow(isa: Isa, keep: f32, spikes: &[Lanes], trace: &mut [Lanes], out: &mut [Lanes]) {
    let features = trace.len();
    for (spikes, out) in spikes.chunks(features).zip(out.chunks_mut(features)) {
        trace::follow(isa, keep, spikes, trace, out);
    }
}

/// Adds the products of two ends of every synapse over some steps, two output channels at a time.
fn add_products(
    isa: Isa,
    g: &Geometry,
    x: &[Lanes],
    grad: &[Lanes],
    sums: &mut [f32],
    scratch: &mut [Lanes],
) {
    let (pixels, outputs, taps) = (g.output.pixels(), g.output.features(), g.fan_in());
    let mut rows = vec![0.0; 2 * taps];
    for (group, sums) in sums.chunks_mut(g.out_channels() * taps).enumerate() {
        for (i, sums) in sums.chunks_mut(2 * taps).enumerate() {
            let channel = group * g.out_channels() + 2 * i;
            // Spikes are rare: often these channels are silent.
            let (first, count) = (channel * pixels, sums.len() / taps * pixels);
            let mut steps = grad.chunks(outputs).map(|grad| &grad[first..first + count]);
            if steps.all(|grad| grad.iter().all(|lanes| *lanes == Lanes::ZERO)) {
                continue;
            }
            let (rows, scratch) = (&mut rows[..sums.len()], &mut scratch[..sums.len()]);
            conv2d::weight_grad(isa, g, x, grad, channel, rows, scratch);
            sums.iter_mut().zip(rows).for_each(|(sum, &mut row)| *sum += row);
        }
    }
}

/// Poisson trains of images: at each of `steps` time steps, 1 with probability `rate * pixel`, else 0. A sample's draws
/// depend on `noise` and on its place among the images; for time in pieces, every piece needs a key of its own.
///
/// # Errors
/// If the rate is not in 0..=1, there are no steps, or the images have time steps already.
pub fn poisson_trains(
    context: &Context,
    images: &Tensor,
    rate: f32,
    steps: usize,
    noise: Key,
) -> Result<Tensor> {
    let features = images.shape().features();
    if !(0.0..=1.0).contains(&rate) || steps == 0 || images.steps() != 1 || features == 0 {
        let problem = format!(
            "rate {rate} (0 to 1), {steps} steps (at least 1), images of {features} pixels (at least 1) and {} steps (1)",
            images.steps()
        );
        return Err(Error::argument("Poisson trains", problem));
    }
    let mut out = Tensor::with_steps(images.shape(), images.samples(), steps, Vec::new());
    let isa = context.isa();
    context.chunks(out.lanes_mut(), steps * features, |block, out| {
        let keys = std::array::from_fn(|lane| noise.with((block * LANES + lane) as u64));
        encode::poisson(isa, rate, &keys, images.block(block), out);
    });
    Ok(out)
}
