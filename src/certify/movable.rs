//! What perturbations can move in the first layer of a network.

use super::Certifier;
use super::forward::Forward;
use super::layer::Layer;
use crate::attack::{Budget, Norm, Samples};
use crate::kernels::interval::Bounds;
use crate::simd::LANES;
use crate::tensor::Context;
use crate::{Error, Result};

/// How far perturbations can move what the first layer of activations says, place by place.
#[derive(Clone, Debug, PartialEq)]
pub struct Movable {
    /// Rows and columns of a map.
    pub size: [usize; 2],
    /// `[sample][y][x]`: a share of what any image could move there, in 0..=1.
    pub shares: Vec<f32>,
}

impl Movable {
    /// The map of a sample.
    pub fn map(&self, sample: usize) -> &[f32] {
        let cells = self.size[0] * self.size[1];
        &self.shares[sample * cells..(sample + 1) * cells]
    }

    /// The mean share over all places and samples.
    pub fn mean(&self) -> f64 {
        self.shares.iter().map(|&share| f64::from(share)).sum::<f64>() / self.shares.len() as f64
    }
}

impl Certifier {
    /// For every place of the first layer of activations: how far apart its interval bounds over the ball of radius `eps` are,
    /// summed over channels, as a share of what they are over all images.
    ///
    /// # Errors
    /// Those of [`margins`](Self::margins); and if the network has no activations.
    pub fn movable(&self, context: &Context, samples: &Samples, eps: f32) -> Result<Movable> {
        let budget = Budget { norm: Norm::Linf, eps, seed: 0 };
        self.check(samples, &budget)?;
        if samples.is_empty() {
            return Err(Error::argument("certificate", "there are no images to map"));
        }
        let mut forward = Forward::new(self, context.isa());
        forward.begin(std::iter::once(samples.image(0)), 1.0);
        // What is the same for all images, such as the mask of a border, is none that a map would show.
        let first = self.layers.iter().enumerate().position(|(node, layer)| {
            forward.node(node);
            matches!(layer, Layer::Activation(_))
                && depends_on_the_image(forward.bounds(self.places[node + 1]))
        });
        let Some(first) = first else {
            let problem = "the network has no activations, whose bounds a map would show";
            return Err(Error::argument("certificate", problem));
        };
        let shape = self.shape_of(first + 1);
        let cells = shape.height * shape.width;
        let mut shares = vec![0.0; samples.len() * cells];
        let workers = context.workers(|context| Forward::new(self, context.isa()));
        workers.chunks(&mut shares, LANES * cells, |forward, block, shares| {
            let images = shares.len() / cells;
            let widths = |forward: &mut Forward<'_>, eps: f32| {
                forward.begin((0..images).map(|i| samples.image(block * LANES + i)), eps);
                (0..=first).for_each(|node| forward.node(node));
                sums(forward.bounds(self.places[first + 1]), cells)
            };
            // All images lie within 1 of any.
            let (all, moved) = (widths(forward, 1.0), widths(forward, budget.reach()));
            // What no image moves, such as a constant border, has the width of its rounding.
            let largest = all.iter().flatten().fold(0.0_f32, |most, &width| most.max(width));
            for (at, share) in shares.iter_mut().enumerate() {
                let (lane, cell) = (at / cells, at % cells);
                let (all, moved) = (all[cell][lane], moved[cell][lane]);
                *share = if all > 1e-4 * largest { (moved / all).min(1.0) } else { 0.0 };
            }
            Ok(())
        })?;
        Ok(Movable { size: [shape.height, shape.width], shares })
    }
}

/// Whether bounds over all images are farther apart somewhere than rounding makes them.
fn depends_on_the_image(bounds: &Bounds) -> bool {
    bounds.low.iter().zip(&bounds.high).any(|(low, high)| {
        let (low, high) = (low.0[0], high.0[0]);
        high - low > (1e-3 * low.abs().max(high.abs())).max(1e-6)
    })
}

/// The widths of bounds `[channel][cell]`, summed over channels.
fn sums(bounds: &Bounds, cells: usize) -> Vec<[f32; LANES]> {
    let mut sums = vec![[0.0; LANES]; cells];
    for (i, (low, high)) in bounds.low.iter().zip(&bounds.high).enumerate() {
        for (lane, sum) in sums[i % cells].iter_mut().enumerate() {
            *sum += high.0[lane] - low.0[lane];
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;
    use crate::nn::architecture::Architecture;
    use crate::nn::{Model, Network};
    use crate::tensor::Shape;

    /// A single pixel with a weight of 2 that opens at 0.5: an image of 0.2 cannot be moved by 0.25; one of 0.6 can, down to
    /// where it closes and up to 0.85.
    #[test]
    fn only_pixels_that_reach_the_threshold_can_be_moved() {
        // What an import makes of a border: a mask that is the same for all images.
        let text = r#"{"input": [1, 1, 2], "classes": 2, "nodes": [
            {"name": "conv", "op": "conv2d", "out": 1, "kernel": 1, "bias": true},
            {"name": "mask", "op": "conv2d", "out": 1, "kernel": 1, "bias": false, "inputs": ["input"]},
            {"name": "clamp", "op": "clamp", "low": 0.0, "high": 1.0},
            {"name": "sum", "op": "add", "inputs": ["conv", "clamp"]},
            {"name": "relu", "op": "relu"}, {"name": "fc", "op": "linear", "out": 2}]}"#;
        let architecture = Architecture::from_json(text, "here").expect("a network");
        let mut model = Model::new(architecture, 0).expect("a model");
        let set = |model: &mut Model, name: &str, value: f32| {
            model.parameters_mut().get_mut(name).expect("an array").values.fill(value);
        };
        set(&mut model, "conv.weight", 2.0);
        set(&mut model, "conv.bias", -1.0);
        set(&mut model, "mask.weight", 0.0);
        let shape = Shape::new(1, 1, 2);
        let data = Dataset::from_floats(vec![0.2, 0.6], vec![0], shape, 2).expect("an image");
        let samples = Samples::from_dataset(&data, 0..1).expect("samples");
        let context = Context::new(1).expect("a context");
        let certifier = Certifier::new(&model).expect("bounds");
        let movable = certifier.movable(&context, &samples, 0.25).expect("a map");
        assert_eq!(movable.size, [1, 2]);
        let [dark, bright] = movable.map(0) else { panic!("two places") };
        // Of 0 to 1 (2 x 1 - 1), the activation moves from 0 to 0.7.
        assert!(*dark == 0.0 && (bright - 0.7).abs() < 1e-3, "{movable:?}");
        assert!((movable.mean() - 0.35).abs() < 1e-3);
    }
}
