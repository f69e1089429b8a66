//! The variants of a sweep: which of them make a difference, and which cannot be.

use super::{Axis, MOST_TRIED, MOST_VARIANTS, Sweep, refuse};
use crate::experiment::graph::Graph;
use crate::experiment::sheet::{RowSpec, Sheet};
use crate::experiment::spec::ExperimentSpec;
use crate::experiment::work::Work;
use crate::method::Training;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// A variant that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedVariant {
    /// The method, as printed.
    pub method: String,
    /// The variant: the method's name and what was changed.
    pub variant: String,
    /// What keeps it from being run.
    pub why: String,
}

/// The methods as they are, and with every change that makes a difference.
pub(super) struct Variants<'a> {
    sweep: &'a Sweep,
    possible: Vec<RowSpec>,
    impossible: Vec<(RowSpec, Error)>,
    /// Settings with values that are those of a variant before, which so can have them.
    same: HashSet<(String, String)>,
    tried: usize,
}

impl<'a> Variants<'a> {
    /// All of a sweep.
    pub fn of(sweep: &'a Sweep, spec: &ExperimentSpec) -> Result<Self> {
        let (possible, impossible, same) = (Vec::new(), Vec::new(), HashSet::new());
        let mut all = Self { sweep, possible, impossible, same, tried: 0 };
        for method in &sweep.rows {
            all.add(method, spec)?;
        }
        Ok(all)
    }

    /// Adds a method as it is, and with every change that makes a difference to it. One value may make possible what another
    /// does not.
    fn add(&mut self, method: &RowSpec, spec: &ExperimentSpec) -> Result<()> {
        let (mut variants, mut trainings) = (Vec::new(), HashSet::new());
        self.sort(method.clone(), true, spec, &mut trainings, &mut variants);
        for axis in &self.sweep.axes {
            let bases = if self.sweep.all { variants.clone() } else { vec![method.clone()] };
            for value in &axis.values {
                for base in &bases {
                    self.tried += 1;
                    if self.tried > MOST_TRIED {
                        let problem = format!(
                            "more than {MOST_TRIED} combinations to try; give fewer axes or values"
                        );
                        return Err(refuse(problem));
                    }
                    let mut variant = base.clone();
                    variant.id = format!("{} {}={value}", base.id, axis.setting);
                    variant.set.insert(axis.setting.clone(), value.clone());
                    let is_read = variant.reads(&spec.settings, &axis.setting).unwrap_or_default();
                    // What cannot be cannot with a setting more that has no part in it; that is said once.
                    let is_news =
                        is_read || !self.impossible.iter().any(|(row, _)| row.id == base.id);
                    if !self.sort(variant, is_news, spec, &mut trainings, &mut variants) && is_read
                    {
                        self.same.insert((axis.setting.clone(), value.clone()));
                    }
                    if variants.len().max(self.possible.len()) > MOST_VARIANTS {
                        return Err(refuse(format!("more than {MOST_VARIANTS} variants")));
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts a variant where it belongs, among the impossible ones only if that is news; false if it is the same as one before.
    fn sort(
        &mut self,
        variant: RowSpec,
        is_news: bool,
        spec: &ExperimentSpec,
        trainings: &mut HashSet<String>,
        variants: &mut Vec<RowSpec>,
    ) -> bool {
        match training(&variant, spec) {
            Ok(training) => {
                if !trainings.insert(training) {
                    return false;
                }
                self.possible.push(variant.clone());
            }
            Err(_) if !is_news => return true,
            Err(error) => self.impossible.push((variant.clone(), error)),
        }
        variants.push(variant);
        true
    }

    /// The graph of those that can be, in sheets of this kind.
    ///
    /// # Errors
    /// If nothing can be of a method, or with a value.
    pub fn graph(
        mut self,
        sheet: impl Fn(Vec<RowSpec>) -> Sheet,
        spec: &ExperimentSpec,
    ) -> Result<Graph> {
        let of = |rows: &[RowSpec], spec: &_| Graph::of_variants(sheet(rows.to_vec()), spec);
        let whole = if self.possible.is_empty() { None } else { of(&self.possible, spec).ok() };
        if whole.is_none() {
            // What a network cannot have shows with one seed.
            let once = ExperimentSpec { seeds: vec![0], ..spec.clone() };
            for row in std::mem::take(&mut self.possible) {
                match of(std::slice::from_ref(&row), &once) {
                    Ok(_) => self.possible.push(row),
                    Err(error) => self.impossible.push((row, error)),
                }
            }
        }
        self.check_left()?;
        self.check_values()?;
        let mut graph = whole.map_or_else(|| of(&self.possible, spec), Ok)?;
        let passed = |(row, error): &(RowSpec, Error)| PassedVariant {
            method: row.label.clone(),
            variant: row.id.clone(),
            why: error.to_string(),
        };
        graph.passed_over = self.impossible.iter().map(passed).collect();
        Ok(graph)
    }

    /// Refuses methods of which nothing is left.
    fn check_left(&mut self) -> Result<()> {
        let is_of = |row: &RowSpec, method: &RowSpec| {
            row.id.strip_prefix(&method.id).is_some_and(|r| r.is_empty() || r.starts_with(' '))
        };
        for method in &self.sweep.rows {
            if self.possible.iter().any(|row| is_of(row, method)) {
                continue;
            }
            // Of the method as it is, if that says why.
            let itself = self.impossible.iter().position(|(row, _)| row.id == method.id);
            let any = || self.impossible.iter().position(|(row, _)| is_of(row, method));
            if let Some(at) = itself.or_else(any) {
                return Err(self.impossible.swap_remove(at).1);
            }
        }
        Ok(())
    }

    /// Refuses values that nothing can have.
    fn check_values(&mut self) -> Result<()> {
        for Axis { setting, values } in &self.sweep.axes {
            for value in values {
                let has = |row: &RowSpec| row.set.get(setting) == Some(value);
                if !self.same.contains(&(setting.clone(), value.clone()))
                    && !self.possible.iter().any(has)
                    && let Some(at) = self.impossible.iter().position(|(row, _)| has(row))
                {
                    return Err(self.impossible.swap_remove(at).1);
                }
            }
        }
        Ok(())
    }
}

/// What tells one model of a method from another, its control's training and its spiking form included: a setting that has
/// no part in either does not change it, as dreams do not change slow-wave sleep.
fn training(method: &RowSpec, spec: &ExperimentSpec) -> Result<String> {
    let settings = Box::new(method.settings(&spec.settings)?);
    settings.validate().map_err(|error| method.blamed(error))?;
    let (sources, images) = (spec.sources(), spec.trained_on.images);
    let key = |training, inputs: &[&str]| {
        Work::Train { training, settings: settings.clone(), images }.key(&sources, inputs)
    };
    let control = key(Training::Control, &[]);
    let trained = match method.training {
        Training::Control => control,
        defense => key(defense, &[&control]),
    };
    // One training may be run as several spiking networks.
    let spiking = method.spiking.then_some(settings.fast_wave.spiking);
    Ok(spiking.map_or(trained.clone(), |spiking| format!("{trained} {spiking:?}")))
}
