//! Walks through the nodes of a file in order and reads each one; `operator` has the table of supported operators.

use super::constants;
use super::network::{DraftKind, DraftNetwork};
use super::node::FileNode;
use super::proto::{self, data_type};
use super::shared::SharedWeights;
use super::sorted::sorted;
use super::supported::{SUPPORTED, most_inputs};
use super::value::{Features, MOST_COMPUTED, NodeResult, Operand, axis, count};
use super::{
    functions, layers, pad, picks, pointwise, pools, rearrange, reduce, shapes, strided, tensor,
    types,
};
use crate::wording::shown;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

/// Nodes that are looked at, those of functions each time that these are used.
const MOST_NODES: usize = 1 << 16;
/// Functions within functions.
const MOST_DEPTH: usize = 16;

/// Operators that pick, permute or repeat features.
const ARRANGING: [&str; 11] = [
    "Transpose",
    "Reshape",
    "Unsqueeze",
    "Slice",
    "Gather",
    "GatherND",
    "Split",
    "Expand",
    "Tile",
    "DepthToSpace",
    "SpaceToDepth",
];

/// What a name in the file stands for, or the first problem on the way to it: it may never be needed; and the type of
/// numbers of the file, 0 for all else.
type Scope<'a> = HashMap<&'a str, (Result<Operand, Rc<str>>, i32)>;

/// Values with their types.
type Typed = Vec<(Operand, i32)>;

/// A file while it is read.
pub struct Reader<'a> {
    pub model: &'a proto::ModelProto,
    pub path: &'a Path,
    pub opset: i64,
    /// How many images the file was made for, if it says so.
    pub images: Option<usize>,
    pub network: DraftNetwork,
    pub shared: SharedWeights,
    /// Numbers that were computed from the file's, and nodes that were looked at.
    pub computed: usize,
    pub looked_at: usize,
}

impl<'a> Reader<'a> {
    /// Before the first node.
    pub fn new(
        model: &'a proto::ModelProto,
        path: &'a Path,
        opset: i64,
        images: Option<usize>,
        network: DraftNetwork,
    ) -> Self {
        let shared = SharedWeights::default();
        Self { model, path, opset, images, network, shared, computed: 0, looked_at: 0 }
    }

    /// The features of the first output.
    pub fn run(
        &mut self,
        graph: &'a proto::GraphProto,
        input: &'a str,
        image: Features,
    ) -> NodeResult<Features> {
        let mut scope = Scope::new();
        // Arrays are read when they are used: a file may hold what nothing needs.
        let mut arrays: HashMap<&str, &proto::TensorProto> = HashMap::new();
        for array in &graph.initializer {
            let name = array.name.as_deref().unwrap_or_default();
            if arrays.insert(name, array).is_some() {
                return Err(format!("two of its arrays are called `{}`", shown(name)));
            }
        }
        scope.insert(input, (Ok(Operand::Features(image)), 0));
        self.nodes(&graph.node, &mut scope, &arrays, 0)?;
        let output = graph.output.first().and_then(|output| output.name.as_deref());
        let output = output.ok_or("has no output")?;
        match scope.get(output).map(|(value, _)| value) {
            Some(Ok(Operand::Features(features))) => Ok(features.clone()),
            Some(Ok(value)) if value.is_constant() => {
                Err(format!("the output `{}` does not depend on the image", shown(output)))
            }
            Some(Ok(_)) => Err(format!(
                "the output `{}` has the images at another axis than the first; export a network that gives [batch, classes]",
                shown(output)
            )),
            Some(Err(problem)) => Err(problem.to_string()),
            None => Err(format!("no node gives the output `{}`", shown(output))),
        }
    }

