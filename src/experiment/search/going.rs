//! A search under way: what is tried, passed over and taken.

use super::super::assemble::{assemble_results, lasting_failure};
use super::super::printed::Printed;
use super::super::results::Results;
use super::super::run::JobOutcome;
use super::super::spec::ExperimentSpec;
use super::super::sweep::Axis;
use super::score::{Half, Score, of};
use super::{Finalist, Found, Hypothesis, JointSearch, SearchStep, Seen, Trial, changed, words_of};
use crate::{Error, Result};
use std::collections::HashSet;

/// A search, and what it has come to.
struct Going<'a> {
    search: &'a JointSearch,
    spec: &'a ExperimentSpec,
    printed: Printed,
    run: &'a mut dyn FnMut(&Trial) -> Result<Vec<JobOutcome>>,
    tell: &'a mut dyn FnMut(&SearchStep),
    found: Found,
    /// All trials so far, each by its trainings.
    known: HashSet<String>,
}

impl JointSearch {
    /// Searches from the settings of the spec. `run` does what a trial needs, as far as that can be done; `tell` hears of
    /// every step. A hypothesis that cannot be tried, or whose jobs fail whenever they are run, is passed over.
    ///
    /// # Errors
    /// Those of `run`, if a job failed that might not fail again, and if the start or all finalists cannot be tried.
    pub fn run(
        &self,
        spec: &ExperimentSpec,
        run: &mut dyn FnMut(&Trial) -> Result<Vec<JobOutcome>>,
        tell: &mut dyn FnMut(&SearchStep),
    ) -> Result<Found> {
        let (printed, known) = (Printed::load()?, HashSet::new());
        let found = Found::new(spec, self);
        let mut going = Going { search: self, spec, printed, run, tell, found, known };
        let mut at = going.start()?;
        for round in 1..=self.rounds {
            let before = at.0.clone();
            for axis in &self.axes {
                going.axis(round, axis, &mut at)?;
            }
            if at.0 == before {
                break;
            }
        }
        going.finals()?;
        going.found.decide();
        Ok(going.found)
    }

    /// What is run for a candidate that can be tried, as a finalist too.
    fn possible(&self, spec: &ExperimentSpec, hypothesis: &Hypothesis) -> Result<Trial> {
        let trial = self.candidate(spec, hypothesis)?;
        trial.graph.check_images()?;
        self.finals(spec, hypothesis)?.graph.check_images()?;
        Ok(trial)
    }
}

impl Going<'_> {
    /// The start, which has to be tried: all others are held against it.
    fn start(&mut self) -> Result<(Hypothesis, Score)> {
        let start = Hypothesis::new();
        let trial = self.search.candidate(self.spec, &start)?;
        self.known.insert(trainings(&trial));
        let Some(seen) = self.seen(&trial)? else {
            let why = self.found.passed_over.pop().map_or(String::new(), |start| start.why);
            let problem = format!("what it begins with cannot be tried: {why}");
            return Err(Error::failed("search", problem));
        };
        let score = of(&seen, Half::Choosing);
        self.step(SearchStep::start(self.search.seeds, score));
        Ok((start, score))
    }

    /// Tries all values of an axis, and goes on from the best of them if it is better.
    fn axis(&mut self, round: usize, axis: &Axis, at: &mut (Hypothesis, Score)) -> Result<()> {
        let mut better: Option<(usize, Hypothesis, Score)> = None;
        for value in &axis.values {
            let hypothesis = changed(&at.0, axis, value);
            let trial = match self.search.possible(self.spec, &hypothesis) {
                Ok(trial) => trial,
                Err(error) => {
                    self.found.pass_over(&hypothesis, error.to_string());
                    continue;
                }
            };
            if !self.known.insert(trainings(&trial)) {
                continue;
            }
            let Some(seen) = self.seen(&trial)? else { continue };
            let (score, seeds) = (of(&seen, Half::Choosing), self.search.seeds);
            self.step(SearchStep::new(round, axis, value, &hypothesis, seeds, score));
            let leader = better.as_ref().map_or(at.1, |(.., leader)| *leader);
            if score.log_density > leader.log_density {
                better = Some((self.found.log.len() - 1, hypothesis, score));
            }
        }
        if let Some((step, hypothesis, score)) = better {
            self.found.log[step].taken = true;
            *at = (hypothesis, score);
        }
        Ok(())
    }

    /// Tries the best hypotheses and the start on everything printed. The next best take the places of those that fail there.
    fn finals(&mut self) -> Result<()> {
        let JointSearch { finalists, final_seeds, .. } = *self.search;
        for hypothesis in self.found.ranked() {
            if self.found.finalists.len() >= finalists && !hypothesis.is_empty() {
                continue;
            }
            let trial = self.search.finalist(self.spec, &hypothesis)?;
            if let Some(seen) = self.seen(&trial)? {
                self.found.finalists.push(Finalist::new(hypothesis, final_seeds, &seen));
            }
        }
        match (self.found.finalists.is_empty(), self.found.passed_over.last()) {
            (true, Some(last)) => {
                let problem = format!(
                    "no hypothesis can be tried on everything printed; the last: {}: {}",
                    words_of(&last.hypothesis),
                    last.why
                );
                Err(Error::failed("search", problem))
            }
            _ => Ok(()),
        }
    }

    fn step(&mut self, step: SearchStep) {
        (self.tell)(&step);
        self.found.log.push(step);
    }

    /// What a trial says of print; None if it is passed over.
    fn seen(&mut self, trial: &Trial) -> Result<Option<Seen>> {
        let outcomes = (self.run)(trial)?;
        match trial.results(&outcomes)? {
            Ok(results) => Ok(Some(self.found.look(&trial.hypothesis, &results, &self.printed))),
            Err(why) => {
                self.found.pass_over(&trial.hypothesis, why);
                Ok(None)
            }
        }
    }
}

