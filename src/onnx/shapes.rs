//! Operators that reshape, permute, join or pick features.

use super::arrange::picked;
use super::layers::{KernelWindow, convolve, with_shape};
use super::network::{DraftKind, DraftNetwork, IMAGE};
use super::node::FileNode;
use super::pools::pick_channels;
use super::value::{Features, NodeResult, Operand, Whole, axis};
use crate::nn::architecture::Op;
use crate::tensor::Shape;
use ndarray::{Array4, ArrayD, IxDyn};
use std::rc::Rc;

/// The dimensions of features, the number of images first.
pub fn shape(node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?;
    let known = x.dims.iter().map(|&side| Whole::Known(side as i64));
    let all: Vec<Whole> = std::iter::once(Whole::Batch).chain(known).collect();
    let place = |name, default: usize| {
        let at = node.int(name, default as i64);
        let at = if at < 0 { at.saturating_add(all.len() as i64) } else { at };
        at.clamp(0, all.len() as i64) as usize
    };
    let (start, end) = (place("start", 0), place("end", all.len()));
    let part = all.get(start..end).unwrap_or_default().to_vec();
    Ok(Operand::Wholes(ndarray::Array::from_vec(part).into_dyn().into_shared()))
}

/// Reshape: of each image on its own.
pub fn reshape(node: &FileNode<'_>, images: Option<usize>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let Operand::Wholes(target) = node.input(1)? else { return Err("has a computed shape".into()) };
    let target: Vec<Whole> = target.iter().copied().collect();
    let keeps = node.int("allowzero", 0) == 0;
    let fail = || {
        let text: Vec<String> = target
            .iter()
            .map(|whole| match whole {
                Whole::Known(number) => number.to_string(),
                Whole::Batch => "batch".into(),
            })
            .collect();
        let text = text.join(", ");
        Err(format!(
            "gives features of {:?} the shape [{text}]; the images have to stay apart, as in x.flatten(1)",
            x.dims
        ))
    };
    let Some((first, others)) = target.split_first() else { return fail() };
    let mut dims = Vec::new();
    let mut open = None;
    for (i, whole) in others.iter().enumerate() {
        let side = match *whole {
            Whole::Known(-1) if open.is_none() => {
                open = Some(i);
                1
            }
            Whole::Known(0) if keeps && i < x.dims.len() => x.dims[i],
            Whole::Known(side) if side > 0 => side as usize,
            _ => return fail(),
        };
        dims.push(side);
    }
    let product = dims.iter().try_fold(1_usize, |product, &side| product.checked_mul(side));
    let Some(product) = product else { return fail() };
    // Which numbers can stand for the images: any, if it is certain that the others make up one image.
    let stands = match *first {
        Whole::Batch => true,
        Whole::Known(0) => keeps,
        Whole::Known(-1) => open.is_none(),
        Whole::Known(number) => match images {
            Some(images) => number == images as i64,
            None => number == 1,
        },
    };
    if let Some(open) = open.filter(|_| stands && product != 0 && x.count() % product == 0) {
        dims[open] = x.count() / product;
    } else if open.is_some() || product != x.count() {
        return fail();
    }
    Ok(Operand::Features(Features { dims, ..x }))
}

/// Flatten, Squeeze and Unsqueeze.
pub fn flatten(node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let rank = x.dims.len() + 1;
    let dims = match node.op() {
        "Flatten" => {
            let at = axis(node.int("axis", 1), rank + 1)?;
            if at != 1 {
                return Err(format!(
                    "flattens from axis {at}; 1 is possible, which keeps images apart"
                ));
            }
            vec![x.count()]
        }
        "Unsqueeze" => {
            let given = node.given("axes", 1)?.unwrap_or_default();
            let rank = rank + given.len();
            let given = given.into_iter().map(|a| axis(a, rank)).collect::<NodeResult<Vec<_>>>()?;
            let mut sides = x.dims.iter().copied();
            let all =
                (0..rank).skip(1).map(|i| if given.contains(&i) { Some(1) } else { sides.next() });
            let dims: Option<Vec<usize>> = all.collect();
            dims.filter(|_| !given.contains(&0) && sides.next().is_none())
                .ok_or("adds an axis before that of the images, or one twice")?
        }
        _ => {
            let ones = || (1..rank).filter(|&i| x.dims[i - 1] == 1).collect();
            let axes = node.axes(1, rank)?.unwrap_or_else(ones);
            if axes.contains(&0) || axes.iter().any(|&i| x.dims[i - 1] != 1) {
                return Err(format!("takes axes {axes:?} out of {:?} (and the images')", x.dims));
            }
            (1..rank).filter(|i| !axes.contains(i)).map(|i| x.dims[i - 1]).collect()
        }
    };
    Ok(Operand::Features(Features { dims, ..x }))
}

