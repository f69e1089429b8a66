//! The formats of data sets, one per file.

pub(super) mod cifar;
pub(super) mod idx;
mod mat;
mod mnist;
#[cfg(feature = "npz")]
mod npz;
#[cfg(feature = "png")]
mod png_file;
mod png_folder;

use super::Dataset;
use super::files::Split;
use crate::Result;
use std::fmt;
use std::path::{Path, PathBuf};

/// The most pixels of one half of a data set: six times CIFAR's.
const MOST_PIXELS: usize = 1 << 30;

/// The most bytes that the files or arrays of one half may unpack to: a few kilobytes can hold gigabytes of zeros.
const MOST_UNPACKED: u64 = 1 << 30;

/// Files of one half of a data set that are not there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// Their usual names.
    pub names: Vec<String>,
    /// Whether other files of the half are there.
    pub partly: bool,
}

/// How a data set's files are made and named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// MNIST's: a folder of IDX files, gzipped or not.
    Idx,
    /// CIFAR-10's binary version: a folder of `data_batch_1.bin` and on, and `test_batch.bin`.
    Cifar10,
    /// CIFAR-100's binary version: a folder of `train.bin` and `test.bin`; the fine labels are taken.
    Cifar100,
    /// SVHN's: a folder of `train_32x32.mat` and `test_32x32.mat` (MATLAB, version 5).
    Svhn,
    /// numpy's: a folder of `train.npz` and `test.npz`, or one file.
    Npz,
    /// A folder `train` and a folder `test`, in each a folder a class, in it PNG files.
    PngFolder,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Idx, Self::Cifar10, Self::Cifar100, Self::Svhn, Self::Npz, Self::PngFolder];

    /// The files or folders that hold one half of a data set at `place`.
    ///
    /// # Errors
    /// Those that are missing.
    pub(super) fn files(self, place: &Path, split: Split) -> Result<Vec<PathBuf>, Missing> {
        match self {
            Self::Idx => mnist::files(place, split),
            Self::Cifar10 | Self::Cifar100 => cifar::files(self, place, split),
            Self::Svhn => mat::files(place, split),
            Self::Npz => npz_files(place, split),
            Self::PngFolder => png_folder::files(place, split),
        }
    }

    /// The classes that the labels of both halves speak of, as far as these are there.
    pub(super) fn classes(self, place: &Path) -> Result<usize> {
        match self {
            Self::Idx => mnist::classes(place),
            Self::Cifar10 | Self::Svhn => Ok(10),
            Self::Cifar100 => Ok(100),
            #[cfg(feature = "npz")]
            Self::Npz => npz::classes(place),
            #[cfg(not(feature = "npz"))]
            Self::Npz => Err(unreadable(place, "npz")),
            Self::PngFolder => Ok(png_folder::class_names(place)?.len()),
        }
    }

    /// Reads one split of a data set with `classes` classes.
    pub(super) fn read(self, place: &Path, split: Split, classes: usize) -> Result<Dataset> {
        match self {
            Self::Idx => mnist::read(place, split, classes),
            Self::Cifar10 | Self::Cifar100 => cifar::read(self, place, split),
            Self::Svhn => mat::read(place, split),
            #[cfg(feature = "npz")]
            Self::Npz => npz::read(place, split, classes),
            #[cfg(not(feature = "npz"))]
            Self::Npz => Err(unreadable(place, "npz")),
            Self::PngFolder => png_folder::read(place, split),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idx => "IDX files",
            Self::Cifar10 => "CIFAR-10's binary files",
            Self::Cifar100 => "CIFAR-100's binary files",
            Self::Svhn => "SVHN's MATLAB files",
            Self::Npz => "npz files",
            Self::PngFolder => "PNG files in a folder a class",
        })
    }
}

/// The file of one half, which may be that of both.
fn npz_files(place: &Path, split: Split) -> Result<Vec<PathBuf>, Missing> {
    if place.is_file() {
        return Ok(vec![place.to_owned()]);
    }
    all_there(place, &[&format!("{split}.npz")])
}

/// That this build reads no such files.
#[cfg(not(all(feature = "npz", feature = "png")))]
fn unreadable(path: &Path, feature: &str) -> crate::Error {
    let problem = format!("{feature} files cannot be read: built without the feature `{feature}`");
    crate::Error::format(path, problem)
}

/// The files of these names in `place`, or those that are missing.
fn all_there(place: &Path, names: &[&str]) -> Result<Vec<PathBuf>, Missing> {
    let found = names.iter().map(|name| Some(place.join(name)).filter(|path| path.is_file()));
    sorted_out(names, found)
}

/// The files, in the order of their usual names, if all of them were found, else those that were not.
fn sorted_out(
    names: &[&str],
    found: impl Iterator<Item = Option<PathBuf>>,
) -> Result<Vec<PathBuf>, Missing> {
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for (name, path) in names.iter().zip(found) {
        match path {
            Some(path) => files.push(path),
            None => missing.push((*name).to_owned()),
        }
    }
    match missing.is_empty() {
        true => Ok(files),
        false => Err(Missing { names: missing, partly: !files.is_empty() }),
    }
}

/// Refuses bytes of which the largest is 1: who wrote them meant white, and they would be nearly black.
fn refuse_ones(pixels: &[u8], instead: &str) -> Result<(), String> {
    match pixels.iter().max() {
        Some(1) => Err(format!(
            "its largest byte is 1, which is 1/255 and nearly black; if it stands for white, {instead}"
        )),
        _ => Ok(()),
    }
}

/// A missing file, as an error; callers have looked before.
fn missing(place: &Path, missing: &Missing) -> crate::Error {
    crate::Error::NotFound(format!(
        "{}: no file {}; `deepsleep-cli data fetch` gets the data sets it knows",
        place.display(),
        missing.names.join(", ")
    ))
}
