//! A model of which the answer is known: the nearest of the classes' mean images. It is affine, so the worst image of a ball
//! is a formula.

use crate::Result;
use crate::attack::geometry::{RankBuffer, ascend};
use crate::attack::{Classifier, Norm, Samples, Session};
use crate::nn::predict;
use crate::simd::random::Key;
use crate::simd::{LANES, Lanes};
use crate::tensor::{Context, Shape};

/// `z = W x + b`, `W` twice the means of the classes: the largest logit is that of the nearest mean.
pub(super) struct NearestMean {
    shape: Shape,
    /// `[class][feature]`
    weight: Vec<Vec<f32>>,
    bias: Vec<f32>,
}

impl NearestMean {
    pub fn new(samples: &Samples, classes: usize) -> Self {
        let features = samples.shape().features();
        let mut weight = vec![vec![0.0f32; features]; classes];
        let mut counts = vec![0.0f32; classes];
        for (i, &label) in samples.labels().iter().enumerate() {
            weight[label].iter_mut().zip(samples.image(i)).for_each(|(w, x)| *w += 2.0 * x);
            counts[label] += 1.0;
        }
        let mut bias = Vec::new();
        for (row, &count) in weight.iter_mut().zip(&counts) {
            row.iter_mut().for_each(|w| *w /= count.max(1.0));
            let square: f32 = row.iter().map(|w| w * w / 4.0).sum();
            // A class without samples is far away.
            bias.push(if count > 0.0 { -square } else { -2.0 * features as f32 });
        }
        Self { shape: samples.shape(), weight, bias }
    }

    pub fn logits(&self, image: &[f32]) -> Vec<f32> {
        let logit = |(row, bias): (&Vec<f32>, &f32)| {
            let terms = row.iter().zip(image).map(|(w, x)| f64::from(*w) * f64::from(*x));
            (terms.sum::<f64>() + f64::from(*bias)) as f32
        };
        self.weight.iter().zip(&self.bias).map(logit).collect()
    }

    /// Whether an image of the ball, the worst for one of the other classes, is surely misclassified.
    pub fn is_fooled(&self, image: &[f32], label: usize, norm: Norm, eps: f32) -> bool {
        let others = (0..self.bias.len()).filter(|&class| class != label);
        others.into_iter().any(|class| {
            let rows = self.weight[class].iter().zip(&self.weight[label]);
            let direction: Vec<f32> = rows.map(|(a, b)| a - b).collect();
            let z = self.logits(&worst(norm, eps, image, &direction));
            z[class] - z[label] > 1e-3
        })
    }
}

/// The point of ball and box that is farthest along a direction (in l2 it is so where the box is not in the way).
fn worst(norm: Norm, eps: f32, image: &[f32], direction: &[f32]) -> Vec<f32> {
    let mut point = image.to_vec();
    ascend(norm, eps, direction, &mut point, &mut RankBuffer::default());
    point.iter_mut().for_each(|x| *x = x.clamp(0.0, 1.0));
    point
}

impl Classifier for NearestMean {
    fn input_shape(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.bias.len()
    }

    fn session(&self, _context: Context) -> Box<dyn Session + '_> {
        Box::new(NearestMeanSession(self))
    }
}

struct NearestMeanSession<'a>(&'a NearestMean);

impl Session for NearestMeanSession<'_> {
    fn logits(
        &mut self,
        images: &[Lanes],
        _noise: &[Key; LANES],
        _differentiable: bool,
        out: &mut [Lanes],
    ) -> Result<()> {
        for (out, (row, bias)) in out.iter_mut().zip(self.0.weight.iter().zip(&self.0.bias)) {
            out.0 = [*bias; LANES];
            for (w, x) in row.iter().zip(images) {
                out.0.iter_mut().zip(x.0).for_each(|(z, x)| *z += w * x);
            }
        }
        Ok(())
    }

    fn gradient(&mut self, weight: &[Lanes], out: &mut [Lanes]) -> Result<()> {
        out.fill(Lanes::ZERO);
        for (row, weight) in self.0.weight.iter().zip(weight) {
            for (out, w) in out.iter_mut().zip(row) {
                out.0.iter_mut().zip(weight.0).for_each(|(g, weight)| *g += w * weight);
            }
        }
        Ok(())
    }
}

/// Of samples that the model classifies correctly.
pub(super) fn right(model: &NearestMean, samples: &Samples) -> Vec<usize> {
    let is_right = |&i: &usize| predict(&model.logits(samples.image(i))) == samples.labels()[i];
    (0..samples.len()).filter(is_right).collect()
}
