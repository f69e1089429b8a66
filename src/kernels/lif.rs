//! Integrate-and-fire neurons over all time steps at once: the membrane stays in a register while time runs.
//!
//! One neuron, at each step:
//!
//! ```text
//! i <- synapse i + x                       (synapse 0: the input itself)
//! u <- decay v + gain i + offset
//! s  = 1 if u > threshold else 0           (>= with `inclusive`)
//! v <- s (keep u + reset) + (1 - s) u
//! ```
//!
//! [`Dynamics`] holds the numbers; what LIF, IF, hard and soft reset mean in them is [`crate::snn`]'s business. The
//! backward (backpropagation through time) recomputes the membranes from the input, then runs time in reverse: that
//! costs a second pass of arithmetic and spares writing every membrane to memory.
//!
//! Blocks are `[step][feature]`. An input of one step is a constant current, and gets the sum of all steps' gradients.

use super::surrogate::{Slope, Surrogate, with_slope};
use crate::simd::{Isa, Lanes, Simd, dispatch};
use crate::tensor::Shape;

/// The numbers of a neuron's update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dynamics {
    /// Share of the synaptic current that is left a step later.
    pub synapse: f32,
    /// Share of the membrane that is left a step later.
    pub decay: f32,
    /// What a unit of current adds.
    pub gain: f32,
    /// What every step adds.
    pub offset: f32,
    /// The membrane before the first step.
    pub initial: f32,
    /// Above it, a spike.
    pub threshold: f32,
    /// Whether a membrane exactly at the threshold spikes.
    pub inclusive: bool,
    /// Factor on the membrane at a spike: 0 for a hard reset, 1 for a soft one.
    pub keep: f32,
    /// Added to the membrane at a spike: the reset potential, or minus the threshold.
    pub reset: f32,
    /// Whether gradients flow through the spike in the reset.
    pub reset_grad: bool,
}

/// A single neuron between two steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// The membrane, after the reset.
    pub membrane: f32,
    /// The synaptic current.
    pub current: f32,
}

impl Dynamics {
    /// A neuron before its first step.
    pub fn start(&self) -> Cell {
        Cell { membrane: self.initial, current: 0.0 }
    }

    /// Advances one neuron by a step with input `x`; returns its membrane before the reset, and whether it spiked.
    ///
    /// The bits are those of the vector loops, which never write membranes out: this is for looking at them, as a trace
    /// of one neuron or an oracle of a test.
    pub fn step(&self, cell: &mut Cell, x: f32) -> (f32, bool) {
        cell.current = self.synapse.mul_add(cell.current, x);
        let u = self.decay.mul_add(cell.membrane, self.gain.mul_add(cell.current, self.offset));
        let spike = if self.inclusive { u >= self.threshold } else { u > self.threshold };
        cell.membrane = if spike { u.mul_add(self.keep, self.reset) } else { u };
        (u, spike)
    }
}

/// The neurons of a layer: sizes and dynamics.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// Neurons of a sample.
    pub shape: Shape,
    /// Time steps.
    pub steps: usize,
    /// Whether the input is one current for all steps.
    pub constant: bool,
    /// The update.
    pub dynamics: Dynamics,
}

/// Neurons advanced together: four chains of dependent multiply-adds, and the four pixels of a pooling window.
const TOGETHER: usize = 4;

struct Coefficients<S: Simd> {
    synapse: S::F32,
    decay: S::F32,
    gain: S::F32,
    offset: S::F32,
    initial: S::F32,
    /// What a membrane must exceed.
    limit: S::F32,
    threshold: S::F32,
    keep: S::F32,
    reset: S::F32,
}

/// Membrane and synaptic current of four neurons.
struct State<S: Simd> {
    v: [S::F32; TOGETHER],
    i: [S::F32; TOGETHER],
}

impl<S: Simd> Coefficients<S> {
    #[inline(always)]
    fn new(s: S, d: &Dynamics) -> Self {
        let limit = if d.inclusive { d.threshold.next_down() } else { d.threshold };
        Self {
            synapse: s.splat(d.synapse),
            decay: s.splat(d.decay),
            gain: s.splat(d.gain),
            offset: s.splat(d.offset),
            initial: s.splat(d.initial),
            limit: s.splat(limit),
            threshold: s.splat(d.threshold),
            keep: s.splat(d.keep),
            reset: s.splat(d.reset),
        }
    }

