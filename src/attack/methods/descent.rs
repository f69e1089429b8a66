//! What descents to the smallest perturbation share.

use crate::attack::geometry::random::normals;
use crate::attack::stepper::{Feedback, Sample};
use crate::nn::rounding;
use crate::{Error, Result};

/// From `first` to `last` over the steps, along half a period of the cosine.
pub(super) fn cosine(first: f32, last: f32, step: usize, steps: usize) -> f32 {
    let phase = std::f64::consts::PI * step as f64 / steps.max(1) as f64;
    last + (first - last) * (0.5 * (1.0 + phase.cos())) as f32
}

/// The gradient, or in its place where it vanishes a random direction in `noise`: without a gradient any direction is as
/// good as another.
pub(super) fn direction<'a>(
    sample: &Sample<'_>,
    answer: &Feedback<'a>,
    taken: usize,
    noise: &'a mut [f32],
) -> &'a [f32] {
    if answer.gradient.iter().any(|&g| g != 0.0) {
        return answer.gradient;
    }
    normals(sample.isa, &mut sample.key.with(taken as u64).generator(), noise);
    noise
}

/// By how much an image of a Carlini-Wagner attack misses its margin, or negative. The pull ends where the margin is exceeded
/// by more than what counts, not on its very edge.
pub(super) fn hinge(kappa: f32, answer: &Feedback<'_>) -> f32 {
    answer.margin + kappa.max(2.0 * rounding(answer.logits))
}

/// Refuses options that no Carlini-Wagner attack can run with: the first two are its steps and the length of its search.
pub(super) fn check_search(
    attack: &'static str,
    [steps, search]: [usize; 2],
    positive: &[(&str, f32)],
    kappa: f32,
) -> Result<()> {
    let refuse = |problem: String| Err(Error::argument(attack, problem));
    if steps == 0 || search == 0 {
        return refuse(format!("steps {steps}, search {search}: at least 1"));
    }
    if let Some((name, value)) =
        positive.iter().find(|(_, value)| !(*value > 0.0 && value.is_finite()))
    {
        return refuse(format!("{name} {value} is not positive"));
    }
    if !(kappa >= 0.0 && kappa.is_finite()) {
        return refuse(format!("kappa {kappa} is not a number, 0 or greater"));
    }
    Ok(())
}

/// Adam's decays.
pub(super) const DECAY: [f32; 2] = [0.9, 0.999];

/// Adam over an image's pixels, one by one. (Carlini and Wagner's attack in L2 has its own, on lanes.)
pub(super) struct Adam {
    taken: i32,
    /// What makes moments of few steps as large as those of many.
    corrections: [f32; 2],
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Adam {
    /// For this many pixels.
    pub fn new(pixels: usize) -> Self {
        let zeros = || vec![0.0; pixels];
        Self { taken: 0, corrections: [1.0; 2], mean: zeros(), square: zeros() }
    }

    /// Forgets all steps.
    pub fn restart(&mut self) {
        self.taken = 0;
        self.mean.fill(0.0);
        self.square.fill(0.0);
    }

    /// Another step begins.
    pub fn advance(&mut self) {
        self.taken += 1;
        self.corrections = DECAY.map(|decay| 1.0 / (1.0 - decay.powi(self.taken)));
    }

    /// How much this step subtracts from pixel `i`, whose derivative is `g`.
    pub fn fall(&mut self, i: usize, g: f32, rate: f32) -> f32 {
        self.mean[i] = DECAY[0] * self.mean[i] + (1.0 - DECAY[0]) * g;
        self.square[i] = DECAY[1] * self.square[i] + (1.0 - DECAY[1]) * g * g;
        let root = (self.square[i] * self.corrections[1]).sqrt() + 1e-8;
        rate * self.mean[i] * self.corrections[0] / root
    }
}
