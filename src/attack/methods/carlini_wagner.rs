//! Carlini & Wagner's L2 attack (2017, "Toward evaluating the robustness of neural networks", sections V and VI), in
//! its canonical form with a binary search over c, and with one fixed c as the sleep papers ran it.

use crate::Result;
use crate::attack::changed_options::ChangedOptions;
use crate::attack::loss::Loss;
use crate::attack::methods::descent::{DECAY, check_search, hinge};
use crate::attack::stepper::{Budget, Feedback, Goal, Needs, Sample, Step, Stepper};
use crate::nn::{rounding, spread};
use crate::simd::{LANES, Lanes, Simd, dispatch, math};
use crate::tensor::Shape;

/// Minimizes `|x' - x|^2 + c max(0, margin + kappa)` over `w`, where `x' = (tanh(w) + 1) / 2` is in the box whatever w
/// is. Looks for the nearest misclassified point; no radius bounds it unless asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct CarliniWagner {
    /// Steps of Adam for one c.
    pub steps: usize,
    /// Values of c that are tried; 1: only `c`.
    pub search_steps: usize,
    /// The weight of the misclassification; in a search the first one, for logits that spread by 5 to 50 (larger ones get
    /// tenths of it, smaller ones tens).
    pub c: f32,
    /// How far below zero the margin is to be.
    pub kappa: f32,
    /// Adam's learning rate.
    pub learning_rate: f32,
    /// Whether pixels that are exactly 0 or 1 cannot move, as where the inverse of tanh is taken without shrinking
    /// its argument.
    pub freeze_extremes: bool,
    /// Stop a c when, over a tenth of the steps, the objective has not fallen by this share.
    pub least_fall: Option<f32>,
    /// Random draws averaged per evaluation, for models that draw random numbers.
    pub draws: usize,
    /// [`Goal::NearestAnywhere`], or [`Goal::Nearest`] to count only what lies in the ball.
    pub goal: Goal,
}

impl Default for CarliniWagner {
    /// The canonical form, with 1,000 steps for each of 9 values of c.
    fn default() -> Self {
        Self {
            steps: 1000,
            search_steps: 9,
            c: 1e-3,
            kappa: 0.0,
            learning_rate: 0.01,
            freeze_extremes: false,
            least_fall: Some(1e-4),
            draws: 1,
            goal: Goal::NearestAnywhere,
        }
    }
}

impl CarliniWagner {
    /// One run with c = 1 and 100 steps in which black and white pixels stay as they are: what the sleep papers ran
    /// (torchattacks' form). There a whole batch stops when its cost has *risen*; here every sample stops by itself.
    pub fn published() -> Self {
        Self {
            steps: 100,
            search_steps: 1,
            c: 1.0,
            freeze_extremes: true,
            least_fall: Some(0.0),
            ..Self::default()
        }
    }
}

/// Where the optimization stands. Vectors are lanes of consecutive pixels, for the elementary functions.
pub struct State {
    step: usize,
    search: usize,
    c: f32,
    lower: f32,
    upper: f32,
    found: bool,
    objective_before: f32,
    /// Products of Adam's decays.
    decay: [f32; 2],
    /// tanh^-1(2x - 1), the same moved, and Adam's moments.
    origin: Vec<Lanes>,
    w: Vec<Lanes>,
    mean: Vec<Lanes>,
    square: Vec<Lanes>,
    /// (tanh(w) + 1) / 2 now and at the origin.
    now: Vec<Lanes>,
    at_origin: Vec<Lanes>,
    gradient: Vec<Lanes>,
}

/// Keeps the inverse of tanh finite (from the original implementation).
const SHRINK: f32 = 0.999_999;

/// `out = (tanh(w) + 1) / 2`
#[inline(always)]
fn images<S: Simd>(s: S, w: &[Lanes], out: &mut [Lanes]) {
    let half = s.splat(0.5);
    for (w, out) in w.iter().zip(out) {
        s.store(s.mul_add(math::tanh(s, s.load(w)), half, half), out);
    }
}

/// `w = atanh(shrink (2x - 1))`, by the logarithm.
#[inline(always)]
fn origins<S: Simd>(s: S, x: &[Lanes], w: &mut [Lanes]) {
    let (one, half) = (s.splat(1.0), s.splat(0.5));
    for (x, w) in x.iter().zip(w) {
        let v = s.mul(s.sub(s.add(s.load(x), s.load(x)), one), s.splat(SHRINK));
        let ratio = s.div(s.add(one, v), s.sub(one, v));
        s.store(s.mul(half, math::ln(s, ratio)), w);
    }
}

