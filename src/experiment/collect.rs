//! From finished jobs to results.

use super::graph::{Graph, Question};
use super::perform::{Evaluated, Trained, read};
use super::results::{Cell, CraftedSet, JobRun, Model, Results};
use super::run::Fate;
use super::store::{Entry, Store};
use super::work::NUMERICS;
use crate::Result;

/// The results, as far as there are any: cells and models without a result are left out.
///
/// # Errors
/// If a stored value is not of its kind.
pub fn collect(graph: &Graph, question: &Question, fates: &[Fate]) -> Result<Results> {
    let entry = |job: usize| match &fates[job] {
        Fate::Done(entry, _) => Some(&**entry),
        Fate::NotOurs | Fate::Failed => None,
    };
    let mut models = Vec::new();
    for plan in &graph.models {
        let Some(entry) = entry(plan.job) else { continue };
        let history = read::<Trained>(entry)?.history;
        let overrides = plan.method.set.iter().map(|(k, v)| (k.clone(), v.clone()));
        models.push(Model {
            method: plan.method.label.clone(),
            id: plan.method.id.clone(),
            defense: plan.method.training,
            seed: plan.seed,
            overrides: overrides.collect(),
            clean_accuracy: history.last().map_or(0.0, |point| point.test_accuracy),
            history,
            file: file(entry),
        });
    }
    let mut crafted = Vec::new();
    for plan in &graph.sets {
        let Some(first) = plan.jobs.first().and_then(|&job| entry(job)) else { continue };
        crafted.push(CraftedSet {
            column: plan.column.clone(),
            scale: plan.scale.clone(),
            seed: plan.seed,
            images: question.images,
            file: file(first),
        });
    }
    let mut cells = Vec::new();
    for plan in &graph.cells {
        let Some(entry) = entry(plan.job) else { continue };
        let evaluated: Evaluated = read(entry)?;
        let model = &graph.models[plan.model];
        cells.push(Cell {
            method: model.method.label.clone(),
            model: model.method.id.clone(),
            seed: model.seed,
            scale: plan.scale.clone(),
            column: plan.column.clone(),
            attack: plan.attack.clone(),
            threat_model: plan.threat_model,
            images: evaluated.images,
            accuracy: evaluated.accuracy,
            warnings: evaluated.warnings,
            zero_gradient_share: evaluated.zero_gradient_share,
        });
    }
    Ok(Results {
        version: env!("CARGO_PKG_VERSION").into(),
        numerics: NUMERICS,
        network: graph.sources.network.clone(),
        data: Some(question.data.clone()),
        quick: question.quick,
        settings: question.settings.clone(),
        seeds: question.seeds.clone(),
        tables: question.tables.clone(),
        figures: question.figures.clone(),
        images: question.images,
        white_box_images: question.white_box_images,
        largest_class: question.largest_class,
        train_images: question.trained_on.images,
        models,
        crafted,
        cells,
    })
}

/// How the jobs went, in the graph's order.
pub fn job_runs(graph: &Graph, fates: &[Fate]) -> Vec<JobRun> {
    let jobs = graph.jobs.iter().zip(fates);
    jobs.filter_map(|(job, fate)| match fate {
        Fate::Done(entry, reused) => Some(JobRun {
            name: job.name.clone(),
            kind: job.work.kind().into(),
            seconds: entry.seconds,
            reused: *reused,
        }),
        Fate::NotOurs | Fate::Failed => None,
    })
    .collect()
}

fn file(entry: &Entry) -> String {
    entry.file.as_ref().map_or(String::new(), |file| format!("{}/{file}", Store::FOLDER))
}
