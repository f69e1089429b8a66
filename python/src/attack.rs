//! Attacks, and what came of them.

use crate::error::{Raised, refuse};
use crate::network::json;
use crate::samples::Samples;
use crate::work::{AnyModel, run};
use deepsleep::attack::{
    self, ATTACKS, AttackInfo, AttackReport, AttackSpec, Budget, Norm, Status, parse_eps,
    run_attack,
};
use deepsleep::checkpoint::{Npz, NpzArray};
use deepsleep::draw::{GridImage, grid_png};
use deepsleep::evaluation::{Cell, Crafted, ThreatModel, archive, classify};
use deepsleep::files::{Content, Output};
use deepsleep::simd::LANES;
use deepsleep::tensor::Shape;
use numpy::{IntoPyArray, PyReadonlyArray4};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Images a lane between two steps of a bar that shows the progress: at the end of a portion lanes stay empty.
const ROUNDS: usize = 4;

/// What became of every sample: the arrays of the file that keeps them, and the numbers about all of it, as JSON.
#[pyclass(frozen, module = "deepsleep._native")]
pub struct AttackResult {
    npz: Npz,
    #[pyo3(get)]
    summary: String,
}

#[pymethods]
impl AttackResult {
    /// The arrays by name.
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let columns = PyDict::new(py);
        for name in self.npz.names() {
            let array = match self.npz.get(name) {
                Some(NpzArray::Floats(array)) => array.clone().into_pyarray(py).into_any(),
                Some(NpzArray::Integers(array)) => array.clone().into_pyarray(py).into_any(),
                Some(NpzArray::Words(words)) => words.clone().into_bound_py_any(py)?,
                Some(NpzArray::Bytes(_)) | None => continue,
            };
            columns.set_item(name, array)?;
        }
        Ok(columns)
    }

    /// The content of the npz file that `attack --save` writes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &py.detach(|| self.npz.to_bytes()).raised()?))
    }
}

impl AttackResult {
    fn new(
        samples: &attack::Samples,
        report: &AttackReport,
        (info, spec): (&AttackInfo, &AttackSpec),
        threat: ThreatModel,
        seconds: f64,
    ) -> PyResult<Self> {
        let cell = Cell::of_report(spec.to_string(), threat, report, info.bounded, seconds);
        let mut summary = serde_json::to_value(&cell).unwrap_or_default();
        let counts = [
            ("clean_wrong", Status::CleanWrong),
            ("fooled", Status::Fooled),
            ("survived", Status::Survived),
        ];
        for (name, status) in counts {
            summary[name] = report.count(status).into();
        }
        summary["images"] = report.outcomes.len().into();
        summary["clean_accuracy"] = report.clean_accuracy().into();
        summary["expected_clean_accuracy"] = report.expected_clean_accuracy().into();
        summary["bounded"] = info.bounded.into();
        let about = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "specification": spec.to_string(),
            "threat_model": threat,
        });
        let npz = archive(samples, report, info, &about).raised()?;
        Ok(Self { npz, summary: json(&summary)? })
    }
}

/// Writes the content of an npz file of crafted images, over nothing else.
#[pyfunction]
pub fn save_set(py: Python<'_>, content: &[u8], path: PathBuf) -> PyResult<()> {
    py.detach(|| Output::open(&path)?.to_hold(Content::CraftedSet)?.write_all(content)).raised()
}

/// Images `[n, c, h, w]` and what became of them, with captions, as a PNG: clean, adversarial, difference.
#[pyfunction]
pub fn grid<'py>(
    py: Python<'py>,
    clean: PyReadonlyArray4<'py, f32>,
    adversarial: PyReadonlyArray4<'py, f32>,
    captions: Vec<String>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (_, channels, height, width) = clean.as_array().dim();
    let shape = Shape::new(channels, height, width);
    let features = shape.features();
    let (clean, adversarial) = (clean.as_slice()?, adversarial.as_slice()?);
    let images = clean.chunks(features).zip(adversarial.chunks(features)).zip(captions);
    let images =
        images.map(|((clean, adversarial), caption)| GridImage { clean, adversarial, caption });
    Ok(PyBytes::new(py, &grid_png(shape, &images.collect::<Vec<_>>()).raised()?))
}

