//! NES-PGD: PGD along a gradient that is estimated from scores alone, by differences between opposite points (Ilyas et
//! al. 2018, "Black-box adversarial attacks with limited queries and information"). It sees a staircase smoothed.

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::ascent::{RankBuffer, ascend};
use crate::attack::geometry::projection::{Breakpoints, into_ball};
use crate::attack::geometry::random::normals;
use crate::attack::loss::Loss;
use crate::attack::methods::pgd::StepSize;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Sample, Step, Stepper};
use crate::tensor::Shape;
use crate::wording::written;
use crate::{Error, Result};

/// PGD on the margin that never asks for a gradient: `2 pairs + 1` forward passes a step.
#[derive(Clone, Debug, PartialEq)]
pub struct NesPgd {
    /// Steps of a run.
    pub steps: usize,
    /// How far a step goes.
    pub step: StepSize,
    /// Pairs of opposite points that a gradient is estimated from.
    pub pairs: usize,
    /// The standard deviation of a pixel of these points.
    pub sigma: f32,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
}

impl Default for NesPgd {
    fn default() -> Self {
        Self { steps: 50, step: StepSize::Reach(2.5), pairs: 100, sigma: 8.0 / 255.0, draws: 1 }
    }
}

/// Where the ascent stands.
pub struct State {
    taken: usize,
    /// Points around the current one that were asked about; 0: the current one itself is being asked about.
    asked: usize,
    point: Vec<f32>,
    direction: Vec<f32>,
    /// The first of a pair, and its loss.
    first: Vec<f32>,
    loss: f32,
    gradient: Vec<f32>,
    ranking: RankBuffer,
    scratch: Breakpoints,
}

impl NesPgd {
    /// The next of the points around: of a pair the second lies opposite of the first, but for the box.
    fn probe(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        let opposite = state.asked % 2 == 1;
        if !opposite {
            let key = sample.key.with(state.taken as u64).with(state.asked as u64);
            normals(sample.isa, &mut key.generator(), &mut state.direction);
        }
        let sigma = if opposite { -self.sigma } else { self.sigma };
        for ((x, point), direction) in x.iter_mut().zip(&state.point).zip(&state.direction) {
            *x = (point + sigma * direction).clamp(0.0, 1.0);
        }
        state.asked += 1;
    }
}

impl Stepper for NesPgd {
    type State = State;

    fn name(&self) -> &'static str {
        "nes-pgd"
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        ChangedOptions::none()
            .unless(default.steps, "steps", self.steps)
            .unless(default.step.text(default.steps), "step", self.step.text(self.steps))
            .unless(default.pairs, "pairs", self.pairs)
            .unless(written(default.sigma), "sigma", written(self.sigma))
            .unless(default.draws, "draws", self.draws)
    }

    fn needs(&self) -> Needs {
        Needs::Logits(Loss::Margin)
    }

    fn evaluations(&self) -> usize {
        self.steps * (1 + 2 * self.pairs) + 1
    }

    fn goal(&self) -> Goal {
        Goal::First
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, _budget: &Budget, _shape: Shape) -> Result<()> {
        if self.steps == 0 || self.pairs == 0 {
            let (steps, pairs) = (self.steps, self.pairs);
            let problem = format!("steps {steps}, pairs {pairs}: at least 1 of each is needed");
            return Err(Error::argument("nes-pgd", problem));
        }
        if !(self.sigma > 0.0 && self.sigma.is_finite()) {
            return Err(Error::argument(
                "nes-pgd",
                format!("sigma {} is not positive", self.sigma),
            ));
        }
        Ok(())
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        let zeros = || vec![0.0; shape.features()];
        State {
            taken: 0,
            asked: 0,
            point: zeros(),
            direction: zeros(),
            first: zeros(),
            loss: 0.0,
            gradient: zeros(),
            ranking: RankBuffer::default(),
            scratch: Breakpoints::default(),
        }
    }

    fn start(&self, state: &mut State, _sample: &Sample<'_>, _x: &mut [f32]) {
        (state.taken, state.asked) = (0, 0);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        if state.asked == 0 {
            state.point.copy_from_slice(x);
            state.gradient.fill(0.0);
        } else if state.asked % 2 == 1 {
            state.first.copy_from_slice(x);
            state.loss = answer.loss;
        } else {
            // What the box let through of the way from one to the other, not what was drawn.
            let rise = state.loss - answer.loss;
            for ((sum, a), b) in state.gradient.iter_mut().zip(&state.first).zip(x.iter()) {
                *sum += rise * (a - b);
            }
        }
        if state.asked < self.pairs.saturating_mul(2) {
            self.probe(state, sample, x);
            return Step::Ask;
        }
        let Budget { norm, eps, .. } = sample.budget;
        x.copy_from_slice(&state.point);
        ascend(norm, self.step.value(eps, self.steps), &state.gradient, x, &mut state.ranking);
        into_ball(norm, eps, sample.clean, x, &mut state.scratch);
        (state.taken, state.asked) = (state.taken + 1, 0);
        if state.taken < self.steps { Step::Ask } else { Step::Last }
    }
}
