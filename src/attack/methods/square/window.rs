//! The square of pixels that a proposal changes.

use crate::attack::geometry::random::below;
use crate::tensor::{Region, Shape};
use rand_xoshiro::Xoshiro128PlusPlus;

/// A square of pixels.
#[derive(Clone, Copy, Default)]
pub struct PixelWindow {
    pub y: usize,
    pub x: usize,
    pub side: usize,
}

impl PixelWindow {
    /// Any place at which it fits.
    pub fn anywhere(random: &mut Xoshiro128PlusPlus, side: usize, shape: Shape) -> Self {
        let y = below(random, shape.height - side + 1);
        Self { y, x: below(random, shape.width - side + 1), side }
    }

    pub fn region(self) -> Region {
        Region { y: self.y..self.y + self.side, x: self.x..self.x + self.side }
    }

    /// The rows of the window in one channel, as ranges of features.
    pub fn rows(
        self,
        shape: Shape,
        channel: usize,
    ) -> impl Iterator<Item = std::ops::Range<usize>> {
        let first = (channel * shape.height + self.y) * shape.width + self.x;
        (0..self.side).map(move |row| {
            let start = first + row * shape.width;
            start..start + self.side
        })
    }
}
