//! The data sets this crate knows: names, files, hashes and mirrors.

use std::fmt;
use std::str::FromStr;

use super::files::{FILES, Part, Split, file_name};
use crate::{Error, Result};

/// A data set known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatasetName {
    /// Handwritten digits (LeCun and Cortes); bundled with the repository.
    Mnist,
    /// Articles of clothing (Zalando), in MNIST's format.
    FashionMnist,
}

impl DatasetName {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Mnist, Self::FashionMnist];

    /// The name on the command line, which is also the name of the data set's folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
        }
    }

    /// The name of the folder in which torchvision keeps it.
    pub(super) fn torchvision(self) -> &'static str {
        match self {
            Self::Mnist => "MNIST",
            Self::FashionMnist => "FashionMNIST",
        }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DatasetName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::argument("data set", format!("unknown name {name:?}; known are {known}"))
        })
    }
}

/// One file of a data set and what it must contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Which half it belongs to.
    pub split: Split,
    /// Images or labels.
    pub part: Part,
    /// Length in bytes of the uncompressed content.
    pub bytes: u64,
    /// SHA-256 of the uncompressed content, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

impl SourceFile {
    /// The usual file name without `.gz`, e.g. `t10k-labels-idx1-ubyte`.
    pub fn name(&self) -> &'static str {
        file_name(self.split, self.part)
    }
}

/// The files of a data set and where to get them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The files with their hashes.
    pub files: Vec<SourceFile>,
    /// Base URLs, tried in order; a file is at `<base>/<name>.gz`.
    pub mirrors: Vec<String>,
}

impl Source {
    /// The four files and the public mirrors of a known data set.
    pub fn of(name: DatasetName) -> Self {
        let (contents, mirrors) = match name {
            DatasetName::Mnist => (MNIST, MNIST_MIRRORS),
            DatasetName::FashionMnist => (FASHION_MNIST, FASHION_MNIST_MIRRORS),
        };
        let files = FILES
            .into_iter()
            .zip(contents)
            .map(|((split, part), (bytes, sha256))| SourceFile {
                split,
                part,
                bytes,
                sha256: sha256.to_owned(),
            })
            .collect();
        Self { files, mirrors: mirrors.map(str::to_owned).to_vec() }
    }

    /// The same files from another place: `base` is tried instead of the public mirrors.
    pub fn with_base(mut self, base: impl Into<String>) -> Self {
        self.mirrors = vec![base.into()];
        self
    }
}

/// Length and hash of each file's uncompressed content, in the order of `FILES`.
type Contents = [(u64, &'static str); 4];

/// MNIST as LeCun published it; the same hashes are in `data/README.md`.
const MNIST: Contents = [
    (47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    (60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    (7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    (10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
];

/// Fashion-MNIST, computed from Debian's package dataset-fashion-mnist 0.0~git20200523.55506a9-1.
///
/// Second source: Zalando's README publishes the MD5 of its gzip files. Debian strips file name and date from the
/// gzip headers; with both put back (the dates from the label files in Zalando's git repository), all four files have
/// the published sums.
const FASHION_MNIST: Contents = [
    (47_040_016, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
    (60_008, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    (7_840_016, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
    (10_008, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
];

/// LeCun's own server stopped serving the files; these are the copies that PyTorch and TensorFlow use.
const MNIST_MIRRORS: [&str; 2] = [
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
];

/// Zalando's bucket answers over plain HTTP only, which the hashes make harmless; the repository comes first.
const FASHION_MNIST_MIRRORS: [&str; 2] = [
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_round_trip_and_others_are_refused_with_the_list() {
        for name in DatasetName::ALL {
            assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name);
        }
        let problem = "cifar".parse::<DatasetName>().unwrap_err().to_string();
        assert!(problem.contains("\"cifar\"; known are mnist, fashion-mnist"), "{problem}");
    }

    #[test]
    fn every_known_file_has_a_well_formed_hash_of_its_own() {
        let mut hashes = std::collections::HashSet::new();
        for file in DatasetName::ALL.into_iter().flat_map(|name| Source::of(name).files) {
            assert_eq!(file.sha256.len(), 64);
            assert!(file.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
            assert!(hashes.insert(file.sha256));
        }
        assert_eq!(hashes.len(), 8);
    }
}
