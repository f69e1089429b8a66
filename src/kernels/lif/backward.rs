//! Backpropagation through time.

use super::group::{Coefficients, Group, Neighbours, TOGETHER, Window, for_neighbours, load};
use super::{Layer, SilentWindow};
use crate::kernels::surrogate::{Slope, Surrogate, with_slope};
use crate::simd::{Isa, Lanes, Simd, dispatch};

/// Lanes of scratch memory that the backward functions need.
pub fn grad_scratch(layer: &Layer) -> usize {
    TOGETHER * layer.steps
}

/// Gradient of [`lif`](super::lif) to its input. `grad` is `[step][feature]`, `out` like `x`.
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
    let c = &Coefficients::new(s, &layer.dynamics);
    let features = layer.shape.features();
    for_neighbours!(
        features,
        run::<_, _, _, SYNAPSE>(s, c, layer, slope, features, x, grad, out, scratch)
    );
}

/// Gradient of [`lif_pool`](super::lif_pool) to its input: to the first that spiked in each window; where none did, as
/// `silent` says.
#[allow(clippy::too_many_arguments)]
pub fn lif_pool_grad(
    isa: Isa,
    layer: &Layer,
    surrogate: Surrogate,
    silent: SilentWindow,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    with_slope!(surrogate, slope => dispatch!(isa, s => if layer.dynamics.synapse == 0.0 {
        lif_pool_grad_body::<_, _, false>(s, layer, slope, silent, x, grad, out, scratch);
    } else {
        lif_pool_grad_body::<_, _, true>(s, layer, slope, silent, x, grad, out, scratch);
    }));
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn lif_pool_grad_body<S: Simd, F: Slope, const SYNAPSE: bool>(
    s: S,
    layer: &Layer,
    slope: F,
    silent: SilentWindow,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    let c = &Coefficients::new(s, &layer.dynamics);
    let pooled = layer.shape.features() / 4;
    for cell in 0..pooled {
        let window = Window::new(layer.shape, cell, silent);
        run::<_, _, _, SYNAPSE, TOGETHER>(
            s, c, layer, slope, pooled, x, grad, out, scratch, window,
        );
    }
}

/// A group over all steps, forward for its membranes, then back; `outputs` are the spikes of a step.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn run<S: Simd, F: Slope, G: Group<N>, const SYNAPSE: bool, const N: usize>(
    s: S,
    c: &Coefficients<S>,
    layer: &Layer,
    slope: F,
    outputs: usize,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
    group: G,
) {
    let mut state = c.start::<N>(s);
    for (t, saved) in scratch.chunks_exact_mut(TOGETHER).enumerate() {
        let x = load(s, &x[layer.input_at(t)..], group.at());
        let (u, _) = c.advance::<SYNAPSE, N>(s, x, &mut state);
        for k in 0..N {
            s.store(u[k], &mut saved[k]);
        }
    }
    let mut reverse = Reverse::<S, N>::new(s);
    for (t, saved) in scratch.chunks_exact(TOGETHER).enumerate().rev() {
        let of_spikes = group.read(s, c.limit, saved, &grad[t * outputs..][..outputs]);
        let x_grad =
            reverse.step::<F, SYNAPSE>(s, c, layer.dynamics.reset_grad, slope, saved, of_spikes);
        if !layer.constant {
            store(s, x_grad, &mut out[layer.input_at(t)..], group.at());
        }
    }
    if layer.constant {
        store(s, reverse.total, out, group.at());
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
