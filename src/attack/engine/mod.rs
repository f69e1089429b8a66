//! Keeps sixteen samples a worker in flight: evaluates them together, lets each take its step, and hands the lane of a
//! finished one to the next that waits.

mod ask;
mod lane;
pub(super) mod transpose;

use crate::Result;
use crate::attack::candidate::Candidate;
use crate::attack::engine::lane::{LaneState, current_sample, root};
use crate::attack::geometry::ball::is_inside;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Runs, Step, Stepper};
use crate::attack::task::AttackTask;
use crate::nn::Session;
use crate::nn::{margin, other_classes};
use crate::simd::random::Key;
use crate::simd::{Isa, LANES, Lanes};
use crate::tensor::{Context, Region};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Runs one attack on the samples `which`; the results are in the order of `which`.
///
/// # Errors
/// If the model cannot be evaluated or does not fit the images.
pub fn drive<S: Stepper>(
    task: &AttackTask<'_>,
    attack: &S,
    which: &[usize],
) -> Result<Vec<Candidate>> {
    task.check()?;
    let next = AtomicUsize::new(0);
    let candidates: Mutex<Vec<Option<Candidate>>> = Mutex::new(vec![None; which.len()]);
    let done = |index: usize, candidate: Candidate| {
        candidates.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(candidate);
    };
    let mut lanes = vec![(); task.context.threads().min(which.len().div_ceil(LANES))];
    task.classifier.announce(lanes.len());
    let workers = task.context.workers(|context| context);
    workers.chunks(&mut lanes, 1, |context, _, _| {
        let result = Worker::new(task, attack, context).run(&next, which, &done);
        if result.is_err() {
            next.store(which.len(), Ordering::Relaxed);
        }
        result
    })?;
    let candidates = candidates.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(candidates.into_iter().flatten().collect())
}

struct Worker<'a, S: Stepper> {
    task: &'a AttackTask<'a>,
    attack: &'a S,
    session: Box<dyn Session + 'a>,
    isa: Isa,
    /// The key of all random numbers.
    root: Key,
    runs: Runs,
    loss_classes: usize,
    lanes: Vec<LaneState<S::State>>,
    /// The images to evaluate, one after the other and in lanes.
    images: Vec<f32>,
    block: Vec<Lanes>,
    /// Gradients, in lanes and one after the other.
    block_grad: Vec<Lanes>,
    gradients: Vec<f32>,
    logits: Vec<Lanes>,
    logits_grad: Vec<Lanes>,
    /// Means over the draws.
    mean_logits: Vec<Lanes>,
    mean_loss: Lanes,
    row: Vec<f32>,
    /// Whether only what changes between two evaluations is computed, and where the last one changed.
    incremental: bool,
    /// Whether one answer of the model decides nothing.
    random: bool,
    changed: Region,
}

impl<'a, S: Stepper> Worker<'a, S> {
    fn new(task: &'a AttackTask<'a>, attack: &'a S, context: &Context) -> Self {
        let (shape, classes) = (task.samples.shape(), task.classifier.classes());
        let features = shape.features();
        let (gradients, grads) = match attack.needs() {
            Needs::Logits(_) => (0, 0),
            Needs::Gradient(_) => (features, 1),
            Needs::Jacobian => (features, classes),
        };
        let lane_state = |_| LaneState {
            index: None,
            state: attack.state(shape, classes),
            rivals: Vec::with_capacity(classes),
            run: 0,
            iteration: 0,
            last: false,
            best: f32::INFINITY,
            candidate: Candidate::new(0),
        };
        let mut runs = attack.runs(classes);
        // There are no more wrong classes than that.
        runs.targets = runs.targets.min(classes - 1);
        if task.target.is_some() {
            runs.targets = runs.targets.min(1);
        }
        let random = task.classifier.is_random();
        let mut session = task.classifier.session(context.clone());
        Self {
            task,
            attack,
            incremental: !random && attack.is_local(&task.budget) && session.changes().is_some(),
            random,
            changed: Region::default(),
            session,
            isa: context.isa(),
            root: root(&task.budget, attack.name(), &task.estimator),
            runs,
            loss_classes: classes,
            lanes: (0..LANES).map(lane_state).collect(),
            images: vec![0.0; LANES * features],
            block: vec![Lanes::ZERO; features],
            block_grad: vec![Lanes::ZERO; gradients],
            gradients: vec![0.0; LANES * features * grads],
            logits: vec![Lanes::ZERO; classes],
            logits_grad: vec![Lanes::ZERO; classes],
            mean_logits: vec![Lanes::ZERO; classes],
            mean_loss: Lanes::ZERO,
            row: vec![0.0; classes],
        }
    }

