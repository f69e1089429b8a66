//! The plasticity of the paper's text: Poisson trains, LIF neurons (Eq. 8), pair-based plasticity (Eq. 9).
//!
//! All layers learn in the same simulation, as the rule is local. Membranes and traces start afresh with every batch
//! of images; time comes in pieces, as the spikes of hundreds of steps would fill gigabytes.

use super::{Pass, PlasticityRule, SlowWaveOptions};
use crate::Result;
use crate::autodiff::Tape;
use crate::checkpoint::StateDict;
use crate::simd::random::Key;
use crate::sleep::circuit::Circuit;
use crate::sleep::{PairLayer, PairOptions, poisson_trains};
use crate::snn::Neuron;
use crate::tensor::{Context, Tensor};

/// Time steps that are simulated together: 128 samples of the first layer's spikes are 59 MB.
const PIECE: usize = 20;

pub(super) struct PairSleep {
    circuit: Circuit,
    drive: f32,
    learns: Vec<bool>,
    balanced: bool,
    layers: Vec<PairLayer>,
}

impl PairSleep {
    pub fn new(
        circuit: Circuit,
        weights: &[&[f32]],
        learns: Vec<bool>,
        options: &SlowWaveOptions,
    ) -> Result<Self> {
        // Layers are balanced by the drive: until then, and where nothing is driven, all have the same resistance.
        let neuron = Neuron { resistance: 1.0, decay_input: true, ..options.pair.neuron };
        let pair = PairOptions { neuron, ..options.pair };
        let layers = circuit.layers.iter().zip(weights);
        let layers = layers.map(|(of, weight)| PairLayer::new(of.geometry, weight, pair));
        Ok(Self {
            drive: options.drive,
            learns,
            balanced: false,
            layers: layers.collect::<Result<_>>()?,
            circuit,
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
        let Self { circuit, drive, layers, .. } = self;
        let tape = &mut Tape::new(context.clone());
        for depth in 0..layers.len() {
            let mut mean: Option<Tensor> = None;
            let weight = 1.0 / steps as f32;
            for (piece, length) in pieces(steps).enumerate() {
                let trains = trains(context, images, steps, length, key.with(piece as u64))?;
                circuit.simulate(tape, &trains, |number, x, out| {
                    if number == depth {
                        let sum = || Tensor::zeros(x.shape(), x.samples());
                        add_steps(x, weight, mean.get_or_insert_with(sum));
                        return Ok(false);
                    }
                    layers[number].propagate(context, x)?;
                    out.lanes_mut().copy_from_slice(layers[number].spikes().lanes());
                    Ok(true)
                })?;
            }
            if let Some(mean) = mean {
                layers[depth].balance(context, &mean, *drive)?;
            }
            layers[..depth].iter_mut().for_each(PairLayer::reset);
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

impl PlasticityRule for PairSleep {
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
        let Self { circuit, layers, learns, .. } = self;
        let tape = &mut Tape::new(context.clone());
        for (piece, length) in pieces(pass.steps).enumerate() {
            let trains = trains(context, images, pass.steps, length, key.with(piece as u64))?;
            circuit.simulate(tape, &trains, |number, x, out| {
                let layer = &mut layers[number];
                if learns[number] {
                    layer.simulate(context, x)?;
                } else {
                    layer.propagate(context, x)?;
                }
                out.lanes_mut().copy_from_slice(layer.spikes().lanes());
                Ok(true)
            })?;
        }
        for layer in &mut self.layers {
            layer.update();
            layer.reset();
        }
        Ok(())
    }

    fn weights(&self) -> Vec<&[f32]> {
        self.layers.iter().map(PairLayer::weight).collect()
    }

    fn save(&self, state: &mut StateDict) -> Result<()> {
        for (of, layer) in self.circuit.layers.iter().zip(&self.layers) {
            layer.save_into(&format!("sleep.{}", of.name), state)?;
        }
        state.note("sleep.balanced", self.balanced);
        Ok(())
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        for (of, layer) in self.circuit.layers.iter().zip(&mut self.layers) {
            layer.load_from(&format!("sleep.{}", of.name), state)?;
        }
        self.balanced = state.noted("sleep.balanced").unwrap_or(false);
        Ok(())
    }
}
