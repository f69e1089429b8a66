//! Between images one after the other, as the attacks see them, and lane blocks, as the model does.

use crate::simd::{LANES, Lanes};
use crate::tensor::{Region, Shape};

/// Sixteen rows of `block.len()` numbers into lanes.
pub fn to_lanes(rows: &[f32], block: &mut [Lanes]) {
    let length = block.len();
    // Square tiles: rows and lanes both stay in the nearest cache.
    for (tile, block) in block.chunks_mut(LANES).enumerate() {
        for lane in 0..LANES {
            let row = &rows[lane * length + tile * LANES..][..block.len()];
            block.iter_mut().zip(row).for_each(|(lanes, &value)| lanes.0[lane] = value);
        }
    }
}

/// The first lanes, as [`Session::occupy`](crate::nn::Session::occupy) takes them.
pub fn first_lanes(count: usize) -> u16 {
    ((1u32 << count.min(LANES)) - 1) as u16
}

/// [`to_lanes`] of a region of the pixels.
pub fn region_to_lanes(rows: &[f32], shape: Shape, region: &Region, block: &mut [Lanes]) {
    for range in region.rows(shape) {
        for (lane, row) in rows.chunks_exact(block.len()).enumerate() {
            let pixels = block[range.clone()].iter_mut().zip(&row[range.clone()]);
            pixels.for_each(|(lanes, &value)| lanes.0[lane] = value);
        }
    }
}

/// Lanes into sixteen rows of `block.len()` numbers that lie `stride` apart: times `scale`, and if `add`, on top of what is there.
/// What is not finite becomes 0.
pub fn from_lanes(block: &[Lanes], scale: f32, add: bool, stride: usize, rows: &mut [f32]) {
    for (tile, block) in block.chunks(LANES).enumerate() {
        for lane in 0..LANES {
            let row = &mut rows[lane * stride + tile * LANES..][..block.len()];
            for (to, lanes) in row.iter_mut().zip(block) {
                let value = lanes.0[lane];
                let value = if value.is_finite() { value * scale } else { 0.0 };
                *to = if add { *to + value } else { value };
            }
        }
    }
}
