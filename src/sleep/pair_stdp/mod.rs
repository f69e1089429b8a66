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

use crate::checkpoint::StateDict;
use crate::kernels::batch;
use crate::kernels::conv2d::{self, Conv2dOptions, Geometry};
use crate::kernels::lif::Dynamics;
use crate::kernels::{encode, stdp, trace};
use crate::simd::random::Key;
use crate::simd::{Isa, LANES, Lanes};
use crate::tensor::{Context, Shape, Tensor};
use crate::{Error, Result};

/// Lanes of spikes and traces that a block goes through before their products are summed up: 1 MiB.
const GROUP_LANES: usize = 16 * 1024;

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
    /// A layer of `channels` square kernels on inputs of this shape, with weights `[out][in][y][x]`.
    ///
    /// # Errors
    /// If the sizes do not fit together, or the options make no sense.
    pub fn conv(
        input: Shape,
        channels: usize,
        kernel: usize,
        weight: &[f32],
        options: PairOptions,
    ) -> Result<Self> {
        let sizes = [channels, input.channels, kernel, kernel];
        Self::new(Geometry::new(input, sizes, Conv2dOptions::default())?, weight, options)
    }

    /// A layer from `features` to `outputs`, with weights `[out][features]`.
    ///
    /// # Errors
    /// If the number of weights is another, or the options make no sense.
    pub fn linear(
        features: usize,
        outputs: usize,
        weight: &[f32],
        options: PairOptions,
    ) -> Result<Self> {
        Self::new(Geometry::linear(features, outputs), weight, options)
    }

    fn new(geometry: Geometry, weight: &[f32], options: PairOptions) -> Result<Self> {
        options.validate()?;
        if weight.len() != geometry.weights() || weight.is_empty() {
            return Err(Error::shape(
                "pair-based plasticity",
                format!("{} weights, at least one", geometry.weights()),
                format!("{}", weight.len()),
            ));
        }
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

    /// What a next convolution gets: the spikes, any of every 2 x 2 window.
    pub fn next_input(&self, context: &Context) -> Tensor {
        let Shape { channels, height, width } = self.geometry.output;
        let pooled = Shape::new(channels, height / 2, width / 2);
        let (samples, steps) = (self.spikes.samples(), self.spikes.steps());
        let mut out = Tensor::with_steps(pooled, samples, steps, Vec::new());
        let isa = context.isa();
        context.chunks(out.lanes_mut(), pooled.features().max(1), |block, out| {
            // Where the largest number is 1, normalising changes nothing.
            stdp::normalise_pool(isa, self.geometry.output, self.spikes.block(block), out);
        });
        out
    }

    /// Sets the neurons' resistance so that, under the mean input `mean` (one step), the membrane of the most strongly
    /// driven neuron settles at `drive` thresholds; without a leak, such that it gets there in the trace's time
    /// constant. Where nothing is driven, nothing changes.
    ///
    /// # Errors
    /// If the samples have not the shape of the layer's input.
    pub fn balance(&mut self, context: &Context, mean: &Tensor, drive: f32) -> Result<()> {
        let g = self.geometry;
        if mean.shape().features() != g.input.features() || mean.steps() != 1 {
            return Err(Error::shape(
                "balance",
                format!("samples of {}, one time step", g.input),
                format!("samples of {}, {} steps", mean.shape(), mean.steps()),
            ));
        }
        conv2d::pack_convolve(&g, &self.weight, &mut self.packed);
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
    /// If the samples have not the shape of the layer's input, or there are none.
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
        let (inputs, outputs) = (g.input.features(), g.output.features());
        let (samples, steps) = (x.samples(), x.steps());
        if x.shape().features() != inputs || samples == 0 {
            return Err(Error::shape(
                "pair-based plasticity",
                format!("samples of {}", g.input),
                format!("{samples} samples of {}", x.shape()),
            ));
        }
        let blocks = x.blocks() / steps;
        let size = 3 * outputs + inputs;
        if self.state.len() != blocks * size || self.spikes.samples() != samples {
            self.state.clear();
            self.state.resize(blocks * size, Lanes::ZERO);
            let initial = Lanes::splat(self.dynamics.initial);
            self.state.chunks_mut(size).for_each(|state| state[..outputs].fill(initial));
        }
        conv2d::pack_forward(&g, &self.weight, &mut self.packed);
        let mut state = std::mem::take(&mut self.state);
        let empty = Tensor::zeros(g.output, 0);
        let buffer = std::mem::replace(&mut self.spikes, empty).into_lanes();
        let mut spikes = Tensor::with_steps(g.output, samples, steps, buffer);
        let mut sums = vec![0.0; blocks * 2 * g.weights()];

        let group = (GROUP_LANES / (2 * (inputs + outputs))).clamp(1, steps);
        let scratch = outputs + group * (inputs + outputs) + 2 * g.fan_in();
        let (isa, this) = (context.isa(), &*self);
        let outs = (spikes.lanes_mut(), steps * outputs);
        let sums_of = (&mut sums[..], 2 * g.weights());
        context.chunks3(outs, (&mut state, size), sums_of, |block, spikes, state, sums| {
            let live = x.live(block * steps);
            let x = &x.lanes()[block * steps * inputs..][..steps * inputs];
            context.with_scratch(scratch, |scratch| {
                this.run(isa, live, group, learn, x, spikes, state, sums, scratch);
            });
        });
        (self.state, self.spikes) = (state, spikes);

        let mean = 1.0 / (samples * g.output.pixels()) as f32;
        for sums in sums.chunks(2 * g.weights()) {
            let totals = self.potentiation.iter_mut().chain(&mut self.depression);
            totals.zip(sums).for_each(|(total, sum)| *total += mean * sum);
        }
        Ok(())
    }

    /// All steps of one block.
    #[allow(clippy::too_many_arguments)]
    fn run(
        &self,
        isa: Isa,
        live: usize,
        group: usize,
        learn: bool,
        x: &[Lanes],
        spikes: &mut [Lanes],
        state: &mut [Lanes],
        sums: &mut [f32],
        scratch: &mut [Lanes],
    ) {
        let (g, d) = (&self.geometry, &self.dynamics);
        let (inputs, outputs) = (g.input.features(), g.output.features());
        let pixels = g.output.pixels();
        let [keep_pre, keep_post] =
            [self.options.tau_pre, self.options.tau_post].map(|tau| 1.0 - 1.0 / tau);
        let (membrane, state) = state.split_at_mut(outputs);
        let (current, state) = state.split_at_mut(outputs);
        let (post, pre) = state.split_at_mut(outputs);
        let (u, scratch) = scratch.split_at_mut(outputs);
        let (traces_pre, scratch) = scratch.split_at_mut(group * inputs);
        let (traces_post, scratch) = scratch.split_at_mut(group * outputs);
        let (up, down) = sums.split_at_mut(g.weights());
        let mut rows = vec![0.0; 2 * g.fan_in()];
        let mut add = |x: &[Lanes], grad: &[Lanes], sums: &mut [f32]| {
            for (i, sums) in sums.chunks_mut(2 * g.fan_in()).enumerate() {
                // Spikes are rare: often these channels are silent.
                let (first, count) = (2 * i * pixels, sums.len() / g.fan_in() * pixels);
                let mut steps = grad.chunks(outputs).map(|grad| &grad[first..first + count]);
                if steps.all(|grad| grad.iter().all(|lanes| *lanes == Lanes::ZERO)) {
                    continue;
                }
                let (rows, scratch) = (&mut rows[..sums.len()], &mut scratch[..sums.len()]);
                conv2d::weight_grad(isa, g, x, grad, 2 * i, rows, scratch);
                sums.iter_mut().zip(rows).for_each(|(sum, &mut row)| *sum += row);
            }
        };
        for (x, spikes) in x.chunks(group * inputs).zip(spikes.chunks_mut(group * outputs)) {
            let ins = x.chunks(inputs).zip(traces_pre.chunks_mut(inputs));
            let outs = spikes.chunks_mut(outputs).zip(traces_post.chunks_mut(outputs));
            for ((x, trace_pre), (spikes, trace_post)) in ins.zip(outs) {
                conv2d::forward(isa, g, x, &self.packed, u);
                trace::spike(isa, d, live, u, membrane, current, spikes);
                if learn {
                    trace::follow(isa, keep_pre, x, pre, trace_pre);
                    trace::follow(isa, keep_post, spikes, post, trace_post);
                }
            }
            if !learn {
                continue;
            }
            add(&traces_pre[..x.len()], spikes, up);
            add(x, &traces_post[..spikes.len()], down);
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
