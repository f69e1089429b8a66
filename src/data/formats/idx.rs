//! The IDX format: a byte array of any number of dimensions, as MNIST is distributed.
//!
//! Layout: bytes `00 00`, element type (`08` = unsigned byte), number of dimensions, each dimension as a big-endian
//! `u32`, then the elements, last dimension fastest.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use byteorder::{BigEndian, ReadBytesExt, WriteBytesExt};
use flate2::{Compression, GzBuilder};

use crate::data::gz::{MaybeGz, read_error};
use crate::files::write_atomically;
use crate::foreign;
use crate::{Error, Result};

/// Element type "unsigned byte", the only one that image data sets use.
const UNSIGNED_BYTE: u8 = 0x08;

/// How much is read at a time: memory grows with the bytes that came, never with what a header claims.
const CHUNK: usize = 1 << 20;

/// The most elements that are read: a small gzip file can unpack to more than the memory holds.
const MOST: usize = 1 << 30;

/// Deflate cannot shrink data by more than this factor, which unmasks absurd headers before any reading.
const DEFLATE_LIMIT: u64 = 1032;

/// An array of unsigned bytes with its dimensions, last one fastest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdxArray {
    dims: Vec<usize>,
    data: Vec<u8>,
}

impl IdxArray {
    /// Joins `data` with its dimensions.
    ///
    /// # Errors
    /// [`Error::Argument`] unless the product of `dims` is `data.len()`, there are at most 255 dimensions, and each
    /// fits 32 bits, as the format demands.
    pub fn new(dims: Vec<usize>, data: Vec<u8>) -> Result<Self> {
        let refuse = |problem| Err(Error::argument("IDX array", problem));
        if dims.len() > usize::from(u8::MAX) {
            return refuse(format!("{} dimensions; IDX holds at most 255", dims.len()));
        }
        if let Some(dim) = dims.iter().find(|&&dim| u32::try_from(dim).is_err()) {
            return refuse(format!("a dimension of {dim}; IDX holds at most {}", u32::MAX));
        }
        if element_count(&dims) != Some(data.len()) {
            return refuse(format!("{} bytes do not fill dimensions {dims:?}", data.len()));
        }
        Ok(Self { dims, data })
    }

