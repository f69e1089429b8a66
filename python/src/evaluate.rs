//! Many attacks at many radii, and audits: in parts that a file keeps.

use crate::attack::radius;
use crate::error::{Raised, refuse};
use crate::network::json;
use crate::samples::Samples;
use crate::work::{AnyModel, run};
use deepsleep::attack::{AttackSpec, Budget, Classifier, Norm};
use deepsleep::audit::{AuditOptions, AuditReport, AuditStage, AuditTask};
use deepsleep::evaluation::{
    AUDIT, CheckpointKind, Journal, JournalSettings, Models, Plan, PortionResult, evaluate_with,
    fingerprint, worst_cases,
};
use deepsleep::experiment::NUMERICS;
use deepsleep::files::Output;
use deepsleep::report::audit_page;
use pyo3::prelude::*;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::sync::Arc;

/// A file that keeps parts, locked while it is open.
struct Kept {
    journal: Journal,
    _place: Output,
}

/// The file that keeps the parts of some work, if there is to be one, and the parts that it holds already.
fn journal<P: DeserializeOwned>(
    kind: CheckpointKind,
    place: Option<PathBuf>,
    settings: &JournalSettings,
) -> deepsleep::Result<(Option<Kept>, Vec<P>)> {
    let Some(path) = place else { return Ok((None, Vec::new())) };
    let place = Output::open(&path)?.locked()?;
    kind.expect(&place)?;
    if path.exists()
        && let Some((journal, done)) = Journal::resume(&place, settings)?
    {
        return Ok((Some(Kept { journal, _place: place }), done));
    }
    let journal = Journal::begin(&place, settings)?;
    Ok((Some(Kept { journal, _place: place }), Vec::new()))
}

/// Everything that the bits depend on: what the caller says of the models, the engine, the images and these.
fn settings(
    about: JournalSettings,
    samples: &deepsleep::attack::Samples,
    more: &[(&str, String)],
) -> JournalSettings {
    let own = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("numerics", NUMERICS.to_string()),
        ("images", fingerprint(samples)),
    ];
    let own = own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), value.clone()));
    own.chain(about).collect()
}

/// All attacks at all radii; the cells and the worst cases as JSON.
#[pyfunction]
#[pyo3(signature = (model, samples, attacks, norm, radii, seed, threads, portion, about, checkpoint, source=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "a function of Python's, called with keywords")]
pub fn run_many<'py>(
    py: Python<'py>,
    model: AnyModel<'py>,
    samples: &Samples,
    attacks: Vec<String>,
    norm: &str,
    radii: Vec<String>,
    seed: u64,
    threads: usize,
    portion: usize,
    about: JournalSettings,
    checkpoint: Option<PathBuf>,
    source: Option<AnyModel<'py>>,
    progress: Option<Bound<'py, PyAny>>,
) -> PyResult<String> {
    let samples = Arc::clone(&samples.0);
    let norm: Norm = norm.parse().raised()?;
    let features = samples.shape().features();
    let attacks = attacks.iter().map(|attack| attack.parse());
    let attacks = attacks.collect::<deepsleep::Result<Vec<AttackSpec>>>().raised()?;
    let radii =
        radii.iter().map(|eps| radius(eps, norm, features)).collect::<PyResult<Vec<f32>>>()?;
    let plan = Plan::default().with(|o| {
        o.attacks = attacks;
        o.norm = norm;
        o.radii = radii;
        o.seed = seed;
        o.portion = portion;
    });
    plan.validate().raised()?;
    let texts: Vec<String> = plan.attacks.iter().map(ToString::to_string).collect();
    let numbers: Vec<String> = plan.radii.iter().map(f32::to_string).collect();
    let settings = settings(
        about,
        &samples,
        &[
            ("attacks", texts.join(" ")),
            ("norm", norm.to_string()),
            ("eps", numbers.join(",")),
            ("seed", seed.to_string()),
            ("portion", portion.to_string()),
        ],
    );
    let (mut kept, done) =
        journal::<PortionResult>(CheckpointKind::Evaluation, checkpoint, &settings).raised()?;
    let models: Vec<AnyModel<'_>> = [Some(model), source].into_iter().flatten().collect();
    let total = plan.attacks.len() * plan.radii.len() * samples.len();
    let cells = run(py, &models, threads, progress.as_ref(), |office, models| {
        let mut finished: usize = done.iter().map(|part| part.outcomes.len()).sum();
        let models = Models { target: models[0], source: models.get(1).copied() };
        evaluate_with(office.context, models, &samples, &plan, done, &mut |part| {
            finished += part.outcomes.len();
            office.tell(finished, total, plan.attacks[part.attack].name());
            kept.as_mut().map_or(Ok(()), |kept| kept.journal.add(part))
        })
    })?;
    json(&serde_json::json!({ "results": cells, "worst_case": worst_cases(&cells) }))
}

