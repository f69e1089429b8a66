//! Convolutions of blocks by [`Materialized`] im2col: samples are taken out of their lanes, and the results put back.

use super::{Geometry, Materialized};
use crate::kernels::pad;
use crate::simd::{LANES, Lanes};

/// What a sample needs: room for itself with its border, for its output, and for the matrix.
struct Room<'a> {
    padded: &'a mut [Lanes],
    x: &'a mut [f32],
    out: &'a mut [f32],
    matrix: Materialized<'a>,
}

/// Lanes of scratch memory for one sample at a time.
pub fn scratch(g: &Geometry) -> usize {
    let numbers = g.input.features() + g.output.features() + Materialized::room(g);
    g.input.features() + numbers.div_ceil(LANES)
}

impl<'a> Room<'a> {
    fn new(g: &Geometry, scratch: &'a mut [Lanes]) -> Self {
        let (padded, rest) = scratch.split_at_mut(g.input.features());
        let (x, rest) = bytemuck::cast_slice_mut(rest).split_at_mut(g.input.features());
        let (out, columns) = rest.split_at_mut(g.output.features());
        Self { padded, x, out, matrix: Materialized::new(*g, columns) }
    }
}

/// One lane of a block.
fn take(block: &[Lanes], lane: usize, sample: &mut [f32]) {
    for (number, lanes) in sample.iter_mut().zip(block) {
        *number = lanes.0[lane];
    }
}

fn put(sample: &[f32], lane: usize, block: &mut [Lanes]) {
    for (number, lanes) in sample.iter().zip(block) {
        lanes.0[lane] = *number;
    }
}

/// Convolves blocks: `x` has `g.unpadded()` a block, `weight` is `[out][in / groups][ky][kx]`.
pub fn convolve(
    g: &Geometry,
    x: &[Lanes],
    weight: &[f32],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    let mut room = Room::new(g, scratch);
    let blocks = x.chunks(g.unpadded().features());
    for (x, out) in blocks.zip(out.chunks_mut(g.output.features())) {
        pad::pad(g.unpadded(), g.padding, x, room.padded);
        for lane in 0..LANES {
            take(room.padded, lane, room.x);
            room.matrix.forward(room.x, weight, room.out);
            put(room.out, lane, out);
        }
    }
}

/// Gradient to the input of blocks; `out` has `g.unpadded()` a block and is overwritten.
pub fn input_gradient(
    g: &Geometry,
    grad: &[Lanes],
    weight: &[f32],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    let mut room = Room::new(g, scratch);
    let blocks = grad.chunks(g.output.features());
    for (grad, out) in blocks.zip(out.chunks_mut(g.unpadded().features())) {
        for lane in 0..LANES {
            take(grad, lane, room.out);
            room.matrix.input_grad(room.out, weight, room.x);
            put(room.x, lane, room.padded);
        }
        pad::crop(g.unpadded(), g.padding, room.padded, out);
    }
}

/// Gradient to the weights of one block, whose input has no border.
pub fn weight_gradient(
    g: &Geometry,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [f32],
    scratch: &mut [Lanes],
) {
    let mut room = Room::new(g, scratch);
    out.fill(0.0);
    pad::pad(g.unpadded(), g.padding, x, room.padded);
    for lane in 0..LANES {
        take(room.padded, lane, room.x);
        take(grad, lane, room.out);
        room.matrix.add_weight_grad(room.x, room.out, out);
    }
}
