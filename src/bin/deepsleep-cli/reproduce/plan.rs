//! `--dry-run`: what there is to do.

use crate::console::Console;
use anyhow::Result;
use deepsleep::experiment::{Found, Graph, Store};
use indicatif::HumanDuration;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

#[derive(Serialize)]
struct Planned<'a> {
    name: &'a str,
    kind: &'static str,
    key: &'a str,
    inputs: Vec<&'a str>,
    estimated_seconds: f64,
    in_store: bool,
}

/// Prints every job with its estimated time, and the sum of what is not in the store yet.
pub fn show(graph: &Graph, out: &Path, console: Console) -> Result<()> {
    // Looking must not make a folder.
    let store = if out.join(Store::FOLDER).is_dir() { Some(Store::open(out)?) } else { None };
    let there =
        |key: &str| store.as_ref().is_some_and(|store| matches!(store.find(key), Found::Entry(_)));
    let name = |&input: &usize| graph.jobs[input].name.as_str();
    let jobs: Vec<Planned<'_>> = graph
        .jobs
        .iter()
        .map(|job| Planned {
            name: &job.name,
            kind: job.work.kind(),
            key: &job.key,
            inputs: job.inputs.iter().map(name).collect(),
            estimated_seconds: job.work.estimate(),
            in_store: there(&job.key),
        })
        .collect();
    let mut text = String::new();
    for job in &jobs {
        let time = if job.in_store {
            "in store".to_owned()
        } else {
            format!("{:.1} s", job.estimated_seconds)
        };
        text += &format!("{time:>9}  {}\n", job.name);
    }
    let left: f64 = jobs.iter().filter(|job| !job.in_store).map(|job| job.estimated_seconds).sum();
    let count = jobs.iter().filter(|job| !job.in_store).count();
    text += &format!(
        "{count} of {} jobs to do, about {} on two cores",
        jobs.len(),
        HumanDuration(Duration::from_secs_f64(left))
    );
    console.result(&jobs, text)
}
