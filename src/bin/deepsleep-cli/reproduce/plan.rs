//! `--dry-run`: what there is to do.

use crate::console::Console;
use anyhow::Result;
use deepsleep::experiment::{ExperimentSpec, Graph, Lookup, Store};
use deepsleep::method::Settings;
use indicatif::HumanDuration;
use serde::Serialize;
use std::time::Duration;

#[derive(Serialize)]
struct PlannedJob<'a> {
    name: &'a str,
    kind: &'static str,
    key: &'a str,
    inputs: Vec<&'a str>,
    estimated_seconds: f64,
    in_store: bool,
}

/// What there is to do.
pub struct DryRun<'a> {
    pub spec: &'a ExperimentSpec,
    pub graph: &'a Graph,
    pub shard: Option<(usize, usize)>,
}

impl DryRun<'_> {
    /// Prints what is asked, how many jobs there are of each kind, with their estimated time, and the sum of what is not
    /// in the store yet; every job, if that is wanted.
    pub fn show(&self, store: &Store, verbose: bool, console: Console) -> Result<()> {
        let Self { graph, shard, .. } = *self;
        let name = |&input: &usize| graph.jobs[input].name.as_str();
        let ours = graph.jobs.iter().zip(graph.of_shard(shard)).filter(|(_, ours)| *ours);
        let jobs: Vec<PlannedJob<'_>> = ours
            .map(|(job, _)| PlannedJob {
                name: &job.name,
                kind: job.work.kind(),
                key: &job.key,
                inputs: job.inputs.iter().map(name).collect(),
                estimated_seconds: graph.estimate(job),
                in_store: matches!(store.find(&job.key), Lookup::Entry(_)),
            })
            .collect();
        let mut text = self.asked();
        for job in jobs.iter().filter(|_| verbose) {
            let time = if job.in_store {
                "in store".to_owned()
            } else {
                format!("{:.1} s", job.estimated_seconds)
            };
            text += &format!("{time:>9}  {}\n", job.name);
        }
        let mut kinds: Vec<&str> = Vec::new();
        for job in &jobs {
            if !kinds.contains(&job.kind) {
                kinds.push(job.kind);
            }
        }
        let left = |kind: Option<&str>| {
            let of_kind = jobs.iter().filter(|job| kind.is_none_or(|kind| job.kind == kind));
            let left: Vec<&PlannedJob<'_>> = of_kind.filter(|job| !job.in_store).collect();
            let seconds = left.iter().map(|job| job.estimated_seconds).sum();
            (left.len(), HumanDuration(Duration::from_secs_f64(seconds)))
        };
        for kind in kinds {
            let all = jobs.iter().filter(|job| job.kind == kind).count();
            let (count, time) = left(Some(kind));
            text += &format!("{kind:<10}{count:>6} of {all:<6} to do, about {time}\n");
        }
        let (count, time) = left(None);
        text += &format!("{count} of {} jobs to do, about {time} on two cores", jobs.len());
        console.result(&jobs, text)
    }

    /// What is asked, in two lines.
    fn asked(&self) -> String {
        let ExperimentSpec { settings, data, trained_on, .. } = self.spec;
        let own = Settings::new(settings.profile).written();
        let changed = settings.written().into_iter().filter(|setting| !own.contains(setting));
        let changed: Vec<String> =
            changed.map(|(name, value)| format!("{name} = {value}")).collect();
        let but = if changed.is_empty() { "" } else { ", but for " };
        let profile = settings.profile.name();
        let ExperimentSpec { images, white_box_images, .. } = self.spec;
        format!(
            "profile {profile}{but}{}{}\n{}: {} training images of {}; {}; {images} under transfer, {white_box_images} under white-box attacks\nnetwork: {}\n",
            changed.join(", "),
            if self.spec.quick { " (--quick shortens it on purpose)" } else { "" },
            data.name,
            trained_on.images,
            data.train,
            data.test,
            self.spec.architecture,
        )
    }
}

/// How many there are, and how many of each kind in words, in the order of appearance.
pub fn counted<'a>(kinds: impl Iterator<Item = &'a str>) -> (usize, String) {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for kind in kinds {
        match counts.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((kind, 1)),
        }
    }
    let words = counts.iter().map(|(kind, count)| format!("{count} {kind}"));
    (counts.iter().map(|(_, count)| count).sum(), words.collect::<Vec<_>>().join(", "))
}
