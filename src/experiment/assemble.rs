//! From finished jobs to results.

use super::execute::{Trained, read};
use super::graph::{CellPlan, Graph};
use super::printed::Printed;
use super::replication::{CellSummary, Replication};
use super::results::{CLEAN, CraftedSet, ModelResult, Results, TableCell};
use super::run::JobOutcome;
use super::run_info::JobRun;
use super::spec::ExperimentSpec;
use super::store::{Store, StoreEntry};
use crate::Result;
use crate::evaluation::{Evidence, NamedAttack, ThreatModel};
use crate::method::HistoryPoint;

/// The results, as far as there are any: cells and models without a result are left out.
///
/// # Errors
/// If a stored value is not of its kind.
pub fn assemble_results(
    graph: &Graph,
    spec: &ExperimentSpec,
    outcomes: &[JobOutcome],
) -> Result<Results> {
    let entry = |job: usize| match &outcomes[job] {
        JobOutcome::Done(entry, _) => Some(&**entry),
        JobOutcome::NotOurs | JobOutcome::Failed(_) | JobOutcome::Missing => None,
    };
    let mut models = Vec::new();
    for plan in &graph.models {
        let Some(entry) = entry(plan.job) else { continue };
        let history = read::<Trained>(entry)?.history;
        let overrides = plan.row.set.iter().map(|(k, v)| (k.clone(), v.clone()));
        models.push(ModelResult {
            method: plan.row.label.clone(),
            id: plan.row.id.clone(),
            defense: plan.row.training,
            seed: plan.seed,
            overrides: overrides.collect(),
            clean_accuracy: history.last().map_or(0.0, HistoryPoint::accuracy),
            history,
            file: file(entry),
            spiking: plan.row.spiking,
        });
    }
    let mut crafted = Vec::new();
    for plan in &graph.sets {
        let Some(first) = plan.jobs.first().and_then(|&job| entry(job)) else { continue };
        crafted.push(CraftedSet {
            column: plan.column.clone(),
            norm: plan.norm,
            scale: plan.scale.clone(),
            seed: plan.seed,
            images: spec.images,
            file: file(first),
        });
    }
    let mut cells = Vec::new();
    for plan in &graph.cells {
        let Some(entry) = entry(plan.job) else { continue };
        cells.push(cell(graph, plan, read::<Evidence>(entry)?)?);
    }
    let mut results = Results {
        network: graph.sources.network.clone(),
        data: Some(spec.data.clone()),
        quick: spec.quick,
        seeds: spec.seeds.clone(),
        tables: spec.tables.clone(),
        figures: spec.figures.clone(),
        sheets: spec.sheets.clone(),
        images: spec.images,
        white_box_images: spec.white_box_images,
        largest_class: spec.largest_class,
        train_images: spec.trained_on.images,
        models,
        crafted,
        cells,
        ..Results::new(spec.settings.clone())
    };
    results.summary = CellSummary::all(&results);
    if results.is_of_the_paper() {
        results.replication = Replication::all(&results, &Printed::load()?);
    }
    Ok(results)
}

/// A cell of a table, from what is kept of each of its samples.
fn cell(graph: &Graph, plan: &CellPlan, evidence: Evidence) -> Result<TableCell> {
    let evidence = evidence.of_attack(plan.attack.as_ref());
    let measured = evidence.cell(plan.images)?.counted_within(plan.noise);
    let model = &graph.models[plan.model];
    // What the checks of an attack say concerns the model that it searched on.
    let own = plan.threat_model == ThreatModel::WhiteBox && plan.attack.is_some();
    // Images of another model may put a wrong answer right, and count as they are shown, as in the paper. A certificate or a union
    // of attacks is of images that are right without an attack too.
    let is_shown = if plan.attack.is_some() { !own } else { plan.column == CLEAN };
    Ok(TableCell {
        method: model.row.label.clone(),
        model: model.row.id.clone(),
        seed: model.seed,
        norm: plan.ball.0,
        eps: plan.ball.1,
        scale: plan.scale.clone(),
        column: plan.column.clone(),
        attack: plan.attack.clone().map(NamedAttack::Known),
        threat_model: plan.threat_model,
        images: measured.outcomes.len(),
        accuracy: if is_shown { measured.accuracy_as_shown() } else { measured.robust_accuracy },
        warnings: measured.warnings.iter().filter(|_| own).map(ToString::to_string).collect(),
        zero_gradient_share: measured.zero_gradient_share.filter(|_| own),
        evidence: Some(format!("{}/{}.json", Store::FOLDER, graph.jobs[plan.job].key)),
    })
}

/// The jobs that the results lack. What only pictures are drawn from is none of them: the report says that it is left out.
pub fn missing_results(graph: &Graph, outcomes: &[JobOutcome]) -> Vec<usize> {
    let lacks = |&job: &usize| {
        let done = matches!(outcomes[job], JobOutcome::Done(..));
        !done && !graph.jobs[job].work.is_observation()
    };
    (0..outcomes.len()).filter(lacks).collect()
}

/// Why a job has no result and never will: it fails, or one that it needs does, whenever it is run. None if there is a result,
/// or may be one another time.
pub fn lasting_failure(graph: &Graph, outcomes: &[JobOutcome], job: usize) -> Option<String> {
    match &outcomes[job] {
        JobOutcome::Failed(error) if error.is_of_what_was_asked() => {
            Some(format!("{}: {error}", graph.jobs[job].name))
        }
        JobOutcome::Missing => {
            let mut inputs = graph.jobs[job].inputs.iter();
            inputs.find_map(|&input| lasting_failure(graph, outcomes, input))
        }
        JobOutcome::Failed(_) | JobOutcome::Done(..) | JobOutcome::NotOurs => None,
    }
}

/// How the jobs went, in the graph's order.
pub fn job_runs(graph: &Graph, outcomes: &[JobOutcome]) -> Vec<JobRun> {
    let jobs = graph.jobs.iter().zip(outcomes);
    jobs.filter_map(|(job, outcome)| match outcome {
        JobOutcome::Done(entry, reused) => Some(JobRun {
            name: job.name.clone(),
            kind: job.work.kind().into(),
            seconds: entry.seconds,
            reused: *reused,
        }),
        JobOutcome::NotOurs | JobOutcome::Failed(_) | JobOutcome::Missing => None,
    })
    .collect()
}

fn file(entry: &StoreEntry) -> Option<String> {
    entry.file.as_ref().map(|file| format!("{}/{file}", Store::FOLDER))
}
