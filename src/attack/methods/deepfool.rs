//! DeepFool: to the nearest of the linearized boundaries, again and again (Moosavi-Dezfooli et al. 2016, "DeepFool: a
//! simple and accurate method to fool deep neural networks").

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::ascent::sign;
use crate::attack::geometry::norm::Norm;
use crate::attack::geometry::projection::into_box;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Sample, Step, Stepper};
use crate::nn::rounding;
use crate::tensor::Shape;
use crate::{Error, Result};

/// DeepFool in L2 and Linf, over all wrong classes. No radius bounds it unless asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct DeepFool {
    /// Steps at most.
    pub steps: usize,
    /// The sum of all steps is stretched by this share, to end beyond the boundary.
    pub overshoot: f32,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
    /// [`Goal::NearestAnywhere`], or [`Goal::Nearest`] to count only what lies in the ball.
    pub goal: Goal,
}

/// Added to the length of every step, as by the attack's authors: an image on the boundary itself does not fool the model.
const BEYOND: f32 = 1e-4;

impl Default for DeepFool {
    fn default() -> Self {
        Self { steps: 50, overshoot: 0.02, draws: 1, goal: Goal::NearestAnywhere }
    }
}

/// The sum of the steps so far.
pub struct State {
    taken: usize,
    sum: Vec<f32>,
}

impl Stepper for DeepFool {
    type State = State;

    fn name(&self) -> &'static str {
        "deepfool"
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        ChangedOptions::none()
            .unless(default.steps, "steps", self.steps)
            .unless(default.overshoot, "overshoot", self.overshoot)
            .unless(default.draws, "draws", self.draws)
            .flag("bounded", self.goal == Goal::Nearest)
    }

    fn needs(&self) -> Needs {
        Needs::Jacobian
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::Linf, Norm::L2]
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

    fn is_random(&self) -> bool {
        false
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, _budget: &Budget, _shape: Shape) -> Result<()> {
        if self.steps == 0 || !(self.overshoot >= 0.0 && self.overshoot.is_finite()) {
            let (steps, overshoot) = (self.steps, self.overshoot);
            let problem =
                format!("steps {steps}, overshoot {overshoot}: at least 1 and 0 are needed");
            return Err(Error::argument("deepfool", problem));
        }
        Ok(())
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        State { taken: 0, sum: vec![0.0; shape.features()] }
    }

    fn start(&self, state: &mut State, _sample: &Sample<'_>, _x: &mut [f32]) {
        state.taken = 0;
        state.sum.fill(0.0);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        if answer.fooled {
            return Step::End;
        }
        let (norm, features) = (sample.budget.norm, state.sum.len());
        let row = |class: usize| &answer.gradient[class * features..][..features];
        let own = row(sample.label);
        // To where the rival leads by twice of what counts.
        let beyond = 2.0 * rounding(answer.logits);
        let difference =
            |class: usize| (answer.logits[class] - answer.logits[sample.label] - beyond).abs();
        let length = |class: usize| match norm {
            Norm::L2 => Norm::L2.distance(row(class), own),
            _ => Norm::L1.distance(row(class), own),
        };
        let mut nearest = (f32::INFINITY, None);
        for class in (0..answer.logits.len()).filter(|&class| sample.is_rival(class)) {
            let (difference, length) = (difference(class), length(class));
            let distance = difference / length;
            // No step leads to a boundary that the gradient does not see.
            if length > 0.0 && distance < nearest.0 {
                nearest = (distance, Some((class, length)));
            }
        }
        let (distance, Some((class, length))) = nearest else { return Step::End };
        let distance = distance + BEYOND;
        for ((sum, a), b) in state.sum.iter_mut().zip(row(class)).zip(own) {
            *sum += match norm {
                Norm::L2 => distance * (a - b) / length,
                _ => distance * sign(a - b),
            };
        }
        for ((x, sum), c) in x.iter_mut().zip(&state.sum).zip(sample.clean) {
            *x = c + (1.0 + self.overshoot) * sum;
        }
        into_box(x);
        state.taken += 1;
        if state.taken < self.steps { Step::Ask } else { Step::Last }
    }
}
