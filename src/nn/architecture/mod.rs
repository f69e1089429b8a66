//! A network as a value: a list of named nodes, checked when it is built.

mod builtin;
mod op;
mod pair;
mod shapes;

pub use crate::kernels::conv2d::Algorithm;
pub use builtin::{BUILTIN, Builtin};
pub use op::{InitialValues, Op, ParameterShape};
pub use pair::Pair;

use crate::fingerprint::Fingerprint;
use crate::tensor::Shape;
use crate::wording::{from_strict_json, meant, of_json, shown};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The name of the image among the inputs of a node.
pub const INPUT: &str = "input";

/// Nodes at most: more than any network has that fits in memory, few enough to check at once.
const MOST_NODES: usize = 4096;
/// Letters of a name at most.
const MOST_LETTERS: usize = 200;
/// Numbers of all nodes' outputs, and of all parameters, at most. One block of sixteen samples then takes 4 GB, and the
/// parameters 1 GB.
const MOST_FEATURES: usize = 1 << 26;
const MOST_PARAMETERS: usize = 1 << 28;

/// One computation of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// As PyTorch would name the module, e.g. `layer1.0.conv1`: parameters are `layer1.0.conv1.weight` and so on.
    pub name: String,
    /// What it computes.
    #[serde(flatten)]
    pub op: Op,
    /// The nodes that it computes from, by name, [`INPUT`] for the image; none means the node before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
}

/// What a file holds, before it is checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    input: [usize; 3],
    classes: usize,
    nodes: Vec<Node>,
}

/// The layers of a network and how they are connected, in an order in which they can be computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Architecture {
    input: Shape,
    classes: usize,
    nodes: Vec<Node>,
    /// Of every node: 0 is the image, i + 1 is node i.
    sources: Vec<Vec<usize>>,
    /// The image's shape, and every node's.
    shapes: Vec<Shape>,
}

impl TryFrom<Unchecked> for Architecture {
    type Error = Error;

    fn try_from(from: Unchecked) -> Result<Self> {
        let [channels, height, width] = from.input;
        Self::new(Shape::new(channels, height, width), from.classes, from.nodes)
    }
}

impl From<Architecture> for Unchecked {
    fn from(from: Architecture) -> Self {
        let Shape { channels, height, width } = from.input;
        Self { input: [channels, height, width], classes: from.classes, nodes: from.nodes }
    }
}

fn fail<T>(problem: impl Into<String>) -> Result<T> {
    Err(Error::argument("architecture", problem))
}

impl Architecture {
    /// From JSON; `path` is what errors name.
    ///
    /// # Errors
    /// If the text is no JSON, or no network: those of [`new`](Self::new).
    pub fn from_json(text: &str, path: impl AsRef<Path>) -> Result<Self> {
        let strict = from_strict_json(text).and_then(|_| serde_json::from_str(text));
        strict.map_err(|error| Error::format(path, of_json(&error)))
    }

