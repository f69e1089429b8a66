//! The paper's tables and figures, in a results folder that `deepsleep-cli reproduce` can go on with.

use crate::data::Data;
use crate::error::{Raised, refuse};
use crate::network::{json, parsed};
use crate::work::{Office, run};
use deepsleep::data::Dataset;
use deepsleep::evaluation::ThreatModel;
use deepsleep::experiment::{
    Event, Graph, Request, Results, RunOptions, SpecBuilder, Store, assemble_results,
    missing_results, run as run_graph, write_results,
};
use deepsleep::files::Lock;
use deepsleep::tensor::Context;
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Does what is missing in a results folder; the results as JSON, and the path of the report.
#[pyfunction]
#[pyo3(signature = (train, test, name, out, quick, tables, figures, architecture, profile, changes, seeds, transfer, white_box, images, white_box_images, jobs, threads, progress=None))]
#[expect(clippy::too_many_arguments, reason = "a function of Python's, called with keywords")]
pub fn run_reproduction<'py>(
    py: Python<'py>,
    train: &Data,
    test: &Data,
    name: &str,
    out: PathBuf,
    quick: bool,
    tables: Vec<usize>,
    figures: Vec<usize>,
    architecture: &str,
    profile: &str,
    changes: Vec<(String, String)>,
    seeds: u64,
    transfer: bool,
    white_box: bool,
    images: Option<usize>,
    white_box_images: Option<usize>,
    jobs: usize,
    threads: usize,
    progress: Option<Bound<'py, PyAny>>,
) -> PyResult<(String, PathBuf)> {
    let (train, test) = (&train.0, &test.0);
    let mut asked = SpecBuilder::new(profile.parse().raised()?, quick).raised()?;
    asked.choose(tables, figures, None);
    asked.seeds = (0..seeds).collect();
    let threats = [(transfer, ThreatModel::Transfer), (white_box, ThreatModel::WhiteBox)];
    asked.threat_models = threats.iter().filter(|(asked, _)| *asked).map(|(_, t)| *t).collect();
    (asked.images, asked.white_box_images) = (images, white_box_images);
    changes.iter().try_for_each(|(name, value)| asked.settings.set(name, value)).raised()?;
    asked.settings.validate().raised()?;
    let spec = asked.spec(parsed(architecture).raised()?, name, train, test);
    let graph = Graph::new(&spec).raised()?;
    if let Some((name, _)) = changes.iter().find(|(name, _)| !graph.reads(name)) {
        return Err(refuse(format!(
            "settings: {name} changes nothing: no model that was asked for reads it"
        )));
    }
    let request = Request::new(spec, None);
    request.check(&out).raised()?;
    graph.check_images().raised()?;
    Context::new(threads).raised()?;
    let (store, made) = Store::begin(&out).raised()?;
    let _lock = Lock::take(&out.join("lock"), &out).raised()?;
    request.claim(&out).raised()?;
    made.keep();
    let folder = Folder { request: &request, graph: &graph, store: &store, out: &out };
    let (results, page) = run(py, &[], threads, progress.as_ref(), |office, _| {
        folder.fill((train, test), jobs, office)
    })?;
    Ok((json(&results)?, page))
}

/// A results folder, and what is asked of it.
struct Folder<'a> {
    request: &'a Request,
    graph: &'a Graph,
    store: &'a Store,
    out: &'a Path,
}

impl Folder<'_> {
    /// Does what is missing; the results and the report's page.
    fn fill(
        &self,
        images: (&Dataset, &Dataset),
        jobs: usize,
        office: &Office<'_>,
    ) -> deepsleep::Result<(Results, PathBuf)> {
        let (graph, start) = (self.graph, Instant::now());
        let total = graph.jobs.len();
        let done = AtomicUsize::new(0);
        let tell = |event: Event<'_>| {
            let count = done.load(Ordering::Relaxed);
            match event {
                Event::Reused(job, _) | Event::Finished(job, _) => {
                    office.tell(1 + done.fetch_add(1, Ordering::Relaxed), total, &job.name);
                }
                Event::Started(job) | Event::Step(job, _) => office.tell(count, total, &job.name),
                Event::Damaged(..) | Event::Failed(..) => {}
            }
        };
        let options = RunOptions::of(office.context).with(|o| o.jobs = jobs);
        let outcomes = run_graph(graph, self.store, images, options, &tell)?;
        office.context.stop().check()?;
        let results = assemble_results(graph, &self.request.spec, &outcomes)?;
        let missing = missing_results(graph, &outcomes).len();
        let complete = || match missing {
            0 => Ok(()),
            _ => Err(deepsleep::Error::failed(
                "reproduce",
                format!("{missing} of {total} jobs have no result; the same call tries them again"),
            )),
        };
        // What an earlier run has written is worth more than a page without a number.
        if results.cells.is_empty() {
            complete()?;
        }
        write_results(self.out, &results, (graph, &outcomes), (office.context, start))?;
        let page = deepsleep::report::build(self.out)?.html;
        complete().map(|()| (results, page))
    }
}
