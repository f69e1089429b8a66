//! Shows the progress of long work: a bar on a terminal, a line every ten seconds elsewhere.

use crate::stderr::to_stderr;
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use std::fmt::{Display, Write};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// Time between two plain lines.
const EVERY: Duration = Duration::from_secs(10);

/// A display of work that is counted.
pub struct Progress {
    /// What is counted, e.g. images.
    unit: &'static str,
    total: usize,
    done: usize,
    start: Instant,
    shown: ShownAs,
}

enum ShownAs {
    Bar(ProgressBar),
    Lines { last: Instant },
    Nothing,
}

impl Progress {
    /// For work on `total` of these.
    pub fn new(unit: &'static str, total: usize, quiet: bool) -> Self {
        let start = Instant::now();
        let shown = if quiet {
            ShownAs::Nothing
        } else if io::stderr().is_terminal() {
            ShownAs::Bar(bar(unit, total))
        } else {
            ShownAs::Lines { last: start }
        };
        Self { unit, total, done: 0, start, shown }
    }

    /// So many more are done; `state` says what is going on, e.g. the epoch and its loss.
    pub fn advance(&mut self, more: usize, state: impl Display) {
        self.done += more;
        match &mut self.shown {
            ShownAs::Bar(bar) => {
                bar.inc(more as u64);
                bar.set_message(state.to_string());
            }
            ShownAs::Lines { last } => {
                if last.elapsed() >= EVERY {
                    *last = Instant::now();
                    let rate = self.done as f64 / self.start.elapsed().as_secs_f64();
                    let left = self.total.saturating_sub(self.done) as f64 / rate;
                    // Nothing may be done yet: then the time left is unknown.
                    let left = Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX);
                    let (left, unit) = (HumanDuration(left), self.unit);
                    let (done, total) = (self.done, self.total);
                    to_stderr(format_args!(
                        "{state}: {done} of {total} {unit}, {rate:.0} {unit}/s, {left} left"
                    ));
                }
            }
            ShownAs::Nothing => {}
        }
    }

    /// A line that stays, above the bar if there is one.
    pub fn say(&self, line: impl Display) {
        match &self.shown {
            ShownAs::Bar(bar) => bar.suspend(|| to_stderr(line)),
            ShownAs::Lines { .. } => to_stderr(line),
            ShownAs::Nothing => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // An error's line must not land behind half a bar.
        if let ShownAs::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(unit: &'static str, total: usize) -> ProgressBar {
    let rate = move |state: &ProgressState, to: &mut dyn Write| {
        // A display that cannot be written to is no reason to stop.
        let _ = write!(to, "{:.0} {unit}/s", state.per_sec());
    };
    let template = "{msg} [{bar:30}] {pos}/{len} {rate}, {eta} left";
    // The template is ours and right; should it not be, a plain bar does too.
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total as u64).with_style(style.progress_chars("=> ").with_key("rate", rate))
}
