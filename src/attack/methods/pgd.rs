//! PGD: steps along the gradient, each followed by a projection, from random points of the ball (Madry et al. 2018,
//! "Toward deep learning models resistant to adversarial attacks"). BIM and EOT-PGD are settings of it.

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::ascent::{RankBuffer, ascend};
use crate::attack::geometry::norm::Norm;
use crate::attack::geometry::projection::{Breakpoints, into_ball};
use crate::attack::geometry::random::{
    add_to_sphere, below, normals, sign as random_sign, symmetric,
};
use crate::attack::loss::Loss;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Runs, Sample, Step, Stepper};
use crate::nn::toward_gray;
use crate::simd::random::uniform_from_bits;
use crate::tensor::Shape;
use crate::wording::{significant, written};
use crate::{Error, Result};
use rand::Rng;
use std::str::FromStr;

/// Projected gradient ascent.
#[derive(Clone, Debug, PartialEq)]
pub struct Pgd {
    /// `pgd`, or the name of the attack that these settings make.
    pub name: &'static str,
    /// What is maximized.
    pub loss: Loss,
    /// Steps of a run.
    pub steps: usize,
    /// How far a step goes.
    pub step: StepSize,
    /// Where a run starts.
    pub start: Start,
    /// Independent runs.
    pub restarts: usize,
    /// Gradients averaged for one step (expectation over transformation, Athalye et al. 2018): for random models.
    pub draws: usize,
    /// Which point is returned.
    pub goal: Goal,
}

/// Where a run starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The image.
    Clean,
    /// A random point of the ball, uniform in volume.
    Random,
    /// The corner of the ball that is nearest to gray: bright pixels as dark as can be, dark ones as bright. A network
    /// that thresholds pixels has no gradient where they are black or white, so that most of what a random start finds
    /// is flat. In Linf alone.
    Gray,
    /// A random corner of the ball, in Linf alone.
    Corner,
    /// A point in a random direction, at a distance that is uniform from 0 to the radius, in L2 alone: in many dimensions
    /// nearly all of the ball's volume is far from the image, where short attacks waste their steps.
    Radial,
}

impl Start {
    /// As options have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Random => "random",
            Self::Gray => "gray",
            Self::Corner => "corner",
            Self::Radial => "radial",
        }
    }

    /// Whether it draws random numbers.
    pub fn is_random(self) -> bool {
        matches!(self, Self::Random | Self::Corner | Self::Radial)
    }

    /// What keeps a ball of this norm from having such a point.
    fn missing_in(self, norm: Norm) -> Option<String> {
        let what = match (self, norm) {
            (Self::Clean | Self::Random, _) => return None,
            (Self::Gray | Self::Corner, Norm::Linf) | (Self::Radial, Norm::L2) => return None,
            (Self::Gray | Self::Corner, _) => {
                format!("is a corner of the linf ball; a ball in {norm} has none")
            }
            (Self::Radial, _) => format!("is a distance in l2, and the norm is {norm}"),
        };
        Some(format!("start={} {what}: give start=random or clean", self.name()))
    }
}

impl FromStr for Start {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "clean" => Self::Clean,
            "random" | "uniform" => Self::Random,
            "gray" | "grey" => Self::Gray,
            "corner" => Self::Corner,
            "radial" => Self::Radial,
            _ => {
                let problem = format!("`{name}` is none of random, clean, gray, corner and radial");
                return Err(Error::argument("start", problem));
            }
        })
    }
}

/// How far a step goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepSize {
    /// In units of the norm.
    Absolute(f32),
    /// In multiples of the radius.
    OfEps(f32),
    /// So far that all steps together go this multiple of the radius.
    Reach(f32),
}

impl StepSize {
    pub(super) fn value(self, eps: f32, steps: usize) -> f32 {
        match self {
            Self::Absolute(step) => step,
            Self::OfEps(factor) => factor * eps,
            Self::Reach(factor) => factor * eps / steps.max(1) as f32,
        }
    }
}