/// The square of a derivative beyond this is infinite, and a pixel then no number. Adam's step hardly knows the size of
/// what it follows.
const MOST: f32 = 1e18;

impl CarliniWagner {
    /// Adam's step on the gradient of the objective to `w`. `pull` is c while the margin counts, else 0.
    #[inline(always)]
    fn adam<S: Simd>(&self, s: S, state: &mut State, pull: f32) {
        for (decay, rate) in state.decay.iter_mut().zip(DECAY) {
            *decay *= rate;
        }
        let (one, two) = (s.splat(1.0), s.splat(2.0));
        let (b1, b2) = (s.splat(DECAY[0]), s.splat(DECAY[1]));
        let (c1, c2) =
            (s.splat(1.0 / (1.0 - state.decay[0])), s.splat(1.0 / (1.0 - state.decay[1])));
        let (pull, rate) = (s.splat(pull), s.splat(self.learning_rate));
        for i in 0..state.w.len() {
            let (now, from) = (s.load(&state.now[i]), s.load(&state.at_origin[i]));
            // The loss is the negative margin, to be raised.
            let of_margin = s.mul(pull, s.load(&state.gradient[i]));
            let of_margin = s.max(s.min(of_margin, s.splat(MOST)), s.splat(-MOST));
            let outer = s.sub(s.mul(two, s.sub(now, from)), of_margin);
            // dx'/dw = (1 - tanh^2) / 2 = 2 x' (1 - x')
            let slope = s.mul(two, s.mul(now, s.sub(one, now)));
            let g = s.mul(outer, slope);
            let mean = s.mul_add(b1, s.load(&state.mean[i]), s.mul(s.sub(one, b1), g));
            let square = s.mul(s.mul(g, g), s.sub(one, b2));
            let square = s.mul_add(b2, s.load(&state.square[i]), square);
            s.store(mean, &mut state.mean[i]);
            s.store(square, &mut state.square[i]);
            let root = s.add(s.sqrt(s.mul(square, c2)), s.splat(1e-8));
            let step = s.div(s.mul(rate, s.mul(mean, c1)), root);
            s.store(s.sub(s.load(&state.w[i]), step), &mut state.w[i]);
        }
    }

    /// Puts the image of `w` into `x`.
    fn show(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        dispatch!(sample.isa, s => images(s, &state.w, &mut state.now));
        let now: &[f32] = bytemuck::cast_slice(&state.now);
        for ((x, &now), &clean) in x.iter_mut().zip(now).zip(sample.clean) {
            let frozen = self.freeze_extremes && (clean == 0.0 || clean == 1.0);
            *x = if frozen { clean } else { now.clamp(0.0, 1.0) };
        }
    }

    /// Back to the clean image, for the state's c.
    fn restart(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        (state.step, state.found, state.objective_before) = (0, false, f32::INFINITY);
        state.decay = [1.0; 2];
        state.w.copy_from_slice(&state.origin);
        state.mean.fill(Lanes::ZERO);
        state.square.fill(Lanes::ZERO);
        self.show(state, sample, x);
    }

    /// The next c, by what this one led to.
    fn search(&self, state: &mut State) {
        if state.found {
            state.upper = state.upper.min(state.c);
        } else {
            state.lower = state.lower.max(state.c);
        }
        state.search += 1;
        // By factors of ten to either side until it is enclosed.
        state.c = match (state.lower > 0.0, state.upper.is_finite()) {
            (true, true) => 0.5 * (state.lower + state.upper),
            (false, _) => 0.1 * state.c,
            (true, false) => 10.0 * state.c,
        };
        // The last of many goes for success.
        if self.search_steps >= 10 && state.search == self.search_steps - 1 {
            state.c = state.upper.min(1e10);
        }
    }
}

/// The power of ten by which logits are larger than those of an ordinary network, which spread by 5 to 50: the search for
/// c, which weighs them against pixels, starts that much lower.
fn decades(logits: &[f32]) -> f32 {
    let (mut spread, mut power) = (spread(logits), 1.0f32);
    while spread > 50.0 && power < 1e30 {
        (spread, power) = (0.1 * spread, 10.0 * power);
    }
    while spread > 0.0 && spread < 5.0 && power > 1e-30 {
        (spread, power) = (10.0 * spread, 0.1 * power);
    }
    power
}

