//! Operators that pick, repeat and join features.

use super::arrange::picked;
use super::network::{DraftKind, DraftNetwork, IMAGE};
use super::node::FileNode;
use super::rearrange::select;
use super::value::{Features, NodeResult, Operand, Whole, axis, checked_count, feature_axis};
use crate::nn::architecture::Op;
use ndarray::{ArrayD, Axis, IxDyn, concatenate};

/// Features that repeated ones become, at most.
const MOST_REPEATED: usize = 1 << 22;

/// The axis of features that an axis of the file is; an error for that of the images.
fn axis_of(given: i64, x: &Features, images: usize, verb: &str) -> NodeResult<usize> {
    let at = axis(given, x.dims.len() + 1)?;
    feature_axis(at, images).ok_or_else(|| format!("{verb} the images; they have to stay apart"))
}

/// Slice
pub fn slice(network: &DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let (x, images) = node.with_images(0)?;
    let starts = node.given("starts", 1)?.ok_or("has no starts")?;
    let ends = node.given("ends", 2)?.ok_or("has no ends")?;
    let axes = node.axes(3, x.dims.len() + 1)?.unwrap_or_else(|| (0..starts.len()).collect());
    let steps = match node.optional(4) {
        Some(steps) => steps.wholes()?,
        None => vec![1; starts.len()],
    };
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("has starts, ends, axes and steps of different numbers".into());
    }
    let mut part = x.clone();
    for (i, &at) in axes.iter().enumerate() {
        match feature_axis(at, images) {
            Some(at) => {
                let side = *part.dims.get(at).ok_or("has an axis too many")?;
                part = select(network, &part, at, &picked(side, starts[i], ends[i], steps[i])?)?;
            }
            None if starts[i] == 0 && ends[i] >= i64::from(i32::MAX) && steps[i] == 1 => {}
            None => return Err("picks some of the images".into()),
        }
    }
    Ok(Operand::turned(part, images))
}

/// Gather by numbers of the file, and GatherND, of which each picks along the first axis.
pub fn gather(network: &DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let (x, images) = node.with_images(0)?;
    let numbers = node.input(1)?;
    let Operand::Wholes(all) = numbers else { return Err("picks by computed numbers".into()) };
    let mut shape = all.shape().to_vec();
    let given = match node.op() {
        "Gather" => node.int("axis", 0),
        _ if node.int("batch_dims", 0) != 0 || shape.pop() != Some(1) => {
            return Err("picks along several axes".into());
        }
        _ => 0,
    };
    let at = axis_of(given, x, images, "picks some of")?;
    let picks = numbers.wholes()?.into_iter().map(|pick| axis(pick, x.dims[at]));
    let part = select(network, x, at, &picks.collect::<NodeResult<Vec<_>>>()?)?;
    // The picks' own axes stand in place of the one.
    let (before, behind) = (&x.dims[..at], &x.dims[at + 1..]);
    let dims = [before, &shape, behind].concat();
    let images = if at < images { images + shape.len() - 1 } else { images };
    Ok(Operand::turned(Features { dims, ..part }, images))
}

/// Split: several parts of one axis.
pub fn split(network: &DraftNetwork, node: &FileNode<'_>) -> NodeResult<Vec<Operand>> {
    let (x, images) = node.with_images(0)?;
    let at = axis_of(node.int("axis", 0), x, images, "splits")?;
    let (side, parts) = (x.dims[at], node.proto.output.len().max(1));
    let equal = || {
        let size = side.div_ceil(parts);
        (0..parts).map(|i| (size.min(side.saturating_sub(i * size))) as i64).collect()
    };
    let sizes: Vec<i64> = node.given("split", 1)?.unwrap_or_else(equal);
    let (mut first, mut values) = (0, Vec::new());
    for size in sizes {
        let count = usize::try_from(size).ok().filter(|&n| n > 0 && first + n <= side);
        let Some(count) = count else { return Err(format!("has parts of {size} features")) };
        let picks: Vec<usize> = (first..first + count).collect();
        values.push(Operand::turned(select(network, x, at, &picks)?, images));
        first += count;
    }
    Ok(values)
}

/// Expand and Tile: features that are repeated; `images` is how many the file was made for, if it says so.
pub fn repeat(
    network: &DraftNetwork,
    node: &FileNode<'_>,
    images: Option<usize>,
) -> NodeResult<Operand> {
    let x = node.features(0)?;
    let Operand::Wholes(target) = node.input(1)? else { return Err("has a computed shape".into()) };
    let rank = x.dims.len() + 1;
    let is_tile = node.op() == "Tile";
    if target.ndim() != 1 || target.len() > rank || is_tile && target.len() != rank {
        return Err(format!("has {} numbers for {rank} axes", target.len()));
    }
    let mut part = x.clone();
    for (&whole, at) in target.iter().zip(rank - target.len()..) {
        let Some(at) = usize::checked_sub(at, 1) else {
            let is_whole = match whole {
                Whole::Batch => !is_tile,
                Whole::Known(1) => true,
                Whole::Known(number) => !is_tile && images.is_some_and(|n| n as i64 == number),
            };
            if is_whole {
                continue;
            }
            return Err("repeats images".into());
        };
        let side = x.dims[at];
        let times = match whole {
            Whole::Known(number) => usize::try_from(number).ok().filter(|&number| number > 0),
            Whole::Batch => None,
        };
        let times = times.ok_or("repeats features so often as there are images, or never")?;
        let all = match (is_tile, side) {
            (true, _) => side.checked_mul(times).ok_or("repeats features too often")?,
            (false, 1) => times,
            (false, _) if times == 1 || times == side => side,
            _ => return Err(format!("gives features of {:?} an axis of {times}", x.dims)),
        };
        let others = part.dims.iter().enumerate().filter(|(i, _)| *i != at);
        let count = others.fold(all, |count, (_, &side)| count.saturating_mul(side));
        if count > MOST_REPEATED.max(x.count()) {
            return Err(format!("repeats features to {count}; {MOST_REPEATED} are possible"));
        }
        let picks: Vec<usize> = (0..all).map(|i| i % side).collect();
        part = select(network, &part, at, &picks)?;
    }
    Ok(Operand::Features(part))
}

