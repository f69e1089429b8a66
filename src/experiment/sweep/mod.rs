//! A sweep over settings that paper and code leave open: which comes nearest to each printed row?

mod nearest;
#[cfg(test)]
mod tests;
mod variants;

use crate::attack::Norm;
use crate::evaluation::ThreatModel;
use crate::experiment::graph::Graph;
use crate::experiment::printed::Printed;
use crate::experiment::sheet::{RowSpec, Sheet, read};
use crate::experiment::spec::ExperimentSpec;
use crate::method::{Settings, current_name};
use crate::wording::meant;
use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use variants::Variants;

pub use nearest::{Distance, SweepFound, SweepRow};
pub use variants::PassedVariant;

/// Every seed is a training of every variant.
const MOST_SEEDS: usize = 1000;

/// Combinations grow with every axis; more trainings than this would take too long.
const MOST_VARIANTS: usize = 1000;

/// Combinations that are looked at, to find those that make a difference: some seconds' worth.
const MOST_TRIED: usize = 10_000;

/// A setting and the values to try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// The setting's name.
    #[serde(deserialize_with = "by_current_name")]
    pub setting: String,
    /// Its values.
    pub values: Vec<String>,
}

/// The name of a setting, that of an older file by the name of today.
fn by_current_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(current_name(&name).into_owned())
}

/// What to try (`experiments/nearest.toml`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Every combination, or every value by itself.
    pub all: bool,
    /// Noise scales such as `64/255`.
    pub scales: Vec<String>,
    /// Columns of the paper by their keys (`experiments/printed.toml`).
    pub columns: Vec<String>,
    /// Seeds: 0, 1, ...
    pub seeds: usize,
    /// Rows, whose labels are printed.
    #[serde(rename = "method", alias = "row")]
    pub rows: Vec<RowSpec>,
    /// The settings to change.
    #[serde(rename = "axis")]
    pub axes: Vec<Axis>,
}

impl Axis {
    /// Refuses an axis without values, or with values that are the same one.
    pub(super) fn check(&self, settings: &Settings) -> Result<()> {
        let Self { setting, values } = self;
        if values.len() > MOST_TRIED {
            let problem =
                format!("{} values of `{setting}`; there can be {MOST_TRIED}", values.len());
            return Err(refuse(problem));
        }
        if values.is_empty() {
            return Err(refuse(format!("the axis over `{setting}` has no values")));
        }
        let mut known: HashMap<String, &String> = HashMap::new();
        for value in values {
            let mut own = settings.clone();
            // One that depends on another axis may not be there yet: then it is what is written that counts.
            let same = match own.set(setting, value) {
                Ok(()) => format!("{own:?}"),
                Err(_) => value.clone(),
            };
            if let Some(other) = known.insert(same, value) {
                let problem = format!(
                    "the axis over `{setting}` has the values `{other}` and `{value}`, which are the same: give each once"
                );
                return Err(refuse(problem));
            }
        }
        Ok(())
    }
}

impl Sweep {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no sweep.
    pub fn load(path: &Path) -> Result<Self> {
        read(path)
    }

