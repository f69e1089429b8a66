//! APGD: projected gradient ascent that halves its step when it stops to pay (Croce & Hein 2020, "Reliable evaluation
//! of adversarial robustness with an ensemble of diverse parameter-free attacks", section 3; in L1: Croce & Hein 2021,
//! "Mind the box", section 4).

mod sparse;

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::ascent::{RankBuffer, ascend};
use crate::attack::geometry::norm::Norm;
use crate::attack::geometry::projection::{Breakpoints, into_ball};
use crate::attack::geometry::random::add_to_sphere;
use crate::attack::loss::Loss;
use crate::attack::methods::apgd::sparse::Sparse;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Runs, Sample, Step, Stepper};
use crate::tensor::Shape;
use crate::{Error, Result};

/// Auto-PGD in Linf, L2 and L1, with any loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Apgd {
    /// What is maximized. A targeted loss is run on every one of the `targets`.
    pub loss: Loss,
    /// Steps of a run.
    pub steps: usize,
    /// Independent starts (of each target).
    pub restarts: usize,
    /// Wrong classes that a targeted loss steers to, the likeliest first.
    pub targets: usize,
    /// The share of steps that must have raised the loss for the step size to stay (0.75).
    pub rho: f32,
    /// Evaluations averaged for one step, for models that draw random numbers.
    pub draws: usize,
    /// L1 only: starts with thrice and twice the radius, each with 30 % of the steps.
    pub large_radii: bool,
    /// Which point is returned.
    pub goal: Goal,
}

impl Default for Apgd {
    /// APGD-CE as AutoAttack runs it.
    fn default() -> Self {
        Self {
            loss: Loss::CrossEntropy,
            steps: 100,
            restarts: 1,
            targets: 9,
            rho: 0.75,
            draws: 1,
            large_radii: true,
            goal: Goal::First,
        }
    }
}

/// Where the search stands.
pub struct State {
    /// Steps taken in this stage, of how many, and which stage of which radius this is.
    step: usize,
    steps: usize,
    stage: usize,
    eps: f32,
    eta: f32,
    /// Steps between two looks at the progress, steps since the last look, and how many of them raised the loss.
    window: usize,
    since: usize,
    raised: usize,
    /// Loss of the last point, and the best one at the last look.
    loss: f32,
    loss_before: f32,
    halved: bool,
    best_loss: f32,
    best: Vec<f32>,
    best_gradient: Vec<f32>,
    previous: Vec<f32>,
    gradient: Vec<f32>,
    ahead: Vec<f32>,
    sparse: Sparse,
    ranking: RankBuffer,
    scratch: Breakpoints,
}

impl Apgd {
    /// Radius and steps of a stage; None past the last one.
    fn stage(&self, budget: &Budget, stage: usize) -> Option<(f32, usize)> {
        if budget.norm != Norm::L1 || !self.large_radii {
            return (stage == 0).then_some((budget.eps, self.steps));
        }
        let part = (0.3 * self.steps as f64).ceil() as usize;
        match stage {
            0 => Some((3.0 * budget.eps, part.min(self.steps))),
            1 => Some((2.0 * budget.eps, part.min(self.steps - part.min(self.steps)))),
            2 => Some((budget.eps, self.steps.saturating_sub(2 * part).max(1))),
            _ => None,
        }
    }

    /// Makes the state ready for a stage that starts from `x`.
    fn begin(&self, state: &mut State, budget: &Budget, radius: f32, steps: usize) {
        let l1 = budget.norm == Norm::L1;
        let share = if l1 { 0.04 } else { 0.22 };
        (state.step, state.steps, state.eps) = (0, steps, radius);
        state.eta = if l1 { radius } else { 2.0 * radius };
        state.window = ((share * steps as f64) as usize).max(1);
        (state.since, state.raised, state.halved) = (0, 0, true);
        state.best_loss = f32::NEG_INFINITY;
    }

    /// Looks at the progress of the last steps; true if the search is to go on from the best point.
    fn look(&self, state: &mut State) -> bool {
        let slow = state.raised as f32 <= self.rho * state.window as f32;
        let stuck = !state.halved && state.loss_before >= state.best_loss;
        state.halved = slow || stuck;
        state.loss_before = state.best_loss;
        let shrink = ((0.03 * state.steps as f64) as usize).max(1);
        let least = ((0.06 * state.steps as f64) as usize).max(1);
        state.window = state.window.saturating_sub(shrink).max(least);
        if state.halved {
            state.eta /= 2.0;
        }
        state.halved
    }

