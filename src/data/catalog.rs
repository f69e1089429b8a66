//! The catalog of known data sets: names, files, hashes and mirrors.

use std::fmt;
use std::str::FromStr;

use super::files::{FILES, IdxPart, Split, file_name};
use super::formats::Format;
use crate::wording::meant;
use crate::{Error, Result};

/// A data set known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatasetName {
    /// Handwritten digits (LeCun and Cortes); bundled with the repository.
    Mnist,
    /// Articles of clothing (Zalando), in MNIST's format.
    FashionMnist,
    /// Cursive Japanese characters (CODH), in MNIST's format.
    Kmnist,
    /// Photographs of ten kinds of things (Krizhevsky), 3 x 32 x 32.
    Cifar10,
    /// The same of a hundred kinds.
    Cifar100,
    /// Photographs of house numbers, cropped to a digit (Netzer and others), 3 x 32 x 32.
    Svhn,
}

impl DatasetName {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Mnist, Self::FashionMnist, Self::Kmnist, Self::Cifar10, Self::Cifar100, Self::Svhn];

    /// The name on the command line, which is also the name of the data set's folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Kmnist => "kmnist",
            Self::Cifar10 => "cifar-10",
            Self::Cifar100 => "cifar-100",
            Self::Svhn => "svhn",
        }
    }

    /// The folder in which torchvision keeps it, or into which its archive unpacks.
    pub(super) fn torchvision(self) -> &'static str {
        match self {
            Self::Mnist => "MNIST/raw",
            Self::FashionMnist => "FashionMNIST/raw",
            Self::Kmnist => "KMNIST/raw",
            Self::Cifar10 => "cifar-10-batches-bin",
            Self::Cifar100 => "cifar-100-binary",
            Self::Svhn => "SVHN",
        }
    }

    /// How its files are made.
    pub fn format(self) -> Format {
        match self {
            Self::Mnist | Self::FashionMnist | Self::Kmnist => Format::Idx,
            Self::Cifar10 => Format::Cifar10,
            Self::Cifar100 => Format::Cifar100,
            Self::Svhn => Format::Svhn,
        }
    }

    /// How to get it, as the end of a sentence that begins with "get it".
    pub fn how_to_get(self) -> String {
        format!("with `deepsleep-cli data fetch {self}`")
    }

    /// Its number of classes.
    pub fn classes(self) -> usize {
        if self == Self::Cifar100 { 100 } else { 10 }
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
            let all = Self::ALL.map(Self::as_str);
            let (meant, known) = (meant(name, &all), all.join(", "));
            Error::argument("data set", format!("unknown name {name:?}{meant}; known are {known}"))
        })
    }
}

/// What stands behind the published hash of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileForm {
    /// The content without gzip: mirrors compress differently.
    Unpacked(Split, IdxPart),
    /// The file as it is served.
    AsIs,
    /// A gzipped tar archive as it is served. These files of it, with their lengths, go into the data set's folder.
    Archive(&'static [(&'static str, u64)]),
}

/// One file of a data set and what it must contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// As it is served, e.g. `t10k-labels-idx1-ubyte.gz`.
    pub name: String,
    /// What the hash is of.
    pub form: FileForm,
    /// Length in bytes of what is hashed.
    pub bytes: u64,
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// The files of a data set and where to get them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadSource {
    /// The files with their hashes.
    pub files: Vec<SourceFile>,
    /// Base URLs, tried in order; a file is at `<base>/<name>`.
    pub mirrors: Vec<String>,
}

