//! Backpropagation through time, and the estimators that replace it.

use super::estimator::{Estimate, SlopeRule, TimeRule, unit};
use super::group::{Group, LifCoefficients, Neighbors, SpikeWindow, TOGETHER, for_neighbors, load};
use super::rate::rate_grad;
use super::slopes::{Adaptive, Density, SlopeAt, channels, spreads};
use super::{LifLayer, SilentWindow};
use crate::kernels::surrogate::{QuadraticGate, Surrogate};
use crate::simd::{Isa, Lanes, Simd, array, dispatch};

/// Lanes of scratch memory that [`lif_grad`] needs.
pub fn grad_scratch(layer: &LifLayer, slope: SlopeRule) -> usize {
    let spreads = if slope == SlopeRule::Pdsg { 2 * channels(layer).0 * layer.steps } else { 0 };
    TOGETHER * layer.steps + spreads
}

/// What a layer's backward goes by.
#[derive(Clone, Copy, Debug)]
pub struct BackwardRule {
    /// The network's own surrogate.
    pub surrogate: Surrogate,
    /// Whether windows of 2 x 2 are pooled, and where the network sends the gradient of a silent one.
    pub pooled: Option<SilentWindow>,
    /// What the caller wants instead of the network's own.
    pub estimate: Estimate,
}

/// Gradient of [`lif`](super::lif) to its input, or of [`lif_pool`](super::lif_pool): then to the first that spiked in each
/// window, and where none did, as [`SilentWindow`] says. `grad` is `[step][output]`, `out` like `x`; `memory` is what the
/// estimator keeps of this block ([`Estimator::memory`](super::Estimator::memory)).
#[expect(clippy::too_many_arguments, reason = "what the kernel reads, writes and borrows")]
pub fn lif_grad(
    isa: Isa,
    layer: &LifLayer,
    asked: &BackwardRule,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
    memory: &mut [Lanes],
) {
    let Estimate { estimator, fresh, learn } = asked.estimate;
    let pooled = asked.pooled.map(|silent| estimator.pool.unwrap_or(silent));
    let (scratch, tables) = scratch.split_at_mut(TOGETHER * layer.steps);
    let rules = Rules {
        pooled,
        detached: estimator.time == TimeRule::Detached,
        average: estimator.average,
    };
    let fixed = match (estimator.time, estimator.slope) {
        (TimeRule::Rate(rule), _) => {
            return rate_grad(isa, layer, rule, pooled, x, grad, out, scratch);
        }
        (_, SlopeRule::Own) => asked.surrogate,
        (_, SlopeRule::Fixed(surrogate)) => surrogate.in_units(unit(&layer.dynamics)),
        (_, SlopeRule::Pdsg) => {
            let (spread, squares) = tables.split_at_mut(tables.len() / 2);
            spreads(isa, layer, x, spread, squares);
            let slope = Density { spread, pixels: channels(layer).1, steps: layer.steps };
            return over_time(isa, layer, rules, slope, x, grad, out, scratch);
        }
        (_, SlopeRule::Assg(rule)) => {
            let slope = Adaptive::new(rule, &layer.dynamics, layer.steps, memory, (fresh, learn));
            return over_time(isa, layer, rules, slope, x, grad, out, scratch);
        }
    };
    // The default is compiled by itself. The others decide anew at each vector: with copies of all these loops for each of
    // them, they would be the largest part of the library.
    match fixed {
        Surrogate::QuadraticGate(a) => {
            over_time(isa, layer, rules, QuadraticGate(a), x, grad, out, scratch);
        }
        other => over_time(isa, layer, rules, other, x, grad, out, scratch),
    }
}

/// What the loops over groups go by, beside the slope.
#[derive(Clone, Copy)]
struct Rules {
    pooled: Option<SilentWindow>,
    /// Whether no gradient flows through membranes.
    detached: bool,
    /// Whether each step gets the mean of all.
    average: bool,
}

