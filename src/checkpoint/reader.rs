//! Reads npz files lazily: an array is read only when it is asked for.

use super::npy::Header;
use super::{MOST_BYTES, NpzArray};
use crate::files::open_regular;
use crate::foreign::{self, FileKind};
use crate::wording::{list, shown};
use crate::{Error, Result};
use ndarray::ArrayD;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::result::ZipError;

/// An npz file that is open: any that numpy writes, of floats, whole numbers and text.
///
/// Other files in the archive, and arrays that are not asked for, are not read, whatever they are.
#[derive(Debug)]
pub struct NpzReader<R> {
    zip: ZipArchive<R>,
    /// Where it is read from, for errors.
    path: PathBuf,
}

impl NpzReader<BufReader<File>> {
    /// Opens a file of at most a gigabyte.
    ///
    /// # Errors
    /// If it cannot be read, or is no zip archive.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::new(BufReader::new(open_regular(path, MOST_BYTES)?), path)
    }
}

impl<R: Read + Seek> NpzReader<R> {
    /// Reads the content of a file; `path` is what errors name.
    ///
    /// # Errors
    /// If it is no zip archive.
    pub fn new(mut content: R, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut head = Vec::new();
        let looked = content.by_ref().take(foreign::HEAD as u64).read_to_end(&mut head);
        let looked = looked.and_then(|_| content.seek(SeekFrom::Start(0)));
        looked.map_err(|error| Error::io(path, "read", error))?;
        let zip = ZipArchive::new(content).map_err(|error| {
            let problem = match foreign::kind(&head) {
                Some(FileKind::Npz | FileKind::Zip) | None => match error {
                    ZipError::Io(error) => format!("truncated or damaged ({error})"),
                    other => other.to_string(),
                },
                Some(kind) => format!("it is {}; {}", kind.name(), kind.remedy_for_set()),
            };
            Error::format(path, format!("not a readable npz file: {problem}"))
        })?;
        // PyTorch's files are zip archives too.
        if foreign::kind(&head) == Some(FileKind::PyTorch) {
            let (what, remedy) = (FileKind::PyTorch.name(), FileKind::PyTorch.remedy_for_set());
            let problem = format!("not a readable npz file: it is {what}; {remedy}");
            return Err(Error::format(path, problem));
        }
        Ok(Self { zip, path: path.to_owned() })
    }

    /// Where it is read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all arrays, sorted.
    pub fn names(&self) -> Vec<String> {
        let names = self.zip.file_names().filter_map(|name| name.strip_suffix(".npy"));
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    /// Whether there is an array of this name.
    pub fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{name}.npy")).is_some()
    }

    /// The shape of an array, which is not read for it.
    ///
    /// # Errors
    /// If there is no such array, or it is damaged; the file is named.
    pub fn shape(&mut self, name: &str) -> Result<Vec<usize>> {
        self.with(name, |header, _| Ok(header.shape.clone()))
    }

    /// The floats of this name, of whatever precision: those of 64 bits are rounded.
    ///
    /// # Errors
    /// If there are none, or they are damaged; the file is named.
    pub fn floats(&mut self, name: &str) -> Result<ArrayD<f32>> {
        self.with(name, |header, file| {
            let expected = match header.kind.contains("u1") {
                // 0..=255, or 0 and 1: the numbers do not say.
                true => "floats; pixels are numbers from 0 to 1: (array / 255).astype(\"float32\")",
                false => "floats",
            };
            header.floats(file)?.ok_or_else(|| other(header, expected))
        })
    }

    /// The whole numbers of this name, of whatever width and sign.
    ///
    /// # Errors
    /// If there are none, or they are damaged; the file is named.
    pub fn integers(&mut self, name: &str) -> Result<ArrayD<i64>> {
        self.with(name, |header, file| {
            header.integers(file)?.ok_or_else(|| other(header, "whole numbers (astype(\"int64\"))"))
        })
    }

