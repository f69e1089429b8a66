//! What survives all attacks.

use super::cell::Cell;
use super::named_attack::NamedAttack;
use super::none_as_empty;
use crate::attack::{Budget, Cost, Norm, Outcome, Status};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What survives all attacks at one radius.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorstCase {
    /// The norm.
    pub norm: Norm,
    /// The radius.
    pub eps: f32,
    /// The share of samples that are classified correctly whatever the attack.
    pub robust_accuracy: f64,
    /// The identities of those.
    pub robust_indices: Vec<u64>,
    /// The attack with the lowest robust accuracy, the first of several; None if that are the clean images.
    #[serde(with = "none_as_empty")]
    pub strongest: Option<NamedAttack>,
    /// For every attack, in the order of their texts, how many samples only it fooled.
    #[serde(with = "as_object")]
    pub fooled_only_by: Vec<(NamedAttack, usize)>,
}

impl Cell {
    /// Whether the sample at this place, of this identity, is not known to withstand the attack within a radius: it is fooled,
    /// wrong without an attack, invalid, shown an image that lies outside of the ball, or the attack was not run on it.
    fn loses(&self, i: usize, id: u64, budget: &Budget) -> bool {
        let Some(outcome) = self.outcomes.get(i).filter(|outcome| outcome.id == id) else {
            return true;
        };
        let fooled = outcome.status == Status::Fooled;
        let proof = (fooled && self.anywhere) || outcome.fooled_within(budget);
        let known = [Status::Fooled, Status::Survived].contains(&outcome.status);
        proof || !known
    }
}

/// The worst case of every radius, sample by sample: never better than the strongest attack, and often worse. The cells
/// are of the same samples, in the same order, and have their outcomes: a result on disk has its worst cases beside it.
pub fn worst_cases(cells: &[Cell]) -> Vec<WorstCase> {
    let mut all: Vec<WorstCase> = Vec::new();
    for cell in cells {
        if all.iter().any(|worst| (worst.norm, worst.eps) == (cell.norm, cell.eps)) {
            continue;
        }
        let here: Vec<&Cell> =
            cells.iter().filter(|other| (other.norm, other.eps) == (cell.norm, cell.eps)).collect();
        let budget = Budget { norm: cell.norm, eps: cell.eps, seed: cell.seed };
        let mut robust_indices = Vec::new();
        let attacks = here.iter().filter_map(|cell| cell.attack.clone());
        let attacks: BTreeMap<String, NamedAttack> =
            attacks.map(|attack| (attack.to_string(), attack)).collect();
        let mut fooled_only_by: Vec<(NamedAttack, usize)> =
            attacks.into_values().map(|attack| (attack, 0)).collect();
        let mut robust_to = vec![0usize; here.len()];
        for (i, outcome) in cell.outcomes.iter().enumerate() {
            let losers: Vec<bool> =
                here.iter().map(|other| other.loses(i, outcome.id, &budget)).collect();
            robust_to.iter_mut().zip(&losers).for_each(|(n, lost)| *n += usize::from(!lost));
            match losers.iter().filter(|&&lost| lost).count() {
                0 => robust_indices.push(outcome.id),
                1 => {
                    let by = losers.iter().position(|&lost| lost);
                    let fooled = |&by: &usize| {
                        here[by]
                            .outcomes
                            .get(i)
                            .is_some_and(|r| r.id == outcome.id && r.status == Status::Fooled)
                    };
                    let by = by.filter(fooled).and_then(|by| here[by].attack.as_ref());
                    let counted = |count: &&mut (NamedAttack, usize)| Some(&count.0) == by;
                    if let Some((_, count)) = fooled_only_by.iter_mut().find(counted) {
                        *count += 1;
                    }
                }
                _ => {}
            }
        }
        let strongest = (0..here.len()).min_by_key(|&i| robust_to[i]);
        all.push(WorstCase {
            norm: cell.norm,
            eps: cell.eps,
            robust_accuracy: robust_indices.len() as f64 / cell.outcomes.len().max(1) as f64,
            robust_indices,
            strongest: strongest.and_then(|i| here[i].attack.clone()),
            fooled_only_by,
        });
    }
    all
}

/// The worst case of some attacks as a cell: of every sample, what became of it under the first of them that fools it within
/// this radius, else under the first that it is not known to withstand. An attack may have run at a smaller radius. The cells
/// have their outcomes.
///
/// # Errors
/// If there are no cells, or they are of different samples or norms.
pub fn union(cells: &[Cell], eps: f32) -> Result<Cell> {
    let refuse = |problem| Err(Error::argument("union", problem));
    let Some(first) = cells.first() else {
        return refuse("there is no attack");
    };
    let ids = |cell: &Cell| cell.outcomes.iter().map(|outcome| outcome.id).collect::<Vec<u64>>();
    let samples = ids(first);
    if cells.iter().any(|cell| cell.norm != first.norm || ids(cell) != samples) {
        return refuse("the attacks are of different images or norms");
    }
    let budget = Budget { norm: first.norm, eps, seed: first.seed };
    let outcome = |(i, &id): (usize, &u64)| {
        let mut lost = cells.iter().filter(|cell| cell.loses(i, id, &budget));
        let fooled = |cell: &&Cell| cell.outcomes[i].status == Status::Fooled;
        let survived = |cell: &&Cell| cell.outcomes[i].status == Status::Survived;
        let decisive = lost.clone().find(fooled).or_else(|| lost.next());
        let outcome = match decisive.or_else(|| cells.iter().find(survived)) {
            Some(decisive) => decisive.outcomes[i].clone(),
            None => untouched(&first.outcomes[i]),
        };
        // The model was asked by the attacks.
        Outcome { cost: Cost::default(), ..outcome }
    };
    let outcomes = samples.iter().enumerate().map(outcome).collect();
    Ok(Cell::of_outcomes(None, first.threat_model, budget, outcomes, Vec::new()))
}

