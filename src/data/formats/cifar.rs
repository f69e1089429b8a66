//! CIFAR's binary version: records of one or two labels and 3 x 32 x 32 bytes, red before green before blue.

use super::{Format, Missing, all_there, missing, refuse_ones};
use crate::data::Dataset;
use crate::data::files::Split;
use crate::files::read_regular;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Bytes of an image.
const IMAGE: usize = 3 * 32 * 32;

/// The largest file: CIFAR-100's have 154 MB.
const MOST: u64 = 1 << 28;

const BATCHES: [&str; 5] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
];

pub(super) fn files(format: Format, place: &Path, split: Split) -> Result<Vec<PathBuf>, Missing> {
    all_there(
        place,
        match (format, split) {
            (Format::Cifar100, Split::Train) => &["train.bin"],
            (Format::Cifar100, Split::Test) => &["test.bin"],
            (_, Split::Train) => &BATCHES,
            (_, Split::Test) => &["test_batch.bin"],
        },
    )
}

/// That CIFAR's Python version is at this place or right below, and the format of its data set; None if it is not there.
pub(in crate::data) fn python_version(place: &Path) -> Option<(Format, String)> {
    let holds =
        |folder: &Path, names: &[&str]| names.iter().all(|name| folder.join(name).is_file());
    [
        ("cifar-10-batches-py", &["test_batch"][..], Format::Cifar10),
        ("cifar-100-python", &["test", "meta"], Format::Cifar100),
    ]
    .into_iter()
    .find_map(|(usual, names, format)| {
        let folders = [place.to_owned(), place.join(usual)];
        let found = folders.into_iter().find(|folder| {
            holds(folder, names) || (folder.ends_with(usual) && folder.is_dir())
        });
        found.map(|folder| {
            let name = if format == Format::Cifar10 { "10" } else { "100" };
            let shown = if folder == place { "it".into() } else { folder.display().to_string() };
            let problem = format!(
                "{shown} holds the Python version of CIFAR-{name} (pickles); the binary version is read, which \
                 `deepsleep-cli data fetch cifar-{name}` gets"
            );
            (format, problem)
        })
    })
}

pub(super) fn read(format: Format, place: &Path, split: Split) -> Result<Dataset> {
    // CIFAR-100 has a coarse label before the fine one.
    let (before, classes) = if format == Format::Cifar100 { (2, 100) } else { (1, 10) };
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for path in files(format, place, split).map_err(|m| missing(place, &m))? {
        records(&path, before, classes, &mut images, &mut labels)?;
    }
    refuse_ones(&images, "write bytes from 0 to 255")
        .map_err(|problem| Error::format(place, problem))?;
    Dataset::new(images, labels, [3, 32, 32], classes).map_err(|error| error.in_file(place))
}

/// Appends the records of a file.
fn records(
    path: &Path,
    before: usize,
    classes: usize,
    images: &mut Vec<u8>,
    labels: &mut Vec<u8>,
) -> Result<()> {
    let content = read_regular(path, MOST)?;
    let record = before + IMAGE;
    if content.is_empty() || !content.len().is_multiple_of(record) {
        let problem = format!(
            "{} bytes are not a whole number of records of {record} ({before} of labels and 3x32x32 pixels)",
            content.len()
        );
        return Err(Error::format(path, problem));
    }
    for (i, record) in content.chunks_exact(record).enumerate() {
        let label = record[before - 1];
        if usize::from(label) >= classes {
            let problem =
                format!("label number {i} is {label}, but the classes are 0 to {}", classes - 1);
            return Err(Error::format(path, problem));
        }
        labels.push(label);
        images.extend_from_slice(&record[before..]);
    }
    Ok(())
}
