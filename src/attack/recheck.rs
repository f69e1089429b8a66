//! Detects models that change during an attack: repeats earlier queries afterward and compares the answers.

use crate::Result;
use crate::attack::outcome::{Outcome, Status};
use crate::attack::task::AttackTask;
use crate::attack::verification::judge;
use crate::nn::{margin, rounding};

/// Two answers about one image may differ by this share of the median margin: batches differ, and with them the last digits.
const SHARE: f32 = 0.01;

/// Which samples the model answers differently than before the attack.
pub(super) struct Recheck {
    /// By sample; empty of a model that cannot change.
    changed: Vec<bool>,
    /// A margin so large that rounding cannot have turned a negative one into it.
    least: f32,
}

impl Recheck {
    /// None, of a model that cannot change.
    fn none() -> Self {
        Self { changed: Vec::new(), least: f32::INFINITY }
    }

    /// Asks about all clean samples again, if the model may change and its first answers are known. The verdicts of an attack
    /// hold only for a model whose answers stayed the same.
    pub fn of(task: &AttackTask<'_>) -> Result<Self> {
        if !task.classifier.may_change() || task.clean_logits.is_empty() {
            return Ok(Self::none());
        }
        let (samples, classes) = (task.samples, task.classifier.classes());
        let images: Vec<&[f32]> = (0..samples.len()).map(|i| samples.image(i)).collect();
        let all: Vec<usize> = (0..samples.len()).collect();
        let now = judge(task, 1, &images, &all)?;
        let before = task.clean_logits.chunks(classes).zip(samples.labels());
        let margins: Vec<f32> = before.clone().map(|(z, &label)| margin(z, label)).collect();
        let sizes = margins.iter().filter(|m| m.is_finite()).map(|m| f64::from(m.abs()));
        let least = SHARE * median(sizes.collect()) as f32;
        let differs = |((z, &label), now): ((&[f32], &usize), &[f32])| {
            let (before, after) = (margin(z, label), margin(now, label));
            match before.is_finite() && after.is_finite() {
                true => (before - after).abs() > least + rounding(z),
                false => before.is_finite() != after.is_finite(),
            }
        };
        let now = now.iter().map(|verdict| verdict.logits.as_slice());
        Ok(Self { changed: before.zip(now).map(differs).collect(), least })
    }

    /// Whether it answers differently about this sample.
    pub fn has(&self, sample: usize) -> bool {
        self.changed.get(sample).copied().unwrap_or(false)
    }

    /// Whether the logits of an image that fooled the model are now so clearly right that the model must have changed.
    pub fn explain(&self, logits: &[f32], label: usize) -> bool {
        margin(logits, label) > self.least + rounding(logits)
    }

    /// Marks these samples as invalid, adds the cost of asking, and returns how many there are.
    pub fn enter(&self, outcomes: &mut [Outcome]) -> usize {
        for (outcome, &changed) in outcomes.iter_mut().zip(&self.changed) {
            outcome.cost.forward_passes += 1;
            if changed {
                outcome.status = Status::Invalid;
            }
        }
        self.changed.iter().filter(|&&changed| changed).count()
    }
}

/// The middle of numbers, 0 of none. What is not a number counts as the largest.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}
