//! Any attack, steered at one class: success is that class and no other.

use crate::Result;
use crate::attack::loss::Loss;
use crate::attack::search::{Attack, Search};
use crate::attack::stepper::Budget;
use crate::attack::task::AttackTask;

/// An attack that succeeds where the model answers with `class`. Losses of the label become losses of that class with the
/// sign turned: what was to fall rises. Samples of that class are not attacked.
pub struct Targeted {
    /// The attack.
    pub attack: Box<dyn Attack>,
    /// The class.
    pub class: usize,
}

impl Attack for Targeted {
    fn name(&self) -> &str {
        self.attack.name()
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
        Some(self.class)
    }

    fn needs_spikes(&self) -> bool {
        self.attack.needs_spikes()
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
        self.attack.search(&AttackTask { target: Some(self.class), ..*job }, which)
    }

    fn option_warnings(&self, budget: &Budget) -> Vec<String> {
        self.attack.option_warnings(budget)
    }
}
