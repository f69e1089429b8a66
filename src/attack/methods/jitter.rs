//! Jitter: the mean gradient around a point in the place of the one at it, for any attack that follows a gradient. It
//! smooths what is a staircase or shattered at a small scale.

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::norm::Norm;
use crate::attack::geometry::random::symmetric;
use crate::attack::methods::pgd::StepSize;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Runs, Sample, Step, Stepper};
use crate::tensor::Shape;
use crate::{Error, Result};

/// Points around that are averaged over unless told.
pub const JITTERED: usize = 8;

/// An attack that asks about a point, to know whether it fools, and then about points around it, to know where to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Jittered<S> {
    /// The attack.
    pub attack: S,
    /// How far a pixel of the points around lies away at most.
    pub size: StepSize,
    /// Points whose gradients are averaged.
    pub points: usize,
}

/// The inner attack's state, the point, and what was answered about it.
pub struct State<S> {
    inner: S,
    asked: usize,
    point: Vec<f32>,
    gradient: Vec<f32>,
    logits: Vec<f32>,
    margin: f32,
    loss: f32,
    fooled: bool,
    /// Steps taken, for the keys.
    step: u64,
}

impl<S: Stepper> Jittered<S> {
    /// A point around the state's, in the box.
    fn around(&self, state: &State<S::State>, sample: &Sample<'_>, x: &mut [f32]) {
        let key = sample.key.named("jitter").with(state.step).with(state.asked as u64);
        let (random, size) = (&mut key.generator(), self.size.value(sample.budget.eps, 1));
        for (x, point) in x.iter_mut().zip(&state.point) {
            *x = (point + size * symmetric(random)).clamp(0.0, 1.0);
        }
    }
}

impl<S: Stepper> Stepper for Jittered<S> {
    type State = State<S::State>;

    fn name(&self) -> &'static str {
        self.attack.name()
    }

    fn changed_options(&self) -> ChangedOptions {
        // With jitter, `draws` counts the points around, and each is evaluated once.
        let options = self.attack.changed_options().without("draws");
        options.with("jitter", self.size.text(1)).unless(JITTERED, "draws", self.points)
    }

    fn needs(&self) -> Needs {
        self.attack.needs()
    }

    fn norms(&self) -> &'static [Norm] {
        self.attack.norms()
    }

    fn evaluations(&self) -> usize {
        self.attack.evaluations() * (1 + self.points)
    }

    fn goal(&self) -> Goal {
        self.attack.goal()
    }

    fn runs(&self, classes: usize) -> Runs {
        self.attack.runs(classes)
    }

    fn draws(&self) -> usize {
        self.attack.draws()
    }

    fn confidence(&self, logits: &[f32]) -> Option<f32> {
        self.attack.confidence(logits)
    }

    fn validate(&self, budget: &Budget, shape: Shape) -> Result<()> {
        let size = self.size.value(1.0, 1);
        if !(size > 0.0 && size.is_finite()) || self.points == 0 {
            let points = self.points;
            let problem = format!("jitter {size} over {points} points: both must be positive");
            return Err(Error::argument(self.name(), problem));
        }
        self.attack.validate(budget, shape)
    }

    fn option_warnings(&self, budget: &Budget) -> Vec<String> {
        self.attack.option_warnings(budget)
    }

    fn state(&self, shape: Shape, classes: usize) -> Self::State {
        let zeros = || vec![0.0; shape.features()];
        State {
            inner: self.attack.state(shape, classes),
            asked: 0,
            point: zeros(),
            gradient: zeros(),
            logits: vec![0.0; classes],
            margin: 0.0,
            loss: 0.0,
            fooled: false,
            step: 0,
        }
    }

    fn start(&self, state: &mut Self::State, sample: &Sample<'_>, x: &mut [f32]) {
        (state.asked, state.step) = (0, 0);
        self.attack.start(&mut state.inner, sample, x);
    }

    fn step(
        &self,
        state: &mut Self::State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        if state.asked == 0 {
            state.point.copy_from_slice(x);
            state.gradient.fill(0.0);
            state.logits.copy_from_slice(answer.logits);
            (state.margin, state.loss, state.fooled) = (answer.margin, answer.loss, answer.fooled);
        } else {
            let share = 1.0 / self.points as f32;
            let sums = state.gradient.iter_mut().zip(answer.gradient);
            sums.for_each(|(sum, g)| *sum += share * g);
        }
        if state.asked < self.points {
            state.asked += 1;
            self.around(state, sample, x);
            return Step::Ask;
        }
        x.copy_from_slice(&state.point);
        (state.asked, state.step) = (0, state.step + 1);
        let State { inner, logits, gradient, margin, loss, fooled, .. } = state;
        let answer = Feedback { logits, margin: *margin, fooled: *fooled, loss: *loss, gradient };
        self.attack.step(inner, sample, &answer, x)
    }
}