    #[inline(always)]
    fn start(&self, s: S) -> State<S> {
        State { v: [self.initial; TOGETHER], i: [s.zero(); TOGETHER] }
    }

    /// One step of four neurons: their membranes before the reset, and who spiked.
    #[inline(always)]
    fn advance<const SYNAPSE: bool>(
        &self,
        s: S,
        x: [S::F32; TOGETHER],
        state: &mut State<S>,
    ) -> ([S::F32; TOGETHER], [S::Mask; TOGETHER]) {
        let mut u = x;
        let mut spike = [s.mask_from_bits(0); TOGETHER];
        for k in 0..TOGETHER {
            let current = if SYNAPSE {
                state.i[k] = s.mul_add(self.synapse, state.i[k], x[k]);
                state.i[k]
            } else {
                x[k]
            };
            let drive = s.mul_add(self.gain, current, self.offset);
            u[k] = s.mul_add(self.decay, state.v[k], drive);
            spike[k] = s.gt(u[k], self.limit);
            let after = s.mul_add(u[k], self.keep, self.reset);
            state.v[k] = s.select(spike[k], after, u[k]);
        }
        (u, spike)
    }
}

impl Layer {
    /// Blocks of the input a sample block has.
    fn input_steps(&self) -> usize {
        if self.constant { 1 } else { self.steps }
    }

    /// Where step `t` of the input begins.
    #[inline(always)]
    fn input_at(&self, t: usize) -> usize {
        if self.constant { 0 } else { t * self.shape.features() }
    }
}

/// Spikes (1 or 0) of sixteen samples: `x` is `[step or 1][feature]`, `out` is `[step][feature]`; `live` samples.
pub fn lif(isa: Isa, layer: &Layer, live: usize, x: &[Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => if layer.dynamics.synapse == 0.0 {
        lif_body::<_, false>(s, layer, live, x, out);
    } else {
        lif_body::<_, true>(s, layer, live, x, out);
    });
}

#[inline(always)]
fn lif_body<S: Simd, const SYNAPSE: bool>(
    s: S,
    layer: &Layer,
    live: usize,
    x: &[Lanes],
    out: &mut [Lanes],
) {
    let c = Coefficients::new(s, &layer.dynamics);
    let features = layer.shape.features();
    let one = s.keep_first(s.splat(1.0), live);
    for first in (0..features).step_by(TOGETHER) {
        let count = TOGETHER.min(features - first);
        let mut state = c.start(s);
        for t in 0..layer.steps {
            let x = load(s, &x[layer.input_at(t) + first..][..count]);
            let (_, spike) = c.advance::<SYNAPSE>(s, x, &mut state);
            for (k, out) in out[t * features + first..][..count].iter_mut().enumerate() {
                s.store(s.select(spike[k], one, s.zero()), out);
            }
        }
    }
}

/// Up to four neighbours, zeros for the missing.
#[inline(always)]
fn load<S: Simd>(s: S, x: &[Lanes]) -> [S::F32; TOGETHER] {
    let mut values = [s.zero(); TOGETHER];
    for (value, x) in values.iter_mut().zip(x) {
        *value = s.load(x);
    }
    values
}

/// Lanes of scratch memory that the backward functions need.
pub fn grad_scratch(layer: &Layer) -> usize {
    TOGETHER * layer.steps
}

/// Gradient of [`lif`] to its input. `grad` is `[step][feature]`, `out` like `x`.
pub fn lif_grad(
    isa: Isa,
    layer: &Layer,
    surrogate: Surrogate,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    with_slope!(surrogate, slope => dispatch!(isa, s => if layer.dynamics.synapse == 0.0 {
        lif_grad_body::<_, _, false>(s, layer, slope, x, grad, out, scratch);
    } else {
        lif_grad_body::<_, _, true>(s, layer, slope, x, grad, out, scratch);
    }));
}

