//! The neurons that replace a network's rectifiers.

use super::SpikingOptions;
use super::Surrogate;
use crate::autodiff::{Tape, Var};
use crate::kernels::lif::{Dynamics, SilentWindow};
use crate::nn::architecture::{Architecture, Op};
use crate::nn::model::Rectifiers;
use crate::{Error, Result};

/// Refuses a network in which nothing could spike.
pub(crate) fn check_spiking(architecture: &Architecture) -> Result<()> {
    if architecture.nodes().iter().any(|node| node.op.is_rectifier()) {
        return Ok(());
    }
    let nodes = architecture.nodes().iter();
    let others = nodes.filter(|node| node.op.activation().is_some());
    let others: Vec<String> =
        others.map(|node| format!("`{}` ({})", node.name, node.op.name())).collect();
    let has = match others.is_empty() {
        true => "no activation at all".to_owned(),
        false => others.join(", "),
    };
    let problem = format!(
        "the network has neither `relu` nor `lif`, and only these become neurons: nothing in it would spike. It has {has}; \
         train one with `relu` or `lif` nodes"
    );
    Err(Error::argument("spiking network", problem))
}

/// A layer of neurons, in place of a rectifier.
#[derive(Clone, Debug)]
pub(super) struct SpikingLayer {
    pub(super) node: usize,
    pub(super) dynamics: Dynamics,
    pub(super) surrogate: Surrogate,
}

/// The neurons of every rectifier, its own where it is a node that has some.
pub(super) fn layers(
    architecture: &Architecture,
    options: &SpikingOptions,
) -> Result<Vec<SpikingLayer>> {
    let of = |(node, op): (usize, &Op)| {
        let (neuron, surrogate) = match op {
            Op::Lif { neuron, surrogate } => (*neuron, *surrogate),
            _ => (None, None),
        };
        let dynamics = neuron.unwrap_or(options.neuron).dynamics()?;
        Ok(SpikingLayer { node, dynamics, surrogate: surrogate.unwrap_or(options.surrogate) })
    };
    let nodes = architecture.nodes().iter().map(|node| &node.op).enumerate();
    nodes.filter(|(_, op)| op.is_rectifier()).map(of).collect()
}

/// The names of an architecture's rectifiers, in order.
pub(super) fn names(architecture: &Architecture) -> Vec<&str> {
    let nodes = architecture.nodes().iter();
    nodes.filter(|node| node.op.is_rectifier()).map(|node| node.name.as_str()).collect()
}

/// What is recorded in place of rectifiers.
pub(super) struct Neurons<'a> {
    pub(super) layers: &'a [SpikingLayer],
    pub(super) steps: usize,
    pub(super) silent: SilentWindow,
    /// The layers of spikes, if they are wanted.
    pub(super) spikes: Option<&'a mut Vec<Var>>,
    /// Whether those are wanted before pooling.
    pub(super) before_pooling: bool,
}

impl Rectifiers for Neurons<'_> {
    fn rectify(&mut self, tape: &mut Tape, node: usize, x: Var, pooled: bool) -> Result<Var> {
        let Some(layer) = self.layers.iter().find(|layer| layer.node == node) else {
            return Err(Error::argument("spiking network", format!("node {node} has no neurons")));
        };
        let (SpikingLayer { dynamics, surrogate, .. }, steps) = (layer, self.steps);
        let (spikes, out) = if pooled && !self.before_pooling {
            let spikes = tape.lif_pool(x, *dynamics, *surrogate, steps, self.silent)?;
            (spikes, spikes)
        } else {
            let spikes = tape.lif(x, *dynamics, *surrogate, steps)?;
            (spikes, if pooled { tape.max_pool(spikes, [2, 2], [2, 2])? } else { spikes })
        };
        if let Some(all) = &mut self.spikes {
            all.push(spikes);
        }
        Ok(out)
    }

    fn are_read(&self) -> bool {
        self.spikes.is_some()
    }
}