    /// The bytes or floats of this name, whichever they are.
    ///
    /// # Errors
    /// If they are of another type, or damaged; the file is named.
    pub fn bytes_or_floats(&mut self, name: &str) -> Result<NpzArray> {
        self.with(name, |header, file| {
            if let Some(bytes) = header.bytes(file)? {
                return Ok(NpzArray::Bytes(bytes));
            }
            let floats = header.floats(file)?.map(NpzArray::Floats);
            floats.ok_or_else(|| other(header, "bytes (astype(\"uint8\")) or floats from 0 to 1"))
        })
    }

    /// The text of this name: its bytes in a row, or one string of numpy's.
    ///
    /// # Errors
    /// If there is none, or it is damaged; the file is named.
    pub fn text(&mut self, name: &str) -> Result<String> {
        self.with(name, |header, file| {
            header.text(file)?.ok_or_else(|| other(header, "text: bytes in a row, or one string"))
        })
    }

    /// Opens an array.
    pub(super) fn with<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Header, &mut dyn Read) -> Result<T, String>,
    ) -> Result<T> {
        let fail = |path: &Path, problem: &dyn Display| {
            Error::format(path, format!("`{}`: {problem}", shown(name)))
        };
        if !self.has(name) {
            let names = self.names();
            let names = list(names.iter().map(String::as_str));
            let problem = format!("has no array `{}`; it has {names}", shown(name));
            return Err(Error::format(&self.path, problem));
        }
        let mut file = self.zip.by_name(&format!("{name}.npy")).map_err(|error| {
            fail(&self.path, &format!("{error} (numpy.savez writes what is read)"))
        })?;
        // Numbers are read a few bytes at a time, and what is decompressed comes so too.
        let mut file = BufReader::with_capacity(1 << 16, &mut file);
        let header = Header::read(&mut file).map_err(|problem| fail(&self.path, &problem))?;
        read(&header, &mut file).map_err(|problem| fail(&self.path, &problem))
    }
}

/// Says that an array is of another type.
fn other(header: &Header, expected: &str) -> String {
    format!("it is of type {}; expected {expected}", header.kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Npz, npy};
    use std::io::{Cursor, Write};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    #[test]
    fn what_nobody_asks_for_is_not_read() {
        let mut npz = Npz::default();
        npz.floats("images", &[2], vec![0.25, 0.5]).expect("two numbers");
        let bytes = npz.to_bytes().expect("memory");
        let mut zip = ZipWriter::new_append(Cursor::new(bytes)).expect("a zip archive");
        let mut add = |name: &str, content: &[u8]| {
            zip.start_file(name, SimpleFileOptions::default()).expect("memory");
            zip.write_all(content).expect("memory");
        };
        add("huge.npy", &npy::header("<f4", &[1_000_000_000]));
        add("broken.npy", b"not an array");
        add("README.txt", b"made by hand");
        let bytes = zip.finish().expect("memory").into_inner();
        let mut file = NpzReader::new(Cursor::new(bytes), "set.npz").expect("an npz file");
        assert_eq!(file.names(), ["broken", "huge", "images"]);
        assert_eq!(file.floats("images").expect("floats").as_slice(), Some(&[0.25, 0.5][..]));
        assert_eq!(file.shape("huge").expect("a header"), [1_000_000_000]);
        for (name, words) in [
            ("huge", "`huge`: its shape [1000000000] is of more than 1073741824 bytes"),
            ("broken", "`broken`: not an npy array"),
            ("none", "has no array `none`; it has broken, huge, images"),
        ] {
            let error = file.floats(name).expect_err("no floats").to_string();
            assert!(error.starts_with("set.npz: ") && error.contains(words), "{error}");
        }
        let error = file.integers("images").expect_err("floats").to_string();
        assert!(error.contains("`images`: it is of type <f4; expected whole numbers"), "{error}");
    }
}