#[inline(always)]
fn lif_grad_body<S: Simd, F: Slope, const SYNAPSE: bool>(
    s: S,
    layer: &Layer,
    slope: F,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    let c = Coefficients::new(s, &layer.dynamics);
    let features = layer.shape.features();
    for first in (0..features).step_by(TOGETHER) {
        let count = TOGETHER.min(features - first);
        let mut state = c.start(s);
        for (t, saved) in scratch.chunks_exact_mut(TOGETHER).enumerate() {
            let x = load(s, &x[layer.input_at(t) + first..][..count]);
            let (u, _) = c.advance::<SYNAPSE>(s, x, &mut state);
            for k in 0..TOGETHER {
                s.store(u[k], &mut saved[k]);
            }
        }
        let mut reverse = Reverse::new(s);
        for (t, saved) in scratch.chunks_exact(TOGETHER).enumerate().rev() {
            let grad = load(s, &grad[t * features + first..][..count]);
            let x_grad =
                reverse.step::<F, SYNAPSE>(s, &c, layer.dynamics.reset_grad, slope, saved, grad);
            if !layer.constant {
                for (k, out) in out[t * features + first..][..count].iter_mut().enumerate() {
                    s.store(x_grad[k], out);
                }
            }
        }
        if layer.constant {
            for (k, out) in out[first..][..count].iter_mut().enumerate() {
                s.store(reverse.total[k], out);
            }
        }
    }
}

/// Backpropagation through time of four neurons.
struct Reverse<S: Simd> {
    /// Gradient of the membrane after the reset.
    v: [S::F32; TOGETHER],
    /// Gradient of the synaptic current.
    i: [S::F32; TOGETHER],
    /// Sum over the steps of the gradient of the input.
    total: [S::F32; TOGETHER],
}

impl<S: Simd> Reverse<S> {
    #[inline(always)]
    fn new(s: S) -> Self {
        Self { v: [s.zero(); TOGETHER], i: [s.zero(); TOGETHER], total: [s.zero(); TOGETHER] }
    }

    /// One step back: `saved` are the membranes before the reset, `grad` the gradients of the spikes; returns those of
    /// the input.
    #[inline(always)]
    fn step<F: Slope, const SYNAPSE: bool>(
        &mut self,
        s: S,
        c: &Coefficients<S>,
        reset_grad: bool,
        slope: F,
        saved: &[Lanes],
        grad: [S::F32; TOGETHER],
    ) -> [S::F32; TOGETHER] {
        let mut out = grad;
        for k in 0..TOGETHER {
            let u = s.load(&saved[k]);
            let spike = s.gt(u, c.limit);
            let mut of_spike = grad[k];
            if reset_grad {
                let jump = s.sub(s.mul_add(u, c.keep, c.reset), u);
                of_spike = s.mul_add(self.v[k], jump, of_spike);
            }
            let kept = s.select(spike, s.mul(self.v[k], c.keep), self.v[k]);
            let of_u = s.mul_add(of_spike, slope.slope(s, s.sub(u, c.threshold)), kept);
            self.v[k] = s.mul(c.decay, of_u);
            out[k] = s.mul(c.gain, of_u);
            if SYNAPSE {
                self.i[k] = s.mul_add(c.synapse, self.i[k], out[k]);
                out[k] = self.i[k];
            }
            self.total[k] = s.add(self.total[k], out[k]);
        }
        out
    }
}

/// [`lif`] followed by the maximum of every 2 x 2 window, which for spikes is "any of the four". The sides of
/// `layer.shape` are even; `out` is `[step][channel][y][x]` with halved sides.
pub fn lif_pool(isa: Isa, layer: &Layer, live: usize, x: &[Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => if layer.dynamics.synapse == 0.0 {
        lif_pool_body::<_, false>(s, layer, live, x, out);
    } else {
        lif_pool_body::<_, true>(s, layer, live, x, out);
    });
}