#[expect(clippy::too_many_arguments, reason = "the kernel's arguments, passed on")]
fn over_time<F: SlopeAt>(
    isa: Isa,
    layer: &LifLayer,
    rules: Rules,
    mut slope: F,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    let slope = &mut slope;
    dispatch!(isa, s => if layer.dynamics.synapse == 0.0 {
        groups::<_, _, false>(s, layer, rules, slope, x, grad, out, scratch);
    } else {
        groups::<_, _, true>(s, layer, rules, slope, x, grad, out, scratch);
    });
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the kernel's arguments, passed on")]
fn groups<S: Simd, F: SlopeAt, const SYNAPSE: bool>(
    s: S,
    layer: &LifLayer,
    rules: Rules,
    slope: &mut F,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    let c = &LifCoefficients::new(s, &layer.dynamics);
    let features = layer.shape.features();
    let Some(silent) = rules.pooled else {
        for_neighbors!(
            features,
            run::<_, _, _, SYNAPSE>(s, c, layer, rules, slope, features, x, grad, out, scratch)
        );
        return;
    };
    let pooled = features / 4;
    for cell in 0..pooled {
        let window = SpikeWindow::new(layer.shape, cell, silent);
        run::<_, _, _, SYNAPSE, TOGETHER>(
            s, c, layer, rules, slope, pooled, x, grad, out, scratch, window,
        );
    }
}

/// A group over all steps, forward for its membranes, then back; `outputs` are the spikes of a step.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the kernel's arguments, passed on")]
fn run<S: Simd, F: SlopeAt, G: Group<N>, const SYNAPSE: bool, const N: usize>(
    s: S,
    c: &LifCoefficients<S>,
    layer: &LifLayer,
    rules: Rules,
    slope: &mut F,
    outputs: usize,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
    group: G,
) {
    let mut state = c.start::<N>(s);
    let at = group.at();
    for (t, saved) in scratch.chunks_exact_mut(TOGETHER).enumerate() {
        let x = load(s, &x[layer.input_at(t)..], at);
        let (u, _) = c.advance::<SYNAPSE, N>(s, x, &mut state);
        for k in 0..N {
            s.store(u[k], &mut saved[k]);
        }
    }
    let carry = if rules.detached { s.zero() } else { c.decay };
    let mut reverse = Reverse::<S, N>::new(s);
    for (t, saved) in scratch.chunks_exact(TOGETHER).enumerate().rev() {
        let of_spikes = group.read(s, c.limit, saved, &grad[t * outputs..][..outputs]);
        let mut slopes = [s.zero(); N];
        for k in 0..N {
            let above = s.sub(s.load(&saved[k]), c.threshold);
            slopes[k] = slope.slope_at(s, above, at[k], t);
        }
        let reset_grad = layer.dynamics.reset_grad;
        let x_grad = reverse.step::<SYNAPSE>(s, c, carry, reset_grad, slopes, saved, of_spikes);
        if !layer.constant {
            store(s, x_grad, &mut out[layer.input_at(t)..], at);
        }
    }
    if layer.constant {
        store(s, reverse.total, out, at);
    } else if rules.average {
        let share = s.splat(1.0 / layer.steps as f32);
        let mean = array::map(
            reverse.total,
            #[inline(always)]
            |total| s.mul(total, share),
        );
        for t in 0..layer.steps {
            store(s, mean, &mut out[layer.input_at(t)..], at);
        }
    }
}

#[inline(always)]
fn store<S: Simd, const N: usize>(s: S, values: [S::F32; N], out: &mut [Lanes], at: [usize; N]) {
    for k in 0..N {
        s.store(values[k], &mut out[at[k]]);
    }
}

/// Backpropagation through time of `N` neurons.
struct Reverse<S: Simd, const N: usize> {
    /// Gradient of the membrane after the reset.
    v: [S::F32; N],
    /// Gradient of the synaptic current.
    i: [S::F32; N],
    /// Sum over the steps of the gradient of the input.
    total: [S::F32; N],
}

impl<S: Simd, const N: usize> Reverse<S, N> {
    #[inline(always)]
    fn new(s: S) -> Self {
        Self { v: [s.zero(); N], i: [s.zero(); N], total: [s.zero(); N] }
    }

    /// One step back: `saved` are the membranes before the reset, `slopes` what stands for the derivatives of their spikes,
    /// `grad` the gradients of these, `carry` what of a membrane's is left a step earlier; returns those of the input.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "numbers that stay in registers")]
    fn step<const SYNAPSE: bool>(
        &mut self,
        s: S,
        c: &LifCoefficients<S>,
        carry: S::F32,
        reset_grad: bool,
        slopes: [S::F32; N],
        saved: &[Lanes],
        grad: [S::F32; N],
    ) -> [S::F32; N] {
        let mut out = grad;
        for k in 0..N {
            let u = s.load(&saved[k]);
            let spike = s.gt(u, c.limit);
            let mut of_spike = grad[k];
            if reset_grad {
                let jump = s.sub(s.mul_add(u, c.keep, c.reset), u);
                of_spike = s.mul_add(self.v[k], jump, of_spike);
            }
            let kept = s.select(spike, s.mul(self.v[k], c.keep), self.v[k]);
            let of_u = s.mul_add(of_spike, slopes[k], kept);
            self.v[k] = s.mul(carry, of_u);
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
