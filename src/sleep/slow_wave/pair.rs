//! The plasticity of the paper's text: Poisson trains, LIF neurons (Eq. 8), pair-based plasticity (Eq. 9).
//!
//! All layers learn in the same simulation, as the rule is local. Membranes and traces start afresh with every batch
//! of images; time comes in pieces, as the spikes of hundreds of steps would fill gigabytes.

use super::{LAYERS, Layers, Pass, PlasticityRule, SlowWaveOptions, weight};
use crate::Result;
use crate::checkpoint::StateDict;
use crate::nn::{LeNet, Network};
use crate::simd::random::Key;
use crate::sleep::{PairLayer, poisson_trains};
use crate::tensor::{Context, Shape, Tensor};

/// Time steps that are simulated together: 128 samples of the first layer's spikes are 59 MB.
const PIECE: usize = 20;

pub(super) struct Sleep {
    drive: f32,
    conv2_learns: bool,
    balanced: bool,
    layers: [PairLayer; 3],
}

impl Sleep {
    pub fn new(lenet: &LeNet, options: &SlowWaveOptions) -> Result<Self> {
        let [conv1, conv2, linear] = LAYERS;
        let pair = options.pair;
        Ok(Self {
            drive: options.drive,
            conv2_learns: options.layers == Layers::All,
            balanced: false,
            layers: [
                PairLayer::conv(lenet.input_shape(), 10, 5, weight(lenet, conv1)?, pair)?,
                PairLayer::conv(Shape::new(10, 12, 12), 20, 5, weight(lenet, conv2)?, pair)?,
                PairLayer::linear(320, 10, weight(lenet, linear)?, pair)?,
            ],
        })
    }

    /// Sets the layers' resistances on one batch, each with the layers before it already set.
    fn balance(
        &mut self,
        context: &Context,
        images: &Tensor,
        steps: usize,
        key: Key,
    ) -> Result<()> {
        let Self { drive, layers, .. } = self;
        for depth in 0..layers.len() {
            let (before, layer) = layers.split_at_mut(depth);
            let mut mean: Option<Tensor> = None;
            let weight = 1.0 / steps as f32;
            for (piece, length) in pieces(steps).enumerate() {
                let mut x = trains(context, images, steps, length, key.with(piece as u64))?;
                for layer in &mut *before {
                    layer.propagate(context, &x)?;
                    x = layer.next_input(context);
                }
                let sum = || Tensor::zeros(x.shape(), x.samples());
                add_steps(&x, weight, mean.get_or_insert_with(sum));
            }
            if let (Some(mean), Some(layer)) = (mean, layer.first_mut()) {
                layer.balance(context, &mean, *drive)?;
            }
            before.iter_mut().for_each(PairLayer::reset);
        }
        self.balanced = true;
        Ok(())
    }
}

/// The lengths of the pieces of a time.
fn pieces(steps: usize) -> impl Iterator<Item = usize> {
    (0..steps).step_by(PIECE).map(move |first| PIECE.min(steps - first))
}

/// A piece of Poisson trains: over all `steps`, one spike is expected of a white pixel.
fn trains(
    context: &Context,
    images: &Tensor,
    steps: usize,
    length: usize,
    key: Key,
) -> Result<Tensor> {
    poisson_trains(context, images, 1.0 / steps as f32, length, key)
}

/// Adds `weight` times the sum of all steps of `x`.
fn add_steps(x: &Tensor, weight: f32, sum: &mut Tensor) {
    let features = x.shape().features().max(1);
    let blocks = x.lanes().chunks(x.steps() * features).zip(sum.lanes_mut().chunks_mut(features));
    for (steps, sum) in blocks {
        for step in steps.chunks(features) {
            for (sum, x) in sum.iter_mut().zip(step) {
                sum.0.iter_mut().zip(x.0).for_each(|(sum, x)| *sum = weight.mul_add(x, *sum));
            }
        }
    }
}

impl PlasticityRule for Sleep {
    fn learn(
        &mut self,
        context: &Context,
        images: &Tensor,
        indices: &[usize],
        pass: Pass,
        key: Key,
    ) -> Result<()> {
        let key = key.named("trains").with(indices[0] as u64);
        if !self.balanced {
            self.balance(context, images, pass.steps, key.named("balance"))?;
        }
        let [conv1, conv2, linear] = &mut self.layers;
        for (piece, length) in pieces(pass.steps).enumerate() {
            let x = trains(context, images, pass.steps, length, key.with(piece as u64))?;
            conv1.simulate(context, &x)?;
            let hidden = conv1.next_input(context);
            if self.conv2_learns {
                conv2.simulate(context, &hidden)?;
            } else {
                conv2.propagate(context, &hidden)?;
            }
            linear.simulate(context, &conv2.next_input(context))?;
        }
        for layer in &mut self.layers {
            layer.update();
            layer.reset();
        }
        Ok(())
    }

    fn weights(&self) -> [&[f32]; 3] {
        self.layers.each_ref().map(PairLayer::weight)
    }

    fn save(&self, state: &mut StateDict) -> Result<()> {
        for (name, layer) in LAYERS.into_iter().zip(&self.layers) {
            layer.save_into(&format!("sleep.{name}"), state)?;
        }
        state.note("sleep.balanced", self.balanced);
        Ok(())
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        for (name, layer) in LAYERS.into_iter().zip(&mut self.layers) {
            layer.load_from(&format!("sleep.{name}"), state)?;
        }
        self.balanced = state.noted("sleep.balanced").unwrap_or(false);
        Ok(())
    }
}
