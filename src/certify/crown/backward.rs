//! Linear functions of one place, rewritten as functions of the places before it until only the image is left.

use super::super::Certifier;
use super::super::layer::{Layer, Linear};
use super::enclosure::{Enclosure, Relaxation, is_relaxed, slope_below_zero, window};
use super::window::Window;
use crate::kernels::interval::{TINY, UNIT};
use crate::kernels::pool::PoolGeometry;
use crate::tensor::{Region, Shape};
use std::ops::Range;

/// Coefficients of a place at most, where that leaves a few functions: 32 MB.
const MOST_COEFFICIENTS: usize = 1 << 22;

/// A function to bound: the difference of two features of a place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FeatureDifference {
    pub plus: Option<usize>,
    pub minus: Option<usize>,
}

/// Several functions on their way back. For each of them holds, at every point of the ball, in exact arithmetic and in f32:
/// `function >= sum over places of coefficients times features + constant - noise`.
#[derive(Debug)]
pub(super) struct BackSubstitution<'a> {
    certifier: &'a Certifier,
    /// At every place, the pixels that will have coefficients.
    regions: Vec<Region>,
    /// At every place, `[feature of its window][function]`; empty where there are none now.
    coefficients: Vec<Vec<f64>>,
    /// Memory of places that are done.
    spare: Vec<Vec<f64>>,
    functions: usize,
    constant: Vec<f64>,
    noise: Vec<f64>,
    /// The largest lower bounds so far.
    best: Vec<f64>,
    sums: [Vec<f64>; 2],
}

impl<'a> BackSubstitution<'a> {
    pub fn new(certifier: &'a Certifier) -> Self {
        let places = certifier.places.len();
        Self {
            certifier,
            regions: vec![Region::default(); places],
            coefficients: vec![Vec::new(); places],
            spare: Vec::new(),
            functions: 0,
            constant: Vec::new(),
            noise: Vec::new(),
            best: Vec::new(),
            sums: [Vec::new(), Vec::new()],
        }
    }

    /// How many functions to bound together: enough to fill vectors, few enough for memory.
    pub fn functions_at_once(certifier: &Certifier) -> usize {
        let shapes = (0..certifier.places.len()).map(|place| certifier.shape_of(place).features());
        (MOST_COEFFICIENTS / shapes.max().unwrap_or(1)).clamp(2, 64)
    }

    /// Lower bounds of differences of features of a place, all of them in `region`; negative infinity where there are none.
    pub fn bound(
        &mut self,
        enclosure: &Enclosure,
        place: usize,
        region: Region,
        functions: &[FeatureDifference],
    ) -> &[f64] {
        self.functions = functions.len();
        for of_function in [&mut self.constant, &mut self.noise] {
            of_function.clear();
            of_function.resize(functions.len(), 0.0);
        }
        self.best.clear();
        self.best.resize(functions.len(), f64::NEG_INFINITY);
        self.find_regions(place, region);
        let (window, mut values) = (self.window(place), self.take(place));
        for (i, function) in functions.iter().enumerate() {
            for (feature, sign) in [(function.plus, 1.0), (function.minus, -1.0)] {
                if let Some(feature) = feature {
                    values[window.find(feature) * functions.len() + i] += sign;
                }
            }
        }
        self.coefficients[place] = values;
        for node in (0..place).rev() {
            if self.coefficients[node + 1].is_empty() {
                continue;
            }
            if is_relaxed(&self.certifier.layers[node]) {
                // Limits may know more than the lines that follow.
                self.conclude(enclosure);
            }
            self.pass(enclosure, node);
        }
        self.conclude(enclosure);
        let image = std::mem::take(&mut self.coefficients[0]);
        self.spare.push(image);
        &self.best
    }

    fn window(&self, place: usize) -> Window {
        Window { shape: self.certifier.shape_of(place), region: self.regions[place].clone() }
    }

    /// The coefficients of a place, zeros if there are none yet.
    fn take(&mut self, place: usize) -> Vec<f64> {
        let mut values = std::mem::take(&mut self.coefficients[place]);
        if values.is_empty() {
            values = self.spare.pop().unwrap_or_default();
            values.clear();
            values.resize(self.window(place).features() * self.functions, 0.0);
        }
        values
    }

    /// Which pixels of every place the functions hang on.
    fn find_regions(&mut self, place: usize, region: Region) {
        let certifier = self.certifier;
        self.regions.fill(Region::default());
        self.regions[place] = region;
        for node in (0..place).rev() {
            if matches!(certifier.layers[node], Layer::Same) || self.window(node + 1).is_empty() {
                continue;
            }
            for &source in certifier.architecture.sources(node) {
                let source = certifier.places[source];
                let shape = certifier.shape_of(source);
                let seen = seen(certifier, node, shape, &self.regions[node + 1]);
                self.regions[source] = self.regions[source].hull(&seen);
            }
        }
    }

