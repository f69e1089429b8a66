//! An attack whose images are made on one model and shown to another.

use crate::Result;
use crate::attack::loss::Loss;
use crate::attack::search::{Attack, Search};
use crate::attack::stepper::Budget;
use crate::attack::task::AttackTask;
use crate::kernels::lif::Estimator;
use crate::nn::Classifier;

/// An attack on `source` that counts where its images fool the model in question. It is to return all its last points: what
/// does not fool the one may fool the other.
pub struct Transferred<'a> {
    /// The attack.
    pub attack: Box<dyn Attack>,
    /// The model that images are made on.
    pub source: &'a dyn Classifier,
    /// What it is called.
    pub name: &'static str,
}

/// Searches on another model than the task's.
pub(super) fn search_on(
    attack: &dyn Attack,
    source: &dyn Classifier,
    name: &str,
    job: &AttackTask<'_>,
    which: &[usize],
) -> Result<Search> {
    let there = AttackTask { classifier: source, estimator: Estimator::default(), ..*job };
    let mut search = attack.search(&there, which)?;
    for candidate in &mut search.candidates {
        // What is no number there may be one here.
        candidate.invalid = false;
        if let Some(hit) = &mut candidate.hit {
            hit.winner.attack = format!("{}:source={name}", hit.winner.attack).into();
        }
    }
    Ok(search)
}

impl Attack for Transferred<'_> {
    fn name(&self) -> &str {
        self.attack.name()
    }

    fn label(&self) -> String {
        format!("{}:source={}", self.attack.label(), self.name)
    }

    fn draws(&self) -> usize {
        self.attack.draws()
    }

    fn is_bounded(&self) -> bool {
        self.attack.is_bounded()
    }

    fn returns_all(&self) -> bool {
        false
    }

    fn losses(&self) -> Vec<Loss> {
        self.attack.losses()
    }

    fn is_random(&self) -> bool {
        self.attack.is_random()
    }

    fn search(&self, job: &AttackTask<'_>, which: &[usize]) -> Result<Search> {
        search_on(self.attack.as_ref(), self.source, self.name, job, which)
    }

    fn option_warnings(&self, budget: &Budget) -> Vec<String> {
        self.attack.option_warnings(budget)
    }
}
