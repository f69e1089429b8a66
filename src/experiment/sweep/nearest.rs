//! What a sweep found: for every printed row, the variants, the nearest first.

use super::{PassedVariant, Sweep};
use crate::Result;
use crate::experiment::assemble::lasting_failure;
use crate::experiment::graph::Graph;
use crate::experiment::printed::{Printed, Row};
use crate::experiment::request::Request;
use crate::experiment::results::{ModelResult, Results, TableCell, load, save};
use crate::experiment::run::JobOutcome;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How far a variant is from a printed row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// The variant: the method's name and what was changed.
    pub variant: String,
    /// Its seed.
    pub seed: u64,
    /// Mean absolute difference over the columns.
    pub distance: f64,
    /// The accuracies, in the order of the sweep's columns.
    pub values: Vec<f64>,
}

/// A printed row and all variants, the nearest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepRow {
    /// The table; where several print the row, the first.
    pub table: usize,
    /// The noise scale.
    pub scale: String,
    /// The method, as printed.
    pub method: String,
    /// The printed accuracies, in the order of the sweep's columns.
    pub printed: Vec<f64>,
    /// All variants.
    pub variants: Vec<Distance>,
}

/// What a sweep found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepFound {
    /// What was tried, from which settings, and on which images.
    pub request: Request,
    /// The printed rows of its methods.
    pub rows: Vec<SweepRow>,
    /// Variants that cannot be, or of which a job fails whenever it is run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedVariant>,
}

impl SweepFound {
    /// Holds the results of a sweep's graph against print. Variants of which a job fails whenever it is run are passed over.
    ///
    /// # Errors
    /// If the printed numbers cannot be read.
    pub fn new(
        request: &Request,
        sweep: &Sweep,
        graph: &Graph,
        results: &Results,
        outcomes: &[JobOutcome],
    ) -> Result<Self> {
        let mut passed = graph.passed_over.clone();
        for (place, model) in graph.models.iter().enumerate() {
            let of_model = graph.cells.iter().filter(|cell| cell.model == place);
            let mut jobs = of_model.map(|cell| cell.job).chain([model.job]);
            let (method, variant) = (model.row.label.clone(), model.row.id.clone());
            let is_known = passed.iter().any(|other| other.variant == variant);
            match jobs.find_map(|job| lasting_failure(graph, outcomes, job)) {
                Some(why) if !is_known => passed.push(PassedVariant { method, variant, why }),
                _ => {}
            }
        }
        let rows = sweep.rows(results)?;
        Ok(Self { request: request.clone(), rows, passed_over: passed })
    }

    /// Name of the file in a results folder.
    pub const FILE: &'static str = "sweep.json";

    /// What is in a results folder; None if there was no sweep in it.
    ///
    /// # Errors
    /// If the file cannot be read, or is no sweep's.
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

impl Sweep {
    /// For every printed row of the methods, how far the variants are from it.
    ///
    /// # Errors
    /// If the printed numbers cannot be read.
    fn rows(&self, results: &Results) -> Result<Vec<SweepRow>> {
        let printed = Printed::load()?;
        let mut rows: Vec<SweepRow> = Vec::new();
        for table in &printed.tables {
            for row in &table.rows {
                let wanted = self.scales.contains(&row.scale)
                    && self.rows.iter().any(|own| own.label == row.method);
                let known = rows.iter().any(|a| (&a.scale, &a.method) == (&row.scale, &row.method));
                if !wanted || known {
                    continue;
                }
                let value =
                    |column: &String| printed.value(table.number, &row.method, &row.scale, column);
                let printed: Vec<f64> = self.columns.iter().filter_map(value).collect();
                let of_row = results.models.iter().filter(|model| model.method == row.method);
                let mut variants: Vec<Distance> = of_row
                    .filter_map(|model| self.distance(results, model, row, &printed))
                    .collect();
                variants.sort_by(|a, b| a.distance.total_cmp(&b.distance));
                let (scale, method) = (row.scale.clone(), row.method.clone());
                let table = table.number;
                rows.push(SweepRow { table, scale, method, printed, variants });
            }
        }
        Ok(rows)
    }

    /// How far a model is from a printed row; None if it was not shown to all columns.
    fn distance(
        &self,
        results: &Results,
        model: &ModelResult,
        row: &Row,
        printed: &[f64],
    ) -> Option<Distance> {
        let value = |column: &String| {
            let of_model = |c: &&TableCell| (&c.model, c.seed) == (&model.id, model.seed);
            let here = |c: &TableCell| (&c.scale, &c.column) == (&row.scale, column);
            let mut cells = results.cells.iter().filter(of_model);
            cells.find(|cell| here(cell)).map(|cell| cell.accuracy)
        };
        let values: Vec<f64> = self.columns.iter().filter_map(value).collect();
        if values.len() != printed.len() || values.is_empty() {
            return None;
        }
        let sum: f64 = values.iter().zip(printed).map(|(a, b)| (a - b).abs()).sum();
        let distance = sum / values.len() as f64;
        Some(Distance { variant: model.id.clone(), seed: model.seed, distance, values })
    }
}
