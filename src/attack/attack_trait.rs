//! What can be run on samples: one attack, or an ensemble of them.

use crate::attack::attack_info::AttackInfo;
use crate::attack::candidate::Candidate;
use crate::attack::diagnostics::Diagnostics;
use crate::attack::effort::Effort;
use crate::attack::engine::drive;
use crate::attack::geometry::norm::Norm;
use crate::attack::loss::Loss;
use crate::attack::stepper::{Budget, Goal, Needs, Stepper};
use crate::attack::task::AttackTask;
use crate::{Error, Result};

/// What an attack found, not yet verified.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// One a sample under attack, in the order asked for.
    pub candidates: Vec<Candidate>,
    /// What gives reason to doubt the result.
    pub diagnostics: Diagnostics,
}

/// An attack with its options: every [`Stepper`] is one, and an ensemble of attacks is one.
pub trait Attack: Send + Sync {
    /// What there is to know of it before it runs.
    fn info(&self) -> AttackInfo;

    /// What it asks of a model with `classes` classes.
    fn effort(&self, norm: Norm, classes: usize) -> Effort;

    /// Attacks these of the samples, whose clean logits are finite.
    ///
    /// # Errors
    /// If the model cannot be evaluated, or an option does not fit the model, the images or the norm.
    fn search(&self, task: &AttackTask<'_>, which: &[usize]) -> Result<Search>;

    /// What is wrong with the options for this budget, though they can be run.
    fn option_warnings(&self, budget: &Budget) -> Vec<String>;
}

impl<S: Stepper> Attack for S {
    fn info(&self) -> AttackInfo {
        let loss = match self.needs() {
            Needs::Gradient(loss) => Some(loss),
            Needs::Logits(_) | Needs::Jacobian => None,
        };
        AttackInfo {
            draws: self.draws(),
            norms: Stepper::norms(self).to_vec(),
            bounded: self.goal() != Goal::NearestAnywhere,
            returns_all: self.goal() == Goal::Last,
            needs_gradients: !matches!(self.needs(), Needs::Logits(_)),
            flattens: loss.is_some_and(Loss::flattens),
            losses: loss.into_iter().collect(),
            random: self.is_random(),
            description: self.changed_options().of(self.name()),
            ..AttackInfo::of(self.name())
        }
    }

    fn effort(&self, _norm: Norm, classes: usize) -> Effort {
        Effort::of(self, classes)
    }

    fn search(&self, task: &AttackTask<'_>, which: &[usize]) -> Result<Search> {
        let (norm, info) = (task.budget.norm, self.info());
        if !info.norms.contains(&norm) {
            let problem = format!("{}; use {} there", info.missing_in(norm), instead(self, norm));
            return Err(Error::argument(self.name(), problem));
        }
        self.validate(&task.budget, task.samples.shape())?;
        Ok(Search { candidates: drive(task, self, which)?, diagnostics: Diagnostics::default() })
    }

    fn option_warnings(&self, budget: &Budget) -> Vec<String> {
        Stepper::option_warnings(self, budget)
    }
}

/// The attack that comes closest in a norm in which `attack` does not exist: what asks for as little as it does, and
/// looks for the smallest perturbation if it does.
fn instead(attack: &impl Stepper, norm: Norm) -> &'static str {
    let smallest = matches!(attack.goal(), Goal::Nearest | Goal::NearestAnywhere);
    match (attack.needs(), norm) {
        (_, Norm::L0) => "sigma-zero",
        (Needs::Logits(_), Norm::L2) => "hopskipjump",
        (Needs::Logits(_), _) => "square",
        (Needs::Jacobian, _) => "fab",
        (Needs::Gradient(_), _) if smallest => "fab",
        (Needs::Gradient(_), _) => "apgd-ce",
    }
}
