//! Carlini & Wagner's L-infinity attack (2017, "Toward evaluating the robustness of neural networks", section V-E): only pixels
//! that have gone farther than tau are pulled back, and tau shrinks as long as that succeeds.

use crate::Result;
use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::norm::{Norm, sum_of, unit_of};
use crate::attack::loss::Loss;
use crate::attack::methods::descent::{Adam, check_search, hinge};
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Sample, Step, Stepper};
use crate::nn::rounding;
use crate::tensor::Shape;

/// Minimizes `sum max(|x' - x| - tau, 0) + c max(0, margin + kappa)` over pixels in the box, by Adam. The margin's gradient is
/// divided by its mean size, so c does not depend on how large logits are. No radius bounds it unless asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct CarliniWagnerLinf {
    /// Steps of Adam for one tau and c.
    pub steps: usize,
    /// Pairs of tau and c.
    pub search_steps: usize,
    /// By how much the margin is to be missed.
    pub kappa: f32,
    /// Adam's learning rate.
    pub learning_rate: f32,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
    /// [`Goal::NearestAnywhere`], or [`Goal::Nearest`] to count only what lies in the ball.
    pub goal: Goal,
}

impl Default for CarliniWagnerLinf {
    fn default() -> Self {
        Self {
            steps: 100,
            search_steps: 20,
            kappa: 0.0,
            learning_rate: 0.01,
            draws: 1,
            goal: Goal::NearestAnywhere,
        }
    }
}

/// The first c, and beyond which a tau is given up.
const C: [f32; 2] = [1.0, 64.0];
/// What is left of tau after a success, until a tau has been given up.
const SHRINK: f32 = 0.8;

/// Where the optimization stands.
pub struct State {
    step: usize,
    search: usize,
    c: f32,
    tau: f32,
    /// A tau that was given up, and the nearest success.
    low: f32,
    high: f32,
    adam: Adam,
    nearest: Vec<f32>,
}

impl CarliniWagnerLinf {
    /// The next tau and c, by whether this pair has led nearer; false if there is nothing left to gain.
    fn search(&self, state: &mut State, nearer: bool) -> bool {
        if nearer {
            state.c = C[0];
        } else if state.c < C[1] {
            state.c *= 4.0;
        } else {
            (state.low, state.c) = (state.tau, C[0]);
        }
        state.tau = match (state.high.is_finite(), state.low > 0.0) {
            (true, true) => 0.5 * (state.low + state.high),
            (true, false) => SHRINK * state.high,
            (false, _) => 1.0,
        };
        state.search += 1;
        state.search < self.search_steps && state.high - state.low > 1e-3 * state.high
    }

    /// Adam's step from `x`, and back into the box.
    fn adam(&self, state: &mut State, clean: &[f32], gradient: &[f32], pull: f32, x: &mut [f32]) {
        let unit = unit_of(Norm::Linf.of(gradient));
        let size = sum_of(gradient, gradient, |g, _| (g * unit).abs()) / gradient.len() as f32;
        let scale = if size > 0.0 { pull / size } else { 0.0 };
        state.adam.advance();
        for i in 0..x.len() {
            let moved = x[i] - clean[i];
            let outside = if moved.abs() > state.tau { moved.signum() } else { 0.0 };
            // The loss is the negative margin, to be raised.
            let g = outside - scale * (gradient[i] * unit);
            x[i] = (x[i] - state.adam.fall(i, g, self.learning_rate)).clamp(0.0, 1.0);
        }
    }
}

impl Stepper for CarliniWagnerLinf {
    type State = State;

    fn name(&self) -> &'static str {
        "cw-linf"
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        ChangedOptions::none()
            .unless(default.steps, "steps", self.steps)
            .unless(default.search_steps, "search", self.search_steps)
            .unless(default.kappa, "kappa", self.kappa)
            .unless(default.learning_rate, "rate", self.learning_rate)
            .unless(default.draws, "draws", self.draws)
            .flag("bounded", self.goal == Goal::Nearest)
    }

    fn needs(&self) -> Needs {
        Needs::Gradient(Loss::Margin)
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::Linf]
    }

    fn evaluations(&self) -> usize {
        self.search_steps * (self.steps + 1)
    }

    fn goal(&self) -> Goal {
        self.goal
    }

    fn confidence(&self, logits: &[f32]) -> Option<f32> {
        Some(self.kappa.max(rounding(logits)))
    }

    fn is_random(&self) -> bool {
        false
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, _budget: &Budget, _shape: Shape) -> Result<()> {
        let positive = [("rate", self.learning_rate)];
        check_search("cw-linf", [self.steps, self.search_steps], &positive, self.kappa)
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        State {
            step: 0,
            search: 0,
            c: C[0],
            tau: 1.0,
            low: 0.0,
            high: f32::INFINITY,
            adam: Adam::new(shape.features()),
            nearest: vec![0.0; shape.features()],
        }
    }

    fn start(&self, state: &mut State, sample: &Sample<'_>, _x: &mut [f32]) {
        (state.step, state.search, state.c, state.tau) = (0, 0, C[0], 1.0);
        (state.low, state.high) = (0.0, f32::INFINITY);
        state.adam.restart();
        state.nearest.copy_from_slice(sample.clean);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let distance = Norm::Linf.distance(x, sample.clean);
        let nearer = answer.fooled && distance < state.high;
        if nearer {
            state.high = distance;
            state.nearest.copy_from_slice(x);
        }
        // Within tau there is no more to gain for this pair.
        let done = nearer && distance <= state.tau;
        if done || state.step >= self.steps {
            if !self.search(state, done) {
                return Step::End;
            }
            // On from the nearest success.
            state.step = 0;
            x.copy_from_slice(&state.nearest);
            state.adam.restart();
            return Step::Ask;
        }
        let hinge = hinge(self.kappa, answer);
        let pull = if hinge > 0.0 { state.c } else { 0.0 };
        self.adam(state, sample.clean, answer.gradient, pull, x);
        state.step += 1;
        Step::Ask
    }
}
