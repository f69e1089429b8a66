//! RayS: the nearest boundary along directions whose pixels are all 1 or -1, from predicted classes alone (Chen & Gu 2020,
//! "RayS: a ray searching method for hard-label adversarial attack"). There is nothing random in it, and nothing that a
//! network does to its logits or gradients can hide from it.

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::norm::Norm;
use crate::attack::geometry::projection::moved;
use crate::attack::loss::Loss;
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Sample, Step, Stepper};
use crate::tensor::Shape;
use crate::{Error, Result};

/// RayS in Linf.
#[derive(Clone, Debug, PartialEq)]
pub struct RayS {
    /// Images asked about.
    pub queries: usize,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
    /// [`Goal::First`], or [`Goal::NearestAnywhere`] to go on for the smallest perturbation.
    pub goal: Goal,
}

impl Default for RayS {
    fn default() -> Self {
        Self { queries: 10_000, draws: 1, goal: Goal::First }
    }
}

/// What the answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RaysPhase {
    /// One of the first directions.
    Start(usize),
    /// A direction with a block turned round, at the best radius.
    Block,
    /// Half of the way along a direction that is better than the best one.
    Halfway,
}

/// Where the search stands.
pub struct State {
    query: usize,
    phase: RaysPhase,
    /// The best radius at which a direction fools, 1 if none has yet.
    radius: f32,
    /// Radii between which the boundary lies.
    low: f32,
    high: f32,
    /// Blocks are a 2^level-th of the pixels.
    level: u32,
    block: usize,
    /// Whether a pixel of the direction is 1 rather than -1.
    upward: Vec<bool>,
}

/// Directions to start with: all brighter, all darker, each pixel toward the farther end, toward the nearer.
const STARTS: usize = 4;

/// The boundary is found up to this length in L2.
const TOLERANCE: f32 = 1e-3;

impl State {
    /// The pixels of the current block.
    fn range(&self) -> std::ops::Range<usize> {
        let size = self.upward.len().div_ceil(1 << self.level.min(31)).max(1);
        let start = (self.block * size).min(self.upward.len());
        start..(start + size).min(self.upward.len())
    }

    fn turn(&mut self) {
        let range = self.range();
        self.upward[range].iter_mut().for_each(|upward| *upward = !*upward);
    }

    /// On to the next block, of the next level after the last one.
    fn next_block(&mut self) {
        self.block += 1;
        if self.range().is_empty() {
            // Blocks of one pixel are as small as it gets: from there all levels are alike.
            (self.level, self.block) = ((self.level + 1).min(31), 0);
        }
        self.turn();
        self.phase = RaysPhase::Block;
    }

    fn start_direction(&mut self, which: usize, clean: &[f32]) {
        for (upward, &c) in self.upward.iter_mut().zip(clean) {
            *upward = match which {
                0 => true,
                1 => false,
                2 => c < 0.5,
                _ => c >= 0.5,
            };
        }
    }

    /// The image at a radius along the direction.
    fn show(&self, radius: f32, clean: &[f32], x: &mut [f32]) {
        for ((x, &c), &upward) in x.iter_mut().zip(clean).zip(&self.upward) {
            *x = moved(c, if upward { radius } else { -radius });
        }
    }

    /// After a success at `high`: half of the way if that is still worth a question.
    fn bisect(&mut self) -> bool {
        let tolerance = TOLERANCE / (self.upward.len() as f32).sqrt();
        self.phase = RaysPhase::Halfway;
        self.high - self.low > tolerance
    }
}

impl Stepper for RayS {
    type State = State;

    fn name(&self) -> &'static str {
        "rays"
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        ChangedOptions::none()
            .unless(default.queries, "queries", self.queries)
            .unless(default.draws, "draws", self.draws)
            .unless(default.goal.name(), "return", self.goal.name())
    }

    fn needs(&self) -> Needs {
        Needs::Logits(Loss::Margin)
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::Linf]
    }

    fn evaluations(&self) -> usize {
        self.queries
    }

    fn goal(&self) -> Goal {
        self.goal
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, _budget: &Budget, _shape: Shape) -> Result<()> {
        if self.queries == 0 {
            return Err(Error::argument("rays", "queries 0: at least 1 is needed"));
        }
        Ok(())
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        State {
            query: 0,
            phase: RaysPhase::Start(0),
            radius: 1.0,
            low: 0.0,
            high: 1.0,
            level: 0,
            block: 0,
            upward: vec![true; shape.features()],
        }
    }

    fn start(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        (state.query, state.phase, state.radius) = (0, RaysPhase::Start(0), 1.0);
        (state.level, state.block) = (0, 0);
        state.start_direction(0, sample.clean);
        state.show(1.0, sample.clean, x);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        state.query += 1;
        if state.query >= self.queries {
            return Step::End;
        }
        let clean = sample.clean;
        let better = match state.phase {
            RaysPhase::Halfway => {
                let middle = 0.5 * (state.low + state.high);
                if answer.fooled {
                    state.high = middle
                } else {
                    state.low = middle
                }
                true
            }
            RaysPhase::Start(_) | RaysPhase::Block => {
                (state.low, state.high) = (0.0, state.radius);
                answer.fooled
            }
        };
        if better && state.bisect() {
            state.show(0.5 * (state.low + state.high), clean, x);
            return Step::Ask;
        }
        match state.phase {
            RaysPhase::Halfway => {
                state.radius = state.high;
                state.next_block();
            }
            RaysPhase::Start(which) if which + 1 < STARTS => {
                state.phase = RaysPhase::Start(which + 1);
                state.start_direction(which + 1, clean);
            }
            RaysPhase::Start(_) => {
                // No direction fools yet: blocks are turned at the full radius until one does.
                state.start_direction(0, clean);
                state.next_block();
            }
            RaysPhase::Block => {
                state.turn();
                state.next_block();
            }
        }
        state.show(state.radius, clean, x);
        Step::Ask
    }
}