    /// From these nodes, the last of which gives the logits.
    ///
    /// # Errors
    /// If a node does not fit what it computes from (the error names the node, both shapes and what to change), an output
    /// is not used, or the network is larger than memory.
    pub fn new(input: Shape, classes: usize, nodes: Vec<Node>) -> Result<Self> {
        let sides = [input.channels, input.height, input.width];
        let product = sides.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
        if !product.is_some_and(|features| (1..=MOST_FEATURES).contains(&features)) {
            return fail(format!("input {sides:?}: 1 to {MOST_FEATURES} numbers are possible"));
        }
        if classes < 2 {
            let noun = if classes == 1 { "class" } else { "classes" };
            return fail(format!(
                "{classes} {noun}, and at least 2 are needed: the largest of one logit is always the same one, and every image \
                 would be right. Give images two classes, and a binary network out = 2 in its last layer (zeros as the \
                 first row of weights and bias, those of the one logit as the second, are the same classifier)"
            ));
        }
        if nodes.is_empty() || nodes.len() > MOST_NODES {
            return fail(format!("{} nodes; 1 to {MOST_NODES} are possible", nodes.len()));
        }
        let mut all = Self { input, classes, nodes, sources: Vec::new(), shapes: vec![input] };
        let mut places = HashMap::from([(INPUT, 0)]);
        let (mut features, mut parameters) = (input.features(), 0_usize);
        let mut used = vec![false; all.nodes.len() + 1];
        for (i, node) in all.nodes.iter().enumerate() {
            let sources = sources(node, i, &places)?;
            sources.iter().for_each(|&source| used[source] = true);
            let shapes: Vec<Shape> = sources.iter().map(|&source| all.shapes[source]).collect();
            let of_node = |error: Error| {
                let text = error.to_string();
                let text = text.strip_prefix("it: ").unwrap_or(&text);
                Error::argument("architecture", format!("node `{}` {text}", shown(&node.name)))
            };
            let shape = node.op.output(&shapes).map_err(of_node)?;
            let product = shape.height.checked_mul(shape.width);
            let size = product.and_then(|pixels| pixels.checked_mul(shape.channels));
            features = features.saturating_add(size.unwrap_or(usize::MAX));
            for array in node.op.parameters(shapes[0]).map_err(of_node)? {
                let count = array.shape.iter().fold(1_usize, |n, &side| n.saturating_mul(side));
                parameters = parameters.saturating_add(count);
            }
            if features > MOST_FEATURES || parameters > MOST_PARAMETERS {
                return fail(format!(
                    "node `{}` makes it {features} features and {parameters} parameters; at most {MOST_FEATURES} and \
                     {MOST_PARAMETERS} are possible",
                    shown(&node.name)
                ));
            }
            places.insert(&node.name, i + 1);
            all.shapes.push(shape);
            all.sources.push(sources);
        }
        if let Some(i) = used[1..all.nodes.len()].iter().position(|&used| !used) {
            let name = shown(&all.nodes[i].name);
            return fail(format!(
                "node `{name}` is used by no other; name it in `inputs`, or drop it"
            ));
        }
        let (shape, last) =
            (all.shapes[all.nodes.len()], shown(&all.nodes[all.nodes.len() - 1].name));
        if shape != Shape::flat(classes) {
            let pool = if shape.channels == classes { "global_avg_pool or " } else { "" };
            return fail(format!(
                "the last node, `{last}`, gives {shape} for {classes} classes; end in {pool}a linear layer with out = \
                 {classes}"
            ));
        }
        Ok(all)
    }

    /// The shape of one image.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The nodes, each after those that it computes from.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What node `i` computes from: 0 is the image, `j + 1` is node `j`.
    pub fn sources(&self, i: usize) -> &[usize] {
        &self.sources[i]
    }

    /// Whether any of its nodes is said to spike (`lif`).
    pub fn has_neurons(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.op, Op::Lif { .. }))
    }

    /// The shape of what node `i` gives.
    pub fn shape(&self, i: usize) -> Shape {
        self.shapes[i + 1]
    }

    /// The shape of the first thing that node `i` computes from.
    pub fn input_of(&self, i: usize) -> Shape {
        self.shapes[self.sources[i][0]]
    }

    /// Names and shapes of all parameters, as in a PyTorch state dict.
    pub fn parameters(&self) -> impl Iterator<Item = (String, ParameterShape)> {
        self.nodes.iter().enumerate().flat_map(|(i, node)| {
            // It was checked when the architecture was built.
            let arrays = node.op.parameters(self.input_of(i)).unwrap_or_default();
            arrays.into_iter().map(|array| (format!("{}.{}", node.name, array.suffix), array))
        })
    }

    /// Numbers that training changes.
    pub fn parameter_count(&self) -> usize {
        self.parameters().map(|(_, array)| array.shape.iter().product::<usize>()).sum()
    }

    /// Where it differs from another one, in words; the first place of several.
    pub fn difference(&self, other: &Self) -> String {
        let ends = |all: &Self| format!("images of {} and {} classes", all.input, all.classes);
        if ends(self) != ends(other) {
            return format!("{}, not {}", ends(self), ends(other));
        }
        let most = self.nodes.len().max(other.nodes.len());
        let pairs = (0..most).map(|i| (self.nodes.get(i), other.nodes.get(i)));
        let different = pairs.into_iter().find(|(ours, theirs)| ours != theirs);
        different.map_or("nothing".into(), |(ours, theirs)| node_difference(ours, theirs))
    }

    /// Floating-point operations of the convolutions and linear layers for one sample (a multiply-add is two).
    pub fn flops(&self) -> usize {
        let of = |(i, node): (usize, &Node)| node.op.geometry(self.input_of(i)).ok().flatten();
        self.nodes.iter().enumerate().filter_map(of).map(|g| g.flops()).sum()
    }

    /// Bytes that the outputs of nodes from number `first` on take for one sample at least when the network runs: three
    /// that are computed together keep one.
    pub(crate) fn least_bytes(&self, first: usize) -> usize {
        let features = self.shapes.iter().skip(first + 1).map(|shape| shape.features());
        4 * features.sum::<usize>() / 3
    }

    /// The same with a time axis of `steps`: values before the first neurons may be the same at each step.
    pub(crate) fn least_spiking_bytes(&self, steps: usize) -> usize {
        let neurons = self.nodes.iter().position(|node| node.op.is_rectifier());
        neurons.map_or(0, |first| steps.saturating_mul(self.least_bytes(first + 1)))
    }

    /// Bytes of the image and of all nodes' outputs for one sample.
    pub fn bytes(&self) -> usize {
        4 * self.shapes.iter().map(|shape| shape.features()).sum::<usize>()
    }
}

