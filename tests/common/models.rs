//! The LeNets of the golden files, and small models whose answers can be worked out by hand.

use deepsleep::attack::{Classifier, Samples, Session};
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{Freeze, FrozenModel, Model};
use deepsleep::simd::random::Key;
use deepsleep::simd::{LANES, Lanes};
use deepsleep::tensor::{Context, Shape};
use deepsleep::{Error, Result};
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

/// z = W x + b, computed sample by sample in plain loops: a model of somebody else's.
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
        Box::new(AffineSession { model: self, differentiable: false })
    }
}

struct AffineSession<'a> {
    model: &'a Affine,
    differentiable: bool,
}

impl Session for AffineSession<'_> {
    fn logits(
        &mut self,
        images: &[Lanes],
        _noise: &[Key; LANES],
        differentiable: bool,
        out: &mut [Lanes],
    ) -> Result<()> {
        self.differentiable = differentiable;
        for ((row, bias), out) in
            self.model.weight.chunks(images.len()).zip(&self.model.bias).zip(out)
        {
            for lane in 0..LANES {
                let terms =
                    row.iter().zip(images).map(|(w, x)| f64::from(*w) * f64::from(x.0[lane]));
                out.0[lane] = (f64::from(*bias) + terms.sum::<f64>()) as f32;
            }
        }
        Ok(())
    }

    fn gradient(&mut self, weight: &[Lanes], out: &mut [Lanes]) -> Result<()> {
        if !self.differentiable {
            return Err(Error::argument("affine", "the last evaluation was not differentiable"));
        }
        let features = out.len();
        for (i, out) in out.iter_mut().enumerate() {
            for lane in 0..LANES {
                let column = self.model.weight.iter().skip(i).step_by(features);
                let terms = column.zip(weight).map(|(w, g)| f64::from(*w) * f64::from(g.0[lane]));
                out.0[lane] = terms.sum::<f64>() as f32;
            }
        }
        Ok(())
    }
}
