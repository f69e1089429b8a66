//! The table of supported operators, and the words for what is not in it.

use super::node::FileNode;
use super::proto;
use crate::wording::shown;

/// The supported operators, as error messages list them.
pub const SUPPORTED: &str = "Abs, Add, AveragePool, BatchNormalization, Cast, Celu, Clip, Concat, Conv, DepthToSpace, Div, \
    Dropout, Elu, Expand, Flatten, Gather, GatherND, Gelu, Gemm, GlobalAveragePool, GlobalMaxPool, HardSigmoid, HardSwish, \
    Identity, LeakyRelu, LogSoftmax, MatMul, Max, MaxPool, Min, Mish, Mul, Neg, PRelu, Pad, ReduceMax, ReduceMean, \
    ReduceSum, Relu, Reshape, Selu, Shape, Sigmoid, Slice, Softmax, Softplus, SpaceToDepth, Split, Squeeze, Sub, Sum, Tanh, \
    Tile, Transpose, Unsqueeze";

/// Operators that are known besides, on numbers of the file or as parts of activations.
const PARTS: [&str; 20] = [
    "Constant",
    "ConstantOfShape",
    "Range",
    "Where",
    "Equal",
    "Mod",
    "ReduceProd",
    "Erf",
    "Exp",
    "Log",
    "Pow",
    "Sqrt",
    "Reciprocal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "ReduceL1",
    "ReduceL2",
    "ReduceMin",
];

/// Whether an operator is in the table, or known besides.
fn is_known(op: &str) -> bool {
    PARTS.contains(&op) || SUPPORTED.split(", ").any(|known| known == op)
}

/// The first node of a file whose operator is unknown, in words.
pub fn unsupported(graph: &proto::GraphProto) -> Option<String> {
    let node = graph.node.iter().find(|node| {
        let op = node.op_type.as_deref().unwrap_or_default();
        matches!(node.domain.as_deref(), None | Some("" | "ai.onnx")) && !is_known(op)
    })?;
    let node = FileNode { proto: node, opset: 0, inputs: Vec::new(), kinds: Vec::new() };
    let (name, op) = (shown(node.name()), shown(node.op()));
    Some(format!("node `{name}` ({op}) is not supported; supported are {SUPPORTED}"))
}

/// What is wrong with an operator that only parts of activations have.
pub fn no_layer(op: &str) -> String {
    format!("({op}) on features is not supported; supported are {SUPPORTED}")
}

/// How many inputs of an operator are read, so that none is left out without a word.
pub fn most_inputs(op: &str) -> usize {
    match op {
        "Concat" | "Max" | "Min" | "Sum" => usize::MAX,
        "BatchNormalization" | "Slice" => 5,
        "Pad" => 4,
        "Clip" | "Conv" | "Dropout" | "Gemm" | "Range" | "Where" => 3,
        "Abs" | "AveragePool" | "Cast" | "Celu" | "ConstantOfShape" | "DepthToSpace" | "Elu"
        | "Erf" | "Exp" | "Flatten" | "Gelu" | "GlobalAveragePool" | "GlobalMaxPool"
        | "HardSigmoid" | "HardSwish" | "Identity" | "LeakyRelu" | "Log" | "LogSoftmax"
        | "MaxPool" | "Mish" | "Neg" | "Reciprocal" | "Relu" | "Selu" | "Shape" | "Sigmoid"
        | "Softmax" | "Softplus" | "SpaceToDepth" | "Sqrt" | "Tanh" | "Transpose" => 1,
        "Constant" => 0,
        // What is not known is refused by its name.
        _ if is_known(op) => 2,
        _ => usize::MAX,
    }
}
