//! MNIST's four IDX files in a folder, or any pair of image and label files.

use super::idx::IdxArray;
use super::{Missing, missing, refuse_ones, sorted_out};
use crate::data::Dataset;
use crate::data::dataset::{check_labels, image_size};
use crate::data::files::{IdxPart, Split, file_name, find_agreed, find_file};
use crate::tensor::Shape;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Classes of MNIST and of everything made in its likeness.
const CLASSES: usize = 10;

pub(super) fn files(place: &Path, split: Split) -> Result<Vec<PathBuf>, Missing> {
    let parts = [IdxPart::Images, IdxPart::Labels];
    let found = parts.into_iter().map(|part| find_file(place, split, part));
    sorted_out(&parts.map(|part| file_name(split, part)), found)
}

pub(super) fn classes(place: &Path) -> Result<usize> {
    let mut most = 0;
    for split in [Split::Train, Split::Test] {
        if let Some(path) = find_agreed(place, split, IdxPart::Labels)? {
            let labels = IdxArray::open(path)?;
            most = labels.data().iter().fold(most, |most, &label| most.max(usize::from(label)));
        }
    }
    Ok(most + 1)
}

pub(super) fn read(place: &Path, split: Split, classes: usize) -> Result<Dataset> {
    files(place, split).map_err(|m| missing(place, &m))?;
    let found = [IdxPart::Images, IdxPart::Labels].map(|part| find_agreed(place, split, part));
    match found {
        [Ok(Some(images)), Ok(Some(labels))] => Dataset::from_idx_of(&images, &labels, classes),
        [Err(error), _] | [_, Err(error)] => Err(error),
        _ => Err(Error::NotFound(format!("{}: no images and labels", place.display()))),
    }
}

impl Dataset {
    /// Reads an IDX file of images (`[N, H, W]`, or `[N, C, H, W]`) and one of labels (`[N]`, below 10), each gzipped
    /// or not.
    ///
    /// # Errors
    /// Those of [`IdxArray::open`], and [`Error::Format`] for wrong dimensions, counts that disagree or labels out of
    /// range; all name the file.
    pub fn from_idx(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Self> {
        Self::from_idx_of(images.as_ref(), labels.as_ref(), CLASSES)
    }

    /// [`from_idx`](Self::from_idx) with another number of classes.
    fn from_idx_of(images_path: &Path, labels_path: &Path, classes: usize) -> Result<Self> {
        // The small file first: its faults show at once.
        let labels = IdxArray::open(labels_path)?;
        let &[label_count] = labels.dims() else {
            let problem = format!("labels need 1 dimension, found {}", shown(labels.dims()));
            return Err(Error::format(labels_path, problem));
        };
        check_labels(labels.data(), classes)
            .map_err(|problem| Error::format(labels_path, problem))?;
        let images = IdxArray::open(images_path)?;
        let (count, shape) = match *images.dims() {
            [count, height, width] => (count, Shape::new(1, height, width)),
            [count, channels, height, width] => (count, Shape::new(channels, height, width)),
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
        refuse_ones(images.data(), "write bytes from 0 to 255")
            .map_err(|problem| Error::format(images_path, problem))?;
        Self::new(images.into_data(), labels.into_data(), shape, classes)
            .map_err(|error| error.in_file(images_path))
    }
}

/// Dimensions for an error; a file may have 255.
fn shown(dims: &[usize]) -> String {
    match dims.len() {
        0..=8 => format!("{dims:?}"),
        count => format!("{count}"),
    }
}
