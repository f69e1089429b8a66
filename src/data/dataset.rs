//! Images with their labels, in memory.

use std::ops::Range;
use std::path::Path;

use ndarray::Array4;

use super::files::{Part, Split, file_name, find_file};
use super::idx::IdxArray;
use crate::{Error, Result};

/// Classes of MNIST and of everything made in its likeness.
const CLASSES: usize = 10;

/// `N` images of `C` x `H` x `W` bytes, each with the number of its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// `N` x `C` x `H` x `W`, contiguous.
    images: Vec<u8>,
    labels: Vec<u8>,
    channels: usize,
    height: usize,
    width: usize,
    classes: usize,
}

impl Dataset {
    /// Joins `images` (`N` x `C` x `H` x `W` contiguous bytes, `shape` = `[C, H, W]`) with `labels` (`N` numbers below
    /// `classes`).
    ///
    /// # Errors
    /// [`Error::Argument`] if a side of `shape` is 0, `classes` is not in 1..=256, images and labels differ in number,
    /// or a label is `classes` or more (its index and value are named).
    pub fn new(
        images: Vec<u8>,
        labels: Vec<u8>,
        shape: [usize; 3],
        classes: usize,
    ) -> Result<Self> {
        let refuse = |problem| Error::argument("Dataset::new", problem);
        let [channels, height, width] = shape;
        let size = image_size(shape).map_err(refuse)?;
        if !(1..=256).contains(&classes) {
            return Err(refuse(format!("{classes} classes; labels are bytes, so 1 to 256")));
        }
        if size.checked_mul(labels.len()) != Some(images.len()) {
            return Err(refuse(format!(
                "{} labels need as many images of {channels} x {height} x {width} bytes, found {} bytes",
                labels.len(),
                images.len()
            )));
        }
        check_labels(&labels, classes).map_err(refuse)?;
        Ok(Self { images, labels, channels, height, width, classes })
    }

