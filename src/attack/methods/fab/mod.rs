//! FAB: walks along the decision boundary toward the clean image (Croce & Hein 2020, "Minimally distorted adversarial
//! examples with a fast adaptive boundary attack"). FAB-T looks at one wrong class a run.

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::hyperplane::{SortBuffer, onto_hyperplane};
use crate::attack::geometry::norm::Norm;
use crate::attack::geometry::projection::into_box;
use crate::attack::geometry::random::add_to_sphere;
use crate::attack::loss::Loss;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Runs, Sample, Step, Stepper};
use crate::nn::rounding;
use crate::tensor::Shape;
use crate::{Error, Result};

/// The FAB attack in Linf, L2 and L1: looks for the *nearest* misclassified point; the radius only decides about
/// success and where restarts begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Fab {
    /// Steps of a run.
    pub steps: usize,
    /// Independent runs (of each target); the first starts at the clean image.
    pub restarts: usize,
    /// Wrong classes that FAB-T goes to, the likeliest first, a run each. 0: FAB, which goes to the nearest of all
    /// and takes as many backward passes a step as there are classes.
    pub targets: usize,
    /// The largest weight of the step from the clean image.
    pub alpha_max: f32,
    /// How far beyond the boundary a step goes.
    pub eta: f32,
    /// How much of the way from the clean image is kept after a success.
    pub beta: f32,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
    /// [`Goal::Nearest`] to go on after a success, for the smallest perturbation; [`Goal::First`] to stop.
    pub goal: Goal,
}

impl Default for Fab {
    /// FAB-T as AutoAttack runs it, but for the goal, which is the nearest point.
    fn default() -> Self {
        Self {
            steps: 100,
            restarts: 1,
            targets: 9,
            alpha_max: 0.1,
            eta: 1.05,
            beta: 0.9,
            draws: 1,
            goal: Goal::Nearest,
        }
    }
}

/// Where the walk stands.
pub struct State {
    taken: usize,
    /// The point was moved back after a success (or has just been drawn): the next step starts there, come what may.
    settled: bool,
    normal: Vec<f32>,
    from_point: Vec<f32>,
    from_clean: Vec<f32>,
    order: SortBuffer,
}

impl Fab {
    /// Writes the normal of the nearest linearized boundary; returns the difference of logits there.
    fn nearest_boundary(
        &self,
        normal: &mut [f32],
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
    ) -> f32 {
        if self.targets > 0 {
            normal.copy_from_slice(answer.gradient);
            return answer.loss;
        }
        let own = &answer.gradient[sample.label * normal.len()..][..normal.len()];
        let (mut nearest, mut class) = (f32::INFINITY, sample.label);
        let difference = |class: usize| answer.logits[class] - answer.logits[sample.label];
        let rows = || answer.gradient.chunks(normal.len()).enumerate();
        for (i, row) in rows().filter(|&(i, _)| sample.is_rival(i)) {
            let length = match sample.budget.norm {
                Norm::Linf => Norm::L1.distance(row, own),
                Norm::L2 => Norm::L2.distance(row, own),
                Norm::L1 | Norm::L0 => Norm::Linf.distance(row, own),
            };
            // A boundary that the gradient does not see is infinitely far away.
            let distance = if length > 0.0 { difference(i).abs() / length } else { f32::INFINITY };
            if distance < nearest || class == sample.label {
                (nearest, class) = (distance, i);
            }
        }
        let row = &answer.gradient[class * normal.len()..][..normal.len()];
        normal.iter_mut().zip(row).zip(own).for_each(|((n, a), b)| *n = a - b);
        difference(class)
    }
}

impl Stepper for Fab {
    type State = State;

