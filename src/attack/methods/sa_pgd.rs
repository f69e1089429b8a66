//! SA-PGD: sign-like steps of momentum divided by the root of a running square, for gradients that come and go as those
//! of spiking networks do (Wang et al. 2025, "Towards reliable evaluation of adversarial robustness for spiking neural
//! networks", arXiv 2512.22522).

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::norm::{Norm, unit_of};
use crate::attack::geometry::projection::{Breakpoints, into_ball};
use crate::attack::geometry::random::{add_to_sphere, sign as random_sign};
use crate::attack::loss::Loss;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Runs, Sample, Step, Stepper};
use crate::tensor::Shape;
use crate::{Error, Result};

/// Stable adaptive PGD in Linf. The step starts at the whole radius and is halved at fixed iterations.
#[derive(Clone, Debug, PartialEq)]
pub struct SaPgd {
    /// What is maximized.
    pub loss: Loss,
    /// Steps of a run.
    pub steps: usize,
    /// Independent starts.
    pub restarts: usize,
    /// Evaluations averaged for one step, for models that draw random numbers.
    pub draws: usize,
    /// Which point is returned.
    pub goal: Goal,
}

impl Default for SaPgd {
    fn default() -> Self {
        Self { loss: Loss::CrossEntropy, steps: 100, restarts: 1, draws: 1, goal: Goal::First }
    }
}

/// How much of the mean and of the mean square stays.
const DECAY: [f32; 2] = [0.5, 0.8];

/// Where the ascent stands.
pub struct State {
    step: usize,
    eta: f32,
    /// Steps between two halvings, and since the last one.
    window: usize,
    since: usize,
    /// Whether the moments hold a gradient yet.
    warm: bool,
    mean: Vec<f32>,
    square: Vec<f32>,
    scratch: Breakpoints,
}

impl SaPgd {
    /// A share of the steps, at least one.
    fn share(&self, percent: usize) -> usize {
        (percent * self.steps / 100).max(1)
    }
}

impl State {
    /// Takes in a gradient. Its size plays no part: it is divided by its own means.
    fn take(&mut self, gradient: &[f32]) {
        let unit = unit_of(Norm::Linf.of(gradient));
        let count = gradient.len() as f32;
        let sum =
            |f: &dyn Fn(f32) -> f32| gradient.iter().map(|&g| f64::from(f(g * unit))).sum::<f64>();
        let size = sum(&f32::abs) as f32 / count;
        let power = sum(&|g| g * g) as f32 / count;
        let [keep_mean, keep_square] = if self.warm { DECAY } else { [0.0; 2] };
        self.warm = true;
        for ((mean, square), &g) in self.mean.iter_mut().zip(&mut self.square).zip(gradient) {
            let g = g * unit;
            *mean = keep_mean * *mean + g / size;
            *square = keep_square * *square + g * g / power;
        }
    }
}

impl Stepper for SaPgd {
    type State = State;

