//! Loops over blocks: a convolution of a whole batch on the threads of a context, and its two gradients.
//!
//! Tapes and plasticity both stand on these. Work is cut by blocks or by channels, never by threads, so results do not
//! depend on how many there are.

use super::conv2d::{self, Algorithm, DenseWeightGrad, Geometry, WideWeightGrad, by_sample};
use super::pad;
use crate::simd::{LANES, Lanes};
use crate::tensor::Context;

/// Multiply-adds of lanes in a pass over this many blocks, in either direction.
pub fn work(g: &Geometry, blocks: usize) -> usize {
    g.flops() / 2 * blocks
}

/// Convolves all blocks. `x` has `g.unpadded()` a block, `out` has `g.output`; `packed` comes from
/// [`conv2d::pack_convolve`].
pub fn convolve(context: &Context, g: &Geometry, x: &[Lanes], packed: &[f32], out: &mut [Lanes]) {
    let (isa, features) = (context.isa(), g.unpadded().features());
    let blocks = x.len() / features;
    let together = conv2d::together(g, blocks, context.threads());
    let scratch = conv2d::convolve_scratch(g, together);
    context.chunks_of_work(work(g, blocks), out, together * g.output.features(), |i, out| {
        let blocks = out.len() / g.output.features();
        let x = &x[i * together * features..][..blocks * features];
        context.with_scratch(scratch, |scratch| {
            conv2d::convolve(isa, g, x, packed, out, scratch);
        });
    });
}

/// Gradient to the input of all blocks. `grad` has `g.output` a block, `out` has `g.unpadded()` and is overwritten;
/// `packed` comes from [`conv2d::pack_input_gradient`].
pub fn input_gradient(
    context: &Context,
    g: &Geometry,
    grad: &[Lanes],
    packed: &[f32],
    out: &mut [Lanes],
) {
    let (isa, features) = (context.isa(), g.output.features());
    let blocks = grad.len() / features;
    let together = conv2d::together(g, blocks, context.threads());
    let scratch = conv2d::input_gradient_scratch(g, together);
    context.chunks_of_work(work(g, blocks), out, together * g.unpadded().features(), |i, out| {
        let blocks = out.len() / g.unpadded().features();
        let grad = &grad[i * together * features..][..blocks * features];
        context.with_scratch(scratch, |scratch| {
            conv2d::input_gradient(isa, g, grad, packed, out, scratch);
        });
    });
}

/// Gradient to the weights `[out][in / groups][ky][kx]` from all blocks of input (without border) and gradient: in
/// parallel over shares of the channels, each over all blocks in order, so there are no partial sums to reduce.
/// `memory` grows to what is needed in between.
pub fn weight_gradient(
    context: &Context,
    g: &Geometry,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [f32],
    memory: &mut Vec<Lanes>,
) {
    if g.algorithm == Algorithm::Im2col {
        return weight_gradient_by_sample(context, g, x, grad, out, memory);
    }
    let (isa, blocks) = (context.isa(), grad.len() / g.output.features());
    let work = work(g, blocks);
    if let Some(dense) = DenseWeightGrad::new(g) {
        let transposed = blocks * dense.transposed();
        grow(memory, transposed);
        let transposed = &mut memory[..transposed];
        context.chunks_of_work(work, transposed, dense.transposed(), |block, out| {
            dense.transpose(isa, &x[block * g.fan_in()..][..g.fan_in()], out);
        });
        let transposed = &*transposed;
        let share = g.output.channels.div_ceil(context.threads());
        context.chunks_of_work(work, out, share * g.fan_in(), |i, out| {
            dense.run(isa, transposed, grad, i * share, out);
        });
        return;
    }
    if let Some(wide) = WideWeightGrad::new(g) {
        let transposed = blocks * wide.transposed();
        grow(memory, transposed + wide.sums());
        let (transposed, sums) = memory.split_at_mut(transposed);
        let sums = &mut sums[..wide.sums()];
        let features = g.output.features();
        context.chunks_of_work(work, transposed, wide.transposed(), |block, out| {
            wide.transpose(isa, &grad[block * features..][..features], out);
        });
        let share = wide.channels().div_ceil(context.threads()).max(1);
        let transposed = &*transposed;
        context.chunks_of_work(work, sums, share * wide.sums_of_input(), |i, sums| {
            wide.run(isa, x, transposed, i * share, sums);
        });
        let sums = &*sums;
        let share = g.output.channels.div_ceil(context.threads()).next_multiple_of(LANES);
        context.chunks_of_work(work, out, share * g.fan_in(), |i, out| {
            wide.weights(isa, sums, i * share, out);
        });
        return;
    }
    let x = if g.is_padded() {
        let (from, to) = (g.unpadded().features(), g.input.features());
        grow(memory, blocks * to);
        let padded = &mut memory[..blocks * to];
        context.chunks_of_work(work, padded, to, |block, padded| {
            pad::pad(g.unpadded(), g.padding, &x[block * from..][..from], padded);
        });
        &*padded
    } else {
        x
    };
    let taps = g.fan_in();
    let share = g.out_channels().div_ceil(context.threads());
    for (group, out) in out.chunks_mut(g.out_channels() * taps).enumerate() {
        context.chunks_of_work(work, out, share * taps, |i, out| {
            let first = group * g.out_channels() + share * i;
            context.with_scratch(conv2d::weight_grad_scratch(isa, g, share), |scratch| {
                conv2d::weight_grad(isa, g, x, grad, first, out, scratch);
            });
        });
    }
}

/// Each block's by itself, then their sum in their order.
fn weight_gradient_by_sample(
    context: &Context,
    g: &Geometry,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [f32],
    memory: &mut Vec<Lanes>,
) {
    let (inputs, outputs) = (g.unpadded().features(), g.output.features());
    let (blocks, room) = (grad.len() / outputs, g.weights().div_ceil(LANES));
    grow(memory, blocks * room);
    let sums = &mut memory[..blocks * room];
    context.chunks_of_work(work(g, blocks), sums, room, |i, sums| {
        let (x, grad) = (&x[i * inputs..][..inputs], &grad[i * outputs..][..outputs]);
        let sums = &mut bytemuck::cast_slice_mut(sums)[..g.weights()];
        context.with_scratch(by_sample::scratch(g), |scratch| {
            by_sample::weight_gradient(g, x, grad, sums, scratch);
        });
    });
    out.fill(0.0);
    for sums in sums.chunks(room) {
        for (sum, &number) in out.iter_mut().zip(bytemuck::cast_slice::<_, f32>(sums)) {
            *sum += number;
        }
    }
}

fn grow(memory: &mut Vec<Lanes>, length: usize) {
    if memory.len() < length {
        memory.resize(length, Lanes::ZERO);
    }
}
