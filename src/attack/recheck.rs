//! Whether a model of somebody else's still answers as it did: what it said before an attack is asked again after it.

use crate::Result;
use crate::attack::outcome::{Outcome, Status};
use crate::attack::task::AttackTask;
use crate::attack::verification::judge;
use crate::nn::{margin, rounding};

/// By which share of the median margin a margin may differ that was asked for twice: batches differ, and with them the last
/// digits.
const SHARE: f32 = 0.01;

/// Which samples the model answers otherwise than before the attack.
pub(super) struct Recheck {
    /// By sample; empty of a model that cannot change.
    changed: Vec<bool>,
    /// A margin that no chance makes of one that is negative.
    least: f32,
}

impl Recheck {
    /// None, of a model that cannot change.
    fn none() -> Self {
        Self { changed: Vec::new(), least: f32::INFINITY }
    }

    /// Asks again about all clean samples, if the model may change and it is known what it said. What it says about an image
    /// that it was shown in the meantime follows it: the attack's verdicts hold only as long as this one.
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
        let least = SHARE * median(&margins);
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

    /// Whether it answers this sample otherwise.
    pub fn has(&self, sample: usize) -> bool {
        self.changed.get(sample).copied().unwrap_or(false)
    }

    /// Whether logits of an image that seemed to fool the model are so clearly right that it must have changed.
    pub fn explain(&self, logits: &[f32], label: usize) -> bool {
        margin(logits, label) > self.least + rounding(logits)
    }

    /// Enters them into the outcomes, and what it cost to ask; how many there are.
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

/// The median size of the numbers that are finite.
fn median(numbers: &[f32]) -> f32 {
    let mut sizes: Vec<f32> = numbers.iter().filter(|n| n.is_finite()).map(|n| n.abs()).collect();
    sizes.sort_by(f32::total_cmp);
    sizes.get(sizes.len() / 2).copied().unwrap_or(0.0)
}
