//! The LeNets of the golden files, and small models whose answers can be worked out by hand.

use super::plain::{Plain, PlainSession};
use deepsleep::attack::{Classifier, Samples, Session};
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{Freeze, FrozenModel, Model};
use deepsleep::simd::random::Key;
use deepsleep::tensor::{Context, Shape};
use std::ops::Range;
use std::path::Path;

/// A file under tests/golden.
pub fn golden(name: &str) -> StateDict {
    StateDict::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap()
}

/// A LeNet of tests/golden.
pub fn lenet(name: &str) -> FrozenModel {
    Model::open(&golden(name)).unwrap().freeze().unwrap()
}

/// MNIST test images.
pub fn test_images(range: Range<usize>) -> Samples {
    let folder = locate(DatasetName::Mnist, None).unwrap();
    Samples::from_dataset(&Dataset::load(&folder, Split::Test).unwrap(), range).unwrap()
}

/// z = W x + b, computed sample by sample in plain loops: a user's own model.
pub struct Affine {
    pub shape: Shape,
    /// `[class][feature]`
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Classifier for Affine {
    fn input_shape(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.bias.len()
    }

    fn session(&self, _context: Context) -> Box<dyn Session + '_> {
        Box::new(PlainSession::new(self))
    }
}

impl Plain for Affine {
    fn logits(&self, image: &[f64], _noise: Key) -> Vec<f64> {
        let rows = self.weight.chunks(image.len()).zip(&self.bias);
        let logit = |(row, bias): (&[f32], &f32)| {
            let terms = row.iter().zip(image).map(|(w, x)| f64::from(*w) * x);
            f64::from(*bias) + terms.sum::<f64>()
        };
        rows.map(logit).collect()
    }

    fn gradient(&self, image: &[f64], weight: &[f64]) -> Vec<f64> {
        let column = |i: usize| self.weight.iter().skip(i).step_by(image.len());
        let slope = |i| column(i).zip(weight).map(|(w, g)| f64::from(*w) * g).sum();
        (0..image.len()).map(slope).collect()
    }
}
