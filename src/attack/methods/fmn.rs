//! FMN: steps along the gradient of the margin, inside a ball whose radius closes in on the boundary (Pintor et al. 2021,
//! "Fast minimum-norm adversarial attacks through adaptive norm constraints").

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::norm::{Norm, unit_of};
use crate::attack::geometry::projection::{Breakpoints, into_ball};
use crate::attack::loss::Loss;
use crate::attack::methods::descent::{cosine, direction};
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Sample, Step, Stepper};
use crate::nn::rounding;
use crate::tensor::Shape;
use crate::{Error, Result};

/// FMN in Linf, L2, L1 and L0. No radius bounds it unless asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Fmn {
    /// Steps.
    pub steps: usize,
    /// The length (L2) of the first step; the last is a hundredth.
    pub step: f32,
    /// The share by which the radius shrinks at a point that fools, and grows at one that does not, in the first step.
    pub gamma: f32,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
    /// [`Goal::NearestAnywhere`], or [`Goal::Nearest`] to count only what lies in the ball.
    pub goal: Goal,
}

impl Default for Fmn {
    fn default() -> Self {
        Self { steps: 100, step: 1.0, gamma: 0.05, draws: 1, goal: Goal::NearestAnywhere }
    }
}

/// The share by which the radius changes in the last step.
const LAST_GAMMA: f32 = 1e-3;

/// Where the walk stands.
pub struct State {
    taken: usize,
    radius: f32,
    /// Those of the nearest point that fools.
    best: f32,
    noise: Vec<f32>,
    scratch: Breakpoints,
}

/// The number of pixels: no perturbation has more.
fn clean_len(sample: &Sample<'_>) -> f32 {
    sample.clean.len() as f32
}

impl Fmn {
    /// The radius of the next ball, by what is known at `x`.
    fn radius(&self, state: &State, sample: &Sample<'_>, answer: &Feedback<'_>, x: &[f32]) -> f32 {
        let gamma = cosine(self.gamma, LAST_GAMMA, state.taken, self.steps);
        let norm = sample.budget.norm;
        if norm == Norm::L0 {
            // Pixels are counted in whole numbers, from one on.
            let radius = state.radius.min(clean_len(sample));
            return if answer.fooled {
                (radius - 1.0).min((radius * (1.0 - gamma)).floor()).min(state.best)
            } else {
                (radius + 1.0).max((radius * (1.0 + gamma)).floor())
            };
        }
        if answer.fooled {
            return (state.radius * (1.0 - gamma)).min(state.best);
        }
        if state.best.is_finite() {
            return state.radius * (1.0 + gamma);
        }
        // To where, by the linearized margin, the label loses by more than what counts: a ball that ends on the boundary
        // holds no point beyond it.
        let slope = norm.dual_of(answer.gradient);
        let ahead = (answer.margin + 2.0 * rounding(answer.logits)) / slope;
        let beyond = norm.distance(x, sample.clean) + ahead;
        // A ball in which nothing was found has to grow, and by more than the rounding of a pixel.
        let grown = if state.radius.is_finite() { state.radius * (1.0 + gamma) } else { 0.0 };
        if beyond.is_finite() { beyond.max(grown) } else { f32::INFINITY }
    }
}

impl Stepper for Fmn {
    type State = State;

    fn name(&self) -> &'static str {
        "fmn"
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        ChangedOptions::none()
            .unless(default.steps, "steps", self.steps)
            .unless(default.step, "step", self.step)
            .unless(default.gamma, "gamma", self.gamma)
            .unless(default.draws, "draws", self.draws)
            .flag("bounded", self.goal == Goal::Nearest)
    }

    fn needs(&self) -> Needs {
        Needs::Gradient(Loss::Margin)
    }

    fn norms(&self) -> &'static [Norm] {
        &Norm::ALL
    }

    fn evaluations(&self) -> usize {
        self.steps + 1
    }

    fn goal(&self) -> Goal {
        self.goal
    }

    fn confidence(&self, logits: &[f32]) -> Option<f32> {
        Some(rounding(logits))
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, _budget: &Budget, _shape: Shape) -> Result<()> {
        if self.steps == 0 || !(self.step > 0.0 && self.step.is_finite()) {
            let (steps, step) = (self.steps, self.step);
            let problem = format!("steps {steps}, step {step}: both must be positive");
            return Err(Error::argument("fmn", problem));
        }
        if !(self.gamma > 0.0 && self.gamma < 1.0) {
            return Err(Error::argument("fmn", format!("gamma {} is not in (0, 1)", self.gamma)));
        }
        Ok(())
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        State {
            taken: 0,
            radius: f32::INFINITY,
            best: f32::INFINITY,
            noise: vec![0.0; shape.features()],
            scratch: Breakpoints::default(),
        }
    }

    fn start(&self, state: &mut State, sample: &Sample<'_>, _x: &mut [f32]) {
        let radius = if sample.budget.norm == Norm::L0 { 1.0 } else { f32::INFINITY };
        (state.taken, state.radius, state.best) = (0, radius, f32::INFINITY);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let (norm, clean) = (sample.budget.norm, sample.clean);
        if answer.fooled {
            state.best = state.best.min(norm.distance(x, clean));
        }
        state.radius = self.radius(state, sample, answer, x);
        let gradient = direction(sample, answer, state.taken, &mut state.noise);
        let step = cosine(self.step, 0.01 * self.step, state.taken, self.steps);
        let unit = unit_of(Norm::Linf.of(gradient));
        let factor = step / gradient.iter().map(|g| (g * unit).powi(2)).sum::<f32>().sqrt();
        x.iter_mut().zip(gradient).for_each(|(x, g)| *x += factor * (g * unit));
        // No ball is larger than the box.
        let radius = state.radius.min(clean_len(sample));
        into_ball(norm, radius, clean, x, &mut state.scratch);
        state.taken += 1;
        if state.taken < self.steps { Step::Ask } else { Step::Last }
    }
}
