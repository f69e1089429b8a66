//! Tables of the user's: what nobody has printed.

use crate::experiment::{Results, Sheet, ThreatModel};
use crate::report::compare::{Spread, measured};

/// A method, and its cells column by column.
type OwnRow = (String, Vec<OwnCell>);

/// A table of the user's.
#[derive(Clone, Debug)]
pub struct OwnTable {
    /// What it is.
    pub caption: String,
    /// The columns' keys.
    pub columns: Vec<String>,
    /// Its rows, one noise scale after the other.
    pub scales: Vec<(String, Vec<OwnRow>)>,
}

/// What we measured.
#[derive(Clone, Debug)]
pub struct OwnCell {
    /// On images that were crafted on the control.
    pub transfer: Option<Spread>,
    /// On images that were crafted on the model itself.
    pub white_box: Option<Spread>,
}

impl OwnCell {
    /// Both, in words.
    pub fn sides(&self) -> [(&'static str, String); 2] {
        let words = |spread: Option<Spread>| match spread {
            None => "missing".to_owned(),
            Some(Spread { mean, seeds: 1, .. }) => format!("{mean:.4}"),
            Some(Spread { mean, smallest, largest, .. }) => {
                format!("{mean:.4} ({smallest:.3} to {largest:.3})")
            }
        };
        [("transfer", words(self.transfer)), ("white-box", words(self.white_box))]
    }
}

impl OwnTable {
    /// Every cell, with its scale, method and column.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str, &str, &OwnCell)> {
        self.scales.iter().flat_map(move |(scale, rows)| {
            rows.iter().flat_map(move |(method, cells)| {
                let cells = self.columns.iter().zip(cells);
                cells.map(move |(column, cell)| (&**scale, &**method, &**column, cell))
            })
        })
    }
}

/// All of them.
pub fn own(results: &Results) -> Vec<OwnTable> {
    results.sheets.iter().map(|sheet| table(results, sheet)).collect()
}

fn table(results: &Results, sheet: &Sheet) -> OwnTable {
    let mut methods: Vec<&str> = Vec::new();
    for row in &sheet.methods {
        if !methods.contains(&row.label.as_str()) {
            methods.push(&row.label);
        }
    }
    let cell = |method: &str, scale: &str, column: &String| {
        let [transfer, white_box] = [ThreatModel::Transfer, ThreatModel::WhiteBox]
            .map(|threat| measured(results, method, scale, column, threat));
        OwnCell { transfer, white_box }
    };
    let rows = |scale: &String| {
        let row = |method: &&str| {
            let cells = sheet.columns.iter().map(|column| cell(method, scale, column));
            ((*method).to_owned(), cells.collect())
        };
        (scale.clone(), methods.iter().map(row).collect())
    };
    let set = results.data.as_ref().map_or("", |data| data.name.as_str());
    OwnTable {
        caption: format!("{}, {} on {set}", sheet.norm, results.network),
        columns: sheet.columns.clone(),
        scales: sheet.scales.iter().map(rows).collect(),
    }
}
