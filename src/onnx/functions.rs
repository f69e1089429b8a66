//! Operators for activations: functions of one feature, and the larger or smaller of several.

use super::network::{DraftKind, DraftNetwork, Inequality, ScalarFunction};
use super::node::FileNode;
use super::pointwise::{affine, binary, features, numbers, one, plain, recognized};
use super::recognize::are_same;
use super::supported::no_layer;
use super::value::{Features, NodeResult, Operand, single};
use crate::nn::architecture::Op;

/// An operation on each feature of the first input.
pub fn activation(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let op = match node.op() {
        "Relu" => Op::Relu {},
        "LeakyRelu" => Op::LeakyRelu { slope: node.float("alpha", 0.01) },
        "Elu" => Op::Elu { alpha: node.float("alpha", 1.0) },
        "Tanh" => Op::Tanh {},
        "Sigmoid" => Op::Sigmoid {},
        "HardSwish" => Op::HardSwish {},
        "Mish" => Op::Mish {},
        "Softplus" => Op::Softplus {},
        "Gelu" => Op::Gelu { tanh: node.text("approximate") == "tanh" },
        "HardSigmoid" => {
            let (alpha, beta) = (node.float("alpha", 0.2), node.float("beta", 0.5));
            if (alpha - 1.0 / 6.0).abs() > 1e-6 || beta != 0.5 {
                let line = affine(network, node, &x, one(alpha), one(beta))?;
                return plain(network, node, &line, Op::Clamp { low: 0.0, high: 1.0 });
            }
            Op::HardSigmoid {}
        }
        "Selu" => {
            let alpha = node.float("alpha", 1.673_263_2);
            let gamma = node.float("gamma", 1.050_701);
            let curve = features(plain(network, node, &x, Op::Elu { alpha })?)?;
            return affine(network, node, &curve, one(gamma), one(0.0)).map(Operand::Features);
        }
        "Celu" => {
            let alpha = node.float("alpha", 1.0);
            let inner = affine(network, node, &x, vec![1.0 / f64::from(alpha)], one(0.0))?;
            let curve = features(plain(network, node, &inner, Op::Elu { alpha: 1.0 })?)?;
            return affine(network, node, &curve, one(alpha), one(0.0)).map(Operand::Features);
        }
        "Clip" => {
            let [low, high] = node.limits()?;
            return clamp(network, node, &x, low, high);
        }
        other => return Err(format!("is {other}")),
    };
    plain(network, node, &x, op)
}

/// What has no layer of its own; it may be part of an activation that has.
pub fn unknown(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let function = match node.op() {
        "Erf" => ScalarFunction::Erf,
        "Exp" => ScalarFunction::Exp,
        "Log" => ScalarFunction::Log,
        "Sqrt" => ScalarFunction::Power(0.5),
        "Reciprocal" => ScalarFunction::Power(-1.0),
        "Pow" => match single(node.floats(1)?)? {
            1.0 => return Ok(Operand::Features(x)),
            2.0 => return binary(network, node, ScalarFunction::Mul, &x, &x),
            3.0 => {
                let square = features(binary(network, node, ScalarFunction::Mul, &x, &x)?)?;
                return binary(network, node, ScalarFunction::Mul, &square, &x);
            }
            power => ScalarFunction::Power(f64::from(power)),
        },
        other => return Err(format!("is {other}")),
    };
    part(network, node, &x, &[x.place], function)
}

/// Greater and the like: where features stand so to a number of the file.
pub fn compare(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let (x, number, is_left) = match (node.input(0)?, node.input(1)?) {
        (Operand::Features(x), number) => (x.clone(), single(number.floats()?)?, true),
        (number, other) => (other.features()?.clone(), single(number.floats()?)?, false),
    };
    let kind = match (node.op(), is_left) {
        ("Greater", true) | ("Less", false) => Inequality::Greater,
        ("GreaterOrEqual", true) | ("LessOrEqual", false) => Inequality::GreaterOrEqual,
        ("Less", true) | ("Greater", false) => Inequality::Less,
        _ => Inequality::LessOrEqual,
    };
    part(network, node, &x, &[x.place], ScalarFunction::Compare(kind, f64::from(number)))
}

