//! Whether an attack had come to its end: the loss of what withstands it, over its steps (Pintor et al. 2022, "Indicators of
//! attack failure").

use super::report::Check;
use super::statistics::deviation;
use super::subject::{ShareCheck, Subject};
use crate::Result;
use crate::attack::extend::{ChangedOptions, Feedback, Needs, Runs, Sample, Step, Stepper};
use crate::attack::{Budget, Loss, Norm, Pgd};
use crate::simd::random::Key;
use crate::tensor::Shape;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Steps at the end that should change nothing any more.
const LAST: usize = 10;

/// The share of its whole rise that the loss may still rise in these.
const STILL: f32 = 0.05;

/// PGD, and whether the loss of every image was still rising at its last step.
struct Watched<'a> {
    attack: Pgd,
    /// Whether the model draws on its own, so that losses vary from step to step.
    noisy: bool,
    rising: &'a Mutex<HashMap<Key, bool>>,
}

/// That of PGD, and the loss after every step.
struct WatchedState {
    inner: <Pgd as Stepper>::State,
    losses: Vec<f32>,
}

impl Watched<'_> {
    /// Whether the best loss was still rising, on its own scale.
    fn is_rising(losses: &[f32]) -> bool {
        let best = |some: &[f32]| some.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let Some(&first) = losses.first() else { return false };
        let last = best(losses);
        let before = best(&losses[..losses.len().saturating_sub(LAST).max(1)]);
        last > first && (last - before) / (last - first) > STILL
    }

    /// The same of losses that vary from step to step, of which the best is luck: whether the last ones are higher than as
    /// many before them, by more than their mean varies, and on the scale of the whole rise.
    fn is_surely_rising(losses: &[f32]) -> bool {
        let count = losses.len();
        if count < 3 * LAST {
            return false;
        }
        let mean = |some: &[f32]| some.iter().map(|&x| f64::from(x)).sum::<f64>() / LAST as f64;
        let (earlier, last) = losses[count - 2 * LAST..].split_at(LAST);
        let variance = deviation(earlier).powi(2) + deviation(last).powi(2);
        let rise = mean(last) - mean(earlier);
        let whole = mean(last) - mean(&losses[..LAST]);
        rise > 2.0 * (variance / LAST as f64).sqrt() && rise > f64::from(STILL) * whole
    }
}

impl Stepper for Watched<'_> {
    type State = WatchedState;

    fn name(&self) -> &'static str {
        self.attack.name()
    }

    fn changed_options(&self) -> ChangedOptions {
        self.attack.changed_options()
    }

    fn needs(&self) -> Needs {
        self.attack.needs()
    }

    fn norms(&self) -> &'static [Norm] {
        self.attack.norms()
    }

    fn evaluations(&self) -> usize {
        self.attack.evaluations()
    }

    fn goal(&self) -> crate::attack::Goal {
        self.attack.goal()
    }

    fn runs(&self, classes: usize) -> Runs {
        self.attack.runs(classes)
    }

    fn draws(&self) -> usize {
        Stepper::draws(&self.attack)
    }

    fn validate(&self, budget: &Budget, shape: Shape) -> Result<()> {
        self.attack.validate(budget, shape)
    }

    fn state(&self, shape: Shape, classes: usize) -> WatchedState {
        WatchedState { inner: self.attack.state(shape, classes), losses: Vec::new() }
    }

    fn start(&self, state: &mut WatchedState, sample: &Sample<'_>, x: &mut [f32]) {
        state.losses.clear();
        self.attack.start(&mut state.inner, sample, x);
    }

    fn step(
        &self,
        state: &mut WatchedState,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        state.losses.push(answer.loss);
        let step = self.attack.step(&mut state.inner, sample, answer, x);
        if step == Step::Last {
            let mut rising = self.rising.lock().unwrap_or_else(PoisonError::into_inner);
            let is_rising = if self.noisy { Self::is_surely_rising } else { Self::is_rising };
            rising.insert(identity(sample.clean), is_rising(&state.losses));
        }
        step
    }
}

/// What tells an image from others: an attack does not know its place.
fn identity(image: &[f32]) -> Key {
    image.iter().fold(Key::new(0), |key, pixel| key.with(pixel.to_bits().into()))
}

/// Whether a hundred steps are enough for what withstands everything so far.
pub(super) fn convergence(subject: &mut Subject<'_>) -> Result<Check> {
    let rising = Mutex::new(HashMap::new());
    let attack = Pgd { loss: Loss::Margin, steps: 100, ..Pgd::default() };
    let left = Subject::some(&subject.survivors(), 256);
    let noisy = !subject.model.draws_by_key();
    let found = subject.attack(&Watched { attack, noisy, rising: &rising }, &left)?;
    let rising = rising.into_inner().unwrap_or_else(PoisonError::into_inner);
    let withstand = left.iter().filter(|i| !found.contains(i));
    let ends: Vec<bool> = withstand
        .filter_map(|&i| rising.get(&identity(subject.samples.image(i))).copied())
        .collect();
    let check = ShareCheck {
        name: "convergence",
        catches: "too few steps",
        measures: "images that survive 100 steps of PGD and gain a twentieth of their loss in the last ten",
        fail: None,
        warn: Some(0.1),
        meaning: "the attack had not converged: use more steps, or smaller ones at the end (apgd-ce)",
    };
    let rising = ends.iter().filter(|&&rising| rising).count();
    // Draws have a part in it.
    Ok(subject.share(check, rising, ends.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::geometry::random::symmetric;

    #[test]
    fn a_loss_rises_until_it_does_not() {
        let ramp: Vec<f32> = (0..100).map(|i| i as f32).collect();
        assert!(Watched::is_rising(&ramp));
        let flat: Vec<f32> = (0..100).map(|i| (i as f32).min(50.0)).collect();
        assert!(!Watched::is_rising(&flat));
        assert!(!Watched::is_rising(&[]) && !Watched::is_rising(&[1.0; 100]));
        // It is the best loss that counts: one that was lower meanwhile has not risen.
        let dip: Vec<f32> =
            (0..100).map(|i| if i < 85 { (i as f32).min(50.0) } else { 40.0 }).collect();
        assert!(!Watched::is_rising(&dip));
    }

    /// Losses of noise alone have their best among the last ten as often as anywhere, and do not rise.
    #[test]
    fn the_best_of_noise_is_no_rise() {
        let random = &mut Key::new(5).generator();
        let mut noise = |slope: f32| -> Vec<f32> {
            let height = |i: usize| (0.2 * i as f32).min(4.0) + slope * i as f32;
            (0..100).map(|i| height(i) + symmetric(random)).collect()
        };
        let rising = |slope, of: &mut dyn FnMut(f32) -> Vec<f32>, is: fn(&[f32]) -> bool| {
            (0..1000).filter(|_| is(&of(slope))).count()
        };
        let luck = rising(0.0, &mut noise, Watched::is_surely_rising);
        assert!(luck < 60, "{luck} of 1,000");
        let sure = rising(0.2, &mut noise, Watched::is_surely_rising);
        assert!(sure > 950, "{sure} of 1,000");
        assert!(!Watched::is_surely_rising(&[]) && !Watched::is_surely_rising(&[1.0; 100]));
    }
}
