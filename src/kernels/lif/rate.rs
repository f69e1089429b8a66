//! Gradients of rates: a spike depends on its step's current by a factor that is the neuron's own, the same at all steps.

use super::LifLayer;
use super::estimator::{RateRule, unit};
use super::group::{Group, LifCoefficients, Neighbors, SpikeWindow, TOGETHER, for_neighbors, load};
use crate::kernels::lif::SilentWindow;
use crate::simd::{Isa, Lanes, Simd, array, dispatch};

/// The gradient to the input of a layer, of which `pooled` windows of 2 x 2 may be one output.
#[expect(clippy::too_many_arguments, reason = "what the kernel reads, writes and borrows")]
pub(super) fn rate_grad(
    isa: Isa,
    layer: &LifLayer,
    rule: RateRule,
    pooled: Option<SilentWindow>,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    dispatch!(isa, s => if layer.dynamics.synapse == 0.0 {
        groups::<_, false>(s, layer, rule, pooled, x, grad, out, scratch);
    } else {
        groups::<_, true>(s, layer, rule, pooled, x, grad, out, scratch);
    });
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the kernel's arguments, passed on")]
fn groups<S: Simd, const SYNAPSE: bool>(
    s: S,
    layer: &LifLayer,
    rule: RateRule,
    pooled: Option<SilentWindow>,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    let c = &LifCoefficients::new(s, &layer.dynamics);
    let features = layer.shape.features();
    let Some(silent) = pooled else {
        for_neighbors!(
            features,
            run::<_, _, SYNAPSE>(s, c, layer, rule, features, x, grad, out, scratch)
        );
        return;
    };
    for cell in 0..features / 4 {
        let window = SpikeWindow::new(layer.shape, cell, silent);
        run::<_, _, SYNAPSE, TOGETHER>(
            s,
            c,
            layer,
            rule,
            features / 4,
            x,
            grad,
            out,
            scratch,
            window,
        );
    }
}

/// The slopes of the rates of `N` neurons: of those that spiked at `any` time, or by their mean drive.
#[inline(always)]
fn slopes<S: Simd, const N: usize>(
    s: S,
    layer: &LifLayer,
    rule: RateRule,
    any: [S::Mask; N],
    drive: [S::F32; N],
) -> [S::F32; N] {
    let (zero, one) = (s.zero(), s.splat(1.0));
    let mut slopes = drive;
    for k in 0..N {
        slopes[k] = match rule {
            RateRule::Bptr => s.select(any[k], one, zero),
            RateRule::Relu => s.select(s.gt(drive[k], zero), one, zero),
            RateRule::Rga(below) => {
                let decay = layer.dynamics.decay;
                // The rate is 1 at a drive of 2.
                let above = (1.0 - below * (1.0 - decay)) / (1.0 + decay);
                let silent = s.le(drive[k], s.splat(1.0 - decay));
                let slope = s.select(silent, s.splat(below), s.splat(above));
                let inside = s.mask_and(s.ge(drive[k], zero), s.le(drive[k], s.splat(2.0)));
                s.select(inside, slope, zero)
            }
        };
    }
    slopes
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the kernel's arguments, passed on")]
fn run<S: Simd, G: Group<N>, const SYNAPSE: bool, const N: usize>(
    s: S,
    c: &LifCoefficients<S>,
    layer: &LifLayer,
    rule: RateRule,
    outputs: usize,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
    group: G,
) {
    let unit = unit(&layer.dynamics);
    let mut state = c.start::<N>(s);
    let (mut any, mut drive) = ([s.mask_from_bits(0); N], [s.zero(); N]);
    for (t, saved) in scratch.chunks_exact_mut(TOGETHER).take(layer.steps).enumerate() {
        let x = load(s, &x[layer.input_at(t)..], group.at());
        let (u, spikes) = c.advance::<SYNAPSE, N>(s, x, &mut state);
        for k in 0..N {
            s.store(u[k], &mut saved[k]);
            any[k] = s.mask_or(any[k], spikes[k]);
            drive[k] = s.add(drive[k], if SYNAPSE { state.i[k] } else { x[k] });
        }
    }
    let gain = layer.dynamics.gain / unit;
    let drive = array::map(
        drive,
        #[inline(always)]
        |drive| s.mul(drive, s.splat(gain / layer.steps as f32)),
    );
    let factor = array::map(
        slopes(s, layer, rule, any, drive),
        #[inline(always)]
        |slope| s.mul(slope, s.splat(gain)),
    );
    let (mut of_current, mut total) = ([s.zero(); N], [s.zero(); N]);
    for (t, saved) in scratch.chunks_exact(TOGETHER).take(layer.steps).enumerate().rev() {
        let of_spikes = group.read(s, c.limit, saved, &grad[t * outputs..][..outputs]);
        for k in 0..N {
            let here = s.mul(factor[k], of_spikes[k]);
            of_current[k] = if SYNAPSE { s.mul_add(c.synapse, of_current[k], here) } else { here };
            total[k] = s.add(total[k], of_current[k]);
            if !layer.constant {
                s.store(of_current[k], &mut out[layer.input_at(t)..][group.at()[k]]);
            }
        }
    }
    if layer.constant {
        for k in 0..N {
            s.store(total[k], &mut out[group.at()[k]]);
        }
    }
}
