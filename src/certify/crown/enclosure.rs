//! What is known about a network over the ball around one image.

use super::super::Certifier;
use super::super::layer::{Layer, Linear};
use crate::kernels::activation::Activation;
use crate::kernels::interval::{Bounds, TINY, UNIT, sum_error};
use crate::kernels::pool::PoolGeometry;
use crate::simd::Lanes;

/// Limits of every feature of a place.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    pub low: Vec<f64>,
    pub high: Vec<f64>,
}

impl Limits {
    /// Those of the first lane.
    pub fn read(&mut self, bounds: &Bounds) {
        let first = |lanes: &Lanes| f64::from(lanes.0[0]);
        self.low.clear();
        self.low.extend(bounds.low.iter().map(first));
        self.high.clear();
        self.high.extend(bounds.high.iter().map(first));
    }

    /// The largest size of a feature.
    #[inline(always)]
    pub fn size(&self, feature: usize) -> f64 {
        self.low[feature].abs().max(self.high[feature].abs())
    }
}

/// A line over one feature of the node before: `slope x + intercept`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub from: usize,
    pub slope: f64,
    pub intercept: f64,
}

/// How one node's result hangs on what it computes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Relaxation {
    /// For every feature, a line below it and one above it; affine nodes have none.
    pub lines: Vec<[Line; 2]>,
    /// How far every feature may be from what its lines or its affine map say: what f32 rounds, and what the backward pass
    /// rounds for each unit of its coefficient.
    pub noise: Vec<f64>,
}

#[derive(Clone, Debug)]
pub(super) struct Enclosure {
    /// For every place.
    pub limits: Vec<Limits>,
    /// For every node.
    pub nodes: Vec<Relaxation>,
}

/// What own roundings do to a number of this size. Coefficients and constants are f64 sums of at most 2^27 terms each, so
/// that both together are off by less than 2^-25 of the terms' sizes.
const OWN: f64 = UNIT as f64;

impl Enclosure {
    pub fn new(certifier: &Certifier) -> Self {
        Self {
            limits: vec![Limits::default(); certifier.places.len()],
            nodes: vec![Relaxation::default(); certifier.layers.len()],
        }
    }

    /// Relaxes a node whose limits, and those of all nodes before it, are known; `sums` is of linear nodes, the sizes of
    /// all products.
    pub fn relax(&mut self, certifier: &Certifier, node: usize, sums: &[Lanes]) {
        let sources = certifier.architecture.sources(node);
        let place = |source: usize| certifier.places[source];
        let x = &self.limits[place(sources[0])];
        let out = &self.limits[node + 1];
        let features = 0..out.low.len();
        let Relaxation { lines, noise } = &mut self.nodes[node];
        lines.clear();
        noise.clear();
        let (unit, tiny) = (f64::from(UNIT), f64::from(TINY));
        let size = |feature: usize| x.size(feature);
        match &certifier.layers[node] {
            Layer::Linear(linear) => linear_noise(linear, x, sums, noise),
            Layer::Affine { scale, shift } => {
                let pixels = out.low.len() / scale.len();
                noise.extend(features.map(|i| {
                    let (scale, shift) = (scale[i / pixels], shift[i / pixels]);
                    let sizes = f64::from(scale.abs()) * size(i) + f64::from(shift.abs());
                    (4.0 * unit + OWN) * sizes + tiny
                }));
            }
            Layer::AvgPool(g) => {
                let error =
                    f64::from(sum_error(g.window[0] * g.window[1]).unwrap_or(f32::INFINITY));
                noise.extend(features.map(|i| {
                    let mean: f64 = window(g, i).map(|(from, share)| share * size(from)).sum();
                    (2.0 * error + OWN) * mean + tiny
                }));
            }
            Layer::Add => {
                let y = &self.limits[place(sources[1])];
                noise.extend(features.map(|i| (2.0 * unit + OWN) * (size(i) + y.size(i)) + tiny));
            }
            Layer::Concat => noise.extend(features.map(|i| OWN * out.size(i))),
            Layer::MaxPool(g) => {
                for i in features {
                    let all = window(g, i).map(|(from, _)| from);
                    noise.push(4.0 * OWN * all.clone().map(size).fold(0.0, f64::max));
                    lines.push(maximum(x, all));
                }
            }
            Layer::Activation(f) => match slope_below_zero(*f) {
                Some(slope) => {
                    // A product, where there is one, is rounded.
                    let rounded = if slope == 0.0 { 0.0 } else { tiny };
                    let error = 4.0 * OWN * (1.0 + slope.abs());
                    noise.extend(features.clone().map(|i| error * size(i) + rounded));
                    lines.extend(features.map(|i| rectifier(x, i, slope)));
                }
                None => constants(out, (noise, lines)),
            },
            Layer::Mul => constants(out, (noise, lines)),
            Layer::Same => {}
        }
        // What f32 may not be able to hold is off by anything.
        for (i, noise) in noise.iter_mut().enumerate() {
            if out.size(i).is_infinite() {
                *noise = f64::INFINITY;
            }
        }
    }
}

