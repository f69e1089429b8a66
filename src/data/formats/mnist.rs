//! MNIST's four IDX files in a folder.

use super::idx::IdxArray;
use super::{Missing, missing, sorted_out};
use crate::data::Dataset;
use crate::data::files::{Part, Split, file_name, find_agreed, find_file};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

pub(super) fn files(place: &Path, split: Split) -> Result<Vec<PathBuf>, Missing> {
    let parts = [Part::Images, Part::Labels];
    let found = parts.into_iter().map(|part| find_file(place, split, part));
    sorted_out(&parts.map(|part| file_name(split, part)), found)
}

pub(super) fn classes(place: &Path) -> Result<usize> {
    let mut most = 0;
    for split in [Split::Train, Split::Test] {
        if let Some(path) = find_agreed(place, split, Part::Labels)? {
            let labels = IdxArray::open(path)?;
            most = labels.data().iter().fold(most, |most, &label| most.max(usize::from(label)));
        }
    }
    Ok(most + 1)
}

pub(super) fn read(place: &Path, split: Split, classes: usize) -> Result<Dataset> {
    files(place, split).map_err(|m| missing(place, &m))?;
    let found = [Part::Images, Part::Labels].map(|part| find_agreed(place, split, part));
    match found {
        [Ok(Some(images)), Ok(Some(labels))] => Dataset::from_idx_of(&images, &labels, classes),
        [Err(error), _] | [_, Err(error)] => Err(error),
        _ => Err(Error::NotFound(format!("{}: no images and labels", place.display()))),
    }
}