    /// Walks through nodes, each after those that it takes something from.
    fn nodes<'b>(
        &mut self,
        nodes: &'b [proto::NodeProto],
        scope: &mut Scope<'b>,
        arrays: &HashMap<&'b str, &'b proto::TensorProto>,
        depth: usize,
    ) -> NodeResult<()> {
        for node in sorted(nodes) {
            self.looked_at += 1;
            if self.looked_at > MOST_NODES || self.computed > MOST_COMPUTED {
                return Err(format!(
                    "has more than {MOST_NODES} nodes, or computes more than {MOST_COMPUTED} numbers while it is read"
                ));
            }
            let again = |name: &&String| {
                scope.contains_key(name.as_str()) || arrays.contains_key(name.as_str())
            };
            if let Some(name) = node.output.iter().filter(|name| !name.is_empty()).find(again) {
                return Err(format!("`{}` is given twice", shown(name)));
            }
            let values = self.node(node, scope, arrays, depth);
            match values {
                Ok(values) => {
                    let outputs = node.output.iter().map(String::as_str).zip(values);
                    outputs.for_each(|(name, (value, kind))| {
                        _ = scope.insert(name, (Ok(value), kind))
                    });
                }
                Err(problem) => {
                    for name in &node.output {
                        scope.insert(name, (Err(problem.clone()), 0));
                    }
                }
            }
        }
        Ok(())
    }

    /// What one node gives.
    fn node<'b>(
        &mut self,
        node: &'b proto::NodeProto,
        scope: &mut Scope<'b>,
        arrays: &HashMap<&'b str, &'b proto::TensorProto>,
        depth: usize,
    ) -> Result<Typed, Rc<str>> {
        let mut read =
            FileNode { proto: node, opset: self.opset, inputs: Vec::new(), kinds: Vec::new() };
        let of_node = |read: &FileNode<'_>, problem: String| -> Rc<str> {
            let (name, op) = (shown(read.name()), shown(read.op()));
            format!("node `{name}` ({op}) {problem}").into()
        };
        let mut seen = HashSet::new();
        let mut names = node.attribute.iter().map(|a| a.name.as_deref().unwrap_or_default());
        if let Some(name) = names.find(|name| !seen.insert(*name)) {
            return Err(of_node(&read, format!("has the attribute `{}` twice", shown(name))));
        }
        for name in &node.input {
            let name = name.as_str();
            if !name.is_empty()
                && !scope.contains_key(name)
                && let Some(array) = arrays.get(name)
            {
                let value = tensor::read(array, self.path).map_err(|problem| problem.into());
                scope.insert(name, (value, array.data_type.unwrap_or_default()));
            }
            match scope.get(name) {
                Some((Ok(value), kind)) => {
                    read.inputs.push(Some(value.clone()));
                    read.kinds.push(*kind);
                }
                Some((Err(problem), _)) => return Err(problem.clone()),
                None if name.is_empty() => {
                    read.inputs.push(None);
                    read.kinds.push(0);
                }
                None => {
                    let problem = format!("takes `{}`, which nothing gives", shown(name));
                    return Err(of_node(&read, problem));
                }
            }
        }
        let values = match node.domain.as_deref() {
            None | Some("" | "ai.onnx") if read.given_inputs() > most_inputs(read.op()) => {
                let (given, most) = (read.given_inputs(), most_inputs(read.op()));
                Err(format!("has {given} inputs, of which {most} can be read"))
            }
            None | Some("" | "ai.onnx") => {
                if let Some(value) = strided::evaluate(&self.network, &read, self.images) {
                    value.map(|value| vec![(value, data_type::INT64)])
                } else if read.is_constant() {
                    let value = types::of_result(&read).and_then(|kind| {
                        let value = constants::evaluate(&read, self.path)?;
                        Ok((types::fit(value, kind), kind))
                    });
                    value.map(|value| vec![value]).inspect(|values| {
                        self.computed +=
                            values.iter().map(|(value, _)| count(value)).sum::<usize>();
                    })
                } else {
                    self.shared.count(&read, |name| arrays.contains_key(name));
                    let values = operator(&mut self.network, &read, self.images);
                    // Each order is as long as what it arranges.
                    self.computed += match ARRANGING.contains(&read.op()) && values.is_ok() {
                        true => read.with_images(0).map_or(0, |(x, _)| x.count()),
                        false => 0,
                    };
                    // Of features, but for their shape.
                    values.map(|values| values.into_iter().map(|value| (value, 0)).collect())
                }
            }
            Some(domain) => self.function(&read, domain, depth),
        };
        values.map_err(|problem| of_node(&read, problem))
    }

    /// What a function of the file gives.
    fn function(&mut self, node: &FileNode<'_>, domain: &str, depth: usize) -> NodeResult<Typed> {
        let of = |function: &&proto::FunctionProto| {
            function.name.as_deref() == Some(node.op())
                && function.domain.as_deref().unwrap_or_default() == domain
        };
        let model = self.model;
        let function = model.functions.iter().find(of);
        let function = function.ok_or_else(|| {
            format!(
                "is an operator of `{}`, which is not supported; supported are {SUPPORTED}",
                shown(domain)
            )
        })?;
        let (given, most) = (node.given_inputs(), function.input.len());
        if given > most {
            return Err(format!("has {given} inputs, and its function takes {most}"));
        }
        if depth == MOST_DEPTH {
            return Err("is a function within too many others".into());
        }
        let mut body = function.node.clone();
        for attributes in body.iter_mut().map(|inner| &mut inner.attribute) {
            // Those that stand for the caller's are the caller's, or have their defaults.
            attributes.retain_mut(|attribute| {
                let Some(outer) = attribute.ref_attr_name.take() else { return true };
                let name = attribute.name.take();
                let given = node.attribute(&outer).cloned();
                *attribute = proto::Attribute { name, ..given.clone().unwrap_or_default() };
                given.is_some()
            });
        }
        let mut scope = Scope::new();
        let inputs = node.inputs.iter().zip(&node.kinds);
        for (name, (value, &kind)) in function.input.iter().zip(inputs) {
            if let Some(value) = value {
                scope.insert(name, (Ok(value.clone()), kind));
            }
        }
        self.nodes(&body, &mut scope, &HashMap::new(), depth + 1)?;
        let output = |name: &String| match scope.get(name.as_str()) {
            Some((Ok(value), kind)) => Ok((value.clone(), *kind)),
            Some((Err(problem), _)) => Err(format!("holds: {problem}")),
            None => Err(format!("has no `{}`", shown(name))),
        };
        function.output.iter().map(output).collect()
    }
}

