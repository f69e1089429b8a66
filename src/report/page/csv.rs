//! `results.csv`: a row a printed cell.

use crate::experiment::{Results, ThreatModel};
use crate::report::compare::{Comparison, Spread, distinct_attacks};
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

/// The file. What was not measured is empty.
///
/// # Errors
/// None in practice: it is written into memory.
pub fn csv(results: &Results, comparisons: &[Comparison<'_>]) -> Result<String> {
    let fail = |e: String| Error::failed("results.csv", e);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEAD).map_err(|e| fail(e.to_string()))?;
    for cell in comparisons {
        let ours = |spread: Option<Spread>, threat_model| {
            let number =
                |value: fn(&Spread) -> String| spread.as_ref().map_or(String::new(), value);
            let cells = results.cells_of(cell.method, cell.scale, &cell.column.key, threat_model);
            [
                distinct_attacks(cells).join(" "),
                number(|s| format!("{:.6}", s.mean)),
                number(|s| format!("{:.6}", s.smallest)),
                number(|s| format!("{:.6}", s.largest)),
                number(|s| s.seeds.to_string()),
                number(|s| s.images.to_string()),
            ]
        };
        let mut record = vec![
            cell.table.to_string(),
            cell.scale.to_owned(),
            cell.method.to_owned(),
            cell.column.key.clone(),
            cell.column.label.clone(),
            format!("{:.4}", cell.published),
        ];
        record.extend(ours(cell.transfer, ThreatModel::Transfer));
        record.push(
            cell.transfer.map_or(String::new(), |_| results.is_source(cell.method).to_string()),
        );
        record.extend(ours(cell.white_box, ThreatModel::WhiteBox));
        record.push(results.quick.to_string());
        writer.write_record(&record).map_err(|e| fail(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| fail(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| fail(e.to_string()))
}