impl StepSize {
    /// As options have it: a length, or a multiple of `eps`. Of steps that together go as far as those of PGD do by
    /// default, there is nothing to say.
    pub(super) fn text(self, steps: usize) -> String {
        match self {
            Self::Absolute(step) => written(step),
            Self::OfEps(factor) => format!("{factor}eps"),
            Self::Reach(2.5) => "default".into(),
            Self::Reach(factor) => format!("{}eps", factor / steps.max(1) as f32),
        }
    }

    /// What is wrong if all steps together do not go as far as is needed.
    pub(super) fn short_of(self, name: &str, steps: usize, eps: f32, needed: f32) -> Vec<String> {
        let step = self.value(eps, steps);
        let reach = step * steps as f32;
        if reach >= needed * (1.0 - 1e-5) {
            return Vec::new();
        }
        let [step, reach, needed, eps] = [step, reach, needed, eps].map(|x| significant(x.into()));
        vec![format!(
            "{name}: {steps} steps of {step} reach {reach}, {needed} is needed to cross the ball of eps \
             {eps}: a larger eps will not make this attack stronger; take more or larger steps"
        )]
    }
}

impl Default for Pgd {
    /// 40 steps that together go 2.5 radii, once, from a random point.
    fn default() -> Self {
        Self {
            name: "pgd",
            loss: Loss::CrossEntropy,
            steps: 40,
            step: StepSize::Reach(2.5),
            start: Start::Random,
            restarts: 1,
            draws: 1,
            goal: Goal::First,
        }
    }
}

/// BIM, the iterated FGSM from the image itself (Kurakin et al. 2017, "Adversarial examples in the physical world"): 10 steps
/// of a fifth of the radius, no random start.
pub fn bim() -> Pgd {
    Pgd {
        name: "bim",
        steps: 10,
        step: StepSize::OfEps(0.2),
        start: Start::Clean,
        ..Pgd::default()
    }
}

/// EOT-PGD, PGD on the expected loss of a model that draws random numbers (Athalye et al. 2018, "Obfuscated gradients give a
/// false sense of security", section 4.2; Liu et al. 2019, "Adv-BNN"): two draws a step. On a deterministic model it takes the
/// same steps as PGD.
pub fn eot_pgd() -> Pgd {
    Pgd { name: "eot-pgd", draws: 2, ..Pgd::default() }
}

/// Steps left, and memory.
pub struct State {
    taken: usize,
    noise: Vec<f32>,
    ranking: RankBuffer,
    scratch: Breakpoints,
}

impl Stepper for Pgd {
    type State = State;

