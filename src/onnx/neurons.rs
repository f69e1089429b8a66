//! Spiking neurons in a file: ONNX has no operator for them, so they are written as rectifiers, and a note says which they are.

use super::finish::pytorch_name;
use super::value::NodeResult;
use crate::nn::architecture::{Architecture, Node};
use std::collections::{BTreeMap, HashMap};

/// The note with the neurons.
pub const NEURONS: &str = "neurons";

/// The rectifiers of a network, in order, with those that are neurons; nothing if none is. Their names are those in the file,
/// which `name_in_file` gives.
pub fn of(
    architecture: &Architecture,
    name_in_file: impl Fn(&Node) -> String,
) -> Option<Vec<Node>> {
    let noted =
        |node: &Node| Node { name: name_in_file(node), op: node.op.clone(), inputs: Vec::new() };
    let rectifiers = architecture.nodes().iter().filter(|node| node.op.is_rectifier());
    architecture.has_neurons().then(|| rectifiers.map(noted).collect())
}

/// The network that was read, with the rectifiers and neurons that a note of the file names: those of the same names or, where
/// a tool has named nodes anew, in the same order. Where that is not certain, between branches with different neurons, the
/// file is refused.
pub fn restored(read: &Architecture, note: serde_json::Value) -> NodeResult<Architecture> {
    let mut rectifiers: Vec<Node> = serde_json::from_value(note)
        .map_err(|error| format!("has a property with neurons that cannot be read: {error}"))?;
    let mut nodes = read.nodes().to_vec();
    let has_branches = (1..nodes.len()).any(|i| *read.sources(i) != [i]);
    let places: Vec<&mut Node> = nodes.iter_mut().filter(|node| node.op.is_rectifier()).collect();
    if places.len() != rectifiers.len() || !rectifiers.iter().all(|node| node.op.is_rectifier()) {
        return Err(format!(
            "has {} rectifiers, and says in its property which of {} are spiking neurons; convert the network again, or remove \
             the property",
            places.len(),
            rectifiers.len()
        ));
    }
    let places_of: HashMap<&str, usize> =
        places.iter().enumerate().map(|(i, place)| (place.name.as_str(), i)).collect();
    let place_of = |node: &Node| places_of.get(pytorch_name(&node.name, false).as_str()).copied();
    let by_name: Option<BTreeMap<usize, Node>> =
        rectifiers.iter().map(|node| Some((place_of(node)?, node.clone()))).collect();
    if let Some(placed) = by_name.filter(|placed| placed.len() == places.len()) {
        rectifiers = placed.into_values().collect();
    } else if has_branches && rectifiers.windows(2).any(|pair| pair[0].op != pair[1].op) {
        return Err(
            "has branches and other names of rectifiers than its property, so which of them are which spiking neurons is unclear; \
             convert the network again, or remove the property"
                .into(),
        );
    }
    places.into_iter().zip(rectifiers).for_each(|(place, node)| place.op = node.op);
    let restored = Architecture::new(read.input(), read.classes(), nodes);
    restored.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::lif::Neuron;
    use crate::nn::architecture::Op;
    use crate::tensor::Shape;

    /// Two branches, each with a rectifier, of these names and in this order.
    fn branches(order: [(&str, Op); 2]) -> Architecture {
        let node = |name: &str, op, from: &[&str]| Node {
            name: name.into(),
            op,
            inputs: from.iter().map(ToString::to_string).collect(),
        };
        let mut nodes = vec![node("flat", Op::Flatten {}, &[])];
        for (name, op) in &order {
            let layer = format!("{name}.layer");
            nodes.push(node(&layer, Op::Linear { out: 3, bias: true }, &["flat"]));
            nodes.push(node(name, op.clone(), &[&layer]));
        }
        nodes.push(node("sum", Op::Add {}, &[order[0].0, order[1].0]));
        Architecture::new(Shape::new(1, 2, 2), 3, nodes).expect("a network")
    }

    #[test]
    fn neurons_are_found_by_their_names_or_else_by_their_order() {
        let lif = |threshold| Op::Lif {
            neuron: Some(Neuron { threshold, ..Neuron::default() }),
            surrogate: None,
        };
        let (small, large) = (lif(0.25), lif(0.75));
        let written = branches([("a/1", small.clone()), ("b", large.clone())]);
        let note = of(&written, |node| node.name.clone());
        let note = serde_json::to_value(note.expect("neurons")).expect("JSON");
        for (names, expected) in
            [(["a.1", "b"], [&small, &large]), (["b", "a.1"], [&large, &small])]
        {
            let read = branches(names.map(|name| (name, Op::Relu {})));
            let restored = restored(&read, note.clone()).expect("restored");
            for (name, op) in names.iter().zip(expected) {
                let node = restored.nodes().iter().find(|node| node.name == *name);
                assert_eq!(node.map(|node| &node.op), Some(op), "{names:?}");
            }
        }
        for names in [["relu", "relu_2"], ["b", "relu"]] {
            let read = branches(names.map(|name| (name, Op::Relu {})));
            let error = restored(&read, note.clone()).expect_err("unclear");
            assert!(error.contains("has branches and other names of rectifiers"), "{error}");
        }
    }
}