/// DepthToSpace and SpaceToDepth: blocks of pixels as channels, or the other way around.
pub fn blocks(network: &DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?;
    let &[channels, height, width] = &x.dims[..] else {
        return Err(format!("needs images, and has {:?}", x.dims));
    };
    let size = usize::try_from(node.int("blocksize", 0)).ok().filter(|&size| size > 0);
    let size = size.ok_or("has no blocksize")?;
    let is_deep = node.op() == "DepthToSpace";
    let fits = match is_deep {
        true => size.checked_mul(size).is_some_and(|area| channels % area == 0),
        false => height % size == 0 && width % size == 0,
    };
    if !fits {
        return Err(format!("has blocks of {size} for {:?}", x.dims));
    }
    // The axes of the block, apart; their order in the result; and its shape.
    let (apart, order, dims) = if is_deep {
        let left = channels / (size * size);
        let dims = [left, height * size, width * size];
        match node.text("mode") {
            "" | "DCR" => (vec![size, size, left, height, width], [2, 3, 0, 4, 1], dims),
            "CRD" => (vec![left, size, size, height, width], [0, 3, 1, 4, 2], dims),
            other => return Err(format!("has mode `{}`", crate::wording::shown(other))),
        }
    } else {
        let apart = vec![channels, height / size, size, width / size, size];
        (apart, [2, 4, 0, 1, 3], [channels * size * size, height / size, width / size])
    };
    let own = x.indices()?.into_shape_with_order(IxDyn(&apart)).map_err(|e| e.to_string())?;
    let moved: ArrayD<usize> = own.permuted_axes(IxDyn(&order));
    Ok(Operand::Features(Features { dims: dims.to_vec(), ..network.ordered(x.place, &moved) }))
}

/// Features of several behind one another.
pub fn concat(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let parts = (0..node.inputs.len()).map(|i| node.with_images(i).map(|(x, at)| (x.clone(), at)));
    let parts = parts.collect::<NodeResult<Vec<_>>>()?;
    let (first, images) = parts.first().cloned().ok_or("joins nothing")?;
    let at = axis_of(node.int("axis", 1), &first, images, "joins")?;
    let alike = |(x, of): &(Features, usize)| {
        *of == images
            && x.dims.len() == first.dims.len()
            && x.dims[..at] == first.dims[..at]
            && x.dims[at + 1..] == first.dims[at + 1..]
    };
    if let Some((other, _)) = parts.iter().find(|part| !alike(part)) {
        return Err(format!("joins {:?} and {:?}", first.dims, other.dims));
    }
    let parts: Vec<Features> = parts.into_iter().map(|(x, _)| x).collect();
    if let [x] = &parts[..] {
        return Ok(Operand::turned(x.clone(), images));
    }
    let joined = match channels(network, node, &parts, at, images) {
        Ok(joined) => joined,
        Err(problem) => any(network, node, &parts, at)?.ok_or(problem)?,
    };
    Ok(Operand::turned(joined, images))
}

/// The channels of images, or numbers of vectors, behind one another.
fn channels(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    parts: &[Features],
    at: usize,
    images: usize,
) -> NodeResult<Features> {
    if at != 0 || images != 0 {
        return Err("joins along another axis than that of the channels, 1".into());
    }
    let places: Vec<usize> =
        parts.iter().map(|x| network.own(x, node.name())).collect::<NodeResult<_>>()?;
    let mut dims = parts[0].dims.clone();
    dims[0] = parts.iter().map(|x| x.dims[0]).sum();
    let place = network.add(node.name(), DraftKind::Plain(Op::Concat {}), &places)?;
    Ok(Features::new(place, dims))
}

/// Features in any order, joined along any axis: all of them as channels, of which the order tells. None if they are of
/// images of different sizes.
fn any(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    parts: &[Features],
    at: usize,
) -> NodeResult<Option<Features>> {
    let mut places: Vec<usize> = Vec::new();
    let mut arrays = Vec::new();
    let mut behind = 0;
    for x in parts {
        if x.place == IMAGE && network.input.is_none() {
            network.vector(&Features::new(IMAGE, vec![network.features]), node.name())?;
        }
        let mut own = x.indices()?;
        // What is joined with itself is there once.
        if places.last() != Some(&x.place) {
            behind = places.iter().map(|&place| network.shape(place).features()).sum();
            places.push(x.place);
        }
        own.mapv_inplace(|feature| feature + behind);
        arrays.push(own);
    }
    let sides = |place: usize| (network.shape(place).height, network.shape(place).width);
    if places.iter().any(|&place| sides(place) != sides(places[0])) {
        return Ok(None);
    }
    checked_count(&[arrays.iter().map(|array| array.len()).sum()])?;
    let views: Vec<_> = arrays.iter().map(|array| array.view()).collect();
    let joined = concatenate(Axis(at), &views).map_err(|error| error.to_string())?;
    let place = match places[..] {
        [place] => place,
        _ => network.add(node.name(), DraftKind::Plain(Op::Concat {}), &places)?,
    };
    Ok(Some(network.ordered(place, &joined)))
}
