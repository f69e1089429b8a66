//! A convolution of one block, and its gradient to the input, by whichever way suits its sizes.
//!
//! Neither input nor result has a border here. Which way is taken depends on the geometry alone, so bits do not depend
//! on the machine.

use super::winograd::Winograd;
use super::{Geometry, forward, input_grad, input_grad_scratch, pack_forward, pack_input_grad};
use crate::kernels::pad;
use crate::simd::{Isa, Lanes};

/// Whether [`convolve`] and [`input_gradient`] take the direct kernels, which may be fused with what follows; their weights
/// are then packed as those kernels' are.
pub fn is_direct(g: &Geometry) -> bool {
    Winograd::forward(g).is_none()
}

/// Lays weights `[out][in][ky][kx]` out for [`convolve`].
pub fn pack_convolve(g: &Geometry, weight: &[f32], packed: &mut Vec<f32>) {
    let Some(winograd) = Winograd::forward(g) else {
        return pack_forward(g, weight, packed);
    };
    let kernels = weight.as_chunks::<9>().0;
    let (outputs, inputs) = (g.out_channels(), g.in_channels());
    winograd.pack(|group, out, input| kernels[(group * outputs + out) * inputs + input], packed);
}

/// Lanes of scratch memory that [`convolve`] needs.
pub fn convolve_scratch(g: &Geometry) -> usize {
    match Winograd::forward(g) {
        Some(winograd) => winograd.scratch(),
        None if g.is_padded() => g.input.features(),
        None => 0,
    }
}

/// Convolves one block. `x` has `g.unpadded()`, `out` has `g.output`; `packed` comes from [`pack_convolve`].
pub fn convolve(
    isa: Isa,
    g: &Geometry,
    x: &[Lanes],
    packed: &[f32],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    if let Some(winograd) = Winograd::forward(g) {
        winograd.run(isa, x, packed, out, scratch);
    } else if g.is_padded() {
        let padded = &mut scratch[..g.input.features()];
        pad::pad(g.unpadded(), g.padding, x, padded);
        forward(isa, g, padded, packed, out);
    } else {
        forward(isa, g, x, packed, out);
    }
}

/// Lays weights `[out][in][ky][kx]` out for [`input_gradient`].
pub fn pack_input_gradient(g: &Geometry, weight: &[f32], packed: &mut Vec<f32>) {
    let Some(winograd) = Winograd::backward(g) else {
        return pack_input_grad(g, weight, packed);
    };
    let kernels = weight.as_chunks::<9>().0;
    let (outputs, inputs) = (g.out_channels(), g.in_channels());
    winograd.pack(
        |group, to, from| {
            let mut kernel = kernels[(group * outputs + from) * inputs + to];
            kernel.reverse();
            kernel
        },
        packed,
    );
}

/// Lanes of scratch memory that [`input_gradient`] needs.
pub fn input_gradient_scratch(g: &Geometry) -> usize {
    match Winograd::backward(g) {
        Some(winograd) => winograd.scratch(),
        None if g.is_padded() => input_grad_scratch(g) + g.input.features(),
        None => input_grad_scratch(g),
    }
}

/// Gradient to the input of one block. `grad` has `g.output`, `out` has `g.unpadded()` and is overwritten; `packed`
/// comes from [`pack_input_gradient`].
pub fn input_gradient(
    isa: Isa,
    g: &Geometry,
    grad: &[Lanes],
    packed: &[f32],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    if let Some(winograd) = Winograd::backward(g) {
        winograd.run(isa, grad, packed, out, scratch);
    } else if g.is_padded() {
        let (memory, padded) = scratch.split_at_mut(input_grad_scratch(g));
        let padded = &mut padded[..g.input.features()];
        input_grad(isa, g, grad, packed, padded, memory);
        pad::crop(g.unpadded(), g.padding, padded, out);
    } else {
        input_grad(isa, g, grad, packed, out, scratch);
    }
}
