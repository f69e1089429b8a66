//! Runs a graph: what is in the store is not run again; independent jobs go side by side.

use super::execute::Lab;
use super::graph::{Graph, Job};
use super::store::{Lookup, Store, StoreEntry};
use crate::Result;
use crate::data::Dataset;
use crate::nn::Origin;
use crate::simd::Isa;
use crate::tensor::{Context, Stop};
use std::cmp::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two looks at the store for what another process is working on.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum Event<'a> {
    /// A stored result cannot be used, and is computed again; why.
    Damaged(&'a Job, &'a str),
    /// A job was found in the store.
    Reused(&'a Job, &'a StoreEntry),
    /// A job was begun.
    Started(&'a Job),
    /// A job made a pass or an epoch.
    Step(&'a Job, &'a str),
    /// A job is done.
    Finished(&'a Job, &'a StoreEntry),
    /// A job failed; those that need its result are not run.
    Failed(&'a Job, &'a crate::Error),
}

/// How to run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunOptions {
    /// Threads of all jobs together.
    pub threads: usize,
    /// The instruction set.
    pub isa: Isa,
    /// Jobs side by side, which share the threads; a job with nothing beside it has all of them. 0: as many as there
    /// are threads, but four at most, as each needs its memory.
    pub jobs: usize,
    /// A share of the models, `(i, n)`: the i-th of n, from 1, with all that they need. All of them if None.
    pub shard: Option<(usize, usize)>,
    /// What can stop the run: the jobs that are not done then fail.
    pub stop: Stop,
}

crate::options::with!(RunOptions);

impl RunOptions {
    /// Jobs side by side if no number is asked for: each adds tens of megabytes.
    const MOST_JOBS: usize = 4;

    /// All models, with the threads, the instruction set and the stop of `context`, as many jobs side by side as it has threads.
    pub fn of(context: &Context) -> Self {
        let (threads, isa, stop) = (context.threads(), context.isa(), context.stop().clone());
        Self { threads, isa, jobs: 0, shard: None, stop }
    }
}

/// What became of a job.
#[derive(Clone, Debug)]
pub enum JobOutcome {
    /// It is not of this shard.
    NotOurs,
    /// There is a result; whether it was found in the store.
    Done(Box<StoreEntry>, bool),
    /// It failed, and why.
    Failed(Arc<crate::Error>),
    /// There is no result: one that it needs failed, or it was never computed.
    Missing,
}

#[derive(Clone, Debug)]
enum JobStatus {
    Waiting,
    Running,
    Over(JobOutcome),
}

/// What is in the store already, as what became of the jobs.
pub fn stored_outcomes(graph: &Graph, store: &Store) -> Vec<JobOutcome> {
    let outcome = |job: &Job| match store.find(&job.key) {
        Lookup::Entry(entry) => match entry.failure() {
            None => JobOutcome::Done(entry, true),
            Some(error) => JobOutcome::Failed(Arc::new(error)),
        },
        Lookup::NotFound | Lookup::Damaged(_) => JobOutcome::Missing,
    };
    graph.jobs.iter().map(outcome).collect()
}

