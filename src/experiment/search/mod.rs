//! A search for one hypothesis about the whole paper: one set of values for the settings that paper and code leave open,
//! under which the printed numbers are likely. Coordinate by coordinate; chosen on one half of the cells, confirmed on the
//! other. It keeps nothing but finished jobs in the store: begun again, it takes the same way to the same bytes.

mod found;
mod going;
mod score;

use super::graph::Graph;
use super::replication::Replication;
use super::sheet::{RowSpec, Selection, Sheet, read, set_all};
use super::spec::ExperimentSpec;
use super::sweep::{Axis, unread_axis};
use crate::evaluation::ThreatModel;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

pub use found::{Finalist, Found, PassedOver, SearchStep, Unexplained};
pub use score::{Half, Score};

/// Candidates of one round, at most: each is several trainings of many models.
const MOST_CANDIDATES: usize = 1000;

/// Seeds of a candidate, at most.
const MOST_SEEDS: usize = 1000;

/// The noise scale that candidates are chosen at.
const CHOSEN_AT: &str = "64/255";

/// Settings that differ from where the search begins, with their values.
pub type Hypothesis = BTreeMap<String, String>;

/// What to search (`experiments/search.toml`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JointSearch {
    /// Seeds of a candidate: 0, 1, ...
    pub seeds: usize,
    /// Hypotheses that are tried with more seeds on all cells: the best ones, and the one that the search begins with.
    pub finalists: usize,
    /// Seeds of a finalist.
    pub final_seeds: usize,
    /// Times that all settings are gone through, at most; a round that changes nothing is the last.
    pub rounds: usize,
    /// Methods, as printed, that only finalists are scored by, as they take long.
    #[serde(default)]
    pub skip: Vec<String>,
    /// The open settings, in the order in which they are tried.
    #[serde(rename = "axis")]
    pub axes: Vec<Axis>,
}

/// What is run for a hypothesis.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The hypothesis.
    pub hypothesis: Hypothesis,
    /// What is asked.
    pub spec: ExperimentSpec,
    /// The jobs.
    pub graph: Graph,
}

impl JointSearch {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is no search, or one that could find nothing.
    pub fn load(path: &Path) -> Result<Self> {
        let search: Self = read(path)?;
        search.validate().map_err(|e| e.in_file(path))?;
        Ok(search)
    }

    fn validate(&self) -> Result<()> {
        let Self { seeds, finalists, final_seeds, rounds, axes, skip } = self;
        for (name, value, least) in [
            ("seeds", *seeds, 2),
            ("final_seeds", *final_seeds, 2),
            ("finalists", *finalists, 1),
            ("rounds", *rounds, 1),
        ] {
            if !(least..=MOST_SEEDS).contains(&value) {
                let problem = format!("`{name}` is {value}; it can be {least} to {MOST_SEEDS}");
                return Err(refuse(problem));
            }
        }
        if axes.is_empty() {
            return Err(refuse("there is no [[axis]]: nothing to search".to_owned()));
        }
        let mut settings = HashSet::new();
        if let Some(twice) = axes.iter().find(|axis| !settings.insert(&axis.setting)) {
            let problem = format!("two axes over `{}`; give one with all values", twice.setting);
            return Err(refuse(problem));
        }
        let known = labels()?;
        if let Some(unknown) = skip.iter().find(|label| !known.contains(label)) {
            let problem = format!(
                "`skip` names `{unknown}`, no row of Tables 1 and 2; those are {}",
                known.join(", ")
            );
            return Err(refuse(problem));
        }
        let candidates: usize = axes.iter().map(|axis| axis.values.len()).sum();
        if candidates > MOST_CANDIDATES {
            return Err(refuse(format!("{candidates} values; there can be {MOST_CANDIDATES}")));
        }
        Ok(())
    }

