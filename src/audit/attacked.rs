//! What becomes of samples under attack, and which finds hold by other arithmetic than the attack's own.

use super::report::Attacked;
use super::subject::Subject;
use crate::Result;
use crate::attack::geometry::ball::{distance, reach};
use crate::attack::{Attack, Budget, Outcome, Point, Status, run_attack};
use crate::nn::predict;

/// The samples that an attack fooled, and those for which it met logits that are not finite.
#[derive(Default)]
pub(super) struct AttackFinds {
    pub fooled: Vec<usize>,
    pub invalid: Vec<usize>,
}

impl Subject<'_> {
    /// Attacks some of the samples within the budget; returns those that it fooled, which count in the number to report.
    pub fn attack(&mut self, attack: &dyn Attack, which: &[usize]) -> Result<Vec<usize>> {
        let AttackFinds { fooled, invalid } = self.attack_at(attack, which, self.budget)?;
        fooled.iter().for_each(|&i| self.fooled[i] = true);
        invalid.iter().for_each(|&i| self.invalid[i] = true);
        Ok(fooled)
    }

    /// Those that survive at another radius, which counts in nothing. A random model may be wrong about a clean image when
    /// it is asked again: that one did not survive.
    pub fn left_at(
        &mut self,
        attack: &dyn Attack,
        which: &[usize],
        budget: Budget,
    ) -> Result<Vec<usize>> {
        let ended = self.ended_at(attack, which, budget)?;
        let left =
            |status| !matches!(status, Status::Fooled | Status::CleanWrong | Status::Invalid);
        Ok(ended.into_iter().filter(|&(_, status)| left(status)).map(|(i, _)| i).collect())
    }

    fn attack_at(
        &mut self,
        attack: &dyn Attack,
        which: &[usize],
        budget: Budget,
    ) -> Result<AttackFinds> {
        let ended = self.ended_at(attack, which, budget)?;
        let of = |meant: Status| -> Vec<usize> {
            ended.iter().filter(|(_, status)| *status == meant).map(|&(i, _)| i).collect()
        };
        Ok(AttackFinds { fooled: of(Status::Fooled), invalid: of(Status::Invalid) })
    }

    /// How an attack ends for each of the samples.
    fn ended_at(
        &mut self,
        attack: &dyn Attack,
        which: &[usize],
        budget: Budget,
    ) -> Result<Vec<(usize, Status)>> {
        if which.is_empty() {
            return Ok(Vec::new());
        }
        let some = self.samples.select(which)?;
        let report = run_attack(self.context, self.model, &some, attack, budget)?;
        self.refuted += self.count_refuted(which, &report.outcomes, budget)?;
        let cost = report.cost();
        self.attacks.push(Attacked {
            attack: attack.info().description,
            eps: budget.eps,
            samples: which.len(),
            fooled: report.count(Status::Fooled),
            invalid: report.count(Status::Invalid),
            forward_passes: cost.forward_passes,
            backward_passes: cost.backward_passes,
        });
        Ok(which.iter().copied().zip(report.outcomes.iter().map(|o| o.status)).collect())
    }

    /// How many of the images that an attack says fool lie outside of where they may, or are not misclassified, by other
    /// arithmetic than the attack's own.
    fn count_refuted(
        &self,
        which: &[usize],
        outcomes: &[Outcome],
        budget: Budget,
    ) -> Result<usize> {
        let said = which.iter().zip(outcomes).filter(|(_, o)| o.status == Status::Fooled);
        let said: Vec<(usize, &Outcome)> = said.map(|(&i, outcome)| (i, outcome)).collect();
        let outside = |&&(i, outcome): &&(usize, &Outcome)| !self.allows(i, &outcome.image, budget);
        if self.model.is_random() {
            // The verdict is that of many draws, which the attack's run asked for.
            return Ok(said.iter().filter(outside).count());
        }
        let points: Vec<Point<'_>> =
            said.iter().map(|&(i, outcome)| self.point(i, &outcome.image)).collect();
        let answers = self.probe().logits(&points)?;
        let wrong = |i: usize, z: &[f32]| {
            z.iter().all(|z| z.is_finite()) && predict(z) != self.samples.labels()[i]
        };
        let refuted = said
            .iter()
            .zip(&answers)
            .filter(|(said, answer)| outside(said) || !wrong(said.0, &answer.logits));
        Ok(refuted.count())
    }

    /// Whether an image lies in the box and in the ball around sample `i`.
    fn allows(&self, i: usize, image: &[f32], budget: Budget) -> bool {
        let size = distance(budget.norm, image, self.samples.image(i));
        size <= f64::from(reach(budget.eps)) && image.iter().all(|x| (0.0..=1.0).contains(x))
    }
}
