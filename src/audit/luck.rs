//! What is luck in an audit of a random model: at the boundary, an attack that finds nothing may find something when it is run again.

use super::subject::Subject;
use crate::Result;
use crate::attack::{Apgd, Attack, Budget};

/// How often gradients are tried again.
const AGAIN: u64 = 3;

impl Subject<'_> {
    /// Those of `found` that are beyond what gradients find: all of them, or of a random model those that withstand gradients that are
    /// averaged over its draws and tried again, as another attack was another try.
    pub fn beyond_luck(&mut self, found: Vec<usize>) -> Result<Vec<usize>> {
        if !self.model.is_random() {
            return Ok(found);
        }
        let attack = Apgd { draws: self.model.draws(), ..Apgd::default() };
        self.left_again(&attack, found, self.budget, AGAIN)
    }

    /// Those that an attack leaves each time, run so often with draws of its own; what it fools counts in nothing.
    pub fn left_again(
        &mut self,
        attack: &dyn Attack,
        which: Vec<usize>,
        budget: Budget,
        times: u64,
    ) -> Result<Vec<usize>> {
        (1..=times).try_fold(which, |left, time| {
            let budget = Budget { seed: budget.seed.wrapping_add(time), ..budget };
            self.left_at(attack, &left, budget)
        })
    }
}
