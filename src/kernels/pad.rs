//! Zero borders: convolution kernels know none, so a padded convolution is a copy and a valid convolution.

use crate::simd::Lanes;
use crate::tensor::Shape;

/// Copies a block into the middle of a larger one of zeros. `x` has `shape`, `out` has `shape` plus the borders.
pub fn pad(shape: Shape, [border_y, border_x]: [usize; 2], x: &[Lanes], out: &mut [Lanes]) {
    let (height, width) = (shape.height + 2 * border_y, shape.width + 2 * border_x);
    out.fill(Lanes::ZERO);
    for (plane, out) in x.chunks(shape.pixels()).zip(out.chunks_mut(height * width)) {
        for (y, row) in plane.chunks(shape.width).enumerate() {
            out[(y + border_y) * width + border_x..][..shape.width].copy_from_slice(row);
        }
    }
}

/// Copies the middle of a padded block back: the gradient of [`pad`].
pub fn crop(shape: Shape, [border_y, border_x]: [usize; 2], padded: &[Lanes], out: &mut [Lanes]) {
    let (height, width) = (shape.height + 2 * border_y, shape.width + 2 * border_x);
    for (plane, out) in padded.chunks(height * width).zip(out.chunks_mut(shape.pixels())) {
        for (y, row) in out.chunks_mut(shape.width).enumerate() {
            row.copy_from_slice(&plane[(y + border_y) * width + border_x..][..shape.width]);
        }
    }
}
