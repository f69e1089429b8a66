//! Iterated FGSM with momentum, for images that fool other models than the one they were made on: MI-FGSM (Dong et al.
//! 2018, "Boosting adversarial attacks with momentum"), NI-FGSM (Lin et al. 2020, "Nesterov accelerated gradient and
//! scale invariance"), VMI-FGSM (Wang & He 2021, "Enhancing the transferability of adversarial attacks through variance
//! tuning") and DI-FGSM (Xie et al. 2019, "Improving transferability of adversarial examples with input diversity").

mod resize;

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::ascent::{RankBuffer, ascend};
use crate::attack::geometry::norm::{Norm, unit_of};
use crate::attack::geometry::projection::{Breakpoints, into_ball, into_box};
use crate::attack::geometry::random::{below, symmetric};
use crate::attack::loss::Loss;
use crate::attack::methods::momentum::resize::Resize;
use crate::attack::methods::pgd::StepSize;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Runs, Sample, Step, Stepper};
use crate::simd::random::uniform_from_bits;
use crate::tensor::Shape;
use crate::{Error, Result};
use rand::Rng;

/// Ascent along a running sum of normalized gradients. What the attacks of this family differ in are its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct MomentumFgsm {
    /// The name of the attack that the settings make.
    pub name: &'static str,
    /// What is maximized.
    pub loss: Loss,
    /// Steps of the run, which starts from the image itself.
    pub steps: usize,
    /// How far a step goes.
    pub step: StepSize,
    /// How much of the sum stays in a step.
    pub decay: f32,
    /// Whether gradients are taken where the momentum leads (Nesterov).
    pub look_ahead: bool,
    /// Points around, whose mean gradient less the one at the point is added to the next gradient (variance tuning).
    pub neighbors: usize,
    /// How far their pixels lie away at most, in radii.
    pub beta: f32,
    /// How likely an image is shown smaller and shifted (input diversity).
    pub diversity: f32,
    /// The smallest share of the image's side that it is shown at.
    pub resize: f32,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
    /// Which point is returned.
    pub goal: Goal,
}

impl Default for MomentumFgsm {
    /// MI-FGSM: 10 steps of a quarter of the radius, nothing forgotten.
    fn default() -> Self {
        Self {
            name: "mi-fgsm",
            loss: Loss::CrossEntropy,
            steps: 10,
            step: StepSize::OfEps(0.25),
            decay: 1.0,
            look_ahead: false,
            neighbors: 0,
            beta: 1.5,
            diversity: 0.0,
            resize: 0.9,
            draws: 1,
            goal: Goal::First,
        }
    }
}

impl MomentumFgsm {
    /// NI-FGSM.
    pub fn nesterov() -> Self {
        Self { name: "ni-fgsm", look_ahead: true, ..Self::default() }
    }

    /// VMI-FGSM, with five neighbors.
    pub fn variance_tuned() -> Self {
        Self { name: "vmi-fgsm", neighbors: 5, ..Self::default() }
    }

    /// DI-FGSM: every other image is resized; without momentum, as its authors' first form.
    pub fn diverse() -> Self {
        Self { name: "di-fgsm", decay: 0.0, diversity: 0.5, ..Self::default() }
    }
}

/// Where the ascent stands.
pub struct State {
    taken: usize,
    /// Neighbors that were asked about.
    asked: usize,
    point: Vec<f32>,
    sum: Vec<f32>,
    /// The gradient at the point, and the mean of its neighbors'.
    gradient: Vec<f32>,
    around: Vec<f32>,
    /// How much the gradient varies around the last point.
    variance: Vec<f32>,
    resize: Resize,
    ranking: RankBuffer,
    scratch: Breakpoints,
}

impl MomentumFgsm {
    /// What the model is asked about at the state's point.
    fn show(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        x.copy_from_slice(&state.point);
        if self.look_ahead {
            let Budget { norm, eps, .. } = sample.budget;
            let way = self.decay * self.step.value(eps, self.steps);
            match norm {
                Norm::Linf => x.iter_mut().zip(&state.sum).for_each(|(x, sum)| *x += way * sum),
                _ => ascend(norm, way, &state.sum, x, &mut state.ranking),
            }
            into_box(x);
        }
        self.diversify(state, sample, x);
    }

    /// Shows the image smaller and shifted, as often as it is to be.
    fn diversify(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        state.resize.none();
        if self.diversity <= 0.0 {
            return;
        }
        let key = sample.key.named("diversity").with(state.taken as u64).with(state.asked as u64);
        let random = &mut key.generator();
        let Shape { height, width, .. } = sample.shape;
        if uniform_from_bits(random.next_u32()) >= self.diversity {
            return;
        }
        let mut shorter = |side: usize| {
            let least = ((side as f32 * self.resize) as usize).clamp(1, side);
            least + below(random, side - least + 1)
        };
        let size = (shorter(height), shorter(width));
        let shift = (below(random, height - size.0 + 1), below(random, width - size.1 + 1));
        state.resize.set(sample.shape, size, shift);
        state.resize.apply(x);
    }

