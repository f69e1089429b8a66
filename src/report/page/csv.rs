//! `results.csv`: a row a printed cell, and one a cell of the user's tables, which nobody printed.

use crate::experiment::{Results, ThreatModel};
use crate::report::compare::{Comparison, Spread, distinct_attacks};
use crate::report::page::own::OwnTable;
use crate::{Error, Result};

const HEAD: [&str; 20] = [
    "table",
    "scale",
    "method",
    "column",
    "printed_label",
    "published",
    "transfer_attack",
    "transfer_mean",
    "transfer_min",
    "transfer_max",
    "transfer_seeds",
    "transfer_images",
    "transfer_is_own",
    "white_box_attack",
    "white_box_mean",
    "white_box_min",
    "white_box_max",
    "white_box_seeds",
    "white_box_images",
    "quick",
];

/// A cell.
struct CsvRow<'a> {
    /// Table, label and value in print; empty if it is not printed.
    printed: [String; 3],
    /// Scale, method, column.
    place: [&'a str; 3],
    /// Under transfer, and white-box.
    sides: [Option<Spread>; 2],
}

impl CsvRow<'_> {
    fn record(&self, results: &Results) -> Vec<String> {
        let [scale, method, column] = self.place;
        let [table, label, value] = &self.printed;
        let ours = |spread: Option<Spread>, threat_model| {
            let number =
                |value: fn(&Spread) -> String| spread.as_ref().map_or(String::new(), value);
            let cells = results.cells_of(method, scale, column, threat_model);
            [
                distinct_attacks(cells).join(" "),
                number(|s| format!("{:.6}", s.mean)),
                number(|s| format!("{:.6}", s.smallest)),
                number(|s| format!("{:.6}", s.largest)),
                number(|s| s.seeds.to_string()),
                number(|s| s.images.to_string()),
            ]
        };
        let [transfer, white_box] = self.sides;
        let mut record: Vec<String> =
            [table.as_str(), scale, method, column, label.as_str(), value.as_str()]
                .map(str::to_owned)
                .into();
        record.extend(ours(transfer, ThreatModel::Transfer));
        record.push(transfer.map_or(String::new(), |_| results.is_source(method).to_string()));
        record.extend(ours(white_box, ThreatModel::WhiteBox));
        record.push(results.quick.to_string());
        record
    }
}

/// The file. What was not measured is empty.
///
/// # Errors
/// None in practice: it is written into memory.
pub fn csv(
    results: &Results,
    own: &[OwnTable],
    is_printed: bool,
    comparisons: &[Comparison<'_>],
) -> Result<String> {
    let fail = |e: String| Error::failed("results.csv", e);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEAD).map_err(|e| fail(e.to_string()))?;
    let own = own.iter().flat_map(|table| table.cells());
    let own = own.map(|(scale, method, column, cell)| CsvRow {
        printed: [String::new(), String::new(), String::new()],
        place: [scale, method, column],
        sides: [cell.transfer, cell.white_box],
    });
    let printed = comparisons.iter().map(|cell| CsvRow {
        printed: [
            cell.table.to_string(),
            cell.column.label.clone(),
            format!("{:.4}", cell.published),
        ],
        place: [cell.scale, cell.method, &cell.column.key],
        sides: [cell.transfer, cell.white_box],
    });
    let printed = printed.filter(|_| is_printed);
    for cell in own.chain(printed) {
        writer.write_record(cell.record(results)).map_err(|e| fail(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| fail(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| fail(e.to_string()))
}
