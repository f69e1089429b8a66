//! What a search found, as a file.

use super::super::printed::Printed;
use super::super::replication::Replication;
use super::super::request::Request;
use super::super::results::{Results, load, save};
use super::super::spec::ExperimentSpec;
use super::super::sweep::Axis;
use super::score::{Half, Score, of};
use super::{Hypothesis, JointSearch, Seen};
use crate::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A candidate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchStep {
    /// The round, from 1; 0 is where the search begins.
    pub round: usize,
    /// The setting that was changed; empty at the start.
    pub setting: String,
    /// Its value.
    pub value: String,
    /// All that differs from the start.
    pub hypothesis: Hypothesis,
    /// Seeds.
    pub seeds: usize,
    /// On the choosing half, but for what is skipped.
    pub score: Score,
    /// Whether the search went on from it.
    pub taken: bool,
}

/// A hypothesis that was tried on everything printed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finalist {
    /// What differs from the start.
    pub hypothesis: Hypothesis,
    /// Seeds.
    pub seeds: usize,
    /// On the half that it was chosen by.
    pub choosing: Score,
    /// On the other.
    pub confirming: Score,
    /// Printed cells of all tables in the interval of one more run.
    pub inside: usize,
    /// Printed cells that were measured.
    pub cells: usize,
}

/// A printed number that lies in no finalist's interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unexplained {
    /// The table's number.
    pub table: usize,
    /// The noise scale.
    pub scale: String,
    /// The method, as printed.
    pub method: String,
    /// The column's key.
    pub column: String,
    /// As printed.
    #[serde(alias = "published")]
    pub printed: f64,
    /// The z nearest to 0 that any hypothesis reached, with any number of seeds.
    pub z: f64,
    /// What was expected there.
    pub mean: f64,
    /// That hypothesis.
    pub hypothesis: Hypothesis,
    /// Whether it lies in some finalist's interval.
    inside: bool,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What was searched, from which settings, and on which images.
    pub request: Request,
    /// Every candidate, in the order in which they were tried.
    pub log: Vec<SearchStep>,
    /// The best of them, and the start, with more seeds on all cells; the best on the choosing half first.
    pub finalists: Vec<Finalist>,
    /// Printed cells that no finalist explains.
    pub unexplained: Vec<Unexplained>,
    /// Hypotheses without a score, in the order in which they were come upon.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
}

/// A hypothesis that was passed over: its values cannot be together, or its jobs fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// The hypothesis.
    pub hypothesis: Hypothesis,
    /// What keeps it from being tried, with the job if one failed.
    pub why: String,
}

impl SearchStep {
    pub(super) fn start(seeds: usize, score: Score) -> Self {
        let (setting, value) = (String::new(), String::new());
        let hypothesis = Hypothesis::new();
        Self { round: 0, setting, value, hypothesis, seeds, score, taken: true }
    }

    pub(super) fn new(
        round: usize,
        axis: &Axis,
        value: &str,
        hypothesis: &Hypothesis,
        seeds: usize,
        score: Score,
    ) -> Self {
        let (setting, value) = (axis.setting.clone(), value.to_owned());
        Self { round, setting, value, hypothesis: hypothesis.clone(), seeds, score, taken: false }
    }
}

impl Finalist {
    pub(super) fn new(hypothesis: Hypothesis, seeds: usize, seen: &[Replication]) -> Self {
        let [choosing, confirming] = [Half::Choosing, Half::Confirming].map(|half| of(seen, half));
        let inside = seen.iter().filter(|cell| cell.verdict.replicated).count();
        Self { hypothesis, seeds, choosing, confirming, inside, cells: seen.len() }
    }
}

impl Found {
    /// Name of the file in a results folder.
    pub const FILE: &'static str = "search.json";

    pub(super) fn new(spec: &ExperimentSpec, search: &JointSearch) -> Self {
        Self {
            request: Request::of_search(spec.clone(), search.clone()),
            log: Vec::new(),
            finalists: Vec::new(),
            unexplained: Vec::new(),
            passed_over: Vec::new(),
        }
    }