    /// Bounds the functions by the limits of the places that they are functions of now.
    fn conclude(&mut self, enclosure: &Enclosure) {
        let (functions, unit) = (self.functions, f64::from(UNIT));
        let [mut least, mut sizes] = std::mem::take(&mut self.sums);
        for sums in [&mut least, &mut sizes] {
            sums.clear();
            sums.resize(functions, 0.0);
        }
        for (place, limits) in enclosure.limits.iter().enumerate() {
            if self.coefficients[place].is_empty() {
                continue;
            }
            let values = self.coefficients[place].chunks(functions);
            for (feature, values) in self.window(place).numbers().zip(values) {
                let (low, high) = (limits.low[feature], limits.high[feature]);
                let size = limits.size(feature);
                for ((&a, least), sizes) in values.iter().zip(&mut least).zip(&mut sizes) {
                    *least += a * if a >= 0.0 { low } else { high };
                    *sizes += a.abs() * size;
                }
            }
        }
        for i in 0..functions {
            let constant = self.constant[i];
            let own = unit * (sizes[i] + constant.abs());
            let doubt = (self.noise[i] + own) * (1.0 + 1e-6) + f64::from(TINY);
            let bound = least[i] + constant - doubt;
            // A bound that is no number is none.
            if bound > self.best[i] {
                self.best[i] = bound;
            }
        }
        self.sums = [least, sizes];
    }

    /// Writes the functions as functions of what a node computes from.
    fn pass(&mut self, enclosure: &Enclosure, node: usize) {
        let Certifier { architecture, layers, places, .. } = self.certifier;
        let values = std::mem::take(&mut self.coefficients[node + 1]);
        let window = self.window(node + 1);
        let relaxation = &enclosure.nodes[node];
        self.charge(&layers[node], relaxation, &window, &values);
        let mut first = 0;
        for &source in architecture.sources(node) {
            let place = places[source];
            let features = self.certifier.shape_of(place).features();
            if !self.window(place).is_empty() {
                let to = self.window(place);
                let into = self.take(place);
                let mut pass = LayerPass {
                    functions: self.functions,
                    from: &window,
                    values: &values,
                    to,
                    into,
                };
                match &layers[node] {
                    Layer::Linear(linear) => pass.linear(linear),
                    Layer::Affine { scale, .. } => {
                        let pixels = window.shape.pixels();
                        pass.each(|i| Some((i, f64::from(scale[i / pixels]))));
                    }
                    Layer::AvgPool(g) => pass.avg_pool(g),
                    Layer::Add => pass.each(|i| Some((i, 1.0))),
                    Layer::Concat => {
                        pass.each(|i| {
                            (first..first + features).contains(&i).then(|| (i - first, 1.0))
                        });
                    }
                    Layer::MaxPool(_) | Layer::Activation(_) => pass.lines(relaxation),
                    // Of a product only its limits are known.
                    Layer::Mul | Layer::Same => {}
                }
                self.coefficients[place] = pass.into;
            }
            first += features;
        }
        self.spare.push(values);
    }

    /// What a node adds to the constants, and what it rounds.
    fn charge(&mut self, layer: &Layer, relaxation: &Relaxation, window: &Window, values: &[f64]) {
        let pixels = window.shape.pixels();
        for (feature, values) in window.numbers().zip(values.chunks(self.functions)) {
            let [below, above] = match layer {
                Layer::Linear(linear) => [f64::from(linear.bias[feature / pixels]); 2],
                Layer::Affine { shift, .. } => [f64::from(shift[feature / pixels]); 2],
                _ if relaxation.lines.is_empty() => [0.0; 2],
                _ => relaxation.lines[feature].map(|line| line.intercept),
            };
            let unit = relaxation.noise[feature];
            for ((&a, constant), noise) in
                values.iter().zip(&mut self.constant).zip(&mut self.noise)
            {
                *constant += a * if a >= 0.0 { below } else { above };
                *noise += a.abs() * unit;
            }
        }
    }
}

