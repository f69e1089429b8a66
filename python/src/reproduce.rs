//! The paper's tables and figures, in a results folder that `deepsleep-cli reproduce` can go on with.

use crate::data::Data;
use crate::error::{Raised, refuse};
use crate::network::{json, parsed};
use crate::train::settings_of;
use crate::work::run;
use deepsleep::data::{DataIdentity, ImageSet};
use deepsleep::evaluation::ThreatModel;
use deepsleep::experiment::{
    Event, ExperimentSpec, Graph, Quick, Request, RunOptions, Store, assemble_results,
    missing_results, run as run_graph, write_results,
};
use deepsleep::files::Lock;
use deepsleep::tensor::Context;
use pyo3::prelude::*;
use std::path::PathBuf;
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
    let shortened = quick.then(Quick::load).transpose().raised()?;
    let mut settings = settings_of(profile, 0).raised()?;
    if let Some(shortened) = &shortened {
        shortened.shorten(&mut settings).raised()?;
    }
    changes.iter().try_for_each(|(name, value)| settings.set(name, value)).raised()?;
    settings.validate().raised()?;
    let all = tables.is_empty() && figures.is_empty();
    let threats = [(transfer, ThreatModel::Transfer), (white_box, ThreatModel::WhiteBox)];
    let usual = shortened.as_ref().map_or((train.len(), test.len(), 1000), |quick| {
        (quick.train_images, quick.images, quick.white_box_images)
    });
    let white_box_images = white_box_images.unwrap_or(usual.2.min(test.len()));
    let spec = ExperimentSpec {
        tables: if all { vec![1, 2, 3] } else { tables },
        figures: if all { vec![3] } else { figures },
        only: shortened.filter(|_| all).map(|quick| quick.only),
        sheets: Vec::new(),
        settings,
        seeds: (0..seeds).collect(),
        threat_models: threats.iter().filter(|(asked, _)| *asked).map(|(_, t)| *t).collect(),
        images: images.unwrap_or(usual.1.min(test.len())),
        white_box_images,
        largest_class: test.largest_class(white_box_images),
        architecture: parsed(architecture).raised()?,
        data: DataIdentity::of(name, train, test),
        trained_on: ImageSet::of_first(train, usual.0),
        quick,
    };
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
    let start = Instant::now();
    let total = graph.jobs.len();
    let (results, page) = run(py, &[], threads, progress.as_ref(), |office, _| {
        let options = RunOptions::of(office.context).with(|o| o.jobs = jobs);
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
        let outcomes = run_graph(&graph, &store, (train, test), options, &tell)?;
        office.context.stop().check()?;
        let results = assemble_results(&graph, &request.spec, &outcomes)?;
        let missing = missing_results(&graph, &outcomes).len();
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
        write_results(&out, &results, (&graph, &outcomes), (office.context, start))?;
        let page = deepsleep::report::build(&out)?.html;
        complete().map(|()| (results, page))
    })?;
    Ok((json(&results)?, page))
}
