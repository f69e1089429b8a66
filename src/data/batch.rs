//! Gathers images, stored as bytes, into lane blocks.

use super::Dataset;
use crate::simd::LANES;
use crate::tensor::{Context, Tensor};
use crate::{Error, Result};

/// Pixels whose lanes stay in the first-level cache while all sixteen are filled.
const TILE: usize = 64;

impl Dataset {
    /// Puts these images, pixels in 0..=1, into a tensor of as many samples. Every loop over batches begins one here, so
    /// here it ends if it was asked to stop.
    ///
    /// # Errors
    /// If the tensor has another shape or number of samples, or an index is past the end; [`Error::Interrupted`] if the
    /// context was asked to stop.
    pub fn gather(&self, context: &Context, indices: &[usize], out: &mut Tensor) -> Result<()> {
        context.stop().check()?;
        let shape = out.shape();
        if shape != self.shape() || out.samples() != indices.len() || out.steps() != 1 {
            return Err(Error::shape(
                "gather",
                format!("{} samples of {}", indices.len(), self.shape()),
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
            let mut pixels = [0.0; TILE];
            for (tile, lanes) in lanes.chunks_mut(TILE).enumerate() {
                for lane in 0..LANES {
                    match indices.get(lane) {
                        Some(&index) => {
                            let pixels = &mut pixels[..lanes.len()];
                            self.copy_pixels(index, tile * TILE, pixels);
                            lanes.iter_mut().zip(pixels).for_each(|(to, p)| to.0[lane] = *p);
                        }
                        None => lanes.iter_mut().for_each(|to| to.0[lane] = 0.0),
                    }
                }
            }
        });
        Ok(())
    }
}
