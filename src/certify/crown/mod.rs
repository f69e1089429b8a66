//! Linear bounds by backward substitution, as in CROWN (Zhang et al. 2018, "Efficient neural network robustness
//! certification with general activation functions").
//!
//! A margin is a linear function of the logits. Node by node it is rewritten as one of what the node computes from: affine
//! nodes exactly, rectifiers and maxima by a line below them where the coefficient is positive and a line above them where it
//! is negative. What is left is a linear function of the image, whose minimum over the ball and the box is known. The lines
//! need limits of every node before a rectifier or a maximum. They are found the same way, from the image on. Other functions
//! and products count by their limits.
//!
//! # Why the bounds hold in f32
//!
//! Interval bounds hold at every point of the ball for exact arithmetic and for this engine's f32, and so do the limits here,
//! which are never wider. Both evaluations compute a node as `v = f(x) + e`: `e` is 0 in the one, and in the other at most
//! what the interval bounds reckon with, by the sizes of all terms at those limits. The substitution keeps
//!
//! `margin >= sum a v + constant - noise`
//!
//! true for both: replacing `v` adds `|a| |e|` to the noise. All of it is f64, rounded. A sum of n terms is off by less than
//! n 2^-53 of the sum of their sizes. A coefficient or a constant has at most 2^27 terms, because networks have at most 2^26
//! features, and each term is `a w` or `a b` with `w` and `b` of a node. Times the limits, both errors together are less than
//! 2^-25 of `|a|` times the sizes of the node's terms. So the noise of a node has 2^-24 of these in it, beside `|e|`. The
//! last sum, over the limits, pays 2^-24 of its own sizes.

mod backward;
mod enclosure;
mod window;

use super::Certifier;
use super::forward::Forward;
use super::layer::Layer;
use crate::Result;
use crate::kernels::activation::Activation;
use crate::tensor::{Context, Region, Stop};
use backward::{BackSubstitution, FeatureDifference};
use enclosure::{Enclosure, is_relaxed};

/// A worker: memory for the bounds of one image.
pub(super) struct Crown<'a> {
    certifier: &'a Certifier,
    stop: Stop,
    forward: Forward<'a>,
    enclosure: Enclosure,
    backward: BackSubstitution<'a>,
    /// Functions to bound together.
    at_once: usize,
    /// For every node, whether its limits are found by going back.
    wanted: Vec<Wanted>,
}

/// Which limits are worth a way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    None,
    /// Those of features that a rectifier does not turn into zero.
    Alive,
    All,
}

impl<'a> Crown<'a> {
    pub fn new(certifier: &'a Certifier, context: &Context) -> Self {
        Self {
            certifier,
            stop: context.stop().clone(),
            forward: Forward::new(certifier, context.isa()),
            enclosure: Enclosure::new(certifier),
            backward: BackSubstitution::new(certifier),
            at_once: BackSubstitution::functions_at_once(certifier),
            wanted: wanted(certifier),
        }
    }

    /// The least margin of an image over its ball.
    pub fn margin(&mut self, image: &[f32], label: usize, eps: f32) -> Result<f32> {
        let certifier = self.certifier;
        self.forward.begin(std::iter::once(image), eps);
        self.enclosure.limits[0].read(self.forward.bounds(0));
        for (node, layer) in certifier.layers.iter().enumerate() {
            if matches!(layer, Layer::Same) {
                continue;
            }
            self.forward.node(node);
            self.enclosure.limits[node + 1].read(self.forward.bounds(node + 1));
            let sums = match layer {
                Layer::Linear(linear) => self.forward.sizes(node, linear),
                _ => &[],
            };
            self.enclosure.relax(certifier, node, sums);
            if self.wanted[node] != Wanted::None {
                self.tighten(node)?;
            }
        }
        self.least(label)
    }

    /// Looks for narrower limits of a node.
    fn tighten(&mut self, node: usize) -> Result<()> {
        let (place, shape) = (node + 1, self.certifier.shape_of(node + 1));
        let alive = self.wanted[node] == Wanted::Alive;
        for pixel in 0..shape.pixels() {
            let (y, x) = (pixel / shape.width, pixel % shape.width);
            let features = (0..shape.channels).map(|channel| channel * shape.pixels() + pixel);
            let limits = &self.enclosure.limits[place];
            let features: Vec<usize> =
                features.filter(|&i| !alive || limits.high[i] > 0.0).collect();
            for features in features.chunks(self.at_once / 2) {
                self.stop.check()?;
                let both = |&i: &usize| {
                    let (low, high) = (Some(i), Some(i));
                    [
                        FeatureDifference { plus: low, minus: None },
                        FeatureDifference { plus: None, minus: high },
                    ]
                };
                let functions: Vec<FeatureDifference> = features.iter().flat_map(both).collect();
                let region = Region { y: y..y + 1, x: x..x + 1 };
                let found = self.backward.bound(&self.enclosure, place, region, &functions);
                let bounds = self.forward.bounds_mut(place);
                for (&i, found) in features.iter().zip(found.chunks(2)) {
                    let (low, high) = (&mut bounds.low[i].0[0], &mut bounds.high[i].0[0]);
                    *low = low.max(rounded_down(found[0]));
                    *high = high.min(-rounded_down(found[1]));
                }
            }
        }
        self.enclosure.limits[place].read(self.forward.bounds(place));
        Ok(())
    }

    /// The least margin, all nodes being relaxed.
    fn least(&mut self, label: usize) -> Result<f32> {
        let certifier = self.certifier;
        let classes = certifier.architecture.classes();
        let place = certifier.places[certifier.layers.len()];
        let others = (0..classes).filter(|&class| class != label);
        let functions: Vec<FeatureDifference> = others
            .map(|class| FeatureDifference { plus: Some(label), minus: Some(class) })
            .collect();
        let mut least = f32::INFINITY;
        for functions in functions.chunks(self.at_once) {
            self.stop.check()?;
            let region = Region::all(certifier.shape_of(place));
            let found = self.backward.bound(&self.enclosure, place, region, functions);
            least = found.iter().fold(least, |least, &found| least.min(rounded_down(found)));
        }
        Ok(least)
    }
}

/// The largest f32 that is not above.
fn rounded_down(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) > x { near.next_down() } else { near }
}

/// The affine nodes that a rectifier, a maximum or another function looks at, without those whose intervals are exact.
fn wanted(certifier: &Certifier) -> Vec<Wanted> {
    let architecture = &certifier.architecture;
    let mut wanted = vec![Wanted::None; certifier.layers.len()];
    // Features of it move independently of one another; limits of it are exact.
    let mut apart = vec![false; certifier.places.len()];
    let mut exact = apart.clone();
    (apart[0], exact[0]) = (true, true);
    for (node, layer) in certifier.layers.iter().enumerate() {
        let sources = architecture.sources(node).iter().map(|&source| certifier.places[source]);
        let of_box = apart[certifier.places[architecture.sources(node)[0]]];
        match layer {
            Layer::Linear(_) | Layer::AvgPool(_) => exact[node + 1] = of_box,
            Layer::Affine { .. } => (apart[node + 1], exact[node + 1]) = (of_box, of_box),
            _ => {}
        }
        let rectifies = matches!(layer, Layer::Activation(Activation::Relu));
        for place in sources.filter(|&place| is_relaxed(layer) && !exact[place]) {
            // An image is a place without a node, and exact.
            let source = place - 1;
            if !is_relaxed(&certifier.layers[source]) {
                let all = !rectifies || wanted[source] == Wanted::All;
                wanted[source] = if all { Wanted::All } else { Wanted::Alive };
            }
        }
    }
    wanted
}
