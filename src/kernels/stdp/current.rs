//! The currents of the slow-wave layers: what drives neurons, what it is relative to, and its gradient.

use crate::simd::{Isa, Lanes, Simd, dispatch, first_lanes, math};

/// Logistic squashing of the current (docs/method.md, section 3): sigmoid(8 r - 3.2), r the current over the threshold.
const STEEPNESS: f32 = 8.0;
const SHIFT: f32 = -3.2;

/// The largest value of every channel of a block, over its live lanes.
pub fn channel_max(isa: Isa, pixels: usize, live: usize, x: &[Lanes], out: &mut [f32]) {
    dispatch!(isa, s => {
        let live = s.mask_from_bits(first_lanes(live));
        for (plane, out) in x.chunks(pixels).zip(out) {
            let mut largest = s.splat(f32::NEG_INFINITY);
            for x in plane {
                largest = s.max(s.load(x), largest);
            }
            *out = s.reduce_max(s.select(live, largest, s.splat(f32::NEG_INFINITY)));
        }
    });
}

/// The slope of the squashing; a threshold of zero, which nothing reaches, has none.
fn steepness(threshold: f32) -> f32 {
    if threshold == 0.0 { 0.0 } else { STEEPNESS / threshold }
}

/// Squashed currents in units of the threshold: `sigmoid(8 max(u, 0) / threshold - 3.2)`, a block. Dead lanes get zero.
pub fn squash(
    isa: Isa,
    pixels: usize,
    live: usize,
    u: &[Lanes],
    threshold: &[f32],
    out: &mut [Lanes],
) {
    dispatch!(isa, s => {
        for ((u, out), &threshold) in u.chunks(pixels).zip(out.chunks_mut(pixels)).zip(threshold) {
            let slope = s.splat(steepness(threshold));
            for (u, out) in u.iter().zip(out) {
                let r8 = s.mul(s.max(s.load(u), s.zero()), slope);
                let current = math::sigmoid(s, s.add(r8, s.splat(SHIFT)));
                s.store(s.keep_first(current, live), out);
            }
        }
    });
}

/// The gradient of `sum(current * count)` (current in its own unit, not the threshold's) to `u`, times `scale`; and,
/// per channel, to the threshold. docs/method.md, section 3: the surrogate passes gradient exactly where a spike was emitted, so
/// the derivative of a count by its constant current is the count itself.
#[expect(clippy::too_many_arguments, reason = "what the kernel reads, writes and borrows")]
pub fn squash_grad(
    isa: Isa,
    pixels: usize,
    scale: f32,
    u: &[Lanes],
    threshold: &[f32],
    count: &[Lanes],
    out: &mut [Lanes],
    threshold_grad: &mut [f32],
) {
    dispatch!(isa, s => {
        let planes = u.chunks(pixels).zip(count.chunks(pixels)).zip(out.chunks_mut(pixels));
        let channels = threshold.iter().zip(threshold_grad);
        for (((u, count), out), (&threshold, threshold_grad)) in planes.zip(channels) {
            let slope = s.splat(steepness(threshold));
            let scale = s.splat(scale);
            let mut total = s.zero();
            for ((u, count), out) in u.iter().zip(count).zip(out) {
                let u = s.load(u);
                let count = s.mul(s.load(count), scale);
                let r8 = s.mul(s.max(u, s.zero()), slope);
                let sigma = math::sigmoid(s, s.add(r8, s.splat(SHIFT)));
                let curve = s.mul(sigma, s.sub(s.splat(1.0), sigma));
                let to_u = s.select(s.ge(u, s.zero()), s.mul(s.splat(STEEPNESS), curve), s.zero());
                s.store(s.mul(count, to_u), out);
                total = s.mul_add(count, s.neg_mul_add(r8, curve, sigma), total);
            }
            *threshold_grad = s.reduce_add(total);
        }
    });
}

/// Between layers: every sample's counts over its largest; a sample without spikes stays zero.
pub fn normalize(isa: Isa, count: &[Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => {
        let mut largest = s.zero();
        for x in count {
            largest = s.max(s.load(x), largest);
        }
        let silent = s.le(largest, s.zero());
        let divisor = s.select(silent, s.splat(1.0), largest);
        for (x, out) in count.iter().zip(out) {
            s.store(s.div(s.load(x), divisor), out);
        }
    });
}