    /// A point around the state's.
    fn neighbor(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        let key = sample.key.named("neighbor").with(state.taken as u64).with(state.asked as u64);
        let (random, size) = (&mut key.generator(), self.beta * sample.budget.eps);
        for (x, point) in x.iter_mut().zip(&state.point) {
            *x = (point + size * symmetric(random)).clamp(0.0, 1.0);
        }
        state.asked += 1;
        self.diversify(state, sample, x);
    }

    /// Adds a gradient to the sum, divided by its mean magnitude.
    fn add(&self, state: &mut State) {
        let State { gradient, variance, sum, .. } = state;
        gradient.iter_mut().zip(variance.iter()).for_each(|(g, v)| *g += v);
        let unit = unit_of(Norm::Linf.of(gradient));
        let mean = gradient.iter().map(|g| f64::from(g.abs() * unit)).sum::<f64>() as f32
            / gradient.len() as f32;
        let factor = if mean > 0.0 { 1.0 / mean } else { 0.0 };
        for (sum, g) in sum.iter_mut().zip(gradient.iter()) {
            *sum = self.decay * *sum + factor * (g * unit);
        }
    }
}

impl Stepper for MomentumFgsm {
    type State = State;

    fn name(&self) -> &'static str {
        self.name
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = match self.name {
            "ni-fgsm" => Self::nesterov(),
            "vmi-fgsm" => Self::variance_tuned(),
            "di-fgsm" => Self::diverse(),
            _ => Self::default(),
        };
        ChangedOptions::none()
            .unless(default.loss.name(), "loss", self.loss.name())
            .unless(default.steps, "steps", self.steps)
            .unless(default.step.text(default.steps), "step", self.step.text(self.steps))
            .unless(default.decay, "decay", self.decay)
            .unless(default.neighbors, "neighbors", self.neighbors)
            .unless(default.beta, "beta", self.beta)
            .unless(default.diversity, "diversity", self.diversity)
            .unless(default.resize, "resize", self.resize)
            .unless(default.draws, "draws", self.draws)
            .unless(default.goal.name(), "return", self.goal.name())
    }

    fn needs(&self) -> Needs {
        Needs::Gradient(self.loss)
    }

    fn evaluations(&self) -> usize {
        self.steps * (1 + self.neighbors) + 1
    }

    fn goal(&self) -> Goal {
        self.goal
    }

    fn runs(&self, _classes: usize) -> Runs {
        Runs { restarts: 1, targets: usize::from(self.loss.is_targeted()) }
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, _budget: &Budget, _shape: Shape) -> Result<()> {
        if self.steps == 0 {
            return Err(Error::argument(self.name, "steps 0: at least 1 is needed"));
        }
        let step = self.step.value(1.0, 1);
        if !(step > 0.0 && step.is_finite()) {
            return Err(Error::argument(self.name, format!("step {step} is not positive")));
        }
        for (name, value) in [("decay", self.decay), ("beta", self.beta)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::argument(self.name, format!("{name} {value} is not 0 or more")));
            }
        }
        for (name, value) in [("diversity", self.diversity), ("resize", self.resize)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::argument(self.name, format!("{name} {value} is not in 0..=1")));
            }
        }
        Ok(())
    }

    fn option_warnings(&self, budget: &Budget) -> Vec<String> {
        self.step.short_of(self.name, self.steps, budget.eps, budget.eps)
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        let zeros = || vec![0.0; shape.features()];
        State {
            taken: 0,
            asked: 0,
            point: zeros(),
            sum: zeros(),
            gradient: zeros(),
            around: zeros(),
            variance: zeros(),
            resize: Resize::new(shape),
            ranking: RankBuffer::default(),
            scratch: Breakpoints::default(),
        }
    }

    fn start(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        (state.taken, state.asked) = (0, 0);
        state.sum.fill(0.0);
        state.variance.fill(0.0);
        state.point.copy_from_slice(x);
        self.show(state, sample, x);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let gradient = state.resize.transposed(answer.gradient);
        if state.asked == 0 {
            state.gradient.copy_from_slice(gradient);
            state.around.fill(0.0);
        } else {
            let share = 1.0 / self.neighbors as f32;
            state.around.iter_mut().zip(gradient).for_each(|(mean, g)| *mean += share * g);
        }
        if state.asked < self.neighbors {
            self.neighbor(state, sample, x);
            return Step::Ask;
        }
        if self.neighbors > 0 {
            // What the gradient is without the variance, before the last one is added to it.
            let State { around, gradient, .. } = state;
            around.iter_mut().zip(gradient.iter()).for_each(|(mean, g)| *mean -= g);
        }
        self.add(state);
        std::mem::swap(&mut state.variance, &mut state.around);
        let Budget { norm, eps, .. } = sample.budget;
        x.copy_from_slice(&state.point);
        ascend(norm, self.step.value(eps, self.steps), &state.sum, x, &mut state.ranking);
        into_ball(norm, eps, sample.clean, x, &mut state.scratch);
        state.point.copy_from_slice(x);
        (state.taken, state.asked) = (state.taken + 1, 0);
        if state.taken == self.steps {
            return Step::Last;
        }
        self.show(state, sample, x);
        Step::Ask
    }
}
