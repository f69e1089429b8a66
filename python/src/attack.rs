//! Attacks, and what came of them.

use crate::callback::Callback;
use crate::error::{Raised, refuse};
use crate::network::json;
use crate::samples::Samples;
use crate::work::{AnyModel, run};
use deepsleep::attack::{
    self, ATTACKS, AttackInfo, AttackReport, AttackSpec, Budget, Norm, Outcome, Status, parse_eps,
    run_attack,
};
use deepsleep::checkpoint::NpzArray;
use deepsleep::draw::{GridImage, grid_png};
use deepsleep::evaluation::{Cell, Crafted, ThreatModel, archive};
use deepsleep::files::{Content, Output};
use numpy::IntoPyArray;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Images between two looks at the progress, if the engine runs the model.
const PORTION: usize = 256;

/// Batches of a model of Python's between two looks at the progress: at the end of a portion lanes stay empty.
const BATCHES: usize = 4;

/// What became of every sample.
#[pyclass(frozen, module = "deepsleep._native")]
pub struct AttackResult {
    samples: Arc<attack::Samples>,
    report: AttackReport,
    info: AttackInfo,
    spec: AttackSpec,
    threat: ThreatModel,
    seconds: f64,
}

#[pymethods]
impl AttackResult {
    /// The arrays of the file that `save` writes, by name.
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let columns = PyDict::new(py);
        let npz = self.npz()?;
        for name in npz.names() {
            let array = match npz.get(name) {
                Some(NpzArray::Floats(array)) => array.clone().into_pyarray(py).into_any(),
                Some(NpzArray::Integers(array)) => array.clone().into_pyarray(py).into_any(),
                Some(NpzArray::Words(words)) => words.clone().into_bound_py_any(py)?,
                Some(NpzArray::Bytes(_)) | None => continue,
            };
            columns.set_item(name, array)?;
        }
        Ok(columns)
    }

    /// All numbers about the attack as a whole, as JSON.
    fn summary(&self) -> PyResult<String> {
        let (report, bounded) = (&self.report, self.info.bounded);
        let spec = self.spec.to_string();
        let cell = Cell::of_report(spec, self.threat, report, bounded, self.seconds);
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
        summary["bounded"] = bounded.into();
        json(&summary)
    }

    /// Saves everything as an npz file, as `attack --save` does.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let npz = self.npz()?;
        py.detach(|| {
            Output::open(&path)?.to_hold(Content::CraftedSet)?;
            npz.save(path)
        })
        .raised()
    }

    /// The first images that fool (or the first of all), as a PNG: clean, adversarial, difference.
    fn grid<'py>(&self, py: Python<'py>, most: usize) -> PyResult<Bound<'py, PyBytes>> {
        let all = || self.report.outcomes.iter().enumerate();
        let fooled = all().filter(|(_, outcome)| outcome.status == Status::Fooled).take(most);
        let mut chosen: Vec<(usize, &Outcome)> = fooled.collect();
        if chosen.is_empty() {
            chosen = all().take(most).collect();
        }
        let images = chosen.iter().map(|&(i, outcome)| GridImage {
            clean: self.samples.image(i),
            adversarial: &outcome.image,
            caption: format!("{} > {}", outcome.label, outcome.prediction),
        });
        let images: Vec<GridImage<'_>> = images.collect();
        Ok(PyBytes::new(py, &grid_png(self.samples.shape(), &images).raised()?))
    }
}

impl AttackResult {
    fn npz(&self) -> PyResult<deepsleep::checkpoint::Npz> {
        let about = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "specification": self.spec.to_string(),
            "threat_model": self.threat,
        });
        archive(&self.samples, &self.report, &self.info, &about).raised()
    }
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
    let method = spec.build().raised()?;
    let norm: Norm = norm.parse().raised()?;
    let eps = radius(eps, norm, samples.shape().features())?;
    let budget = Budget { norm, eps, seed };
    let models: Vec<AnyModel<'_>> = [Some(model), source].into_iter().flatten().collect();
    let batch = models.iter().filter_map(AnyModel::callback).map(Callback::batch).max();
    let portion = batch.map_or(PORTION, |batch| PORTION.max(BATCHES * batch));
    let start = Instant::now();
    let report = run(py, &models, threads, progress.as_ref(), |office, models| {
        spec.check_classes(models[models.len() - 1].classes())?;
        let (context, total) = (office.context, samples.len());
        let mut parts = Vec::new();
        for first in (0..total).step_by(portion) {
            let which: Vec<usize> = (first..total.min(first + portion)).collect();
            let some = samples.select(&which)?;
            parts.push(match *models {
                [model, source] => Crafted::craft(context, source, &some, method.as_ref(), budget)?
                    .show(context, model)?,
                _ => run_attack(context, models[0], &some, method.as_ref(), budget)?,
            });
            office.tell(first + which.len(), total, spec.name());
        }
        let none = || deepsleep::Error::argument("attack", "there are no images");
        AttackReport::merge(parts).ok_or_else(none)
    })?;
    let (info, seconds) = (method.info(), start.elapsed().as_secs_f64());
    Ok(AttackResult { samples, report, info, spec, threat, seconds })
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
