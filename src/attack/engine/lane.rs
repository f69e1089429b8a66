//! A sample in flight: its lane, its run, and what it has found so far.

use crate::attack::candidate::Winner;
use crate::attack::candidate::{Candidate, Hit};
use crate::attack::estimator_text;
use crate::attack::stepper::{Budget, Goal, Runs, Sample};
use crate::attack::task::AttackTask;
use crate::kernels::lif::{Estimator, SilentWindow};
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

impl<State> LaneState<State> {
    /// Counts backward passes, and whether their gradients were zero everywhere.
    pub fn count_gradients(&mut self, passes: u64, zero: bool) {
        let cost = &mut self.candidate.cost;
        cost.backward_passes += passes;
        if zero {
            cost.zero_gradients += passes;
            cost.zero_starts += u64::from(self.run == 0 && self.iteration == 0);
        }
    }

    /// Keeps a copy of `x` as what was found, in the memory of an earlier one if there is one.
    pub fn record_hit(
        &mut self,
        x: &[f32],
        (attack, asked): (&'static str, &Estimator),
        sample: &Sample<'_>,
        runs: Runs,
    ) {
        let mut image = self.candidate.hit.take().map_or_else(Vec::new, |old| old.image);
        image.clear();
        image.extend_from_slice(x);
        let attack = match asked.is_own() {
            true => attack.into(),
            false => format!("{attack}:{}", estimator_text::options(asked)).into(),
        };
        let target = (runs.targets > 0 || sample.targeted).then_some(sample.target);
        let (restart, iteration) = (sample.restart, self.iteration);
        let winner = Winner { attack, restart, target, iteration };
        self.candidate.hit = Some(Hit { image, winner });
    }

    /// Ends a run, whose last image `fooled` the model or not; true if there is no other for this sample.
    pub fn end_run(&mut self, goal: Goal, fooled: bool, runs: Runs) -> bool {
        self.run += 1;
        let done = match goal {
            Goal::Last => fooled,
            Goal::Latest => self.candidate.hit.is_some(),
            Goal::First | Goal::Nearest | Goal::NearestAnywhere => false,
        };
        done || self.run >= runs.restarts.max(1).saturating_mul(runs.targets.max(1))
    }
}

/// The key of an attack's random numbers. Its runs with different estimators are different attacks, each with numbers of
/// its own. To write out which window attacks take by default makes no other attack.
pub fn root(budget: &Budget, name: &str, asked: &Estimator) -> Key {
    let key = Key::new(budget.seed).named(name);
    let pool = asked.pool.filter(|&pool| pool != SilentWindow::Largest);
    let is_own = Estimator { pool, ..*asked }.is_own();
    if is_own { key } else { key.named(&estimator_text::key(asked)) }
}

/// The sample of a lane, in its run: targets one after the other, all restarts of each.
pub fn current_sample<'a, State>(
    task: &AttackTask<'a>,
    runs: Runs,
    isa: Isa,
    root: Key,
    lane_state: &LaneState<State>,
) -> Sample<'a> {
    let index = lane_state.candidate.sample;
    let (label, id) = (task.samples.labels()[index], task.samples.ids()[index]);
    let restarts = runs.restarts.max(1);
    let (restart, rank) = (lane_state.run % restarts, lane_state.run / restarts);
    let rival = if runs.targets > 0 { lane_state.rivals[rank] } else { label };
    let target = task.target.unwrap_or(rival);
    Sample {
        clean: task.samples.image(index),
        shape: task.samples.shape(),
        label,
        target,
        targeted: task.target.is_some(),
        restart,
        budget: task.budget,
        key: root.with(restart as u64).with(rank as u64).with(id),
        isa,
    }
}
