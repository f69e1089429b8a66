//! What an attack is to the engine: a state machine of one sample that asks for evaluations.
//!
//! The engine owns lanes, batches and threads; a [`Stepper`] sees one sample, its own memory and its own random
//! numbers. So its result cannot depend on anything else.

use crate::attack::changed_options::ChangedOptions;
use crate::attack::geometry::ball;
use crate::attack::geometry::norm::Norm;
use crate::attack::loss::Loss;
use crate::simd::Isa;
use crate::simd::random::Key;
use crate::tensor::{Region, Shape};
use crate::{Error, Result};

/// The ball in which an attack may move, and the seed of its random numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// How the perturbation is measured.
    pub norm: Norm,
    /// Its largest size, pixels in 0..=1.
    pub eps: f32,
    /// Where every random number starts from.
    pub seed: u64,
}

impl Budget {
    /// Whether there is such a ball.
    ///
    /// # Errors
    /// If the radius is negative or infinite, or in L-infinity above 1.
    pub fn validate(&self) -> Result<()> {
        let Self { norm, eps, .. } = *self;
        let most = if norm == Norm::Linf { 1.0 } else { f32::MAX };
        if (0.0..=most).contains(&eps) {
            return Ok(());
        }
        let problem = format!("eps {eps} is not a radius in {norm}; pixels are 0..=1");
        Err(Error::argument("attack", problem))
    }

    /// Whether a perturbation of this size, measured in f32, is inside for an attack: a strict limit would lose real successes to
    /// rounding. (Images of others, which are said to lie in a ball, are [held](crate::evaluation::Crafted::is_inside) to it more
    /// closely.)
    pub fn admits(&self, distance: f32) -> bool {
        distance <= self.reach()
    }

    /// The largest perturbation that is [admitted](Self::admits).
    pub fn reach(&self) -> f32 {
        ball::reach(self.eps)
    }
}

/// What an attack wants to know at every image it asks about, besides the logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: the forward path alone. The loss is evaluated.
    Logits(Loss),
    /// A loss and its gradient.
    Gradient(Loss),
    /// The gradients of all logits.
    Jacobian,
}

/// When an attack is done with a sample, and which point it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Goal {
    /// The first misclassified point inside the ball. Of a random model, whose answer may be luck, the one with the
    /// lowest margin of all runs.
    First,
    /// The last adversarial point of the first successful run, as the reference APGD returns it. It fools the same
    /// samples as [`First`](Self::First), but lies deeper past the boundary and transfers better.
    Latest,
    /// The misclassified point nearest to the clean image, of all runs.
    Nearest,
    /// As [`Nearest`](Self::Nearest), wherever it lies: the ball does not bound the attack.
    NearestAnywhere,
    /// The last point, adversarial or not, as many libraries craft their sets for transfer.
    Last,
}

impl Goal {
    /// As the option `return=` has it, where that says so.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Latest => "latest",
            Self::Nearest | Self::NearestAnywhere => "nearest",
            Self::Last => "last",
        }
    }
}

/// How often an attack starts over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Independent random starts, for each target.
    pub restarts: usize,
    /// Target classes: the likeliest wrong ones at the clean image, one after the other. 0: the attack has no target.
    pub targets: usize,
}

/// One sample in one run.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    /// The clean image, `[channel][y][x]`.
    pub clean: &'a [f32],
    /// Its shape.
    pub shape: Shape,
    /// The true class.
    pub label: usize,
    /// The class that this run steers to; the label if there is no target.
    pub target: usize,
    /// Whether only the target counts as success.
    pub targeted: bool,
    /// Which of the restarts this is.
    pub restart: usize,
    /// Norm, radius, seed.
    pub budget: Budget,
    /// The key of all random numbers of this sample in this run.
    pub key: Key,
    /// For the elementary functions.
    pub isa: Isa,
}

impl Sample<'_> {
    /// Whether a class is one to go to: the target if only that counts, else any but the label.
    pub fn is_rival(&self, class: usize) -> bool {
        if self.targeted { class == self.target } else { class != self.label }
    }
}

