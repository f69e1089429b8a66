//! Does what is asked of a results folder, and writes what came out.

use super::display::Display;
use super::plan::counted;
use super::summary;
use crate::common::Common;
use crate::stderr::shown;
use anyhow::{Result, bail};
use deepsleep::data::Dataset;
use deepsleep::experiment::{
    Graph, JobOutcome, Request, Results, RunInfo, RunOptions, Store, SweepFound, assemble_results,
    lasting_failure, missing_results, run, write_results,
};
use deepsleep::tensor::Context;
use std::path::Path;
use std::time::Instant;

/// The folder for results, and what they are computed with.
#[derive(Clone, Copy)]
pub struct ResultsFolder<'a> {
    pub store: &'a Store,
    pub out: &'a Path,
    pub context: &'a Context,
    pub common: &'a Common,
}

/// A request with its graph.
pub struct Reproduction<'a> {
    pub request: &'a Request,
    pub graph: &'a Graph,
    pub folder: ResultsFolder<'a>,
}

impl Reproduction<'_> {
    /// Computes what is not in the store, then writes the results.
    pub fn run(
        &self,
        images: (&Dataset, &Dataset),
        (jobs, shard): (usize, Option<(usize, usize)>),
    ) -> Result<()> {
        let (console, start) = (self.folder.common.console(), Instant::now());
        if self.request.spec.quick {
            console.say("quick run: long trainings are shortened, and few images attacked; the report says how sure its numbers are");
        }
        let outcomes = self.compute(images, (jobs, shard))?;
        let missing = missing_results(self.graph, &outcomes);
        if let (Some((i, n)), false) = (shard, missing.is_empty()) {
            console.say(format_args!(
                "shard {i} of {n} is done; `merge` joins what the shards have in folders of their own"
            ));
            // What a sweep passes over is no failure of its shards either.
            let is_passed = |job| {
                self.request.sweep.is_some()
                    && lasting_failure(self.graph, &outcomes, job).is_some()
            };
            let mut missing = missing.into_iter();
            let failed = missing
                .any(|job| matches!(outcomes[job], JobOutcome::Failed(_)) && !is_passed(job));
            return if failed { bail!("some jobs failed") } else { Ok(()) };
        }
        self.finish(&outcomes, start, "the same command tries them again")
    }

    /// Computes what is not in the store.
    pub fn compute(
        &self,
        images: (&Dataset, &Dataset),
        (jobs, shard): (usize, Option<(usize, usize)>),
    ) -> Result<Vec<JobOutcome>> {
        let ResultsFolder { store, context, common, .. } = self.folder;
        let options = RunOptions::of(context).with(|o| {
            o.jobs = jobs;
            o.shard = shard;
        });
        let display = Display::new(self.graph, store, shard, common);
        let tell = |event: deepsleep::experiment::Event<'_>| display.on(&event);
        let outcomes = run(self.graph, store, images, options, &tell)?;
        display.finish();
        Ok(outcomes)
    }

    /// Writes the results as far as there are any, and their report. If some are missing that is an error, which says
    /// which, and what to do: `again`.
    pub fn finish(&self, outcomes: &[JobOutcome], start: Instant, again: &str) -> Result<()> {
        let results = assemble_results(self.graph, &self.request.spec, outcomes)?;
        let missing = missing_results(self.graph, outcomes);
        let (count, kinds) = counted(missing.iter().map(|&job| self.graph.jobs[job].work.kind()));
        let is_lasting =
            missing.iter().all(|&job| lasting_failure(self.graph, outcomes, job).is_some());
        let incomplete = || {
            let next = if is_lasting {
                "they fail whenever they are run: change a setting"
            } else {
                again
            };
            bail!("{count} of {} jobs have no result ({kinds}); {next}", outcomes.len())
        };
        if results.cells.is_empty() && count > 0 {
            // What an earlier run has written is worth more than a page without a number.
            return incomplete();
        }
        match &self.request.sweep {
            Some(sweep) => {
                let (request, graph) = (self.request, self.graph);
                let found = SweepFound::new(request, sweep, graph, &results, outcomes)?;
                let ResultsFolder { out, common, .. } = self.folder;
                for passed in &found.passed_over {
                    if !graph.passed_over.contains(passed) {
                        common
                            .console()
                            .say(format_args!("passed over: {}: {}", passed.variant, passed.why));
                    }
                }
                summary::save_sweep(&found, out, common)?;
                if is_lasting {
                    return Ok(());
                }
            }
            None => self.report(&results, outcomes, start)?,
        }
        if count > 0 { incomplete() } else { Ok(()) }
    }

    /// Writes the results and the report of jobs of which no result is missing, without a word of what they are.
    pub fn write(&self, outcomes: &[JobOutcome], start: Instant) -> Result<()> {
        let results = assemble_results(self.graph, &self.request.spec, outcomes)?;
        self.save(&results, outcomes, start)?;
        self.page()
    }

    /// Writes the results and their report, and says what they are.
    fn report(&self, results: &Results, outcomes: &[JobOutcome], start: Instant) -> Result<()> {
        let run = self.save(results, outcomes, start)?;
        let text = summary::of(results)?;
        let minutes = run.jobs.iter().map(|job| job.seconds).sum::<f64>() / 60.0;
        let file = shown(&self.folder.out.join(Results::FILE));
        let text = format!("{text}\n{file} ({minutes:.1} minutes of jobs)");
        self.folder.common.console().result(results, text)?;
        self.page()
    }

    /// Writes the results, what was observed beside them, and how they were run.
    fn save(&self, results: &Results, outcomes: &[JobOutcome], start: Instant) -> Result<RunInfo> {
        let ResultsFolder { out, context, .. } = self.folder;
        Ok(write_results(out, results, (self.graph, outcomes), (context, start))?)
    }

    /// Writes the report.
    fn page(&self) -> Result<()> {
        let ResultsFolder { out, common, .. } = self.folder;
        let console = common.console();
        let written = deepsleep::report::build(out)?;
        for line in &written.skipped {
            console.say(format_args!("left out of the report: {line}"));
        }
        console.say(written.html.display());
        Ok(())
    }
}
