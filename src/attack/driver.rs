//! Keeps sixteen samples a worker in flight: evaluates them together, lets each take its step, and hands the lane of a
//! finished one to the next that waits.

use super::classifier::Session;
use super::job::Job;
use super::method::{Answer, Goal, Method, Needs, Runs, Step};
use super::seat::{Seat, note, sample_of};
use super::transpose::{from_lanes, region_to_lanes, to_lanes};
use super::trial::Trial;
use crate::Result;
use crate::nn::{margin, predict, rivals};
use crate::simd::random::Key;
use crate::simd::{Isa, LANES, Lanes, LanesU32};
use crate::tensor::{Context, Region};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Attacks the samples `which` with one method; the results are in the order of `which`.
///
/// # Errors
/// If the model cannot be evaluated or does not fit the images.
pub fn drive<M: Method>(job: &Job<'_>, method: &M, which: &[usize]) -> Result<Vec<Trial>> {
    job.check()?;
    let next = AtomicUsize::new(0);
    let trials: Mutex<Vec<Option<Trial>>> = Mutex::new(vec![None; which.len()]);
    let done = |place: usize, trial: Trial| {
        trials.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(trial);
    };
    let mut seats = vec![(); job.context.threads().min(which.len().div_ceil(LANES))];
    let workers = job.context.workers(|context| context);
    workers.chunks(&mut seats, 1, |context, _, _| {
        let result = Worker::new(job, method, context).run(&next, which, &done);
        if result.is_err() {
            next.store(which.len(), Ordering::Relaxed);
        }
        result
    })?;
    let trials = trials.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(trials.into_iter().flatten().collect())
}

struct Worker<'a, M: Method> {
    job: &'a Job<'a>,
    method: &'a M,
    session: Box<dyn Session + 'a>,
    isa: Isa,
    runs: Runs,
    loss_classes: usize,
    seats: Vec<Seat<M::State>>,
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

