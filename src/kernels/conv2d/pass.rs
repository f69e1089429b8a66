//! Convolutions of some blocks, and their gradients to the input, by whichever way suits their sizes.
//!
//! Neither input nor result has a border here. Which way is taken depends on the geometry alone, so bits do not depend
//! on the machine, unless the caller chose [`Algorithm::Im2col`].

use super::dense::Dense;
use super::winograd::Winograd;
use super::{
    Algorithm, Geometry, by_sample, forward, input_grad, input_grad_scratch, pack_forward,
    pack_input_grad,
};
use crate::kernels::pad;
use crate::simd::{Isa, Lanes};
use crate::tensor::Context;

/// Blocks that share what is read of a layer's weights: four are as many as the registers hold.
const MOST_TOGETHER: usize = 4;
/// Layers with fewer weights find them in the cache for every block.
const MANY_WEIGHTS: usize = 1 << 16;

enum Way {
    Direct,
    Dense(Dense),
    Winograd(Winograd),
    BySample,
}

impl Way {
    fn forward(g: &Geometry) -> Self {
        if g.algorithm == Algorithm::Im2col {
            return Self::BySample;
        }
        let winograd = Winograd::forward(g).map(Self::Winograd);
        winograd.or_else(|| Dense::forward(g).map(Self::Dense)).unwrap_or(Self::Direct)
    }

    fn backward(g: &Geometry) -> Self {
        if g.algorithm == Algorithm::Im2col {
            return Self::BySample;
        }
        let winograd = Winograd::backward(g).map(Self::Winograd);
        winograd.or_else(|| Dense::backward(g).map(Self::Dense)).unwrap_or(Self::Direct)
    }
}

/// Whether [`convolve`] and [`input_gradient`] take the direct kernels, which may be fused with what follows; their weights
/// are then packed as those kernels' are.
pub fn is_direct(g: &Geometry) -> bool {
    matches!(Way::forward(g), Way::Direct)
}

/// Whether the sums of [`convolve`] are those of inputs times weights, in whatever order, and not of transformed ones.
pub fn adds_products(g: &Geometry) -> bool {
    !matches!(Way::forward(g), Way::Winograd(_))
}

/// How many of `blocks` blocks a call of [`convolve`] or [`input_gradient`] had better get, where `threads` share them.
pub fn together(g: &Geometry, blocks: usize, threads: usize) -> usize {
    let many = g.weights() >= MANY_WEIGHTS;
    if many { blocks.div_ceil(threads).clamp(1, MOST_TOGETHER) } else { 1 }
}

/// Lays weights `[out][in][ky][kx]` out for [`convolve`].
pub fn pack_convolve(context: &Context, g: &Geometry, weight: &[f32], packed: &mut Vec<f32>) {
    let (outputs, inputs) = (g.out_channels(), g.in_channels());
    match Way::forward(g) {
        Way::Direct => pack_forward(g, weight, packed),
        Way::BySample | Way::Dense(_) => weight.clone_into(packed),
        Way::Winograd(winograd) => {
            let kernels = weight.as_chunks::<9>().0;
            let kernel = |group: usize, to: usize, from: usize| {
                kernels[(group * outputs + to) * inputs + from]
            };
            pack_winograd(context, &winograd, kernel, packed);
        }
    }
}

/// [`pack_convolve`] of weights that are used once: where [`convolve`] reads them as they lie, without a copy.
pub fn packed_once<'a>(
    context: &Context,
    g: &Geometry,
    weight: &'a [f32],
    memory: &'a mut Vec<f32>,
) -> &'a [f32] {
    match Way::forward(g) {
        Way::BySample | Way::Dense(_) => weight,
        Way::Direct | Way::Winograd(_) => {
            pack_convolve(context, g, weight, memory);
            memory
        }
    }
}

