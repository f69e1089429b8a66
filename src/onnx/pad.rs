//! Borders around images.

use super::layers::{KernelWindow, convolve, with_shape};
use super::network::{DraftKind, DraftNetwork};
use super::node::FileNode;
use super::pointwise::affine;
use super::rearrange::{pick_channels, select, settled};
use super::value::{Features, NodeResult, Operand, axis, checked_count};
use crate::nn::architecture::Op;
use ndarray::Array4;

/// Zeros, or another number, around images, or behind and before channels; a border may be cut off too.
pub fn pad(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let mut x = node.features(0)?.clone();
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
            pads[axis][end] = usize::try_from(pad).unwrap_or(0);
        }
        x = cut(network, &x, axis, [given[i], given[i + axes.len()]])?;
    }
    x = settled(network, x, node.name())?;
    if pads.iter().flatten().all(|&pad| pad == 0) {
        return Ok(Operand::Features(x));
    }
    if rank != 4 || pads[0] != [0, 0] {
        return Err(format!("adds a border to {:?}; images can have one", x.dims));
    }
    let padded = bordered(network, node, &x, &pads)?;
    if value == 0.0 {
        return Ok(Operand::Features(padded));
    }
    // The number where there is a border and zeros elsewhere, added: exact, however large the number is. The zeros are a clamped
    // -1 and the number a factor: a runtime that fuses sums cannot add the number to features, and bounds of a zero are zero.
    let inside = affine(network, node, &x, vec![0.0], vec![-2.0])?;
    let inside = bordered(network, node, &inside, &pads)?;
    let outside = affine(network, node, &inside, vec![1.0], vec![1.0])?;
    let clamp = DraftKind::Plain(Op::Clamp { low: 0.0, high: 1.0 });
    let outside = outside.at(network.add(node.name(), clamp, &[outside.place])?);
    let border = affine(network, node, &outside, vec![f64::from(value)], vec![0.0])?;
    let sum = DraftKind::Plain(Op::Add {});
    let place = network.add(node.name(), sum, &[padded.place, border.place])?;
    Ok(Operand::Features(padded.at(place)))
}

/// The same with zeros around images, and channels of zeros; `pads` of every axis, before and behind.
fn bordered(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    x: &Features,
    pads: &[[usize; 2]],
) -> NodeResult<Features> {
    let mut place = network.image(x)?;
    let channels = x.dims[0];
    if pads[1] != [0, 0] {
        let all = pads[1].iter().fold(channels, |all, &pad| all.saturating_add(pad));
        checked_count(&[all, channels])?;
        let empty = |count: usize| std::iter::repeat_n(None, count);
        let picks = empty(pads[1][0]).chain((0..channels).map(Some)).chain(empty(pads[1][1]));
        place = pick_channels(network, node.name(), place, &picks.collect::<Vec<_>>())?;
    }
    let border = [0, 1].map(|end| [pads[2][end], pads[3][end]]);
    if border != [[0; 2]; 2] {
        let channels = network.shape(place).channels;
        let window = KernelWindow { border, groups: channels, ..KernelWindow::PIXEL };
        let ones = Array4::ones([channels, 1, 1, 1]);
        let padded = convolve(network, node.name(), place, ones.view(), None, &window)?;
        network.borders.push((padded, place, border));
        place = padded;
    }
    with_shape(network, place).features().cloned()
}

/// What negative pads leave of one axis.
fn cut(
    network: &DraftNetwork,
    x: &Features,
    axis: usize,
    [before, behind]: [i64; 2],
) -> NodeResult<Features> {
    if before >= 0 && behind >= 0 {
        return Ok(x.clone());
    }
    let at = axis.checked_sub(1).ok_or("cuts off images (negative pads)")?;
    let less = |pad: i64| usize::try_from(pad.min(0).unsigned_abs()).unwrap_or(usize::MAX);
    let end = x.dims[at].saturating_sub(less(behind));
    let picks: Vec<usize> = (less(before)..end).collect();
    select(network, x, at, &picks)
}