/// The pixels of a place with this shape that these pixels of a node are computed from.
fn seen(certifier: &Certifier, node: usize, shape: Shape, region: &Region) -> Region {
    let span = |range: &Range<usize>, [stride, size, border, side]: [usize; 4]| {
        let end = (range.end - 1) * stride + size;
        (range.start * stride).saturating_sub(border)..end.saturating_sub(border).min(side)
    };
    let windows = |stride: [usize; 2], size: [usize; 2], border: [usize; 2]| Region {
        y: span(&region.y, [stride[0], size[0], border[0], shape.height]),
        x: span(&region.x, [stride[1], size[1], border[1], shape.width]),
    };
    let (fits, seen) = match &certifier.layers[node] {
        Layer::Linear(linear) => {
            let g = &linear.geometry;
            (g.unpadded() == shape, windows(g.stride, g.kernel, g.padding))
        }
        Layer::MaxPool(g) | Layer::AvgPool(g) => {
            (g.input == shape, windows(g.options.stride, g.window, g.options.padding))
        }
        Layer::Activation(f) if slope_below_zero(*f).is_none() => return Region::default(),
        Layer::Mul | Layer::Same => return Region::default(),
        _ => {
            let out = certifier.shape_of(node + 1);
            ((out.height, out.width) == (shape.height, shape.width), region.clone())
        }
    };
    // What was flattened in between has lost its pixels.
    if fits { seen } else { Region::all(shape) }
}

/// From the coefficients of a node's result to those of one of its inputs.
struct LayerPass<'a> {
    functions: usize,
    from: &'a Window,
    values: &'a [f64],
    to: Window,
    into: Vec<f64>,
}

/// `to += weight from`
#[inline(always)]
fn add(to: &mut [f64], weight: f64, from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
}

/// From the first to the last that is not zero.
fn live(values: &[f64]) -> Range<usize> {
    let first = values.iter().position(|&a| a != 0.0);
    let last = values.iter().rposition(|&a| a != 0.0);
    first.zip(last).map_or(0..0, |(first, last)| first..last + 1)
}

impl LayerPass<'_> {
    /// Through an affine node, each of whose features is a multiple of one of the input's.
    fn each(&mut self, of: impl Fn(usize) -> Option<(usize, f64)>) {
        for (feature, values) in self.from.numbers().zip(self.values.chunks(self.functions)) {
            if let Some((source, weight)) = of(feature) {
                let at = self.to.find(source) * self.functions;
                add(&mut self.into[at..][..self.functions], weight, values);
            }
        }
    }

    fn avg_pool(&mut self, g: &PoolGeometry) {
        for (feature, values) in self.from.numbers().zip(self.values.chunks(self.functions)) {
            for (source, share) in window(g, feature) {
                let at = self.to.find(source) * self.functions;
                add(&mut self.into[at..][..self.functions], share, values);
            }
        }
    }

    /// Lower lines where a coefficient is positive, upper ones where it is negative.
    fn lines(&mut self, relaxation: &Relaxation) {
        for (feature, values) in self.from.numbers().zip(self.values.chunks(self.functions)) {
            if live(values).is_empty() {
                continue;
            }
            for (line, sign) in relaxation.lines[feature].iter().zip([1.0, -1.0]) {
                if line.slope != 0.0 {
                    let at = self.to.find(line.from) * self.functions;
                    let into = &mut self.into[at..][..self.functions];
                    for (into, a) in into.iter_mut().zip(values) {
                        *into += line.slope * if sign * a > 0.0 { *a } else { 0.0 };
                    }
                }
            }
        }
    }

    /// A convolution's own input gradient, of `functions` at a time. The kernels over lanes have f32 only.
    fn linear(&mut self, linear: &Linear) {
        let (g, functions) = (&linear.geometry, self.functions);
        let shape = g.unpadded();
        // The input may be flat here and have pixels at its place: it is whole then.
        let to = if self.to.shape == shape { self.to.clone() } else { Window::all(shape) };
        let [kernel_y, kernel_x] = g.kernel;
        for channel in 0..g.output.channels {
            let first = channel / g.out_channels() * g.in_channels();
            let weights = &linear.weight[channel * g.fan_in()..][..g.fan_in()];
            for y in self.from.region.y.clone() {
                for x in self.from.region.x.clone() {
                    let at = self.from.index(channel, y, x) * functions;
                    let values = &self.values[at..][..functions];
                    let live = live(values);
                    let values = &values[live.clone()];
                    let columns = inside(x * g.stride[1], kernel_x, g.padding[1], shape.width);
                    if values.is_empty() || columns.is_empty() {
                        continue;
                    }
                    let left = x * g.stride[1] + columns.start - g.padding[1];
                    for (i, weights) in weights.chunks(kernel_y * kernel_x).enumerate() {
                        for ky in inside(y * g.stride[0], kernel_y, g.padding[0], shape.height) {
                            let top = y * g.stride[0] + ky - g.padding[0];
                            let mut at = to.index(first + i, top, left) * functions + live.start;
                            for &weight in &weights[ky * kernel_x..][columns.clone()] {
                                let into = &mut self.into[at..][..values.len()];
                                add(into, f64::from(weight), values);
                                at += functions;
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The part of a kernel of this size, which begins at `at` of the input with its border, that meets no border.
fn inside(at: usize, size: usize, border: usize, side: usize) -> Range<usize> {
    border.saturating_sub(at).min(size)..(side + border).saturating_sub(at).min(size)
}
