//! Images with their labels, in memory.

use std::ops::Range;
use std::path::Path;

use ndarray::Array4;

use super::data_source::DataSource;
use super::files::Split;
use crate::tensor::Shape;
use crate::{Error, Result};

/// The most pixels of an image.
const MOST_PIXELS: usize = 1 << 28;

/// The quotient `v / 255` of every byte.
pub(super) const QUOTIENTS: [f32; 256] = {
    let mut quotients = [0.0; 256];
    let mut v = 0;
    while v < 256 {
        quotients[v] = v as f32 / 255.0;
        v += 1;
    }
    quotients
};

/// Pixels, one image after the other, `[channel][y][x]` each.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pixels {
    /// 0 to 255, which stands for 0 to 1.
    Bytes(Vec<u8>),
    /// 0 to 1, not all of them multiples of 1/255.
    Floats(Vec<f32>),
}

impl Pixels {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Floats(floats) => floats.len(),
        }
    }
}

/// `N` images of `C` x `H` x `W` pixels, each with the number of its class.
///
/// Pixels are kept as bytes where they came as bytes, or as floats that are multiples of 1/255; other floats keep their
/// values.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    pixels: Pixels,
    labels: Vec<u8>,
    shape: Shape,
    classes: usize,
}

impl Dataset {
    /// Joins `images` (`N` x `C` x `H` x `W` contiguous bytes) with `labels` (`N` numbers below `classes`).
    ///
    /// # Errors
    /// [`Error::Argument`] if a side of `shape` is 0, `classes` is not in 1..=256, images and labels differ in number,
    /// or a label is `classes` or more (its index and value are named).
    pub fn new(
        images: Vec<u8>,
        labels: Vec<u8>,
        shape: impl Into<Shape>,
        classes: usize,
    ) -> Result<Self> {
        Self::of_pixels(Pixels::Bytes(images), labels, shape.into(), classes)
    }

    /// Like [`new`](Self::new), of pixels from 0 to 1. Where all of them are multiples of 1/255, the data set equals that
    /// of the bytes.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if a pixel lies outside of 0..=1 or is not a number.
    pub fn from_floats(
        images: Vec<f32>,
        labels: Vec<u8>,
        shape: impl Into<Shape>,
        classes: usize,
    ) -> Result<Self> {
        let shape = shape.into();
        if let Some(i) = images.iter().position(|pixel| !(0.0..=1.0).contains(pixel)) {
            let (image, pixel) = (i / shape.features().max(1), images[i]);
            let problem = format!(
                "image {image} has a pixel of {pixel}; floats lie in 0..=1: divide by the largest value, or give bytes"
            );
            return Err(Error::argument("data set", problem));
        }
        let byte = |&pixel: &f32| {
            let byte = (pixel * 255.0).round() as u8;
            (QUOTIENTS[usize::from(byte)] == pixel).then_some(byte)
        };
        let pixels = match images.iter().map(byte).collect::<Option<Vec<u8>>>() {
            Some(bytes) => Pixels::Bytes(bytes),
            None => Pixels::Floats(images),
        };
        Self::of_pixels(pixels, labels, shape, classes)
    }

    fn of_pixels(pixels: Pixels, labels: Vec<u8>, shape: Shape, classes: usize) -> Result<Self> {
        let refuse = |problem| Error::argument("data set", problem);
        let Shape { channels, height, width } = shape;
        let size = image_size(shape).map_err(refuse)?;
        if !(1..=256).contains(&classes) {
            return Err(refuse(format!("{classes} classes; labels are bytes, so 1 to 256")));
        }
        let found = pixels.len();
        let unit = if matches!(pixels, Pixels::Bytes(_)) { "bytes" } else { "floats" };
        if size.checked_mul(labels.len()) != Some(found) {
            return Err(refuse(format!(
                "{} labels need as many images of {channels} x {height} x {width} {unit}, found {found} {unit}",
                labels.len()
            )));
        }
        check_labels(&labels, classes).map_err(refuse)?;
        Ok(Self { pixels, labels, shape, classes })
    }

    /// Reads one half of the data set at `place`, a folder or file in any of the [`Format`](super::Format)s.
    ///
    /// # Errors
    /// Those of [`DataSource::at`] and [`DataSource::load`].
    pub fn load(place: impl AsRef<Path>, split: Split) -> Result<Self> {
        DataSource::at(place, &[split])?.load(split)
    }

    /// Whether images of a class stand together, so that a part of them is of a few classes only.
    pub fn is_sorted_by_class(&self) -> bool {
        let changes = self.labels.windows(2).filter(|pair| pair[0] != pair[1]).count();
        // By chance there would be far more changes.
        changes > 0 && changes < 2 * self.classes && self.len() >= 8 * self.classes
    }

