//! FGSM: one step of the whole radius (Goodfellow et al. 2015, "Explaining and harnessing adversarial examples").

use crate::Result;
use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::ascent::{RankBuffer, ascend};
use crate::attack::geometry::norm::Norm;
use crate::attack::geometry::projection::{Breakpoints, into_ball};
use crate::attack::loss::Loss;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Runs, Sample, Step, Stepper};
use crate::tensor::Shape;

/// `box(x + eps sign(gradient of the loss))`; in L2 and L1 the steepest step of length `eps` inside the box.
#[derive(Clone, Debug, PartialEq)]
pub struct Fgsm {
    /// What is maximized; published: cross-entropy.
    pub loss: Loss,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
    /// Which point is returned.
    pub goal: Goal,
}

impl Default for Fgsm {
    fn default() -> Self {
        Self { loss: Loss::CrossEntropy, draws: 1, goal: Goal::First }
    }
}

impl Stepper for Fgsm {
    type State = (RankBuffer, Breakpoints);

    fn name(&self) -> &'static str {
        "fgsm"
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        ChangedOptions::none()
            .unless(default.loss.name(), "loss", self.loss.name())
            .unless(default.draws, "draws", self.draws)
            .unless(default.goal.name(), "return", self.goal.name())
    }

    fn needs(&self) -> Needs {
        Needs::Gradient(self.loss)
    }

    fn is_random(&self) -> bool {
        false
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn norms(&self) -> &'static [Norm] {
        &Norm::ALL
    }

    fn evaluations(&self) -> usize {
        2
    }

    fn goal(&self) -> Goal {
        self.goal
    }

    fn runs(&self, _classes: usize) -> Runs {
        Runs { restarts: 1, targets: usize::from(self.loss.is_targeted()) }
    }

    fn validate(&self, _budget: &Budget, _shape: Shape) -> Result<()> {
        Ok(())
    }

    fn state(&self, _shape: Shape, _classes: usize) -> Self::State {
        Self::State::default()
    }

    fn start(&self, _state: &mut Self::State, _sample: &Sample<'_>, _x: &mut [f32]) {}

    fn step(
        &self,
        (ranking, breakpoints): &mut Self::State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let Budget { norm, eps, .. } = sample.budget;
        ascend(norm, eps, answer.gradient, x, ranking);
        into_ball(norm, eps, sample.clean, x, breakpoints);
        Step::Last
    }
}