/// What is known of a sample that is fooled by images beyond the radius alone: the clean image is all that lies within. Its margin
/// is not noted where an attack fools.
fn untouched(outcome: &Outcome) -> Outcome {
    Outcome {
        status: Status::Survived,
        prediction: outcome.label,
        margin: f32::NAN,
        linf: 0.0,
        l2: 0.0,
        l1: 0.0,
        l0: 0.0,
        winner: None,
        ..outcome.clone()
    }
}

/// Counts by attack as files have them: an object.
mod as_object {
    use super::NamedAttack;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub fn serialize<S: Serializer>(
        counts: &[(NamedAttack, usize)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(counts.iter().map(|(attack, count)| (attack, count)))
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Vec<(NamedAttack, usize)>, D::Error> {
        let counts = BTreeMap::<String, usize>::deserialize(from)?;
        Ok(counts.into_iter().map(|(text, count)| (text.into(), count)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Winner;
    use crate::evaluation::{Evidence, ThreatModel};

    const EPS: f32 = 0.5;

    fn outcome(id: usize, letter: char, by: &str) -> Outcome {
        let (status, linf) = match letter {
            's' => (Status::Survived, 0.0),
            'f' => (Status::Fooled, EPS),
            'b' => (Status::Fooled, EPS + 0.1),
            'c' => (Status::CleanWrong, 0.0),
            'i' => (Status::Invalid, 0.0),
            _ => (Status::Outside, EPS + 0.1),
        };
        let (attack, target) = (by.to_owned().into(), None);
        let winner = Winner { attack, restart: 0, target, iteration: 3 };
        Outcome {
            id: id as u64,
            label: 1,
            status,
            image: Vec::new(),
            prediction: usize::from(!"fbc".contains(letter)),
            margin: 0.25,
            linf,
            l2: 1.0,
            l1: 1.0,
            l0: 1.0,
            winner: (status == Status::Fooled).then_some(winner),
            expected: None,
            cost: Cost { forward_passes: 7, backward_passes: 7, ..Cost::default() },
        }
    }

    /// One letter a sample; `b` is fooled beyond the radius.
    fn cell(attack: &str, letters: &str, eps: f32) -> Cell {
        let outcomes = letters.chars().enumerate();
        let outcomes = outcomes.map(|(id, letter)| outcome(id, letter, attack)).collect();
        let budget = Budget { norm: Norm::Linf, eps, seed: 3 };
        let attack = Some(attack.to_owned().into());
        Cell::of_outcomes(attack, ThreatModel::Transfer, budget, outcomes, Vec::new())
    }

    #[test]
    fn a_union_is_of_the_samples_that_withstand_every_attack() {
        // The second ran at a smaller radius; no radius bounds the third.
        let cells = [
            cell("pgd", "ssfsscissb", EPS),
            cell("bim", "ssssfciofs", 0.25),
            cell("cw", "sbffscssbb", EPS).with_bound(false),
        ];
        let union = union(&cells, EPS).expect("of the same samples");
        assert_eq!(union.robust_indices, [0, 1, 9]);
        assert_eq!(union.robust_accuracy, 0.3);
        let statuses: Vec<Status> = union.outcomes.iter().map(|o| o.status).collect();
        use Status::{CleanWrong as C, Fooled as F, Invalid as I, Outside as O, Survived as S};
        assert_eq!(statuses, [S, S, F, F, F, C, I, O, F, S]);
        // Who fooled it; and nothing that would be counted of an attack.
        let winner = |i: usize| union.outcomes[i].winner.as_ref().map(|w| w.attack.to_string());
        assert_eq!((winner(2).as_deref(), winner(3).as_deref()), (Some("pgd"), Some("cw")));
        assert_eq!((winner(8).as_deref(), winner(1)), (Some("bim"), None));
        assert_eq!((union.attack.as_ref(), union.backward_passes), (None, 0));
        assert_eq!((union.zero_gradient_share, union.warnings.len()), (None, 0));
        assert_eq!((union.eps, union.seed, union.bounded), (EPS, 3, true));
        // As `evaluate` counts the worst case.
        let same = cells.clone().map(|cell| Cell { eps: EPS, ..cell });
        assert_eq!(worst_cases(&same)[0].robust_indices, union.robust_indices);
        let kept = Evidence::of(&union).cell(usize::MAX).expect("ours");
        assert_eq!(kept.robust_indices, union.robust_indices);
    }

    #[test]
    fn what_only_images_beyond_the_radius_fool_is_right_as_it_is() {
        let union = union(&[cell("cw", "b", EPS).with_bound(false)], EPS).expect("one attack");
        let [only] = &union.outcomes[..] else { panic!("one sample") };
        assert_eq!((only.status, only.prediction, only.linf), (Status::Survived, 1, 0.0));
        assert!(only.margin.is_nan() && only.winner.is_none());
        assert_eq!(union.accuracy_as_shown(), 1.0);
    }

    #[test]
    fn a_union_of_nothing_or_of_different_samples_is_refused() {
        let error = |cells: &[Cell]| union(cells, EPS).expect_err("no union").to_string();
        assert!(error(&[]).contains("there is no attack"));
        let cells = [cell("pgd", "ss", EPS), cell("bim", "s", EPS)];
        assert!(error(&cells).contains("of different images or norms"));
    }
}