/// Runs a graph, and returns what became of its jobs. The images are those of the graph's spec.
///
/// # Errors
/// If the threads cannot be had, or batches of some training hold more images than there are. A job that fails is in the result.
pub fn run(
    graph: &Graph,
    store: &Store,
    (train, test): (&Dataset, &Dataset),
    options: RunOptions,
    tell: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Vec<JobOutcome>> {
    graph.check_images()?;
    let ours = graph.of_shard(options.shard);
    let of_threads = |threads| {
        Ok::<_, crate::Error>(Context::with_isa(options.isa, threads)?.stopped_by(&options.stop))
    };
    let whole = of_threads(options.threads)?;
    let jobs = match options.jobs {
        0 => whole.threads().min(RunOptions::MOST_JOBS),
        jobs => jobs,
    };
    // A share of the threads for each.
    let shares: Vec<Context> = match jobs {
        1 => vec![whole.clone()],
        _ => {
            (0..jobs).map(|_| of_threads((whole.threads() / jobs).max(1))).collect::<Result<_>>()?
        }
    };
    let origin = Origin::new(&graph.architecture, graph.images.clone());
    let begin =
        |&ours: &bool| if ours { JobStatus::Waiting } else { JobStatus::Over(JobOutcome::NotOurs) };
    let board = Board {
        graph,
        store,
        data: (train, test),
        origin: &origin,
        whole,
        tell,
        sleeps: graph.jobs.iter().map(|job| graph.sleep(job)).collect(),
        estimates: graph.jobs.iter().map(|job| graph.estimate(job)).collect(),
        alone: jobs == 1,
        statuses: Mutex::new(ours.iter().map(begin).collect()),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        let Some((own, others)) = shares.split_first() else { return };
        for share in others {
            // A thread that cannot be had is one job less at a time.
            let _ = std::thread::Builder::new().spawn_scoped(scope, || board.work(share));
        }
        board.work(own);
    });
    let statuses = board.statuses.into_inner().unwrap_or_else(PoisonError::into_inner);
    let outcome = |status| match status {
        JobStatus::Over(outcome) => outcome,
        JobStatus::Waiting | JobStatus::Running => JobOutcome::Missing,
    };
    Ok(statuses.into_iter().map(outcome).collect())
}

struct Board<'a> {
    graph: &'a Graph,
    store: &'a Store,
    data: (&'a Dataset, &'a Dataset),
    origin: &'a Origin,
    /// All threads, for a job that has nothing beside it.
    whole: Context,
    tell: &'a (dyn Fn(Event<'_>) + Sync),
    /// The slow-wave sleep with which a job begins, if it does: several may begin with the same.
    sleeps: Vec<Option<String>>,
    /// Seconds that each job might take.
    estimates: Vec<f64>,
    /// Whether jobs come one after the other.
    alone: bool,
    statuses: Mutex<Vec<JobStatus>>,
    changed: Condvar,
}

