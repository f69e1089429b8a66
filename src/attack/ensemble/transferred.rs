//! An attack whose images are made on one model and shown to another.

use crate::Result;
use crate::attack::attack_info::AttackInfo;
use crate::attack::attack_trait::{Attack, Search};
use crate::attack::changed_options::described;
use crate::attack::effort::Effort;
use crate::attack::geometry::norm::Norm;
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
    task: &AttackTask<'_>,
    which: &[usize],
) -> Result<Search> {
    let there = AttackTask { classifier: source, estimator: Estimator::default(), ..*task };
    there.check_spikes(&attack.info())?;
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
    fn info(&self) -> AttackInfo {
        let inner = self.attack.info();
        let label = format!("{}:source={}", inner.label, self.name);
        let description = described(&inner.description, &format!("source={}", self.name));
        // What is asked of the source's gradients and logits is no matter of the model that is shown the images.
        AttackInfo {
            label,
            description,
            returns_all: false,
            needs_gradients: false,
            needs_spikes: false,
            needs_windows: false,
            flattens: false,
            ..inner
        }
    }

    fn effort(&self, norm: Norm, classes: usize) -> Effort {
        self.attack.effort(norm, classes)
    }

    fn search(&self, task: &AttackTask<'_>, which: &[usize]) -> Result<Search> {
        search_on(self.attack.as_ref(), self.source, self.name, task, which)
    }

    fn option_warnings(&self, budget: &Budget) -> Vec<String> {
        self.attack.option_warnings(budget)
    }
}
