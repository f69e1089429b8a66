//! What is luck in an audit of a random model: at the boundary, an attack that finds nothing may find something when it is run
//! again.

use super::subject::Subject;
use crate::Result;
use crate::attack::{Apgd, Attack, Budget};

/// How often gradients and the attack that went beyond them are tried again.
const AGAIN: u64 = 3;

impl Subject<'_> {
    /// Those of `found`, by `attack`, that are beyond what gradients find: all of them, or of a random model those that
    /// withstand gradients that are averaged over its draws each time they are tried again, as the attack was another try, and
    /// that the attack fools each time too.
    pub fn beyond_luck(&mut self, attack: &dyn Attack, found: Vec<usize>) -> Result<Vec<usize>> {
        if !self.model.is_random() {
            return Ok(found);
        }
        let gradients = Apgd { draws: self.model.draws(), ..Apgd::default() };
        let mut found = self.left_again(&gradients, found, self.budget, AGAIN)?;
        for time in 1..=AGAIN {
            let left = self.left_at(attack, &found, again(self.budget, time))?;
            found.retain(|i| !left.contains(i));
        }
        Ok(found)
    }

    /// Those that an attack leaves each time, run so often with draws of its own; what it fools counts in nothing.
    pub fn left_again(
        &mut self,
        attack: &dyn Attack,
        which: Vec<usize>,
        budget: Budget,
        times: u64,
    ) -> Result<Vec<usize>> {
        (1..=times).try_fold(which, |left, time| self.left_at(attack, &left, again(budget, time)))
    }
}

/// A budget with draws of its own for each time.
fn again(budget: Budget, time: u64) -> Budget {
    Budget { seed: budget.seed.wrapping_add(time), ..budget }
}
