//! Bounds of a block: for every feature of every sample a lower and an upper limit, which hold for exact arithmetic and
//! for the sums of f32 that the engine computes. Whatever is rounded is rounded outward; a limit that is NaN or beyond
//! `LARGEST` becomes an infinity.

mod margin;

use super::activation::{Activation, activate};
use super::pool::{self, PoolGeometry};
use crate::simd::{Isa, Lanes, LanesU32, Simd, dispatch};
pub use margin::{Logits, least_margin, least_margin_of};

/// Half of the distance of neighboring f32, relative to them.
pub const UNIT: f32 = f32::EPSILON / 2.0;

/// Larger limits are none: sums that lead to them might overflow on the way.
const LARGEST: f32 = 1e30;

/// What a few dozen roundings of denormal numbers stay below.
pub const TINY: f32 = f32::MIN_POSITIVE;

/// The relative error of a sum of `terms` products in any order; None where there are too many to bound it.
pub fn sum_error(terms: usize) -> Option<f32> {
    let error = 1.01 * (terms as f32 + 8.0) * UNIT;
    (error < 1.0 / 32.0).then_some(error)
}

/// A lower limit and an upper one for every feature of a block.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// The lower limits.
    pub low: Vec<Lanes>,
    /// The upper limits.
    pub high: Vec<Lanes>,
}

impl Bounds {
    /// So many features, with whatever limits; keeps its memory.
    pub fn resize(&mut self, features: usize) {
        self.low.resize(features, Lanes::ZERO);
        self.high.resize(features, Lanes::ZERO);
    }
}

/// Writes limits that have been widened; where they are no numbers, or out of order, or too large, there are none.
#[inline(always)]
fn store<S: Simd>(s: S, low: S::F32, high: S::F32, to: (&mut Lanes, &mut Lanes)) {
    let known = s.mask_and(s.le(low, high), s.le(high, s.splat(LARGEST)));
    let known = s.mask_and(known, s.ge(low, s.splat(-LARGEST)));
    s.store(s.select(known, low, s.splat(f32::NEG_INFINITY)), to.0);
    s.store(s.select(known, high, s.splat(f32::INFINITY)), to.1);
}

/// [`store`] of limits with a relative error of a few roundings.
#[inline(always)]
fn store_rounded<S: Simd>(s: S, low: S::F32, high: S::F32, to: (&mut Lanes, &mut Lanes)) {
    let (unit, tiny) = (s.splat(4.0 * UNIT), s.splat(TINY));
    let low = s.sub(low, s.mul_add(s.abs(low), unit, tiny));
    let high = s.add(high, s.mul_add(s.abs(high), unit, tiny));
    store(s, low, high, to);
}

/// The images within `eps` of `x` in every pixel, and in 0..=1.
pub fn ball(isa: Isa, eps: f32, x: &[Lanes], out: &mut Bounds) {
    out.resize(x.len());
    dispatch!(isa, s => {
        // Of numbers up to 2 a rounding is at most UNIT.
        let eps = s.splat(eps + 2.0 * UNIT);
        for ((x, low), high) in x.iter().zip(&mut out.low).zip(&mut out.high) {
            let x = s.load(x);
            s.store(s.max(s.sub(x, eps), s.zero()), low);
            s.store(s.min(s.add(x, eps), s.splat(1.0)), high);
        }
    });
}

/// The middle of every interval, and of each the radius that a sum with relative error `error` has to reckon with: with
/// weights W, all of `W x` for x in the interval, exact or in f32, lies within `|W| radius` of `W center`, the latter two
/// computed in f32.
pub fn center_and_radius(
    isa: Isa,
    error: f32,
    x: &Bounds,
    center: &mut [Lanes],
    radius: &mut [Lanes],
) {
    dispatch!(isa, s => {
        let (half, wider, slack) = (s.splat(0.5), s.splat(1.0 + 5.0 * error), s.splat(3.0 * error));
        for (i, (center, radius)) in center.iter_mut().zip(radius).enumerate() {
            let (low, high) = (s.load(&x.low[i]), s.load(&x.high[i]));
            let middle = s.mul_add(low, half, s.mul(high, half));
            let reach = s.max(s.sub(high, middle), s.sub(middle, low));
            s.store(middle, center);
            let rounding = s.mul_add(s.abs(middle), slack, s.splat(TINY));
            s.store(s.mul_add(reach, wider, rounding), radius);
        }
    });
}

/// The largest size of any limit, lane by lane.
pub fn largest(isa: Isa, x: &Bounds, out: &mut Lanes) {
    dispatch!(isa, s => {
        let mut most = s.zero();
        for (low, high) in x.low.iter().zip(&x.high) {
            let size = s.max(s.abs(s.load(low)), s.abs(s.load(high)));
            most = s.max(size, most);
        }
        s.store(most, out);
    });
}

