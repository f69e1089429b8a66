//! How far a reproduction is: an overall bar and a line for each running job on a terminal, plain lines elsewhere.

use crate::common::Common;
use crate::console::Console;
use crate::stderr::to_stderr;
use deepsleep::experiment::{Event, Graph, Job, Lookup, Store};
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What has happened so far.
struct DisplayState {
    done: usize,
    /// Estimated seconds of the jobs that are left.
    left: f64,
    /// Estimated and measured seconds of the jobs that were computed.
    estimated: f64,
    measured: f64,
    bars: HashMap<String, ProgressBar>,
}

/// Shows the events of a run.
pub struct Display {
    console: Console,
    total: usize,
    start: Instant,
    /// The bars, on a terminal.
    bars: Option<(MultiProgress, ProgressBar)>,
    state: Mutex<DisplayState>,
    /// Seconds that each job might take, by its key.
    estimates: HashMap<String, f64>,
}

impl Display {
    pub fn new(
        graph: &Graph,
        store: &Store,
        shard: Option<(usize, usize)>,
        common: &Common,
    ) -> Self {
        let ours = graph.of_shard(shard);
        let total = ours.iter().filter(|ours| **ours).count();
        let ours = graph.jobs.iter().zip(&ours).filter(|(_, ours)| **ours).map(|(job, _)| job);
        let missing = ours.filter(|job| matches!(store.find(&job.key), Lookup::NotFound));
        let missing: Vec<f64> = missing.map(|job| graph.estimate(job)).collect();
        let left = missing.iter().sum();
        if !missing.is_empty() {
            let (count, time) = (missing.len(), HumanDuration(Duration::from_secs_f64(left)));
            common
                .console()
                .say(format_args!("{count} of {total} jobs to do, about {time} on two cores"));
        }
        let bars = (!common.is_quiet() && io::stderr().is_terminal()).then(|| {
            let all = MultiProgress::new();
            let overall = all.add(ProgressBar::new(total as u64));
            overall.set_style(style("[{bar:30}] {pos}/{len} jobs, {msg}"));
            (all, overall)
        });
        let state =
            DisplayState { done: 0, left, estimated: 0.0, measured: 0.0, bars: HashMap::new() };
        let (console, start) = (common.console(), Instant::now());
        let estimates =
            graph.jobs.iter().map(|job| (job.key.clone(), graph.estimate(job))).collect();
        Self { console, total, start, bars, state: Mutex::new(state), estimates }
    }

    /// Shows an event.
    pub fn on(&self, event: &Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Damaged(job, what) => {
                self.line(&format!("damaged, computed again: {} ({what})", job.name));
                state.left += self.estimates.get(&job.key).copied().unwrap_or_default();
            }
            Event::Reused(..) => state.done += 1,
            Event::Started(job) => self.begin(job, &mut state),
            Event::Step(job, text) => match state.bars.get(&job.key) {
                Some(bar) => bar.set_message(format!("{}: {text}", job.name)),
                None => self.line(&format!("  {}: {text}", job.name)),
            },
            Event::Finished(job, entry) => {
                state.done += 1;
                let estimate = self.estimates.get(&job.key).copied().unwrap_or_default();
                state.left = (state.left - estimate).max(0.0);
                state.estimated += estimate;
                state.measured += entry.seconds;
                self.end(job, &mut state);
                let accuracy = entry.value.get("accuracy").and_then(serde_json::Value::as_f64);
                let accuracy = accuracy.map_or(String::new(), |a| format!(": {a:.4}"));
                let (done, total, seconds) = (state.done, self.total, entry.seconds);
                let left = left(&state);
                self.line(&format!(
                    "[{done}/{total}] {}{accuracy} ({seconds:.1} s; about {left} left)",
                    job.name
                ));
            }
            Event::Failed(job, error) => {
                state.done += 1;
                self.end(job, &mut state);
                to_stderr(format_args!("failed: {}: {error}", job.name));
            }
        }
        if let Some((_, overall)) = &self.bars {
            overall.set_position(state.done as u64);
            overall.set_message(format!("about {} left", left(&state)));
        }
    }

    fn begin(&self, job: &Job, state: &mut DisplayState) {
        if let Some((all, _)) = &self.bars {
            let bar = all.add(ProgressBar::new_spinner());
            bar.set_style(style("  {spinner} {msg} ({elapsed})"));
            bar.set_message(job.name.clone());
            bar.enable_steady_tick(Duration::from_millis(200));
            state.bars.insert(job.key.clone(), bar);
        }
    }

    fn end(&self, job: &Job, state: &mut DisplayState) {
        if let Some(bar) = state.bars.remove(&job.key) {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some((all, _)) => all.suspend(|| self.console.say(text)),
            None => self.console.say(text),
        }
    }

    /// Clears the bars.
    pub fn finish(&self) {
        if let Some((_, overall)) = &self.bars {
            overall.finish_and_clear();
        }
        self.console.say(format_args!(
            "{} jobs in {}",
            self.total,
            HumanDuration(self.start.elapsed())
        ));
    }
}

/// The time left: estimates, corrected by how wrong they were so far.
fn left(state: &DisplayState) -> HumanDuration {
    let pace = if state.estimated > 0.0 { state.measured / state.estimated } else { 1.0 };
    HumanDuration(Duration::from_secs_f64((state.left * pace).max(0.0)))
}

fn style(template: &str) -> ProgressStyle {
    // The templates are ours and right; should one not be, a plain bar does too.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
