//! Random points: uniform in the ball, from labels alone. In a space of a few dimensions they find what lies inside of the
//! ball, away from its surface and from the image, where no gradient leads.

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::norm::Norm;
use crate::attack::geometry::projection::{Breakpoints, into_ball};
use crate::attack::loss::Loss;
use crate::attack::methods::pgd::random_point;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Runs, Sample, Step, Stepper};
use crate::tensor::Shape;
use crate::{Error, Result};

/// Points of the ball, each drawn by itself. What the box cuts off is at its side.
#[derive(Clone, Debug, PartialEq)]
pub struct Uniform {
    /// Points asked about.
    pub queries: usize,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
}

impl Default for Uniform {
    fn default() -> Self {
        Self { queries: 10_000, draws: 1 }
    }
}

/// Points asked about, and memory.
pub struct State {
    asked: usize,
    noise: Vec<f32>,
    scratch: Breakpoints,
}

impl Uniform {
    /// The next point.
    fn draw(state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        let Budget { norm, eps, .. } = sample.budget;
        let sample = Sample { key: sample.key.with(state.asked as u64), ..*sample };
        x.copy_from_slice(sample.clean);
        random_point(&mut state.noise, &sample, x);
        into_ball(norm, eps, sample.clean, x, &mut state.scratch);
        state.asked += 1;
    }
}

impl Stepper for Uniform {
    type State = State;

    fn name(&self) -> &'static str {
        "uniform"
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        ChangedOptions::none().unless(default.queries, "queries", self.queries).unless(
            default.draws,
            "draws",
            self.draws,
        )
    }

    fn needs(&self) -> Needs {
        Needs::Logits(Loss::Margin)
    }

    fn norms(&self) -> &'static [Norm] {
        &Norm::ALL
    }

    fn evaluations(&self) -> usize {
        self.queries
    }

    fn goal(&self) -> Goal {
        Goal::First
    }

    fn runs(&self, _classes: usize) -> Runs {
        Runs { restarts: 1, targets: 0 }
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, _budget: &Budget, _shape: Shape) -> Result<()> {
        match self.queries {
            0 => Err(Error::argument("uniform", "queries 0: at least 1 is needed")),
            _ => Ok(()),
        }
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        let noise = vec![0.0; 2 * (shape.features() + 1)];
        State { asked: 0, noise, scratch: Breakpoints::default() }
    }

    fn start(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        state.asked = 0;
        Self::draw(state, sample, x);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        _answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        if state.asked >= self.queries {
            return Step::End;
        }
        Self::draw(state, sample, x);
        Step::Ask
    }
}
