//! What an attack asks of a model, known before it runs.

use crate::attack::stepper::{Needs, Stepper};
use std::ops::{Add, Mul};

/// What it takes to attack one image that withstands everything: about as much, where it depends on the model's answers. What
/// fools the model on the way may cost less. The [`Cost`](crate::attack::Cost) of an outcome is what was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Effort {
    /// Forward passes.
    pub forward_passes: f64,
    /// Backward passes.
    pub backward_passes: f64,
    /// The attack's own arithmetic where it is not small beside these, in forward and backward passes of LeNet together.
    pub own_work: f64,
}

impl Effort {
    /// Of an attack with all its runs, on a model with `classes` classes.
    pub(super) fn of<S: Stepper>(attack: &S, classes: usize) -> Self {
        let runs = attack.runs(classes);
        let targets = runs.targets.min(classes.saturating_sub(1)).max(1);
        let evaluations = attack.evaluations() as f64;
        let gradients = match attack.needs() {
            Needs::Logits(_) => 0,
            Needs::Gradient(_) => 1,
            Needs::Jacobian => classes,
        };
        let once = Self {
            forward_passes: evaluations,
            backward_passes: evaluations * gradients as f64,
            own_work: 0.0,
        };
        let all = once * (runs.restarts.max(1) * targets * attack.draws().max(1)) as f64;
        Self { own_work: attack.own_work() * all.forward_passes, ..all }
    }
}

impl Add for Effort {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            forward_passes: self.forward_passes + other.forward_passes,
            backward_passes: self.backward_passes + other.backward_passes,
            own_work: self.own_work + other.own_work,
        }
    }
}

impl Mul<f64> for Effort {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self {
            forward_passes: factor * self.forward_passes,
            backward_passes: factor * self.backward_passes,
            own_work: factor * self.own_work,
        }
    }
}