/// What an operator gives that computes from features.
fn operator(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    images: Option<usize>,
) -> NodeResult<Vec<Operand>> {
    let value = match node.op() {
        "Conv" => layers::convolution(network, node),
        "Gemm" => layers::gemm(network, node),
        "MatMul" => layers::product(network, node),
        "BatchNormalization" => layers::batch_norm(network, node),
        "MaxPool" | "AveragePool" => pools::windows(network, node),
        "GlobalAveragePool" | "GlobalMaxPool" => pools::global(network, node),
        "ReduceMean" | "ReduceMax" | "ReduceSum" => reduce::reduce(network, node),
        "Pad" => pad::pad(network, node),
        "Relu" | "LeakyRelu" | "Elu" | "Tanh" | "Sigmoid" | "HardSwish" | "Gelu"
        | "HardSigmoid" | "Selu" | "Celu" | "Clip" | "Mish" | "Softplus" => {
            functions::activation(network, node)
        }
        "PRelu" => functions::parametric(network, node),
        "Abs" => functions::absolute(network, node),
        "Neg" => {
            let x = node.features(0)?.clone();
            pointwise::affine(network, node, &x, vec![-1.0], vec![0.0]).map(Operand::Features)
        }
        "Erf" | "Exp" | "Sqrt" | "Reciprocal" | "Pow" => functions::unknown(network, node),
        "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => functions::compare(network, node),
        "Where" => functions::choose(network, node),
        "Max" | "Min" => functions::limit(network, node),
        "Add" | "Sub" | "Mul" | "Div" => pointwise::arithmetic(network, node),
        "Sum" => pointwise::sum(network, node),
        "Shape" => shapes::shape(node),
        "Softmax" | "LogSoftmax" | "Log" => soft_max(network, node),
        "Identity" => Ok(node.input(0)?.clone()),
        "Dropout" => match node.optional(2).map(Operand::wholes) {
            Some(Ok(training)) if training != [0] => {
                Err("is in training mode; export after model.eval()".into())
            }
            _ => Ok(node.input(0)?.clone()),
        },
        "Cast" => {
            let to = node.int("to", 0);
            let floats =
                [data_type::FLOAT, data_type::DOUBLE, data_type::FLOAT16, data_type::BFLOAT16];
            match floats.iter().any(|&kind| i64::from(kind) == to) {
                true => Ok(node.input(0)?.clone()),
                false => Err("makes whole numbers of features".into()),
            }
        }
        _ => return arrangement(network, node, images),
    };
    value.map(|value| vec![value])
}