    /// Number of images, `N`.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of image `i`, `C` x `H` x `W`, from 0 to 1.
    ///
    /// # Panics
    /// As indexing a slice does, if `i` is not below [`len`](Self::len).
    pub fn image(&self, i: usize) -> Vec<f32> {
        let mut pixels = vec![0.0; self.shape.features()];
        self.copy_pixels(i, 0, &mut pixels);
        pixels
    }

    /// Copies the pixels of image `i` from number `first` on, as many as `to` has room for and the image has.
    pub(super) fn copy_pixels(&self, i: usize, first: usize, to: &mut [f32]) {
        assert!(i < self.len(), "image {i} of {}", self.len());
        let range = i * self.shape.features() + first..(i + 1) * self.shape.features();
        match &self.pixels {
            Pixels::Bytes(bytes) => to
                .iter_mut()
                .zip(&bytes[range])
                .for_each(|(to, &byte)| *to = QUOTIENTS[usize::from(byte)]),
            Pixels::Floats(floats) => {
                to.iter_mut().zip(&floats[range]).for_each(|(to, &pixel)| *to = pixel);
            }
        }
    }

    /// How the pixels are kept.
    pub(super) fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// The mean of every pixel over all images, `C` x `H` x `W`; not a number without images.
    pub fn mean_image(&self) -> Vec<f64> {
        let size = self.shape.features();
        match &self.pixels {
            Pixels::Bytes(bytes) => {
                let mut sums = vec![0_u64; size];
                for image in bytes.chunks_exact(size) {
                    sums.iter_mut().zip(image).for_each(|(sum, &v)| *sum += u64::from(v));
                }
                let whole = 255.0 * self.len() as f64;
                sums.into_iter().map(|sum| sum as f64 / whole).collect()
            }
            Pixels::Floats(floats) => {
                let mut sums = vec![0.0_f64; size];
                for image in floats.chunks_exact(size) {
                    sums.iter_mut().zip(image).for_each(|(sum, &v)| *sum += f64::from(v));
                }
                sums.into_iter().map(|sum| sum / self.len() as f64).collect()
            }
        }
    }

    /// The class of image `i`.
    ///
    /// # Panics
    /// As indexing a slice does, if `i` is not below [`len`](Self::len).
    pub fn label(&self, i: usize) -> usize {
        usize::from(self.labels[i])
    }

    /// The classes of all images.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The share of the largest class among the first images; none if there are not that many, or none at all.
    pub fn largest_class(&self, images: usize) -> Option<f64> {
        let labels = self.labels.get(..images).filter(|labels| !labels.is_empty())?;
        let mut counts = vec![0_usize; self.classes];
        labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        counts.into_iter().max().map(|most| most as f64 / images as f64)
    }

    /// Channels, height and width of every image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Number of classes; labels are below it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// A copy of the images of `range` with their labels.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are not that many; it says how many there are.
    pub fn slice(&self, range: Range<usize>) -> Result<Self> {
        let Range { start: first, end } = range;
        if first > end || end > self.len() {
            let problem = format!(
                "{} images from number {first} on were asked for, but there are {} (numbers start at 0)",
                range.len(),
                self.len()
            );
            return Err(Error::argument("data set", problem));
        }
        let part = first * self.shape.features()..end * self.shape.features();
        let pixels = match &self.pixels {
            Pixels::Bytes(bytes) => Pixels::Bytes(bytes[part].to_vec()),
            Pixels::Floats(floats) => Pixels::Floats(floats[part].to_vec()),
        };
        Ok(Self { pixels, labels: self.labels[first..end].to_vec(), ..*self })
    }

    /// The images of `range` as numbers from 0 to 1, `N` x `C` x `H` x `W`; of bytes exactly `pixel as f32 / 255.0`.
    ///
    /// # Panics
    /// As slicing does, if `range` is reversed or reaches beyond [`len`](Self::len). Take ranges that come from
    /// a user through [`slice`](Self::slice), which reports them.
    pub fn images_f32(&self, range: Range<usize>) -> Array4<f32> {
        let count = self.labels[range.clone()].len();
        let Shape { channels, height, width } = self.shape;
        let mut images = Array4::zeros((count, channels, height, width));
        let size = self.shape.features();
        if let Some(pixels) = images.as_slice_mut() {
            pixels.chunks_exact_mut(size).zip(range).for_each(|(to, i)| self.copy_pixels(i, 0, to));
        }
        images
    }
}