/// Transpose: the file's positions hold other features than before.
pub fn transpose(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let rank = x.dims.len() + 1;
    let given = node.ints("perm").unwrap_or_else(|| (0..rank as i64).rev().collect());
    let all = given.iter().map(|&a| axis(a, rank)).collect::<NodeResult<Vec<usize>>>()?;
    let mut sorted = all.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() || all[0] != 0 {
        return Err(format!("has perm {given:?}; the images have to stay the first axis"));
    }
    let axes: Vec<usize> = all[1..].iter().map(|axis| axis - 1).collect();
    let dims: Vec<usize> = axes.iter().map(|&axis| x.dims[axis]).collect();
    // Images whose channels come last are given to the network channels first.
    if x.place == IMAGE && axes == [2, 0, 1] && network.drafts.is_empty() {
        network.input = Some(Shape::new(dims[0], dims[1], dims[2]));
        return Ok(Operand::Features(Features::new(IMAGE, dims)));
    }
    let count = x.count();
    super::value::checked_count(&x.dims)?;
    let order = x.order.as_ref().map_or_else(|| (0..count).collect(), |order| order.to_vec());
    let order = ArrayD::from_shape_vec(IxDyn(&x.dims), order).map_err(|e| e.to_string())?;
    let order: Vec<usize> = order.permuted_axes(axes).iter().copied().collect();
    let is_own = order.iter().enumerate().all(|(position, &feature)| position == feature);
    let features = Features { dims, order: (!is_own).then(|| Rc::new(order)), ..x };
    Ok(Operand::Features(features))
}

/// Images of a Reshape behind a Transpose that has only moved whole channels, in which these are in their new order.
pub fn settle(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    value: Operand,
) -> NodeResult<Operand> {
    let Operand::Features(x) = &value else { return Ok(value) };
    let (Some(order), &[channels, height, width]) = (&x.order, &x.dims[..]) else {
        return Ok(value);
    };
    let pixels = height * width;
    if network.shape(x.place) != Shape::new(channels, height, width) || pixels == 0 {
        return Ok(value);
    }
    let whole = order.iter().enumerate().all(|(position, &feature)| {
        let first = order[position / pixels * pixels];
        first % pixels == 0 && feature == first + position % pixels
    });
    if !whole {
        return Ok(value);
    }
    let picks: Vec<_> = order.iter().step_by(pixels).map(|first| Some(first / pixels)).collect();
    let place = pick_channels(network, node, x.place, &picks)?;
    Ok(with_shape(network, place))
}

/// Channels, or features, of several behind one another.
pub fn concat(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let mut places = Vec::new();
    let mut dims: Option<Vec<usize>> = None;
    for i in 0..node.inputs.len() {
        let x = node.features(i)?.clone();
        if axis(node.int("axis", 1), x.dims.len() + 1)? != 1 {
            return Err("joins along another axis than that of the channels, 1".into());
        }
        let place = match x.dims.len() {
            1 => network.vector(&x, node.name())?,
            _ => network.image(&x)?,
        };
        match &mut dims {
            None => dims = Some(x.dims),
            Some(dims) if dims[1..] == x.dims[1..] => dims[0] += x.dims[0],
            Some(dims) => return Err(format!("joins {dims:?} and {:?}", x.dims)),
        }
        places.push(place);
    }
    let dims = dims.ok_or("joins nothing")?;
    if let [place] = places[..] {
        return Ok(Operand::Features(Features::new(place, dims)));
    }
    let place = network.add(node.name(), DraftKind::Plain(Op::Concat {}), &places)?;
    Ok(Operand::Features(Features::new(place, dims)))
}

