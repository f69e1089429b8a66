//! The shape of one sample's features.

/// Channels x height x width of one sample; a flat vector of F features is F x 1 x 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Feature maps.
    pub channels: usize,
    /// Rows of a feature map.
    pub height: usize,
    /// Columns of a feature map.
    pub width: usize,
}

impl Shape {
    /// channels x height x width
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// A vector of `features`.
    pub const fn flat(features: usize) -> Self {
        Self::new(features, 1, 1)
    }

    /// Numbers in one sample.
    pub const fn features(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Pixels in one channel.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }
}

impl From<[usize; 3]> for Shape {
    /// `[channels, height, width]`
    fn from([channels, height, width]: [usize; 3]) -> Self {
        Self::new(channels, height, width)
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}
