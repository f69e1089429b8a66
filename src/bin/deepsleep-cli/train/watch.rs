//! What a training shows and saves while it runs.

use super::files::Files;
use crate::console::Console;
use crate::numbers::percent;
use crate::progress::Progress;
use deepsleep::checkpoint::StateDict;
use deepsleep::method::{BatchProgress, ControlTraining, HistoryPoint, InTraining, Observer};
use indicatif::HumanDuration;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Shows progress, and saves a checkpoint after every pass.
pub struct Watch<'a, N> {
    progress: Progress,
    /// Of a defense, whose passes have displays of their own.
    passes: Option<Passes>,
    files: &'a Files,
    /// Notes of the origin, for checkpoints.
    note_in: N,
    times: Times,
    start: Instant,
    /// Images and batches of this pass.
    images: usize,
    batches: usize,
    done: usize,
}

/// What the passes of a defense have in common.
struct Passes {
    console: Console,
    /// Of a pass.
    images: usize,
    start: Instant,
    /// Seconds that the whole might take, where there is an estimate.
    estimated: Option<f64>,
}

impl Passes {
    /// How far the whole is: the time that went by, of what it might take.
    fn so_far(&self) -> Option<String> {
        let elapsed = self.start.elapsed();
        let whole = self.estimated.filter(|&whole| whole > elapsed.as_secs_f64())?;
        let whole = HumanDuration(Duration::from_secs_f64(whole));
        Some(format!("; {} of about {whole}", HumanDuration(elapsed)))
    }
}

impl<'a, N: Fn(&mut StateDict) + Send> Watch<'a, N> {
    pub fn new(progress: Progress, files: &'a Files, note_in: N) -> Self {
        let (times, start) = (Times::default(), Instant::now());
        Self {
            progress,
            passes: None,
            files,
            note_in,
            times,
            start,
            images: 0,
            batches: 0,
            done: 0,
        }
    }

    /// Of a defense that might take so many seconds: with a new display for every pass, over so many images, and how far
    /// the whole is.
    pub fn of_passes(self, console: Console, images: usize, estimated: Option<f64>) -> Self {
        let passes = Passes { console, images, start: Instant::now(), estimated };
        Self { passes: Some(passes), ..self }
    }

    /// The times of the passes of this run.
    pub fn finish(self) -> Times {
        self.times
    }
}

impl<N: Fn(&mut StateDict) + Send> Observer for Watch<'_, N> {
    fn on_batch(&mut self, p: BatchProgress) {
        self.images += p.images;
        self.batches += 1;
        let (stage, batch, batches) = (p.stage, p.batch, p.batches);
        match p.loss {
            Some(loss) => {
                let epoch = self.done + 1;
                self.progress.advance(p.images, format_args!("epoch {epoch}, loss {loss:.4}"));
            }
            None => {
                self.progress.advance(p.images, format_args!("{stage}, batch {batch}/{batches}"));
            }
        }
    }

    fn on_pass(
        &mut self,
        _: &dyn InTraining,
        history: &[HistoryPoint],
        mut checkpoint: StateDict,
    ) -> deepsleep::Result<()> {
        let seconds = self.start.elapsed().as_secs_f64();
        let images_per_second = self.images as f64 / seconds;
        let time = Time { seconds, images_per_second };
        if let Some(point) = history.last() {
            let mut line = line(point, time, self.batches > 0);
            line += &self.passes.as_ref().and_then(Passes::so_far).unwrap_or_default();
            self.progress.say(line);
            self.done = point.done;
        }
        self.times.0.push(time);
        (self.note_in)(&mut checkpoint);
        self.files.save_checkpoint(&checkpoint)?;
        if let Some(Passes { console, images, .. }) = self.passes {
            self.progress = console.progress(images);
        }
        (self.start, self.images, self.batches) = (Instant::now(), 0, 0);
        Ok(())
    }
}

/// A pass in a line; one without batches has nothing that learns.
fn line(point: &HistoryPoint, time: Time, learned: bool) -> String {
    let HistoryPoint { stage, done, of, .. } = point;
    let pass = match stage == ControlTraining::STAGE {
        true => format!("epoch {done}/{of}: "),
        false if !learned && *of > 1 => {
            return format!("{stage} {done}/{of}: no layer learns in this pass");
        }
        false => format!("{stage} {done}/{of}: "),
    };
    let loss = point.loss.map_or(String::new(), |loss| format!("loss {loss:.4}, "));
    let accuracy = percent(point.test_accuracy, 1.0);
    let spiking = point.spiking_accuracy;
    let spiking = spiking.map_or(String::new(), |a| format!(" ({} spiking)", percent(a, 1.0)));
    let rate = match time.images_per_second {
        0.0 => String::new(),
        rate => format!(", {rate:.0} images/s"),
    };
    format!("{pass}{loss}test accuracy {accuracy}{spiking}, {:.1} s{rate}", time.seconds)
}

/// What a pass took on this machine.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Time {
    seconds: f64,
    images_per_second: f64,
}

/// The times of the passes of a run.
#[derive(Default)]
pub struct Times(Vec<Time>);

impl Times {
    /// The history with these times; passes of earlier runs come first, without.
    pub fn of<'a>(&self, history: &'a [HistoryPoint]) -> Vec<TimedPoint<'a>> {
        let earlier = history.len().saturating_sub(self.0.len());
        let times = std::iter::repeat_n(None, earlier).chain(self.0.iter().copied().map(Some));
        history.iter().zip(times).map(|(point, time)| TimedPoint { point, time }).collect()
    }
}

/// A point of the history, for the printed result.
#[derive(Debug, Serialize)]
pub struct TimedPoint<'a> {
    #[serde(flatten)]
    point: &'a HistoryPoint,
    #[serde(flatten)]
    time: Option<Time>,
}
