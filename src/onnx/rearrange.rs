//! Features in another order: permuted, picked, repeated. Where channels or every n-th pixel are picked, a convolution of
//! ones and zeros brings them into the new order; what is left is an order that linear layers and later nodes may take.

use super::layers::{KernelWindow, convolve};
use super::network::{DraftNetwork, IMAGE};
use super::value::{Features, NodeResult, checked_count};
use crate::tensor::Shape;
use ndarray::{Array4, Axis, Ix4};

/// Those along one axis (that of the images not counted) that have these numbers, in their order.
pub fn select(
    network: &DraftNetwork,
    x: &Features,
    axis: usize,
    picks: &[usize],
) -> NodeResult<Features> {
    let side = x.dims[axis];
    if picks.iter().copied().eq(0..side) {
        return Ok(x.clone());
    }
    if picks.is_empty() || picks.iter().any(|&pick| pick >= side) {
        return Err(format!("picks {picks:?} of {side} on axis {}", axis + 1));
    }
    let mut dims = x.dims.clone();
    dims[axis] = picks.len();
    checked_count(&dims)?;
    let picked = x.indices()?.select(Axis(axis), picks);
    Ok(network.ordered(x.place, &picked))
}

/// The same as an image whose features are in their own order, if a convolution makes one of it.
pub fn settled(network: &mut DraftNetwork, x: Features, name: &str) -> NodeResult<Features> {
    let (Some(order), &[channels, height, width]) = (&x.order, &x.dims[..]) else { return Ok(x) };
    // An image whose sides are still open is none to convolve.
    if x.place == IMAGE && network.input.is_none() {
        return Ok(x);
    }
    let out = Shape::new(channels, height, width);
    let Some(taps) = taps(network.shape(x.place), out, order) else { return Ok(x) };
    let place = picking(network, x.place, out, &taps, name)?;
    Ok(Features::new(place, x.dims))
}

/// The same as a vector in its own order: each of its numbers is picked.
pub fn settled_vector(network: &mut DraftNetwork, x: Features, name: &str) -> NodeResult<Features> {
    let (Some(order), &[count]) = (x.order.clone(), &x.dims[..]) else { return Ok(x) };
    let all = Features::new(x.place, vec![network.shape(x.place).features()]);
    let place = network.vector(&all, name)?;
    let picks: Vec<_> = order.iter().map(|&pick| Some(pick)).collect();
    Ok(Features::new(pick_channels(network, name, place, &picks)?, vec![count]))
}

/// Where the channels of a picked image begin: channel, row and column of each; and the steps between pixels, [y, x].
struct Taps {
    first: Vec<[usize; 3]>,
    step: [usize; 2],
}

/// Of an order that takes pixels at equal distances.
fn taps(from: Shape, out: Shape, order: &[usize]) -> Option<Taps> {
    let pixels = from.height.checked_mul(from.width)?;
    if order.len() != out.features() || pixels == 0 || order.is_empty() {
        return None;
    }
    let at = |position: usize| {
        let feature = order[position];
        [feature / pixels, feature % pixels / from.width, feature % from.width]
    };
    let [_, y, x] = at(0);
    let down = if out.height > 1 { at(out.width)[1].checked_sub(y)? } else { 1 };
    let right = if out.width > 1 { at(1)[2].checked_sub(x)? } else { 1 };
    if down == 0 || right == 0 {
        return None;
    }
    let area = out.height * out.width;
    let first: Vec<[usize; 3]> = (0..out.channels).map(|channel| at(channel * area)).collect();
    let fits = (0..order.len()).all(|position| {
        let [channel, y, x] = first[position / area];
        let (row, column) = (position % area / out.width, position % out.width);
        at(position) == [channel, y + down * row, x + right * column]
    });
    fits.then_some(Taps { first, step: [down, right] })
}

/// A convolution that picks these.
fn picking(
    network: &mut DraftNetwork,
    place: usize,
    out: Shape,
    taps: &Taps,
    name: &str,
) -> NodeResult<usize> {
    let from = network.shape(place);
    let sides = (out.height, out.width) == (from.height, from.width);
    if sides {
        let picks: Vec<_> = taps.first.iter().map(|first| Some(first[0])).collect();
        return pick_channels(network, name, place, &picks);
    }
    // The kernel covers what is left over behind the last pixel.
    let [down, right] = taps.step;
    let (rows, columns) =
        (from.height - down * (out.height - 1), from.width - right * (out.width - 1));
    let is_depthwise = taps.first.iter().map(|first| first[0]).eq(0..from.channels);
    let (groups, inputs) = if is_depthwise { (from.channels, 1) } else { (1, from.channels) };
    checked_count(&[out.channels, inputs, rows, columns])?;
    let mut ones = Array4::zeros([out.channels, inputs, rows, columns]);
    for (out, &[channel, y, x]) in taps.first.iter().enumerate() {
        ones[[out, if is_depthwise { 0 } else { channel }, y, x]] = 1.0;
    }
    let window = KernelWindow { stride: taps.step, groups, ..KernelWindow::PIXEL };
    convolve(network, name, place, ones.view(), None, &window)
}

/// Channels of an image in another order, or some of them; zeros for None. A convolution of ones and zeros does that.
pub fn pick_channels(
    network: &mut DraftNetwork,
    name: &str,
    place: usize,
    picks: &[Option<usize>],
) -> NodeResult<usize> {
    let channels = network.shape(place).channels;
    checked_count(&[picks.len(), channels])?;
    let mut ones = Array4::zeros(Ix4(picks.len(), channels, 1, 1));
    for (out, pick) in picks.iter().enumerate() {
        if let Some(pick) = *pick {
            ones[[out, pick, 0, 0]] = 1.0;
        }
    }
    convolve(network, name, place, ones.view(), None, &KernelWindow::PIXEL)
}
