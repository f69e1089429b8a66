//! `--search FILE`: which one set of settings explains the whole paper best.

use super::work::{Reproduction, ResultsFolder};
use crate::common::Common;
use crate::stderr::shown;
use anyhow::{Result, bail};
use deepsleep::Error;
use deepsleep::data::Dataset;
use deepsleep::experiment::{
    ExperimentSpec, Finalist, Found, JobOutcome, JointSearch, Lookup, PassedOver, Request,
    SearchStep, Store, Trial, words_of,
};
use indicatif::HumanDuration;
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// Searches, then writes what was found, and the results and report of what won.
pub fn run(
    search: &JointSearch,
    spec: &ExperimentSpec,
    folder: ResultsFolder<'_>,
    images: (&Dataset, &Dataset),
    jobs: usize,
) -> Result<()> {
    let (console, start) = (folder.common.console(), Instant::now());
    let of_trial = |trial: &Trial| Request::new(trial.spec.clone(), None);
    let mut compute = |trial: &Trial| -> Result<Vec<JobOutcome>, Error> {
        console.say(format_args!("hypothesis: {}", words_of(&trial.hypothesis)));
        let work = Reproduction { request: &of_trial(trial), graph: &trial.graph, folder };
        work.compute(images, (jobs, None)).map_err(|e| Error::failed("search", e))
    };
    let mut tell = |step: &SearchStep| {
        let (score, hypothesis) = (step.score, words_of(&step.hypothesis));
        let (inside, cells) = (score.inside, score.cells);
        console.say(format_args!(
            "log density {:.2} ({inside} of {cells} inside): {hypothesis}",
            score.log_density
        ));
    };
    let answer = search.run(spec, &mut compute, &mut tell)?;
    answer.save(folder.out)?;
    let Some(winner) = answer.winner() else { bail!("no hypothesis was tried") };
    let mut trial = search.finalist(spec, &winner.hypothesis)?;
    trial.graph = trial.graph.with_pictures(&trial.spec)?;
    console.result(&answer, text(&answer, folder.out))?;
    let work = Reproduction { request: &of_trial(&trial), graph: &trial.graph, folder };
    let outcomes = work.compute(images, (jobs, None))?;
    work.write(&outcomes, start)
}

/// What was found, for people.
fn text(found: &Found, out: &Path) -> String {
    let mut text =
        format!("\n{:>10}  {:>10}  {:>9}  hypothesis\n", "choosing", "confirming", "inside");
    for finalist in &found.finalists {
        let Finalist { choosing, confirming, inside, cells, hypothesis, .. } = finalist;
        let inside = format!("{inside} of {cells}");
        text += &format!(
            "{:>10.1}  {:>10.1}  {inside:>9}  {}\n",
            choosing.log_density,
            confirming.log_density,
            words_of(hypothesis)
        );
    }
    if found.is_overfitted() {
        text += "the first gains only where it was chosen: it has overfitted\n";
    }
    for PassedOver { hypothesis, why } in &found.passed_over {
        text += &format!("passed over: {}: {why}\n", words_of(hypothesis));
    }
    text += &format!("{} printed numbers lie in no finalist's interval\n", found.unexplained.len());
    text + &shown(&out.join(Found::FILE)).to_string()
}

#[derive(Serialize)]
struct PlannedTrials {
    hypotheses: usize,
    jobs: usize,
    left: usize,
    estimated_seconds: f64,
}

/// `--dry-run`: what one round and the finals take.
pub fn plan(
    search: &JointSearch,
    (round, finalist): (&[Trial], &Trial),
    store: &Store,
    common: &Common,
) -> Result<()> {
    let mut known = HashSet::new();
    let mut part = |trials: &[&Trial]| {
        let mut part =
            PlannedTrials { hypotheses: trials.len(), jobs: 0, left: 0, estimated_seconds: 0.0 };
        for trial in trials {
            for job in trial.graph.jobs.iter().filter(|job| known.insert(job.key.clone())) {
                part.jobs += 1;
                if !matches!(store.find(&job.key), Lookup::Entry(_)) {
                    part.left += 1;
                    part.estimated_seconds += trial.graph.estimate(job);
                }
            }
        }
        part
    };
    let round = part(&round.iter().collect::<Vec<_>>());
    let mut last = part(&[finalist]);
    // Each finalist may share nothing with the others.
    last.hypotheses = search.finalists + 1;
    last.estimated_seconds *= last.hypotheses as f64;
    let time =
        |part: &PlannedTrials| HumanDuration(Duration::from_secs_f64(part.estimated_seconds));
    let text = format!(
        "the first of at most {} rounds: {} hypotheses with {} seeds, {} of {} jobs to do, about {} on two cores\n\
         the finals: at most {} hypotheses with {} seeds on all tables, about {}",
        search.rounds,
        round.hypotheses,
        search.seeds,
        round.left,
        round.jobs,
        time(&round),
        last.hypotheses,
        search.final_seeds,
        time(&last)
    );
    common.console().result(&[round, last], text)
}