impl DownloadSource {
    /// The files and the public mirrors of a known data set.
    pub fn of(name: DatasetName) -> Self {
        let unpacked = |contents: Contents| {
            let files = FILES.into_iter().zip(contents);
            let file = |((split, part), (bytes, sha256)): ((Split, IdxPart), (u64, &str))| {
                let form = FileForm::Unpacked(split, part);
                SourceFile {
                    name: format!("{}.gz", file_name(split, part)),
                    form,
                    bytes,
                    sha256: sha256.to_owned(),
                }
            };
            files.map(file).collect()
        };
        let served = |form, files: &[(&str, u64, &str)]| {
            let file = |&(name, bytes, sha256): &(&str, u64, &str)| SourceFile {
                name: name.to_owned(),
                form,
                bytes,
                sha256: sha256.to_owned(),
            };
            files.iter().map(file).collect()
        };
        let (files, mirrors): (Vec<SourceFile>, &[&str]) = match name {
            DatasetName::Mnist => (unpacked(MNIST), &MNIST_MIRRORS),
            DatasetName::FashionMnist => (unpacked(FASHION_MNIST), &FASHION_MNIST_MIRRORS),
            DatasetName::Kmnist => (served(FileForm::AsIs, &KMNIST), &KMNIST_MIRRORS),
            DatasetName::Cifar10 => {
                (served(FileForm::Archive(&CIFAR_10_FILES), &CIFAR_10), &CIFAR_MIRRORS)
            }
            DatasetName::Cifar100 => {
                (served(FileForm::Archive(&CIFAR_100_FILES), &CIFAR_100), &CIFAR_MIRRORS)
            }
            DatasetName::Svhn => (served(FileForm::AsIs, &SVHN), &SVHN_MIRRORS),
        };
        Self { files, mirrors: mirrors.iter().map(|&mirror| mirror.to_owned()).collect() }
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

/// The hashes of the following four sets are those of the files as they are served, published in TensorFlow Datasets
/// (`url_checksums`).
const KMNIST: [(&str, u64, &str); 4] = [
    (
        "train-images-idx3-ubyte.gz",
        18_165_135,
        "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        29_497,
        "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        3_041_136,
        "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        5_120,
        "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    ),
];

const CIFAR_10: [(&str, u64, &str); 1] = [(
    "cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)];

const CIFAR_10_FILES: [(&str, u64); 6] = [
    ("data_batch_1.bin", 30_730_000),
    ("data_batch_2.bin", 30_730_000),
    ("data_batch_3.bin", 30_730_000),
    ("data_batch_4.bin", 30_730_000),
    ("data_batch_5.bin", 30_730_000),
    ("test_batch.bin", 30_730_000),
];

const CIFAR_100: [(&str, u64, &str); 1] = [(
    "cifar-100-binary.tar.gz",
    168_513_733,
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
)];

const CIFAR_100_FILES: [(&str, u64); 2] = [("train.bin", 153_700_000), ("test.bin", 30_740_000)];

const SVHN: [(&str, u64, &str); 2] = [
    (
        "train_32x32.mat",
        182_040_794,
        "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    ),
    (
        "test_32x32.mat",
        64_275_384,
        "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
    ),
];

/// The authors' own servers; two answer over plain HTTP only, which the hashes make harmless.
const KMNIST_MIRRORS: [&str; 1] = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist"];
const CIFAR_MIRRORS: [&str; 1] = ["https://www.cs.toronto.edu/~kriz"];
const SVHN_MIRRORS: [&str; 1] = ["http://ufldl.stanford.edu/housenumbers"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_round_trip_and_others_are_refused_with_the_list() {
        for name in DatasetName::ALL {
            assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name);
        }
        let refused = |name: &str| name.parse::<DatasetName>().unwrap_err().to_string();
        let problem = refused("what");
        assert!(problem.contains("\"what\"; known are mnist, fashion-mnist, kmnist"), "{problem}");
        assert!(refused("cifar10").contains("did you mean `cifar-10`?"));
    }

    #[test]
    fn every_known_file_has_a_well_formed_hash_of_its_own() {
        let mut hashes = std::collections::HashSet::new();
        for file in DatasetName::ALL.into_iter().flat_map(|name| DownloadSource::of(name).files) {
            assert_eq!(file.sha256.len(), 64);
            assert!(file.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
            assert!(hashes.insert(file.sha256));
        }
        assert_eq!(hashes.len(), 8 + 4 + 1 + 1 + 2);
    }
}
