//! SVHN's cropped digits: MATLAB files of version 5 with arrays `X` (32 x 32 x 3 x N bytes) and `y` (N labels, 10 for 0).
//! Of MATLAB's format only what these files need is read: numeric arrays, little-endian, compressed or not.

use super::{MOST_UNPACKED, Missing, all_there, missing, refuse_ones};
use crate::data::Dataset;
use crate::data::files::Split;
use crate::files::read_regular;
use crate::tensor::Shape;
use crate::{Error, Result};
use flate2::read::ZlibDecoder;
use std::io::Read;
use std::path::{Path, PathBuf};

const MOST: u64 = 1 << 30;

/// Types of elements.
/// A flag of an array whose bytes are true or false.
const LOGICAL: u8 = 2;
const COMPRESSED: u32 = 15;
const MATRIX: u32 = 14;

pub(super) fn files(place: &Path, split: Split) -> Result<Vec<PathBuf>, Missing> {
    all_there(place, &[&format!("{split}_32x32.mat")])
}

pub(super) fn read(place: &Path, split: Split) -> Result<Dataset> {
    let paths = files(place, split).map_err(|m| missing(place, &m))?;
    let content = read_regular(&paths[0], MOST)?;
    dataset(&content, MOST_UNPACKED).map_err(|problem| Error::format(&paths[0], problem))
}

/// The data set in a file whose compressed arrays may unpack to `most` bytes.
fn dataset(content: &[u8], most: u64) -> Result<Dataset, String> {
    let (mut images, mut labels) = (None, None);
    if content.starts_with(b"MATLAB 7.3") {
        return Err("a MATLAB file of version 7.3, which is HDF5; version 5 is read: save it with `-v7`, or read it with \
                    h5py and write each array's `.T` with scipy.io.savemat"
            .into());
    }
    if content.get(124..128) != Some(&[0, 1, b'I', b'M']) {
        return Err("not a MATLAB file of version 5, little-endian".into());
    }
    let (mut rest, mut left) = (&content[128..], most);
    while !rest.is_empty() && (images.is_none() || labels.is_none()) {
        let (kind, data, after) = element(rest)?;
        rest = after;
        let mut unpacked = Vec::new();
        let matrix = match kind {
            COMPRESSED => {
                let read = ZlibDecoder::new(data).take(left + 1).read_to_end(&mut unpacked);
                read.map_err(|error| format!("damaged: {error}"))?;
                left = left
                    .checked_sub(unpacked.len() as u64)
                    .ok_or_else(|| format!("its arrays unpack to more than {most} bytes"))?;
                match element(&unpacked)? {
                    (MATRIX, matrix, _) => matrix,
                    _ => continue,
                }
            }
            MATRIX => data,
            _ => continue,
        };
        match array(matrix)? {
            (b"X", dims, 2, bytes) => images = Some((dims, bytes.to_vec())),
            (b"X", _, kind, _) => {
                let kind = type_name(kind);
                return Err(format!("`X` holds {kind}; expected bytes (uint8) from 0 to 255"));
            }
            (b"y", _, kind, bytes) => labels = Some(numbers(kind, bytes)?),
            _ => {}
        }
    }
    let (Some((dims, pixels)), Some(labels)) = (images, labels) else {
        return Err("it lacks `X` of bytes or `y` of labels".into());
    };
    let &[height, width, channels, count] = &dims[..] else {
        return Err(format!("`X` of {dims:?}; expected height x width x channels x images"));
    };
    let shape = Shape::new(channels, height, width);
    let size = channels.checked_mul(height).and_then(|all| all.checked_mul(width));
    let whole = size.filter(|&s| s > 0).and_then(|size| size.checked_mul(count));
    if whole != Some(pixels.len()) || count != labels.len() {
        let (bytes, labels) = (pixels.len(), labels.len());
        return Err(format!("`X` of {dims:?} in {bytes} bytes, and {labels} labels"));
    }
    refuse_ones(&pixels, "write bytes from 0 to 255")
        .map_err(|problem| format!("`X`: {problem}"))?;
    // MATLAB's first axis is the fastest: columns of an image lie in a row.
    let mut images = Vec::with_capacity(pixels.len());
    for map in pixels.chunks_exact(height * width) {
        images.extend((0..height).flat_map(|y| (0..width).map(move |x| map[x * height + y])));
    }
    Dataset::new(images, labels, shape, 10).map_err(|error| error.to_string())
}

