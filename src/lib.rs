//! Trains convolutional and spiking networks, puts them through sleep-inspired defences, and attacks them honestly.

#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod attack;
pub mod autodiff;
pub mod checkpoint;
pub mod data;
pub mod defense;
mod error;
mod files;
pub mod kernels;
pub mod nn;
pub mod report;
#[allow(unsafe_code)]
pub mod simd;
pub mod sleep;
pub mod snn;
pub mod tensor;

pub use error::{Error, Result};
