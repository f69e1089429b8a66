//! The two halves of a data set, and the names of the four files of MNIST-like ones.

use super::gz::{MaybeGz, read_error};
use crate::{Error, Result};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// The two halves of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// What a model learns from; 60,000 images in MNIST.
    Train,
    /// What it is judged by; 10,000 images in MNIST.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

/// The two files of each half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdxPart {
    /// Pixels, IDX of dimensions `[count, height, width]`.
    Images,
    /// Classes, IDX of dimensions `[count]`.
    Labels,
}

/// The four files, in the order in which they are listed and fetched.
pub(crate) const FILES: [(Split, IdxPart); 4] = [
    (Split::Train, IdxPart::Images),
    (Split::Train, IdxPart::Labels),
    (Split::Test, IdxPart::Images),
    (Split::Test, IdxPart::Labels),
];

/// The usual name of a file, without `.gz`, e.g. `train-images-idx3-ubyte`.
pub(crate) fn file_name(split: Split, part: IdxPart) -> &'static str {
    match (split, part) {
        (Split::Train, IdxPart::Images) => "train-images-idx3-ubyte",
        (Split::Train, IdxPart::Labels) => "train-labels-idx1-ubyte",
        (Split::Test, IdxPart::Images) => "t10k-images-idx3-ubyte",
        (Split::Test, IdxPart::Labels) => "t10k-labels-idx1-ubyte",
    }
}

/// Finds a file in `dir` under its usual name or the spelling `train-images.idx3-ubyte`, with or without `.gz`.
///
/// Where several are there, the uncompressed one is taken, for speed.
pub fn find_file(dir: impl AsRef<Path>, split: Split, part: IdxPart) -> Option<PathBuf> {
    spellings(dir.as_ref(), split, part).next()
}

/// The same, refused where a file of another spelling beside it holds something else: there would be no telling which is meant.
///
/// # Errors
/// [`Error::Format`] that names both.
pub(crate) fn find_agreed(dir: &Path, split: Split, part: IdxPart) -> Result<Option<PathBuf>> {
    let mut all = spellings(dir, split, part);
    let Some(first) = all.next() else { return Ok(None) };
    for other in all {
        if !same_content(&first, &other)? {
            let problem = format!(
                "{} beside it holds something else, and either could be meant; move one of them away",
                other.display()
            );
            return Err(Error::format(&first, problem));
        }
    }
    Ok(Some(first))
}

fn spellings(dir: &Path, split: Split, part: IdxPart) -> impl Iterator<Item = PathBuf> {
    let usual = file_name(split, part);
    let dotted = usual.replace("-idx", ".idx");
    [usual.to_owned(), dotted.clone(), format!("{usual}.gz"), format!("{dotted}.gz")]
        .map(|name| dir.join(name))
        .into_iter()
        .filter(|path| path.is_file())
}

/// Whether two files hold the same, unpacked. One that is damaged does not hold what the other does.
fn same_content(a: &Path, b: &Path) -> Result<bool> {
    let open = |path: &Path| {
        let file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
        MaybeGz::new(BufReader::new(file)).map_err(|e| read_error(path, e))
    };
    let (mut a, mut b) = (open(a)?, open(b)?);
    let (mut ours, mut theirs) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let (Ok(n), Ok(m)) = (fill(&mut a, &mut ours), fill(&mut b, &mut theirs)) else {
            return Ok(false);
        };
        if ours[..n] != theirs[..m] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or there is no more.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_found_and_plain_files_win() {
        for name in [
            "t10k-images.idx3-ubyte.gz",
            "t10k-images-idx3-ubyte.gz",
            "t10k-images.idx3-ubyte",
            "t10k-images-idx3-ubyte",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let packed = folder.path().join("t10k-images.idx3-ubyte.gz");
            let path = folder.path().join(name);
            assert_eq!(find_file(folder.path(), Split::Test, IdxPart::Images), None);
            std::fs::write(packed, "").unwrap();
            std::fs::write(&path, "").unwrap();
            assert_eq!(find_file(folder.path(), Split::Test, IdxPart::Images), Some(path));
        }
    }

    #[test]
    fn files_of_two_spellings_have_to_hold_the_same() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let agreed = || find_agreed(folder.path(), Split::Test, IdxPart::Labels);
        assert_eq!(agreed().unwrap(), None);
        let content: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        let packed = |content: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        };
        let (raw, gz) = (at("t10k-labels-idx1-ubyte"), at("t10k-labels-idx1-ubyte.gz"));
        std::fs::write(&gz, packed(&content)).unwrap();
        assert_eq!(agreed().unwrap(), Some(gz.clone()));
        std::fs::write(&raw, &content).unwrap();
        assert_eq!(agreed().unwrap(), Some(raw.clone()));
        let last = content.len() - 1;
        let changed = [&content[..last], &[1]].concat();
        let whole = packed(&content);
        for other in [packed(&changed), packed(&content[..last]), whole[..900].to_vec()] {
            std::fs::write(&gz, other).unwrap();
            let problem = agreed().unwrap_err().to_string();
            assert!(problem.contains("ubyte.gz beside it holds something else"), "{problem}");
        }
    }
}
