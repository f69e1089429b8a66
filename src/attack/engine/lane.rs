//! A sample in flight: its lane, its run, and what it has found so far.

use crate::attack::candidate::{Candidate, Hit};
use crate::attack::outcome::Winner;
use crate::attack::stepper::{Budget, Runs, Sample};
use crate::attack::task::AttackTask;
use crate::kernels::lif::Estimator;
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

/// The key of an attack's random numbers. Its runs with different estimators are different attacks, each with numbers of
/// its own.
pub fn root(budget: &Budget, name: &str, estimator: &Estimator) -> Key {
    let key = Key::new(budget.seed).named(name);
    if estimator.is_own() { key } else { key.named(&estimator.to_string()) }
}

/// The sample of a lane_state, in its run: targets one after the other, all restarts of each.
pub fn current_sample<'a, State>(
    job: &AttackTask<'a>,
    runs: Runs,
    isa: Isa,
    root: Key,
    lane_state: &LaneState<State>,
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
        key: root.with(restart as u64).with(rank as u64).with(id),
        isa,
    }
}

/// Keeps a copy of `x`, in the memory of an earlier one if there is one.
pub fn record_hit(
    hit: &mut Option<Hit>,
    x: &[f32],
    (attack, estimator): (&'static str, &Estimator),
    sample: &Sample<'_>,
    runs: Runs,
    iteration: usize,
) {
    let mut image = hit.take().map_or_else(Vec::new, |old| old.image);
    image.clear();
    image.extend_from_slice(x);
    let target = (runs.targets > 0 || sample.targeted).then_some(sample.target);
    let winner = Winner {
        attack: if estimator.is_own() {
            attack.into()
        } else {
            format!("{attack}:{}", estimator.options()).into()
        },
        restart: sample.restart,
        target,
        iteration,
    };
    *hit = Some(Hit { image, winner });
}
