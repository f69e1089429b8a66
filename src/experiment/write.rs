//! Writes a results folder: what came out, what was observed beside it, and how it was run.

use super::assemble::job_runs;
use super::graph::Graph;
use super::observations::Observations;
use super::results::Results;
use super::run::JobOutcome;
use super::run_info::RunInfo;
use crate::Result;
use crate::tensor::Context;
use std::fs;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Writes the results of a graph's jobs into a folder, with what was observed beside them and how they were run: `results.json`,
/// `observations.json` and `run.json`. `start` is when the run began. A report of it is up to the caller.
///
/// # Errors
/// Those of the file system, and if a stored value is not of its kind.
pub fn write_results(
    folder: &Path,
    results: &Results,
    (graph, outcomes): (&Graph, &[JobOutcome]),
    (context, start): (&Context, Instant),
) -> Result<RunInfo> {
    let run = RunInfo {
        isa: context.isa().name().into(),
        threads: context.threads(),
        processor: processor(),
        finished: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        seconds: start.elapsed().as_secs_f64(),
        peak_memory: peak_memory(),
        jobs: job_runs(graph, outcomes),
    };
    results.save(folder)?;
    Observations::assemble(graph, outcomes)?.save(folder)?;
    run.save(folder)?;
    Ok(run)
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
