//! Spiking neurons in a file: ONNX has no operator for them, so they are written as rectifiers, and a note says which they are.

use super::value::NodeResult;
use crate::nn::architecture::{Architecture, Node, Op};
use crate::wording::shown;
use std::collections::BTreeMap;

/// The note with the neurons, by the names of their nodes.
pub const NEURONS: &str = "neurons";

/// The neurons of a network.
pub fn of(nodes: &[Node]) -> BTreeMap<&str, &Op> {
    let neurons = nodes.iter().filter(|node| matches!(node.op, Op::Lif { .. }));
    neurons.map(|node| (node.name.as_str(), &node.op)).collect()
}

/// The network that was read, with neurons again for those of its rectifiers that a note of the file names.
pub fn restored(read: &Architecture, note: serde_json::Value) -> NodeResult<Architecture> {
    let neurons: BTreeMap<String, Op> = serde_json::from_value(note)
        .map_err(|error| format!("has a property with neurons that cannot be read: {error}"))?;
    let mut nodes = read.nodes().to_vec();
    for (name, neuron) in neurons {
        let rectifier = nodes.iter_mut().find(|node| node.name == name && node.op.is_rectifier());
        match rectifier {
            Some(node) if neuron.is_rectifier() => node.op = neuron,
            _ => {
                return Err(format!(
                    "says in its property that node `{}` has spiking neurons, and has no such rectifier; convert the network \
                     again, or remove the property",
                    shown(&name)
                ));
            }
        }
    }
    let restored = Architecture::new(read.input(), read.classes(), nodes);
    restored.map_err(|error| error.to_string())
}