/// Whether a robust accuracy can be trusted, as JSON.
#[pyfunction]
#[pyo3(signature = (model, samples, norm, eps, seed, images, claim, search, fast, attack, twins, threads, about, checkpoint, progress=None))]
#[expect(clippy::too_many_arguments, reason = "a function of Python's, called with keywords")]
pub fn run_audit<'py>(
    py: Python<'py>,
    model: AnyModel<'py>,
    samples: &Samples,
    norm: &str,
    eps: &str,
    seed: u64,
    images: usize,
    claim: Option<f64>,
    search: usize,
    fast: bool,
    attack: Option<&str>,
    twins: Vec<AnyModel<'py>>,
    threads: usize,
    about: JournalSettings,
    checkpoint: Option<PathBuf>,
    progress: Option<Bound<'py, PyAny>>,
) -> PyResult<String> {
    let samples = Arc::clone(&samples.0);
    let norm: Norm = norm.parse().raised()?;
    let eps = radius(eps, norm, samples.shape().features())?;
    let claimed_by = attack.map(str::parse::<AttackSpec>).transpose().raised()?;
    let budget = Budget { norm, eps, seed };
    let options = AuditOptions::default().with(|o| {
        o.budget = budget;
        o.images = images;
        o.claim = claim;
        o.claimed_by = claimed_by;
        o.search = search;
        o.fast = fast;
    });
    let said = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let settings = settings(
        about,
        &samples,
        &[
            (AUDIT, "yes".to_owned()),
            ("norm", norm.to_string()),
            ("eps", eps.to_string()),
            ("seed", seed.to_string()),
            ("count", images.to_string()),
            ("search", search.to_string()),
            ("fast", fast.to_string()),
            ("claim", said(claim.map(|claim| claim.to_string()))),
            ("attack", said(options.claimed_by.as_ref().map(ToString::to_string))),
        ],
    );
    let (mut kept, done) =
        journal::<AuditStage>(CheckpointKind::Audit, checkpoint, &settings).raised()?;
    let models: Vec<AnyModel<'_>> = std::iter::once(model).chain(twins).collect();
    let report = run(py, &models, threads, progress.as_ref(), |office, models| {
        let (context, model, twins): (_, &dyn Classifier, _) =
            (office.context, models[0], &models[1..]);
        let task = AuditTask { context, model, samples: &samples, options: &options, twins };
        let mut stages = done.len();
        let mut say = |what: &str| {
            stages += 1;
            office.tell(stages, 0, what);
        };
        task.run_with(done, &mut say, &mut |stage| {
            kept.as_mut().map_or(Ok(()), |kept| kept.journal.add(stage))
        })
    })?;
    json(&report)
}

/// The page of an audit.
#[pyfunction]
pub fn page_of_audit(model: &str, dataset: &str, report: &str) -> PyResult<String> {
    let report: AuditReport =
        serde_json::from_str(report).map_err(|error| refuse(format!("audit: {error}")))?;
    audit_page(model, dataset, &report).raised()
}
