//! A search for one hypothesis about the whole paper: one set of values for the settings that paper and code leave open,
//! under which the printed numbers are likely. Coordinate by coordinate; chosen on one half of the cells, confirmed on the
//! other. It keeps nothing but finished jobs in the store: begun again, it takes the same way to the same bytes.

mod found;
mod score;

use super::graph::Graph;
use super::published::Published;
use super::replication::Replication;
use super::results::{Results, ThreatModel};
use super::sheet::{Selection, Sheet, read, set_all};
use super::spec::ExperimentSpec;
use super::sweep::Axis;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

pub use found::{Finalist, Found, SearchStep, Unexplained};
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
    /// If a setting is unknown, does not take a value, has it twice, or no method here reads it.
    pub fn check(&self, spec: &ExperimentSpec) -> Result<(Vec<Trial>, Trial)> {
        let start = Hypothesis::new();
        let mut round = vec![self.candidate(spec, &start)?];
        for axis in &self.axes {
            axis.check(&spec.settings)?;
            for value in &axis.values {
                let trial = self.candidate(spec, &changed(&start, axis, value))?;
                if trial.spec.settings != spec.settings {
                    round.push(trial);
                }
            }
        }
        // What is read may depend on what other axes change.
        let is_read = |setting: &str| round.iter().any(|trial| trial.graph.reads(setting));
        for Axis { setting, .. } in &self.axes {
            if setting == "seed" || !is_read(setting) {
                let problem = format!(
                    "an axis over `{setting}`, which no method here reads: its values would change nothing"
                );
                return Err(refuse(problem));
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
        let seeds = (0..self.final_seeds as u64).collect();
        let asked = ExperimentSpec { tables: vec![1, 2, 3], only: None, seeds, ..spec.clone() };
        trial(asked, hypothesis)
    }

    /// Searches from the settings of the spec. `run` does what a trial needs and returns its results; `tell` hears of every
    /// step.
    ///
    /// # Errors
    /// Those of `run`, and if a value does not fit the others.
    pub fn run(
        &self,
        spec: &ExperimentSpec,
        run: &mut dyn FnMut(&Trial) -> Result<Results>,
        tell: &mut dyn FnMut(&SearchStep),
    ) -> Result<Found> {
        let published = Published::load()?;
        let mut found = Found::new(&spec.settings, self);
        let mut at = Hypothesis::new();
        let start = self.candidate(spec, &at)?;
        let mut best = score::of(&found.look(&at, &run(&start)?, &published), Half::Choosing);
        let mut known = HashSet::from([written(&start)]);
        found.log.push(SearchStep::start(self.seeds, best));
        found.log.last().into_iter().for_each(&mut *tell);
        for round in 1..=self.rounds {
            let before = at.clone();
            for axis in &self.axes {
                let mut better: Option<(usize, Hypothesis, Score)> = None;
                for value in &axis.values {
                    let hypothesis = changed(&at, axis, value);
                    // Values that cannot be together are passed over, and so are those whose finals could not be run.
                    let tried = self.candidate(spec, &hypothesis);
                    let trial =
                        match tried.and_then(|t| self.finalist(spec, &hypothesis).map(|_| t)) {
                            Ok(trial) => trial,
                            Err(error) => {
                                found.pass_over(&error);
                                continue;
                            }
                        };
                    if !known.insert(written(&trial)) {
                        continue;
                    }
                    let seen = found.look(&hypothesis, &run(&trial)?, &published);
                    let score = score::of(&seen, Half::Choosing);
                    let leader = better.as_ref().map_or(best, |(.., leader)| *leader);
                    found.log.push(SearchStep::new(
                        round,
                        axis,
                        value,
                        &hypothesis,
                        self.seeds,
                        score,
                    ));
                    found.log.last().into_iter().for_each(&mut *tell);
                    if score.log_density > leader.log_density {
                        better = Some((found.log.len() - 1, hypothesis, score));
                    }
                }
                if let Some((step, hypothesis, score)) = better {
                    found.log[step].taken = true;
                    (at, best) = (hypothesis, score);
                }
            }
            if at == before {
                break;
            }
        }
        for hypothesis in found.best(self.finalists) {
            let trial = self.finalist(spec, &hypothesis)?;
            let seen = found.look(&hypothesis, &run(&trial)?, &published);
            found.finalists.push(Finalist::new(hypothesis, self.final_seeds, &seen));
        }
        found.decide();
        Ok(found)
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
    let graph = set_all(&mut spec.settings, hypothesis)
        .and_then(|()| spec.settings.validate())
        .and_then(|()| Graph::new(&spec))
        .map_err(|error| blamed(hypothesis, error))?;
    Ok(Trial { hypothesis: hypothesis.clone(), spec, graph })
}

/// What keeps a hypothesis from being tried, with what it says.
fn blamed(hypothesis: &Hypothesis, error: Error) -> Error {
    let words: Vec<String> =
        hypothesis.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if words.is_empty() { error } else { refuse(format!("{}: {error}", words.join(", "))) }
}

/// What tells the trials of one search apart: the keys of all models, so that a setting that has no part in any is none.
fn written(trial: &Trial) -> String {
    let trainings = trial.graph.jobs.iter().filter(|job| job.work.kind() == "train");
    trainings.map(|job| job.key.as_str()).collect::<Vec<_>>().join(" ")
}

/// The rows of Tables 1 and 2.
fn labels() -> Result<Vec<String>> {
    let mut labels: Vec<String> = Vec::new();
    for number in [1, 2] {
        for row in Sheet::of_table(number)?.methods {
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