/// What one output channel adds to the sums of [`around`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChannelError {
    /// The number to add.
    pub bias: f32,
    /// The error that this makes.
    pub fixed: f32,
    /// An error that grows with the largest input, for sums that are not computed term by term.
    pub of_largest: f32,
}

/// Limits from `W center` and `|W| radius`, channel by channel.
pub fn around(
    isa: Isa,
    pixels: usize,
    center: &[Lanes],
    radius: &[Lanes],
    channels: &[ChannelError],
    largest: &Lanes,
    out: &mut Bounds,
) {
    out.resize(center.len());
    dispatch!(isa, s => {
        let largest = s.load(largest);
        for (i, ((center, radius), channel)) in
            center.chunks(pixels).zip(radius.chunks(pixels)).zip(channels).enumerate()
        {
            let bias = s.splat(channel.bias);
            let fixed = s.splat(channel.fixed + TINY);
            let extra = s.mul_add(largest, s.splat(channel.of_largest), fixed);
            let lows = &mut out.low[i * pixels..][..center.len()];
            let highs = &mut out.high[i * pixels..][..center.len()];
            for (((center, radius), low), high) in center.iter().zip(radius).zip(lows).zip(highs) {
                let middle = s.add(s.load(center), bias);
                let reach = s.add(s.load(radius), extra);
                let reach = s.mul_add(s.add(reach, s.abs(middle)), s.splat(4.0 * UNIT), reach);
                store_rounded(s, s.sub(middle, reach), s.add(middle, reach), (low, high));
            }
        }
    });
}

/// `scale x + shift` per channel.
pub fn affine(
    isa: Isa,
    pixels: usize,
    (scale, shift): (&[f32], &[f32]),
    x: &Bounds,
    out: &mut Bounds,
) {
    out.resize(x.low.len());
    dispatch!(isa, s => {
        for (channel, (&scale, &shift)) in scale.iter().zip(shift).enumerate() {
            let (scale, shift) = (s.splat(scale), s.splat(shift));
            for i in channel * pixels..(channel + 1) * pixels {
                let a = s.mul_add(s.load(&x.low[i]), scale, shift);
                let b = s.mul_add(s.load(&x.high[i]), scale, shift);
                between(s, a, b, (&mut out.low[i], &mut out.high[i]));
            }
        }
    });
}

/// Stores what lies between two numbers of either order; NaN is no limit.
#[inline(always)]
fn between<S: Simd>(s: S, a: S::F32, b: S::F32, to: (&mut Lanes, &mut Lanes)) {
    let turned = s.lt(b, a);
    store_rounded(s, s.select(turned, b, a), s.select(turned, a, b), to);
}

/// Where a function that falls and then rises has its minimum, and the minimum; None of one that only rises.
fn valley(activation: Activation) -> Option<(f32, f32)> {
    match activation {
        Activation::LeakyRelu { slope: factor } | Activation::Elu { alpha: factor } => {
            (factor < 0.0).then_some((0.0, 0.0))
        }
        Activation::Silu => Some((-1.278_464_5, -0.278_464_55)),
        Activation::Gelu => Some((-0.751_791_5, -0.169_971_2)),
        Activation::GeluTanh => Some((-0.752_461_4, -0.170_040_8)),
        Activation::Mish => Some((-1.192_431_2, -0.308_843_42)),
        Activation::HardSwish => Some((-1.5, -0.375)),
        Activation::Relu
        | Activation::Tanh
        | Activation::Softplus
        | Activation::Sigmoid
        | Activation::HardSigmoid
        | Activation::Clamp { .. } => None,
    }
}

/// How far the engine's function may be off, in 16 roundings of input and output, and besides.
fn slack(activation: Activation) -> Option<f32> {
    match activation {
        Activation::Relu | Activation::Clamp { .. } => None,
        Activation::Gelu | Activation::GeluTanh => Some(2e-6),
        _ => Some(TINY),
    }
}

