//! Small untrained fully connected networks, as a user's own model: logits and exact gradients in f64.

use crate::common::plain::{Plain, PlainSession};
use deepsleep::attack::{Classifier, Session};
use deepsleep::simd::random::Key;
use deepsleep::tensor::{Context, Shape};

/// Numbers that are the same on every machine.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// Uniform in 0..1 (SplitMix64).
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in -1..1.
    pub fn signed(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }
}

/// `W x + b`
#[derive(Clone)]
pub struct Layer {
    /// `[out][in]`
    pub weight: Vec<f64>,
    pub bias: Vec<f64>,
}

/// Layers with rectifiers between them; a single layer is an affine model.
#[derive(Clone)]
pub struct Net {
    pub shape: Shape,
    pub layers: Vec<Layer>,
}

impl Net {
    /// Random layers of these widths, the last one the number of classes. In the middle of the box the logits are nearly
    /// equal, so every class wins somewhere near.
    pub fn random(seed: u64, shape: Shape, widths: &[usize]) -> Self {
        let random = &mut Numbers::new(seed);
        let mut inputs = shape.features();
        let mut layers = Vec::new();
        for &outputs in widths {
            let scale = (3.0 / inputs as f64).sqrt();
            // As a 32-bit number: the engine's own layers can hold the same.
            let mut number = || f64::from((scale * random.signed()) as f32);
            let weight = (0..outputs * inputs).map(|_| number()).collect();
            let bias = (0..outputs).map(|_| number() / 2.0).collect();
            layers.push(Layer { weight, bias });
            inputs = outputs;
        }
        let mut net = Self { shape, layers };
        let middle = net.logits(&vec![0.5; shape.features()]);
        let last = net.layers.last_mut().unwrap();
        for (bias, middle) in last.bias.iter_mut().zip(middle) {
            *bias = f64::from((*bias - middle + 0.05 * random.signed()) as f32);
        }
        net
    }

    pub fn classes(&self) -> usize {
        self.layers.last().unwrap().bias.len()
    }

    /// What enters each layer, and the logits.
    fn trace(&self, x: &[f64]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut inputs = Vec::new();
        let mut x = x.to_vec();
        for (i, layer) in self.layers.iter().enumerate() {
            let rows = layer.weight.chunks(x.len()).zip(&layer.bias);
            let mut y: Vec<f64> = rows
                .map(|(row, b)| b + row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>())
                .collect();
            if i + 1 < self.layers.len() {
                y.iter_mut().for_each(|y| *y = y.max(0.0));
            }
            inputs.push(std::mem::replace(&mut x, y));
        }
        (inputs, x)
    }

    pub fn logits(&self, x: &[f64]) -> Vec<f64> {
        self.trace(x).1
    }

    /// The gradient of `sum_i weight_i logit_i`.
    pub fn gradient(&self, x: &[f64], weight: &[f64]) -> Vec<f64> {
        let (inputs, _) = self.trace(x);
        let mut upstream = weight.to_vec();
        for (i, (layer, input)) in self.layers.iter().zip(&inputs).enumerate().rev() {
            let mut down = vec![0.0; input.len()];
            for (row, up) in layer.weight.chunks(input.len()).zip(&upstream) {
                down.iter_mut().zip(row).for_each(|(down, w)| *down += w * up);
            }
            if i > 0 {
                down.iter_mut().zip(input).for_each(|(down, &x)| {
                    if x <= 0.0 {
                        *down = 0.0;
                    }
                });
            }
            upstream = down;
        }
        upstream
    }
}

impl Classifier for Net {
    fn input_shape(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        Net::classes(self)
    }

    fn session(&self, _context: Context) -> Box<dyn Session + '_> {
        Box::new(PlainSession::new(self))
    }
}

impl Plain for Net {
    fn logits(&self, image: &[f64], _noise: Key) -> Vec<f64> {
        Net::logits(self, image)
    }

    fn gradient(&self, image: &[f64], weight: &[f64]) -> Vec<f64> {
        Net::gradient(self, image, weight)
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    let net = Net::random(3, Shape::new(1, 1, 3), &[6, 5, 4]);
    let (x, weight) = ([0.3, 0.6, 0.8], [0.5, -1.0, 0.25, 2.0]);
    let value = |x: &[f64]| net.logits(x).iter().zip(&weight).map(|(z, w)| z * w).sum::<f64>();
    for (i, found) in net.gradient(&x, &weight).into_iter().enumerate() {
        let [low, high] = [-1e-6, 1e-6].map(|h| {
            let mut x = x;
            x[i] += h;
            value(&x)
        });
        assert!(((high - low) / 2e-6 - found).abs() < 1e-6);
    }
}
