//! Data sets: finding, reading, checking and fetching them.
//!
//! The flow, each step usable by itself:
//!
//! 1. [`locate`] finds the folder of a data set known by its [`DatasetName`]: what the user named, or `./data`, the cache
//!    folder, the system's, the one beside the sources (see [`SearchPath`]).
//! 2. [`Dataset::load`] reads one [`Split`] of that folder, in any [`Format`]: IDX files ([`IdxArray`]), CIFAR's and
//!    SVHN's, npz files, PNG files in a folder a class; checked for consistency, kept as bytes where they are bytes. A
//!    [`DataSource`] says what was found.
//! 3. [`Dataset::images_f32`] hands out pixels as numbers from 0 to 1.
//!
//! Where the files are missing, [`fetch`](fn@fetch) downloads them from a [`DownloadSource`] into [`cache_dir`];
//! [`verify`](fn@verify) compares what is there with the published hashes.
//!
//! ```
//! use deepsleep::data::{Dataset, DatasetName, IdxArray, Split, locate};
//!
//! # fn main() -> deepsleep::Result<()> {
//! // The bundled files; `None` searches the usual places for them.
//! let folder = locate(DatasetName::Mnist, None)?;
//! let test = Dataset::load(folder, Split::Test)?.slice(0..16)?;
//! assert_eq!(test.shape().to_string(), "1x28x28");
//! assert_eq!(test.label(0), 7);
//! let pixels = test.images_f32(0..4); // ndarray, 4 x 1 x 28 x 28, 0.0 to 1.0
//! assert_eq!(pixels.dim(), (4, 1, 28, 28));
//!
//! // Images of one's own, in the same format.
//! # let folder = tempfile::tempdir().unwrap();
//! # let folder = folder.path();
//! IdxArray::new(vec![2, 3, 3], vec![128; 18])?.save(folder.join("t10k-images-idx3-ubyte.gz"))?;
//! IdxArray::new(vec![2], vec![0, 1])?.save(folder.join("t10k-labels-idx1-ubyte"))?;
//! assert_eq!(Dataset::load(folder, Split::Test)?.len(), 2);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "fetch")]
mod archive;
mod batch;
mod bundled;
mod catalog;
#[cfg(feature = "fetch")]
mod curl;
mod data_source;
mod dataset;
#[cfg(feature = "fetch")]
mod download;
#[cfg(feature = "fetch")]
mod fetch;
mod files;
mod formats;
mod gz;
mod identity;
mod locate;
mod verify;

pub use bundled::{BUNDLED_MODELS, bundled_model};
pub use catalog::{DatasetName, DownloadSource, FileForm, SourceFile};
pub use data_source::DataSource;
pub use dataset::Dataset;
#[cfg(feature = "fetch")]
pub use fetch::{FetchProgress, fetch};
pub use files::{IdxPart, Split, find_file};
pub use formats::Format;
pub use formats::idx::IdxArray;
pub use identity::{DataIdentity, ImageSet};
pub use locate::{DATA_VARIABLE, SearchPath, cache_dir, locate};
pub use verify::{FileCheck, verify, verify_source};
