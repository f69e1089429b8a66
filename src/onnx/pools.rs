//! Operators for pooling.

use super::layers::with_shape;
use super::network::{DraftKind, DraftNetwork};
use super::node::FileNode;
use super::value::{NodeResult, Operand};
use crate::kernels::pool::{PoolGeometry, PoolOptions};
use crate::nn::architecture::{Op, Pair};

/// The maximum, or the mean, of windows.
pub fn windows(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let place = network.image(&x)?;
    let window = node.sides("kernel_shape", 0)?;
    if node.ints("dilations").is_some_and(|all| all.iter().any(|&step| step != 1)) {
        return Err("has windows with gaps (dilations)".into());
    }
    let stride = node.sides("strides", 1)?;
    let sides = [x.dims[1], x.dims[2]];
    let [before, after] = node.pads(sides, window, stride)?;
    let ceil = node.int("ceil_mode", 0) != 0;
    let count_include_pad = node.int("count_include_pad", 0) != 0;
    let is_mean = node.op() == "AveragePool";
    // A border that is wider behind is one that is not: the last windows are as many, and either way not full.
    let wanted = count(sides, window, stride, before, after, ceil);
    let fits = |ceil: bool| {
        let options = PoolOptions { stride, padding: before, ceil, count_include_pad };
        let found = PoolGeometry::new(network.shape(place), window, options).ok()?;
        (Some([found.output.height, found.output.width]) == wanted).then_some(ceil)
    };
    let counts = is_mean && count_include_pad;
    let ceil = match before == after {
        true => ceil,
        false if counts => return Err(uneven(before, after)),
        false => fits(false).or_else(|| fits(true)).ok_or_else(|| uneven(before, after))?,
    };
    let (window, stride, padding) = (Pair(window), Some(Pair(stride)), Pair(before));
    let stride = stride.filter(|stride| *stride != window);
    let op = match is_mean {
        true => Op::AvgPool { window, stride, padding, ceil, count_include_pad },
        false => Op::MaxPool { window, stride, padding, ceil },
    };
    network.add(node.name(), DraftKind::Plain(op), &[place]).map(|place| with_shape(network, place))
}

fn uneven(before: [usize; 2], after: [usize; 2]) -> String {
    format!("has borders of {before:?} before and {after:?} behind; equal ones are possible")
}

/// Windows on each side.
fn count(
    sides: [usize; 2],
    window: [usize; 2],
    stride: [usize; 2],
    before: [usize; 2],
    after: [usize; 2],
    ceil: bool,
) -> Option<[usize; 2]> {
    let side = |i: usize| {
        let whole = sides[i].checked_add(before[i])?.checked_add(after[i])?;
        let room = whole.checked_sub(window[i])?;
        Some(if ceil { room.div_ceil(stride[i]) } else { room / stride[i] } + 1)
    };
    Some([side(0)?, side(1)?])
}

/// The maximum or the mean of all pixels.
pub fn global(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let place = network.image(&x)?;
    over_pixels(network, node, place, node.op() == "GlobalMaxPool")
        .map(|place| with_shape(network, place))
}

/// The maximum or the mean of all pixels of each channel of a place.
pub fn over_pixels(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    place: usize,
    is_maximum: bool,
) -> NodeResult<usize> {
    let shape = network.shape(place);
    let (window, padding) = (Pair([shape.height, shape.width]), Pair([0; 2]));
    let op = match is_maximum {
        true => Op::MaxPool { window, stride: None, padding, ceil: false },
        false => Op::GlobalAvgPool {},
    };
    network.add(node.name(), DraftKind::Plain(op), &[place])
}
