//! `merge`: joins the results of shards that ran in separate folders. The folders record what was asked for.

use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::interrupt::Leftover;
use crate::numbers::at_most;
use crate::output::refuse_among;
use crate::reproduce::{Reproduction, ResultsFolder, counted, lock, look_at_outputs};
use crate::stderr::shown;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use deepsleep::data::{DataIdentity, Dataset};
use deepsleep::experiment::{
    Graph, Request, Store, Taken, merge, missing_results, plan_merge, stored_outcomes,
};
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Debug, Args)]
pub struct Merge {
    /// Results folders of the shards; they record their images, settings, tables and seeds
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Results folder to merge them into
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Compute the results that are missing in all folders
    #[arg(long)]
    compute: bool,
    /// Only print what would be taken from which folder, and what is missing
    #[arg(long, conflicts_with = "compute")]
    dry_run: bool,
    /// Number of parallel jobs, as in `reproduce`
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_most::<64>, requires = "compute")]
    jobs: usize,
    /// Data set of the results, if it is not a known one: its folder or .npz file
    #[arg(long, value_name = "PATH", conflicts_with = "data_dir", requires = "compute")]
    data: Option<String>,
    /// Folder of the results' data set [default: DEEPSLEEP_DATA, else ./data, the user cache, the system's folder]
    #[arg(long, value_name = "DIR", requires = "compute")]
    data_dir: Option<PathBuf>,
}

/// What is taken from a folder.
#[derive(Serialize)]
struct FolderShare<'a> {
    folder: &'a Path,
    results: usize,
    damaged: &'a [String],
}

#[derive(Serialize)]
struct MergeSummary<'a> {
    taken: Vec<FolderShare<'a>>,
    missing: Vec<&'a str>,
}

impl Merge {
    /// What remains of its work when it is interrupted.
    pub fn leftover(&self) -> Leftover {
        Leftover::Finished(self.out.join(Store::FOLDER))
    }

