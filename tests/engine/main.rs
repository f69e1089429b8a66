//! Kernels, tape, networks and optimizers.

mod autodiff;
mod checkpoint;
mod conv2d;
mod determinism;
mod golden_lenet;
mod layers;
mod model;
mod network_operations;
mod optimizers;

#[path = "../common/mod.rs"]
mod common;
