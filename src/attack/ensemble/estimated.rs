//! Any attack that follows gradients, with those of spikes estimated in another way than the network's own.

use crate::Result;
use crate::attack::attack_info::AttackInfo;
use crate::attack::attack_trait::{Attack, Search};
use crate::attack::changed_options::described;
use crate::attack::effort::Effort;
use crate::attack::estimator_text;
use crate::attack::geometry::norm::Norm;
use crate::attack::stepper::Budget;
use crate::attack::task::AttackTask;
use crate::kernels::lif::Estimator;

/// An attack on a spiking network that is given this estimate of its gradients. What the network decides is what it
/// decides without.
pub struct Estimated {
    /// The attack.
    pub attack: Box<dyn Attack>,
    /// What stands for the gradients of spikes.
    pub estimator: Estimator,
}

impl Attack for Estimated {
    fn info(&self) -> AttackInfo {
        let inner = self.attack.info();
        let options = estimator_text::options(&self.estimator);
        let label = format!("{}:{options}", inner.label);
        let description = described(&inner.description, &options);
        let needs_windows = inner.needs_windows || self.estimator.pool.is_some();
        AttackInfo { label, description, needs_spikes: true, needs_windows, ..inner }
    }

    fn effort(&self, norm: Norm, classes: usize) -> Effort {
        self.attack.effort(norm, classes)
    }

    fn search(&self, task: &AttackTask<'_>, which: &[usize]) -> Result<Search> {
        self.attack.search(&AttackTask { estimator: self.estimator, ..*task }, which)
    }

    fn option_warnings(&self, budget: &Budget) -> Vec<String> {
        self.attack.option_warnings(budget)
    }
}