    /// The form of the command that computes nothing, if it is one.
    pub fn computes_nothing(&self) -> Option<&'static str> {
        match (self.dry_run, self.compute) {
            (true, _) => Some("--dry-run"),
            (false, true) => None,
            (false, false) => Some("merge without --compute"),
        }
    }

    pub fn run(&self, common: &Common) -> Result<()> {
        let (start, console) = (Instant::now(), common.console());
        // A process that works on the folder may be about to record what it is for.
        let there = !self.dry_run && self.out.join(Store::FOLDER).is_dir();
        let held = there.then(|| lock(&self.out, None)).transpose()?;
        let request = self.request()?;
        request.check(&self.out)?;
        let graph = self.graph(&request)?;
        let others: Vec<Store> = self.folders.iter().map(|folder| Store::at(folder)).collect();
        if self.dry_run {
            let here = Store::at(&self.out);
            let plan = plan_merge(&here, &others)?;
            return self.show(&graph, (&here, &others), &plan, common);
        }
        if self.compute {
            graph.check_images()?;
        }
        let data = self.compute.then(|| self.data(&request)).transpose()?;
        let images = data.as_ref().map(DatasetOptions::load_both).transpose()?;
        let read = data.as_ref().map_or_else(Vec::new, DatasetOptions::files);
        refuse_among(&read, "--out", &self.out)?;
        if let Some((train, test)) = &images {
            self.check_images(&request, train, test)?;
        }
        let context = &common.context()?;
        let (store, made) = Store::begin(&self.out)?;
        let _held = held.map_or_else(|| lock(&self.out, None), Ok)?;
        look_at_outputs(&self.out, &request, read, common)?;
        let plan = plan_merge(&store, &others)?;
        request.claim(&self.out)?;
        made.keep();
        merge(&store, &others, &plan)?;
        self.lines(&graph, &plan, "taken").iter().for_each(|line| console.say(line));

        let outcomes = stored_outcomes(&graph, &store);
        let folder = ResultsFolder { store: &store, out: &self.out, context, common };
        let work = Reproduction { request: &request, graph: &graph, folder };
        if let Some((train, test)) = &images {
            return work.run((train, test), (self.jobs, None));
        }
        let again = "`merge --compute` computes them, or join more folders";
        work.finish(&outcomes, start, again)
    }

    /// Refuses other images than those of the folders.
    fn check_images(&self, request: &Request, train: &Dataset, test: &Dataset) -> Result<()> {
        let theirs = &request.spec.data;
        let other = theirs.differences(&DataIdentity::of(&*theirs.name, train, test));
        if other.is_empty() {
            return Ok(());
        }
        let other = other.join("; ");
        let problem = format!("the folders hold results of {other}; --data-dir names the images");
        Err(WrongUse(problem).into())
    }

    /// What all folders together were asked.
    fn request(&self) -> Result<Request> {
        let mut joined: Option<Request> = None;
        for folder in &self.folders {
            if !folder.join(Store::FOLDER).is_dir() {
                let (folder, store) = (folder.display(), Store::FOLDER);
                bail!("{folder}: no results folder: there is no {store} in it");
            }
            let theirs = Request::load(folder)?;
            joined = Some(match joined {
                None => theirs,
                Some(ours) => ours.joined(&theirs, [&self.folders[0], folder])?,
            });
        }
        joined.context("no folders")
    }

    /// The jobs of all folders. A folder of another engine may have been asked for what this one refuses.
    fn graph(&self, request: &Request) -> Result<Graph> {
        let graph = request.graph();
        if request.search.is_some() {
            return graph.map_err(|e| e.in_file(&self.folders[0]).into());
        }
        graph.map_err(|error| {
            let folder = self.folders[0].display();
            anyhow!(
                "{folder} was asked for what cannot be done: {error}; ask for the rest with `reproduce --out {folder}`, then merge"
            )
        })
    }

    fn data(&self, request: &Request) -> Result<DatasetOptions> {
        if let Some(data) = &self.data {
            return Ok(DatasetOptions::of_place(data.clone()));
        }
        let name = &request.spec.data.name;
        let name = name.parse().map_err(|_| {
            WrongUse(format!(
                "the folders hold results of images called {name}; --data PATH names them"
            ))
        })?;
        Ok(DatasetOptions::of_name(name, self.data_dir.clone()))
    }

    /// What is taken from where, a line a folder, and what is damaged.
    fn lines(&self, graph: &Graph, plan: &[Taken], verb: &str) -> Vec<String> {
        let kinds = graph.jobs.iter().map(|job| (job.key.as_str(), job.work.kind()));
        let kinds: HashMap<&str, &str> = kinds.collect();
        let mut lines = Vec::new();
        for (folder, Taken { keys, damaged }) in self.folders.iter().zip(plan) {
            // A sleep that several trainings share is no job of its own.
            let kind = |key: &String| kinds.get(key.as_str()).copied().unwrap_or("other");
            let (count, kinds) = counted(keys.iter().map(kind));
            let kinds = if count == 0 { String::new() } else { format!(" ({kinds})") };
            lines.push(format!("{}: {count} results {verb}{kinds}", shown(folder)));
            lines.extend(damaged.iter().map(|what| format!("damaged, left out: {what}")));
        }
        lines
    }

    /// What would be taken, and what would be missing.
    fn show(
        &self,
        graph: &Graph,
        (here, others): (&Store, &[Store]),
        plan: &[Taken],
        common: &Common,
    ) -> Result<()> {
        // What no folder has.
        let mut missing: Vec<usize> = (0..graph.jobs.len()).collect();
        for store in others.iter().chain([here]) {
            let lacks = missing_results(graph, &stored_outcomes(graph, store));
            missing.retain(|job| lacks.binary_search(job).is_ok());
        }
        let missing: Vec<_> = missing.into_iter().map(|job| &graph.jobs[job]).collect();
        let (count, kinds) = counted(missing.iter().map(|job| job.work.kind()));
        let mut lines = self.lines(graph, plan, "to take");
        lines.push(match count {
            0 => format!("nothing of {} jobs is missing", graph.jobs.len()),
            _ => format!("{count} of {} jobs would have no result ({kinds})", graph.jobs.len()),
        });
        let taken = self.folders.iter().zip(plan).map(|(folder, taken)| FolderShare {
            folder,
            results: taken.keys.len(),
            damaged: &taken.damaged,
        });
        let plan = MergeSummary {
            taken: taken.collect(),
            missing: missing.iter().map(|job| job.name.as_str()).collect(),
        };
        common.console().result(&plan, lines.join("\n"))
    }
}