/// Lays weights `[out][in][ky][kx]` out for [`input_gradient`].
pub fn pack_input_gradient(context: &Context, g: &Geometry, weight: &[f32], packed: &mut Vec<f32>) {
    let (outputs, inputs) = (g.out_channels(), g.in_channels());
    match Way::backward(g) {
        Way::Direct => pack_input_grad(g, weight, packed),
        Way::BySample => weight.clone_into(packed),
        Way::Dense(dense) => {
            packed.resize(dense.packed(), 0.0);
            context.chunks_of_work(packed.len(), packed, dense.chunk(), |chunk, packed| {
                dense.pack_columns(chunk, weight, packed);
            });
        }
        Way::Winograd(winograd) => {
            let kernels = weight.as_chunks::<9>().0;
            let flipped = |group: usize, to: usize, from: usize| {
                let mut kernel: [f32; 9] = kernels[(group * outputs + from) * inputs + to];
                kernel.reverse();
                kernel
            };
            pack_winograd(context, &winograd, flipped, packed);
        }
    }
}

fn pack_winograd(
    context: &Context,
    winograd: &Winograd,
    kernel: impl Fn(usize, usize, usize) -> [f32; 9] + Sync + Send,
    packed: &mut Vec<f32>,
) {
    packed.resize(winograd.tiles() * winograd.tile(), 0.0);
    let work = packed.len();
    context.chunks_of_work(work, packed, winograd.tile(), |tile, packed| {
        winograd.pack(tile, &kernel, packed);
    });
}

/// Lanes of scratch memory that [`convolve`] needs for `blocks`.
pub fn convolve_scratch(g: &Geometry, blocks: usize) -> usize {
    match Way::forward(g) {
        Way::Winograd(winograd) => winograd.scratch(blocks),
        Way::BySample => by_sample::scratch(g),
        Way::Direct if g.is_padded() => g.input.features(),
        _ => 0,
    }
}

/// Convolves blocks. `x` has `g.unpadded()` a block, `out` has `g.output`; `packed` comes from [`pack_convolve`].
pub fn convolve(
    isa: Isa,
    g: &Geometry,
    x: &[Lanes],
    packed: &[f32],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    match Way::forward(g) {
        Way::Winograd(winograd) => winograd.run(isa, x, packed, out, scratch),
        Way::Dense(dense) => dense.run_rows(isa, x, packed, out),
        Way::BySample => by_sample::convolve(g, x, packed, out, scratch),
        Way::Direct => {
            let blocks = x.chunks(g.unpadded().features());
            for (x, out) in blocks.zip(out.chunks_mut(g.output.features())) {
                if g.is_padded() {
                    let padded = &mut scratch[..g.input.features()];
                    pad::pad(g.unpadded(), g.padding, x, padded);
                    forward(isa, g, padded, packed, out);
                } else {
                    forward(isa, g, x, packed, out);
                }
            }
        }
    }
}

/// Lanes of scratch memory that [`input_gradient`] needs for `blocks`.
pub fn input_gradient_scratch(g: &Geometry, blocks: usize) -> usize {
    match Way::backward(g) {
        Way::Winograd(winograd) => winograd.scratch(blocks),
        Way::Dense(_) => 0,
        Way::BySample => by_sample::scratch(g),
        Way::Direct if g.is_padded() => input_grad_scratch(g) + g.input.features(),
        Way::Direct => input_grad_scratch(g),
    }
}

/// Gradient to the input of blocks. `grad` has `g.output` a block, `out` has `g.unpadded()` and is overwritten; `packed`
/// comes from [`pack_input_gradient`].
pub fn input_gradient(
    isa: Isa,
    g: &Geometry,
    grad: &[Lanes],
    packed: &[f32],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    match Way::backward(g) {
        Way::Winograd(winograd) => winograd.run(isa, grad, packed, out, scratch),
        Way::Dense(dense) => dense.run(isa, grad, packed, out),
        Way::BySample => by_sample::input_gradient(g, grad, packed, out, scratch),
        Way::Direct => {
            let blocks = grad.chunks(g.output.features());
            for (grad, out) in blocks.zip(out.chunks_mut(g.unpadded().features())) {
                if g.is_padded() {
                    let (memory, padded) = scratch.split_at_mut(input_grad_scratch(g));
                    let padded = &mut padded[..g.input.features()];
                    input_grad(isa, g, grad, packed, padded, memory);
                    pad::crop(g.unpadded(), g.padding, padded, out);
                } else {
                    input_grad(isa, g, grad, packed, out, scratch);
                }
            }
        }
    }
}
