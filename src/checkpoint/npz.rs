//! Named arrays as numpy keeps them (`numpy.load("file.npz")`).
//!
//! ```
//! use deepsleep::checkpoint::{Column, Npz};
//!
//! let mut npz = Npz::default();
//! npz.floats("images", &[2, 3], vec![0.5; 6])?;
//! npz.integers("labels", vec![4, 7]);
//! npz.words("status", ["fooled", "survived"]);
//! let file = tempfile::NamedTempFile::new().unwrap();
//! npz.save(file.path())?;
//! let loaded = Npz::load(file.path())?;
//! assert_eq!(loaded.get("labels"), npz.get("labels"));
//! assert!(matches!(loaded.get("images"), Some(Column::Floats(images)) if images.shape() == [2, 3]));
//! # Ok::<(), deepsleep::Error>(())
//! ```

use crate::files::write_atomically;
use crate::{Error, Result};
use ndarray::{Array1, ArrayD, ArrayViewD, IxDyn};
use ndarray_npy::{NpzWriter, ViewNpyExt, WritableElement, WriteDataError};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

/// Letters that a word of a file has room for.
const LETTERS: usize = 24;

/// Bytes of an array's header.
const MOST_HEADER: usize = 10_000;

/// Brackets in brackets of an array's header.
const MOST_BRACKETS: usize = 4;

/// One array.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
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
#[derive(Clone, Debug, Default)]
pub struct Npz {
    columns: BTreeMap<String, Column>,
    /// Where it was read from, for errors.
    path: PathBuf,
}

/// A word as numpy keeps it: 32 bits a letter, zeros behind it.
struct Word([u32; LETTERS]);

impl WritableElement for Word {
    fn type_descriptor() -> py_literal::Value {
        py_literal::Value::String(format!("<U{LETTERS}"))
    }

    fn write<W: Write>(&self, mut writer: W) -> Result<(), WriteDataError> {
        for letter in self.0 {
            writer.write_all(&letter.to_le_bytes())?;
        }
        Ok(())
    }

    fn write_slice<W: Write>(slice: &[Self], mut writer: W) -> Result<(), WriteDataError> {
        slice.iter().try_for_each(|word| word.write(&mut writer))
    }
}

impl Word {
    fn new(text: &str) -> Self {
        let mut letters = [0; LETTERS];
        letters.iter_mut().zip(text.chars()).for_each(|(to, letter)| *to = u32::from(letter));
        Self(letters)
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
        self.columns.insert(name.to_owned(), Column::Floats(array));
        Ok(())
    }

    /// Adds whole numbers in a row.
    pub fn integers(&mut self, name: &str, values: Vec<i64>) {
        let array = Array1::from_vec(values).into_dyn();
        self.columns.insert(name.to_owned(), Column::Integers(array));
    }

    /// Adds bytes in a row, as numpy has no text of any length: `bytes(file["name"]).decode()`.
    pub fn text(&mut self, name: &str, text: &str) {
        let array = Array1::from_vec(text.as_bytes().to_vec()).into_dyn();
        self.columns.insert(name.to_owned(), Column::Bytes(array));
    }

    /// Adds words of at most 24 letters; what is longer is cut.
    pub fn words<T: Into<String>>(&mut self, name: &str, words: impl IntoIterator<Item = T>) {
        let words = words.into_iter().map(Into::into).collect();
        self.columns.insert(name.to_owned(), Column::Words(words));
    }

    /// The array of this name.
    pub fn get(&self, name: &str) -> Option<&Column> {
        self.columns.get(name)
    }

