//! HopSkipJump: walks along the boundary by predicted classes alone, along normals that are estimated from random points
//! around (Chen, Jordan & Wainwright 2020, "HopSkipJumpAttack: a query-efficient decision-based attack").

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::ascent::sign;
use crate::attack::geometry::norm::Norm;
use crate::attack::geometry::projection::into_box;
use crate::attack::geometry::random::{normals, symmetric};
use crate::attack::loss::Loss;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Sample, Step, Stepper};
use crate::simd::random::uniform_from_bits;
use crate::tensor::Shape;
use crate::{Error, Result};
use rand::Rng;

/// HopSkipJump in Linf and L2.
#[derive(Clone, Debug, PartialEq)]
pub struct HopSkipJump {
    /// Steps along the boundary.
    pub steps: usize,
    /// Points around that the first normal is estimated from; at step j it is the root of j times as many.
    pub probes: usize,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
    /// [`Goal::First`], or [`Goal::NearestAnywhere`] to go on for the smallest perturbation.
    pub goal: Goal,
}

impl Default for HopSkipJump {
    fn default() -> Self {
        Self { steps: 40, probes: 100, draws: 1, goal: Goal::First }
    }
}

/// Random images that may be tried for one that fools.
const STARTS: usize = 100;
/// Points around at most.
const MOST_PROBES: usize = 10_000;
/// Images that a bisection and the search for the length of a step ask about, roughly.
const BETWEEN: usize = 20;
/// How often a step may be halved: after that it is rounding.
const HALVINGS: usize = 30;

/// What the answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HopSkipJumpPhase {
    /// A random image.
    Start(usize),
    /// A point between the clean image and one that fools.
    Between,
    /// A point around the boundary's.
    Probe(usize),
    /// A step along the normal, halved so often.
    Along(usize),
}

/// Where the walk stands.
pub struct State {
    phase: HopSkipJumpPhase,
    step: usize,
    /// Shares of the way from the clean image (Linf: radii) between which the boundary lies.
    low: f32,
    high: f32,
    /// That of the point on the boundary.
    distance: f32,
    /// The radius around it within which the normal is estimated.
    delta: f32,
    length: f32,
    point: Vec<f32>,
    /// What the bisection starts from.
    outer: Vec<f32>,
    normal: Vec<f32>,
    /// The sum of the ways to all points around, and how many of them fooled.
    all: Vec<f32>,
    fooled: usize,
}

impl HopSkipJump {
    fn probes_at(&self, step: usize) -> usize {
        let count = self.probes as f64 * ((step + 1) as f64).sqrt();
        (count as usize).clamp(1, MOST_PROBES)
    }

    fn random_image(which: usize, sample: &Sample<'_>, x: &mut [f32]) {
        let random = &mut sample.key.named("start").with(which as u64).generator();
        x.iter_mut().for_each(|x| *x = uniform_from_bits(random.next_u32()));
    }

    /// The share at which a bisection ends: the distance that remains is far below what a step goes.
    fn tolerance(state: &State, norm: Norm) -> f32 {
        let d = state.point.len() as f32;
        let theta = if norm == Norm::Linf { 1.0 / (d * d) } else { 1.0 / (d * d.sqrt()) };
        // Below this, neighboring shares give one image in f32.
        if norm == Norm::Linf { theta.min(theta * state.high).max(1e-7) } else { theta.max(1e-6) }
    }

    /// The image between the clean one and the outer point.
    fn between(state: &State, at: f32, sample: &Sample<'_>, x: &mut [f32]) {
        for ((x, &outer), &c) in x.iter_mut().zip(&state.outer).zip(sample.clean) {
            *x = match sample.budget.norm {
                Norm::Linf => outer.clamp((c - at).max(0.0), (c + at).min(1.0)),
                _ => c + at * (outer - c),
            };
        }
        into_box(x);
    }

    /// Begins the way back from the outer point, which fools.
    fn begin_bisection(state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        state.low = 0.0;
        state.high = match sample.budget.norm {
            Norm::Linf => Norm::Linf.distance(&state.outer, sample.clean),
            _ => 1.0,
        };
        state.phase = HopSkipJumpPhase::Between;
        Self::between(state, 0.5 * state.high, sample, x);
    }

    /// Begins to estimate the normal at the boundary's point.
    fn begin_probes(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        let Budget { norm, eps, .. } = sample.budget;
        let root = (state.point.len() as f32).sqrt();
        // No smaller than what a boundary made of steps looks straight from.
        state.delta = match (state.step, norm) {
            (0, _) => 0.1,
            (_, Norm::Linf) => (state.distance / root / root).max(eps / 20.0 * root).min(0.1),
            _ => (state.distance / root / root).max(eps / 20.0).min(0.1),
        };
        state.normal.fill(0.0);
        state.all.fill(0.0);
        state.fooled = 0;
        self.probe(state, 0, sample, x);
    }

    fn probe(&self, state: &mut State, which: usize, sample: &Sample<'_>, x: &mut [f32]) {
        state.phase = HopSkipJumpPhase::Probe(which);
        let key = sample.key.named("probe").with(state.step as u64).with(which as u64);
        match sample.budget.norm {
            Norm::Linf => {
                let random = &mut key.generator();
                x.iter_mut().for_each(|x| *x = symmetric(random));
            }
            _ => normals(sample.isa, &mut key.generator(), x),
        }
        let factor = state.delta / Norm::L2.of(x).max(1e-12);
        x.iter_mut().zip(&state.point).for_each(|(x, point)| *x = point + factor * *x);
        into_box(x);
    }

