//! What the second opinion says about an image: by which class it is predicted, by how much, and whether it is sure.

use super::lenet::{LeNet, SpikingLeNet, THRESHOLD};
use super::net::Net;

/// A network in f64.
pub trait Evaluator {
    /// The logits; then those of networks that are the same up to rounding in 32 bits, where that can change the answer
    /// by more than rounding (a membrane beside its threshold).
    fn opinions(&self, image: &[f32]) -> Vec<Vec<f64>>;
}

impl Evaluator for LeNet {
    fn opinions(&self, image: &[f32]) -> Vec<Vec<f64>> {
        vec![self.logits(image)]
    }
}

impl Evaluator for SpikingLeNet {
    fn opinions(&self, image: &[f32]) -> Vec<Vec<f64>> {
        // Membranes are of the order of 1, sums of 25 to 250 terms.
        [0.0, -3e-6, 3e-6].map(|shift| self.logits(image, THRESHOLD + shift)).to_vec()
    }
}

impl Evaluator for Net {
    fn opinions(&self, image: &[f32]) -> Vec<Vec<f64>> {
        let image: Vec<f64> = image.iter().map(|&x| f64::from(x)).collect();
        vec![self.logits(&image)]
    }
}

/// What 32-bit logits may be off by, relative to the largest of them. Attacks that look for the nearest point keep twice
/// that distance from the boundary.
pub const ROUNDING: f64 = 5e-6;

/// The opinion about one image.
pub struct Decision {
    /// The first of the largest logits.
    pub prediction: usize,
    /// The label's logit less the largest of the others.
    pub margin: f64,
    /// The logits.
    pub logits: Vec<f64>,
    /// The largest logit, without its sign.
    pub scale: f64,
    /// Whether rounding in 32 bits cannot turn right into wrong.
    pub sure: bool,
    /// Whether rounding in 32 bits changes the logits by no more than rounding.
    pub smooth: bool,
}

/// The first of the largest.
fn first_largest(logits: &[f64]) -> usize {
    let mut best = 0;
    for i in 1..logits.len() {
        if logits[i] > logits[best] {
            best = i;
        }
    }
    best
}

fn margin(logits: &[f64], label: usize) -> f64 {
    let mut rival = f64::NEG_INFINITY;
    for (i, &z) in logits.iter().enumerate() {
        if i != label {
            rival = rival.max(z);
        }
    }
    logits[label] - rival
}

/// Looks at an image.
pub fn judge(network: &dyn Evaluator, image: &[f32], label: usize) -> Decision {
    let opinions = network.opinions(image);
    let right = |logits: &[f64]| first_largest(logits) == label;
    let largest = |logits: &[f64]| logits.iter().fold(0.0f64, |m, z| m.max(z.abs()));
    let firm = |logits: &[f64]| {
        // Zeros, of a network that is silent, are zeros in 32 bits too.
        let scale = largest(logits);
        scale == 0.0 || margin(logits, label).abs() > ROUNDING * scale
    };
    let first = &opinions[0];
    let near = |other: &Vec<f64>| {
        let mut pairs = first.iter().zip(other);
        pairs.all(|(a, b)| (a - b).abs() <= ROUNDING * largest(first))
    };
    Decision {
        prediction: first_largest(first),
        margin: margin(first, label),
        scale: largest(first),
        sure: opinions.iter().all(|other| firm(other) && right(other) == right(first)),
        smooth: opinions.iter().all(near),
        logits: first.clone(),
    }
}
