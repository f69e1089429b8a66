//! Does what is asked of a results folder, and writes what came out.

use super::display::Display;
use super::plan::counted;
use super::summary;
use crate::common::Common;
use crate::stderr::shown;
use anyhow::{Result, bail};
use deepsleep::data::Dataset;
use deepsleep::experiment::{
    Graph, JobOutcome, Observations, Request, Results, RunInfo, RunOptions, Store, SweepFound,
    assemble_results, job_runs, lasting_failure, run,
};
use std::fs;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A request with its graph, and the folder for its results.
pub struct Reproduction<'a> {
    pub request: &'a Request,
    pub graph: &'a Graph,
    pub store: &'a Store,
    pub out: &'a Path,
}

impl Reproduction<'_> {
    /// Computes what is not in the store, then writes the results.
    pub fn run(
        &self,
        images: (&Dataset, &Dataset),
        (jobs, shard): (usize, Option<(usize, usize)>),
        common: &Common,
    ) -> Result<()> {
        let (console, start) = (common.console(), Instant::now());
        if self.request.spec.quick {
            console.say("quick run: long trainings are shortened, and few images attacked; the report says how sure its numbers are");
        }
        let outcomes = self.compute(images, (jobs, shard), common)?;
        let missing = outcomes.iter().any(|outcome| !matches!(outcome, JobOutcome::Done(..)));
        if let (Some((i, n)), true) = (shard, missing) {
            console.say(format_args!(
                "shard {i} of {n} is done; `merge` joins what the shards have in folders of their own"
            ));
            let failed = outcomes.iter().any(|outcome| matches!(outcome, JobOutcome::Failed(_)));
            return if failed { bail!("some jobs failed") } else { Ok(()) };
        }
        self.finish(&outcomes, Some(images.1), start, "the same command tries them again", common)
    }

    /// Computes what is not in the store.
    pub fn compute(
        &self,
        images: (&Dataset, &Dataset),
        (jobs, shard): (usize, Option<(usize, usize)>),
        common: &Common,
    ) -> Result<Vec<JobOutcome>> {
        let context = common.context()?;
        let options = RunOptions::of(&context).with(|o| {
            o.jobs = jobs;
            o.shard = shard;
        });
        let display = Display::new(self.graph, self.store, shard, common);
        let tell = |event: deepsleep::experiment::Event<'_>| display.on(&event);
        let outcomes = run(self.graph, self.store, images, options, &tell)?;
        display.finish();
        Ok(outcomes)
    }

    /// Writes the results as far as there are any, and their report. If some are missing that is an error, which says
    /// which, and what to do: `again`.
    pub fn finish(
        &self,
        outcomes: &[JobOutcome],
        test: Option<&Dataset>,
        start: Instant,
        again: &str,
        common: &Common,
    ) -> Result<()> {
        let results = assemble_results(self.graph, &self.request.spec, outcomes)?;
        let jobs = 0..outcomes.len();
        let missing = jobs.filter(|&job| !matches!(outcomes[job], JobOutcome::Done(..)));
        let missing: Vec<usize> = missing.collect();
        let count = missing.len();
        let is_lasting =
            missing.iter().all(|&job| lasting_failure(self.graph, outcomes, job).is_some());
        let incomplete = || {
            let (count, kinds) =
                counted(missing.iter().map(|&job| self.graph.jobs[job].work.kind()));
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
                for passed in &found.passed_over {
                    if !graph.passed_over.contains(passed) {
                        common
                            .console()
                            .say(format_args!("passed over: {}: {}", passed.variant, passed.why));
                    }
                }
                summary::save_sweep(&found, self.out, common)?;
                if is_lasting {
                    return Ok(());
                }
            }
            None => self.report(&results, outcomes, test, start, common)?,
        }
        if count > 0 { incomplete() } else { Ok(()) }
    }

    /// Writes the results and the report of jobs that are all done, without a word of what they are.
    pub fn write(
        &self,
        outcomes: &[JobOutcome],
        test: Option<&Dataset>,
        start: Instant,
        common: &Common,
    ) -> Result<()> {
        let results = assemble_results(self.graph, &self.request.spec, outcomes)?;
        self.save(&results, outcomes, start, common)?;
        self.page(&results, test, common)
    }

    /// Writes the results and their report, and says what they are.
    fn report(
        &self,
        results: &Results,
        outcomes: &[JobOutcome],
        test: Option<&Dataset>,
        start: Instant,
        common: &Common,
    ) -> Result<()> {
        let facts = self.save(results, outcomes, start, common)?;
        let text = summary::of(results)?;
        let minutes = facts.jobs.iter().map(|job| job.seconds).sum::<f64>() / 60.0;
        let file = shown(&self.out.join(Results::FILE));
        let text = format!("{text}\n{file} ({minutes:.1} minutes of jobs)");
        common.console().result(results, text)?;
        self.page(results, test, common)
    }

    /// Writes the results, and how they were run.
    fn save(
        &self,
        results: &Results,
        outcomes: &[JobOutcome],
        start: Instant,
        common: &Common,
    ) -> Result<RunInfo> {
        let context = common.context()?;
        let facts = RunInfo {
            isa: context.isa().name().into(),
            threads: context.threads(),
            processor: processor(),
            finished: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            seconds: start.elapsed().as_secs_f64(),
            peak_memory: peak_memory(),
            jobs: job_runs(self.graph, outcomes),
        };
        results.save(self.out)?;
        facts.save(self.out)?;
        Ok(facts)
    }

    /// Writes the report.
    fn page(&self, results: &Results, test: Option<&Dataset>, common: &Common) -> Result<()> {
        let (context, console) = (common.context()?, common.console());
        Observations::of(&context, self.out, results, test).save(self.out)?;
        let written = deepsleep::report::build(self.out)?;
        for line in &written.skipped {
            console.say(format_args!("left out of the report: {line}"));
        }
        console.say(written.html.display());
        Ok(())
    }
}

/// The processor's name, where the system tells.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or(String::new(), |(_, name)| name.trim().into())
}

/// Largest resident memory of this process, where the system tells.
fn peak_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(1024 * kibibytes)
}
