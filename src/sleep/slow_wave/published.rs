//! The published plasticity, one layer per pass (docs/method.md, section 3).

use super::{Pass, PlasticityRule, SlowWaveOptions, Turn};
use crate::Result;
use crate::autodiff::Tape;
use crate::checkpoint::StateDict;
use crate::kernels::stdp::choose;
use crate::simd::random::Key;
use crate::sleep::circuit::{Circuit, PlasticLayer};
use crate::sleep::{Layers, StdpConv, StdpLinear, TieBreak};
use crate::tensor::{Context, Tensor};

/// The linear weights after their very first step.
const FIRST_LINEAR: &str = "sleep.first_linear";

enum PlasticWeights {
    Conv(StdpConv),
    Linear(StdpLinear),
}

impl PlasticWeights {
    fn new(layer: &PlasticLayer, weight: &[f32]) -> Result<Self> {
        let g = layer.geometry;
        if layer.convolution {
            return StdpConv::new(g, weight).map(Self::Conv);
        }
        StdpLinear::new(g.fan_in(), g.output.channels, weight).map(Self::Linear)
    }

    fn simulate(
        &mut self,
        context: &Context,
        x: &Tensor,
        steps: usize,
        tie: &TieBreak<'_>,
    ) -> Result<()> {
        match self {
            Self::Conv(conv) => conv.simulate(context, x, steps, tie),
            Self::Linear(linear) => linear.simulate(context, x, steps, tie),
        }
    }

    fn learn(&mut self, context: &Context, x: &Tensor, learning_rate: f32) {
        match self {
            Self::Conv(conv) => {
                let gradient = conv.gradient(context, x);
                conv.update(&gradient, learning_rate);
            }
            Self::Linear(linear) => linear.update(context, x),
        }
    }

    fn normalize(&self, context: &Context, out: &mut Tensor) {
        match self {
            Self::Conv(conv) => conv.normalize(context, out),
            Self::Linear(linear) => linear.normalize(context, out),
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Conv(conv) => conv.reset(),
            Self::Linear(linear) => linear.reset(),
        }
    }

    fn weight(&self) -> &[f32] {
        match self {
            Self::Conv(conv) => conv.weight(),
            Self::Linear(linear) => linear.weight(),
        }
    }

    fn save_into(&self, name: &str, state: &mut StateDict) -> Result<()> {
        match self {
            Self::Conv(conv) => conv.save_into(name, state),
            Self::Linear(linear) => linear.save_into(name, state),
        }
    }

    fn load_from(&mut self, name: &str, state: &StateDict) -> Result<()> {
        match self {
            Self::Conv(conv) => conv.load_from(name, state),
            Self::Linear(linear) => linear.load_from(name, state),
        }
    }
}

pub(super) struct PublishedSleep {
    circuit: Circuit,
    learning_rate: f32,
    /// Whether convolutions that do not learn are standardized, as in the published code.
    standardizes: bool,
    learns: Vec<bool>,
    layers: Vec<PlasticWeights>,
    /// The weights of the last layer, if it is linear, after their very first step: what the published dreams are made of.
    first_linear: Option<Vec<f32>>,
}

impl PublishedSleep {
    pub fn new(
        circuit: Circuit,
        weights: &[&[f32]],
        learns: Vec<bool>,
        options: &SlowWaveOptions,
    ) -> Result<Self> {
        let layers = circuit.layers.iter().zip(weights);
        Ok(Self {
            learning_rate: options.learning_rate,
            standardizes: options.layers == Layers::Published,
            learns,
            layers: layers
                .map(|(layer, weight)| PlasticWeights::new(layer, weight))
                .collect::<Result<_>>()?,
            circuit,
            first_linear: None,
        })
    }

    fn named_layers(&self) -> impl Iterator<Item = (String, &PlasticWeights)> {
        let names = self.circuit.layers.iter().map(|layer| format!("sleep.{}", layer.name));
        names.zip(&self.layers)
    }
}

impl PlasticityRule for PublishedSleep {
    /// Simulates the layers up to the one that learns, and lets it. In a convolution's pass every membrane is reset after
    /// every batch; in that of a linear layer none is.
    fn learn(
        &mut self,
        context: &Context,
        images: &Tensor,
        indices: &[usize],
        pass: Pass,
        key: Key,
    ) -> Result<()> {
        let Pass { steps, turn } = pass;
        let key = key.named("tie");
        let tie = |layer: usize| {
            move |sample: usize, pixel: usize, step: usize, candidates: &[u32]| {
                let key = key.with(layer as u64 + 1).with(indices[sample] as u64);
                choose(candidates, key.with((pixel as u64) << 32 | step as u64).to_u64())
            }
        };
        let Self { circuit, layers, learning_rate, .. } = self;
        let tape = &mut Tape::new(context.clone());
        circuit.simulate(tape, images, |number, x, out| {
            let layer = &mut layers[number];
            layer.simulate(context, x, steps, &tie(number))?;
            if turn == Turn::Layer(number) {
                layer.learn(context, x, *learning_rate);
                return Ok(false);
            }
            layer.normalize(context, out);
            Ok(true)
        })?;
        let Turn::Layer(number) = turn else { return Ok(()) };
        if self.circuit.layers[number].convolution {
            self.layers.iter_mut().for_each(PlasticWeights::reset);
        } else if number + 1 == self.layers.len() && self.first_linear.is_none() {
            self.first_linear = Some(self.layers[number].weight().to_vec());
        }
        Ok(())
    }

    fn skip(&mut self, pass: Pass) -> bool {
        let Turn::Layer(number) = pass.turn else { return true };
        if self.learns[number] {
            return false;
        }
        // What is left of that pass: its weights are standardized, and never moved.
        if let (true, PlasticWeights::Conv(conv)) = (self.standardizes, &mut self.layers[number]) {
            conv.standardize();
        }
        true
    }

    fn weights(&self) -> Vec<&[f32]> {
        self.layers.iter().map(PlasticWeights::weight).collect()
    }

    fn first_linear(&self) -> Option<&[f32]> {
        self.first_linear.as_deref()
    }

    fn save(&self, state: &mut StateDict) -> Result<()> {
        for (name, layer) in self.named_layers() {
            layer.save_into(&name, state)?;
        }
        if let Some(first) = &self.first_linear {
            state.insert(FIRST_LINEAR, vec![first.len()], first.clone())?;
        }
        Ok(())
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        for (layer, of) in self.layers.iter_mut().zip(&self.circuit.layers) {
            layer.load_from(&format!("sleep.{}", of.name), state)?;
        }
        let shape = [self.layers.last().map_or(0, |last| last.weight().len())];
        let first = state.expect_if_there(FIRST_LINEAR, &shape)?;
        self.first_linear = first.map(<[f32]>::to_vec);
        Ok(())
    }
}
