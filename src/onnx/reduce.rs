//! Means, maxima and sums over axes of features.

use super::layers::{KernelWindow, convolve};
use super::network::{DraftKind, DraftNetwork};
use super::node::FileNode;
use super::pools::over_pixels;
use super::value::{Features, NodeResult, Operand, feature_axis};
use crate::nn::architecture::{Op, Pair};
use ndarray::{Array4, ArrayD, IxDyn};

/// Numbers of a matrix that sums features one by one, at most.
const MOST_WEIGHTS: usize = 1 << 20;

/// ReduceMean, ReduceMax and ReduceSum.
pub fn reduce(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let (x, images) = node.with_images(0)?;
    let axes = node.axes(1, x.dims.len() + 1)?.unwrap_or_default();
    if axes.is_empty() || axes.contains(&images) {
        return Err("reduces images to one number".into());
    }
    let reduced: Vec<usize> = axes.iter().filter_map(|&at| feature_axis(at, images)).collect();
    let keeps = node.int("keepdims", 1) != 0;
    let axes_left = |i: &usize| keeps || !reduced.contains(i);
    let side = |i: usize| if reduced.contains(&i) { 1 } else { x.dims[i] };
    let dims: Vec<usize> = (0..x.dims.len()).filter(axes_left).map(side).collect();
    let images = if keeps { images } else { (0..images).filter(|at| !axes.contains(at)).count() };
    // Where there is one feature, there is nothing to do.
    let y = if reduced.iter().all(|&i| x.dims[i] == 1) {
        x.clone()
    } else if let Some(y) = channels(network, node, x, &reduced)? {
        y
    } else if let Some(y) = rows(network, node, x, &reduced)? {
        y
    } else {
        return Err(format!(
            "reduces axes {axes:?} of {:?} to one number; means, maxima and sums of the pixels of a channel are possible",
            x.dims
        ));
    };
    Ok(Operand::turned(Features { dims, ..y }, images))
}

/// Of all pixels of whole channels, however the file arranges them.
fn channels(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    x: &Features,
    reduced: &[usize],
) -> NodeResult<Option<Features>> {
    // An image in its own order may still be any.
    let place = if x.order.is_none() && x.dims.len() == 3 {
        network.own(x, node.name())
    } else {
        Ok(x.place)
    };
    let Ok(place) = place else { return Ok(None) };
    let shape = network.shape(place);
    let pixels = shape.height * shape.width;
    let groups = groups(x, reduced)?;
    let mut firsts = Vec::new();
    for group in groups.1.chunks(groups.0) {
        let mut sorted = group.to_vec();
        sorted.sort_unstable();
        let first = sorted[0];
        if group.len() != pixels
            || first % pixels != 0
            || !sorted.into_iter().eq(first..first + pixels)
        {
            return Ok(None);
        }
        firsts.push(first / pixels);
    }
    let place = over_pixels(network, node, place, node.op() == "ReduceMax")?;
    let place = summed(network, node, place, pixels)?;
    let firsts =
        ArrayD::from_shape_vec(IxDyn(&[firsts.len()]), firsts).map_err(|e| e.to_string())?;
    Ok(Some(network.ordered(place, &firsts)))
}

/// The sum of `count` features by their mean, where a sum is wanted.
fn summed(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    mean: usize,
    count: usize,
) -> NodeResult<usize> {
    if node.op() != "ReduceSum" {
        return Ok(mean);
    }
    let sum = DraftKind::Affine(vec![count as f64], vec![0.0]);
    network.add(node.name(), sum, &[mean])
}

/// How many features each result is made of, and those of all results behind one another.
fn groups(x: &Features, reduced: &[usize]) -> NodeResult<(usize, Vec<usize>)> {
    let kept = (0..x.dims.len()).filter(|i| !reduced.contains(i));
    let last = (0..x.dims.len()).filter(|i| reduced.contains(i));
    let size = last.clone().map(|i| x.dims[i]).product();
    let axes: Vec<usize> = kept.chain(last).collect();
    Ok((size, x.indices()?.permuted_axes(axes).iter().copied().collect()))
}

/// Of rows or columns of an image, of its channels, or of a few features by a matrix.
fn rows(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    x: &Features,
    reduced: &[usize],
) -> NodeResult<Option<Features>> {
    let is_maximum = node.op() == "ReduceMax";
    let (size, all) = groups(x, reduced)?;
    let share = if node.op() == "ReduceSum" { 1.0 } else { 1.0 / size as f32 };
    let is_image = x.order.is_none() && x.dims.len() == 3;
    if is_image && !reduced.contains(&0) {
        let place = network.image(x)?;
        let side = |i: usize| if reduced.contains(&i) { x.dims[i] } else { 1 };
        let (window, padding, ceil) = (Pair([side(1), side(2)]), Pair([0; 2]), false);
        let op = match is_maximum {
            true => Op::MaxPool { window, stride: None, padding, ceil },
            false => Op::AvgPool { window, stride: None, padding, ceil, count_include_pad: true },
        };
        let place = network.add(node.name(), DraftKind::Plain(op), &[place])?;
        let place = summed(network, node, place, size)?;
        return Ok(Some(Features::new(place, Vec::new())));
    }
    if is_maximum {
        return Ok(None);
    }
    if is_image && reduced == [0] {
        let place = network.image(x)?;
        let weights = Array4::from_elem([1, x.dims[0], 1, 1], share);
        let place =
            convolve(network, node.name(), place, weights.view(), None, &KernelWindow::PIXEL)?;
        return Ok(Some(Features::new(place, Vec::new())));
    }
    let inputs = network.shape(x.place).features();
    let outputs = all.len() / size.max(1);
    if outputs.checked_mul(inputs).is_none_or(|weights| weights > MOST_WEIGHTS) {
        return Ok(None);
    }
    let place = network.vector(&Features::new(x.place, vec![inputs]), node.name())?;
    let mut weights = Array4::zeros([outputs, inputs, 1, 1]);
    for (out, group) in all.chunks(size).enumerate() {
        group.iter().for_each(|&feature| weights[[out, feature, 0, 0]] += share);
    }
    let place = convolve(network, node.name(), place, weights.view(), None, &KernelWindow::PIXEL)?;
    Ok(Some(Features::new(place, Vec::new())))
}
