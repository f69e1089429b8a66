//! Any attack, steered at one class: success is that class and no other.

use crate::Result;
use crate::attack::attack_info::AttackInfo;
use crate::attack::attack_trait::{Attack, Search};
use crate::attack::changed_options::described;
use crate::attack::effort::Effort;
use crate::attack::geometry::norm::Norm;
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
    fn info(&self) -> AttackInfo {
        let inner = self.attack.info();
        let label = format!("{}:target={}", inner.label, self.class);
        let description = described(&inner.description, &format!("target={}", self.class));
        AttackInfo { label, description, target: Some(self.class), ..inner }
    }

    fn effort(&self, norm: Norm, classes: usize) -> Effort {
        self.attack.effort(norm, classes)
    }

    fn search(&self, task: &AttackTask<'_>, which: &[usize]) -> Result<Search> {
        self.attack.search(&AttackTask { target: Some(self.class), ..*task }, which)
    }

    fn option_warnings(&self, budget: &Budget) -> Vec<String> {
        self.attack.option_warnings(budget)
    }
}