    fn run(
        mut self,
        next: &AtomicUsize,
        which: &[usize],
        done: &dyn Fn(usize, Candidate),
    ) -> Result<()> {
        loop {
            let refill = !self.in_step();
            let mut busy = 0u16;
            for lane in 0..LANES {
                if self.lanes[lane].index.is_none() {
                    if !refill {
                        continue;
                    }
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    match which.get(index) {
                        Some(&sample) => self.occupy(lane, index, sample),
                        None => {
                            next.store(which.len(), Ordering::Relaxed); // no overflow, ever
                            continue;
                        }
                    }
                }
                busy |= 1 << lane;
            }
            if busy == 0 {
                return Ok(());
            }
            self.task.context.stop().check()?;
            self.session.occupy(busy);
            self.evaluate()?;
            for lane in 0..LANES {
                if let Some(index) = self.lanes[lane].index
                    && self.advance(lane)
                {
                    let lane_state = &mut self.lanes[lane];
                    lane_state.index = None;
                    done(index, std::mem::replace(&mut lane_state.candidate, Candidate::new(0)));
                    let features = self.block.len();
                    self.images[lane * features..][..features].fill(0.0);
                }
            }
        }
    }

    /// Whether free lanes had better wait: samples that are at the same iteration change the same pixels, which pays
    /// unless most lanes are free. Where they are not in step any more, nothing is lost by refilling.
    fn in_step(&self) -> bool {
        if !self.incremental {
            return false;
        }
        let mut busy = self.lanes.iter().filter(|lane_state| lane_state.index.is_some());
        let count = busy.clone().count();
        let at = |lane_state: &LaneState<S::State>| (lane_state.run, lane_state.iteration);
        let first = busy.next().map(at);
        2 * count >= LANES && busy.all(|lane_state| Some(at(lane_state)) == first)
    }

    /// Gives a lane to a sample.
    fn occupy(&mut self, lane: usize, index: usize, sample: usize) {
        let (task, lane_state) = (self.task, &mut self.lanes[lane]);
        let logits = &task.clean_logits[sample * self.loss_classes..][..self.loss_classes];
        other_classes(logits, task.samples.labels()[sample], &mut lane_state.rivals);
        (lane_state.index, lane_state.run, lane_state.best) = (Some(index), 0, f32::INFINITY);
        lane_state.candidate.sample = sample;
        self.start(lane);
    }

    /// Starts the lane's next run.
    fn start(&mut self, lane: usize) {
        let features = self.block.len();
        let lane_state = &mut self.lanes[lane];
        (lane_state.iteration, lane_state.last) = (0, false);
        let sample = current_sample(self.task, self.runs, self.isa, self.root, lane_state);
        let x = &mut self.images[lane * features..][..features];
        x.copy_from_slice(sample.clean);
        self.attack.start(&mut lane_state.state, &sample, x);
    }

    /// Lets one lane take its step; true if its sample is finished.
    fn advance(&mut self, lane: usize) -> bool {
        let features = self.block.len();
        let lane_state = &mut self.lanes[lane];
        let sample = current_sample(self.task, self.runs, self.isa, self.root, lane_state);
        let x = &mut self.images[lane * features..][..features];
        let draws = self.attack.draws().max(1) as u64;
        lane_state.candidate.cost.forward_passes += draws;
        for (to, z) in self.row.iter_mut().zip(&self.mean_logits) {
            *to = z.0[lane];
        }
        if self.row.iter().any(|z| !z.is_finite()) {
            lane_state.candidate.invalid = true;
            lane_state.candidate.hit = None;
            return true;
        }
        let width = self.gradients.len() / LANES;
        let gradient = &self.gradients[lane * width..][..width];
        if !lane_state.last && width > 0 {
            let passes = draws * (width / features) as u64;
            lane_state.count_gradients(passes, gradient.iter().all(|&g| g == 0.0));
            if self.task.estimator.stretch > 1 {
                lane_state.candidate.cost.forward_passes += draws;
            }
        }
        let margin = match self.task.target {
            Some(target) => -margin(&self.row, target),
            None => margin(&self.row, sample.label),
        };
        let (goal, attack) = (self.attack.goal(), (self.attack.name(), &self.task.estimator));
        let fooled = match self.attack.confidence(&self.row) {
            Some(confidence) => margin < -confidence,
            None => self.task.is_success(&self.row, sample.label),
        };
        if fooled && goal != Goal::Last {
            let Budget { norm, eps, .. } = sample.budget;
            let distance = norm.distance(x, sample.clean);
            let inside = goal == Goal::NearestAnywhere || is_inside(norm, eps, sample.clean, x);
            // The first success against a few draws may be luck: a random model is attacked to the end, and what fools
            // them by most is what has a chance with others.
            let deepest = self.random && goal == Goal::First;
            let score = if deepest { margin } else { distance };
            if inside && (score < lane_state.best || goal == Goal::Latest) {
                lane_state.best = score;
                lane_state.record_hit(x, attack, &sample, self.runs);
            }
            if inside && goal == Goal::First && !deepest {
                return true;
            }
        }
        let loss = self.mean_loss.0[lane];
        let answer = Feedback { logits: &self.row, margin, fooled, loss, gradient };
        let step = if lane_state.last {
            Step::End
        } else {
            self.attack.step(&mut lane_state.state, &sample, &answer, x)
        };
        match step {
            Step::Ask => lane_state.iteration += 1,
            Step::Last => {
                (lane_state.iteration, lane_state.last) = (lane_state.iteration + 1, true)
            }
            Step::End => {
                if goal == Goal::Last {
                    lane_state.record_hit(x, attack, &sample, self.runs);
                }
                if lane_state.end_run(goal, fooled, self.runs) {
                    return true;
                }
                self.start(lane);
            }
        }
        false
    }
}
