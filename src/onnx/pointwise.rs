//! Arithmetic between features, and with constants of the file.

use super::network::{DraftKind, DraftNetwork, LayerArray, PerChannel, ScalarFunction};
use super::node::FileNode;
use super::recognize::{Recognized, recognize};
use super::value::{Features, Floats, NodeResult, Operand, zip as combine};
use crate::nn::architecture::Op;
use ndarray::Axis;

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
    let (x, numbers) = numbers(network, node, constant.floats()?, &x)?;
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
pub fn binary(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    function: ScalarFunction,
    a: &Features,
    b: &Features,
) -> NodeResult<Operand> {
    let verb = match (node.op(), function) {
        ("Sub", _) => "subtracts",
        ("Max" | "Min", _) => "compares",
        (_, ScalarFunction::Add) => "adds",
        (_, ScalarFunction::Mul) => "multiplies",
        _ => "divides",
    };
    if function == ScalarFunction::Mul && a.dims != b.dims {
        return gate(network, node, a, b);
    }
    if function == ScalarFunction::Mul && a.order != b.order {
        for (image, factor) in [(a, b), (b, a)] {
            if let Some(factor) = network.once_per_channel(factor)? {
                return gate(network, node, image, &factor);
            }
        }
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
    recognized(network, node, a, place)
}

/// What a place gives for features arranged as `like`: by an activation, if it amounts to one.
pub fn recognized(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    like: &Features,
    place: usize,
) -> NodeResult<Operand> {
    let Some(Recognized { of, inner, op, factor }) = recognize(network, place) else {
        return Ok(Operand::Features(like.at(place)));
    };
    let x = affine(network, node, &like.at(of), vec![inner], one(0.0))?;
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

/// `scale x + shift`, with one number for all or one for each channel of the place, joined with a layer before it where
/// that changes nothing.
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

pub fn one(number: f32) -> PerChannel {
    vec![f64::from(number)]
}

pub fn plain(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    x: &Features,
    op: Op,
) -> NodeResult<Operand> {
    let place = network.add(node.name(), DraftKind::Plain(op), &[x.place])?;
    Ok(Operand::Features(x.at(place)))
}

pub fn features(value: Operand) -> NodeResult<Features> {
    value.features().cloned()
}

/// The numbers that an array has for features: one for all, or one for each channel of the place of the features that
/// come with them, which are the same features.
pub fn numbers(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    floats: &Floats,
    x: &Features,
) -> NodeResult<(Features, PerChannel)> {
    let problem = match per_channel(floats, &x.dims) {
        Ok(numbers) if numbers.len() == 1 => return Ok((x.clone(), numbers)),
        Ok(numbers) if x.order.is_none() => match network.own(x, node.name()) {
            Ok(place) => return Ok((x.at(place), numbers)),
            Err(problem) => problem,
        },
        Ok(_) => "takes features in another order".into(),
        Err(problem) => problem,
    };
    match per_channel_of_place(network, floats, x)? {
        Some(numbers) => Ok((x.clone(), numbers)),
        None => Err(problem),
    }
}

/// The number of each channel of the place of features, whatever their order; None if there are several for one.
fn per_channel_of_place(
    network: &DraftNetwork,
    floats: &Floats,
    x: &Features,
) -> NodeResult<Option<PerChannel>> {
    let shape = network.shape(x.place);
    let (pixels, channels) = (shape.height * shape.width, shape.channels);
    let floats = match floats.ndim() == x.dims.len() + 1 && floats.shape()[0] == 1 {
        true => floats.clone().index_axis_move(Axis(0), 0),
        false => floats.clone(),
    };
    let pairs =
        combine(&x.indices()?.view(), &floats.view(), |&feature, &number| (feature, number))?;
    if pairs.shape() != x.dims {
        return Ok(None);
    }
    let mut numbers = vec![None; channels];
    for &(feature, number) in &pairs {
        if *numbers[feature / pixels].get_or_insert(number) != number {
            return Ok(None);
        }
    }
    // Nobody looks at a channel that was not picked.
    Ok(Some(numbers.into_iter().map(|number| f64::from(number.unwrap_or(1.0))).collect()))
}

/// The number of each channel, or one for all, that an array has for features of these dimensions.
fn per_channel(floats: &Floats, dims: &[usize]) -> NodeResult<PerChannel> {
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
