//! A rectangle of pixels, in all channels.

use super::Shape;
use std::ops::Range;

/// Rows `y` and columns `x` of every channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Rows.
    pub y: Range<usize>,
    /// Columns.
    pub x: Range<usize>,
}

impl Region {
    /// All pixels of a shape.
    pub const fn all(shape: Shape) -> Self {
        Self { y: 0..shape.height, x: 0..shape.width }
    }

    /// The smallest region that holds both.
    pub fn hull(&self, other: &Self) -> Self {
        let hull = |a: &Range<usize>, b: &Range<usize>| match (a.is_empty(), b.is_empty()) {
            (true, _) => b.clone(),
            (_, true) => a.clone(),
            _ => a.start.min(b.start)..a.end.max(b.end),
        };
        Self { y: hull(&self.y, &other.y), x: hull(&self.x, &other.x) }
    }

    /// The 2 x 2 windows that hold any of the pixels.
    pub fn halved(&self) -> Self {
        let half = |a: &Range<usize>| a.start / 2..a.end.div_ceil(2);
        Self { y: half(&self.y), x: half(&self.x) }
    }

    /// The region's rows in a block of this shape, channel by channel, as ranges of features.
    pub fn rows(&self, shape: Shape) -> impl Iterator<Item = Range<usize>> {
        let (y, x) = (self.y.clone(), self.x.clone());
        (0..shape.channels).flat_map(move |channel| {
            let x = x.clone();
            y.clone().map(move |y| {
                let row = (channel * shape.height + y) * shape.width;
                row + x.start..row + x.end
            })
        })
    }
}
