//! The printed numbers beside ours.

pub mod differences;
pub mod limits;
pub mod ranking;
pub mod sweep;

use crate::experiment::{PrintedColumn, Published, Results, TableCell, ThreatModel};

/// A printed number and ours agree within this.
pub const NEAR: f64 = 0.03;

/// One accuracy over several seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Mean over the seeds.
    pub mean: f64,
    /// The smallest.
    pub smallest: f64,
    /// The largest.
    pub largest: f64,
    /// Seeds.
    pub seeds: usize,
    /// Test images; where seeds differ, the fewest.
    pub images: usize,
}

impl Spread {
    /// Of (accuracy, images), one a seed; none of none.
    pub fn of(values: impl IntoIterator<Item = (f64, usize)>) -> Option<Self> {
        let values: Vec<_> = values.into_iter().collect();
        let accuracies = || values.iter().map(|(accuracy, _)| *accuracy);
        Some(Self {
            images: values.iter().map(|(_, images)| *images).min()?,
            mean: accuracies().sum::<f64>() / values.len() as f64,
            smallest: accuracies().fold(f64::INFINITY, f64::min),
            largest: accuracies().fold(f64::NEG_INFINITY, f64::max),
            seeds: values.len(),
        })
    }
}

/// The column of clean images in the printed tables.
const CLEAN: &str = "clean";

/// What we measured for a method, a scale and a column.
pub fn measured(
    results: &Results,
    method: &str,
    scale: &str,
    column: &str,
    threat_model: ThreatModel,
) -> Option<Spread> {
    let cells = results.cells_of(method, scale, column, threat_model);
    let spread = Spread::of(cells.map(|cell| (cell.accuracy, cell.images)));
    if spread.is_some() || column != CLEAN {
        return spread;
    }
    // Clean images are nobody's attack: whoever crafted the others, the number is the same.
    let here = |cell: &&TableCell| cell.method == method && cell.scale == scale;
    let clean = results.cells.iter().filter(here).filter(|cell| cell.column == CLEAN);
    let clean = Spread::of(clean.map(|cell| (cell.accuracy, cell.images)));
    clean.or_else(|| {
        let at_work = |id: &str| results.cells.iter().filter(here).any(|cell| cell.model == id);
        let models = results.models.iter().filter(|m| m.method == method && at_work(&m.id));
        Spread::of(models.map(|model| (model.clean_accuracy, results.images)))
    })
}

/// The attacks of these cells, as [`parse_attack`](crate::attack::parse_attack) reads them, each once.
pub fn distinct_attacks<'a>(cells: impl Iterator<Item = &'a TableCell>) -> Vec<&'a str> {
    let mut attacks: Vec<&str> = Vec::new();
    for cell in cells {
        if !cell.attack.is_empty() && !attacks.contains(&cell.attack.as_str()) {
            attacks.push(&cell.attack);
        }
    }
    attacks
}

/// A printed cell, and what came out here.
#[derive(Clone, Debug)]
pub struct Comparison<'a> {
    /// The table's number.
    pub table: usize,
    /// Noise scale.
    pub scale: &'a str,
    /// Method, as printed.
    pub method: &'a str,
    /// The column.
    pub column: &'a PrintedColumn,
    /// As printed.
    pub published: f64,
    /// Ours on the images that were crafted on the control.
    pub transfer: Option<Spread>,
    /// Ours on the images that were crafted on the model itself.
    pub white_box: Option<Spread>,
}

impl Comparison<'_> {
    /// How far ours lies from print under transfer.
    pub fn distance(&self) -> Option<f64> {
        self.transfer.map(|spread| (spread.mean - self.published).abs())
    }

    /// Whether the two agree within [`NEAR`].
    pub fn is_near(&self) -> bool {
        self.distance().is_some_and(is_near)
    }
}

/// Whether a number this far from the printed one counts as near: at most [`NEAR`], with room for the last digit of print.
pub fn is_near(distance: f64) -> bool {
    distance <= NEAR + 1e-9
}

/// All printed cells in the order of print.
pub fn comparisons<'a>(results: &Results, published: &'a Published) -> Vec<Comparison<'a>> {
    let mut all = Vec::new();
    for table in &published.tables {
        for row in &table.rows {
            for (column, &value) in published.columns.iter().zip(&row.values) {
                let ours = |threat| measured(results, &row.method, &row.scale, &column.key, threat);
                all.push(Comparison {
                    table: table.number,
                    scale: &row.scale,
                    method: &row.method,
                    column,
                    published: value,
                    transfer: ours(ThreatModel::Transfer),
                    white_box: ours(ThreatModel::WhiteBox),
                });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn a_spread_is_over_the_seeds() {
        let spread = Spread::of([(0.5, 1000), (0.75, 500), (0.25, 1000)]).expect("three seeds");
        assert_eq!((spread.mean, spread.smallest, spread.largest), (0.5, 0.25, 0.75));
        assert_eq!((spread.seeds, spread.images), (3, 500));
        assert_eq!(Spread::of([]), None);
    }
}
