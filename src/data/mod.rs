//! Datasets: where they are, how they are read, how they are fetched.

mod atomic;
mod dataset;
mod files;
mod gz;
mod idx;
mod locate;
mod source;
mod verify;

pub use dataset::Dataset;
pub use files::{Part, Split, find_file};
pub use idx::IdxArray;
pub use locate::{DATA_VARIABLE, SearchPath, cache_dir, locate};
pub use source::{DatasetName, Source, SourceFile};
pub use verify::{FileCheck, verify, verify_source};
