//! The options of a training.

use super::{Augmentation, Rule, Schedule};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How to train. The default is the paper's control (docs/method.md, section 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrainingOptions {
    /// Passes over the training set.
    pub epochs: usize,
    /// Images a step; a last, smaller batch is dropped.
    pub batch_size: usize,
    /// Learning rate, before the schedule.
    pub learning_rate: f32,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Epochs over which the learning rate rises in a straight line, from one step's share to what the schedule says.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub warm_up: f32,
    /// How a gradient becomes a step.
    pub rule: Rule,
    /// Share of the labels' probability that is spread evenly over all classes, the right one too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_smoothing: f32,
    /// Temperature of the soft-max in the loss.
    pub temperature: f32,
    /// The seed of the order of images, and of what [`augmentation`](Self::augmentation) does to each.
    pub seed: u64,
    /// How images are changed before they are learned from.
    #[serde(default, skip_serializing_if = "Augmentation::is_off")]
    pub augmentation: Augmentation,
    /// Share of the last average in the moving average of weights and statistics that the training ends with; 0: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub average: f32,
    /// How far the weights of each layer go up the loss before the gradient of a step is taken, as a share of their own
    /// length (Wu et al. 2020, adversarial weight perturbation); 0: not at all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight_perturbation: f32,
}

crate::options::with!(TrainingOptions);

/// Whether it is the default, which files from before the option was added do not mention.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 128,
            learning_rate: 0.1,
            schedule: Schedule::Constant,
            warm_up: 0.0,
            rule: Rule::SGD,
            label_smoothing: 0.0,
            temperature: 1.0,
            seed: 0,
            augmentation: Augmentation::default(),
            average: 0.0,
            weight_perturbation: 0.0,
        }
    }
}

impl TrainingOptions {
    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// If a batch is too small for statistics, the learning rate or the temperature is not a positive number, the warm-up
    /// is negative, or the label smoothing, the average or the weight perturbation is no such share.
    pub fn validate(&self) -> Result<()> {
        let fail = |problem: String| Err(Error::argument("training", problem));
        if self.batch_size < 2 {
            let size = self.batch_size;
            return fail(format!("batch size {size}: batch statistics need at least 2 images"));
        }
        for (name, value) in
            [("learning rate", self.learning_rate), ("temperature", self.temperature)]
        {
            if !(value > 0.0 && value.is_finite()) {
                return fail(format!("{name} {value} is not a positive number"));
            }
        }
        if !(self.warm_up >= 0.0 && self.warm_up.is_finite()) {
            return fail(format!("warm-up {} is not zero or a number of epochs", self.warm_up));
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return fail(format!("label smoothing {} is not in 0..1", self.label_smoothing));
        }
        if !(0.0..1.0).contains(&self.average) {
            return fail(format!("average {} is not in 0..1", self.average));
        }
        if !(0.0..=1.0).contains(&self.weight_perturbation) {
            let problem =
                format!("weight perturbation {} is not in 0..=1", self.weight_perturbation);
            return fail(problem);
        }
        self.rule.validate()?;
        self.schedule.validate()
    }

    /// The learning rate of a step, counted from 0.
    pub fn rate(&self, step: u64, steps_per_epoch: u64) -> f32 {
        let rate = self.learning_rate * self.schedule.factor(step, steps_per_epoch, self.epochs);
        let rising = self.warm_up * steps_per_epoch as f32;
        let reached = step.saturating_add(1) as f32;
        if reached < rising { rate * (reached / rising) } else { rate }
    }
}
