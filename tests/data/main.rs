//! Data sets: reading, fetching, the bundled one.

mod data_bundled;
#[cfg(feature = "fetch")]
mod data_fetch;
mod data_formats;
mod data_idx;
