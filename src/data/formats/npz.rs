//! numpy's arrays: `images` and `labels` for one half, or `train_images`, `train_labels`, `test_images` and
//! `test_labels` for both.

use super::{MOST_PIXELS, missing, npz_files, refuse_ones};
use crate::checkpoint::{NpzArray, NpzReader};
use crate::data::Dataset;
use crate::data::files::Split;
use crate::files::open_regular;
use crate::foreign::{self, FileKind};
use crate::tensor::Shape;
use crate::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

type ArraysFile = NpzReader<BufReader<File>>;

/// Opens a file of arrays, or says what else it is.
fn open(path: &Path) -> Result<ArraysFile> {
    let mut head = Vec::new();
    let file = open_regular(path, u64::MAX)?;
    let read = file.take(foreign::HEAD as u64).read_to_end(&mut head);
    read.map_err(|error| Error::io(path, "read", error))?;
    match foreign::kind(&head) {
        None | Some(FileKind::Npz | FileKind::Zip) => NpzReader::open(path),
        Some(kind) => {
            let problem = format!(
                "no npz file: it is {}; a data set is one npz file of `images` and `labels`, or a folder (docs/formats.md)",
                kind.name()
            );
            Err(Error::format(path, problem))
        }
    }
}

pub(super) fn classes(place: &Path) -> Result<usize> {
    let mut most = 0;
    for split in [Split::Train, Split::Test] {
        let Ok(files) = npz_files(place, split) else { continue };
        let mut file = open(&files[0])?;
        let prefix = format!("{split}_");
        for prefix in ["", &prefix] {
            if file.has(&format!("{prefix}labels")) {
                let labels = labels(&mut file, prefix)?;
                most = labels.iter().fold(most, |most, &label| most.max(usize::from(label)));
            }
        }
    }
    Ok(most + 1)
}

