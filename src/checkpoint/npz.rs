//! Named arrays in numpy's archive format (`numpy.load("file.npz")`).
//!
//! ```
//! use deepsleep::checkpoint::{NpzArray, Npz};
//!
//! let mut npz = Npz::default();
//! npz.floats("images", &[2, 3], vec![0.5; 6])?;
//! npz.integers("labels", vec![4, 7]);
//! npz.words("status", ["fooled", "survived"]);
//! let file = tempfile::NamedTempFile::new().unwrap();
//! npz.save(file.path())?;
//! let loaded = Npz::load(file.path())?;
//! assert_eq!(loaded.get("labels"), npz.get("labels"));
//! assert!(matches!(loaded.get("images"), Some(NpzArray::Floats(images)) if images.shape() == [2, 3]));
//! # Ok::<(), deepsleep::Error>(())
//! ```

use super::{NpzReader, npy};
use crate::files::write_atomically;
use crate::{Error, Result};
use ndarray::{Array1, ArrayD, IxDyn};
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Letters that a word of a file has room for.
const LETTERS: usize = 24;

/// One array.
#[derive(Clone, Debug, PartialEq)]
pub enum NpzArray {
    /// f4.
    Floats(ArrayD<f32>),
    /// i8.
    Integers(ArrayD<i64>),
    /// u1.
    Bytes(ArrayD<u8>),
    /// U24; written, not read.
    Words(Vec<String>),
}

/// Arrays by name. Equal ones give equal bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Npz {
    columns: BTreeMap<String, NpzArray>,
}

impl NpzArray {
    /// The array as a file of its own.
    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Floats(array) => {
                to.write_all(&npy::header("<f4", array.shape()))?;
                array.iter().try_for_each(|value| to.write_all(&value.to_le_bytes()))
            }
            Self::Integers(array) => {
                to.write_all(&npy::header("<i8", array.shape()))?;
                array.iter().try_for_each(|value| to.write_all(&value.to_le_bytes()))
            }
            Self::Bytes(array) => {
                to.write_all(&npy::header("|u1", array.shape()))?;
                array.iter().try_for_each(|&value| to.write_all(&[value]))
            }
            Self::Words(words) => {
                to.write_all(&npy::header(&format!("<U{LETTERS}"), &[words.len()]))?;
                words.iter().try_for_each(|word| {
                    // 32 bits a letter, zeros behind them.
                    let letters = word.chars().map(u32::from).chain(std::iter::repeat(0));
                    letters.take(LETTERS).try_for_each(|letter| to.write_all(&letter.to_le_bytes()))
                })
            }
        }
    }
}

