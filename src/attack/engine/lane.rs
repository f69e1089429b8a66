//! A sample in flight: its lane, its run, and what it has found so far.

use crate::attack::candidate::{Candidate, Hit};
use crate::attack::outcome::Winner;
use crate::attack::stepper::{Budget, Runs, Sample, Stepper};
use crate::attack::task::AttackTask;
use crate::simd::Isa;
use crate::simd::random::Key;

/// A sample in flight.
pub struct LaneState<State> {
    /// The sample's index in the list of those under attack; None: the lane is free.
    pub index: Option<usize>,
    pub state: State,
    /// Wrong classes, the likeliest first.
    pub rivals: Vec<usize>,
    pub run: usize,
    pub iteration: usize,
    /// The image is the run's last: its logits are wanted, nothing else.
    pub last: bool,
    /// The distance of the nearest point found, or the margin of the deepest one: the smaller the better.
    pub best: f32,
    pub candidate: Candidate,
}

/// The key of one sample's random numbers in one run of an attack.
fn key(budget: &Budget, name: &str, restart: usize, rank: usize, id: u64) -> Key {
    Key::new(budget.seed).named(name).with(restart as u64).with(rank as u64).with(id)
}

/// The sample of a lane_state, in its run: targets one after the other, all restarts of each.
pub fn current_sample<'a, M: Stepper>(
    job: &AttackTask<'a>,
    method: &M,
    runs: Runs,
    isa: Isa,
    lane_state: &LaneState<M::State>,
) -> Sample<'a> {
    let index = lane_state.candidate.sample;
    let (label, id) = (job.samples.labels()[index], job.samples.ids()[index]);
    let restarts = runs.restarts.max(1);
    let (restart, rank) = (lane_state.run % restarts, lane_state.run / restarts);
    let rival = if runs.targets > 0 { lane_state.rivals[rank] } else { label };
    let target = job.target.unwrap_or(rival);
    Sample {
        clean: job.samples.image(index),
        shape: job.samples.shape(),
        label,
        target,
        targeted: job.target.is_some(),
        restart,
        budget: job.budget,
        key: key(&job.budget, method.name(), restart, rank, id),
        isa,
    }
}

/// Keeps a copy of `x`, in the memory of an earlier one if there is one.
pub fn record_hit(
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
    let target = (runs.targets > 0 || sample.targeted).then_some(sample.target);
    let winner = Winner { attack: attack.into(), restart: sample.restart, target, iteration };
    *hit = Some(Hit { image, winner });
}