/// The paper's network: `lenet`, for MNIST.
impl Default for Architecture {
    fn default() -> Self {
        Self::lenet(Shape::new(1, 28, 28), 10, false).expect("LeNet's layers fit")
    }
}

/// Its name or its number of nodes, its ends, and a fingerprint of all of it: equal lines are equal networks.
impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}")?,
            None => write!(f, "{} nodes", self.nodes.len())?,
        }
        let (input, classes, parameters) = (self.input, self.classes, self.parameter_count());
        let json = serde_json::to_vec(self).unwrap_or_default();
        let print = Fingerprint::of("architecture").bytes(&json).finish();
        write!(f, ", {input} to {classes} classes, {parameters} parameters, {}", &print[..16])
    }
}

/// The options in which two nodes differ.
fn node_difference(ours: Option<&Node>, theirs: Option<&Node>) -> String {
    let fields = |node: Option<&Node>| match serde_json::to_value(node) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (ours, theirs) = (fields(ours), fields(theirs));
    let only = |these: &serde_json::Map<_, _>, others: &serde_json::Map<_, _>| {
        let of = these.iter().filter(|(key, value)| others.get(*key) != Some(value));
        let of: Vec<String> = of.map(|(key, value)| format!("{key}: {value}")).collect();
        if of.is_empty() { "nothing more".to_owned() } else { shown(&of.join(", ")).to_string() }
    };
    let name = ours.get("name").or(theirs.get("name")).and_then(|name| name.as_str());
    let name = shown(name.unwrap_or_default()).to_string();
    format!("node `{name}` has {}, not {}", only(&ours, &theirs), only(&theirs, &ours))
}

/// Where a node computes from.
fn sources(node: &Node, i: usize, places: &HashMap<&str, usize>) -> Result<Vec<usize>> {
    let Node { name, inputs, .. } = node;
    if name.is_empty() || name.len() > MOST_LETTERS || name.chars().any(char::is_control) {
        return fail(format!(
            "node {} is named `{}`; a name has 1 to {MOST_LETTERS} letters, none of them a control character",
            i + 1,
            shown(name)
        ));
    }
    if places.contains_key(name.as_str()) {
        return fail(format!(
            "two things are named `{}`; give each node a name of its own",
            shown(name)
        ));
    }
    if inputs.is_empty() {
        return Ok(vec![i]);
    }
    let place = |input: &String| match places.get(input.as_str()) {
        Some(&place) => Ok(place),
        None => {
            let known: Vec<&str> = places.keys().copied().collect();
            fail(format!(
                "node `{}` computes from `{}`, which is not a node before it{}",
                shown(name),
                shown(input),
                meant(input, &known)
            ))
        }
    };
    inputs.iter().map(place).collect()
}