impl Npz {
    /// Adds numbers of this shape.
    ///
    /// # Errors
    /// If the shape holds another number of them.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> Result<()> {
        let found = format!("{} numbers", values.len());
        let array = ArrayD::from_shape_vec(IxDyn(shape), values)
            .map_err(|_| Error::shape("npz", format!("`{name}` of shape {shape:?}"), found))?;
        self.columns.insert(name.to_owned(), NpzArray::Floats(array));
        Ok(())
    }

    /// Adds whole numbers in a row.
    pub fn integers(&mut self, name: &str, values: Vec<i64>) {
        let array = Array1::from_vec(values).into_dyn();
        self.columns.insert(name.to_owned(), NpzArray::Integers(array));
    }

    /// Adds bytes in a row, as numpy has no text of any length: `bytes(file["name"]).decode()`.
    pub fn text(&mut self, name: &str, text: &str) {
        let array = Array1::from_vec(text.as_bytes().to_vec()).into_dyn();
        self.columns.insert(name.to_owned(), NpzArray::Bytes(array));
    }

    /// Adds words of at most 24 letters; what is longer is cut.
    pub fn words<T: Into<String>>(&mut self, name: &str, words: impl IntoIterator<Item = T>) {
        let words = words.into_iter().map(Into::into).collect();
        self.columns.insert(name.to_owned(), NpzArray::Words(words));
    }

    /// The array of this name.
    pub fn get(&self, name: &str) -> Option<&NpzArray> {
        self.columns.get(name)
    }

    /// The names of all arrays, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(String::as_str)
    }

    /// The file as bytes.
    ///
    /// # Errors
    /// If the format refuses.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        // Without a clock: every file is of 1980. Perturbed pixels hardly get smaller with more effort, which took longer than
        // most attacks.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(1));
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, column) in &self.columns {
            let started = zip.start_file(format!("{name}.npy"), options);
            let done = started.map_err(io::Error::from).and_then(|()| column.write(&mut zip));
            done.map_err(|e| Error::failed("npz", format!("`{name}` cannot be written: {e}")))?;
        }
        let cursor = zip.finish().map_err(|e| Error::failed("npz", e))?;
        Ok(cursor.into_inner())
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let bytes = self.to_bytes()?;
        write_atomically(path.as_ref(), |file| file.write_all(&bytes))
    }

    /// Reads all of a file that is floats, whole numbers or bytes; see [`NpzReader`] for some of it.
    ///
    /// # Errors
    /// If the file cannot be read or is not what the format requires.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::of(NpzReader::open(path)?)
    }

    /// Reads the content of a file; `path` is what errors name.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn read(content: impl Read + Seek, path: impl AsRef<Path>) -> Result<Self> {
        Self::of(NpzReader::new(content, path)?)
    }

    fn of(mut file: NpzReader<impl Read + Seek>) -> Result<Self> {
        let mut columns = BTreeMap::new();
        for name in file.names() {
            let column = file.with(&name, |header, file| {
                if let Some(bytes) = header.bytes(file)? {
                    return Ok(Some(NpzArray::Bytes(bytes)));
                }
                if let Some(integers) = header.integers(file)? {
                    return Ok(Some(NpzArray::Integers(integers)));
                }
                Ok(header.floats(file)?.map(NpzArray::Floats))
            })?;
            if let Some(column) = column {
                columns.insert(name, column);
            }
        }
        Ok(Self { columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An npz file of one array with this header.
    fn with_header(version: u8, length: u32, header: &str) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("images.npy", SimpleFileOptions::default()).expect("memory");
        let width = if version == 1 { 2 } else { 4 };
        zip.write_all(&[0x93, b'N', b'U', b'M', b'P', b'Y', version, 0]).expect("memory");
        zip.write_all(&length.to_le_bytes()[..width]).expect("memory");
        zip.write_all(header.as_bytes()).expect("memory");
        zip.finish().expect("memory").into_inner()
    }

    #[test]
    fn headers_that_would_take_all_memory_stack_or_time_are_refused() {
        let nested = |open: &str, times: usize| format!("{}\n", open.repeat(times));
        // In strings brackets do not count, and do not end what was opened outside of them.
        let hidden = nested("{')))'", 1000);
        for (version, header, part) in [
            (2, "{}\n".to_owned(), "4294967295 bytes"),
            (1, nested("(", 9000), "no header of an array"),
            (1, nested("[", 100), "no header of an array"),
            (2, nested("{", 100), "no header of an array"),
            (1, hidden, "no header of an array"),
            (1, nested("'\\'", 1), "no header of an array"),
        ] {
            let length = if part.contains("bytes") { u32::MAX } else { header.len() as u32 };
            let bytes = with_header(version, length, &header);
            let error = Npz::read(Cursor::new(bytes), "set.npz").expect_err("damage").to_string();
            assert!(error.contains("set.npz") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn records_are_left_out() {
        let header = "{'descr': [('a)', '<f4', (2, 3)), ('b', '<i8')], 'fortran_order': False, 'shape': (0,)}\n";
        let npz = Npz::read(Cursor::new(with_header(1, header.len() as u32, header)), "set.npz");
        assert_eq!(npz.expect("an npz file").names().count(), 0);
    }
}
