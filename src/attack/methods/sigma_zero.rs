//! sigma-zero: the fewest pixels, by descent on a smooth count of them (Cinà et al. 2025, "sigma-zero: gradient-based
//! optimization of l0-norm adversarial examples").

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::norm::{Norm, unit_of};
use crate::attack::geometry::random::symmetric;
use crate::attack::loss::Loss;
use crate::attack::methods::descent::{Adam, cosine};
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Sample, Step, Stepper};
use crate::nn::rounding;
use crate::tensor::Shape;
use crate::{Error, Result};

/// Minimizes `max(0, margin) + mean d^2 / (d^2 + sigma)` over the changes d of pixels by Adam, and after each step takes back
/// the changes below a threshold, which rises while the image fools and falls while it does not. No radius bounds it
/// unless asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct SigmaZero {
    /// Steps.
    pub steps: usize,
    /// Adam's first learning rate; the last is a tenth.
    pub learning_rate: f32,
    /// The first threshold.
    pub threshold: f32,
    /// By how much it moves in a step.
    pub threshold_step: f32,
    /// How near to zero a change counts as a whole pixel.
    pub sigma: f32,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
    /// [`Goal::NearestAnywhere`], or [`Goal::Nearest`] to count only what lies in the ball.
    pub goal: Goal,
}

impl Default for SigmaZero {
    /// As its authors run it.
    fn default() -> Self {
        Self {
            steps: 1000,
            learning_rate: 1.0,
            threshold: 0.3,
            threshold_step: 0.01,
            sigma: 1e-3,
            draws: 1,
            goal: Goal::NearestAnywhere,
        }
    }
}
/// Where the descent stands.
pub struct State {
    taken: usize,
    threshold: f32,
    adam: Adam,
    gradient: Vec<f32>,
}

impl SigmaZero {
    /// The gradient of the objective at `x`; the margin's sign is that of the loss turned round.
    fn gradient(&self, state: &mut State, sample: &Sample<'_>, answer: &Feedback<'_>, x: &[f32]) {
        // Where the label still wins, or loses by no more than what counts.
        let counts = answer.margin + 2.0 * rounding(answer.logits) > 0.0;
        let zero = answer.gradient.iter().all(|&g| g == 0.0);
        let random = &mut sample.key.with(state.taken as u64).generator();
        let unit = unit_of(Norm::Linf.of(answer.gradient));
        let share = 1.0 / x.len() as f32;
        for (i, g) in state.gradient.iter_mut().enumerate() {
            let d = x[i] - sample.clean[i];
            let root = d * d + self.sigma;
            let of_count = 2.0 * d * self.sigma / (root * root) * share;
            let of_margin = match (counts, zero) {
                (false, _) => 0.0,
                // Without a gradient any direction is as good as another.
                (true, true) => symmetric(random),
                // The scale of logits plays no part: the margin's largest is 1.
                (true, false) => -(answer.gradient[i] * unit),
            };
            *g = of_margin + of_count;
        }
        let largest = Norm::Linf.of(&state.gradient);
        if largest > 0.0 {
            state.gradient.iter_mut().for_each(|g| *g /= largest);
        }
    }
}

impl Stepper for SigmaZero {
    type State = State;

    fn name(&self) -> &'static str {
        "sigma-zero"
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        ChangedOptions::none()
            .unless(default.steps, "steps", self.steps)
            .unless(default.learning_rate, "rate", self.learning_rate)
            .unless(default.threshold, "threshold", self.threshold)
            .unless(default.draws, "draws", self.draws)
            .flag("bounded", self.goal == Goal::Nearest)
    }

    fn needs(&self) -> Needs {
        Needs::Gradient(Loss::Margin)
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L0]
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
        let positive = |x: f32| x > 0.0 && x.is_finite();
        let numbers = [self.learning_rate, self.threshold_step, self.sigma];
        if self.steps == 0 || !numbers.into_iter().all(positive) {
            let steps = self.steps;
            let problem = format!(
                "steps {steps}, rate, threshold-step and sigma {numbers:?}: all must be positive"
            );
            return Err(Error::argument("sigma-zero", problem));
        }
        if !(0.0..1.0).contains(&self.threshold) {
            let problem = format!("threshold {} is not in 0..1", self.threshold);
            return Err(Error::argument("sigma-zero", problem));
        }
        Ok(())
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        let features = shape.features();
        State { taken: 0, threshold: 0.0, adam: Adam::new(features), gradient: vec![0.0; features] }
    }

    fn start(&self, state: &mut State, _sample: &Sample<'_>, _x: &mut [f32]) {
        (state.taken, state.threshold) = (0, self.threshold);
        state.adam.restart();
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let rate = cosine(self.learning_rate, 0.1 * self.learning_rate, state.taken, self.steps);
        let way = self.threshold_step * rate / self.learning_rate;
        state.threshold += if answer.fooled { way } else { -way };
        state.threshold = state.threshold.clamp(0.0, 1.0);
        self.gradient(state, sample, answer, x);
        state.adam.advance();
        for (i, x) in x.iter_mut().enumerate() {
            let new = (*x - state.adam.fall(i, state.gradient[i], rate)).clamp(0.0, 1.0);
            // What has hardly moved has not.
            let kept = (new - sample.clean[i]).abs() >= state.threshold;
            *x = if kept { new } else { sample.clean[i] };
        }
        state.taken += 1;
        if state.taken < self.steps { Step::Ask } else { Step::Last }
    }
}