    /// Reads an IDX file of images (`[N, H, W]`, or `[N, C, H, W]`) and one of labels (`[N]`, below 10), each gzipped
    /// or not.
    ///
    /// # Errors
    /// Those of [`IdxArray::open`], and [`Error::Format`] for wrong dimensions, counts that disagree or labels out of
    /// range; all name the file.
    pub fn from_idx(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Self> {
        let (images_path, labels_path) = (images.as_ref(), labels.as_ref());
        // The small file first: its faults show at once.
        let labels = IdxArray::open(labels_path)?;
        let &[label_count] = labels.dims() else {
            let problem = format!("labels need 1 dimension, found {}", shown(labels.dims()));
            return Err(Error::format(labels_path, problem));
        };
        check_labels(labels.data(), CLASSES)
            .map_err(|problem| Error::format(labels_path, problem))?;
        let images = IdxArray::open(images_path)?;
        let (count, shape) = match *images.dims() {
            [count, height, width] => (count, [1, height, width]),
            [count, channels, height, width] => (count, [channels, height, width]),
            ref dims => {
                let problem = format!(
                    "images need 3 dimensions (count, height, width) or 4 (count, channels, height, width), found {}",
                    shown(dims)
                );
                return Err(Error::format(images_path, problem));
            }
        };
        if count != label_count {
            let problem = format!(
                "{count} images, but {label_count} labels in {}: the two files do not belong together",
                labels_path.display()
            );
            return Err(Error::format(images_path, problem));
        }
        image_size(shape).map_err(|problem| Error::format(images_path, problem))?;
        Self::new(images.into_data(), labels.into_data(), shape, CLASSES)
            .map_err(|error| error.in_file(images_path))
    }

    /// Reads one half of the data set in folder `dir`, under any of the usual file names (see
    /// [`find_file`](super::find_file)).
    ///
    /// # Errors
    /// [`Error::NotFound`] if a file is missing, and those of [`Dataset::from_idx`].
    pub fn load(dir: impl AsRef<Path>, split: Split) -> Result<Self> {
        let dir = dir.as_ref();
        let find = |part| {
            find_file(dir, split, part).ok_or_else(|| {
                let (dir, name) = (dir.display(), file_name(split, part));
                Error::NotFound(format!(
                    "{dir}: no file {name} or {name}.gz; `deepsleep-cli data fetch` gets the data sets it knows"
                ))
            })
        };
        Self::from_idx(find(Part::Images)?, find(Part::Labels)?)
    }

    /// Number of images, `N`.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of image `i`, `C` x `H` x `W`, 0 to 255.
    ///
    /// # Panics
    /// As indexing a slice does, if `i` is not below [`len`](Self::len).
    pub fn image(&self, i: usize) -> &[u8] {
        assert!(i < self.len(), "image {i} of {}", self.len());
        let size = self.image_size();
        &self.images[i * size..][..size]
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

    /// `[C, H, W]` of every image.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// Number of classes; labels are below it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// A copy of the images `first .. first + count` with their labels.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are not that many; it says how many there are.
    pub fn slice(&self, first: usize, count: usize) -> Result<Self> {
        let end = first.checked_add(count).filter(|&end| end <= self.len()).ok_or_else(|| {
            let problem = format!(
                "{count} images from number {first} on were asked for, but there are {} (numbers start at 0)",
                self.len()
            );
            Error::argument("Dataset::slice", problem)
        })?;
        let size = self.image_size();
        Ok(Self {
            images: self.images[first * size..end * size].to_vec(),
            labels: self.labels[first..end].to_vec(),
            ..*self
        })
    }

    /// The images of `range` as numbers from 0 to 1, `N` x `C` x `H` x `W`: exactly `pixel as f32 / 255.0`.
    ///
    /// # Panics
    /// As slicing does, if `range` is reversed or reaches beyond [`len`](Self::len). Take ranges that come from
    /// a user through [`slice`](Self::slice), which reports them.
    pub fn images_f32(&self, range: Range<usize>) -> Array4<f32> {
        let count = self.labels[range.clone()].len();
        let size = self.image_size();
        let pixels = &self.images[range.start * size..range.end * size];
        // A division a pixel would be the slowest part of the loop; there are only 256 quotients.
        let quotients: [f32; 256] = std::array::from_fn(|pixel| pixel as f32 / 255.0);
        let mut pixels = pixels.iter();
        // `from_shape_fn` visits in memory order, which is that of the bytes.
        Array4::from_shape_simple_fn((count, self.channels, self.height, self.width), || {
            pixels.next().map_or(0.0, |&pixel| quotients[usize::from(pixel)])
        })
    }

    /// Bytes of one image.
    fn image_size(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// Dimensions for an error; a file may have 255.
fn shown(dims: &[usize]) -> String {
    match dims.len() {
        0..=8 => format!("{dims:?}"),
        count => format!("{count}"),
    }
}

/// Bytes of an image of `shape`, or what is wrong with it.
fn image_size(shape: [usize; 3]) -> Result<usize, String> {
    let [channels, height, width] = shape;
    channels
        .checked_mul(height)
        .and_then(|size| size.checked_mul(width))
        .filter(|&size| size > 0)
        .ok_or_else(|| format!("images of {channels} x {height} x {width} pixels hold nothing"))
}

/// Names the first label that is no class.
fn check_labels(labels: &[u8], classes: usize) -> Result<(), String> {
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
            (2, false, [2, 2, 3], 10)
        );
        assert_eq!(set.image(1)[0], 120);
        assert_eq!((set.label(1), set.labels()), (9, &[3, 9][..]));
        let images = set.images_f32(0..2);
        assert_eq!(images.shape(), [2, 2, 2, 3]);
        for ((n, c, y, x), &value) in images.indexed_iter() {
            let pixel = set.image(n)[(c * 2 + y) * 3 + x];
            assert_eq!(value.to_bits(), (pixel as f32 / 255.0).to_bits());
        }
        assert_eq!(set.images_f32(2..2).shape(), [0, 2, 2, 3]);
    }

    #[test]
    fn slices_hold_what_was_asked_for_or_say_how_many_there_are() {
        let set = two();
        let second = set.slice(1, 1).unwrap();
        assert_eq!((second.len(), second.label(0), second.image(0)), (1, 9, set.image(1)));
        assert!(set.slice(2, 0).unwrap().is_empty());
        for (first, count) in [(0, 3), (2, 1), (usize::MAX, 2)] {
            let problem = set.slice(first, count).unwrap_err().to_string();
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
        assert!(make(0, &[], [usize::MAX, 2, 2], 10).contains("hold nothing"));
        assert!(make(4, &[0], [1, 2, 2], 0).contains("1 to 256"));
        assert!(make(4, &[0], [1, 2, 2], 257).contains("257 classes"));
    }

    #[test]
    fn a_missing_file_is_named_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let problem = Dataset::load(folder.path(), Split::Test).unwrap_err().to_string();
        let expected = format!(
            "{}: no file t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz;",
            folder.path().display()
        );
        assert!(problem.starts_with(&expected), "{problem}");
    }
}
