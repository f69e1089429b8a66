//! Networks as values, in JSON.

use crate::error::Raised;
use crate::network::{json, parsed};
use deepsleep::checkpoint::StateDict;
use deepsleep::experiment::parse;
use deepsleep::files::read_regular;
use deepsleep::nn::Model;
use deepsleep::nn::architecture::{Architecture, BUILTIN};
use deepsleep::onnx;
use deepsleep::tensor::Shape;
use pyo3::prelude::*;
use std::path::{Path, PathBuf};

/// Bytes of a file that is read.
const MOST: u64 = 1 << 30;

/// The named network, for images of this shape (the one that it was made for, if None) and so many classes.
#[pyfunction]
pub fn named(name: &str, input: Option<(usize, usize, usize)>, classes: usize) -> PyResult<String> {
    let usual = BUILTIN.iter().find(|builtin| name.eq_ignore_ascii_case(builtin.name));
    let usual = usual.map_or(Shape::new(1, 28, 28), |builtin| builtin.input);
    let input =
        input.map_or(usual, |(channels, height, width)| Shape::new(channels, height, width));
    json(&Architecture::named(name, input, classes).raised()?)
}

/// The network that a file describes: TOML, JSON, ONNX or safetensors.
#[pyfunction]
pub fn of_file(path: PathBuf) -> PyResult<String> {
    json(&read(&path).raised()?)
}

/// The network that a JSON text describes, checked.
#[pyfunction]
pub fn checked(text: &str) -> PyResult<String> {
    json(&parsed(text).raised()?)
}

/// What a network is, in lines for people: its layers, shapes and sizes.
#[pyfunction]
pub fn described(text: &str) -> PyResult<String> {
    Ok(parsed(text).raised()?.to_string())
}

/// Names of networks, and what they are.
#[pyfunction]
pub fn architectures() -> Vec<(&'static str, &'static str)> {
    BUILTIN.iter().map(|builtin| (builtin.name, builtin.summary)).collect()
}

fn read(path: &Path) -> deepsleep::Result<Architecture> {
    if onnx::is_onnx(path)? {
        return Ok(onnx::read(path)?.architecture);
    }
    match String::from_utf8(read_regular(path, MOST)?) {
        Ok(text) if text.trim_start().starts_with('{') => {
            parsed(&text).map_err(|error| error.in_file(path))
        }
        Ok(text) => parse(&text, path),
        // No text: a model, or nothing.
        Err(other) => {
            let state = StateDict::from_bytes(other.as_bytes(), path)?;
            Ok(Model::open(&state)?.architecture().as_ref().clone())
        }
    }
}
