//! An attack of an ensemble.

use crate::Result;
use crate::attack::attack_info::AttackInfo;
use crate::attack::attack_trait::{Attack, Search};
use crate::attack::candidate::Candidate;
use crate::attack::changed_options::described;
use crate::attack::diagnostics::Diagnostics;
use crate::attack::ensemble::transferred::search_on;
use crate::attack::task::AttackTask;

/// An attack of the ensemble, and the model on which its images are made.
pub struct Member {
    /// The attack.
    pub attack: Box<dyn Attack>,
    /// Whether it attacks the network of rectifiers with the same weights
    /// ([`rectified`](crate::attack::Classifier::rectified)), and shows what it finds.
    pub transfer: bool,
}

impl Member {
    /// On the model itself.
    pub fn of(attack: Box<dyn Attack>) -> Self {
        Self { attack, transfer: false }
    }

    /// On its rectifiers.
    pub fn transfer(attack: Box<dyn Attack>) -> Self {
        Self { attack, transfer: true }
    }

    /// Whether it follows gradients of the model itself.
    pub fn needs_gradients(&self) -> bool {
        !self.transfer && self.attack.info().needs_gradients
    }

    /// Attacks these samples. A model that is not a network of rectifiers in another guise has no such view of it, and then
    /// nothing is found.
    pub fn search(&self, task: &AttackTask<'_>, which: &[usize]) -> Result<Search> {
        if !self.transfer {
            return self.attack.search(task, which);
        }
        let Some(view) = task.classifier.rectified() else {
            let candidates = which.iter().map(|&sample| Candidate::new(sample)).collect();
            return Ok(Search { candidates, diagnostics: Diagnostics::default() });
        };
        search_on(self.attack.as_ref(), view, RECTIFIERS, task, which)
    }

    /// What it is called in the list of who found what: with all its settings where another one of `members` has the same
    /// name.
    pub(super) fn label(&self, members: &[Self]) -> String {
        let AttackInfo { label, description, .. } = self.attack.info();
        let alike =
            |other: &&Self| other.transfer == self.transfer && other.attack.info().label == label;
        let name = if members.iter().filter(alike).count() > 1 { description } else { label };
        if self.transfer { described(&name, &format!("source={RECTIFIERS}")) } else { name }
    }
}

/// What a network's rectifiers are called as a source of images.
const RECTIFIERS: &str = "rectifiers";
