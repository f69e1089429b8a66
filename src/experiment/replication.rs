//! Whether the printed numbers replicate: each of them beside the prediction interval of one more run.

use super::printed::Printed;
use super::results::{Measured, Results};
use super::statistics::{Prediction, Spread};
use crate::attack::Norm;
use crate::evaluation::ThreatModel;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// An accuracy over several seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellSummary {
    /// The method, as printed.
    pub method: String,
    /// How perturbations are measured.
    pub norm: Norm,
    /// The noise scale.
    pub scale: String,
    /// The column's key.
    pub column: String,
    /// Who crafted the images.
    pub threat_model: ThreatModel,
    /// The seeds together.
    #[serde(flatten)]
    pub spread: Spread,
    /// The 95 % prediction interval of one more seed on all test images.
    pub interval: [f64; 2],
}

/// What some runs say of a printed number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrintedVerdict {
    /// Where one more run would end up.
    #[serde(flatten)]
    pub prediction: Prediction,
    /// How many of its standard deviations print is above what is expected.
    pub z: f64,
    /// Whether print lies in its interval.
    pub replicated: bool,
}

/// A printed number beside several seeds under transfer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replication {
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
    /// Seeds.
    pub seeds: usize,
    /// What they say.
    #[serde(flatten)]
    pub verdict: PrintedVerdict,
    /// What they say of a run whose control withstands the column's attack as well as the printed control does: by the
    /// straight line over the seeds from the control's number in this column to the method's. All methods of a run are shown
    /// images that were crafted on one control and share its random variation. None for the control itself, where no
    /// control is printed at the noise scale, of fewer than four seeds, and where the control's number does not vary.
    pub given_control: Option<PrintedVerdict>,
}

impl PrintedVerdict {
    fn new(prediction: Prediction, printed: f64) -> Self {
        let (z, replicated) = (prediction.z(printed), prediction.contains(printed));
        Self { prediction, z, replicated }
    }
}

impl CellSummary {
    /// For everything that was measured with several seeds.
    pub fn all(results: &Results) -> Vec<Self> {
        let mut known = HashSet::new();
        let mut of_norm = HashMap::new();
        let mut all = Vec::new();
        for cell in &results.cells {
            let place = (cell.norm, &cell.method, &cell.scale, &cell.column, cell.threat_model);
            if !known.insert(place) {
                continue;
            }
            let results = of_norm.entry(cell.norm).or_insert_with(|| results.in_norm(cell.norm));
            let spread = results.spread(&cell.method, &cell.scale, &cell.column, cell.threat_model);
            let Some(spread) = spread else { continue };
            let Some(prediction) = spread.prediction(results.test_images()) else { continue };
            all.push(Self {
                method: cell.method.clone(),
                norm: cell.norm,
                scale: cell.scale.clone(),
                column: cell.column.clone(),
                threat_model: cell.threat_model,
                spread,
                interval: prediction.interval,
            });
        }
        all
    }
}

impl Replication {
    /// For all printed cells that were measured with several seeds, in the order of the paper.
    pub fn all(results: &Results, printed: &Printed) -> Vec<Self> {
        let results = &results.in_norm(Norm::Linf);
        let control = results.models.iter().find(|model| model.is_source());
        let control = control.map(|model| model.method.as_str());
        let mut all = Vec::new();
        for table in &printed.tables {
            for row in &table.rows {
                for (column, &value) in printed.columns.iter().zip(&row.values) {
                    let place = (row.method.as_str(), row.scale.as_str(), column.key.as_str());
                    let runs = runs(results, place);
                    let Some((seeds, verdict)) = verdict(results, &runs, value) else { continue };
                    let given_control = control.filter(|control| *control != row.method);
                    let given_control = given_control.and_then(|control| {
                        let place = (control, place.1, place.2);
                        let at = printed.anywhere(control, place.1, place.2)?;
                        given(results, [self::runs(results, place), runs], at, value)
                    });
                    all.push(Self {
                        table: table.number,
                        scale: row.scale.clone(),
                        method: row.method.clone(),
                        column: column.key.clone(),
                        printed: value,
                        seeds,
                        verdict,
                        given_control,
                    });
                }
            }
        }
        all
    }
}

/// One number per seed under transfer; `place` is method, scale and column.
fn runs(results: &Results, (method, scale, column): (&str, &str, &str)) -> Vec<Measured> {
    results.measured(method, scale, column, ThreatModel::Transfer)
}

fn verdict(results: &Results, runs: &[Measured], printed: f64) -> Option<(usize, PrintedVerdict)> {
    let spread = Spread::of(runs.iter().map(|run| (run.accuracy, run.images)))?;
    let prediction = spread.prediction(results.test_images())?;
    Some((spread.seeds, PrintedVerdict::new(prediction, printed)))
}

/// What the runs of a method say of a printed number if the control's is `at`.
fn given(
    results: &Results,
    [control, method]: [Vec<Measured>; 2],
    at: f64,
    printed: f64,
) -> Option<PrintedVerdict> {
    let pairs = method.iter().filter_map(|run| {
        let same = control.iter().find(|other| other.seed == run.seed)?;
        Some((same.accuracy, run.accuracy))
    });
    let spread = Spread::of(method.iter().map(|run| (run.accuracy, run.images)))?;
    let images = spread.of_images(results.test_images());
    let prediction = Prediction::beside(&pairs.collect::<Vec<_>>(), at, images)?;
    Some(PrintedVerdict::new(prediction, printed))
}
