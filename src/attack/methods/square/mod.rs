//! Square: random search with squares, from scores alone (Andriushchenko et al. 2020, "Square attack: a
//! query-efficient black-box adversarial attack via random search").
//!
//! Windows are drawn from (seed, restart, query) alone, signs from the sample's own stream: at one query all samples
//! change the same window.

mod bump;
mod window;

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::norm::{Norm, sum_of};
use crate::attack::geometry::projection::{Breakpoints, into_ball, into_box, moved};
use crate::attack::geometry::random::sign;
use crate::attack::loss::Loss;
use crate::attack::methods::square::bump::Bump;
use crate::attack::methods::square::window::PixelWindow;
use crate::attack::stepper::{Budget, Change, Feedback, Goal, Needs, Runs, Sample, Step, Stepper};
use crate::simd::random::Key;
use crate::tensor::Shape;
use crate::{Error, Result};
use rand_xoshiro::Xoshiro128PlusPlus;

/// The Square attack in Linf, L2 and L1. It minimizes the margin and never asks for a gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Square {
    /// Images evaluated in a run, the first included.
    pub queries: usize,
    /// Independent runs.
    pub restarts: usize,
    /// The share of pixels that the first windows cover.
    pub p: f32,
    /// Whether the windows shrink over the proposals of a run as they do over 10,000, however few there are (AutoAttack: no).
    pub rescale: bool,
    /// L2 only: use up the radius that the box has cut off. Not in the original, and far stronger on images whose
    /// pixels lie at the ends of the box, where half of every step is lost; AutoAttack runs without it.
    pub refill: bool,
    /// Whether a proposal with exactly the best margin is kept: where margins are piecewise constant, as spike counts are,
    /// the search walks along a plateau instead of standing on it.
    pub accept_ties: bool,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
}

impl Default for Square {
    /// As AutoAttack runs it.
    fn default() -> Self {
        Self {
            queries: 5000,
            restarts: 1,
            p: 0.8,
            rescale: false,
            refill: false,
            accept_ties: false,
            draws: 1,
        }
    }
}

/// Where the search stands.
pub struct State {
    query: usize,
    best_margin: f32,
    best: Vec<f32>,
    random: Xoshiro128PlusPlus,
    /// The last proposal's window, Linf, and whether the image before it was kept.
    window: PixelWindow,
    change: Option<Change>,
    /// L2, L1: the perturbation that becomes the next proposal.
    delta: Vec<f32>,
    /// L2, L1: one channel's new window.
    patch: Vec<f32>,
    bump: Bump,
    scratch: Breakpoints,
}

