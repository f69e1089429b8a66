//! Any attack that follows gradients, with those of spikes estimated in another way than the network's own.

use crate::Result;
use crate::attack::loss::Loss;
use crate::attack::search::{Attack, Search};
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
    fn name(&self) -> &str {
        self.attack.name()
    }

    fn label(&self) -> String {
        format!("{}:{}", self.attack.label(), self.estimator.options())
    }

    fn draws(&self) -> usize {
        self.attack.draws()
    }

    fn is_bounded(&self) -> bool {
        self.attack.is_bounded()
    }

    fn returns_all(&self) -> bool {
        self.attack.returns_all()
    }

    fn target(&self) -> Option<usize> {
        self.attack.target()
    }

    fn needs_spikes(&self) -> bool {
        true
    }

    fn flattens(&self) -> bool {
        self.attack.flattens()
    }

    fn losses(&self) -> Vec<Loss> {
        self.attack.losses()
    }

    fn is_random(&self) -> bool {
        self.attack.is_random()
    }

    fn search(&self, job: &AttackTask<'_>, which: &[usize]) -> Result<Search> {
        self.attack.search(&AttackTask { estimator: self.estimator, ..*job }, which)
    }

    fn option_warnings(&self, budget: &Budget) -> Vec<String> {
        self.attack.option_warnings(budget)
    }
}
