//! The names under which MNIST-like data sets keep their four files.

use std::fmt;
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
    let usual = file_name(split, part);
    let dotted = usual.replace("-idx", ".idx");
    [usual.to_owned(), dotted.clone(), format!("{usual}.gz"), format!("{dotted}.gz")]
        .into_iter()
        .map(|name| dir.as_ref().join(name))
        .find(|path| path.is_file())
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
}
