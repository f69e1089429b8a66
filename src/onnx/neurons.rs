//! Spiking neurons in a file: ONNX has no operator for them, so they are written as rectifiers, and a note says which they are.

use super::finish::pytorch_name;
use super::value::NodeResult;
use crate::nn::architecture::{Architecture, Node, Op};

/// The note with the neurons.
pub const NEURONS: &str = "neurons";

/// The rectifiers of a network, in order, with those that are neurons; nothing if none is. Their names are those in the file,
/// which `name_in_file` gives.
pub fn of(nodes: &[Node], name_in_file: impl Fn(&Node) -> String) -> Option<Vec<Node>> {
    let rectifiers = nodes.iter().filter(|node| node.op.is_rectifier());
    let noted =
        |node: &Node| Node { name: name_in_file(node), op: node.op.clone(), inputs: Vec::new() };
    let rectifiers: Vec<Node> = rectifiers.map(noted).collect();
    rectifiers.iter().any(|node| matches!(node.op, Op::Lif { .. })).then_some(rectifiers)
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
    let place_of = |node: &Node| {
        let name = pytorch_name(&node.name, false);
        places.iter().position(|place| place.name == name)
    };
    let by_name: Option<Vec<usize>> = rectifiers.iter().map(place_of).collect();
    let is_each_once = |found: &[usize]| (0..places.len()).all(|place| found.contains(&place));
    if let Some(found) = by_name.filter(|found| is_each_once(found)) {
        let mut placed: Vec<(usize, Node)> = found.into_iter().zip(rectifiers).collect();
        placed.sort_by_key(|(place, _)| *place);
        rectifiers = placed.into_iter().map(|(_, node)| node).collect();
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
        let note = of(written.nodes(), |node| node.name.clone());
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