#[inline(always)]
fn lif_pool_body<S: Simd, const SYNAPSE: bool>(
    s: S,
    layer: &Layer,
    live: usize,
    x: &[Lanes],
    out: &mut [Lanes],
) {
    let c = Coefficients::new(s, &layer.dynamics);
    let pooled = layer.shape.features() / 4;
    let one = s.keep_first(s.splat(1.0), live);
    for cell in 0..pooled {
        let corners = corners(layer.shape, cell);
        let mut state = c.start(s);
        for t in 0..layer.steps {
            let x = load_corners(s, &x[layer.input_at(t)..], corners);
            let (_, spike) = c.advance::<SYNAPSE>(s, x, &mut state);
            let any = s.mask_or(s.mask_or(spike[0], spike[1]), s.mask_or(spike[2], spike[3]));
            s.store(s.select(any, one, s.zero()), &mut out[t * pooled + cell]);
        }
    }
}

/// The four inputs of a pooled cell.
#[inline(always)]
fn corners(shape: Shape, cell: usize) -> [usize; TOGETHER] {
    let half = shape.width / 2;
    // Rows of all channels follow one another, and a channel has an even number of them.
    let first = cell / half * 2 * shape.width + cell % half * 2;
    [first, first + 1, first + shape.width, first + shape.width + 1]
}

#[inline(always)]
fn load_corners<S: Simd>(s: S, x: &[Lanes], at: [usize; TOGETHER]) -> [S::F32; TOGETHER] {
    [s.load(&x[at[0]]), s.load(&x[at[1]]), s.load(&x[at[2]]), s.load(&x[at[3]])]
}

/// Gradient of [`lif_pool`] to its input: to the first that spiked in each window, or to the first of all where none
/// did (all are equal then, and the surrogate is not zero there).
pub fn lif_pool_grad(
    isa: Isa,
    layer: &Layer,
    surrogate: Surrogate,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    with_slope!(surrogate, slope => dispatch!(isa, s => if layer.dynamics.synapse == 0.0 {
        lif_pool_grad_body::<_, _, false>(s, layer, slope, x, grad, out, scratch);
    } else {
        lif_pool_grad_body::<_, _, true>(s, layer, slope, x, grad, out, scratch);
    }));
}

#[inline(always)]
fn lif_pool_grad_body<S: Simd, F: Slope, const SYNAPSE: bool>(
    s: S,
    layer: &Layer,
    slope: F,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    let c = Coefficients::new(s, &layer.dynamics);
    let pooled = layer.shape.features() / 4;
    debug_assert_eq!(out.len(), layer.input_steps() * layer.shape.features());
    for cell in 0..pooled {
        let corners = corners(layer.shape, cell);
        let mut state = c.start(s);
        for (t, saved) in scratch.chunks_exact_mut(TOGETHER).enumerate() {
            let x = load_corners(s, &x[layer.input_at(t)..], corners);
            let (u, _) = c.advance::<SYNAPSE>(s, x, &mut state);
            for k in 0..TOGETHER {
                s.store(u[k], &mut saved[k]);
            }
        }
        let mut reverse = Reverse::new(s);
        for (t, saved) in scratch.chunks_exact(TOGETHER).enumerate().rev() {
            let mut rest = s.load(&grad[t * pooled + cell]);
            let mut grads = [s.zero(); TOGETHER];
            for k in 1..TOGETHER {
                let spike = s.gt(s.load(&saved[k]), c.limit);
                // Nobody before k spiked?
                let mut first = spike;
                for earlier in saved[..k].iter() {
                    first = s.mask_and(first, s.mask_not(s.gt(s.load(earlier), c.limit)));
                }
                grads[k] = s.select(first, rest, s.zero());
                rest = s.select(first, s.zero(), rest);
            }
            grads[0] = rest;
            let x_grad =
                reverse.step::<F, SYNAPSE>(s, &c, layer.dynamics.reset_grad, slope, saved, grads);
            if !layer.constant {
                for k in 0..TOGETHER {
                    s.store(x_grad[k], &mut out[layer.input_at(t) + corners[k]]);
                }
            }
        }
        if layer.constant {
            for k in 0..TOGETHER {
                s.store(reverse.total[k], &mut out[corners[k]]);
            }
        }
    }
}