/// What an operator gives that computes nothing, but arranges features.
fn arrangement(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    images: Option<usize>,
) -> NodeResult<Vec<Operand>> {
    let values = match node.op() {
        "Split" => picks::split(network, node)?,
        op => vec![match op {
            "Reshape" => shapes::reshape(node, images)?,
            "Flatten" => shapes::flatten(node)?,
            "Squeeze" => shapes::squeeze(node)?,
            "Unsqueeze" => shapes::unsqueeze(node)?,
            "Transpose" => shapes::transpose(network, node)?,
            "Concat" => picks::concat(network, node)?,
            "Slice" => picks::slice(network, node)?,
            "Gather" | "GatherND" => picks::gather(network, node)?,
            "Expand" | "Tile" => picks::repeat(network, node, images)?,
            "DepthToSpace" | "SpaceToDepth" => picks::blocks(network, node)?,
            _ => return Err(format!("is not supported; supported are {SUPPORTED}")),
        }],
    };
    let picks = matches!(node.op(), "Slice" | "Gather" | "GatherND" | "Split");
    let settle = |value| match value {
        Operand::Features(x) => {
            let x = rearrange::settled(network, x, node.name())?;
            let x = if picks { rearrange::settled_vector(network, x, node.name())? } else { x };
            Ok(Operand::Features(x))
        }
        other => Ok(other),
    };
    values.into_iter().map(settle).collect()
}

/// A soft-max over the classes, or its logarithm: attacks want what comes before.
fn soft_max(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let logits = match node.op() {
        "Log" => match network.soft_maxes.iter().find(|(at, ..)| *at == x.place) {
            Some(_) => Some(x.place),
            None => return functions::unknown(network, node),
        },
        _ => {
            let default = if node.opset < 13 { 1 } else { -1 };
            let at = axis(node.int("axis", default), x.dims.len() + 1)?;
            let alone = x.dims.iter().skip(1).all(|&side| side == 1);
            (at == 1 && alone).then_some(x.place)
        }
    };
    let problem = match (node.op(), logits) {
        (op, None) => format!("({op}) is over another axis than that of the classes"),
        (op, _) => format!("({op}) is inside of the network; only at its end it can be left out"),
    };
    let place = network.add(node.name(), DraftKind::Unknown(problem), &[x.place])?;
    if let Some(logits) = logits {
        let before = network.soft_maxes.iter().find(|(at, ..)| *at == x.place);
        let ends =
            before.map_or(node.op().to_owned(), |(.., op)| format!("{op} and {}", node.op()));
        network.soft_maxes.push((place, logits, ends));
    }
    Ok(Operand::Features(x.at(place)))
}