    /// Remembers a hypothesis that cannot be tried, once, and why.
    pub(super) fn pass_over(&mut self, hypothesis: &Hypothesis, why: String) {
        if !self.passed_over.iter().any(|known| known.hypothesis == *hypothesis) {
            self.passed_over.push(PassedOver { hypothesis: hypothesis.clone(), why });
        }
    }

    /// What some results say of print. Remembers for every printed number what came nearest to it.
    pub(super) fn look(
        &mut self,
        hypothesis: &Hypothesis,
        results: &Results,
        printed: &Printed,
    ) -> Seen {
        let seen = Replication::all(results, printed);
        // Few seeds have wide intervals, in which almost everything lies.
        let is_final = results.tables.contains(&3);
        for cell in &seen {
            let inside = is_final && cell.verdict.replicated;
            let new = Unexplained {
                table: cell.table,
                scale: cell.scale.clone(),
                method: cell.method.clone(),
                column: cell.column.clone(),
                printed: cell.printed,
                z: cell.verdict.z,
                mean: cell.verdict.prediction.mean,
                hypothesis: hypothesis.clone(),
                inside,
            };
            let same = |other: &&mut Unexplained| {
                (other.table, &other.scale, &other.method, &other.column)
                    == (cell.table, &cell.scale, &cell.method, &cell.column)
            };
            match self.unexplained.iter_mut().find(same) {
                None => self.unexplained.push(new),
                Some(best) => {
                    let inside = best.inside || inside;
                    if new.z.abs() < best.z.abs() {
                        *best = new;
                    }
                    best.inside = inside;
                }
            }
        }
        seen
    }

    /// All hypotheses that have a score, the best first.
    pub(super) fn ranked(&self) -> Vec<Hypothesis> {
        let mut steps: Vec<&SearchStep> = self.log.iter().collect();
        // Of equal ones the earlier: the sort is stable.
        steps.sort_by(|a, b| b.score.log_density.total_cmp(&a.score.log_density));
        steps.into_iter().map(|step| step.hypothesis.clone()).collect()
    }

    /// Puts the best finalist first, and leaves of the printed cells those that none explains.
    pub(super) fn decide(&mut self) {
        self.finalists.sort_by(|a, b| b.choosing.log_density.total_cmp(&a.choosing.log_density));
        self.unexplained.retain(|cell| !cell.inside);
        self.unexplained.sort_by(|a, b| b.z.abs().total_cmp(&a.z.abs()));
    }

    /// The hypothesis that won: the best on the choosing half.
    pub fn winner(&self) -> Option<&Finalist> {
        self.finalists.first()
    }

    /// What the search began with, as a finalist.
    pub fn start(&self) -> Option<&Finalist> {
        self.finalists.iter().find(|finalist| finalist.hypothesis.is_empty())
    }

    /// How what was searched differs from what some results are of, as far as the winner's hypothesis does not explain it.
    pub fn differences(&self, results: &Results) -> Vec<String> {
        let start = Hypothesis::new();
        let winner = self.winner().map_or(&start, |winner| &winner.hypothesis);
        self.request.differences(results, winner)
    }

    /// Whether the winner gains on the start only where it was chosen.
    pub fn is_overfitted(&self) -> bool {
        let (Some(winner), Some(start)) = (self.winner(), self.start()) else { return false };
        !winner.hypothesis.is_empty()
            && winner.confirming.log_density <= start.confirming.log_density
    }

    /// What is in a results folder; None if there was no search in it.
    ///
    /// # Errors
    /// If the file cannot be read, or is no search's.
    pub fn load(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(Self::FILE);
        path.exists().then(|| load(&path)).transpose()
    }

    /// Writes it into a results folder, whole or not at all.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, folder: &Path) -> Result<()> {
        save(self, &folder.join(Self::FILE))
    }
}