pub(super) fn read(place: &Path, split: Split, classes: usize) -> Result<Dataset> {
    let files = npz_files(place, split).map_err(|m| missing(place, &m))?;
    let mut file = open(&files[0])?;
    let prefix = format!("{split}_");
    let own = file.has(&format!("{prefix}images"));
    const PLAIN: [&str; 2] = ["images", "labels"];
    const OF_HALVES: [&str; 4] = ["train_images", "train_labels", "test_images", "test_labels"];
    let found = |names: &[&'static str]| names.iter().copied().find(|name| file.has(name));
    if let (Some(plain), Some(of_half)) = (found(&PLAIN), found(&OF_HALVES)) {
        let problem = format!(
            "both `{plain}` and `{of_half}`, so which images are meant is unclear; leave out one kind"
        );
        return Err(Error::format(&files[0], problem));
    }
    if !own && place.is_file() && split == Split::Train && file.has("images") {
        // The same images for both halves would test a network on what it was trained with.
        let problem = "one set of images, which is taken for the test images; for training, name the arrays \
                       train_images, train_labels, test_images and test_labels, or make a folder of train.npz and \
                       test.npz";
        return Err(Error::format(place, problem));
    }
    let prefix = if own { prefix.as_str() } else { "" };
    let labels = labels(&mut file, prefix)?;
    let images = format!("{prefix}images");
    let dims = file.shape(&images)?;
    let fits = dims.iter().try_fold(1_usize, |all, &side| all.checked_mul(side));
    if fits.is_none_or(|pixels| pixels > MOST_PIXELS) {
        let problem = format!("`{images}`: shape {dims:?} has more than {MOST_PIXELS} pixels");
        return Err(Error::format(&files[0], problem));
    }
    let layout =
        Layout::of(&dims).map_err(|p| Error::format(&files[0], format!("`{images}`: {p}")))?;
    let count = dims[0];
    if count != labels.len() {
        let problem = format!("{count} images, but {} labels", labels.len());
        return Err(Error::format(&files[0], problem));
    }
    let set = match file.bytes_or_floats(&images)? {
        NpzArray::Bytes(bytes) => {
            let bytes = layout.ordered(bytes.into_raw_vec_and_offset().0);
            refuse_ones(&bytes, "write floats from 0 to 1, or bytes from 0 to 255")
                .map_err(|p| Error::format(&files[0], format!("`{images}`: {p}")))?;
            Dataset::new(bytes, labels, layout.shape, classes)
        }
        NpzArray::Floats(floats) => {
            let floats = layout.ordered(floats.into_raw_vec_and_offset().0);
            Dataset::from_floats(floats, labels, layout.shape, classes)
        }
        NpzArray::Integers(_) | NpzArray::Words(_) => {
            Err(Error::argument("images", "neither bytes nor floats"))
        }
    };
    set.map_err(|error| error.in_file(&files[0]))
}

/// The labels of one half; they fit a byte.
fn labels(file: &mut ArraysFile, prefix: &str) -> Result<Vec<u8>> {
    let name = format!("{prefix}labels");
    let dims = file.shape(&name)?;
    // N, or N x 1 as some tools write it.
    let rows = match dims[..] {
        [rows] | [rows, 1] if rows <= MOST_PIXELS => rows,
        _ => {
            let problem = format!("`{name}`: shape {dims:?}; expected one number an image");
            return Err(Error::format(file.path(), problem));
        }
    };
    let numbers = file.integers(&name)?;
    let mut labels = Vec::with_capacity(rows.min(numbers.len()));
    for (i, &label) in numbers.iter().enumerate() {
        let Ok(label) = u8::try_from(label) else {
            let problem = format!("`{name}`: number {i} is {label}; classes are 0 to 255");
            return Err(Error::format(file.path(), problem));
        };
        labels.push(label);
    }
    Ok(labels)
}

/// How the axes of an array of images are ordered.
#[derive(Debug, PartialEq)]
struct Layout {
    shape: Shape,
    channels_last: bool,
}

impl Layout {
    /// N x H x W is gray. Of four axes, the channels are the second or the last: the one that is shorter than both others;
    /// if neither is, the one that is 1 or 3 while the other is not. Anything else is refused, not guessed.
    fn of(dims: &[usize]) -> Result<Self, String> {
        let (a, b, c) = match *dims {
            [_, height, width] => {
                return Ok(Self { shape: Shape::new(1, height, width), channels_last: false });
            }
            [_, a, b, c] => (a, b, c),
            _ => {
                return Err(format!(
                    "shape {dims:?}; expected N x C x H x W, N x H x W x C or N x H x W"
                ));
            }
        };
        let few = |side: usize| side == 1 || side == 3;
        let first = (a < b && a < c, few(a) && !few(c));
        let last = (c < a && c < b, few(c) && !few(a));
        let channels_last = match (first, last) {
            ((true, _), _) => false,
            (_, (true, _)) => true,
            ((_, true), _) => false,
            (_, (_, true)) => true,
            _ => {
                return Err(format!(
                    "shape {dims:?} does not say which axis holds the channels; give N x H x W if there is one channel, \
                     or images that are larger than their number of channels"
                ));
            }
        };
        let shape = if channels_last { Shape::new(c, a, b) } else { Shape::new(a, b, c) };
        Ok(Self { shape, channels_last })
    }

    /// The pixels in this crate's order.
    fn ordered<T: Copy>(&self, pixels: Vec<T>) -> Vec<T> {
        let Shape { channels, .. } = self.shape;
        if !self.channels_last || channels == 1 || pixels.is_empty() {
            return pixels;
        }
        let mut out = Vec::with_capacity(pixels.len());
        for image in pixels.chunks_exact(self.shape.features().max(1)) {
            for c in 0..channels {
                out.extend(image.iter().skip(c).step_by(channels));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_found_by_the_rule_or_refused() {
        let of = |dims: &[usize]| Layout::of(dims).map(|l| (l.shape, l.channels_last));
        for (dims, shape, last) in [
            (&[5, 28, 28][..], [1, 28, 28], false),
            (&[5, 3, 32, 32], [3, 32, 32], false),
            (&[5, 32, 32, 3], [3, 32, 32], true),
            (&[5, 28, 28, 1], [1, 28, 28], true),
            (&[5, 4, 16, 8], [4, 16, 8], false),
            (&[5, 1, 1, 8], [1, 1, 8], false),
        ] {
            assert_eq!(of(dims), Ok((Shape::from(shape), last)), "{dims:?}");
        }
        for dims in [&[5, 8, 8, 8][..], &[5, 3, 3, 3], &[5, 3], &[5, 3, 2, 2, 2]] {
            assert!(of(dims).is_err(), "{dims:?}");
        }
    }
}
