//! DDN: the direction of a step and its norm decoupled, for the smallest perturbation in L2 (Rony et al. 2019, "Decoupling
//! direction and norm for efficient gradient-based L2 adversarial attacks and defenses").

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::ascent::{RankBuffer, ascend};
use crate::attack::geometry::norm::Norm;
use crate::attack::geometry::projection::into_box;
use crate::attack::loss::Loss;
use crate::attack::methods::descent::{cosine, direction};
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Sample, Step, Stepper};
use crate::nn::rounding;
use crate::tensor::Shape;
use crate::{Error, Result};

/// DDN in L2. No radius bounds it unless asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Ddn {
    /// Steps.
    pub steps: usize,
    /// The first radius.
    pub radius: f32,
    /// The share by which the radius shrinks at a point that fools, and grows at one that does not.
    pub gamma: f32,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
    /// [`Goal::NearestAnywhere`], or [`Goal::Nearest`] to count only what lies in the ball.
    pub goal: Goal,
}

impl Default for Ddn {
    fn default() -> Self {
        Self { steps: 100, radius: 1.0, gamma: 0.05, draws: 1, goal: Goal::NearestAnywhere }
    }
}

/// Where the walk stands.
pub struct State {
    taken: usize,
    radius: f32,
    noise: Vec<f32>,
}

impl Stepper for Ddn {
    type State = State;

    fn name(&self) -> &'static str {
        "ddn"
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        ChangedOptions::none()
            .unless(default.steps, "steps", self.steps)
            .unless(default.radius, "radius", self.radius)
            .unless(default.gamma, "gamma", self.gamma)
            .unless(default.draws, "draws", self.draws)
            .flag("bounded", self.goal == Goal::Nearest)
    }

    fn needs(&self) -> Needs {
        Needs::Gradient(Loss::CrossEntropy)
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L2]
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
        if self.steps == 0 || !(self.radius > 0.0 && self.radius.is_finite()) {
            let (steps, radius) = (self.steps, self.radius);
            let problem = format!("steps {steps}, radius {radius}: both must be positive");
            return Err(Error::argument("ddn", problem));
        }
        if !(self.gamma > 0.0 && self.gamma < 1.0) {
            return Err(Error::argument("ddn", format!("gamma {} is not in (0, 1)", self.gamma)));
        }
        Ok(())
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        State { taken: 0, radius: 0.0, noise: vec![0.0; shape.features()] }
    }

    fn start(&self, state: &mut State, _sample: &Sample<'_>, _x: &mut [f32]) {
        (state.taken, state.radius) = (0, self.radius);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let step = cosine(1.0, 0.01, state.taken, self.steps);
        let gradient = direction(sample, answer, state.taken, &mut state.noise);
        ascend(Norm::L2, step, gradient, x, &mut RankBuffer::default());
        state.radius *= if answer.fooled { 1.0 - self.gamma } else { 1.0 + self.gamma };
        // Beyond the farthest corner of the box there is nothing.
        let corner = sample.clean.iter().map(|&c| c.max(1.0 - c).powi(2)).sum::<f32>().sqrt();
        state.radius = state.radius.min(corner);
        let length = Norm::L2.distance(x, sample.clean);
        if length > 0.0 {
            let factor = state.radius / length;
            x.iter_mut().zip(sample.clean).for_each(|(x, &c)| *x = c + factor * (*x - c));
        }
        into_box(x);
        state.taken += 1;
        if state.taken < self.steps { Step::Ask } else { Step::Last }
    }
}