/// Slice of images: some channels, or every n-th row and column.
pub fn slice(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let rank = x.dims.len() + 1;
    let starts = node.given("starts", 1)?.ok_or("has no starts")?;
    let ends = node.given("ends", 2)?.ok_or("has no ends")?;
    let axes = node.axes(3, rank)?.unwrap_or_else(|| (0..starts.len()).collect());
    let steps = match node.optional(4) {
        Some(steps) => steps.wholes()?,
        None => vec![1; starts.len()],
    };
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("has starts, ends, axes and steps of different numbers".into());
    }
    // First, step, count of each axis.
    let mut parts: Vec<[usize; 3]> = x.dims.iter().map(|&side| [0, 1, side]).collect();
    for (i, &at) in axes.iter().enumerate() {
        let whole = starts[i] == 0 && ends[i] >= i64::from(i32::MAX) && steps[i] == 1;
        if at == 0 {
            if whole {
                continue;
            }
            return Err("picks some of the images".into());
        }
        let picks = picked(x.dims[at - 1], starts[i], ends[i], steps[i])?;
        let (Some(&first), 1..) = (picks.first(), steps[i]) else {
            return Err(format!("picks {picks:?} of axis {at}; steps forward are possible"));
        };
        parts[at - 1] = [first, steps[i] as usize, picks.len()];
    }
    pick(network, node, &x, &parts)
}

/// Parts of the axes of features: first, step, count.
fn pick(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    x: &Features,
    parts: &[[usize; 3]],
) -> NodeResult<Operand> {
    let is_whole = |i: usize| parts[i] == [0, 1, x.dims[i]];
    if (0..x.dims.len()).all(is_whole) {
        return Ok(Operand::Features(x.clone()));
    }
    let mut place = network.own(x, node.name())?;
    if !is_whole(0) {
        let [first, step, count] = parts[0];
        let picks: Vec<_> = (0..count).map(|i| Some(first + i * step)).collect();
        place = pick_channels(network, node, place, &picks)?;
    }
    if x.dims.len() == 3 && !(is_whole(1) && is_whole(2)) {
        // The one tap lies at the first pixel, and the kernel covers what is left over behind the last.
        let sides = [1, 2].map(|i| {
            let [first, step, count] = parts[i];
            (first, step, x.dims[i] - step * (count - 1))
        });
        let [(top, down, rows), (left, right, columns)] = sides;
        let channels = network.shape(place).channels;
        let mut ones = Array4::zeros([channels, 1, rows, columns]);
        (0..channels).for_each(|channel| ones[[channel, 0, top, left]] = 1.0);
        let stride = [down, right];
        let border = [[0; 2]; 2];
        let window = KernelWindow { stride, dilation: [1; 2], border, groups: channels };
        place = convolve(network, node.name(), place, ones.view(), None, &window)?;
    }
    let shape = network.shape(place);
    let dims = match x.dims.len() {
        1 => vec![shape.channels],
        _ => vec![shape.channels, shape.height, shape.width],
    };
    Ok(Operand::Features(Features::new(place, dims)))
}

/// Gather of channels by numbers of the file.
pub fn gather(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    if axis(node.int("axis", 0), x.dims.len() + 1)? != 1 {
        return Err("picks along another axis than that of the channels, 1".into());
    }
    let indices = node.input(1)?;
    let picks: Vec<_> = indices
        .wholes()?
        .into_iter()
        .map(|i| axis(i, x.dims[0]).map(Some))
        .collect::<NodeResult<_>>()?;
    let place = network.own(&x, node.name())?;
    let place = pick_channels(network, node, place, &picks)?;
    let is_single = matches!(indices, Operand::Wholes(all) if all.ndim() == 0);
    let channels = (!is_single).then_some(picks.len());
    let dims = channels.into_iter().chain(x.dims[1..].iter().copied()).collect();
    Ok(Operand::Features(Features::new(place, dims)))
}

/// Split: several parts of the channels.
pub fn split(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Vec<Operand>> {
    let x = node.features(0)?.clone();
    if axis(node.int("axis", 0), x.dims.len() + 1)? != 1 {
        return Err("splits along another axis than that of the channels, 1".into());
    }
    let parts = node.proto.output.len().max(1);
    let equal = || {
        let size = x.dims[0].div_ceil(parts);
        (0..parts).map(|i| (size.min(x.dims[0].saturating_sub(i * size))) as i64).collect()
    };
    let sizes: Vec<i64> = node.given("split", 1)?.unwrap_or_else(equal);
    let (mut first, mut values) = (0, Vec::new());
    for size in sizes {
        let count = usize::try_from(size).ok().filter(|&n| n > 0 && first + n <= x.dims[0]);
        let Some(count) = count else { return Err(format!("has parts of {size} channels")) };
        let mut all: Vec<[usize; 3]> = x.dims.iter().map(|&side| [0, 1, side]).collect();
        all[0] = [first, 1, count];
        values.push(pick(network, node, &x, &all)?);
        first += count;
    }
    Ok(values)
}