impl Board<'_> {
    fn lock(&self) -> MutexGuard<'_, Vec<JobStatus>> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes jobs until there are none left, and does them with this share of the threads.
    fn work(&self, share: &Context) {
        let (train, test) = self.data;
        // Jobs that another process was seen to work on.
        let mut elsewhere: Vec<usize> = Vec::new();
        loop {
            let mut statuses = self.lock();
            let ready = |job: &usize| self.is_ready(&statuses, *job);
            let all: Vec<usize> = (0..statuses.len()).filter(ready).collect();
            let free = all.iter().copied().filter(|job| !elsewhere.contains(job));
            let Some(job) = free.min_by(|&a, &b| self.order(&statuses, a, b)) else {
                if statuses.iter().all(|status| matches!(status, JobStatus::Over(_))) {
                    return;
                }
                elsewhere.clear();
                let _ = self.changed.wait_timeout(statuses, PATIENCE);
                continue;
            };
            // What could be done besides is ready now: nothing gets ready before a job is over.
            let running = statuses.iter().any(|status| matches!(status, JobStatus::Running));
            let context = if running || all.len() > 1 { share } else { &self.whole };
            statuses[job] = JobStatus::Running;
            drop(statuses);
            let sleep = self.sleeps[job].as_deref();
            let (architecture, origin) = (&self.graph.architecture, self.origin);
            let lab = Lab { context, store: self.store, train, test, architecture, origin, sleep };
            let status = match self.attempt(&lab, job) {
                None => {
                    elsewhere.push(job);
                    JobStatus::Waiting
                }
                Some(outcome) => JobStatus::Over(outcome),
            };
            self.lock()[job] = status;
            self.changed.notify_all();
        }
    }

    /// Which of two jobs comes first. Side by side, long ones: what is left at the end should be short, so that no thread
    /// waits long for the last. One after the other, short ones: the first numbers come early. But a job that begins with the same
    /// slow-wave sleep as a running one comes later: it can then take that sleep from the store instead of repeating it. What
    /// pictures are drawn from comes last.
    fn order(&self, statuses: &[JobStatus], a: usize, b: usize) -> Ordering {
        let asleep = |job: usize| {
            let running = |other: &usize| matches!(statuses[*other], JobStatus::Running);
            let same = |other: usize| self.sleeps[job] == self.sleeps[other];
            self.sleeps[job].is_some() && (0..statuses.len()).filter(running).any(same)
        };
        let last = |job: usize| self.graph.jobs[job].work.is_observation();
        let shorter = self.estimates[a].total_cmp(&self.estimates[b]);
        let last = last(a).cmp(&last(b)).then(asleep(a).cmp(&asleep(b)));
        last.then(if self.alone { shorter } else { shorter.reverse() })
    }

    /// Whether a job waits for nothing but a worker.
    fn is_ready(&self, statuses: &[JobStatus], job: usize) -> bool {
        let over = |&input: &usize| matches!(statuses[input], JobStatus::Over(_));
        matches!(statuses[job], JobStatus::Waiting) && self.graph.jobs[job].inputs.iter().all(over)
    }

    /// Does a job, or finds its result; None if another process is doing it.
    fn attempt(&self, lab: &Lab<'_>, index: usize) -> Option<JobOutcome> {
        let job = &self.graph.jobs[index];
        let inputs: Option<Vec<StoreEntry>> = {
            let statuses = self.lock();
            let entry = |&input: &usize| match &statuses[input] {
                JobStatus::Over(JobOutcome::Done(entry, _)) => Some((**entry).clone()),
                _ => None,
            };
            job.inputs.iter().map(entry).collect()
        };
        let Some(inputs) = inputs else { return Some(JobOutcome::Missing) };
        match self.do_or_find(lab, job, &inputs.iter().collect::<Vec<_>>()) {
            Ok(outcome) => outcome,
            Err(error) => {
                (self.tell)(Event::Failed(job, &error));
                Some(JobOutcome::Failed(Arc::new(error)))
            }
        }
    }

    fn do_or_find(
        &self,
        lab: &Lab<'_>,
        job: &Job,
        inputs: &[&StoreEntry],
    ) -> Result<Option<JobOutcome>> {
        if let Lookup::Entry(entry) = self.store.find(&job.key) {
            return self.reuse(job, entry).map(Some);
        }
        let Some(_claim) = self.store.claim(&job.key)? else { return Ok(None) };
        // It may have been finished between the look and the claim.
        match self.store.find(&job.key) {
            Lookup::Entry(entry) => return self.reuse(job, entry).map(Some),
            Lookup::Damaged(what) => (self.tell)(Event::Damaged(job, &what)),
            Lookup::NotFound => {}
        }
        (self.tell)(Event::Started(job));
        let start = Instant::now();
        let on_step = &mut |text: &str| (self.tell)(Event::Step(job, text));
        let done = lab.execute(job, inputs, on_step);
        let seconds = start.elapsed().as_secs_f64();
        let (value, file) = match done {
            Ok(done) => done,
            Err(error) => {
                self.store.keep_failure(&job.key, &job.name, seconds, &error)?;
                return Err(error);
            }
        };
        let entry = self.store.keep(&job.key, &job.name, seconds, value, file)?;
        (self.tell)(Event::Finished(job, &entry));
        Ok(Some(JobOutcome::Done(Box::new(entry), false)))
    }

    /// What is in the store: a result, or how the job ends.
    fn reuse(&self, job: &Job, entry: Box<StoreEntry>) -> Result<JobOutcome> {
        if let Some(error) = entry.failure() {
            return Err(error);
        }
        (self.tell)(Event::Reused(job, &entry));
        Ok(JobOutcome::Done(entry, true))
    }
}
