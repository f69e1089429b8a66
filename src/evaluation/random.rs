//! The accuracy of single draws of a random model under attack.

use super::interval::{mean_interval, wilson};
use crate::attack::Outcome;
use serde::{Deserialize, Serialize};

/// How accurate a random model is under attack: one draw, and the vote of many. The draws are those that decided about every
/// sample, which no attack has seen; intervals are of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomAccuracy {
    /// The accuracy that one draw has on average
    /// ([`AttackReport::expected_accuracy`](crate::attack::AttackReport::expected_accuracy)).
    pub expected_accuracy: f64,
    /// Where that of all images of this kind lies.
    pub expected_interval: [f64; 2],
    /// The share of samples that more than half of the draws classify correctly. (A sample's status is decided by the draws'
    /// mean logits instead.)
    pub majority_accuracy: f64,
    /// Where that of all images of this kind lies.
    pub majority_interval: [f64; 2],
}

impl RandomAccuracy {
    /// Of these samples: those misclassified without an attack count as often as they are right, invalid ones never. None of
    /// a model that is not random.
    pub fn of(outcomes: &[Outcome]) -> Option<Self> {
        outcomes.iter().find(|outcome| outcome.expected.is_some())?;
        let right = |outcome: &Outcome| outcome.expected.map_or(0.0, |expected| expected.attacked);
        let shares: Vec<f64> = outcomes.iter().map(right).collect();
        let count = shares.len();
        let majority = shares.iter().filter(|&&share| share > 0.5).count();
        Some(Self {
            expected_accuracy: shares.iter().sum::<f64>() / count as f64,
            expected_interval: mean_interval(&shares),
            majority_accuracy: majority as f64 / count as f64,
            majority_interval: wilson(majority, count),
        })
    }
}
