//! Networks that the engine runs itself.

use crate::error::{Raised, refuse};
use deepsleep::checkpoint::StateDict;
use deepsleep::data::bundled_model;
use deepsleep::files::{Content, Output};
use deepsleep::method::spiking_options;
use deepsleep::nn::architecture::Architecture;
use deepsleep::nn::{Classifier, Freeze, FrozenNetwork, Model};
use deepsleep::onnx;
use deepsleep::snn::{SpikingModel, Statistics};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::{Path, PathBuf};

/// A network that was loaded or trained.
#[pyclass(frozen, module = "deepsleep._native")]
pub struct Network {
    pub model: Model,
    pub state: StateDict,
    frozen: Box<dyn FrozenNetwork + Send>,
    notes: Vec<String>,
}

impl Network {
    /// The network of a state: with rectifiers or, if it is `spiking`, with neurons.
    pub fn of(
        model: Model,
        state: StateDict,
        (spiking, draws): (bool, Option<usize>),
        mut notes: Vec<String>,
    ) -> deepsleep::Result<Self> {
        let frozen: Box<dyn FrozenNetwork + Send> = if spiking {
            let (options, note) = spiking_options(&state, model.architecture())?;
            notes.extend(note.filter(|note| !notes.contains(note)));
            let network = SpikingModel::from_model(&model, options, Statistics::Carry)?.freeze()?;
            match draws {
                Some(draws) => Box::new(network.with_draws(draws)),
                None => Box::new(network),
            }
        } else {
            if model.architecture().has_neurons() {
                notes.push(
                    "its spiking neurons (`lif`) are run as ReLUs; spiking=True lets them spike"
                        .into(),
                );
            }
            Box::new(model.freeze()?)
        };
        Ok(Self { model, state, frozen, notes })
    }

    /// As the engine sees it.
    pub fn classifier(&self) -> &dyn Classifier {
        self.frozen.as_ref()
    }
}

/// Reads a file of safetensors or ONNX, and says what was left out.
fn read(path: &Path) -> deepsleep::Result<(StateDict, Vec<String>)> {
    if onnx::is_onnx(path)? {
        let read = onnx::read(path)?;
        return Ok((read.state, read.notes));
    }
    let (state, removed) = StateDict::load(path)?.unwrapped();
    let note = format!("the names of its arrays begin with `{removed}`, which is removed");
    Ok((state, if removed.is_empty() { Vec::new() } else { vec![note] }))
}

#[pymethods]
impl Network {
    /// The network in a file, or one that comes with the sources, by name.
    #[staticmethod]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        architecture: Option<&str>,
        spiking: bool,
        draws: Option<usize>,
    ) -> PyResult<Self> {
        let named = path.to_str().filter(|_| !path.exists()).and_then(bundled_model);
        let path = named.unwrap_or(path);
        py.detach(|| {
            let (state, notes) = read(&path)?;
            let model = match architecture {
                Some(json) => Model::from_state(parsed(json)?, &state)?,
                None => Model::open(&state)?,
            };
            Self::of(model, state, (spiking, draws), notes)
        })
        .raised()
    }

    /// The network in the content of an ONNX file.
    #[staticmethod]
    fn of_onnx(py: Python<'_>, content: &[u8], name: &str, spiking: bool) -> PyResult<Self> {
        py.detach(|| {
            let read = onnx::from_bytes(content, name)?;
            let model = Model::from_state(read.architecture, &read.state)?;
            Self::of(model, read.state, (spiking, None), read.notes)
        })
        .raised()
    }

    /// The network of what `to_bytes` gave.
    #[staticmethod]
    fn of_bytes(
        py: Python<'_>,
        content: &[u8],
        architecture: &str,
        spiking: bool,
        draws: usize,
        notes: Vec<String>,
    ) -> PyResult<Self> {
        py.detach(|| {
            let state = StateDict::from_bytes(content, "a pickled network")?;
            let model = Model::from_state(parsed(architecture)?, &state)?;
            Self::of(model, state, (spiking, Some(draws)), notes)
        })
        .raised()
    }

    /// The same network, run with neurons that spike.
    fn spiking(&self, draws: Option<usize>) -> PyResult<Self> {
        Self::of(self.model.clone(), self.state.clone(), (true, draws), self.notes.clone()).raised()
    }

    #[getter]
    fn input_shape(&self) -> (usize, usize, usize) {
        let shape = self.frozen.input_shape();
        (shape.channels, shape.height, shape.width)
    }

    #[getter]
    fn classes(&self) -> usize {
        self.frozen.classes()
    }

    #[getter]
    fn is_random(&self) -> bool {
        self.frozen.is_random()
    }

    /// Draws that decide about an image: 1 unless it is random.
    #[getter]
    fn draws(&self) -> usize {
        self.frozen.draws()
    }

    #[getter]
    fn is_spiking(&self) -> bool {
        self.frozen.is_spiking()
    }

    #[getter]
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    #[getter]
    fn architecture(&self) -> PyResult<String> {
        json(self.model.architecture().as_ref())
    }

    /// The content of the file that `save` writes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.state.to_bytes().raised()?))
    }

    /// Writes it: ONNX if the name ends so, else safetensors.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let is_onnx = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("onnx"));
        let content = if is_onnx { Content::Onnx } else { Content::Network };
        py.detach(|| {
            Output::open(&path)?.to_hold(content)?;
            match is_onnx {
                true => onnx::write(&path, self.model.architecture(), &self.state),
                false => self.state.save(&path),
            }
        })
        .raised()
    }
}

/// An architecture from JSON.
pub fn parsed(text: &str) -> deepsleep::Result<Architecture> {
    serde_json::from_str(text).map_err(|error| {
        deepsleep::Error::argument("architecture", error.to_string().replace('\n', " "))
    })
}

/// Anything as JSON.
pub fn json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| refuse(format!("no JSON: {error}")))
}
