//! The targets, one a file.

mod architecture;
mod attack;
mod checkpoint;
mod eps;
mod experiment;
mod idx;
mod images;
mod journal;
mod model;
mod npz;
mod onnx;
mod setting;
mod store;

use deepsleep::attack::Samples;
use deepsleep::data::Dataset;
use deepsleep::nn::{Freeze, FrozenModel, Model};
use deepsleep::tensor::Context;
use std::sync::LazyLock;

/// All targets.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("idx", idx::run),
    ("images", images::run),
    ("model", model::run),
    ("architecture", architecture::run),
    ("onnx", onnx::run),
    ("checkpoint", checkpoint::run),
    ("npz", npz::run),
    ("attack", attack::run),
    ("eps", eps::run),
    ("setting", setting::run),
    ("experiment", experiment::run),
    ("store", store::run),
    ("journal", journal::run),
];

/// One thread: libFuzzer runs as many processes as are wanted.
pub(crate) static CONTEXT: LazyLock<Context> =
    LazyLock::new(|| Context::new(1).expect("this processor"));

/// A network for sets and journals to be shown to.
pub(crate) static LENET: LazyLock<FrozenModel> =
    LazyLock::new(|| Model::lenet(0).freeze().expect("finite"));

/// Two gray images for it.
pub(crate) fn two_samples() -> Samples {
    let images = Dataset::new(vec![127; 2 * 784], vec![0, 1], [1, 28, 28], 10).expect("two");
    Samples::from_dataset(&images, 0..2).expect("two")
}