    /// The dimensions, slowest first; for images `[count, height, width]`.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// All elements, last dimension fastest.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Gives the elements away without a copy.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// Reads a file, gzipped or not (told by its content, not its name).
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Format`] if it is truncated, has bytes left over, is no
    /// IDX file of unsigned bytes, or claims a size that no memory or no file of its length could hold.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| Error::io(path, "open", source))?;
        let stored = file.metadata().map_err(|source| Error::io(path, "examine", source))?;
        // A pipe has no length to hold against the header.
        let stored = stored.is_file().then_some(stored.len());
        read_array(io::BufReader::with_capacity(1 << 16, file), path, stored)
    }

    /// Reads from `reader` to its end, gzipped or not; `name` stands for the source in error messages.
    ///
    /// # Errors
    /// As [`IdxArray::open`].
    pub fn read(reader: impl Read, name: impl AsRef<Path>) -> Result<Self> {
        read_array(reader, name.as_ref(), None)
    }

    /// Writes the array, uncompressed.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        // `new` has checked that both conversions below are exact; a reader's array is within them by nature.
        writer.write_all(&[0, 0, UNSIGNED_BYTE, self.dims.len() as u8])?;
        for &dim in &self.dims {
            writer.write_u32::<BigEndian>(dim as u32)?;
        }
        writer.write_all(&self.data)
    }

    /// Writes a file, gzipped if its name ends in `.gz`: whole or not at all, whatever happens in between.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        write_atomically(path, |file| {
            if path.extension().is_some_and(|extension| extension == "gz") {
                // Without name and date the same array gives the same bytes.
                let mut encoder = GzBuilder::new().write(file, Compression::best());
                self.write(&mut encoder)?;
                encoder.finish()?;
                Ok(())
            } else {
                self.write(file)
            }
        })
    }
}

/// Product of `dims`; `None` if it does not fit the address space.
fn element_count(dims: &[usize]) -> Option<usize> {
    if dims.contains(&0) {
        return Some(0); // however large the others
    }
    let count = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
    (count <= isize::MAX as usize).then_some(count)
}

/// Reads header and elements; `stored` is the file's length in bytes if known.
fn read_array(reader: impl Read, path: &Path, stored: Option<u64>) -> Result<IdxArray> {
    let mut reader = MaybeGz::new(reader).map_err(|e| read_error(path, e))?;
    let dims = read_header(&mut reader, path)?;
    let count = element_count(&dims).ok_or_else(|| {
        Error::format(path, format!("dimensions {dims:?} are more than any memory can hold"))
    })?;
    if let Some(stored) = stored {
        let most = if reader.is_gzip() { stored.saturating_mul(DEFLATE_LIMIT) } else { stored };
        if count as u64 > most {
            let problem = format!(
                "truncated: dimensions {dims:?} need {count} bytes, which a file of {stored} bytes cannot hold"
            );
            return Err(Error::format(path, problem));
        }
    }
    if count > MOST {
        let problem = format!("dimensions {dims:?} need {count} bytes; at most {MOST} are read");
        return Err(Error::format(path, problem));
    }
    let data = read_elements(&mut reader, count, &dims, path)?;
    // Reading on also makes the gzip decoder check its checksum.
    loop {
        match reader.read(&mut [0]) {
            Ok(0) => return Ok(IdxArray { dims, data }),
            Ok(_) => {
                let problem =
                    format!("bytes left over after the {count} that dimensions {dims:?} announce");
                return Err(Error::format(path, problem));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(path, error)),
        }
    }
}

/// Reads magic number and dimensions.
fn read_header(reader: &mut impl Read, path: &Path) -> Result<Vec<usize>> {
    let header_error = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::format(path, "truncated within the IDX header"),
        _ => read_error(path, error),
    };
    let mut magic = Vec::new();
    reader.take(4).read_to_end(&mut magic).map_err(header_error)?;
    let foreign = |magic: &[u8], reader: &mut dyn Read| {
        let mut head = magic.to_vec();
        // What cannot be read does not help to recognize it.
        let _ = reader.take(foreign::HEAD as u64).read_to_end(&mut head);
        let kind = foreign::kind(&head)?;
        let problem = format!("not an IDX file: it is {}; {}", kind.name(), kind.remedy_for_data());
        Some(Error::format(path, problem))
    };
    let &[zero, zero_too, kind, dimensions] = magic.as_slice() else {
        let truncated = Error::format(path, "truncated within the IDX header");
        // Zeros may be the beginning of anything, also of IDX.
        let known = !magic.starts_with(&[0]) && !magic.is_empty();
        return Err(known.then(|| foreign(&magic, reader)).flatten().unwrap_or(truncated));
    };
    if (zero, zero_too) != (0, 0) || !matches!(kind, 0x08 | 0x09 | 0x0b..=0x0e) {
        return Err(foreign(&magic, reader).unwrap_or_else(|| {
            let problem = format!(
                "not an IDX file: it starts with bytes {zero:02x} {zero_too:02x} {kind:02x} {dimensions:02x}, expected 00 00 08 NN"
            );
            Error::format(path, problem)
        }));
    }
    if kind != UNSIGNED_BYTE {
        let problem = format!(
            "elements are {} (type {kind:02x}); only unsigned bytes (type 08) are supported",
            type_name(kind)
        );
        return Err(Error::format(path, problem));
    }
    (0..dimensions)
        .map(|_| {
            let dim = reader.read_u32::<BigEndian>().map_err(header_error)?;
            usize::try_from(dim).map_err(|_| {
                Error::format(
                    path,
                    format!("a dimension of {dim} is more than any memory can hold"),
                )
            })
        })
        .collect()
}

/// The format's names of the element types that are refused.
fn type_name(kind: u8) -> &'static str {
    match kind {
        0x09 => "signed bytes",
        0x0b => "16-bit integers",
        0x0c => "32-bit integers",
        0x0d => "32-bit floats",
        _ => "64-bit floats",
    }
}

/// Reads exactly `count` bytes, asking for memory only as they come.
fn read_elements(
    reader: &mut impl Read,
    count: usize,
    dims: &[usize],
    path: &Path,
) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    while data.len() < count {
        let filled = data.len();
        let chunk = CHUNK.min(count - filled);
        data.try_reserve(chunk).map_err(|_| {
            Error::format(path, format!("{count} bytes of dimensions {dims:?} do not fit memory"))
        })?;
        let got = reader
            .by_ref()
            .take(chunk as u64)
            .read_to_end(&mut data)
            .map_err(|error| read_error(path, error))?;
        if got < chunk {
            let problem = format!(
                "truncated: dimensions {dims:?} need {count} bytes, but only {} are there",
                data.len()
            );
            return Err(Error::format(path, problem));
        }
    }
    data.shrink_to_fit();
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(bytes: &[u8]) -> String {
        IdxArray::read(bytes, "some.idx").unwrap_err().to_string()
    }

    #[test]
    fn each_kind_of_damage_is_named_with_the_file() {
        let cases: [(&[u8], &str); 13] = [
            (b"", "some.idx: truncated within the IDX header"),
            (b"\0\0\x08", "truncated within the IDX header"),
            (b"\0\0\x08\x01\0\0", "truncated within the IDX header"),
            (b"\xf0NG!....", "not an IDX file: it starts with bytes f0 4e 47 21"),
            (b"<html><head>404", "not an IDX file: it is a web page (HTML); the address"),
            (
                b"\x28\xb5\x2f\xfd....",
                "not an IDX file: it is compressed or packed by zstd; unpack",
            ),
            (b"\x89PNG\r\n\x1a\n", "not an IDX file: it is a PNG picture; expected IDX"),
            (b"\0\0\x0a\x01\0\0\0\x01x", "not an IDX file"),
            (b"\0\0\x0d\x01\0\0\0\0", "32-bit floats (type 0d)"),
            (b"\0\0\x08\x01\0\0\0\x03ab", "dimensions [3] need 3 bytes, but only 2 are there"),
            (b"\0\0\x08\x01\0\0\0\x01ab", "left over after the 1 that dimensions [1]"),
            (b"\0\0\x08\x01\x3f\xff\xff\xffab", "need 1073741823 bytes, but only 2"),
            (b"\0\0\x08\x01\xff\xff\xff\xffab", "need 4294967295 bytes; at most 1073741824"),
        ];
        for (bytes, expected) in cases {
            let found = problem(bytes);
            assert!(found.contains(expected), "{found:?} lacks {expected:?}");
        }
    }

    #[test]
    fn a_product_beyond_the_address_space_is_refused() {
        let mut bytes = vec![0, 0, 8, 3];
        bytes.extend([0xff; 12]);
        assert!(problem(&bytes).contains("more than any memory can hold"));
        // With an empty dimension there is nothing to hold.
        bytes[12..].fill(0);
        assert_eq!(IdxArray::read(&bytes[..], "x").unwrap().data(), b"");
    }

    #[test]
    fn a_header_no_file_of_its_length_could_honor_is_refused_before_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge");
        std::fs::write(&path, b"\0\0\x08\x01\xff\xff\xff\xffab").unwrap();
        let found = IdxArray::open(&path).unwrap_err().to_string();
        assert!(found.contains("which a file of 10 bytes cannot hold"), "{found}");
    }

    #[test]
    fn new_refuses_what_the_format_cannot_say() {
        assert!(IdxArray::new(vec![2, 3], vec![0; 5]).is_err());
        assert!(IdxArray::new(vec![1; 256], vec![0]).is_err());
        assert!(IdxArray::new(vec![1 << 32, 0], vec![]).is_err());
        assert!(IdxArray::new(vec![1; 255], vec![0]).is_ok());
    }

    #[test]
    fn saving_replaces_whole_and_leaves_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let array = IdxArray::new(vec![2, 2], vec![1, 2, 3, 4]).unwrap();
        for name in ["plain", "packed.gz"] {
            let path = folder.path().join(name);
            std::fs::write(&path, "older").unwrap();
            array.save(&path).unwrap();
            assert_eq!(IdxArray::open(&path).unwrap(), array);
        }
        assert_eq!(std::fs::read(folder.path().join("packed.gz")).unwrap()[..2], [0x1f, 0x8b]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(matches!(array.save(folder.path().join("no/such")), Err(Error::NotFound(_))));
    }
}