/// Pixels of an image of `shape`, or what is wrong with it: even of no images at all, a shape may ask for memory.
pub(super) fn image_size(shape: Shape) -> Result<usize, String> {
    let Shape { channels, height, width } = shape;
    let size = channels.checked_mul(height).and_then(|size| size.checked_mul(width));
    let images = format!("images of {channels} x {height} x {width} pixels");
    match size {
        Some(0) => Err(format!("{images} hold nothing")),
        Some(size) if size <= MOST_PIXELS => Ok(size),
        _ => Err(format!("{images} are too large; the largest have {MOST_PIXELS}")),
    }
}

/// Names the first label that is no class.
pub(super) fn check_labels(labels: &[u8], classes: usize) -> Result<(), String> {
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(()),
        Some(index) => Err(format!(
            "label number {index} is {}, but the classes are 0 to {}",
            labels[index],
            classes - 1
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Dataset {
        Dataset::new((0..24).map(|i| i * 10).collect(), vec![3, 9], [2, 2, 3], 10).unwrap()
    }

    #[test]
    fn accessors_agree_with_the_layout() {
        let set = two();
        assert_eq!(
            (set.len(), set.is_empty(), set.shape(), set.classes()),
            (2, false, Shape::new(2, 2, 3), 10)
        );
        assert_eq!(set.image(1)[0], 120.0 / 255.0);
        assert_eq!((set.label(1), set.labels()), (9, &[3, 9][..]));
        let images = set.images_f32(0..2);
        assert_eq!(images.shape(), [2, 2, 2, 3]);
        assert_eq!([0, 1, 2, 3].map(|n| set.largest_class(n)), [None, Some(1.0), Some(0.5), None]);
        for ((n, c, y, x), &value) in images.indexed_iter() {
            let place = (c * 2 + y) * 3 + x;
            assert_eq!(value.to_bits(), set.image(n)[place].to_bits());
            assert_eq!(value.to_bits(), (((n * 12 + place) * 10) as f32 / 255.0).to_bits());
        }
        assert_eq!(set.images_f32(2..2).shape(), [0, 2, 2, 3]);
    }

    #[test]
    fn slices_hold_what_was_asked_for_or_say_how_many_there_are() {
        let set = two();
        let second = set.slice(1..2).unwrap();
        assert_eq!((second.len(), second.label(0), second.image(0)), (1, 9, set.image(1)));
        assert!(set.slice(2..2).unwrap().is_empty());
        for range in [0..3, 2..3, 2..usize::MAX, Range { start: 2, end: 1 }] {
            let problem = set.slice(range).unwrap_err().to_string();
            assert!(problem.contains("there are 2"), "{problem}");
        }
    }

    #[test]
    fn unusable_arguments_are_named() {
        let make = |bytes, labels: &[u8], shape, classes| {
            Dataset::new(vec![0; bytes], labels.to_vec(), shape, classes).unwrap_err().to_string()
        };
        assert!(make(7, &[0, 1], [1, 2, 2], 10).contains("2 labels need"));
        assert!(make(8, &[0, 12], [1, 2, 2], 10).contains("label number 1 is 12"));
        assert!(make(0, &[0], [1, 0, 2], 10).contains("hold nothing"));
        assert!(make(0, &[], [usize::MAX, 2, 2], 10).contains("are too large"));
        assert!(make(0, &[], [1, 1 << 15, 1 << 15], 10).contains("the largest have 268435456"));
        assert!(make(4, &[0], [1, 2, 2], 0).contains("1 to 256"));
        assert!(make(4, &[0], [1, 2, 2], 257).contains("257 classes"));
    }

    #[test]
    fn floats_that_are_bytes_are_kept_as_bytes() {
        let floats = (0..24).map(|i| (i * 10) as f32 / 255.0).collect();
        assert_eq!(Dataset::from_floats(floats, vec![3, 9], [2, 2, 3], 10).unwrap(), two());
        let set =
            Dataset::from_floats(vec![0.1, 0.25, 1.0, 0.0], vec![0, 1], [1, 1, 2], 2).unwrap();
        assert_eq!((set.image(0), set.image(1)), (vec![0.1, 0.25], vec![1.0, 0.0]));
        assert_eq!(set.slice(1..2).unwrap().image(0), [1.0, 0.0]);
        assert_eq!(set.mean_image(), [(f64::from(0.1_f32) + 1.0) / 2.0, 0.125]);
        for pixel in [-0.1, 1.5, f32::NAN] {
            let problem = Dataset::from_floats(vec![0.0, pixel], vec![0, 0], [1, 1, 1], 1);
            let problem = problem.unwrap_err().to_string();
            assert!(problem.contains("image 1 has a pixel of"), "{problem}");
        }
    }
}
