//! A cell on disk: its outcomes as run-length encoded columns of words.
//!
//! Ten thousand outcomes as JSON objects take three megabytes, and an experiment has hundreds of cells. As columns they
//! take some ten to a hundred kilobytes, because most attacks cost the same for every image.

use super::cell::{Cell, ThreatModel};
use super::named_attack::NamedAttack;
use super::none_as_empty;
use super::outcome_columns::{
    NONE, column, differ, finder, letter, numbers, shares, status, winner, words,
};
use super::warning::Warning;
use crate::Result;
use crate::attack::{AttackSpec, Budget, Cost, Norm, Outcome};
use serde::{Deserialize, Serialize};

/// A [`Cell`] with its outcomes, as the store of an experiment keeps it. It holds nothing that differs between two runs
/// of the same evaluation, such as times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    #[serde(with = "none_as_empty")]
    attack: Option<NamedAttack>,
    /// Whether the radius bounded it; None in evidence of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bounded: Option<bool>,
    norm: Norm,
    eps: f32,
    seed: u64,
    threat_model: ThreatModel,
    /// All warnings except [`Warning::Unbounded`], which is computed again from the outcomes.
    warnings: Vec<String>,
    /// Each identity less the one before it.
    ids: String,
    labels: String,
    statuses: String,
    predictions: String,
    margins: String,
    linf: String,
    l2: String,
    l1: String,
    /// Not in evidence of older versions.
    #[serde(default)]
    l0: String,
    /// `attack/restart/target/iteration`.
    winners: String,
    /// `clean/attacked`, of a random model.
    expected: String,
    forward_passes: String,
    backward_passes: String,
    zero_gradients: String,
    zero_starts: String,
}

impl Evidence {
    /// What is kept of a cell.
    pub fn of(cell: &Cell) -> Self {
        let all = &cell.outcomes;
        let mut before = 0;
        let ids = all.iter().map(|o| o.id.wrapping_sub(std::mem::replace(&mut before, o.id)));
        Self {
            attack: cell.attack.clone(),
            bounded: Some(cell.bounded),
            norm: cell.norm,
            eps: cell.eps,
            seed: cell.seed,
            threat_model: cell.threat_model,
            warnings: cell.warnings.iter().filter_map(kept).collect(),
            ids: column(ids),
            labels: column(all.iter().map(|o| o.label)),
            statuses: column(all.iter().map(|o| letter(o.status))),
            predictions: column(all.iter().map(|o| o.prediction)),
            margins: column(all.iter().map(|o| o.margin)),
            linf: column(all.iter().map(|o| o.linf)),
            l2: column(all.iter().map(|o| o.l2)),
            l1: column(all.iter().map(|o| o.l1)),
            l0: column(all.iter().map(|o| o.l0)),
            winners: column(all.iter().map(|o| o.winner.as_ref().map_or(NONE.into(), winner))),
            expected: column(all.iter().map(|o| {
                o.expected.map_or(NONE.into(), |e| format!("{}/{}", e.clean, e.attacked))
            })),
            forward_passes: column(all.iter().map(|o| o.cost.forward_passes)),
            backward_passes: column(all.iter().map(|o| o.cost.backward_passes)),
            zero_gradients: column(all.iter().map(|o| o.cost.zero_gradients)),
            zero_starts: column(all.iter().map(|o| o.cost.zero_starts)),
        }
    }

    /// The cell of the first outcomes, at most `most`. Its time is unknown: 0 seconds.
    ///
    /// # Errors
    /// If a column cannot be read, or columns differ in length.
    pub fn cell(&self, most: usize) -> Result<Cell> {
        let ids: Vec<u64> = numbers("ids", &self.ids)?;
        let count = ids.len();
        let mut id = 0_u64;
        let ids: Vec<u64> = ids
            .into_iter()
            .map(|step| {
                id = id.wrapping_add(step);
                id
            })
            .collect();
        let same = |name: &str, found: usize| {
            if found == count { Ok(()) } else { Err(differ(name, count, found)) }
        };
        macro_rules! columns {
            ($($name:ident: $kind:ty),*) => {$(
                let $name: Vec<$kind> = numbers(stringify!($name), &self.$name)?;
                same(stringify!($name), $name.len())?;
            )*};
        }
        columns!(labels: usize, predictions: usize, margins: f32, linf: f32, l2: f32, l1: f32,
            forward_passes: u64, backward_passes: u64, zero_gradients: u64, zero_starts: u64);
        let l0: Vec<f32> = match self.l0.is_empty() {
            true => vec![0.0; count],
            false => numbers("l0", &self.l0)?,
        };
        same("l0", l0.len())?;
        let statuses = words(&self.statuses)
            .and_then(|all| all.into_iter().map(status).collect::<Result<Vec<_>>>())?;
        let winners = words(&self.winners)
            .and_then(|all| all.into_iter().map(finder).collect::<Result<Vec<_>>>())?;
        let expected = words(&self.expected)
            .and_then(|all| all.into_iter().map(shares).collect::<Result<Vec<_>>>())?;
        same("statuses", statuses.len())?;
        same("winners", winners.len())?;
        same("expected", expected.len())?;
        let outcome = |i: usize| Outcome {
            id: ids[i],
            label: labels[i],
            status: statuses[i],
            image: Vec::new(),
            prediction: predictions[i],
            margin: margins[i],
            linf: linf[i],
            l2: l2[i],
            l1: l1[i],
            l0: l0[i],
            winner: winners[i].clone(),
            expected: expected[i],
            cost: Cost {
                forward_passes: forward_passes[i],
                backward_passes: backward_passes[i],
                zero_gradients: zero_gradients[i],
                zero_starts: zero_starts[i],
            },
        };
        let outcomes = (0..count.min(most)).map(outcome).collect();
        let budget = Budget { norm: self.norm, eps: self.eps, seed: self.seed };
        let (bounded, warnings) = self.bound();
        let warnings = warnings.into_iter().map(Warning::Text).collect();
        let attack = self.attack.clone();
        let cell = Cell::of_outcomes(attack, self.threat_model, budget, outcomes, warnings);
        Ok(cell.with_bound(bounded))
    }

