//! Trains convolutional and spiking networks, puts them through sleep-inspired defences, and attacks them honestly.

#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod data;
mod error;
pub mod kernels;
#[allow(unsafe_code)]
pub mod simd;
pub mod tensor;

pub use error::{Error, Result};