/// Type and data of an element, and what follows it.
fn element(bytes: &[u8]) -> Result<(u32, &[u8], &[u8]), String> {
    let short = || "truncated".to_owned();
    let word = |at: usize| {
        let word = bytes.get(at..at + 4).and_then(|word| word.first_chunk());
        word.copied().map(u32::from_le_bytes).ok_or_else(short)
    };
    let first = word(0)?;
    // A small element keeps its length in the upper half, and its data in the second word.
    if first >> 16 != 0 {
        let data = bytes.get(4..4 + (first >> 16) as usize).filter(|data| data.len() <= 4);
        return Ok((first & 0xffff, data.ok_or_else(short)?, bytes.get(8..).ok_or_else(short)?));
    }
    let length = word(4)? as usize;
    let (data, after) = bytes[8..].split_at_checked(length).ok_or_else(short)?;
    // Elements begin at multiples of 8, but for compressed ones.
    let padding = if first == COMPRESSED { 0 } else { length.wrapping_neg() % 8 };
    Ok((first, data, after.get(padding..).unwrap_or_default()))
}

/// A named numeric array: name, dimensions, type of its numbers, their bytes.
type MatArray<'a> = (&'a [u8], Vec<usize>, u32, &'a [u8]);

fn array(matrix: &[u8]) -> Result<MatArray<'_>, String> {
    let (_, flags, rest) = element(matrix)?;
    if flags.get(1).is_some_and(|flags| flags & LOGICAL != 0) {
        return Err("an array is logical; expected numbers".into());
    }
    let (_, dims, rest) = element(rest)?;
    let (_, name, rest) = element(rest)?;
    let (kind, data, _) = element(rest)?;
    let dims = dims.as_chunks().0.iter().map(|&side| u32::from_le_bytes(side) as usize).collect();
    Ok((name, dims, kind, data))
}

/// MATLAB's types of numbers, in words.
fn type_name(kind: u32) -> String {
    match kind {
        1 => "signed bytes (int8)".into(),
        2 => "bytes (uint8)".into(),
        3 | 4 => "16-bit whole numbers".into(),
        5 | 6 => "32-bit whole numbers".into(),
        7 => "32-bit floats (single)".into(),
        9 => "64-bit floats (double)".into(),
        12 | 13 => "64-bit whole numbers".into(),
        other => format!("numbers of MATLAB's type {other}"),
    }
}

/// Labels of 1 to 10, where 10 is the digit 0.
fn numbers(kind: u32, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let values: Vec<f64> = match kind {
        1 | 2 => bytes.iter().map(|&byte| f64::from(byte)).collect(),
        4 => bytes.as_chunks().0.iter().map(|&v| f64::from(u16::from_le_bytes(v))).collect(),
        5 => bytes.as_chunks().0.iter().map(|&v| f64::from(i32::from_le_bytes(v))).collect(),
        9 => bytes.as_chunks().0.iter().map(|&v| f64::from_le_bytes(v)).collect(),
        _ => {
            let kind = type_name(kind);
            return Err(format!(
                "`y` holds {kind}; expected bytes, 16-bit or 32-bit whole numbers, or 64-bit floats"
            ));
        }
    };
    let class = |(i, &value): (usize, &f64)| {
        let class = (0..=10).find(|&class| f64::from(class) == value);
        let class = class.ok_or_else(|| format!("label number {i} is {value}, not 1 to 10"))?;
        Ok(class % 10)
    };
    values.iter().enumerate().map(class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    /// An element as a file holds it, filled to a multiple of 8.
    fn bytes_of(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn compressed(name: &[u8], dims: &[u32], data: &[u8]) -> Vec<u8> {
        let dims: Vec<u8> = dims.iter().flat_map(|side| side.to_le_bytes()).collect();
        let parts =
            [bytes_of(6, &[0; 8]), bytes_of(5, &dims), bytes_of(1, name), bytes_of(2, data)];
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes_of(MATRIX, &parts.concat())).expect("memory");
        let packed = encoder.finish().expect("memory");
        let mut bytes = [COMPRESSED.to_le_bytes(), (packed.len() as u32).to_le_bytes()].concat();
        bytes.extend(packed);
        bytes
    }

    #[test]
    fn compressed_arrays_are_read_up_to_a_limit_in_all() {
        let mut file = vec![b' '; 124];
        file.extend([0, 1, b'I', b'M']);
        file.extend(compressed(b"other", &[1, 5000], &[0; 5000]));
        file.extend(compressed(b"X", &[1, 2, 1, 2], &[1, 2, 3, 4]));
        file.extend(compressed(b"y", &[2, 1], &[10, 1]));
        let set = dataset(&file, 6000).expect("two images");
        assert_eq!((set.labels(), set.image(1)[1]), (&[0, 1][..], 4.0 / 255.0));
        let logical = bytes_of(6, &[0, LOGICAL, 0, 0, 0, 0, 0, 0]);
        assert!(array(&logical).expect_err("true or false").contains("logical"));
        for most in [100, 5000, 5200] {
            let problem = dataset(&file, most).expect_err("a bomb");
            assert_eq!(problem, format!("its arrays unpack to more than {most} bytes"));
        }
    }
}
