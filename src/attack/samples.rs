//! The images under attack.

use crate::data::Dataset;
use crate::tensor::Shape;
use crate::{Error, Result};
use ndarray::{Array4, ArrayView4};
use std::ops::Range;

/// Images with labels and identities. The identity, not the place in a batch, is what a sample's random numbers
/// depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    shape: Shape,
    images: Vec<f32>,
    labels: Vec<usize>,
    ids: Vec<u64>,
}

impl Samples {
    /// From an N x C x H x W array with pixels in 0..=1, each with a label and an identity.
    ///
    /// # Errors
    /// If the numbers of images, labels and identities differ, or a pixel lies outside (by more than 1e-6, which is
    /// clamped: normalization belongs in the model).
    pub fn new(images: ArrayView4<'_, f32>, labels: Vec<usize>, ids: Vec<u64>) -> Result<Self> {
        let (count, channels, height, width) = images.dim();
        if (labels.len(), ids.len()) != (count, count) {
            return Err(Error::shape(
                "samples",
                format!("{count} labels and {count} identities"),
                format!("{} and {}", labels.len(), ids.len()),
            ));
        }
        let mut pixels: Vec<f32> = images.iter().copied().collect();
        for (i, pixel) in pixels.iter_mut().enumerate() {
            if !(-1e-6..=1.0 + 1e-6).contains(pixel) {
                let image = i / (channels * height * width).max(1);
                return Err(Error::argument(
                    "samples",
                    format!(
                        "image {image} has a pixel of {pixel}, outside of 0..=1; give unnormalized images and let the \
                         model normalize them"
                    ),
                ));
            }
            *pixel = pixel.clamp(0.0, 1.0);
        }
        Ok(Self { shape: Shape::new(channels, height, width), images: pixels, labels, ids })
    }

    /// Images of a data set; their identity is their index there.
    ///
    /// # Errors
    /// If the range ends past the last image.
    pub fn from_dataset(data: &Dataset, range: Range<usize>) -> Result<Self> {
        if range.end > data.len() || range.start > range.end {
            let problem = format!("images {range:?} asked for; there are {}", data.len());
            return Err(Error::argument("samples", problem));
        }
        let images = data.images_f32(range.clone());
        let labels = range.clone().map(|i| data.label(i)).collect();
        Self::new(images.view(), labels, range.map(|i| i as u64).collect())
    }

    /// Some of these, in this order.
    ///
    /// # Errors
    /// If an index is past the end.
    pub fn select(&self, indices: &[usize]) -> Result<Self> {
        if let Some(index) = indices.iter().find(|&&i| i >= self.len()) {
            let problem = format!("there is no sample {index} among {}", self.len());
            return Err(Error::argument("samples", problem));
        }
        Ok(Self {
            shape: self.shape,
            images: indices.iter().flat_map(|&i| self.image(i)).copied().collect(),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            ids: indices.iter().map(|&i| self.ids[i]).collect(),
        })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of one image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Image `i`, `[channel][y][x]`.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn image(&self, i: usize) -> &[f32] {
        let features = self.shape.features();
        &self.images[i * features..][..features]
    }

    /// The true classes.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The identities.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// All images as N x C x H x W.
    pub fn to_array(&self) -> Array4<f32> {
        let Shape { channels, height, width } = self.shape;
        let features = self.shape.features();
        Array4::from_shape_fn((self.len(), channels, height, width), |(n, c, y, x)| {
            self.images[n * features + (c * height + y) * width + x]
        })
    }
}