    /// The normal: the mean way to points that fool less that to those that do not, each counted from the mean.
    fn estimate(state: &mut State, count: usize) {
        let share = state.fooled as f32 / count as f32;
        // Of one kind alone, their mean is all there is to go by.
        let (scale, mean) = match state.fooled {
            0 => (0.0, -1.0),
            all if all == count => (0.0, 1.0),
            _ => (2.0, 2.0 * share),
        };
        for (normal, all) in state.normal.iter_mut().zip(&state.all) {
            *normal = if scale > 0.0 { scale * *normal - mean * all } else { mean * all };
        }
    }

    /// Steps along the normal, shorter at every call for one step.
    fn along(state: &mut State, halvings: usize, sample: &Sample<'_>, x: &mut [f32]) {
        state.phase = HopSkipJumpPhase::Along(halvings);
        let norm = sample.budget.norm;
        let length = Norm::L2.of(&state.normal).max(f32::MIN_POSITIVE);
        for ((x, &point), &n) in x.iter_mut().zip(&state.point).zip(&state.normal) {
            let direction = if norm == Norm::Linf { sign(n) } else { n / length };
            *x = point + state.length * direction;
        }
        into_box(x);
    }
}

impl Stepper for HopSkipJump {
    type State = State;

    fn name(&self) -> &'static str {
        "hopskipjump"
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        ChangedOptions::none()
            .unless(default.steps, "steps", self.steps)
            .unless(default.probes, "probes", self.probes)
            .unless(default.draws, "draws", self.draws)
            .unless(default.goal.name(), "return", self.goal.name())
    }

    fn needs(&self) -> Needs {
        Needs::Logits(Loss::Margin)
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::Linf, Norm::L2]
    }

    fn evaluations(&self) -> usize {
        (0..self.steps).map(|step| self.probes_at(step) + BETWEEN).sum()
    }

    fn goal(&self) -> Goal {
        self.goal
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, _budget: &Budget, _shape: Shape) -> Result<()> {
        if self.steps == 0 || self.probes == 0 {
            let (steps, probes) = (self.steps, self.probes);
            let problem = format!("steps {steps}, probes {probes}: at least 1 of each is needed");
            return Err(Error::argument("hopskipjump", problem));
        }
        Ok(())
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        let zeros = || vec![0.0; shape.features()];
        State {
            phase: HopSkipJumpPhase::Start(0),
            step: 0,
            low: 0.0,
            high: 1.0,
            distance: 0.0,
            delta: 0.0,
            length: 0.0,
            point: zeros(),
            outer: zeros(),
            normal: zeros(),
            all: zeros(),
            fooled: 0,
        }
    }

    fn start(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        (state.phase, state.step) = (HopSkipJumpPhase::Start(0), 0);
        Self::random_image(0, sample, x);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let norm = sample.budget.norm;
        match state.phase {
            HopSkipJumpPhase::Start(which) => {
                if answer.fooled {
                    state.outer.copy_from_slice(x);
                    Self::begin_bisection(state, sample, x);
                } else if which + 1 < STARTS {
                    state.phase = HopSkipJumpPhase::Start(which + 1);
                    Self::random_image(which + 1, sample, x);
                } else {
                    return Step::End;
                }
            }
            HopSkipJumpPhase::Between => {
                let middle = 0.5 * (state.low + state.high);
                if answer.fooled {
                    state.high = middle
                } else {
                    state.low = middle
                }
                if state.high - state.low > Self::tolerance(state, norm) {
                    Self::between(state, 0.5 * (state.low + state.high), sample, x);
                    return Step::Ask;
                }
                if state.step == self.steps {
                    return Step::End;
                }
                Self::between(state, state.high, sample, x);
                state.point.copy_from_slice(x);
                state.distance = norm.distance(x, sample.clean);
                self.begin_probes(state, sample, x);
            }
            HopSkipJumpPhase::Probe(which) => {
                state.fooled += usize::from(answer.fooled);
                let ways = x.iter().zip(&state.point).map(|(x, point)| x - point);
                for ((all, normal), way) in state.all.iter_mut().zip(&mut state.normal).zip(ways) {
                    *all += way;
                    *normal += if answer.fooled { way } else { 0.0 };
                }
                let count = self.probes_at(state.step);
                if which + 1 < count {
                    self.probe(state, which + 1, sample, x);
                    return Step::Ask;
                }
                Self::estimate(state, count);
                state.length = state.distance / ((state.step + 1) as f32).sqrt();
                Self::along(state, 0, sample, x);
            }
            HopSkipJumpPhase::Along(halvings) => {
                if !answer.fooled && halvings < HALVINGS {
                    state.length *= 0.5;
                    Self::along(state, halvings + 1, sample, x);
                    return Step::Ask;
                }
                let from: &[f32] = if answer.fooled { x } else { &state.point };
                state.outer.copy_from_slice(from);
                state.step += 1;
                Self::begin_bisection(state, sample, x);
            }
        }
        Step::Ask
    }
}
