//! Operators for pooling, reductions over pixels, and padding.

use super::layers::{KernelWindow, convolve, with_shape};
use super::network::{DraftKind, DraftNetwork};
use super::node::FileNode;
use super::value::{Features, NodeResult, Operand, axis};
use crate::kernels::pool::{PoolGeometry, PoolOptions};
use crate::nn::architecture::{Op, Pair};
use ndarray::{Array4, Ix4};

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

fn over_pixels(
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

/// ReduceMean, ReduceMax and ReduceSum over all pixels.
pub fn reduce(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let axes = node.axes(1, x.dims.len() + 1)?.unwrap_or_default();
    if axes.is_empty() || axes.contains(&0) {
        return Err("reduces images to one number".into());
    }
    let is_reduced = |i: usize| axes.contains(&(i + 1));
    let keeps = node.int("keepdims", 1) != 0;
    let dims: Vec<usize> = (0..x.dims.len())
        .filter(|&i| keeps || !is_reduced(i))
        .map(|i| if is_reduced(i) { 1 } else { x.dims[i] })
        .collect();
    // Where there is one pixel, there is nothing to do.
    if (0..x.dims.len()).all(|i| !is_reduced(i) || x.dims[i] == 1) {
        return Ok(Operand::Features(Features { dims, ..x }));
    }
    let is_image = x.dims.len() == 3 && !is_reduced(0);
    if !is_image || (1..3).any(|i| !is_reduced(i) && x.dims[i] != 1) {
        return Err(format!("reduces axes {axes:?}; the two of the pixels, 2 and 3, are possible"));
    }
    let mut place = network.image(&x)?;
    let pixels = (x.dims[1] * x.dims[2]) as f64;
    place = over_pixels(network, node, place, node.op() == "ReduceMax")?;
    if node.op() == "ReduceSum" {
        place = network.add(node.name(), DraftKind::Affine(vec![pixels], vec![0.0]), &[place])?;
    }
    Ok(Operand::Features(Features::new(place, dims)))
}

/// Zeros around images, or behind and before channels.
pub fn pad(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    if !matches!(node.text("mode"), "" | "constant") {
        return Err(format!("has mode `{}`; zeros (`constant`) are possible", node.text("mode")));
    }
    let value = match node.optional(2) {
        Some(Operand::Floats(floats)) => floats.first().copied().unwrap_or(0.0),
        _ => node.float("value", 0.0),
    };
    let rank = x.dims.len() + 1;
    let given = node.given("pads", 1)?.ok_or("has no pads")?;
    let axes = match node.optional(3) {
        Some(axes) => {
            axes.wholes()?.into_iter().map(|a| axis(a, rank)).collect::<NodeResult<_>>()?
        }
        None => (0..rank).collect::<Vec<usize>>(),
    };
    if given.len() != 2 * axes.len() {
        return Err(format!("has {} pads for {} axes", given.len(), axes.len()));
    }
    let mut pads = vec![[0_usize; 2]; rank];
    for (i, &axis) in axes.iter().enumerate() {
        for (end, pad) in [given[i], given[i + axes.len()]].into_iter().enumerate() {
            pads[axis][end] = usize::try_from(pad).map_err(|_| "cuts images (negative pads)")?;
        }
    }
    if pads.iter().flatten().all(|&pad| pad == 0) {
        return Ok(Operand::Features(x));
    }
    if value != 0.0 || rank != 4 || pads[0] != [0, 0] {
        return Err(format!("adds {value} to {:?}; zeros around images are possible", x.dims));
    }
    let mut place = network.image(&x)?;
    let channels = x.dims[0];
    if pads[1] != [0, 0] {
        let empty = |count: usize| std::iter::repeat_n(None, count);
        let picks = empty(pads[1][0]).chain((0..channels).map(Some)).chain(empty(pads[1][1]));
        place = pick_channels(network, node, place, &picks.collect::<Vec<_>>())?;
    }
    let border = [0, 1].map(|end| [pads[2][end], pads[3][end]]);
    if border != [[0; 2]; 2] {
        let channels = network.shape(place).channels;
        let window = KernelWindow { stride: [1; 2], dilation: [1; 2], border, groups: channels };
        let ones = Array4::ones([channels, 1, 1, 1]);
        let padded = convolve(network, node.name(), place, ones.view(), None, &window)?;
        network.borders.push((padded, place, border));
        place = padded;
    }
    Ok(with_shape(network, place))
}

/// Channels of an image in another order, or some of them; zeros for None. A convolution of ones and zeros does that.
pub fn pick_channels(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    place: usize,
    picks: &[Option<usize>],
) -> NodeResult<usize> {
    let channels = network.shape(place).channels;
    super::value::checked_count(&[picks.len(), channels])?;
    let mut ones = Array4::zeros(Ix4(picks.len(), channels, 1, 1));
    for (out, pick) in picks.iter().enumerate() {
        if let Some(pick) = *pick {
            ones[[out, pick, 0, 0]] = 1.0;
        }
    }
    let window = KernelWindow { stride: [1; 2], dilation: [1; 2], border: [[0; 2]; 2], groups: 1 };
    convolve(network, node.name(), place, ones.view(), None, &window)
}