    /// The same of the attack that the caller knows to have run: older versions noted it without its options where the images
    /// were crafted on another model.
    #[must_use]
    pub fn of_attack(self, attack: Option<&AttackSpec>) -> Self {
        let attack = attack.cloned().map(NamedAttack::Known);
        Self { attack: attack.or(self.attack), ..self }
    }

    /// Whether the radius bounded the attack, and the other warnings.
    fn bound(&self) -> (bool, Vec<String>) {
        if let Some(bounded) = self.bounded {
            return (bounded, self.warnings.clone());
        }
        // Older versions kept the warning of an unbounded attack among the others, and said nowhere else that it is one.
        let (unbounded, others): (Vec<String>, Vec<String>) = self
            .warnings
            .iter()
            .cloned()
            .partition(|text| text.starts_with("eps does not bound this attack"));
        let spec = self.attack.as_ref().and_then(NamedAttack::spec);
        let is_unbounded = spec.map(|spec| spec.is_unbounded().unwrap_or_default());
        (!is_unbounded.unwrap_or(!unbounded.is_empty()), others)
    }
}

/// A warning as it is kept.
fn kept(warning: &Warning) -> Option<String> {
    match warning {
        Warning::Unbounded { .. } => None,
        warning => Some(warning.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::{Expected, Status, Winner};

    fn outcome(id: u64, status: Status) -> Outcome {
        Outcome {
            id,
            label: 3,
            status,
            image: Vec::new(),
            prediction: 5,
            margin: -0.1 / (id as f32 + 3.0),
            linf: 0.1,
            l2: 1.0e-7,
            l1: 3.0,
            l0: 2.0,
            winner: (status == Status::Fooled).then(|| Winner {
                attack: "apgd-t".into(),
                restart: 1,
                target: Some(7),
                iteration: 12,
            }),
            expected: (id == 9).then_some(Expected { clean: 0.3, attacked: 1.0 / 3.0 }),
            cost: Cost { forward_passes: id, backward_passes: 4, ..Cost::default() },
        }
    }

    /// Four images that fool, at 0.4, 0.6, 0.9 and 3 in l2, within 1.
    fn far(attack: &str, threat: ThreatModel) -> Cell {
        let far = |(id, l2)| Outcome { l2, ..outcome(id, Status::Fooled) };
        let outcomes = [(0, 0.4), (1, 0.6), (2, 0.9), (3, 3.0)].map(far).into();
        let at_one = Budget { norm: Norm::L2, eps: 1.0, seed: 0 };
        let attack = NamedAttack::from(attack.to_owned());
        Cell::of_outcomes(Some(attack), threat, at_one, outcomes, Vec::new())
    }

    fn said(cell: &Cell) -> Vec<String> {
        cell.warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn images_of_an_unbounded_attack_are_counted_within_the_radius_that_is_asked() {
        let cell = |attack| far(attack, ThreatModel::WhiteBox);
        let once = cell("cw:form=published").with_bound(false);
        assert!(said(&once)[0].contains(" 3 of the 4 images"), "{:?}", once.warnings);
        let kept = Evidence::of(&once).cell(usize::MAX).expect("ours").counted_within(0.5);
        assert_eq!((kept.warnings.len(), kept.eps), (1, 0.5));
        assert!(said(&kept)[0].contains(" 1 of the 4 images"), "{:?}", kept.warnings);
        assert_eq!(cell("pgd").counted_within(0.5), cell("pgd"));
    }

    #[test]
    fn whether_a_radius_bounded_an_attack_is_no_matter_of_its_name() {
        // The name alone says the opposite of both; a set from elsewhere names no attack at all.
        for (attack, bounded, remedy) in [
            ("cw", false, Some("(bounded=yes would)")),
            ("cw:bounded=yes", true, None),
            ("rays", true, None),
            ("rays:return=nearest", false, Some("(return=first would)")),
            ("cw", true, None),
            ("theirs", false, None),
        ] {
            let cell = far(attack, ThreatModel::Transfer).with_bound(bounded);
            let text = serde_json::to_string(&Evidence::of(&cell)).expect("JSON");
            let read: Evidence = serde_json::from_str(&text).expect("ours");
            let kept = read.cell(usize::MAX).expect("ours");
            assert_eq!(kept, cell);
            let within = said(&kept.counted_within(0.5));
            assert_eq!(within.len(), usize::from(!bounded), "{attack}");
            for said in within {
                assert!(said.ends_with(&format!(
                    "{}: 1 of the 4 images that fool lie within eps, and only those count in the worst case",
                    remedy.map_or(String::new(), |remedy| format!(" {remedy}"))
                )) && said.starts_with("eps does not bound this attack"), "{said}");
            }
        }
    }

    #[test]
    fn evidence_of_older_versions_is_read_with_what_the_caller_knows() {
        let old = |attack: &str, warnings: &[&str]| {
            let cell = far("pgd", ThreatModel::Transfer);
            let mut json = serde_json::to_value(Evidence::of(&cell)).expect("JSON");
            json["attack"] = attack.into();
            json["warnings"] = warnings.into();
            json.as_object_mut().expect("an object").remove("bounded");
            serde_json::from_value::<Evidence>(json).expect("an older version's")
        };
        let noted = "eps does not bound this attack (bounded=yes would): 3 of the 4 images that fool lie within eps, \
                     and only those count in the worst case";
        // Transfer was noted without options.
        for (noted_as, attack, bounded) in [
            ("cw", "cw", false),
            ("cw", "cw:bounded=yes", true),
            ("rays", "rays", true),
            ("rays", "rays:return=nearest", false),
        ] {
            let spec = attack.parse().expect("an attack");
            let known = old(noted_as, &["other", noted]).of_attack(Some(&spec));
            let cell = known.cell(usize::MAX).expect("readable");
            assert_eq!(cell.bounded, bounded, "{attack}");
            assert_eq!(cell.attack.as_ref().map(ToString::to_string).as_deref(), Some(attack));
            assert_eq!(
                (said(&cell)[0].as_str(), said(&cell).len()),
                ("other", 2 - usize::from(bounded))
            );
        }
        // Unknown: the old warning says so.
        assert!(!old("theirs", &[noted]).cell(4).expect("readable").bounded);
        assert!(old("theirs", &[]).cell(4).expect("readable").bounded);
        // Clean images.
        assert_eq!(old("", &[]).cell(4).expect("readable").attack, None);
        let mut clean = far("pgd", ThreatModel::WhiteBox);
        clean.attack = None;
        let json = serde_json::to_value(Evidence::of(&clean)).expect("JSON");
        assert_eq!(json["attack"], "");
    }

    #[test]
    fn a_cell_comes_back_as_it_was() {
        let statuses = [
            Status::Survived,
            Status::Fooled,
            Status::CleanWrong,
            Status::Invalid,
            Status::Outside,
        ];
        let outcomes =
            statuses.iter().zip([4, 5, 6, 9, 2]).map(|(&status, id)| outcome(id, status));
        let budget = Budget { norm: Norm::L2, eps: 0.1, seed: 7 };
        let warnings = vec![Warning::Text("a warning".to_owned())];
        let cell = Cell::of_outcomes(
            Some("apgd-t:steps=3".to_owned().into()),
            ThreatModel::WhiteBox,
            budget,
            outcomes.collect(),
            warnings,
        );
        let text = serde_json::to_string(&Evidence::of(&cell)).expect("JSON");
        let read: Evidence = serde_json::from_str(&text).expect("ours");
        assert_eq!(read.cell(usize::MAX).expect("ours"), cell);
        assert_eq!(read.cell(2).expect("two").outcomes, cell.outcomes[..2]);
        for (change, words) in [
            (("\"4*5\"", "\"4*4\""), "has 4 values"),
            (("\"4*5\"", "\"4*99999999999\""), "is not a valid value"),
            (("s f c i o", "s f c i x"), "is not a valid value"),
        ] {
            let text = text.replacen(change.0, change.1, 1);
            let broken: Evidence = serde_json::from_str(&text).expect("JSON");
            let error = broken.cell(5).expect_err("broken").to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
