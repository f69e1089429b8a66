//! A network in the form that slow-wave sleep and replay need: its plastic layers, and what lies between them.
//!
//! Convolutions and linear layers are plastic, and spike. Biases, normalizations and activations are no part of sleep:
//! what a layer hands on are spikes or their counts, which are positive and have a scale of their own.

use crate::autodiff::{Tape, Var};
use crate::kernels::conv2d::Geometry;
use crate::kernels::pool::PoolGeometry;
use crate::nn::architecture::{Architecture, Op};
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result};

/// A layer that is plastic.
#[derive(Clone, Debug)]
pub(super) struct PlasticLayer {
    /// The node's place.
    pub node: usize,
    /// Its name.
    pub name: String,
    /// Its sizes.
    pub geometry: Geometry,
    /// Whether it is a convolution; else it is a linear layer.
    pub convolution: bool,
}

impl PlasticLayer {
    /// The name of its weights.
    pub fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }
}

/// What a node does to spikes or counts.
#[derive(Clone, Debug)]
pub(super) enum CircuitOp {
    /// The plastic layer of this number.
    Layer(usize),
    /// Nothing.
    Same,
    /// The maximum of windows; of spikes, any.
    MaxPool(PoolGeometry),
    /// The mean of windows.
    AvgPool(PoolGeometry),
    Scale(f32),
    Flatten,
    Add,
    Mul,
    Concat,
}

impl CircuitOp {
    fn new(
        architecture: &Architecture,
        node: usize,
        layers: &mut Vec<PlasticLayer>,
    ) -> Result<Self> {
        let (at, input) = (&architecture.nodes()[node], architecture.input_of(node));
        if let Some(geometry) = at.op.geometry(input)? {
            let convolution = at.op.is_convolution();
            layers.push(PlasticLayer { node, name: at.name.clone(), geometry, convolution });
            return Ok(Self::Layer(layers.len() - 1));
        }
        if let Some(geometry) = at.op.pool(input)? {
            let max = matches!(at.op, Op::MaxPool { .. });
            return Ok(if max { Self::MaxPool(geometry) } else { Self::AvgPool(geometry) });
        }
        Ok(match at.op {
            Op::Scale { factor } => Self::Scale(factor),
            Op::Flatten {} => Self::Flatten,
            Op::Add {} => Self::Add,
            Op::Mul {} => Self::Mul,
            Op::Concat {} => Self::Concat,
            // Neurons stand for activations, and carry the normalization before them.
            Op::Normalize { .. }
            | Op::BatchNorm { .. }
            | Op::Relu {}
            | Op::Lif { .. }
            | Op::LeakyRelu { .. }
            | Op::Elu { .. }
            | Op::Silu {}
            | Op::Gelu { .. }
            | Op::Mish {}
            | Op::Softplus {}
            | Op::Tanh {}
            | Op::Sigmoid {}
            | Op::HardSigmoid {}
            | Op::HardSwish {}
            | Op::Clamp { .. }
            | Op::Dropout { .. } => Self::Same,
            // These were layers and pools.
            Op::Conv2d { .. }
            | Op::Linear { .. }
            | Op::MaxPool { .. }
            | Op::AvgPool { .. }
            | Op::GlobalAvgPool {} => Self::Same,
        })
    }

    /// Records it, unless it is a layer.
    pub fn record(&self, tape: &mut Tape, inputs: &[Var]) -> Result<Var> {
        let x = inputs[0];
        match self {
            Self::Layer(_) | Self::Same => Ok(x),
            Self::MaxPool(g) => tape.max_pool_with(x, g.window, g.options),
            Self::AvgPool(g) => tape.avg_pool_with(x, g.window, g.options),
            Self::Scale(factor) => tape.scale(x, *factor),
            Self::Flatten => Ok(tape.flatten(x)),
            Self::Add => tape.add(x, inputs[1]),
            Self::Mul => tape.mul(x, inputs[1]),
            Self::Concat => tape.concat(inputs),
        }
    }
}

/// The name of the weights of the last plastic layer, if that is a linear one: the published dreams are made of what they
/// were after their first step.
pub(crate) fn linear_output(architecture: &Architecture) -> Option<String> {
    let plastic = |op: &Op| op.is_convolution() || matches!(op, Op::Linear { .. });
    let last = architecture.nodes().iter().rfind(|node| plastic(&node.op))?;
    matches!(last.op, Op::Linear { .. }).then(|| format!("{}.weight", last.name))
}