    fn name(&self) -> &'static str {
        "sa-pgd"
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        ChangedOptions::none()
            .unless(default.loss.name(), "loss", self.loss.name())
            .unless(default.steps, "steps", self.steps)
            .unless(default.restarts, "restarts", self.restarts)
            .unless(default.draws, "draws", self.draws)
            .unless(default.goal.name(), "return", self.goal.name())
    }

    fn needs(&self) -> Needs {
        Needs::Gradient(self.loss)
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::Linf]
    }

    fn evaluations(&self) -> usize {
        self.steps + 1
    }

    fn goal(&self) -> Goal {
        self.goal
    }

    fn runs(&self, _classes: usize) -> Runs {
        Runs { restarts: self.restarts, targets: usize::from(self.loss.is_targeted()) }
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, _budget: &Budget, _shape: Shape) -> Result<()> {
        if self.steps == 0 || self.restarts == 0 {
            let (steps, restarts) = (self.steps, self.restarts);
            let problem =
                format!("steps {steps}, restarts {restarts}: at least 1 of each is needed");
            return Err(Error::argument("sa-pgd", problem));
        }
        Ok(())
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        let zeros = || vec![0.0; shape.features()];
        State {
            step: 0,
            eta: 0.0,
            window: 1,
            since: 0,
            warm: false,
            mean: zeros(),
            square: zeros(),
            scratch: Breakpoints::default(),
        }
    }

    fn start(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        let Budget { norm, eps, .. } = sample.budget;
        (state.step, state.since, state.warm) = (0, 0, false);
        (state.eta, state.window) = (eps, self.share(22));
        add_to_sphere(norm, eps, sample.isa, &mut sample.key.generator(), &mut state.mean, x);
        state.mean.fill(0.0);
        state.square.fill(0.0);
        into_ball(norm, eps, sample.clean, x, &mut state.scratch);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let eta = state.eta;
        if answer.gradient.iter().all(|&g| g == 0.0) {
            // Divided by its own size this would be no number. Any direction is as good as another, so one is drawn.
            let random = &mut sample.key.named("escape").with(state.step as u64).generator();
            x.iter_mut().for_each(|x| *x += eta * random_sign(random));
        } else {
            state.take(answer.gradient);
            for ((x, mean), square) in x.iter_mut().zip(&state.mean).zip(&state.square) {
                *x += (eta * mean / (square.sqrt() + 1e-12)).clamp(-eta, eta);
            }
        }
        let Budget { norm, eps, .. } = sample.budget;
        into_ball(norm, eps, sample.clean, x, &mut state.scratch);
        state.step += 1;
        state.since += 1;
        if state.since == state.window {
            state.eta *= 0.5;
            state.since = 0;
            state.window = state.window.saturating_sub(self.share(3)).max(self.share(6));
        }
        if state.step < self.steps { Step::Ask } else { Step::Last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;
    use crate::simd::random::Key;

    fn run(
        gradient: &[f32; 4],
        steps: usize,
        mut see: impl FnMut(usize, f32, &[f32; 4], &[f32; 4]),
    ) {
        let (shape, clean) = (Shape::new(1, 2, 2), [0.5; 4]);
        let attack = SaPgd { steps, ..SaPgd::default() };
        let budget = Budget { norm: Norm::Linf, eps: 0.25, seed: 0 };
        let key = Key::new(1);
        let isa = Isa::available()[0];
        let sample = Sample {
            clean: &clean,
            shape,
            label: 0,
            target: 0,
            targeted: false,
            restart: 0,
            budget,
            key,
            isa,
        };
        let mut state = attack.state(shape, 2);
        let mut x = clean;
        attack.start(&mut state, &sample, &mut x);
        assert!((Norm::Linf.distance(&x, &clean) - 0.25).abs() < 1e-6);
        for step in 0..steps {
            let (before, eta) = (x, state.eta);
            let answer =
                Feedback { logits: &[1.0, 0.0], margin: 1.0, fooled: false, loss: 0.0, gradient };
            attack.step(&mut state, &sample, &answer, &mut x);
            see(step, eta, &before, &x);
        }
    }

    #[test]
    fn the_step_is_halved_when_the_authors_halve_it() {
        let (mut halved, mut last) = (Vec::new(), 0.25);
        run(&[1.0, -2.0, 0.5, 0.0], 100, |step, eta, _, _| {
            if eta < last {
                (last, _) = (eta, halved.push(step));
            }
        });
        // And once more after the last step, at 99.
        assert_eq!(halved, [22, 41, 57, 70, 80, 87, 93, 99]);
        assert_eq!(last, 0.25 / 256.0);
    }

    #[test]
    fn the_first_step_is_a_sign_step_of_the_whole_radius() {
        run(&[1e-30, -1e-30, 1e-30, 0.0], 1, |_, _, before, after| {
            // From a random point of the ball, to its far side at most.
            for (i, step) in [0.25, -0.25, 0.25].into_iter().enumerate() {
                let expected = (before[i] + step).clamp(0.25, 0.75);
                assert!((after[i] - expected).abs() < 1e-6, "{before:?} {after:?}");
            }
            assert_eq!(before[3], after[3]);
        });
    }

    #[test]
    fn a_gradient_of_zero_draws_a_step() {
        let mut moved = 0;
        run(&[0.0; 4], 20, |_, eta, before, after| {
            assert!(after.iter().all(|x| (0.25..=0.75).contains(x)));
            let steps = before.iter().zip(after).map(|(a, b)| (a - b).abs());
            assert!(steps.clone().all(|step| step <= eta * 1.0001));
            moved += steps.filter(|&step| step > 0.0).count();
        });
        assert!(moved > 30, "{moved}");
    }
}