impl Trial {
    /// Its results, or why it has none and never will.
    ///
    /// # Errors
    /// If a job failed that might not fail again.
    fn results(&self, outcomes: &[JobOutcome]) -> Result<Result<Results, String>> {
        let missing = outcomes.iter().filter(|o| !matches!(o, JobOutcome::Done(..))).count();
        if missing == 0 {
            return assemble_results(&self.graph, &self.spec, outcomes).map(Ok);
        }
        let jobs = self.graph.jobs.iter().zip(outcomes);
        let passing = jobs.filter_map(|(job, outcome)| match outcome {
            JobOutcome::Failed(error) if !error.is_of_what_was_asked() => Some((&job.name, error)),
            _ => None,
        });
        let passing = passing.map(|(job, error)| format!(" ({job}: {error})")).next();
        let lasting = |job| lasting_failure(&self.graph, outcomes, job);
        match (passing, (0..outcomes.len()).find_map(lasting)) {
            (None, Some(why)) => Ok(Err(why)),
            (first, _) => {
                let (all, first) = (outcomes.len(), first.unwrap_or_default());
                let problem = format!(
                    "{missing} of {all} jobs have no result{first}; run again, the search goes on there"
                );
                Err(Error::failed("search", problem))
            }
        }
    }
}

/// What tells the trials of one search apart: the keys of all models, so that a setting that has no part in any is none.
fn trainings(trial: &Trial) -> String {
    let trainings = trial.graph.jobs.iter().filter(|job| job.work.kind() == "train");
    trainings.map(|job| job.key.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Graph;
    use std::io;
    use std::sync::Arc;

    /// What is passed over is what any machine would come to.
    #[test]
    fn what_might_not_fail_again_stops_a_search() {
        let spec = ExperimentSpec::example();
        let graph = Graph::new(&spec).expect("a graph");
        let trial = Trial { hypothesis: Hypothesis::new(), spec, graph };
        let came_to = |first: Error| {
            let mut outcomes = vec![JobOutcome::Missing; trial.graph.jobs.len()];
            outcomes[0] = JobOutcome::Failed(Arc::new(first));
            trial.results(&outcomes)
        };
        let not_finite = Error::NotFinite { place: "epoch 1".into(), problem: "NaN".into() };
        let passed = came_to(not_finite).expect("passed over").expect_err("no results");
        assert_eq!(passed, "train control, seed 0: epoch 1: NaN");
        for error in
            [Error::Interrupted, Error::io("a", "write", io::ErrorKind::StorageFull.into())]
        {
            let words = error.to_string();
            let stopped = came_to(error).expect_err("stopped").to_string();
            assert!(stopped.contains(&words) && stopped.contains("run again"), "{stopped}");
        }
    }
}
