//! Surrogate gradients that need more than one membrane: the spread of its channel, or its own past. Those that need
//! only the membrane itself are in `kernels::surrogate`.

use super::estimator::{Assg, unit};
use super::group::{Group, LifCoefficients, Neighbors, TOGETHER, for_neighbors, load};
use super::{Dynamics, LifLayer};
use crate::kernels::surrogate::Slope;
use crate::simd::{Isa, Lanes, Simd, dispatch, math};

/// What stands for the derivative of a spike, for each neuron and time step.
pub(super) trait SlopeAt {
    /// The slope of neuron `at` in step `t`, whose membrane is `x` above the threshold.
    fn slope_at<S: Simd>(&mut self, s: S, x: S::F32, at: usize, t: usize) -> S::F32;
}

impl<F: Slope> SlopeAt for F {
    #[inline(always)]
    fn slope_at<S: Simd>(&mut self, s: S, x: S::F32, _at: usize, _t: usize) -> S::F32 {
        self.slope(s, x)
    }
}

/// The density of a normal distribution of mean `w / 2` and standard deviation `w`, the spread of a channel's membranes
/// up to this time step.
pub(super) struct Density<'a> {
    /// `w`, `[channel][step]`.
    pub spread: &'a [Lanes],
    /// Neurons of a channel.
    pub pixels: usize,
    pub steps: usize,
}

impl SlopeAt for Density<'_> {
    #[inline(always)]
    fn slope_at<S: Simd>(&mut self, s: S, x: S::F32, at: usize, t: usize) -> S::F32 {
        let spread = s.load(&self.spread[at / self.pixels * self.steps + t]);
        let y = s.sub(s.div(x, spread), s.splat(0.5));
        // e^-80 is nothing beside 1.
        let power = s.max(s.mul(s.mul(y, y), s.splat(-0.5)), s.splat(-80.0));
        let height = s.div(s.splat(INVERSE_ROOT_OF_TAU), spread);
        s.mul(height, math::exp(s, power))
    }
}

/// 1 / sqrt(2 pi)
const INVERSE_ROOT_OF_TAU: f32 = 0.398_942_3;

/// Channels that share their statistics: those of a layer of maps. The units of a linear layer are one.
pub(super) fn channels(layer: &LifLayer) -> (usize, usize) {
    let (pixels, features) = (layer.shape.pixels(), layer.shape.features());
    if pixels > 1 { (layer.shape.channels, pixels) } else { (1, features) }
}

/// Fills `[channel][step]` with the spread of membranes up to each step: the standard deviation over a channel's neurons and
/// the steps so far, the threshold's unit where it is zero. `squares` is memory of the same size.
pub(super) fn spreads(
    isa: Isa,
    layer: &LifLayer,
    x: &[Lanes],
    spread: &mut [Lanes],
    squares: &mut [Lanes],
) {
    spread.fill(Lanes::ZERO);
    squares.fill(Lanes::ZERO);
    dispatch!(isa, s => {
        if layer.dynamics.synapse == 0.0 {
            sums::<_, false>(s, layer, x, spread, squares);
        } else {
            sums::<_, true>(s, layer, x, spread, squares);
        }
        deviations(s, layer, spread, squares);
    });
}

/// Sums of the distances from the threshold, and of their squares.
#[inline(always)]
fn sums<S: Simd, const SYNAPSE: bool>(
    s: S,
    layer: &LifLayer,
    x: &[Lanes],
    sums: &mut [Lanes],
    squares: &mut [Lanes],
) {
    let c = &LifCoefficients::new(s, &layer.dynamics);
    let features = layer.shape.features();
    for_neighbors!(features, sum::<_, _, SYNAPSE>(s, c, layer, x, sums, squares));
}

#[inline(always)]
fn sum<S: Simd, G: Group<N>, const SYNAPSE: bool, const N: usize>(
    s: S,
    c: &LifCoefficients<S>,
    layer: &LifLayer,
    x: &[Lanes],
    sums: &mut [Lanes],
    squares: &mut [Lanes],
    group: G,
) {
    let (_, pixels) = channels(layer);
    let mut state = c.start::<N>(s);
    let at = group.at();
    for t in 0..layer.steps {
        let x = load(s, &x[layer.input_at(t)..], at);
        let (u, _) = c.advance::<SYNAPSE, N>(s, x, &mut state);
        for k in 0..N {
            let z = s.sub(u[k], c.threshold);
            let cell = at[k] / pixels * layer.steps + t;
            let (sum, square) = (s.load(&sums[cell]), s.load(&squares[cell]));
            s.store(s.add(sum, z), &mut sums[cell]);
            s.store(s.mul_add(z, z, square), &mut squares[cell]);
        }
    }
}