impl Stepper for CarliniWagner {
    type State = State;

    fn name(&self) -> &'static str {
        "cw"
    }

    fn changed_options(&self) -> ChangedOptions {
        let (form, default) = match self.freeze_extremes {
            true => ("published", Self::published()),
            false => ("canonical", Self::default()),
        };
        ChangedOptions::none()
            .unless("canonical", "form", form)
            .unless(default.steps, "steps", self.steps)
            .unless(default.search_steps, "search", self.search_steps)
            .unless(default.c, "c", self.c)
            .unless(default.kappa, "kappa", self.kappa)
            .unless(default.learning_rate, "rate", self.learning_rate)
            .unless(default.draws, "draws", self.draws)
            .flag("bounded", self.goal == Goal::Nearest)
    }

    fn needs(&self) -> Needs {
        Needs::Gradient(Loss::Margin)
    }

    // After the first c most are given up early, where the objective falls no more.
    fn evaluations(&self) -> usize {
        let others = self.search_steps.saturating_sub(1) * self.steps;
        self.steps + if self.least_fall.is_some() { others * 3 / 5 } else { others }
    }

    // Adam and the hyperbolic tangents of every pixel; less with AVX-512.
    fn own_work(&self) -> f64 {
        0.5
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
        let positive = [("c", self.c), ("rate", self.learning_rate)];
        check_search("cw", [self.steps, self.search_steps], &positive, self.kappa)
    }

    fn option_warnings(&self, _budget: &Budget) -> Vec<String> {
        let short = self.steps < 500 && !self.freeze_extremes;
        let problem = "a black or white pixel has moved by 0.011 after 500 steps of Adam at rate 0.01: fewer leave \
                       most of an image of digits as it is";
        short.then(|| format!("cw: {} steps; {problem}", self.steps)).into_iter().collect()
    }

    fn state(&self, shape: Shape, _classes: usize) -> State {
        let zeros = || vec![Lanes::ZERO; shape.features().div_ceil(LANES)];
        State {
            step: 0,
            search: 0,
            c: 0.0,
            lower: 0.0,
            upper: f32::INFINITY,
            found: false,
            objective_before: f32::INFINITY,
            decay: [1.0; 2],
            origin: zeros(),
            w: zeros(),
            mean: zeros(),
            square: zeros(),
            now: zeros(),
            at_origin: zeros(),
            gradient: zeros(),
        }
    }

    fn start(&self, state: &mut State, sample: &Sample<'_>, x: &mut [f32]) {
        (state.search, state.c, state.lower, state.upper) = (0, self.c, 0.0, f32::INFINITY);
        let clean: &mut [f32] = bytemuck::cast_slice_mut(&mut state.now);
        clean[..sample.clean.len()].copy_from_slice(sample.clean);
        dispatch!(sample.isa, s => {
            origins(s, &state.now, &mut state.origin);
            images(s, &state.origin, &mut state.at_origin);
        });
        self.restart(state, sample, x);
    }

    fn step(
        &self,
        state: &mut State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        if (state.search, state.step) == (0, 0) && self.search_steps > 1 {
            state.c /= decades(answer.logits);
        }
        state.found |= answer.fooled;
        let hinge = hinge(self.kappa, answer);
        let mut over = state.step + 1 >= self.steps;
        if let Some(fall) = self.least_fall
            && state.step.is_multiple_of(self.steps.div_ceil(10))
        {
            let from: &[f32] = bytemuck::cast_slice(&state.at_origin);
            let moved: f32 =
                crate::attack::geometry::norm::sum_of(x, from, |a, b| (a - b) * (a - b));
            let objective = moved + state.c * hinge.max(0.0);
            over |= objective > (1.0 - fall) * state.objective_before;
            state.objective_before = objective;
        }
        state.step += 1;
        if over {
            self.search(state);
            if state.search >= self.search_steps {
                return Step::End;
            }
            self.restart(state, sample, x);
            return Step::Ask;
        }
        let gradient: &mut [f32] = bytemuck::cast_slice_mut(&mut state.gradient);
        gradient[..answer.gradient.len()].copy_from_slice(answer.gradient);
        let pull = if hinge > 0.0 { state.c } else { 0.0 };
        dispatch!(sample.isa, s => self.adam(s, state, pull));
        self.show(state, sample, x);
        Step::Ask
    }
}
