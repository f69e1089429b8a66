//! What can be run on samples: one method, or an ensemble of them.

use crate::attack::candidate::Candidate;
use crate::attack::diagnostics::Diagnostics;
use crate::attack::engine::drive;
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
    /// Its name.
    fn name(&self) -> &str;

    /// What it is called beside others: its name, with what tells it from itself.
    fn label(&self) -> String {
        self.name().to_owned()
    }

    /// Evaluations that are averaged to answer one question. (What the attack returns is judged by the draws that a random
    /// model wants, and by as many as these where a model does not say that it is random.)
    fn draws(&self) -> usize;

    /// Whether what it finds has to lie in the ball.
    fn is_bounded(&self) -> bool;

    /// Whether it returns its last points also where they fool nobody, and attacks what is misclassified already: to
    /// be shown to other models.
    fn returns_all(&self) -> bool;

    /// The class that counts as success; None: any but the label. (See [`Targeted`](crate::attack::Targeted).)
    fn target(&self) -> Option<usize> {
        None
    }

    /// Whether it is for spiking networks alone. (See [`Estimated`](crate::attack::Estimated).)
    fn needs_spikes(&self) -> bool {
        false
    }

    /// Whether what it maximizes becomes another loss where logits lie close together.
    fn flattens(&self) -> bool {
        false
    }

    /// The losses that it takes gradients of.
    fn losses(&self) -> Vec<Loss> {
        Vec::new()
    }

    /// Whether it draws random numbers itself. Else the seed makes no difference to it, unless the model draws some.
    fn is_random(&self) -> bool {
        true
    }

    /// Attacks these of the samples, whose clean logits are finite.
    ///
    /// # Errors
    /// If the model cannot be evaluated, or an option does not fit the model, the images or the norm.
    fn search(&self, task: &AttackTask<'_>, which: &[usize]) -> Result<Search>;

    /// What is wrong with the options for this budget, though they can be run.
    fn option_warnings(&self, budget: &Budget) -> Vec<String>;
}

impl<M: Stepper> Attack for M {
    fn name(&self) -> &str {
        Stepper::name(self)
    }

    fn draws(&self) -> usize {
        Stepper::draws(self)
    }

    fn is_bounded(&self) -> bool {
        self.goal() != Goal::NearestAnywhere
    }

    fn returns_all(&self) -> bool {
        self.goal() == Goal::Last
    }

    fn flattens(&self) -> bool {
        matches!(self.needs(), Needs::Gradient(loss) if loss.flattens())
    }

    fn losses(&self) -> Vec<Loss> {
        match self.needs() {
            Needs::Gradient(loss) => vec![loss],
            Needs::Logits(_) | Needs::Jacobian => Vec::new(),
        }
    }

    fn is_random(&self) -> bool {
        Stepper::is_random(self)
    }

    fn search(&self, task: &AttackTask<'_>, which: &[usize]) -> Result<Search> {
        let (norm, norms) = (task.budget.norm, Stepper::norms(self));
        if !norms.contains(&norm) {
            let names: Vec<&str> = norms.iter().map(|norm| norm.name()).collect();
            let problem = format!("exists in {}, not in {norm}", names.join(", "));
            return Err(Error::argument(Stepper::name(self), problem));
        }
        self.validate(&task.budget, task.samples.shape())?;
        Ok(Search { candidates: drive(task, self, which)?, diagnostics: Diagnostics::default() })
    }

    fn option_warnings(&self, budget: &Budget) -> Vec<String> {
        Stepper::option_warnings(self, budget)
    }
}