/// The parts of a network and how they are connected.
#[derive(Clone, Debug)]
pub(super) struct Circuit {
    pub input: Shape,
    pub layers: Vec<PlasticLayer>,
    parts: Vec<CircuitOp>,
    /// Of every part: 0 is the image, i + 1 is part i.
    sources: Vec<Vec<usize>>,
}

impl Circuit {
    /// From a network.
    ///
    /// # Errors
    /// None for an architecture that could be built, but that nothing in it is plastic.
    pub fn new(architecture: &Architecture) -> Result<Self> {
        let mut layers = Vec::new();
        let nodes = 0..architecture.nodes().len();
        let parts = nodes.clone().map(|node| CircuitOp::new(architecture, node, &mut layers));
        let parts = parts.collect::<Result<_>>()?;
        if layers.is_empty() {
            let problem =
                "the network has neither convolutions nor linear layers: nothing is plastic";
            return Err(Error::argument("sleep", problem));
        }
        let sources = nodes.map(|node| architecture.sources(node).to_vec()).collect();
        Ok(Self { input: architecture.input(), layers, parts, sources })
    }

    /// Goes through the parts in order, from `x` for the image, until one gives nothing.
    ///
    /// # Errors
    /// Those of the parts.
    pub fn walk<T: Clone>(
        &self,
        x: T,
        mut part: impl FnMut(&CircuitOp, &[T]) -> Result<Option<T>>,
    ) -> Result<()> {
        let mut values = vec![x];
        for (each, sources) in self.parts.iter().zip(&self.sources) {
            let inputs: Vec<T> = sources.iter().map(|&source| values[source].clone()).collect();
            let Some(value) = part(each, &inputs)? else { return Ok(()) };
            values.push(value);
        }
        Ok(())
    }

    /// [`walk`](Self::walk) with tensors: `layer(number, input, output)` simulates a layer and writes what it hands on, or
    /// says that the walk ends there.
    ///
    /// # Errors
    /// Those of the layers.
    pub fn simulate(
        &self,
        tape: &mut Tape,
        images: &Tensor,
        mut layer: impl FnMut(usize, &Tensor, &mut Tensor) -> Result<bool>,
    ) -> Result<()> {
        tape.reset();
        let (samples, steps) = (images.samples(), images.steps());
        let mut x = tape.tensor(images.shape(), samples, steps);
        x.lanes_mut().copy_from_slice(images.lanes());
        let x = tape.constant(x);
        self.walk(x, |part, inputs| match *part {
            CircuitOp::Layer(number) => {
                let mut out = tape.tensor(self.layers[number].geometry.output, samples, steps);
                let more = layer(number, tape.value(inputs[0]), &mut out)?;
                Ok(more.then(|| tape.constant(out)))
            }
            ref other => other.record(tape, inputs).map(Some),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::architecture::Node;
    use crate::simd::Lanes;
    use crate::tensor::Context;

    /// What reaches the layer behind two that meet is what they make together, not the first one's alone.
    #[test]
    fn layers_meet_as_the_network_says() {
        let of = |name: &str, op: Op, inputs: &[&str]| {
            let inputs = inputs.iter().map(|&input| input.to_owned()).collect();
            Node { name: name.to_owned(), op, inputs }
        };
        let linear = || Op::Linear { out: 2, bias: false };
        for (op, expected) in [(Op::Mul {}, 6.0), (Op::Add {}, 5.0)] {
            let nodes = vec![
                of("a", linear(), &["input"]),
                of("b", linear(), &["input"]),
                of("join", op, &["a", "b"]),
                of("c", linear(), &["join"]),
            ];
            let network = Architecture::new(Shape::flat(3), 2, nodes).expect("a network");
            let circuit = Circuit::new(&network).expect("three layers");
            let mut tape = Tape::new(Context::new(1).expect("a thread"));
            let mut seen = Vec::new();
            let images = Tensor::zeros(Shape::flat(3), 1);
            let layer = |number: usize, x: &Tensor, out: &mut Tensor| {
                seen.push(x.lanes()[0].0[0]);
                out.lanes_mut().fill(Lanes::splat(number as f32 + 2.0));
                Ok(true)
            };
            circuit.simulate(&mut tape, &images, layer).expect("it runs");
            assert_eq!(seen, [0.0, 0.0, expected]);
        }
    }
}
