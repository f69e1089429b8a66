//! What survives all attacks.

use super::cell::Cell;
use super::named_attack::NamedAttack;
use super::none_as_empty;
use crate::attack::{Budget, Norm, Status};
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
            // A sample is not known to be robust if an attack found it invalid, or its image lies outside of the ball.
            let lost = |other: &&Cell| {
                // Nor if an attack was not run on it.
                let Some(outcome) = other.outcomes.get(i).filter(|r| r.id == outcome.id) else {
                    return true;
                };
                let fooled = outcome.status == Status::Fooled;
                let proof = (fooled && other.anywhere) || outcome.fooled_within(&budget);
                let unknown = [Status::CleanWrong, Status::Invalid, Status::Outside];
                proof || unknown.contains(&outcome.status)
            };
            let losers: Vec<bool> = here.iter().map(lost).collect();
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
