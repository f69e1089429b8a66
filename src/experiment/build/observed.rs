//! What is observed for the pictures of a report: of the first seed, the first model of each row.

use crate::Result;
use crate::attack::{Norm, parse_eps};
use crate::experiment::graph::{Graph, Observed, ObservedDigits, ObservedModel};
use crate::experiment::observe::RATED;
use crate::experiment::spec::ExperimentSpec;
use crate::experiment::work::{Observation, Work};
use std::cmp::Ordering;

impl Graph {
    /// Adds the jobs that observe models and crafted sets.
    ///
    /// # Errors
    /// If a setting of a row is unknown.
    pub fn with_pictures(mut self, spec: &ExperimentSpec) -> Result<Self> {
        self.observed = Observed::default();
        let images = RATED.min(spec.data.test.images);
        let firsts = self.first_of_each_label();
        for &model in &firsts {
            let plan = &self.models[model];
            if plan.row.training.defense().is_some_and(|defense| !defense.sleeps()) {
                continue;
            }
            let spiking = plan.row.settings(&spec.settings)?.fast_wave.spiking;
            let name = format!("observe {}, seed {}", plan.row.id, plan.seed);
            let work = Work::Observe(Observation::Network { images, spiking });
            let job = self.job(name, work, vec![plan.job]);
            self.observed.networks.push(ObservedModel { model, job });
        }
        // No model that is asked about them, no digits.
        let shown = if firsts.is_empty() { Vec::new() } else { self.shown() };
        for set in shown {
            let plan = &self.sets[set];
            let scale = super::in_norm(plan.norm, &plan.scale);
            let name = format!("observe digits under {} {scale}, seed {}", plan.column, plan.seed);
            let inputs = plan.jobs.iter().take(1).copied().collect();
            let job = self.job(name, Work::Observe(Observation::Digits), inputs);
            self.observed.digits.push(ObservedDigits { set, job });
        }
        let digits: Vec<usize> = self.observed.digits.iter().map(|digits| digits.job).collect();
        for model in firsts.into_iter().filter(|_| !digits.is_empty()) {
            let plan = &self.models[model];
            let name = format!("observe digits with {}, seed {}", plan.row.id, plan.seed);
            let inputs = [vec![plan.job], digits.clone()].concat();
            let job = self.job(name, Work::Observe(Observation::Classes), inputs);
            self.observed.answers.push(ObservedModel { model, job });
        }
        Ok(self)
    }

    /// The first model of each label that is no spiking network.
    fn first_of_each_label(&self) -> Vec<usize> {
        let mut firsts: Vec<usize> = Vec::new();
        for (place, model) in self.models.iter().enumerate().filter(|(_, m)| !m.row.spiking) {
            if firsts.iter().all(|&other| self.models[other].row.label != model.row.label) {
                firsts.push(place);
            }
        }
        firsts
    }

    /// The sets that are shown, at two noise scales at most: 64/255 and 128/255 if they are there, of the first seed. All are of
    /// one norm, as a noise scale means something else in every other: the paper's if there are any.
    fn shown(&self) -> Vec<usize> {
        let Some(first) = self.sets.iter().map(|set| set.seed).min() else { return Vec::new() };
        let sets = || self.sets.iter().enumerate().filter(move |(_, set)| set.seed == first);
        let Some(norm) = sets().map(|(_, set)| set.norm).min_by_key(|&norm| norm != Norm::Linf)
        else {
            return Vec::new();
        };
        let sets = || sets().filter(move |(_, set)| set.norm == norm);
        let noise = |scale: &str| parse_eps(scale, norm, usize::MAX).ok()?.first().copied();
        let mut scales: Vec<&str> = sets().map(|(_, set)| set.scale.as_str()).collect();
        scales.sort_by(|a, b| noise(a).partial_cmp(&noise(b)).unwrap_or(Ordering::Equal));
        scales.dedup();
        let printed = ["64/255", "128/255"];
        let wanted: Vec<&str> = scales.iter().copied().filter(|s| printed.contains(s)).collect();
        let scales =
            if wanted.is_empty() { scales.into_iter().rev().take(1).collect() } else { wanted };
        let of = |scale| sets().filter(move |(_, set)| set.scale == scale).map(|(place, _)| place);
        scales.into_iter().flat_map(of).collect()
    }
}