impl Square {
    /// The side of the window at a query, before it is fitted to the image.
    fn side(&self, query: usize, shape: Shape) -> f32 {
        // The original counts proposals from 0 and leaves the start out; with few queries that decides how wide windows are.
        let query = if self.rescale { (query - 1) * 10_000 / (self.queries - 1) } else { query };
        let steps = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];
        let divisor = 1u32 << steps.iter().filter(|&&step| query > step).count();
        (self.p / divisor as f32 * shape.pixels() as f32).sqrt().round()
    }

    /// The generator of the windows of a query, the same for all samples.
    fn windows(sample: &Sample<'_>, query: usize) -> Xoshiro128PlusPlus {
        let key = Key::new(sample.budget.seed).named("square").named("window");
        key.with(sample.restart as u64).with(query as u64).generator()
    }

    /// Vertical stripes of plus and minus eps.
    fn stripes(state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        let (eps, shape) = (sample.budget.eps, sample.shape);
        for channel in x.chunks_mut(shape.pixels()) {
            for column in 0..shape.width {
                let step = eps * sign(&mut state.random);
                for y in 0..shape.height {
                    let pixel = &mut channel[y * shape.width + column];
                    *pixel = moved(*pixel, step);
                }
            }
        }
    }

    /// A window of plus or minus eps per channel.
    fn propose_linf(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        let (eps, shape) = (sample.budget.eps, sample.shape);
        let side = (self.side(state.query, shape) as usize).max(1);
        let side = side.min(shape.height).min(shape.width);
        let mut random = Self::windows(sample, state.query);
        state.window = PixelWindow::anywhere(&mut random, side, shape);
        let mut changed = false;
        for channel in 0..shape.channels {
            let step = eps * sign(&mut state.random);
            for row in state.window.rows(shape, channel) {
                for i in row {
                    let new = moved(sample.clean[i], step);
                    changed |= new != x[i];
                    x[i] = new;
                }
            }
        }
        if !changed {
            // A query that asks what is known already is wasted: the opposite signs.
            for channel in 0..shape.channels {
                for row in state.window.rows(shape, channel) {
                    for i in row {
                        let step = if x[i] >= sample.clean[i] { -eps } else { eps };
                        x[i] = moved(sample.clean[i], step);
                    }
                }
            }
        }
    }

    /// Tiles of bumps, scaled to the sphere.
    fn tiles(state: &mut State, sample: &Sample<'_>) {
        let shape = sample.shape;
        let norm = sample.budget.norm;
        state.delta.fill(0.0);
        let side = (shape.height.min(shape.width) / 5).max(1);
        let [top, left] = [shape.height, shape.width].map(|length| (length % side) / 2);
        for y in (top..=shape.height - side).step_by(side) {
            for x in (left..=shape.width - side).step_by(side) {
                let transposed = sign(&mut state.random) > 0.0;
                let bump = state.bump.of_side(side, norm);
                for channel in 0..shape.channels {
                    let sign = sign(&mut state.random);
                    for (r, row) in (PixelWindow { y, x, side }).rows(shape, channel).enumerate() {
                        for (c, i) in row.enumerate() {
                            let at = if transposed { c * side + r } else { r * side + c };
                            state.delta[i] = sign * bump[at];
                        }
                    }
                }
            }
        }
    }

    /// A bump on one window, with what another window gives up for it.
    fn propose_lp(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        let (Budget { norm, eps, .. }, shape) = (sample.budget, sample.shape);
        let side = (self.side(state.query, shape) as usize).max(3);
        let side = (side + (1 - side % 2)).min(shape.height).min(shape.width);
        let mut random = Self::windows(sample, state.query);
        let to = PixelWindow::anywhere(&mut random, side, shape);
        let from = PixelWindow::anywhere(&mut random, side, shape);
        let delta = &mut state.delta;
        for ((delta, x), c) in delta.iter_mut().zip(&state.best).zip(sample.clean) {
            *delta = x - c;
        }
        let power = |v: f32| if norm == Norm::L2 { v * v } else { v.abs() };
        let root = |v: f32| if norm == Norm::L2 { v.sqrt() } else { v };
        let unused = (power(eps) - sum_of(delta, delta, |d, _| power(d))).max(0.0);
        let transposed = sign(&mut state.random) > 0.0;
        let bump = state.bump.of_side(side, norm);
        for channel in 0..shape.channels {
            let sign = sign(&mut state.random);
            let sum = |window: PixelWindow, delta: &[f32]| -> f32 {
                window.rows(shape, channel).flatten().map(|i| power(delta[i])).sum()
            };
            let here = sum(to, delta);
            // Both windows, what they share counted once.
            let inside = |i: usize| {
                let (y, x) = (i / shape.width % shape.height, i % shape.width);
                (to.y..to.y + side).contains(&y) && (to.x..to.x + side).contains(&x)
            };
            let rest: f32 = from
                .rows(shape, channel)
                .flatten()
                .filter(|&i| !inside(i))
                .map(|i| power(delta[i]))
                .sum();
            let patch = &mut state.patch;
            patch.clear();
            for (r, row) in to.rows(shape, channel).enumerate() {
                for (c, i) in row.enumerate() {
                    let at = if transposed { c * side + r } else { r * side + c };
                    patch.push(sign * bump[at] + delta[i] / (root(here) + 1e-12));
                }
            }
            let wanted = root(unused / shape.channels as f32 + here + rest);
            let factor = wanted / (norm.of(patch) + 1e-12);
            from.rows(shape, channel).flatten().for_each(|i| delta[i] = 0.0);
            for (i, new) in to.rows(shape, channel).flatten().zip(patch.iter()) {
                delta[i] = new * factor;
            }
        }
        self.place(state, sample, x);
    }

    /// `x` from the perturbation: on the sphere and into the box (L2), or into ball and box (L1).
    fn place(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        let Budget { norm, eps, .. } = sample.budget;
        let factor = match norm {
            Norm::L1 => 1.0,
            _ => eps / (norm.of(&state.delta) + 1e-12),
        };
        for ((x, delta), c) in x.iter_mut().zip(&state.delta).zip(sample.clean) {
            *x = c + delta * factor;
        }
        if self.refill && norm == Norm::L2 {
            into_box(x);
            let factor = eps / (norm.distance(x, sample.clean) + 1e-12);
            x.iter_mut().zip(sample.clean).for_each(|(x, c)| *x = c + (*x - c) * factor);
        }
        into_ball(norm, eps, sample.clean, x, &mut state.scratch);
    }
}

