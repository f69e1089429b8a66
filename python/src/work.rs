//! Long work: without the interpreter's lock, while this thread answers for the models of Python, shows progress and hears
//! Ctrl-C.

use crate::callback::{Callback, ModelDesk, Pullback, Remote, answer};
use crate::desk::{Desk, Event, News};
use crate::error::{Raised, refuse};
use crate::network::Network;
use deepsleep::nn::Classifier;
use deepsleep::tensor::{Context, Stop};
use pyo3::prelude::*;
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

/// Time between two looks for Ctrl-C.
const LOOK: Duration = Duration::from_millis(50);

/// Time between two words about the progress.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A model as Python hands it over.
#[derive(FromPyObject)]
pub enum AnyModel<'py> {
    Network(Bound<'py, Network>),
    Callback(Bound<'py, Callback>),
}

impl AnyModel<'_> {
    /// The model, if it is one of Python's.
    pub fn callback(&self) -> Option<&Callback> {
        match self {
            Self::Network(_) => None,
            Self::Callback(callback) => Some(callback.get()),
        }
    }
}

/// What work runs with.
pub struct Office<'a> {
    pub context: &'a Context,
    desk: &'a ModelDesk,
}

impl Office<'_> {
    /// Says how far it is.
    pub fn tell(&self, done: usize, total: usize, what: impl Into<String>) {
        self.desk.tell(done, total, what);
    }
}

/// Runs `work` on so many threads (0: all), of a context that Ctrl-C stops. It gets the models in their order. `progress` is
/// called with what is done, all there is, and a word.
pub fn run<T: Send>(
    py: Python<'_>,
    models: &[AnyModel<'_>],
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Office<'_>, &[&dyn Classifier]) -> deepsleep::Result<T> + Send,
) -> PyResult<T> {
    let callbacks: Vec<&Callback> = models.iter().filter_map(AnyModel::callback).collect();
    let threads = callbacks.iter().map(|callback| callback.threads()).min().unwrap_or(threads);
    let stop = Stop::default();
    let context = Context::new(threads).raised()?.stopped_by(&stop);
    let desk: ModelDesk = Desk::new(context.threads());
    let mut remotes = callbacks.iter().enumerate();
    let remotes: Vec<Option<Remote<'_>>> = models
        .iter()
        .map(|model| {
            model.callback()?;
            let (index, model) = remotes.next()?;
            Some(Remote { desk: &desk, model, index })
        })
        .collect();
    let classifiers: Vec<&dyn Classifier> = models
        .iter()
        .zip(&remotes)
        .filter_map(|(model, remote)| match (model, remote) {
            (AnyModel::Network(network), _) => Some(network.get().classifier()),
            (_, Some(remote)) => Some(remote as &dyn Classifier),
            _ => None,
        })
        .collect();
    std::thread::scope(|scope| {
        let office = Office { context: &context, desk: &desk };
        let (classifiers, desk) = (&classifiers, &desk);
        let worker = std::thread::Builder::new().name("deepsleep".into());
        let worker = worker
            .spawn_scoped(scope, move || {
                let _closed = Closed(desk);
                work(&office, classifiers)
            })
            .map_err(|error| refuse(format!("threads: cannot start one: {error}")))?;
        let failure = serve(py, desk, &callbacks, progress).err();
        if failure.is_some() {
            stop.request();
            desk.fail();
        }
        let result = py.detach(|| worker.join()).unwrap_or_else(|panic| resume_unwind(panic));
        failure.map_or(result.raised(), Err)
    })
}

/// Answers until the work is over, or an exception ends it.
fn serve(
    py: Python<'_>,
    desk: &ModelDesk,
    callbacks: &[&Callback],
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let (mut last, mut due): (Option<News>, _) = (None, Instant::now());
    let mut batches: u64 = 0;
    loop {
        match py.detach(|| desk.next(LOOK)) {
            Event::Batch(requests) => {
                batches += 1;
                answer(py, callbacks, requests)?;
            }
            Event::News(news) => {
                (last, due) = (Some(news), Instant::now());
            }
            Event::Quiet => {}
            Event::Over => return Ok(()),
        }
        // Also where no image is finished: the bar has a clock, and models of Python's are at work.
        if let (Some(progress), Some(news)) = (progress, &last)
            && Instant::now() >= due
        {
            let what = match batches {
                0 => news.what.clone(),
                _ => format!("{}, {batches} batches", news.what),
            };
            progress.call1((news.done, news.total, what))?;
            due = Instant::now() + HEARTBEAT;
        }
        py.check_signals()?;
    }
}

/// Closes the desk, also when the work panics.
struct Closed<'a>(&'a Desk<Pullback>);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