/// What the model says about the image that was asked about.
pub struct Feedback<'a> {
    /// The logits, all finite.
    pub logits: &'a [f32],
    /// `z_y - max_{i != y} z_i`: negative where another class wins. If only the target t counts, `max_{i != t} z_i - z_t`.
    /// Either way the attack wants it low.
    pub margin: f32,
    /// Whether the image counts as misclassified (as the target, if only that counts): by the largest logit, or by the attack's
    /// [`confidence`](Stepper::confidence).
    pub fooled: bool,
    /// The loss, for [`Needs::Logits`] and [`Needs::Gradient`].
    pub loss: f32,
    /// Its gradient `[channel][y][x]`, for [`Needs::Gradient`]; gradients `[class][channel][y][x]` of the logits, for
    /// [`Needs::Jacobian`]. What was not finite is 0.
    pub gradient: &'a [f32],
}

/// What an attack by trial and error says about its next image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whether the image that was just answered about is kept: what follows is compared with it.
    pub kept: bool,
    /// Where the next image may differ from the one that was kept last.
    pub region: Region,
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The image is to be evaluated.
    Ask,
    /// The image is the run's last one: whether it fools the model is all there is left to know.
    Last,
    /// This run is over.
    End,
}

/// An attack, as a state machine of one sample.
pub trait Stepper: Send + Sync {
    /// What one sample keeps between its evaluations. It is reused for other runs and samples.
    type State: Send;

    /// The name under which its random numbers are drawn and its successes noted.
    fn name(&self) -> &'static str;

    /// Its options, where they differ from what its name alone stands for; without options
    /// [`ChangedOptions::none`](crate::attack::extend::ChangedOptions::none).
    fn changed_options(&self) -> ChangedOptions;

    /// What it wants to know.
    fn needs(&self) -> Needs;

    /// The norms that it exists in.
    fn norms(&self) -> &'static [Norm] {
        &[Norm::Linf, Norm::L2, Norm::L1]
    }

    /// When it is done.
    fn goal(&self) -> Goal;

    /// How often it starts over, for a model with `classes` classes: a single run unless it says otherwise.
    fn runs(&self, _classes: usize) -> Runs {
        Runs { restarts: 1, targets: 0 }
    }

    /// Images that it asks about in one run of a sample that withstands it: about as many, where that depends on the answers.
    /// Plans and the time left are estimated from it; the search does not read it.
    fn evaluations(&self) -> usize;

    /// What its own arithmetic between two evaluations costs, in evaluations of LeNet with their gradients. 0: little beside
    /// them.
    fn own_work(&self) -> f64 {
        0.0
    }

    /// Evaluations that are averaged to answer one question, for models that draw random numbers: expectation over
    /// transformation (Athalye et al. 2018). The draws of a run are the same at every image.
    fn draws(&self) -> usize {
        1
    }

    /// Whether it draws random numbers itself.
    fn is_random(&self) -> bool {
        true
    }

    /// How far below zero the margin must lie for a point with these logits to count as found (Carlini & Wagner's
    /// confidence). None: any point that is misclassified counts. An attack that looks for the smallest perturbation
    /// ends on the boundary, and asks for more than rounding ([`rounding`](crate::nn::rounding)).
    fn confidence(&self, _logits: &[f32]) -> Option<f32> {
        None
    }

    /// Whether options and shape of the images go together, in one of its [`norms`](Self::norms).
    ///
    /// # Errors
    /// If they do not.
    fn validate(&self, budget: &Budget, shape: Shape) -> Result<()>;

    /// What is wrong with the options for this budget, though they can be run.
    fn option_warnings(&self, _budget: &Budget) -> Vec<String> {
        Vec::new()
    }

    /// Memory for one sample.
    fn state(&self, shape: Shape, classes: usize) -> Self::State;

    /// Whether [`change`](Self::change) has something to say: the next image of a sample differs from an earlier one in
    /// a few pixels, the same for all samples of a restart and iteration. Only for attacks that need logits alone, of
    /// one draw.
    fn is_local(&self, _budget: &Budget) -> bool {
        false
    }

    /// Where the next image differs; `None`: everywhere.
    fn change(&self, _state: &Self::State) -> Option<Change> {
        None
    }

    /// Writes the first image of a run to `x`, which holds the clean one.
    fn start(&self, state: &mut Self::State, sample: &Sample<'_>, x: &mut [f32]);

    /// Takes the answer about `x` and writes the next image there.
    fn step(
        &self,
        state: &mut Self::State,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step;
}