/// A function of one number.
pub fn activation(isa: Isa, f: Activation, x: &Bounds, out: &mut Bounds) {
    let live = crate::simd::LANES;
    out.resize(x.low.len());
    activate(isa, f, live, &x.low, &mut out.low);
    activate(isa, f, live, &x.high, &mut out.high);
    let (valley, slack) = (valley(f), slack(f));
    if valley.is_none() && slack.is_none() {
        return;
    }
    let slack = slack.unwrap_or(0.0);
    dispatch!(isa, s => {
        for i in 0..out.low.len() {
            let x = [s.load(&x.low[i]), s.load(&x.high[i])];
            let y = [s.load(&out.low[i]), s.load(&out.high[i])];
            let turned = s.lt(y[1], y[0]);
            let (mut low, high) = (s.select(turned, y[1], y[0]), s.select(turned, y[0], y[1]));
            if let Some((at, least)) = valley {
                // The place of the minimum is rounded too.
                let inside = s.mask_and(
                    s.le(x[0], s.splat(at + 1e-3)),
                    s.ge(x[1], s.splat(at - 1e-3)),
                );
                low = s.select(inside, s.min(s.splat(least), low), low);
            }
            let of_x = s.max(s.abs(x[0]), s.abs(x[1]));
            let reach = s.add(of_x, s.max(s.abs(low), s.abs(high)));
            let reach = s.mul_add(reach, s.splat(16.0 * UNIT), s.splat(slack));
            let to = (&mut out.low[i], &mut out.high[i]);
            store(s, s.sub(low, reach), s.add(high, reach), to);
        }
    });
}

/// Maximum of every window; `winner` is memory for as many as there are.
pub fn max_pool(
    isa: Isa,
    g: &PoolGeometry,
    x: &Bounds,
    winner: &mut Vec<LanesU32>,
    out: &mut Bounds,
) {
    let features = g.output.features();
    out.resize(features);
    winner.resize(features, LanesU32::ZERO);
    pool::max_pool(isa, g, &x.low, &mut out.low, &mut winner[..features]);
    pool::max_pool(isa, g, &x.high, &mut out.high, &mut winner[..features]);
}

/// Mean of every window; `sizes` is memory.
pub fn avg_pool(
    isa: Isa,
    g: &PoolGeometry,
    x: &Bounds,
    sizes: &mut [Vec<Lanes>; 2],
    out: &mut Bounds,
) {
    let features = g.output.features();
    out.resize(features);
    let [of_x, mean] = sizes;
    self::sizes(isa, x, of_x);
    mean.resize(features, Lanes::ZERO);
    pool::avg_pool(isa, g, of_x, mean);
    pool::avg_pool(isa, g, &x.low, &mut out.low);
    pool::avg_pool(isa, g, &x.high, &mut out.high);
    let error = sum_error(g.window[0] * g.window[1]).unwrap_or(f32::INFINITY);
    dispatch!(isa, s => {
        let error = s.splat(2.0 * error);
        for (i, mean) in mean.iter().enumerate() {
            let reach = s.mul_add(s.load(mean), error, s.splat(TINY));
            let (low, high) = (s.load(&out.low[i]), s.load(&out.high[i]));
            store(s, s.sub(low, reach), s.add(high, reach), (&mut out.low[i], &mut out.high[i]));
        }
    });
}

/// The largest size of every feature.
pub fn sizes(isa: Isa, x: &Bounds, out: &mut Vec<Lanes>) {
    out.resize(x.low.len(), Lanes::ZERO);
    dispatch!(isa, s => {
        for ((low, high), out) in x.low.iter().zip(&x.high).zip(out) {
            s.store(s.max(s.abs(s.load(low)), s.abs(s.load(high))), out);
        }
    });
}

/// a + b
pub fn add(isa: Isa, a: &Bounds, b: &Bounds, out: &mut Bounds) {
    out.resize(a.low.len());
    dispatch!(isa, s => {
        for i in 0..a.low.len() {
            let low = s.add(s.load(&a.low[i]), s.load(&b.low[i]));
            let high = s.add(s.load(&a.high[i]), s.load(&b.high[i]));
            store_rounded(s, low, high, (&mut out.low[i], &mut out.high[i]));
        }
    });
}

/// a b, each feature of `b` for `pixels` of `a`: 1, or those of a channel.
pub fn multiply(isa: Isa, pixels: usize, a: &Bounds, b: &Bounds, out: &mut Bounds) {
    out.resize(a.low.len());
    dispatch!(isa, s => {
        for i in 0..a.low.len() {
            let (a_low, a_high) = (s.load(&a.low[i]), s.load(&a.high[i]));
            let (b_low, b_high) = (s.load(&b.low[i / pixels]), s.load(&b.high[i / pixels]));
            let (p, q) = (s.mul(a_low, b_low), s.mul(a_low, b_high));
            let (r, t) = (s.mul(a_high, b_low), s.mul(a_high, b_high));
            let (low, high) = (s.min(s.min(p, q), s.min(r, t)), s.max(s.max(p, q), s.max(r, t)));
            // An infinity times zero is no number, which the minimum may hide.
            let sum = s.add(s.add(p, q), s.add(r, t));
            let known = s.eq(sum, sum);
            let nothing = s.splat(f32::NAN);
            let (low, high) = (s.select(known, low, nothing), s.select(known, high, nothing));
            store_rounded(s, low, high, (&mut out.low[i], &mut out.high[i]));
        }
    });
}