    fn name(&self) -> &'static str {
        self.name
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = match self.name {
            "bim" => bim(),
            "eot-pgd" => eot_pgd(),
            _ => Self::default(),
        };
        ChangedOptions::none()
            .unless(default.loss.name(), "loss", self.loss.name())
            .unless(default.steps, "steps", self.steps)
            .unless(default.step.text(default.steps), "step", self.step.text(self.steps))
            .unless(default.start.name(), "start", self.start.name())
            .unless(default.restarts, "restarts", self.restarts)
            .unless(default.draws, "draws", self.draws)
            .unless(default.goal.name(), "return", self.goal.name())
    }

    fn needs(&self) -> Needs {
        Needs::Gradient(self.loss)
    }

    fn norms(&self) -> &'static [Norm] {
        &Norm::ALL
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

    fn is_random(&self) -> bool {
        self.start.is_random()
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, budget: &Budget, _shape: Shape) -> Result<()> {
        if self.steps == 0 || self.restarts == 0 {
            let (steps, restarts) = (self.steps, self.restarts);
            let problem =
                format!("steps {steps}, restarts {restarts}: at least 1 of each is needed");
            return Err(Error::argument(self.name, problem));
        }
        if self.restarts > 1 && !self.start.is_random() && self.draws == 1 {
            let from =
                if self.start == Start::Gray { "the same corner" } else { "the image itself" };
            let problem = format!(
                "{} restarts from {from} take the same steps: give start=random, or 1",
                self.restarts
            );
            return Err(Error::argument(self.name, problem));
        }
        if let Some(problem) = self.start.missing_in(budget.norm) {
            return Err(Error::argument(self.name, problem));
        }
        let step = self.step.value(1.0, 1);
        if !(step > 0.0 && step.is_finite()) {
            return Err(Error::argument(self.name, format!("step {step} is not positive")));
        }
        Ok(())
    }

    fn option_warnings(&self, budget: &Budget) -> Vec<String> {
        // Any other start may lie at the far side of the ball.
        let needed = if self.start == Start::Clean { budget.eps } else { 2.0 * budget.eps };
        self.step.short_of(self.name, self.steps, budget.eps, needed)
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        State {
            taken: 0,
            noise: vec![0.0; 2 * (shape.features() + 1)],
            ranking: RankBuffer::default(),
            scratch: Breakpoints::default(),
        }
    }

    fn start(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        state.taken = 0;
        let (eps, random) = (sample.budget.eps, &mut sample.key.generator());
        match self.start {
            Start::Clean => return,
            Start::Random => random_point(&mut state.noise, sample, x),
            Start::Gray => x.iter_mut().for_each(|x| *x += toward_gray(*x) * eps),
            Start::Corner => x.iter_mut().for_each(|x| *x += random_sign(random) * eps),
            Start::Radial => {
                let distance = eps * uniform_from_bits(random.next_u32());
                let step = &mut state.noise[..x.len()];
                add_to_sphere(Norm::L2, distance, sample.isa, random, step, x);
            }
        }
        into_ball(sample.budget.norm, eps, sample.clean, x, &mut state.scratch);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let Budget { norm, eps, .. } = sample.budget;
        ascend(norm, self.step.value(eps, self.steps), answer.gradient, x, &mut state.ranking);
        into_ball(norm, eps, sample.clean, x, &mut state.scratch);
        state.taken += 1;
        if state.taken < self.steps { Step::Ask } else { Step::Last }
    }
}

/// Moves `x` to a random point of the ball around it, uniform in volume; what lies outside of the box is to be cut off.
/// `noise` is memory for twice as many numbers as pixels, and two.
pub(super) fn random_point(noise: &mut [f32], sample: &Sample<'_>, x: &mut [f32]) {
    let (eps, random) = (sample.budget.eps, &mut sample.key.generator());
    match sample.budget.norm {
        Norm::Linf => x.iter_mut().for_each(|x| *x += eps * symmetric(random)),
        // A point uniform in the ball of d dimensions is one uniform on the sphere of d + 2, cut to d coordinates.
        Norm::L2 => {
            let noise = &mut noise[..x.len() + 2];
            normals(sample.isa, random, noise);
            let factor = eps / Norm::L2.of(noise);
            x.iter_mut().zip(noise).for_each(|(x, noise)| *x += factor * *noise);
        }
        // Any value at pixels anywhere.
        Norm::L0 => {
            for _ in 0..eps as usize {
                x[below(random, sample.clean.len())] = 0.5 + 0.5 * symmetric(random);
            }
        }
        // d + 1 numbers of the exponential distribution, divided by their sum, are uniform in the simplex; without
        // the last one and with random signs, in the ball. Half the square of two normal numbers is such a number.
        Norm::L1 => {
            normals(sample.isa, random, noise);
            let factor = eps / noise.iter().map(|noise| noise * noise).sum::<f32>();
            for (x, noise) in x.iter_mut().zip(noise.chunks(2)) {
                *x += random_sign(random) * factor * (noise[0] * noise[0] + noise[1] * noise[1]);
            }
        }
    }
}
