//! Random changes of training images that keep their class: shifts and flips.

use crate::simd::LANES;
use crate::simd::random::Key;
use crate::tensor::{Context, Shape, Tensor};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How training images are changed, each anew in every epoch. The default leaves them as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Pixels by which an image moves at most, along each of its axes and either way; every distance is equally likely,
    /// and zeros come in.
    pub shift: usize,
    /// Whether half of the images are mirrored, left to right.
    pub flip: bool,
}

/// What happens to one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Move {
    /// Pixels to the right, and downward.
    right: isize,
    down: isize,
    mirrored: bool,
}

impl Augmentation {
    /// Whether it leaves images as they are.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses shifts that may leave nothing of an image.
    ///
    /// # Errors
    /// If the shift is as large as a side of the images, or larger.
    pub(crate) fn check(&self, images: Shape) -> Result<()> {
        let (shift, least) = (self.shift, images.height.min(images.width));
        if shift > 0 && shift >= least {
            let problem = format!(
                "a shift of up to {shift} pixels can leave nothing of images of {images}; the largest is {}",
                least.saturating_sub(1)
            );
            return Err(Error::argument("training", problem));
        }
        Ok(())
    }

    /// What happens to the image of this key.
    fn of(&self, key: Key) -> Move {
        let distance = |axis: &str| {
            let all = 2 * self.shift as u64 + 1;
            (key.named(axis).to_u64() % all) as isize - self.shift as isize
        };
        Move {
            right: distance("right"),
            down: distance("down"),
            mirrored: self.flip && key.named("flip").to_u64() >> 63 == 1,
        }
    }

    /// Changes a batch: `indices` are the images' places in the data set, which decide with `key` what happens to each.
    pub(super) fn apply(
        &self,
        context: &Context,
        key: Key,
        indices: &[usize],
        images: &mut Tensor,
    ) {
        if self.is_off() {
            return;
        }
        let shape = images.shape();
        let Shape { height, width, .. } = shape;
        context.chunks(images.lanes_mut(), shape.features(), |block, pixels| {
            let indices = indices.iter().skip(block * LANES).take(LANES);
            let mut map = vec![0.0; height * width];
            for (lane, &index) in indices.enumerate() {
                let change = self.of(key.with(index as u64));
                for channel in pixels.chunks_exact_mut(map.len()) {
                    map.iter_mut().zip(channel.iter()).for_each(|(to, pixel)| *to = pixel.0[lane]);
                    for (at, pixel) in channel.iter_mut().enumerate() {
                        let from = change.source(at / width, at % width, [height, width]);
                        pixel.0[lane] = from.map_or(0.0, |from| map[from]);
                    }
                }
            }
        });
    }
}

impl Move {
    /// Which pixel comes to row `y` and column `x`; none from outside.
    fn source(self, y: usize, x: usize, [height, width]: [usize; 2]) -> Option<usize> {
        let y = y.checked_add_signed(-self.down).filter(|&y| y < height)?;
        let x = x.checked_add_signed(-self.right).filter(|&x| x < width)?;
        Some(y * width + if self.mirrored { width - 1 - x } else { x })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;
    use ndarray::Array4;
    use proptest::prelude::*;

    /// Images whose pixels are all different and not 0.
    fn images(count: usize, [channels, height, width]: [usize; 3]) -> Tensor {
        let mut pixel = 0.0;
        let array = Array4::from_shape_simple_fn((count, channels, height, width), || {
            pixel += 1.0;
            pixel
        });
        Tensor::from_array(array.view())
    }

    proptest! {
        #[test]
        fn every_pixel_is_where_the_move_puts_it(
            count in 1_usize..35, channels in 1_usize..4, height in 1_usize..7, width in 1_usize..7,
            shift in 0_usize..7, flip: bool, seed: u64,
        ) {
            let augmentation = Augmentation { shift: shift.min(height.min(width) - 1), flip };
            let before = images(count, [channels, height, width]);
            let mut after = images(count, [channels, height, width]);
            let indices: Vec<usize> = (0..count).map(|i| 7 * i + 3).collect();
            let key = Key::new(seed);
            augmentation.apply(&Context::serial(Isa::available()[0]), key, &indices, &mut after);
            let (before, after) = (before.to_array(), after.to_array());
            for ((n, c, y, x), &found) in after.indexed_iter() {
                let Move { right, down, mirrored } = augmentation.of(key.with(indices[n] as u64));
                let most = augmentation.shift as isize;
                prop_assert!(right.abs() <= most && down.abs() <= most && (flip || !mirrored));
                let (y, x) = (y as isize - down, x as isize - right);
                let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
                let x = if mirrored { width as isize - 1 - x } else { x };
                let expected = if inside { before[(n, c, y as usize, x as usize)] } else { 0.0 };
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn all_moves_are_equally_likely() {
        let augmentation = Augmentation { shift: 1, flip: true };
        let mut counts = std::collections::HashMap::new();
        for i in 0..18_000 {
            let Move { right, down, mirrored } = augmentation.of(Key::new(1).with(i));
            *counts.entry((right, down, mirrored)).or_insert(0_i32) += 1;
        }
        // A thousand each; five standard deviations.
        assert_eq!(counts.len(), 18);
        assert!(counts.values().all(|count| (count - 1000).abs() < 155), "{counts:?}");
    }
}
