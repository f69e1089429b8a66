//! Whether an attack had come to its end: the loss of what withstands it, over its steps (Pintor et al. 2022, "Indicators of
//! attack failure").

use super::report::Check;
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
    rising: &'a Mutex<HashMap<Key, bool>>,
}

/// That of PGD, and the best loss after every step.
struct WatchedState {
    inner: <Pgd as Stepper>::State,
    best: Vec<f32>,
}

impl Watched<'_> {
    /// Whether the loss was still rising, on its own scale.
    fn is_rising(best: &[f32]) -> bool {
        let (Some(&first), Some(&last)) = (best.first(), best.last()) else { return false };
        let before = best[best.len().saturating_sub(LAST + 1)];
        last > first && (last - before) / (last - first) > STILL
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
        WatchedState { inner: self.attack.state(shape, classes), best: Vec::new() }
    }

    fn start(&self, state: &mut WatchedState, sample: &Sample<'_>, x: &mut [f32]) {
        state.best.clear();
        self.attack.start(&mut state.inner, sample, x);
    }

    fn step(
        &self,
        state: &mut WatchedState,
        sample: &Sample<'_>,
        answer: &Feedback<'_>,
        x: &mut [f32],
    ) -> Step {
        let before = state.best.last().copied().unwrap_or(f32::NEG_INFINITY);
        state.best.push(before.max(answer.loss));
        let step = self.attack.step(&mut state.inner, sample, answer, x);
        if step == Step::Last {
            let mut rising = self.rising.lock().unwrap_or_else(PoisonError::into_inner);
            rising.insert(identity(sample.clean), Self::is_rising(&state.best));
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
    let found = subject.attack(&Watched { attack, rising: &rising }, &left)?;
    let rising = rising.into_inner().unwrap_or_else(PoisonError::into_inner);
    let withstand = left.iter().filter(|i| !found.contains(i));
    let ends: Vec<bool> = withstand
        .filter_map(|&i| rising.get(&identity(subject.samples.image(i))).copied())
        .collect();
    let check = ShareCheck {
        name: "convergence",
        measures: "images that survive 100 steps of PGD and gain a twentieth of their loss in the last ten",
        fail: None,
        warn: Some(0.1),
        meaning: "the attack had not converged: use more steps, or smaller ones at the end (apgd-ce)",
    };
    let rising = ends.iter().filter(|&&rising| rising).count();
    // The highest of a hundred losses that are mostly noise is as likely the last as any.
    Ok(subject.share(check, rising, ends.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_rises_until_it_does_not() {
        let ramp: Vec<f32> = (0..100).map(|i| i as f32).collect();
        assert!(Watched::is_rising(&ramp));
        let flat: Vec<f32> = (0..100).map(|i| (i as f32).min(50.0)).collect();
        assert!(!Watched::is_rising(&flat));
        assert!(!Watched::is_rising(&[]) && !Watched::is_rising(&[1.0; 100]));
    }
}
