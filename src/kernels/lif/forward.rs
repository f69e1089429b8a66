//! The forward pass: the spikes of a layer.

use super::group::{Group, LifCoefficients, Neighbors, SpikeWindow, TOGETHER, for_neighbors, load};
use super::{LifLayer, SilentWindow};
use crate::simd::{Isa, Lanes, Simd, dispatch};

/// Spikes (1 or 0) of sixteen samples: `x` is `[step or 1][feature]`, `out` is `[step][feature]`; `live` samples.
pub fn lif(isa: Isa, layer: &LifLayer, live: usize, x: &[Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => if layer.dynamics.synapse == 0.0 {
        lif_body::<_, false>(s, layer, live, x, out);
    } else {
        lif_body::<_, true>(s, layer, live, x, out);
    });
}

#[inline(always)]
fn lif_body<S: Simd, const SYNAPSE: bool>(
    s: S,
    layer: &LifLayer,
    live: usize,
    x: &[Lanes],
    out: &mut [Lanes],
) {
    let c = &LifCoefficients::new(s, &layer.dynamics);
    let one = s.keep_first(s.splat(1.0), live);
    let features = layer.shape.features();
    for_neighbors!(features, run::<_, _, SYNAPSE>(s, c, layer, one, features, x, out));
}

/// [`lif`] followed by the maximum of every 2 x 2 window, which for spikes is "any of the four". The sides of
/// `layer.shape` are even; `out` is `[step][channel][y][x]` with halved sides.
pub fn lif_pool(isa: Isa, layer: &LifLayer, live: usize, x: &[Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => if layer.dynamics.synapse == 0.0 {
        lif_pool_body::<_, false>(s, layer, live, x, out);
    } else {
        lif_pool_body::<_, true>(s, layer, live, x, out);
    });
}

#[inline(always)]
fn lif_pool_body<S: Simd, const SYNAPSE: bool>(
    s: S,
    layer: &LifLayer,
    live: usize,
    x: &[Lanes],
    out: &mut [Lanes],
) {
    let c = &LifCoefficients::new(s, &layer.dynamics);
    let one = s.keep_first(s.splat(1.0), live);
    let pooled = layer.shape.features() / 4;
    for cell in 0..pooled {
        let window = SpikeWindow::new(layer.shape, cell, SilentWindow::First);
        run::<_, _, SYNAPSE, TOGETHER>(s, c, layer, one, pooled, x, out, window);
    }
}

/// A group over all steps; `outputs` are the spikes of a step.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the kernel's arguments, passed on")]
fn run<S: Simd, G: Group<N>, const SYNAPSE: bool, const N: usize>(
    s: S,
    c: &LifCoefficients<S>,
    layer: &LifLayer,
    one: S::F32,
    outputs: usize,
    x: &[Lanes],
    out: &mut [Lanes],
    group: G,
) {
    let mut state = c.start::<N>(s);
    for (t, out) in out.chunks_exact_mut(outputs).enumerate() {
        let x = load(s, &x[layer.input_at(t)..], group.at());
        let (_, spikes) = c.advance::<SYNAPSE, N>(s, x, &mut state);
        group.write(s, one, spikes, out);
    }
}
