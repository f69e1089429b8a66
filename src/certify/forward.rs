//! The bounds of sixteen images, node by node.

use super::Certifier;
use super::layer::{Layer, Linear};
use crate::kernels::conv2d::{self, Geometry};
use crate::kernels::interval::{self, Bounds};
use crate::kernels::pad;
use crate::simd::{Isa, Lanes, LanesU32};

/// A worker: memory for the bounds of one block.
pub(super) struct Forward<'a> {
    certifier: &'a Certifier,
    isa: Isa,
    /// At every place of the network, where they are known.
    bounds: Vec<Bounds>,
    memory: LayerMemory,
}

#[derive(Default)]
struct LayerMemory {
    images: Vec<Lanes>,
    center: Vec<Lanes>,
    radius: Vec<Lanes>,
    padded: Vec<Lanes>,
    sums: [Vec<Lanes>; 2],
    winner: Vec<LanesU32>,
    own: Vec<Lanes>,
}

impl<'a> Forward<'a> {
    pub(super) fn new(certifier: &'a Certifier, isa: Isa) -> Self {
        Self {
            certifier,
            isa,
            bounds: vec![Bounds::default(); certifier.places.len()],
            memory: LayerMemory::default(),
        }
    }

    /// The least margin of every image over its ball.
    pub(super) fn margins<'b>(
        &mut self,
        images: impl Iterator<Item = &'b [f32]>,
        labels: &LanesU32,
        eps: f32,
    ) -> Lanes {
        self.begin(images, eps);
        for node in 0..self.certifier.layers.len() {
            if self.certifier.last != Some(node) {
                self.node(node);
            }
        }
        self.least(labels)
    }

    /// Begins with the balls around other images.
    pub(super) fn begin<'b>(&mut self, images: impl Iterator<Item = &'b [f32]>, eps: f32) {
        let (certifier, memory) = (self.certifier, &mut self.memory);
        memory.images.clear();
        memory.images.resize(certifier.architecture.input().features(), Lanes::ZERO);
        for (lane, image) in images.enumerate() {
            memory.images.iter_mut().zip(image).for_each(|(to, &pixel)| to.0[lane] = pixel);
        }
        interval::ball(self.isa, eps, &memory.images, &mut self.bounds[0]);
    }

    /// The bounds of a place.
    pub(super) fn bounds(&self, place: usize) -> &Bounds {
        &self.bounds[place]
    }

    /// The same, to be made tighter.
    pub(super) fn bounds_mut(&mut self, place: usize) -> &mut Bounds {
        &mut self.bounds[place]
    }

    /// For a linear node, the sums of the magnitudes of all products, as f32 rounds them.
    pub(super) fn sizes(&mut self, node: usize, linear: &Linear) -> &[Lanes] {
        let Self { certifier, isa, memory, bounds } = self;
        let x = &bounds[certifier.places[certifier.architecture.sources(node)[0]]];
        interval::sizes(*isa, x, &mut memory.center);
        let LayerMemory { center, padded, sums: [sums, _], .. } = memory;
        convolve(*isa, &linear.geometry, center, &linear.packed[1], padded, sums);
        sums
    }

    fn least(&mut self, labels: &LanesU32) -> Lanes {
        let Self { certifier, isa, memory, bounds } = self;
        let mut least = Lanes::ZERO;
        let Some(node) = certifier.last else {
            let logits = &bounds[certifier.places[certifier.layers.len()]];
            interval::least_margin_of(*isa, logits, labels, &mut least);
            return least;
        };
        let Layer::Linear(linear) = &certifier.layers[node] else { return least };
        let x = &bounds[certifier.places[certifier.architecture.sources(node)[0]]];
        spread(*isa, linear, x, memory);
        let (center, radius) = (&memory.center, &memory.radius);
        let logits = linear.logits();
        interval::least_margin(*isa, logits, labels, center, radius, &mut memory.own, &mut least);
        least
    }

    /// The bounds of one node, from those of the nodes before it.
    pub(super) fn node(&mut self, node: usize) {
        let Self { certifier, isa, memory, bounds } = self;
        let layer = &certifier.layers[node];
        if matches!(layer, Layer::Same) {
            return;
        }
        let isa = *isa;
        let (before, rest) = bounds.split_at_mut(node + 1);
        let out = &mut rest[0];
        let sources = certifier.architecture.sources(node);
        let x = &before[certifier.places[sources[0]]];
        match layer {
            Layer::Linear(linear) => around(isa, linear, x, memory, out),
            Layer::Affine { scale, shift } => {
                let pixels = x.low.len() / scale.len();
                interval::affine(isa, pixels, (scale, shift), x, out);
            }
            Layer::Activation(f) => interval::activation(isa, *f, x, out),
            Layer::MaxPool(g) => interval::max_pool(isa, g, x, &mut memory.winner, out),
            Layer::AvgPool(g) => interval::avg_pool(isa, g, x, &mut memory.sums, out),
            Layer::Add => interval::add(isa, x, &before[certifier.places[sources[1]]], out),
            Layer::Mul => {
                let y = &before[certifier.places[sources[1]]];
                interval::multiply(isa, x.low.len() / y.low.len(), x, y, out);
            }
            Layer::Concat => {
                out.resize(0);
                for &source in sources {
                    let part = &before[certifier.places[source]];
                    out.low.extend_from_slice(&part.low);
                    out.high.extend_from_slice(&part.high);
                }
            }
            Layer::Same => {}
        }
    }
}

/// Middles and radii of a linear layer's input.
fn spread(isa: Isa, linear: &Linear, x: &Bounds, memory: &mut LayerMemory) {
    memory.center.resize(x.low.len(), Lanes::ZERO);
    memory.radius.resize(x.low.len(), Lanes::ZERO);
    interval::center_and_radius(isa, linear.error, x, &mut memory.center, &mut memory.radius);
}

/// The bounds of a convolution or linear layer: one pass for the middles, one for the radii.
fn around(isa: Isa, linear: &Linear, x: &Bounds, memory: &mut LayerMemory, out: &mut Bounds) {
    let g = &linear.geometry;
    spread(isa, linear, x, memory);
    let LayerMemory { center, radius, padded, sums, .. } = memory;
    for ((x, packed), sums) in [center, radius].into_iter().zip(&linear.packed).zip(&mut *sums) {
        convolve(isa, g, x, packed, padded, sums);
    }
    let mut largest = Lanes::ZERO;
    if !conv2d::adds_products(g) {
        interval::largest(isa, x, &mut largest);
    }
    let [center, radius] = sums;
    interval::around(isa, g.output.pixels(), center, radius, &linear.channels, &largest, out);
}

fn convolve(
    isa: Isa,
    g: &Geometry,
    x: &[Lanes],
    packed: &[f32],
    padded: &mut Vec<Lanes>,
    sums: &mut Vec<Lanes>,
) {
    sums.resize(g.output.features(), Lanes::ZERO);
    let x = if g.is_padded() {
        padded.resize(g.input.features(), Lanes::ZERO);
        pad::pad(g.unpadded(), g.padding, x, padded);
        &*padded
    } else {
        x
    };
    conv2d::forward(isa, g, x, packed, sums);
}
