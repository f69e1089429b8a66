//! Operators for activations, and arithmetic between features and constants of the file.

use super::network::{DraftKind, DraftNetwork, LayerArray, PerChannel, ScalarFunction};
use super::node::FileNode;
use super::read::SUPPORTED;
use super::recognize::{Recognized, recognize};
use super::value::{Features, Floats, NodeResult, Operand};
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
            let limit = |name, input, default| match node.optional(input) {
                Some(value) => single(value.floats()?),
                None => Ok(node.float(name, default)),
            };
            let low = limit("min", 1, -f32::MAX)?;
            return clamp(network, node, &x, low, limit("max", 2, f32::MAX)?);
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
        "Softplus" => ScalarFunction::Softplus,
        "Sqrt" => ScalarFunction::Power(0.5),
        "Reciprocal" => ScalarFunction::Power(-1.0),
        "Pow" => ScalarFunction::Power(f64::from(single(node.floats(1)?)?)),
        other => return Err(format!("is {other}")),
    };
    let problem = no_layer(node.op());
    let place = network.add(node.name(), DraftKind::Unknown(problem), &[x.place])?;
    network.drafts[place - 1].function = Some(function);
    Ok(Operand::Features(x.at(place)))
}

/// What is wrong with an operator that only parts of activations have.
pub fn no_layer(op: &str) -> String {
    format!("({op}) on features is not supported; supported are {SUPPORTED}")
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
    let slopes = per_channel(node.floats(1)?, &x.dims)?;
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

/// Add, Sub, Mul, Div.
pub fn arithmetic(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let (constant, x, is_left) = match (node.input(0)?, node.input(1)?) {
        (Operand::Features(a), Operand::Features(b)) => {
            let (a, mut b) = (a.clone(), b.clone());
            let function = match node.op() {
                "Mul" => ScalarFunction::Mul,
                "Div" => ScalarFunction::Div,
                "Sub" => {
                    b = affine(network, node, &b, one(-1.0), one(0.0))?;
                    ScalarFunction::Add
                }
                _ => ScalarFunction::Add,
            };
            return binary(network, node, function, &a, &b);
        }
        (Operand::Features(x), constant) => (constant, x.clone(), true),
        (constant, Operand::Features(x)) => (constant, x.clone(), false),
        _ => return Err("needs features".into()),
    };
    let numbers = per_channel(constant.floats()?, &x.dims)?;
    let each = |f: &dyn Fn(f64) -> f64| numbers.iter().map(|&number| f(number)).collect();
    let (scale, shift) = match (node.op(), is_left) {
        ("Add", _) => (one(1.0), numbers),
        ("Sub", true) => (one(1.0), each(&|number| -number)),
        ("Sub", false) => (one(-1.0), numbers),
        ("Mul", _) => (numbers, one(0.0)),
        ("Div", true) => (each(&|number| 1.0 / number), one(0.0)),
        _ => {
            let problem = "(Div) divides by features, which no layer does".into();
            let place = network.add(node.name(), DraftKind::Unknown(problem), &[x.place])?;
            if let [number] = numbers[..] {
                network.drafts[place - 1].function = Some(ScalarFunction::Power(-1.0));
                let inverse = x.at(place);
                return affine(network, node, &inverse, vec![number], one(0.0))
                    .map(Operand::Features);
            }
            return Ok(Operand::Features(x.at(place)));
        }
    };
    affine(network, node, &x, scale, shift).map(Operand::Features)
}

/// The sum of any number of features.
pub fn sum(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let mut total = node.features(0)?.clone();
    for i in 1..node.inputs.len() {
        let next = node.features(i)?.clone();
        total = features(binary(network, node, ScalarFunction::Add, &total, &next)?)?;
    }
    Ok(Operand::Features(total))
}

/// Two features that are combined one by one.
fn binary(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    function: ScalarFunction,
    a: &Features,
    b: &Features,
) -> NodeResult<Operand> {
    let verb = match function {
        ScalarFunction::Add => "adds",
        ScalarFunction::Mul => "multiplies",
        _ => "divides",
    };
    if function == ScalarFunction::Mul && a.dims != b.dims {
        return gate(network, node, a, b);
    }
    if a.dims != b.dims {
        return Err(format!(
            "{verb} features of {:?} and {:?}; only those of the same size can be",
            a.dims, b.dims
        ));
    }
    let alike = a.order == b.order && network.shape(a.place) == network.shape(b.place);
    let places = match alike {
        true => [a.place, b.place],
        false => [network.own(a, node.name())?, network.own(b, node.name())?],
    };
    let kind = match function {
        ScalarFunction::Add => DraftKind::Plain(Op::Add {}),
        ScalarFunction::Mul => DraftKind::Plain(Op::Mul {}),
        _ => DraftKind::Unknown(format!(
            "({}) {verb} two sets of features, which no layer does",
            node.op()
        )),
    };
    let place = network.add(node.name(), kind, &places)?;
    network.drafts[place - 1].function = Some(function);
    let Some(Recognized { of, inner, op, factor }) = recognize(network, place) else {
        return Ok(Operand::Features(a.at(place)));
    };
    let x = affine(network, node, &a.at(of), vec![inner], one(0.0))?;
    let x = features(plain(network, node, &x, op)?)?;
    affine(network, node, &x, vec![factor], one(0.0)).map(Operand::Features)
}

/// The product of an image and one number for each of its channels, whichever comes first.
fn gate(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    a: &Features,
    b: &Features,
) -> NodeResult<Operand> {
    let is_gate = |gate: &Features, of: &Features| {
        gate.dims.len() == of.dims.len()
            && gate.dims.first() == of.dims.first()
            && gate.dims.iter().skip(1).all(|&side| side == 1)
    };
    let (image, gate) = match (is_gate(b, a), is_gate(a, b)) {
        (true, _) => (a, b),
        (_, true) => (b, a),
        _ => {
            return Err(format!(
                "multiplies features of {:?} and {:?}; those of the same size, or one number a channel, are possible",
                a.dims, b.dims
            ));
        }
    };
    let places = [network.own(image, node.name())?, network.own(gate, node.name())?];
    let place = network.add(node.name(), DraftKind::Plain(Op::Mul {}), &places)?;
    Ok(Operand::Features(image.at(place)))
}

/// `scale x + shift`, joined with a layer before it where that changes nothing.
pub fn affine(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    x: &Features,
    mut scale: PerChannel,
    mut shift: PerChannel,
) -> NodeResult<Features> {
    if !scale.iter().chain(&shift).all(|number| number.is_finite()) {
        return Err("computes with numbers that are not finite".into());
    }
    if scale == [1.0] && shift == [0.0] {
        return Ok(x.clone());
    }
    let mut place = x.place;
    if scale.len().max(shift.len()) > 1 {
        place = network.own(x, node.name())?;
    }
    match network.draft(place).map(|draft| (&draft.kind, &draft.inputs)) {
        Some((DraftKind::Affine(inner, offset), inputs)) => {
            shift = zip(&zip(&scale, offset, |s, o| s * o), &shift, |a, b| a + b);
            scale = zip(&scale, inner, |s, i| s * i);
            place = inputs[0];
        }
        Some((DraftKind::Layer(op, arrays), inputs))
            if scale == [1.0] && with_bias(op).is_some() =>
        {
            let (op, mut arrays, inputs) = (with_bias(op), arrays.clone(), inputs.clone());
            let outputs = arrays[0].shape[0];
            let values = (0..outputs).map(|i| shift[i % shift.len()] as f32).collect();
            arrays.push(LayerArray { suffix: "bias", shape: vec![outputs], values });
            let name = network.drafts[place - 1].name.clone();
            let kind = op.map(|op| DraftKind::Layer(op, arrays)).ok_or("has a bias")?;
            return Ok(x.at(network.add(&name, kind, &inputs)?));
        }
        _ => {}
    }
    Ok(x.at(network.add(node.name(), DraftKind::Affine(scale, shift), &[place])?))
}

/// The same layer with a bias, if it has none.
fn with_bias(op: &Op) -> Option<Op> {
    match op.clone() {
        Op::Linear { out, bias: false } => Some(Op::Linear { out, bias: true }),
        Op::Conv2d { out, kernel, stride, padding, groups, bias: false, algorithm } => {
            Some(Op::Conv2d { out, kernel, stride, padding, groups, bias: true, algorithm })
        }
        _ => None,
    }
}

/// Combines numbers of channels, of which one may stand for all.
fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> PerChannel {
    (0..a.len().max(b.len())).map(|i| f(a[i % a.len()], b[i % b.len()])).collect()
}

fn one(number: f32) -> PerChannel {
    vec![f64::from(number)]
}

fn plain(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    x: &Features,
    op: Op,
) -> NodeResult<Operand> {
    let place = network.add(node.name(), DraftKind::Plain(op), &[x.place])?;
    Ok(Operand::Features(x.at(place)))
}

fn features(value: Operand) -> NodeResult<Features> {
    value.features().cloned()
}

/// The one number of an array.
fn single(floats: &Floats) -> NodeResult<f32> {
    match (floats.len(), floats.first()) {
        (1, Some(&number)) => Ok(number),
        _ => Err(format!("needs one number, and has an array of {:?}", floats.shape())),
    }
}

/// The number of each channel, or one for all, that an array has for features of these dimensions.
pub fn per_channel(floats: &Floats, dims: &[usize]) -> NodeResult<PerChannel> {
    let shape = floats.shape();
    // The axis of the images, whose numbers have to be the same for all, comes first.
    let sides = || shape.iter().rev().zip(dims.iter().rev());
    let fits = shape.len() <= dims.len() + 1 && sides().all(|(&side, &of)| side == 1 || side == of);
    let channel = shape.len().checked_sub(dims.len()).filter(|&axis| axis < shape.len());
    let channels = channel.map_or(1, |axis| shape[axis]);
    let mut numbers = vec![None; channels];
    let mut is_same = fits;
    for (index, &number) in floats.indexed_iter() {
        let known = numbers[channel.map_or(0, |axis| index[axis])].get_or_insert(number);
        is_same &= *known == number;
    }
    let numbers: Option<PerChannel> = numbers.into_iter().map(|n| n.map(f64::from)).collect();
    match numbers.filter(|numbers| is_same && !numbers.is_empty()) {
        Some(numbers) if numbers.iter().all(|&number| number == numbers[0]) => Ok(vec![numbers[0]]),
        Some(numbers) => Ok(numbers),
        None => Err(format!(
            "computes with an array of {shape:?} for features of {dims:?}; one number for all, or one for each channel, \
             are possible"
        )),
    }
}