/// Where: features, or numbers of the file, that other features choose.
pub fn choose(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let mut places = vec![x.place];
    let mut numbers = [None; 2];
    for (i, number) in numbers.iter_mut().enumerate() {
        match node.input(i + 1)? {
            Operand::Features(y) if (&y.dims, &y.order) == (&x.dims, &x.order) => {
                places.push(y.place);
            }
            Operand::Features(_) => return Err("chooses between features of other sizes".into()),
            other => *number = Some(f64::from(single(other.floats()?)?)),
        }
    }
    let chosen = part(network, node, &x, &places, ScalarFunction::Choose(numbers))?;
    let place = chosen.features()?.place;
    if network.draft(place).is_none_or(|draft| !matches!(draft.kind, DraftKind::Unknown(_))) {
        return Ok(chosen);
    }
    // Softplus of large numbers is written as a line, which it is anyway.
    let same = places.iter().skip(1).find(|&&other| are_same(network, place, other));
    Ok(same.map_or(chosen, |&same| Operand::Features(x.at(same))))
}

/// A function that no layer computes, unless it is the last part of one that a layer does.
fn part(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    x: &Features,
    places: &[usize],
    function: ScalarFunction,
) -> NodeResult<Operand> {
    if places.iter().any(|&place| network.shape(place) != network.shape(x.place)) {
        return Err("combines features of different shapes".into());
    }
    let place = network.add(node.name(), DraftKind::Unknown(no_layer(node.op())), places)?;
    network.drafts[place - 1].function = Some(function);
    recognized(network, node, x, place)
}

/// The largest, or the smallest, of any number of features and numbers.
pub fn limit(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let (mut largest, mut number): (Option<Features>, Option<f32>) = (None, None);
    for i in 0..node.inputs.len() {
        match node.input(i)? {
            Operand::Features(x) => {
                largest = Some(match largest {
                    None => x.clone(),
                    Some(other) => features(limits(network, node, &other, x)?)?,
                });
            }
            other => {
                let other = single(other.floats()?)?;
                let more = |number: f32| match node.op() {
                    "Max" => number.max(other),
                    _ => number.min(other),
                };
                number = Some(number.map_or(other, more));
            }
        }
    }
    let x = largest.ok_or("needs features")?;
    match (number, node.op()) {
        (None, _) => Ok(Operand::Features(x)),
        (Some(number), "Max") => clamp(network, node, &x, number, f32::MAX),
        (Some(number), _) => clamp(network, node, &x, -f32::MAX, number),
    }
}

/// The larger, `b + max(0, a - b)`, or the smaller, `a - max(0, a - b)`, of two features.
fn limits(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    a: &Features,
    b: &Features,
) -> NodeResult<Operand> {
    let negative = affine(network, node, b, one(-1.0), one(0.0))?;
    let difference = features(binary(network, node, ScalarFunction::Add, a, &negative)?)?;
    let more = features(plain(network, node, &difference, Op::Relu {})?)?;
    if node.op() == "Max" {
        return binary(network, node, ScalarFunction::Add, b, &more);
    }
    let less = affine(network, node, &more, one(-1.0), one(0.0))?;
    binary(network, node, ScalarFunction::Add, a, &less)
}

fn clamp(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    x: &Features,
    low: f32,
    high: f32,
) -> NodeResult<Operand> {
    let (low, high) = (low.max(-f32::MAX), high.min(f32::MAX));
    let rectifies = low == 0.0 && high == f32::MAX;
    plain(network, node, x, if rectifies { Op::Relu {} } else { Op::Clamp { low, high } })
}

/// The sum of the rectifiers of x and -x.
pub fn absolute(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let negative = affine(network, node, &x, one(-1.0), one(0.0))?;
    let left = features(plain(network, node, &negative, Op::Relu {})?)?;
    let right = features(plain(network, node, &x, Op::Relu {})?)?;
    let sum = network.add(node.name(), DraftKind::Plain(Op::Add {}), &[right.place, left.place])?;
    Ok(Operand::Features(x.at(sum)))
}

/// x above 0, else a slope of each channel times x.
pub fn parametric(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let (x, slopes) = numbers(network, node, node.floats(1)?, &x)?;
    if let [slope] = slopes[..] {
        return plain(network, node, &x, Op::LeakyRelu { slope: slope as f32 });
    }
    // max(0, x) - slope max(0, -x)
    let right = features(plain(network, node, &x, Op::Relu {})?)?;
    let negative = affine(network, node, &x, one(-1.0), one(0.0))?;
    let left = features(plain(network, node, &negative, Op::Relu {})?)?;
    let slopes = slopes.iter().map(|slope| -slope).collect();
    let left = affine(network, node, &left, slopes, one(0.0))?;
    binary(network, node, ScalarFunction::Add, &right, &left)
}
