//! The published slow-wave layers (METHOD section 3): integrate-and-fire neurons that compete, over all time steps at
//! once, and the pieces of their plasticity.
//!
//! All channels of a pixel (or all outputs of the linear layer) compete: of those that spike in a step one wins, chosen
//! at random where several do, and every other is inhibited. Their membranes stay in registers and L1 while time runs;
//! random numbers are drawn only where there is a tie.
//!
//! The convolution layer runs in units of its threshold: there its dynamics do not depend on the scale of the weights,
//! and the threshold is 1 for all channels.

use crate::simd::{Isa, LANES, Lanes, LanesU32, Simd, dispatch, first_lanes, math};
use crate::tensor::Shape;

/// Channels that can compete: candidates for a tie are kept in the bits of a `u32`.
pub const MAX_CHANNELS: usize = 32;

/// Logistic squashing of the current (METHOD section 3): sigmoid(8 r - 3.2), r the current over the threshold.
const STEEPNESS: f32 = 8.0;
const SHIFT: f32 = -3.2;

/// A competition's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Competition<'a> {
    /// Channels x pixels; every pixel competes by itself.
    pub shape: Shape,
    /// Time steps.
    pub steps: usize,
    /// Share of the membrane that is left a step later.
    pub decay: f32,
    /// What a membrane must exceed to spike, one number a channel.
    pub threshold: &'a [f32],
}

/// Lets the channels of every pixel of a block compete for all time steps.
///
/// `current` drives the membranes, constant in time; `membrane` is the state before and after; `inhibition` is what a
/// loser's membrane is lowered by, one number a sample; `count` gets the number of wins. `tie(pixel, lane, step,
/// candidates)` chooses one of the channels whose bits are set.
#[allow(clippy::too_many_arguments)]
pub fn compete(
    isa: Isa,
    competition: &Competition<'_>,
    live: usize,
    current: &[Lanes],
    inhibition: &Lanes,
    membrane: &mut [Lanes],
    count: &mut [Lanes],
    mut tie: impl FnMut(usize, usize, usize, u32) -> u32,
) {
    let channels = competition.shape.channels;
    assert!(channels <= MAX_CHANNELS, "{channels} channels, at most {MAX_CHANNELS} compete");
    // LeNet's two layers by name, so that their loops are unrolled.
    dispatch!(isa, s => match channels {
        10 => body::<_, 10>(s, competition, 10, live, current, inhibition, membrane, count, &mut tie),
        20 => body::<_, 20>(s, competition, 20, live, current, inhibition, membrane, count, &mut tie),
        _ => body::<_, MAX_CHANNELS>(
            s, competition, channels, live, current, inhibition, membrane, count, &mut tie,
        ),
    });
}

#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn body<S: Simd, const C: usize>(
    s: S,
    competition: &Competition<'_>,
    channels: usize,
    live: usize,
    current: &[Lanes],
    inhibition: &Lanes,
    membrane: &mut [Lanes],
    count: &mut [Lanes],
    tie: &mut impl FnMut(usize, usize, usize, u32) -> u32,
) {
    let pixels = competition.shape.pixels();
    let (decay, inhibition) = (s.splat(competition.decay), s.load(inhibition));
    let one = s.splat(1.0);
    let nobody = s.splat_u32(0);
    let alive = s.mask_from_bits(first_lanes(live));
    let mut threshold = [s.zero(); C];
    for (to, &value) in threshold.iter_mut().zip(competition.threshold) {
        *to = s.splat(value);
    }
    for pixel in 0..pixels {
        let mut i = [s.zero(); C];
        let mut m = [s.zero(); C];
        let mut n = [s.zero(); C];
        for c in 0..channels {
            // Dead lanes never reach a threshold, not even a negative one.
            let drive = s.load(&current[c * pixels + pixel]);
            i[c] = s.select(alive, drive, s.splat(f32::NEG_INFINITY));
            m[c] = s.load(&membrane[c * pixels + pixel]);
        }
        for step in 0..competition.steps {
            // The channels that spike, one bit each.
            let mut spikes = nobody;
            for c in 0..channels {
                let u = s.mul_add(m[c], decay, i[c]);
                let spike = s.gt(u, threshold[c]);
                m[c] = s.select(spike, s.zero(), u);
                let with = s.or_u32(spikes, s.splat_u32(1 << c));
                spikes = s.select_u32(spike, with, spikes);
            }
            let any = s.mask_not(s.eq_u32(spikes, nobody));
            if s.mask_bits(any) == 0 {
                continue;
            }
            let without_lowest = s.and_u32(spikes, s.sub_u32(spikes, s.splat_u32(1)));
            let several = s.mask_bits(s.mask_not(s.eq_u32(without_lowest, nobody)));
            if several != 0 {
                let mut candidates = LanesU32::ZERO;
                s.store_u32(spikes, &mut candidates);
                for lane in (0..LANES).filter(|lane| several >> lane & 1 == 1) {
                    let winner = tie(pixel, lane, step, candidates.0[lane]);
                    candidates.0[lane] = 1 << winner;
                }
                spikes = s.load_u32(&candidates);
            }
            for c in 0..channels {
                let silent = s.eq_u32(s.and_u32(spikes, s.splat_u32(1 << c)), nobody);
                let lost = s.mask_and(any, silent);
                m[c] = s.select(lost, s.sub(m[c], inhibition), m[c]);
                n[c] = s.select(silent, n[c], s.add(n[c], one));
            }
        }
        for c in 0..channels {
            s.store(s.keep_first(m[c], live), &mut membrane[c * pixels + pixel]);
            s.store(s.keep_first(n[c], live), &mut count[c * pixels + pixel]);
        }
    }
}

/// The bit of `candidates` that a uniform random number of 64 bits points at.
#[inline]
pub fn choose(candidates: u32, random: u64) -> u32 {
    let count = candidates.count_ones();
    let skip = ((u128::from(random) * u128::from(count)) >> 64) as u32;
    let mut rest = candidates;
    for _ in 0..skip {
        rest &= rest - 1;
    }
    rest.trailing_zeros()
}

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
/// per channel, to the threshold. METHOD section 3: the surrogate passes gradient exactly where a spike was emitted, so
/// the derivative of a count by its constant current is the count itself.
#[allow(clippy::too_many_arguments)]
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

/// Between layers: every sample's counts over its largest (a sample without spikes stays zero), then the maximum of
/// every 2 x 2 window. `count` has `shape`, `out` halved sides; a last row or column without a partner is left out.
pub fn normalize_pool(isa: Isa, shape: Shape, count: &[Lanes], out: &mut [Lanes]) {
    let (width, half) = (shape.width, shape.width / 2);
    let cells = shape.height / 2 * half;
    if cells == 0 {
        return;
    }
    dispatch!(isa, s => {
        let mut largest = s.zero();
        for x in count {
            largest = s.max(s.load(x), largest);
        }
        let silent = s.le(largest, s.zero());
        let divisor = s.select(silent, s.splat(1.0), largest);
        for (plane, out) in count.chunks(shape.pixels()).zip(out.chunks_mut(cells)) {
            for (rows, out) in plane.chunks_exact(2 * width).zip(out.chunks_mut(half)) {
                let (top, bottom) = rows.split_at(width);
                for (x, out) in out.iter_mut().enumerate() {
                    let top = s.max(s.load(&top[2 * x]), s.load(&top[2 * x + 1]));
                    let bottom = s.max(s.load(&bottom[2 * x]), s.load(&bottom[2 * x + 1]));
                    s.store(s.div(s.max(top, bottom), divisor), out);
                }
            }
        }
    });
}
