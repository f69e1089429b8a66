//! A sample in flight: its lane, its run, and what it has found so far.

use super::job::Job;
use super::method::{Budget, Method, Runs, Sample};
use super::trial::{Hit, Trial};
use crate::simd::Isa;
use crate::simd::random::Key;

/// A sample in flight.
pub struct Seat<State> {
    /// The sample's place in the list of those under attack; None: the lane is free.
    pub place: Option<usize>,
    pub state: State,
    /// Wrong classes, the likeliest first.
    pub rivals: Vec<usize>,
    pub run: usize,
    pub iteration: usize,
    /// The image is the run's last: its logits are wanted, nothing else.
    pub last: bool,
    /// The distance of the nearest point found, or the margin of the deepest one: the smaller the better.
    pub best: f32,
    pub trial: Trial,
}

/// The key of one sample's random numbers in one run of an attack.
fn key(budget: &Budget, name: &str, restart: usize, rank: usize, id: u64) -> Key {
    Key::new(budget.seed).named(name).with(restart as u64).with(rank as u64).with(id)
}

/// The sample of a seat, in its run: targets one after the other, all restarts of each.
pub fn sample_of<'a, M: Method>(
    job: &Job<'a>,
    method: &M,
    runs: Runs,
    isa: Isa,
    seat: &Seat<M::State>,
) -> Sample<'a> {
    let index = seat.trial.sample;
    let (label, id) = (job.samples.labels()[index], job.samples.ids()[index]);
    let restarts = runs.restarts.max(1);
    let (restart, rank) = (seat.run % restarts, seat.run / restarts);
    let target = if runs.targets > 0 { seat.rivals[rank] } else { label };
    Sample {
        clean: job.samples.image(index),
        shape: job.samples.shape(),
        label,
        target,
        restart,
        budget: job.budget,
        key: key(&job.budget, method.name(), restart, rank, id),
        isa,
    }
}

/// Keeps a copy of `x`, in the memory of an earlier one if there is one.
pub fn note(
    hit: &mut Option<Hit>,
    x: &[f32],
    attack: &'static str,
    sample: &Sample<'_>,
    runs: Runs,
    iteration: usize,
) {
    let mut image = hit.take().map_or_else(Vec::new, |old| old.image);
    image.clear();
    image.extend_from_slice(x);
    let target = (runs.targets > 0).then_some(sample.target);
    *hit = Some(Hit { image, attack, restart: sample.restart, target, iteration });
}