/// Standard deviations in the place of sums.
#[inline(always)]
fn deviations<S: Simd>(s: S, layer: &LifLayer, sums: &mut [Lanes], squares: &[Lanes]) {
    let (_, pixels) = channels(layer);
    let unit = s.splat(unit(&layer.dynamics));
    for (sums, squares) in sums.chunks_mut(layer.steps).zip(squares.chunks(layer.steps)) {
        let (mut sum, mut square) = (s.zero(), s.zero());
        for (t, (to, more)) in sums.iter_mut().zip(squares).enumerate() {
            sum = s.add(sum, s.load(to));
            square = s.add(square, s.load(more));
            let count = (pixels * (t + 1)) as f32;
            let mean = s.mul(sum, s.splat(1.0 / count));
            let variance = s.neg_mul_add(mean, sum, square);
            let variance = s.mul(variance, s.splat(1.0 / (count - 1.0).max(1.0)));
            let spread = s.sqrt(s.max(variance, s.zero()));
            s.store(s.select(s.gt(spread, s.zero()), spread, unit), to);
        }
    }
}

/// The arctangent's density, as sharp as a neuron's running distance from its threshold asks for.
pub(super) struct Adaptive<'a> {
    /// Running means of the distance from the threshold and of its deviation, `[neuron][step]`.
    pub moments: &'a mut [Lanes],
    pub steps: usize,
    /// Lanes that begin anew.
    pub fresh: u16,
    /// Whether the means move.
    pub learn: bool,
    pub decay: f32,
    pub deviations: f32,
    /// The tangent of the degree.
    pub sharpness: f32,
    pub unit: f32,
}

impl<'a> Adaptive<'a> {
    pub fn new(
        rule: Assg,
        d: &Dynamics,
        steps: usize,
        moments: &'a mut [Lanes],
        (fresh, learn): (u16, bool),
    ) -> Self {
        // The density's integral over -u..u is (2 / pi) atan(pi alpha u / 2), which is twice the degree at the distance
        // that alpha is this number divided by.
        let sharpness =
            std::f64::consts::FRAC_2_PI * (std::f64::consts::PI * f64::from(rule.degree)).tan();
        let Assg { decay, deviations, .. } = rule;
        let (sharpness, unit) = (sharpness as f32, unit(d));
        Self { moments, steps, fresh, learn, decay, deviations, sharpness, unit }
    }
}

/// Where the running mean begins, and what is added to it to keep slopes finite, in units.
const FIRST: f32 = 2.0;
const LEAST: f32 = 2e-4;

impl SlopeAt for Adaptive<'_> {
    #[inline(always)]
    fn slope_at<S: Simd>(&mut self, s: S, x: S::F32, at: usize, t: usize) -> S::F32 {
        let cell = 2 * (at * self.steps + t);
        let fresh = s.mask_from_bits(self.fresh);
        let mut mean = s.select(fresh, s.splat(FIRST * self.unit), s.load(&self.moments[cell]));
        let mut deviation = s.select(fresh, s.zero(), s.load(&self.moments[cell + 1]));
        if self.learn {
            let (keep, take) = (s.splat(self.decay), s.splat(1.0 - self.decay));
            let distance = s.abs(x);
            mean = s.mul_add(keep, mean, s.mul(take, distance));
            let off = s.abs(s.sub(distance, mean));
            deviation = s.mul_add(keep, deviation, s.mul(take, off));
        }
        s.store(mean, &mut self.moments[cell]);
        s.store(deviation, &mut self.moments[cell + 1]);
        let scale = s.mul_add(s.splat(self.deviations), deviation, mean);
        let scale = s.add(scale, s.splat(LEAST * self.unit));
        let alpha = s.div(s.splat(self.sharpness), scale);
        let y = s.mul(s.mul(alpha, x), s.splat(std::f32::consts::FRAC_PI_2));
        let half = s.mul(alpha, s.splat(0.5));
        s.div(half, s.mul_add(y, y, s.splat(1.0)))
    }
}
