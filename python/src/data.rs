//! Data sets, read for Python, and made of its arrays.

use crate::error::Raised;
use deepsleep::data::{DataSource, Dataset, DatasetName, SearchPath, Split};
use deepsleep::tensor::Shape;
use numpy::{IntoPyArray, PyArray1, PyArray4, PyReadonlyArray1, PyReadonlyArray4};
use pyo3::prelude::*;
use std::path::{Path, PathBuf};

/// Images, labels, the number of classes, and the name.
type Read<'py> = (Bound<'py, PyArray4<f32>>, Bound<'py, PyArray1<i64>>, usize, String);

/// One half of a known data set, or of the one in a folder or file.
#[pyfunction]
pub fn read_dataset<'py>(
    py: Python<'py>,
    source: &str,
    train: bool,
    folder: Option<PathBuf>,
) -> PyResult<Read<'py>> {
    let split = if train { Split::Train } else { Split::Test };
    let (images, labels, classes, name) = py
        .detach(|| {
            let found = match source.to_ascii_lowercase().parse::<DatasetName>() {
                Ok(name) => {
                    let path = SearchPath::from_env(folder.as_deref());
                    DataSource::named(name, &path, &[split])?
                }
                // A word that is no file is a name.
                Err(unknown) if !source.contains('/') && !Path::new(source).exists() => {
                    return Err(unknown);
                }
                Err(_) => DataSource::at(source, &[split])?,
            };
            let data = found.load(split)?;
            let labels: Vec<i64> = data.labels().iter().map(|&label| label.into()).collect();
            Ok((data.images_f32(0..data.len()), labels, data.classes(), found.name))
        })
        .raised()?;
    Ok((images.into_pyarray(py), labels.into_pyarray(py), classes, name))
}

/// The names of known data sets.
#[pyfunction]
pub fn datasets() -> Vec<&'static str> {
    DatasetName::ALL.map(DatasetName::as_str).to_vec()
}

/// Images and labels to train with or to measure on.
#[pyclass(frozen, module = "deepsleep._native")]
pub struct Data(pub Dataset);

#[pymethods]
impl Data {
    #[new]
    fn new(
        py: Python<'_>,
        images: PyReadonlyArray4<'_, f32>,
        labels: PyReadonlyArray1<'_, u8>,
        classes: usize,
    ) -> PyResult<Self> {
        let (_, channels, height, width) = images.as_array().dim();
        let pixels: Vec<f32> = images.as_array().iter().copied().collect();
        let labels = labels.as_array().to_vec();
        let shape = Shape::new(channels, height, width);
        py.detach(|| Dataset::from_floats(pixels, labels, shape, classes)).map(Self).raised()
    }
}