    fn name(&self) -> &'static str {
        if self.targets > 0 { "fab-t" } else { "fab" }
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        let targets = if self.targets > 0 { self.targets } else { default.targets };
        ChangedOptions::none()
            .unless(default.steps, "steps", self.steps)
            .unless(default.restarts, "restarts", self.restarts)
            .unless(default.targets, "targets", targets)
            .unless(default.draws, "draws", self.draws)
            .unless(default.goal.name(), "return", self.goal.name())
    }

    fn needs(&self) -> Needs {
        if self.targets > 0 { Needs::Gradient(Loss::Difference) } else { Needs::Jacobian }
    }

    // After a step that fools comes one back, which is asked about too: on the way along the boundary, after every other one.
    fn evaluations(&self) -> usize {
        self.steps + self.steps / 2 + 1
    }

    // The projections onto the boundary sort all pixels.
    fn own_work(&self) -> f64 {
        0.4
    }

    fn goal(&self) -> Goal {
        self.goal
    }

    fn runs(&self, _classes: usize) -> Runs {
        Runs { restarts: self.restarts, targets: self.targets }
    }

    fn confidence(&self, logits: &[f32]) -> Option<f32> {
        Some(rounding(logits))
    }

    fn is_random(&self) -> bool {
        self.restarts > 1
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, _budget: &Budget, _shape: Shape) -> Result<()> {
        if self.steps == 0 || self.restarts == 0 {
            let (steps, restarts) = (self.steps, self.restarts);
            let problem = format!("steps {steps}, restarts {restarts}: at least 1 of each");
            return Err(Error::argument("fab", problem));
        }
        let shares = [("alpha", self.alpha_max), ("beta", self.beta)];
        if let Some((name, value)) = shares.iter().find(|(_, v)| !(0.0..=1.0).contains(v)) {
            return Err(Error::argument("fab", format!("{name} {value} is not in 0..=1")));
        }
        if !(self.eta >= 1.0 && self.eta.is_finite()) {
            return Err(Error::argument("fab", format!("eta {} is not at least 1", self.eta)));
        }
        Ok(())
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        let zeros = || vec![0.0; shape.features()];
        State {
            taken: 0,
            settled: true,
            normal: zeros(),
            from_point: zeros(),
            from_clean: zeros(),
            order: SortBuffer::default(),
        }
    }

    fn start(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        (state.taken, state.settled) = (0, true);
        if sample.restart > 0 {
            let Budget { norm, eps, .. } = sample.budget;
            add_to_sphere(
                norm,
                0.5 * eps,
                sample.isa,
                &mut sample.key.generator(),
                &mut state.normal,
                x,
            );
            into_box(x);
        }
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let (norm, clean) = (sample.budget.norm, sample.clean);
        if answer.fooled && !state.settled {
            x.iter_mut().zip(clean).for_each(|(x, &c)| *x = c + self.beta * (*x - c));
            state.settled = true;
            return Step::Ask;
        }
        // The plane on which the rival leads by twice of what counts: a walk along the boundary itself would end on either
        // side of it, by rounding.
        let beyond = 2.0 * rounding(answer.logits);
        let gap = self.nearest_boundary(&mut state.normal, sample, answer) - beyond;
        // The same plane, seen from the clean image.
        let (normal, order) = (&state.normal, &mut state.order);
        let between = clean.iter().zip(x.iter()).zip(normal);
        let back: f64 = between.map(|((c, x), w)| f64::from(c - x) * f64::from(*w)).sum();
        let clean_gap = (f64::from(gap) + back) as f32;
        onto_hyperplane(sample.isa, norm, x, normal, gap, &mut state.from_point, order);
        onto_hyperplane(sample.isa, norm, clean, normal, clean_gap, &mut state.from_clean, order);
        let [a, b] = [&state.from_point, &state.from_clean].map(|d| norm.of(d).max(1e-8));
        let alpha = (a / (a + b)).min(self.alpha_max);
        let steps = state.from_point.iter().zip(&state.from_clean);
        for ((x, &c), (d1, d2)) in x.iter_mut().zip(clean).zip(steps) {
            *x = (1.0 - alpha) * (*x + self.eta * d1) + alpha * (c + self.eta * d2);
        }
        into_box(x);
        state.settled = false;
        state.taken += 1;
        if state.taken < self.steps { Step::Ask } else { Step::Last }
    }
}
