//! The printed numbers beside ours.

pub mod differences;
pub mod limits;
pub mod ranking;
pub mod search;
pub mod sweep;

use crate::attack::Norm;
use crate::evaluation::{NamedAttack, ThreatModel};
use crate::experiment::{
    Printed, PrintedColumn, PrintedVerdict, Replication, Results, Spread, TableCell,
};

/// A printed number and ours agree within this.
pub const NEAR: f64 = 0.03;

/// The attacks of these cells, each once.
pub fn distinct_attacks<'a>(cells: impl Iterator<Item = &'a TableCell>) -> Vec<&'a NamedAttack> {
    let mut attacks: Vec<&NamedAttack> = Vec::new();
    for attack in cells.filter_map(|cell| cell.attack.as_ref()) {
        if !attacks.contains(&attack) {
            attacks.push(attack);
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
    pub printed: f64,
    /// Ours on the images that were crafted on the control.
    pub transfer: Option<Spread>,
    /// Ours on the images that were crafted on the model itself.
    pub white_box: Option<Spread>,
    /// What several seeds say of print, and what they say if their control were the printed one.
    pub verdicts: [Option<PrintedVerdict>; 2],
}

impl Comparison<'_> {
    /// How far ours lies from print under transfer.
    pub fn distance(&self) -> Option<f64> {
        self.transfer.map(|spread| (spread.mean - self.printed).abs())
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
pub fn comparisons<'a>(results: &Results, printed: &'a Printed) -> Vec<Comparison<'a>> {
    let results = &results.in_norm(Norm::Linf);
    let replications = match results.is_of_the_paper() {
        true => Replication::all(results, printed),
        false => Vec::new(),
    };
    let mut replications = replications.into_iter().peekable();
    let mut all = Vec::new();
    for table in &printed.tables {
        for row in &table.rows {
            for (column, &value) in printed.columns.iter().zip(&row.values) {
                let ours = |threat| results.spread(&row.method, &row.scale, &column.key, threat);
                // Those are in the order of print too.
                let replication = replications.next_if(|r| {
                    (r.table, &r.scale, &r.method, &r.column)
                        == (table.number, &row.scale, &row.method, &column.key)
                });
                all.push(Comparison {
                    table: table.number,
                    scale: &row.scale,
                    method: &row.method,
                    column,
                    printed: value,
                    transfer: ours(ThreatModel::Transfer),
                    white_box: ours(ThreatModel::WhiteBox),
                    verdicts: replication.map_or([None; 2], |r| [Some(r.verdict), r.given_control]),
                });
            }
        }
    }
    all
}
