//! Data sets: reading, fetching, the bundled one.

mod data_bundled;
#[cfg(feature = "fetch")]
mod data_fetch;
#[cfg(all(feature = "npz", feature = "png"))]
mod data_formats;
mod data_idx;