impl<'a, M: Method> Worker<'a, M> {
    fn new(job: &'a Job<'a>, method: &'a M, context: &Context) -> Self {
        let (shape, classes) = (job.samples.shape(), job.classifier.classes());
        let features = shape.features();
        let (gradients, grads) = match method.needs() {
            Needs::Logits(_) => (0, 0),
            Needs::Gradient(_) => (features, 1),
            Needs::Jacobian => (features, classes),
        };
        let seat = |_| Seat {
            place: None,
            state: method.state(shape, classes),
            rivals: Vec::with_capacity(classes),
            run: 0,
            iteration: 0,
            last: false,
            best: f32::INFINITY,
            trial: Trial::new(0),
        };
        let mut runs = method.runs(classes);
        // There are no more wrong classes than that.
        runs.targets = runs.targets.min(classes - 1);
        let random = job.classifier.is_random();
        let mut session = job.classifier.session(context.clone());
        Self {
            job,
            method,
            incremental: !random && method.is_local(&job.budget) && session.changes().is_some(),
            random,
            changed: Region::default(),
            session,
            isa: context.isa(),
            runs,
            loss_classes: classes,
            seats: (0..LANES).map(seat).collect(),
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
        done: &dyn Fn(usize, Trial),
    ) -> Result<()> {
        loop {
            let refill = !self.in_step();
            let mut busy = false;
            for lane in 0..LANES {
                if self.seats[lane].place.is_none() {
                    if !refill {
                        continue;
                    }
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    match which.get(place) {
                        Some(&sample) => self.seat(lane, place, sample),
                        None => {
                            next.store(which.len(), Ordering::Relaxed); // no overflow, ever
                            continue;
                        }
                    }
                }
                busy = true;
            }
            if !busy {
                return Ok(());
            }
            self.evaluate()?;
            for lane in 0..LANES {
                if let Some(place) = self.seats[lane].place
                    && self.advance(lane)
                {
                    let seat = &mut self.seats[lane];
                    seat.place = None;
                    done(place, std::mem::replace(&mut seat.trial, Trial::new(0)));
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
        let mut busy = self.seats.iter().filter(|seat| seat.place.is_some());
        let count = busy.clone().count();
        let at = |seat: &Seat<M::State>| (seat.run, seat.iteration);
        let first = busy.next().map(at);
        2 * count >= LANES && busy.all(|seat| Some(at(seat)) == first)
    }

    /// Gives a lane to a sample.
    fn seat(&mut self, lane: usize, place: usize, sample: usize) {
        let (job, seat) = (self.job, &mut self.seats[lane]);
        let logits = &job.clean_logits[sample * self.loss_classes..][..self.loss_classes];
        rivals(logits, job.samples.labels()[sample], &mut seat.rivals);
        (seat.place, seat.run, seat.best) = (Some(place), 0, f32::INFINITY);
        seat.trial.sample = sample;
        self.start(lane);
    }

    /// Starts the lane's next run.
    fn start(&mut self, lane: usize) {
        let features = self.block.len();
        let seat = &mut self.seats[lane];
        (seat.iteration, seat.last) = (0, false);
        let sample = sample_of(self.job, self.method, self.runs, self.isa, seat);
        let x = &mut self.images[lane * features..][..features];
        x.copy_from_slice(sample.clean);
        self.method.start(&mut seat.state, &sample, x);
    }

    /// Asks the model about all lanes.
    fn evaluate(&mut self) -> Result<()> {
        let draws = self.method.draws().max(1);
        let scale = 1.0 / draws as f32;
        let (mut labels, mut targets) = (LanesU32::ZERO, LanesU32::ZERO);
        let mut keys = [Key::new(0); LANES];
        for (lane, seat) in self.seats.iter().enumerate().filter(|(_, seat)| seat.place.is_some()) {
            let sample = sample_of(self.job, self.method, self.runs, self.isa, seat);
            labels.0[lane] = sample.label as u32;
            targets.0[lane] = sample.target as u32;
            // The same draws at every image of a run: their losses differ by the image, not by luck.
            keys[lane] = sample.key.named("noise");
        }
        let wanted = self.seats.iter().any(|seat| seat.place.is_some() && !seat.last);
        let needs = self.method.needs();
        let differentiable = wanted && !matches!(needs, Needs::Logits(_));
        let features = self.block.len();
        for draw in 0..draws {
            let noise = keys.map(|key| key.with(draw as u64));
            self.ask(&noise, differentiable)?;
            let mut loss = Lanes::ZERO;
            match needs {
                Needs::Logits(kind) | Needs::Gradient(kind) => {
                    let (z, grad) = (&self.logits, &mut self.logits_grad);
                    kind.evaluate(self.isa, z, &labels, &targets, &mut loss, grad);
                    if differentiable {
                        self.session.gradient(&self.logits_grad, &mut self.block_grad)?;
                        let rows = &mut self.gradients;
                        from_lanes(&self.block_grad, scale, draw > 0, features, rows);
                    }
                }
                Needs::Jacobian if differentiable => {
                    let stride = features * self.logits.len();
                    for class in 0..self.logits.len() {
                        self.logits_grad.fill(Lanes::ZERO);
                        self.logits_grad[class] = Lanes::splat(1.0);
                        self.session.gradient(&self.logits_grad, &mut self.block_grad)?;
                        let rows = &mut self.gradients[class * features..];
                        from_lanes(&self.block_grad, scale, draw > 0, stride, rows);
                    }
                }
                Needs::Jacobian => {}
            }
            accumulate(&mut self.mean_logits, &self.logits, scale, draw > 0);
            accumulate(
                std::slice::from_mut(&mut self.mean_loss),
                std::slice::from_ref(&loss),
                scale,
                draw > 0,
            );
        }
        Ok(())
    }

    /// The logits of all lanes, of all pixels or of those that have changed.
    fn ask(&mut self, noise: &[Key; LANES], differentiable: bool) -> Result<()> {
        let Some(session) = self.incremental.then(|| self.session.changes()).flatten() else {
            to_lanes(&self.images, &mut self.block);
            return self.session.logits(&self.block, noise, differentiable, &mut self.logits);
        };
        let shape = self.job.samples.shape();
        let (mut region, mut kept) = (Region::default(), 0);
        for (lane, seat) in self.seats.iter().enumerate().filter(|(_, seat)| seat.place.is_some()) {
            let change = self.method.change(&seat.state);
            kept |= u16::from(change.as_ref().is_some_and(|change| change.kept)) << lane;
            region = region.hull(&change.map_or(Region::all(shape), |change| change.region));
        }
        // What was tried last time has been taken back in the lanes that did not keep it.
        for region in [&self.changed, &region] {
            region_to_lanes(&self.images, shape, region, &mut self.block);
        }
        session.logits(&self.block, &region, kept, &mut self.logits)?;
        self.changed = region;
        Ok(())
    }

    /// Lets one lane take its step; true if its sample is finished.
    fn advance(&mut self, lane: usize) -> bool {
        let features = self.block.len();
        let seat = &mut self.seats[lane];
        let sample = sample_of(self.job, self.method, self.runs, self.isa, seat);
        let x = &mut self.images[lane * features..][..features];
        let draws = self.method.draws().max(1) as u64;
        let cost = &mut seat.trial.cost;
        cost.forward_passes += draws;
        for (to, z) in self.row.iter_mut().zip(&self.mean_logits) {
            *to = z.0[lane];
        }
        if self.row.iter().any(|z| !z.is_finite()) {
            seat.trial.invalid = true;
            seat.trial.hit = None;
            return true;
        }
        let width = self.gradients.len() / LANES;
        let gradient = &self.gradients[lane * width..][..width];
        if !seat.last && width > 0 {
            cost.backward_passes += draws * (width / features) as u64;
            if gradient.iter().all(|&g| g == 0.0) {
                cost.zero_gradients += draws * (width / features) as u64;
                cost.zero_starts += u64::from(seat.run == 0 && seat.iteration == 0);
            }
        }
        let margin = margin(&self.row, sample.label);
        let goal = self.method.goal();
        let fooled = match self.method.confidence(&self.row) {
            Some(confidence) => margin < -confidence,
            None => predict(&self.row) != sample.label,
        };
        if fooled && goal != Goal::Last {
            let distance = sample.budget.norm.distance(x, sample.clean);
            let inside = goal == Goal::NearestAnywhere || distance <= sample.budget.eps;
            // The first success against a few draws may be luck: a random model is attacked to the end, and what fools
            // them by most is what has a chance with others.
            let deepest = self.random && goal == Goal::First;
            let score = if deepest { margin } else { distance };
            if inside && (score < seat.best || goal == Goal::Latest) {
                seat.best = score;
                note(
                    &mut seat.trial.hit,
                    x,
                    self.method.name(),
                    &sample,
                    self.runs,
                    seat.iteration,
                );
            }
            if inside && goal == Goal::First && !deepest {
                return true;
            }
        }
        let loss = self.mean_loss.0[lane];
        let answer = Answer { logits: &self.row, margin, fooled, loss, gradient };
        let step = if seat.last {
            Step::End
        } else {
            self.method.step(&mut seat.state, &sample, &answer, x)
        };
        match step {
            Step::Ask => seat.iteration += 1,
            Step::Last => (seat.iteration, seat.last) = (seat.iteration + 1, true),
            Step::End => {
                if goal == Goal::Last {
                    let name = self.method.name();
                    note(&mut seat.trial.hit, x, name, &sample, self.runs, seat.iteration);
                }
                seat.run += 1;
                let all = self.runs.restarts.max(1) * self.runs.targets.max(1);
                let done = match goal {
                    Goal::Last => fooled,
                    Goal::Latest => seat.trial.hit.is_some(),
                    Goal::First | Goal::Nearest | Goal::NearestAnywhere => false,
                };
                if done || seat.run >= all {
                    return true;
                }
                self.start(lane);
            }
        }
        false
    }
}

/// `mean = scale x`, or `mean += scale x`.
fn accumulate(mean: &mut [Lanes], x: &[Lanes], scale: f32, add: bool) {
    for (mean, x) in mean.iter_mut().zip(x) {
        for (mean, x) in mean.0.iter_mut().zip(&x.0) {
            *mean = if add { *mean + x * scale } else { x * scale };
        }
    }
}