/// What a convolution or linear layer rounds.
fn linear_noise(linear: &Linear, x: &Limits, sums: &[Lanes], noise: &mut Vec<f64>) {
    let pixels = linear.geometry.output.pixels();
    let largest = (0..x.low.len()).map(|i| x.size(i)).fold(0.0, f64::max);
    // The sums are f32 themselves.
    let error = 1.1 * (f64::from(linear.error) + OWN);
    for (sums, channel) in sums.chunks(pixels).zip(&linear.channels) {
        let bias = f64::from(channel.bias.abs());
        let more = f64::from(channel.of_largest) * largest + f64::from(TINY);
        noise.extend(sums.iter().map(|sum| error * (f64::from(sum.0[0]) + bias) + more));
    }
}

/// The slope left of 0 of a function that is `max(x, slope x)`.
pub(super) fn slope_below_zero(f: Activation) -> Option<f64> {
    match f {
        Activation::Relu => Some(0.0),
        Activation::LeakyRelu { slope } => (slope <= 1.0).then_some(f64::from(slope)),
        _ => None,
    }
}

/// Whether lines over one feature are all that is known of a node.
pub(super) fn is_relaxed(layer: &Layer) -> bool {
    matches!(layer, Layer::Activation(_) | Layer::MaxPool(_) | Layer::Mul)
}

/// The limits themselves, as lines without a slope.
fn constants(out: &Limits, (noise, lines): (&mut Vec<f64>, &mut Vec<[Line; 2]>)) {
    let flat = |intercept: f64| Line { from: 0, slope: 0.0, intercept };
    for i in 0..out.low.len() {
        noise.push(OWN * out.size(i));
        lines.push([flat(out.low[i]), flat(out.high[i])]);
    }
}

/// Lines below and above `max(x, slope x)`, which is convex.
fn rectifier(x: &Limits, from: usize, slope: f64) -> [Line; 2] {
    let (low, high) = (x.low[from], x.high[from]);
    let through_zero = |slope: f64| Line { from, slope, intercept: 0.0 };
    if low >= 0.0 {
        return [through_zero(1.0); 2];
    }
    if high <= 0.0 {
        return [through_zero(slope); 2];
    }
    // The line below that leaves the smaller triangle.
    let below = through_zero(if high > -low { 1.0 } else { slope });
    let chord = (high - slope * low) / (high - low);
    [below, Line { from, slope: chord, intercept: high - chord * high }]
}

/// Lines below and above the maximum of these features.
fn maximum(x: &Limits, all: impl Iterator<Item = usize> + Clone) -> [Line; 2] {
    let by = |key: &dyn Fn(usize) -> (f64, f64)| {
        all.clone().reduce(|best, i| if key(i) > key(best) { i } else { best }).unwrap_or(0)
    };
    // None is below the one with the largest lower limit.
    let surest = by(&|i| (x.low[i], x.high[i]));
    let below = Line { from: surest, slope: 1.0, intercept: 0.0 };
    // The maximum is at most max(x, second), x the feature that can be the largest and `second` what the others can be.
    let from = by(&|i| (x.high[i], x.low[i]));
    let others = all.clone().filter(|&i| i != from).map(|i| x.high[i]);
    let second = others.fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = (x.low[from], x.high[from]);
    if low >= second {
        return [below, Line { from, slope: 1.0, intercept: 0.0 }];
    }
    let chord = (high - second) / (high - low);
    [below, Line { from, slope: chord, intercept: second - chord * low }]
}

/// The features in the window of an output, each with its share of a mean.
pub(super) fn window(
    g: &PoolGeometry,
    output: usize,
) -> impl Iterator<Item = (usize, f64)> + Clone {
    let (channel, pixel) = (output / g.output.pixels(), output % g.output.pixels());
    let ([rows, columns], count) = g.window_of(pixel / g.output.width, pixel % g.output.width);
    let (height, width) = (g.input.height, g.input.width);
    rows.flat_map(move |y| {
        columns.clone().map(move |x| ((channel * height + y) * width + x, 1.0 / count as f64))
    })
}
