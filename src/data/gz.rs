//! Reads a file's content whether it is gzipped or not.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use crate::Error;

/// First two bytes of every gzip stream.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A reader with the two bytes that were taken from it to recognize gzip put back in front.
type Rewound<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// The content of `R`, decompressed if its first bytes say that it is gzip.
///
/// The name of a file is no evidence: browsers and servers unpack `.gz` files without renaming them.
#[derive(Debug)]
pub(crate) enum MaybeGz<R: Read> {
    /// Handed through as it is.
    Plain(Rewound<R>),
    /// Decompressed on the fly; boxed because the decoder's state is large.
    Gzip(Box<GzMembers<BufReader<Rewound<R>>>>),
}

/// All members of a gzip file, one after the other. Zeros behind the last one are padding, as tapes and some servers
/// leave it; anything else there is junk.
#[derive(Debug)]
pub(crate) struct GzMembers<R> {
    /// None at the end of the file.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> GzMembers<R> {
    fn new(reader: R) -> Self {
        Self { member: Some(GzDecoder::new(reader)) }
    }

    /// Behind a member: begins the next one, if there is one.
    fn next_member(&mut self) -> io::Result<()> {
        let Some(member) = self.member.take() else { return Ok(()) };
        let mut reader = member.into_inner();
        let mut padding = 0_u64;
        loop {
            let next = match reader.fill_buf() {
                Ok(next) => next,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if next.is_empty() {
                return Ok(());
            }
            if padding == 0 && next[0] == GZIP_MAGIC[0] {
                self.member = Some(GzDecoder::new(reader));
                return Ok(());
            }
            if let Some(at) = next.iter().position(|&byte| byte != 0) {
                let junk: Vec<String> =
                    next[at..].iter().take(4).map(|byte| format!("{byte:02x}")).collect();
                let problem = format!(
                    "junk after the end of the gzip data: bytes {} where only zeros or more gzip data may follow",
                    junk.join(" ")
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
            let zeros = next.len();
            padding += zeros as u64;
            reader.consume(zeros);
        }
    }
}

impl<R: BufRead> Read for GzMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            match member.read(buffer)? {
                0 if !buffer.is_empty() => self.next_member()?,
                count => return Ok(count),
            }
        }
        Ok(0)
    }
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
        let rewound = Cursor::new(head[..filled].to_vec()).chain(reader);
        Ok(if filled == 2 && head == GZIP_MAGIC {
            Self::Gzip(Box::new(GzMembers::new(BufReader::with_capacity(1 << 16, rewound))))
        } else {
            Self::Plain(rewound)
        })
    }

    /// Whether the content is being decompressed.
    pub(crate) fn is_gzip(&self) -> bool {
        matches!(self, Self::Gzip(_))
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
            let what =
                if source.to_string().starts_with("junk") { "" } else { "damaged gzip data: " };
            Error::format(path, format!("{what}{source}; obtain the file again"))
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
    fn gzip_is_recognized_and_its_members_are_joined() {
        let mut joined = Vec::new();
        for part in [&b"one "[..], b"two"] {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(part).unwrap();
            joined.extend(encoder.finish().unwrap());
        }
        assert_eq!(content(&joined).unwrap(), b"one two");
        assert!(content(&joined[..joined.len() - 1]).is_err());

        // What follows is padding, or junk.
        for zeros in [1, 512, 200_000] {
            let padded = [&joined[..], &vec![0; zeros]].concat();
            assert_eq!(content(&padded).unwrap(), b"one two");
            let problem = content(&[&padded[..], b"x"].concat()).unwrap_err().to_string();
            assert!(problem.contains("junk after the end of the gzip data: bytes 78"), "{problem}");
        }
        let problem = content(&[&joined[..], b"garbage"].concat()).unwrap_err();
        assert_eq!(problem.kind(), io::ErrorKind::InvalidData);
        assert!(problem.to_string().contains("bytes 67 61 72 62 where only zeros"), "{problem}");
    }
}
