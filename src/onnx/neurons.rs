//! Spiking neurons in a file: ONNX has no operator for them, so they are written as rectifiers, and a note says which they are.

use super::value::NodeResult;
use crate::nn::architecture::{Architecture, Node, Op};

/// The note with the neurons.
pub const NEURONS: &str = "neurons";

/// For each rectifier of a network, in order, whether it is a neuron and which; nothing if none is. Nodes may have other names
/// when they are read again.
pub fn of(nodes: &[Node]) -> Option<Vec<&Op>> {
    let rectifiers: Vec<&Op> = nodes.iter().map(|n| &n.op).filter(|op| op.is_rectifier()).collect();
    rectifiers.iter().any(|op| matches!(op, Op::Lif { .. })).then_some(rectifiers)
}

/// The network that was read, with the rectifiers and neurons that a note of the file names.
pub fn restored(read: &Architecture, note: serde_json::Value) -> NodeResult<Architecture> {
    let rectifiers: Vec<Op> = serde_json::from_value(note)
        .map_err(|error| format!("has a property with neurons that cannot be read: {error}"))?;
    let mut nodes = read.nodes().to_vec();
    let places: Vec<&mut Op> =
        nodes.iter_mut().map(|node| &mut node.op).filter(|op| op.is_rectifier()).collect();
    if places.len() != rectifiers.len() || !rectifiers.iter().all(Op::is_rectifier) {
        return Err(format!(
            "has {} rectifiers, and says in its property which of {} are spiking neurons; convert the network again, or remove \
             the property",
            places.len(),
            rectifiers.len()
        ));
    }
    places.into_iter().zip(rectifiers).for_each(|(place, op)| *place = op);
    let restored = Architecture::new(read.input(), read.classes(), nodes);
    restored.map_err(|error| error.to_string())
}
