//! ONNX files of PyTorch's exporters against onnxruntime's logits (`tests/golden/make_onnx.py`), and files that cannot be
//! read.

use deepsleep::autodiff::Tape;
use deepsleep::checkpoint::{Entry, StateDict};
use deepsleep::nn::{Freeze, FrozenNetwork, Model};
use deepsleep::onnx::{self, Onnx};
use deepsleep::tensor::{Context, Shape, Tensor};
use ndarray::ArrayView4;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx").join(name)
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Vec<(String, PathBuf)> {
    let paths =
        std::fs::read_dir(folder).expect("golden files").map(|file| file.expect("a file").path());
    let mut named: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "onnx"))
        .map(|path| (path.file_stem().expect("a name").to_string_lossy().into_owned(), path))
        .collect();
    named.sort();
    named
}

/// The logits of a network for images.
fn logits(network: &dyn FrozenNetwork, images: &Entry) -> Vec<f32> {
    let Shape { channels, height, width } = network.input_shape();
    let sides = (images.shape[0], channels, height, width);
    let images = ArrayView4::from_shape(sides, &images.values).expect("images of the input's size");
    let mut tape = Tape::new(Context::new(1).expect("a context"));
    let x = tape.constant(Tensor::from_array(images));
    let y = network.logits(&mut tape, x).expect("images that fit");
    tape.value(y).to_array().into_iter().collect()
}

fn check(name: &str, network: &dyn FrozenNetwork, golden: &StateDict) {
    let get = |what: &str| golden.get(&format!("{name}.{what}")).expect("golden arrays");
    let (found, expected) = (logits(network, get("input")), &get("logits").values);
    let largest = expected.iter().fold(0.0, |most: f32, e| most.max(e.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-4 * largest, "{name}: {found} {expected}");
    }
    assert_eq!(found.len(), expected.len(), "{name}");
}

fn model(read: &Onnx) -> Model {
    Model::from_state(read.architecture.clone(), &read.state).expect("its own arrays")
}

#[test]
fn exports_have_the_logits_of_onnxruntime() {
    let golden = StateDict::load(folder("served.safetensors")).expect("golden arrays");
    let files = files(&folder(""));
    assert!(files.len() >= 15, "{}", files.len());
    for (name, path) in files {
        let read = onnx::read(&path).unwrap_or_else(|error| panic!("{error}"));
        check(&name, &model(&read).freeze().expect("a model"), &golden);
    }
}
