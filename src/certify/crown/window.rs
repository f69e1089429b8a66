//! Which features of a place have coefficients.

use crate::tensor::{Region, Shape};

/// All channels of a rectangle of pixels.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// The whole place.
    pub shape: Shape,
    pub region: Region,
}

impl Window {
    /// Everything.
    pub fn all(shape: Shape) -> Self {
        Self { shape, region: Region::all(shape) }
    }

    pub fn is_empty(&self) -> bool {
        self.features() == 0
    }

    pub fn features(&self) -> usize {
        self.shape.channels * self.region.y.len() * self.region.x.len()
    }

    /// Where a feature is in the window.
    #[inline(always)]
    pub fn index(&self, channel: usize, y: usize, x: usize) -> usize {
        let Region { y: rows, x: columns } = &self.region;
        (channel * rows.len() + y - rows.start) * columns.len() + x - columns.start
    }

    /// The same by the feature's number in the place.
    #[inline(always)]
    pub fn find(&self, feature: usize) -> usize {
        let (pixels, width) = (self.shape.pixels(), self.shape.width);
        let pixel = feature % pixels;
        self.index(feature / pixels, pixel / width, pixel % width)
    }

    /// The numbers of its features, in the window's order.
    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        self.region.rows(self.shape).flatten()
    }
}
