//! A cell on disk: its outcomes as run-length encoded columns of words.
//!
//! Ten thousand outcomes as JSON objects take three megabytes, and an experiment has hundreds of cells. As columns they
//! take some ten to a hundred kilobytes, because most attacks cost the same for every image.

use super::cell::{Cell, ThreatModel};
use crate::attack::{Budget, Cost, Expected, Norm, Outcome, Status, Winner};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::str::FromStr;

/// Outcomes that are read, at most: a run length is a number that anybody may have written.
const MOST: usize = 10_000_000;

/// A [`Cell`] with its outcomes, as the store of an experiment keeps it. It holds nothing that differs between two runs
/// of the same evaluation, such as times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    attack: String,
    norm: Norm,
    eps: f32,
    seed: u64,
    threat_model: ThreatModel,
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
            norm: cell.norm,
            eps: cell.eps,
            seed: cell.seed,
            threat_model: cell.threat_model,
            warnings: cell.warnings.clone(),
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
        let warnings = self.warnings.clone();
        Ok(Cell::of_outcomes(self.attack.clone(), self.threat_model, budget, outcomes, warnings))
    }
}

/// What stands where there is nothing.
const NONE: &str = "-";

/// Values as words: `0.5*3 1` is 0.5 three times, then 1.
fn column<T: Display>(values: impl Iterator<Item = T>) -> String {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for value in values {
        let word = value.to_string();
        match runs.last_mut() {
            Some((last, count)) if *last == word => *count += 1,
            _ => runs.push((word, 1)),
        }
    }
    let run = |(word, count)| if count == 1 { word } else { format!("{word}*{count}") };
    runs.into_iter().map(run).collect::<Vec<String>>().join(" ")
}

fn words(column: &str) -> Result<Vec<&str>> {
    let mut all = Vec::new();
    for run in column.split_ascii_whitespace() {
        let (word, count) = match run.rsplit_once('*') {
            Some((word, count)) => (word, count.parse().map_err(|_| unreadable(run))?),
            None => (run, 1_usize),
        };
        if count > MOST - all.len() {
            return Err(unreadable(run));
        }
        all.extend(std::iter::repeat_n(word, count));
    }
    Ok(all)
}

fn numbers<T: FromStr>(name: &str, column: &str) -> Result<Vec<T>> {
    let number = |word: &str| word.parse().map_err(|_| unreadable(&format!("{name}: {word}")));
    words(column)?.into_iter().map(number).collect()
}

fn letter(status: Status) -> char {
    match status {
        Status::CleanWrong => 'c',
        Status::Fooled => 'f',
        Status::Survived => 's',
        Status::Invalid => 'i',
        Status::Outside => 'o',
    }
}

fn status(word: &str) -> Result<Status> {
    let all =
        [Status::CleanWrong, Status::Fooled, Status::Survived, Status::Invalid, Status::Outside];
    let mut all = all.into_iter();
    all.find(|status| letter(*status).to_string() == word).ok_or_else(|| unreadable(word))
}

fn winner(winner: &Winner) -> String {
    let Winner { attack, restart, target, iteration } = winner;
    let target = target.map_or(NONE.to_owned(), |target| target.to_string());
    // Names of others may hold anything.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:=,".contains(c);
    let attack: String = attack.chars().filter(|c| plain(*c)).collect();
    format!("{attack}/{restart}/{target}/{iteration}")
}

fn finder(word: &str) -> Result<Option<Winner>> {
    if word == NONE {
        return Ok(None);
    }
    let read = || {
        let mut parts = word.split('/');
        let attack = parts.next()?.to_owned().into();
        let restart = parts.next()?.parse().ok()?;
        let target = match parts.next()? {
            NONE => None,
            target => Some(target.parse().ok()?),
        };
        Some(Winner { attack, restart, target, iteration: parts.next()?.parse().ok()? })
    };
    read().map(Some).ok_or_else(|| unreadable(word))
}

fn shares(word: &str) -> Result<Option<Expected>> {
    if word == NONE {
        return Ok(None);
    }
    let read = || {
        let (clean, attacked) = word.split_once('/')?;
        Some(Expected { clean: clean.parse().ok()?, attacked: attacked.parse().ok()? })
    };
    read().map(Some).ok_or_else(|| unreadable(word))
}

fn unreadable(word: &str) -> Error {
    let word: String = word.chars().take(40).collect();
    Error::format("", format!("`{word}` is not a valid value in stored evidence"))
}

fn differ(name: &str, expected: usize, found: usize) -> Error {
    Error::format("", format!("the column `{name}` has {found} values, `ids` has {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn images_of_an_unbounded_attack_are_counted_within_the_radius_that_is_asked() {
        let far = |(id, l2)| Outcome { l2, ..outcome(id, Status::Fooled) };
        let outcomes = || [(0, 0.4), (1, 0.6), (2, 0.9), (3, 3.0)].map(far).into();
        let at_one = Budget { norm: Norm::L2, eps: 1.0, seed: 0 };
        let cell = |attack: &str| {
            let cell = (attack.to_owned(), ThreatModel::WhiteBox, at_one, outcomes(), Vec::new());
            Cell::of_outcomes(cell.0, cell.1, cell.2, cell.3, cell.4)
        };
        let once = cell("cw:form=published").counted_within(1.0);
        assert!(once.warnings[0].contains(" 3 of the 4 images"), "{:?}", once.warnings);
        let kept = Evidence::of(&once).cell(usize::MAX).expect("ours").counted_within(0.5);
        assert_eq!((kept.warnings.len(), kept.eps), (1, 0.5));
        assert!(kept.warnings[0].contains(" 1 of the 4 images"), "{:?}", kept.warnings);
        assert_eq!(cell("pgd").counted_within(0.5), cell("pgd"));
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
        let warnings = vec!["a warning".to_owned()];
        let cell = Cell::of_outcomes(
            "apgd-t:steps=3".into(),
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
            (("\"4*5\"", "\"4*99999999999\""), "is not what"),
            (("s f c i o", "s f c i x"), "is not what"),
        ] {
            let text = text.replacen(change.0, change.1, 1);
            let broken: Evidence = serde_json::from_str(&text).expect("JSON");
            let error = broken.cell(5).expect_err("broken").to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
