//! From bytes to lane blocks.

use super::Dataset;
use crate::simd::LANES;
use crate::tensor::{Context, Tensor};
use crate::{Error, Result};

/// Every byte as a pixel: `v / 255`.
const PIXELS: [f32; 256] = {
    let mut pixels = [0.0; 256];
    let mut v = 0;
    while v < 256 {
        pixels[v] = v as f32 / 255.0;
        v += 1;
    }
    pixels
};

/// Pixels whose lanes stay in the first-level cache while all sixteen are filled.
const TILE: usize = 64;

impl Dataset {
    /// Puts these images, pixels in 0..=1, into a tensor of as many samples.
    ///
    /// # Errors
    /// If the tensor has another shape or number of samples, or an index is past the end.
    pub fn gather(&self, context: &Context, indices: &[usize], out: &mut Tensor) -> Result<()> {
        let [channels, height, width] = self.shape();
        let shape = out.shape();
        let found = [shape.channels, shape.height, shape.width];
        if found != self.shape() || out.samples() != indices.len() || out.steps() != 1 {
            return Err(Error::shape(
                "gather",
                format!("{} samples of {channels}x{height}x{width}", indices.len()),
                format!("{} samples of {shape}", out.samples()),
            ));
        }
        if let Some(&index) = indices.iter().find(|&&index| index >= self.len()) {
            let problem = format!("there is no image {index} among {}", self.len());
            return Err(Error::argument("gather", problem));
        }
        let features = shape.features();
        context.chunks(out.lanes_mut(), features, |block, lanes| {
            let indices = &indices[block * LANES..];
            let indices = &indices[..indices.len().min(LANES)];
            for (tile, lanes) in lanes.chunks_mut(TILE).enumerate() {
                for lane in 0..LANES {
                    match indices.get(lane) {
                        Some(&index) => {
                            let pixels = &self.image(index)[tile * TILE..];
                            for (to, &byte) in lanes.iter_mut().zip(pixels) {
                                to.0[lane] = PIXELS[byte as usize];
                            }
                        }
                        None => lanes.iter_mut().for_each(|to| to.0[lane] = 0.0),
                    }
                }
            }
        });
        Ok(())
    }
}