impl Stepper for Square {
    type State = State;

    fn name(&self) -> &'static str {
        "square"
    }

    fn changed_options(&self) -> ChangedOptions {
        let default = Self::default();
        ChangedOptions::none()
            .unless(default.queries, "queries", self.queries)
            .unless(default.restarts, "restarts", self.restarts)
            .unless(default.p, "p", self.p)
            .flag("rescale", self.rescale)
            .unless("reject", "ties", if self.accept_ties { "accept" } else { "reject" })
            .flag("refill", self.refill)
            .unless(default.draws, "draws", self.draws)
    }

    fn needs(&self) -> Needs {
        Needs::Logits(Loss::Margin)
    }

    fn evaluations(&self) -> usize {
        self.queries
    }

    fn goal(&self) -> Goal {
        Goal::First
    }

    fn runs(&self, _classes: usize) -> Runs {
        Runs { restarts: self.restarts, targets: 0 }
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn validate(&self, budget: &Budget, _shape: Shape) -> Result<()> {
        if self.queries == 0 || self.restarts == 0 {
            let (queries, restarts) = (self.queries, self.restarts);
            let problem = format!("queries {queries}, restarts {restarts}: at least 1 of each");
            return Err(Error::argument("square", problem));
        }
        if !(self.p > 0.0 && self.p <= 1.0) {
            return Err(Error::argument("square", format!("p {} is not in (0, 1]", self.p)));
        }
        if self.refill && budget.norm != Norm::L2 {
            let problem =
                format!("refill is of l2 alone, and this is {}; leave it out", budget.norm);
            return Err(Error::argument("square", problem));
        }
        Ok(())
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        State {
            query: 0,
            best_margin: f32::INFINITY,
            best: vec![0.0; shape.features()],
            random: Key::new(0).generator(),
            window: PixelWindow::default(),
            change: None,
            delta: vec![0.0; shape.features()],
            patch: Vec::with_capacity(shape.pixels()),
            bump: Bump::default(),
            scratch: Breakpoints::default(),
        }
    }

    fn is_local(&self, budget: &Budget) -> bool {
        budget.norm == Norm::Linf && self.draws <= 1
    }

    fn change(&self, state: &State) -> Option<Change> {
        state.change.clone()
    }

    fn start(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        (state.query, state.best_margin) = (0, f32::INFINITY);
        state.change = None;
        state.random = sample.key.generator();
        if sample.budget.norm == Norm::Linf {
            Self::stripes(state, sample, x);
        } else {
            Self::tiles(state, sample);
            let size = sample.budget.norm.of(&state.delta) + 1e-12;
            state.delta.iter_mut().for_each(|delta| *delta *= sample.budget.eps / size);
            self.place(state, sample, x);
        }
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let better = answer.margin < state.best_margin
            || (self.accept_ties && answer.margin == state.best_margin);
        if better {
            state.best_margin = answer.margin;
        }
        if state.query == 0 {
            state.best.copy_from_slice(x);
        } else if sample.budget.norm == Norm::Linf {
            for channel in 0..sample.shape.channels {
                for row in state.window.rows(sample.shape, channel) {
                    if better {
                        state.best[row.clone()].copy_from_slice(&x[row]);
                    } else {
                        x[row.clone()].copy_from_slice(&state.best[row]);
                    }
                }
            }
        } else if better {
            state.best.copy_from_slice(x);
        }
        state.query += 1;
        if state.query >= self.queries {
            return Step::End;
        }
        if sample.budget.norm == Norm::Linf {
            self.propose_linf(state, sample, x);
            let region = state.window.region();
            state.change = Some(Change { kept: better || state.query == 1, region });
        } else {
            self.propose_lp(state, sample, x);
        }
        Step::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty proposals stand for 10,000, each for 500 of them: the first one is as wide as the first of 10,000.
    #[test]
    fn few_proposals_shrink_as_those_of_the_original() {
        let shape = Shape::new(1, 28, 28);
        let few = Square { queries: 21, rescale: true, ..Square::default() };
        let sides = [1, 2, 3, 5, 20].map(|query| few.side(query, shape));
        assert_eq!(sides, [25.0, 9.0, 6.0, 4.0, 1.0]);
        let sides = [1, 10, 11, 51].map(|query| Square::default().side(query, shape));
        assert_eq!(sides, [25.0, 25.0, 18.0, 13.0]);
    }
}