    /// The spec's seeds and threat model, and the graph of all variants that can be; the others are passed over
    /// ([`Graph::passed_over`]).
    ///
    /// # Errors
    /// If a setting, a column or a scale is unknown, an axis makes no difference to any method, no variant of a method or with a
    /// value can be, or there is more to try than is practical.
    pub fn graph(&self, spec: &mut ExperimentSpec) -> Result<Graph> {
        if !(1..=MOST_SEEDS).contains(&self.seeds) {
            return Err(refuse(format!("{} seeds; there can be 1 to {MOST_SEEDS}", self.seeds)));
        }
        // The sheet that the variants come into has these lists.
        let sheet =
            |methods| Sheet::new(Norm::Linf, self.scales.clone(), self.columns.clone(), methods);
        sheet(self.rows.clone()).validate()?;
        if self.axes.iter().any(|axis| axis.setting == "seed") {
            let problem =
                "an axis over `seed`: `seeds = N` tries every variant with the seeds 0 to N - 1";
            return Err(refuse(problem.into()));
        }
        // Before anything is tried: there are no more axes than settings.
        let mut names = HashSet::new();
        if let Some(axis) = self.axes.iter().find(|axis| !names.insert(&axis.setting)) {
            let problem = format!(
                "two axes over `{}`: the later would replace what the first one sets; list all values in one",
                axis.setting
            );
            return Err(refuse(problem));
        }
        self.axes.iter().try_for_each(|axis| axis.check(&spec.settings))?;
        self.check_printed(&Printed::load()?)?;
        spec.seeds = (0..self.seeds as u64).collect();
        spec.threat_models = vec![ThreatModel::Transfer];
        (spec.tables, spec.figures, spec.sheets) = (Vec::new(), Vec::new(), Vec::new());
        let variants = Variants::of(self, spec)?;
        let graph = variants.graph(sheet, spec)?;
        for Axis { setting, .. } in &self.axes {
            let mut read = false;
            for model in graph.models.iter().filter(|model| model.seed == 0) {
                read |= model.row.reads(&spec.settings, setting)?;
            }
            if !read {
                let rows: Vec<&RowSpec> = graph.models.iter().map(|model| &model.row).collect();
                return Err(refuse(unread_axis(setting, &spec.settings, &rows)));
            }
        }
        Ok(graph)
    }

    /// Refuses columns, methods and scales that the paper prints nothing of: a sweep measures how far its variants are from it.
    fn check_printed(&self, printed: &Printed) -> Result<()> {
        let rows = || printed.tables.iter().flat_map(|table| &table.rows);
        let listed = |names: BTreeSet<&str>| Vec::from_iter(names).join(", ");
        for key in &self.columns {
            if printed.column(key).is_none() {
                let keys: Vec<&str> = printed.columns.iter().map(|c| c.key.as_str()).collect();
                let (meant, keys) = (meant(key, &keys), keys.join(", "));
                let problem = format!(
                    "the paper prints no column `{key}`{meant}; nothing could be compared; its columns are {keys}"
                );
                return Err(refuse(problem));
            }
        }
        for RowSpec { label, .. } in &self.rows {
            if !rows().any(|row| row.method == *label && self.scales.contains(&row.scale)) {
                let problem = format!(
                    "the paper prints no row `{label}` at {}, so nothing could be compared; its labels are {}",
                    self.scales.join(", "),
                    listed(rows().map(|row| row.method.as_str()).collect())
                );
                return Err(refuse(problem));
            }
        }
        for scale in &self.scales {
            let is_printed = |method: &RowSpec| {
                rows().any(|row| (&row.method, &row.scale) == (&method.label, scale))
            };
            if !self.rows.iter().any(is_printed) {
                let problem = format!(
                    "the paper prints none of these rows at the scale `{scale}`, so nothing could be compared; its scales are {}",
                    listed(rows().map(|row| row.scale.as_str()).collect())
                );
                return Err(refuse(problem));
            }
        }
        Ok(())
    }
}

/// What to say of an axis over a setting that none of these rows reads: what switches it off, and what to do.
pub(super) fn unread_axis(setting: &str, settings: &Settings, rows: &[&RowSpec]) -> String {
    let of_profile = Settings::new(settings.profile);
    let usual = of_profile.written();
    let is_switch = |(name, value): &&(String, String)| {
        let mut other = settings.clone();
        let differs = settings.value(name) != of_profile.value(name);
        differs
            && other.set(name, value).is_ok()
            && rows.iter().any(|row| row.reads(&other, setting).unwrap_or_default())
    };
    let now = settings.written();
    let switch = usual.iter().find(is_switch);
    let of_now = |name: &str| now.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    match switch.and_then(|(name, _)| Some((name, of_now(name)?))) {
        Some((name, value)) => format!(
            "an axis over `{setting}`, which no row here reads while `{name}` is {value}: change that, or leave this [[axis]] out"
        ),
        None => format!(
            "an axis over `{setting}`, which no row here reads: its values would change nothing; leave this [[axis]] out"
        ),
    }
}

fn refuse(problem: String) -> Error {
    Error::argument("sweep", problem)
}
