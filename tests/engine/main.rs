//! Kernels, tape, networks and optimizers.

mod autodiff;
mod certify;
mod checkpoint;
mod conv2d;
mod crown;
mod determinism;
mod golden_lenet;
mod golden_networks;
mod layers;
mod model;
mod network_operations;
#[cfg(feature = "onnx")]
mod onnx;
mod optimizers;

#[path = "../common/mod.rs"]
mod common;