    /// The names of all arrays, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(String::as_str)
    }

    fn missing(&self, name: &str, kind: &str) -> Error {
        let names: Vec<&str> = self.names().collect();
        let problem = format!("has no {kind} `{name}`; it has {}", names.join(", "));
        Error::format(&self.path, problem)
    }

    /// The floats of this name.
    ///
    /// # Errors
    /// If there are none; the file is named.
    pub fn expect_floats(&self, name: &str) -> Result<&ArrayD<f32>> {
        match self.get(name) {
            Some(Column::Floats(array)) => Ok(array),
            _ => Err(self.missing(name, "floats")),
        }
    }

    /// The integers of this name, which are as many as this.
    ///
    /// # Errors
    /// If there are none, or not as many; the file is named.
    pub fn expect_integers(&self, name: &str, count: usize) -> Result<Vec<i64>> {
        match self.get(name) {
            Some(Column::Integers(array)) if array.shape() == [count] => {
                Ok(array.iter().copied().collect())
            }
            Some(Column::Integers(array)) => {
                let problem = format!("`{name}` has shape {:?}, expected [{count}]", array.shape());
                Err(Error::format(&self.path, problem))
            }
            _ => Err(self.missing(name, "integers")),
        }
    }

    /// The text of this name.
    ///
    /// # Errors
    /// If there is none, or it is not UTF-8; the file is named.
    pub fn expect_text(&self, name: &str) -> Result<String> {
        let Some(Column::Bytes(array)) = self.get(name) else {
            return Err(self.missing(name, "text"));
        };
        String::from_utf8(array.iter().copied().collect())
            .map_err(|_| Error::format(&self.path, format!("`{name}` is not UTF-8")))
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file as bytes.
    ///
    /// # Errors
    /// If the format refuses.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        // Without a clock: every file is of 1980.
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        let mut writer = NpzWriter::new_with_options(Cursor::new(Vec::new()), options);
        for (name, column) in &self.columns {
            let done = match column {
                Column::Floats(array) => writer.add_array(name, array),
                Column::Integers(array) => writer.add_array(name, array),
                Column::Bytes(array) => writer.add_array(name, array),
                Column::Words(words) => {
                    let words: Array1<Word> = words.iter().map(|word| Word::new(word)).collect();
                    writer.add_array(name, &words)
                }
            };
            done.map_err(|e| Error::argument("npz", format!("`{name}` cannot be written: {e}")))?;
        }
        let cursor = writer
            .finish()
            .map_err(|e| Error::argument("npz", format!("cannot be written: {e}")))?;
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

    /// Reads a file. Floats and integers of other widths are converted; arrays of anything else are left out.
    ///
    /// # Errors
    /// If the file cannot be read or is not what the format requires.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|e| Error::io(path, "read", e))?;
        Self::read(file, path)
    }

    /// Reads the content of a file; `path` is what errors name.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn read(content: impl Read + Seek, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let fail = |e: String| Error::format(path, format!("not a readable npz file: {e}"));
        let mut zip = zip::ZipArchive::new(content).map_err(|e| fail(e.to_string()))?;
        let mut columns = BTreeMap::new();
        for i in 0..zip.len() {
            let mut entry = zip.by_index(i).map_err(|e| fail(e.to_string()))?;
            let name = entry.name().strip_suffix(".npy").unwrap_or(entry.name()).to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(|e| fail(format!("`{name}`: {e}")))?;
            check_header(&bytes).map_err(|e| fail(format!("`{name}`: {e}")))?;
            if let Some(column) = column(&bytes).map_err(|e| fail(format!("`{name}`: {e}")))? {
                columns.insert(name, column);
            }
        }
        Ok(Self { columns, path: path.to_owned() })
    }
}

/// Refuses headers that the parser behind [`column`] is no match for: it reserves whatever length they claim, recurses
/// with every bracket, and takes several attempts at each, which take several at those inside. numpy has the same limit
/// of length; brackets in brackets are 2 for numbers, 4 for records.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    let (start, length) = match *bytes {
        [_, _, _, _, _, _, 1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([a, b]))),
        [_, _, _, _, _, _, _, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        _ => return Err("shorter than any header".into()),
    };
    if length > MOST_HEADER {
        return Err(format!("a header of {length} bytes; at most {MOST_HEADER} are read"));
    }
    let (mut depth, mut quote) = (0_usize, None);
    for &byte in bytes.iter().skip(start).take(length) {
        match (byte, quote) {
            // It might hide the end of a string; numpy writes it for names of records at most.
            (b'\\', _) => return Err("a backslash in its header".into()),
            (b'\'' | b'"', None) => quote = Some(byte),
            (_, Some(open)) => quote = Some(open).filter(|&open| open != byte),
            (b'(' | b'[' | b'{', None) => depth += 1,
            (b')' | b']' | b'}', None) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MOST_BRACKETS {
            return Err(format!("more than {MOST_BRACKETS} brackets in brackets in its header"));
        }
    }
    Ok(())
}

/// The array in these bytes, if it is of a kind that we read. Looked at where it lies: a header that promises more than
/// there is costs no memory.
fn column(bytes: &[u8]) -> Result<Option<Column>, ndarray_npy::ViewNpyError> {
    use ndarray_npy::ViewNpyError::WrongDescriptor;
    macro_rules! attempt {
        ($element:ty, $convert:expr) => {
            match ArrayViewD::<$element>::view_npy(bytes) {
                Ok(array) => return Ok(Some($convert(array))),
                Err(WrongDescriptor(_)) => {}
                Err(error) => return Err(error),
            }
        };
    }
    attempt!(f32, |a: ArrayViewD<'_, f32>| Column::Floats(a.to_owned()));
    attempt!(i64, |a: ArrayViewD<'_, i64>| Column::Integers(a.to_owned()));
    attempt!(u8, |a: ArrayViewD<'_, u8>| Column::Bytes(a.to_owned()));
    attempt!(f64, |a: ArrayViewD<'_, f64>| Column::Floats(a.mapv(|v| v as f32)));
    attempt!(i32, |a: ArrayViewD<'_, i32>| Column::Integers(a.mapv(i64::from)));
    Ok(None)
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
            (1, nested("(", 9000), "brackets"),
            (1, nested("[", 100), "brackets"),
            (2, nested("{", 100), "brackets"),
            (1, hidden, "brackets"),
            (1, nested("'\\'", 1), "backslash"),
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
