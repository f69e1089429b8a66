//! Reads a file's content whether it is gzipped or not.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// First two bytes of every gzip stream.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A reader with the two bytes that were taken from it to recognise gzip put back in front.
type Rewound<R> = io::Chain<io::Take<Cursor<[u8; 2]>>, R>;

/// The content of `R`, decompressed if its first bytes say that it is gzip.
///
/// The name of a file is no evidence: browsers and servers unpack `.gz` files without renaming them.
#[derive(Debug)]
pub(crate) enum MaybeGz<R: Read> {
    /// Handed through as it is.
    Plain(Rewound<R>),
    /// Decompressed on the fly, all members of the stream; boxed because the decoder's state is large.
    Gzip(Box<MultiGzDecoder<Rewound<R>>>),
}

impl<R: Read> MaybeGz<R> {
    /// Looks at the first two bytes of `reader`.
    pub(crate) fn new(mut reader: R) -> io::Result<Self> {
        let mut head = [0; 2];
        let mut filled = 0;
        while filled < head.len() {
            match reader.read(&mut head[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let rewound = Cursor::new(head).take(filled as u64).chain(reader);
        Ok(if filled == 2 && head == GZIP_MAGIC {
            Self::Gzip(Box::new(MultiGzDecoder::new(rewound)))
        } else {
            Self::Plain(rewound)
        })
    }

    /// Whether the content is being decompressed.
    pub(crate) fn is_gzip(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }
}

impl MaybeGz<BufReader<File>> {
    /// Opens `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::io(path, "open", source))?;
        Self::new(BufReader::with_capacity(1 << 16, file)).map_err(|e| read_error(path, e))
    }
}

impl<R: Read> Read for MaybeGz<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
        }
    }
}

/// Tells a damaged file (its content's fault) from a failed read (the system's).
pub(crate) fn read_error(path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::format(path, "truncated: the data end in the middle; obtain the file again")
        }
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Error::format(path, format!("damaged gzip data ({source}); obtain the file again"))
        }
        _ => Error::io(path, "read", source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn content(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        MaybeGz::new(bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn plain_content_passes_unchanged_however_short() {
        for bytes in [&b""[..], b"\x1f", b"\x1fx", b"plain text"] {
            assert_eq!(content(bytes).unwrap(), bytes);
        }
    }

    #[test]
    fn gzip_is_recognised_and_its_members_are_joined() {
        let mut joined = Vec::new();
        for part in [&b"one "[..], b"two"] {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(part).unwrap();
            joined.extend(encoder.finish().unwrap());
        }
        assert_eq!(content(&joined).unwrap(), b"one two");
        assert!(content(&joined[..joined.len() - 1]).is_err());
    }
}