    /// Checks every value by itself, before any work. What there is to do at least: the candidates of the first round, the start
    /// first, and the start as a finalist.
    ///
    /// # Errors
    /// If a setting is unknown, does not take a value, has it twice, or no row here reads it.
    pub fn check(&self, spec: &ExperimentSpec) -> Result<(Vec<Trial>, Trial)> {
        let start = Hypothesis::new();
        let candidate = |hypothesis: &Hypothesis| {
            self.candidate(spec, hypothesis).map_err(|error| blamed(hypothesis, error))
        };
        let mut round = vec![candidate(&start)?];
        for axis in &self.axes {
            axis.check(&spec.settings)?;
            for value in &axis.values {
                let trial = candidate(&changed(&start, axis, value))?;
                if trial.spec.settings != spec.settings {
                    round.push(trial);
                }
            }
        }
        // What is read may depend on what other axes change.
        let is_read = |setting: &str| round.iter().any(|trial| trial.graph.reads(setting));
        for Axis { setting, .. } in &self.axes {
            if setting == "seed" || !is_read(setting) {
                let models = round.iter().flat_map(|trial| &trial.graph.models);
                let rows: Vec<&RowSpec> = models.map(|model| &model.row).collect();
                return Err(refuse(unread_axis(setting, &spec.settings, &rows)));
            }
        }
        Ok((round, self.finalist(spec, &start)?))
    }

    /// What is run for a candidate: the choosing half, but for what is skipped.
    fn candidate(&self, spec: &ExperimentSpec, hypothesis: &Hypothesis) -> Result<Trial> {
        let methods = labels()?.into_iter().filter(|label| !self.skip.contains(label)).collect();
        let only = Selection { scales: vec![CHOSEN_AT.to_owned()], methods };
        let asked = ExperimentSpec {
            tables: vec![1, 2],
            only: Some(only),
            seeds: (0..self.seeds as u64).collect(),
            ..spec.clone()
        };
        trial(asked, hypothesis)
    }

    /// What is run for a finalist: everything printed.
    ///
    /// # Errors
    /// If a value does not fit the others.
    pub fn finalist(&self, spec: &ExperimentSpec, hypothesis: &Hypothesis) -> Result<Trial> {
        self.finals(spec, hypothesis).map_err(|error| blamed(hypothesis, error))
    }

    fn finals(&self, spec: &ExperimentSpec, hypothesis: &Hypothesis) -> Result<Trial> {
        let seeds = (0..self.final_seeds as u64).collect();
        let asked = ExperimentSpec { tables: vec![1, 2, 3], only: None, seeds, ..spec.clone() };
        trial(asked, hypothesis)
    }
}

/// With this value of a setting.
fn changed(hypothesis: &Hypothesis, axis: &Axis, value: &str) -> Hypothesis {
    let mut changed = hypothesis.clone();
    changed.insert(axis.setting.clone(), value.to_owned());
    changed
}

fn trial(mut spec: ExperimentSpec, hypothesis: &Hypothesis) -> Result<Trial> {
    spec.figures = Vec::new();
    spec.threat_models = vec![ThreatModel::Transfer];
    set_all(&mut spec.settings, hypothesis)?;
    spec.settings.validate()?;
    let graph = Graph::without_pictures(&spec)?;
    Ok(Trial { hypothesis: hypothesis.clone(), spec, graph })
}

/// What keeps a hypothesis from being tried, with what it says.
fn blamed(hypothesis: &Hypothesis, error: Error) -> Error {
    if hypothesis.is_empty() { error } else { refuse(format!("{}: {error}", words_of(hypothesis))) }
}

/// A hypothesis in words, for messages and the report.
pub fn words_of(hypothesis: &Hypothesis) -> String {
    let words: Vec<String> =
        hypothesis.iter().map(|(name, value)| format!("`{name}` = {value}")).collect();
    if words.is_empty() { "the profile as it is".to_owned() } else { words.join(", ") }
}

/// The rows of Tables 1 and 2.
fn labels() -> Result<Vec<String>> {
    let mut labels: Vec<String> = Vec::new();
    for number in [1, 2] {
        for row in Sheet::of_table(number)?.rows {
            if !labels.contains(&row.label) {
                labels.push(row.label);
            }
        }
    }
    Ok(labels)
}

fn refuse(problem: String) -> Error {
    Error::argument("search", problem)
}

/// What a trial says of every printed number.
pub(super) type Seen = Vec<Replication>;