    /// One step from `x` along the state's gradient: with momentum, but in L1.
    fn advance(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        let (norm, clean) = (sample.budget.norm, sample.clean);
        if norm == Norm::L1 {
            state.sparse.ascend(state.eta, &state.gradient, x);
            into_ball(norm, state.eps, clean, x, &mut state.scratch);
            return;
        }
        state.ahead.copy_from_slice(x);
        let State { ahead, gradient, .. } = state;
        ascend(norm, state.eta, gradient, ahead, &mut state.ranking);
        into_ball(norm, state.eps, clean, &mut state.ahead, &mut state.scratch);
        let share = if state.step == 0 { 1.0 } else { 0.75 };
        let points = x.iter_mut().zip(&state.ahead).zip(&mut state.previous);
        for ((x, &ahead), previous) in points {
            let momentum = *x - *previous;
            *previous = *x;
            *x = *x + share * (ahead - *x) + (1.0 - share) * momentum;
        }
        into_ball(norm, state.eps, clean, x, &mut state.scratch);
    }
}

impl Stepper for Apgd {
    type State = State;

    fn name(&self) -> &'static str {
        match self.loss {
            Loss::CrossEntropy | Loss::ScaledCrossEntropy | Loss::CrossEntropyF32 => "apgd-ce",
            Loss::Dlr => "apgd-dlr",
            Loss::TargetedDlr => "apgd-t",
            Loss::TargetedCrossEntropy => "apgd-t-ce",
            Loss::Margin => "apgd-margin",
            Loss::Difference => "apgd-t-margin",
        }
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        let targeted = ChangedOptions::none()
            .named("apgd-t")
            .unless(Loss::TargetedDlr.name(), "loss", self.loss.name())
            .unless(default.targets, "targets", self.targets);
        let settings = match self.loss {
            Loss::Dlr => ChangedOptions::none(),
            loss if loss.is_targeted() => targeted,
            loss => ChangedOptions::none().unless(default.loss.name(), "loss", loss.name()),
        };
        settings
            .unless(default.steps, "steps", self.steps)
            .unless(default.restarts, "restarts", self.restarts)
            .unless(default.draws, "draws", self.draws)
            .unless(default.goal.name(), "return", self.goal.name())
    }

    fn needs(&self) -> Needs {
        Needs::Gradient(self.loss)
    }

    fn evaluations(&self) -> usize {
        self.steps + 1
    }

    fn goal(&self) -> Goal {
        self.goal
    }

    fn runs(&self, _classes: usize) -> Runs {
        let targets = if self.loss.is_targeted() { self.targets } else { 0 };
        Runs { restarts: self.restarts, targets }
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, _budget: &Budget, _shape: Shape) -> Result<()> {
        let targets = if self.loss.is_targeted() { self.targets } else { 1 };
        if self.steps == 0 || self.restarts == 0 || targets == 0 {
            let problem = format!(
                "steps {}, restarts {}, targets {targets}: at least 1 of each is needed",
                self.steps, self.restarts
            );
            return Err(Error::argument("apgd", problem));
        }
        if !(0.0..=1.0).contains(&self.rho) {
            return Err(Error::argument("apgd", format!("rho {} is not in 0..=1", self.rho)));
        }
        Ok(())
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        let zeros = || vec![0.0; shape.features()];
        State {
            step: 0,
            steps: 0,
            stage: 0,
            eps: 0.0,
            eta: 0.0,
            window: 0,
            since: 0,
            raised: 0,
            loss: 0.0,
            loss_before: 0.0,
            halved: true,
            best_loss: 0.0,
            best: zeros(),
            best_gradient: zeros(),
            previous: zeros(),
            gradient: zeros(),
            ahead: zeros(),
            sparse: Sparse::new(shape.features()),
            ranking: RankBuffer::default(),
            scratch: Breakpoints::default(),
        }
    }

    fn start(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        state.stage = 0;
        let Some((radius, steps)) = self.stage(&sample.budget, 0) else { return };
        self.begin(state, &sample.budget, radius, steps);
        state.sparse.reset();
        let norm = sample.budget.norm;
        match norm {
            // Not scaled: a normal direction lies far outside the L1 ball, and its projection is a sparse point of it.
            Norm::L1 => {
                let random = &mut sample.key.generator();
                crate::attack::geometry::random::normals(sample.isa, random, &mut state.ahead);
                x.iter_mut().zip(&state.ahead).for_each(|(x, step)| *x += step);
            }
            _ => add_to_sphere(
                norm,
                radius,
                sample.isa,
                &mut sample.key.generator(),
                &mut state.ahead,
                x,
            ),
        }
        into_ball(norm, radius, sample.clean, x, &mut state.scratch);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let l1 = sample.budget.norm == Norm::L1;
        state.gradient.copy_from_slice(answer.gradient);
        if state.step == 0 {
            state.previous.copy_from_slice(x);
            state.loss_before = answer.loss;
        } else {
            state.raised += usize::from(answer.loss > state.loss);
            state.since += 1;
        }
        state.loss = answer.loss;
        // The first point has nothing to be compared with, whatever its loss.
        if state.step == 0 || answer.loss > state.best_loss {
            state.best_loss = answer.loss;
            state.best.copy_from_slice(x);
            state.best_gradient.copy_from_slice(answer.gradient);
        }
        if state.step == state.steps {
            state.stage += 1;
            let Some((radius, steps)) = self.stage(&sample.budget, state.stage) else {
                return Step::End;
            };
            x.copy_from_slice(&state.best);
            into_ball(sample.budget.norm, radius, sample.clean, x, &mut state.scratch);
            self.begin(state, &sample.budget, radius, steps);
            state.sparse.restart(x, sample.clean);
            return Step::Ask;
        }
        if state.since == state.window {
            let back = if l1 {
                state.sparse.look(&state.best, sample.clean, state.eps, &mut state.eta)
            } else {
                self.look(state)
            };
            (state.since, state.raised) = (0, 0);
            if back {
                x.copy_from_slice(&state.best);
                state.gradient.copy_from_slice(&state.best_gradient);
            }
        }
        self.advance(state, sample, x);
        state.step += 1;
        let over = state.step == state.steps;
        let last = over && self.stage(&sample.budget, state.stage + 1).is_none();
        if last { Step::Last } else { Step::Ask }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;
    use crate::simd::random::Key;

    /// A bumpy loss of one's own distance from the clean image, with its gradient.
    fn answer_about(x: &[f32], gradient: &mut [f32]) -> f32 {
        let mut loss = 0.0;
        for (i, (x, g)) in x.iter().zip(gradient).enumerate() {
            let phase = 25.0 * x + i as f32;
            loss += phase.sin() + x;
            *g = 25.0 * phase.cos() + 1.0;
        }
        loss
    }

    #[test]
    fn the_best_loss_never_falls_and_the_looks_come_when_they_should() {
        let (shape, clean) = (Shape::new(1, 5, 5), [0.4; 25]);
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let apgd = Apgd { large_radii: false, ..Apgd::default() };
            let budget = Budget { norm, eps: 0.3, seed: 0 };
            let sample = Sample {
                clean: &clean,
                shape,
                label: 0,
                target: 0,
                targeted: false,
                restart: 0,
                budget,
                key: Key::new(1),
                isa: Isa::available()[0],
            };
            let mut state = apgd.state(shape, 2);
            let (mut x, mut gradient) = (clean, [0.0; 25]);
            apgd.start(&mut state, &sample, &mut x);
            let (mut best, mut looks) = (f32::NEG_INFINITY, Vec::new());
            for query in 0..100 {
                let loss = answer_about(&x, &mut gradient);
                let answer = Feedback {
                    logits: &[1.0, 0.0],
                    margin: 1.0,
                    fooled: false,
                    loss,
                    gradient: &gradient,
                };
                let since = state.since;
                let step = apgd.step(&mut state, &sample, &answer, &mut x);
                if query > 0 && since + 1 > state.since {
                    looks.push(query);
                }
                assert!(state.best_loss >= best && state.best_loss >= loss);
                best = state.best_loss;
                assert!(budget.admits(norm.distance(&x, &clean)));
                assert_eq!(step, if query == 99 { Step::Last } else { Step::Ask });
            }
            if norm != Norm::L1 {
                assert_eq!(looks, [22, 41, 57, 70, 80, 87, 93, 99]);
            }
        }
    }
}