/// A radius as the engine reads it.
pub fn radius(text: &str, norm: Norm, features: usize) -> PyResult<f32> {
    match *parse_eps(text, norm, features).raised()? {
        [eps] => Ok(eps),
        _ => Err(refuse(format!("eps: `{text}` is not one radius"))),
    }
}

/// Attacks samples; with a `source`, images are crafted on that and shown to the model.
#[pyfunction]
#[pyo3(signature = (model, samples, attack, norm, eps, seed, threads, source=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "a function of Python's, called with keywords")]
pub fn run_one<'py>(
    py: Python<'py>,
    model: AnyModel<'py>,
    samples: &Samples,
    attack: &str,
    norm: &str,
    eps: &str,
    seed: u64,
    threads: usize,
    source: Option<AnyModel<'py>>,
    progress: Option<Bound<'py, PyAny>>,
) -> PyResult<AttackResult> {
    let samples = Arc::clone(&samples.0);
    let threat = match source {
        None => ThreatModel::WhiteBox,
        Some(_) => ThreatModel::Transfer,
    };
    let spec: AttackSpec = attack.parse().raised()?;
    let spec = if source.is_some() { spec.transfer_form() } else { spec };
    let built = spec.build().raised()?;
    let norm: Norm = norm.parse().raised()?;
    let eps = radius(eps, norm, samples.shape().features())?;
    let budget = Budget { norm, eps, seed };
    let models: Vec<AnyModel<'_>> = [Some(model), source].into_iter().flatten().collect();
    let (start, shown) = (Instant::now(), progress.is_some());
    let report = run(py, &models, threads, progress.as_ref(), |office, models| {
        spec.check_classes(models[models.len() - 1].classes())?;
        let (context, total) = (office.context, samples.len());
        let portion = if shown { ROUNDS * LANES * context.threads() } else { total.max(1) };
        let mut parts = Vec::new();
        office.tell(0, total, spec.name());
        for first in (0..total).step_by(portion) {
            let which: Vec<usize> = (first..total.min(first + portion)).collect();
            let some = samples.select(&which)?;
            parts.push(match *models {
                [model, source] => Crafted::craft(context, source, &some, built.as_ref(), budget)?
                    .show(context, model)?,
                _ => run_attack(context, models[0], &some, built.as_ref(), budget)?,
            });
            office.tell(first + which.len(), total, spec.name());
        }
        let none = || deepsleep::Error::argument("attack", "there are no images");
        AttackReport::merge(parts).ok_or_else(none)
    })?;
    let (info, seconds) = (built.info(), start.elapsed().as_secs_f64());
    AttackResult::new(&samples, &report, (&info, &spec), threat, seconds)
}

/// The clean accuracy as an attack tells it, and what gives reason to doubt it.
#[pyfunction]
pub fn clean_accuracy<'py>(
    py: Python<'py>,
    model: AnyModel<'py>,
    samples: &Samples,
    seed: u64,
    threads: usize,
) -> PyResult<(f64, Vec<String>)> {
    let samples = Arc::clone(&samples.0);
    run(py, &[model], threads, None, |office, models| {
        let report = classify(office.context, models[0], &samples, seed)?;
        Ok((report.clean_accuracy(), report.warnings))
    })
}

/// Key, default and meaning of an option.
type Described = (String, String, String);

/// All attacks: name, what it is, and its options.
#[pyfunction]
pub fn attacks() -> Vec<(String, String, Vec<Described>)> {
    let entry = |entry: &attack::CatalogEntry| {
        let options = entry.options().map(|(key, default, meaning)| {
            (key.to_string(), default.to_string(), meaning.to_string())
        });
        (entry.name.to_owned(), entry.summary.to_owned(), options.collect())
    };
    ATTACKS.iter().map(entry).collect()
}
