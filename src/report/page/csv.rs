//! `results.csv`: one row for each printed cell, and one for each cell of the user's own tables.

use crate::attack::Norm;
use crate::evaluation::ThreatModel;
use crate::experiment::{PrintedVerdict, Results, Spread};
use crate::report::compare::{Comparison, distinct_attacks};
use crate::report::tables::labels;
use crate::{Error, Result};

const PLACE: [&str; 7] = ["table", "norm", "scale", "method", "column", "printed_label", "printed"];
/// For each threat model, with its name as a prefix. `low` and `high` are those of one more run; with one seed, of other
/// images.
const SIDE: [&str; 9] = ["attack", "mean", "min", "max", "seeds", "images", "sd", "low", "high"];
/// What several seeds say of print if their control were the printed one.
const GIVEN: [&str; 5] = ["expected", "low", "high", "z", "replicated"];

fn head() -> Vec<String> {
    let side = |name: &str| SIDE.map(|what| format!("{name}_{what}"));
    let mut head: Vec<String> = PLACE.map(str::to_owned).into();
    head.extend(side("transfer"));
    head.push("transfer_is_own".into());
    head.extend(["z", "replicated"].map(str::to_owned));
    head.extend(GIVEN.map(|what| format!("given_control_{what}")));
    head.extend(side("white_box"));
    head.push("quick".into());
    head
}

/// A cell.
struct CsvRow<'a> {
    /// Table, label and value in print; empty if it is not printed.
    printed: [String; 3],
    /// What was measured in its norm.
    results: &'a Results,
    norm: Norm,
    /// Scale, method, column.
    place: [&'a str; 3],
    /// Under transfer, and white-box.
    sides: [Option<Spread>; 2],
    /// What several seeds say of print, and if their control were the printed one.
    verdicts: [Option<PrintedVerdict>; 2],
}

fn or_empty<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or(String::new(), text)
}

impl CsvRow<'_> {
    fn record(&self) -> Vec<String> {
        let results = self.results;
        let [scale, method, column] = self.place;
        let [table, label, value] = &self.printed;
        let ours = |spread: Option<Spread>, threat_model| {
            let number = |value: fn(&Spread) -> String| or_empty(spread.as_ref(), value);
            let cells = results.cells_of(method, scale, column, threat_model);
            let prediction = spread.and_then(|spread| spread.prediction(results.test_images()));
            let interval = prediction.map(|prediction| prediction.interval);
            let interval = interval.or_else(|| spread?.of_other_images());
            let end = |at: usize| or_empty(interval, |ends| format!("{:.6}", ends[at]));
            [
                distinct_attacks(cells)
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" "),
                number(|s| format!("{:.6}", s.mean)),
                number(|s| format!("{:.6}", s.smallest)),
                number(|s| format!("{:.6}", s.largest)),
                number(|s| s.seeds.to_string()),
                number(|s| s.images.to_string()),
                or_empty(spread.and_then(|s| s.deviation), |sd| format!("{sd:.6}")),
                end(0),
                end(1),
            ]
        };
        let z = |verdict| or_empty(verdict, |v: PrintedVerdict| format!("{:.2}", v.z));
        let inside = |verdict| or_empty(verdict, |v: PrintedVerdict| v.replicated.to_string());
        let [transfer, white_box] = self.sides;
        let mut record: Vec<String> =
            [table.as_str(), self.norm.name(), scale, method, column, label, value]
                .map(str::to_owned)
                .into();
        record.extend(ours(transfer, ThreatModel::Transfer));
        record.push(transfer.map_or(String::new(), |_| results.is_source(method).to_string()));
        let [all, given] = self.verdicts;
        record.extend([z(all), inside(all)]);
        let prediction = given.map(|verdict| verdict.prediction);
        record.push(or_empty(prediction, |p| format!("{:.6}", p.mean)));
        record.extend([0, 1].map(|at| or_empty(prediction, |p| format!("{:.6}", p.interval[at]))));
        record.extend([z(given), inside(given)]);
        record.extend(ours(white_box, ThreatModel::WhiteBox));
        record.push(results.quick.to_string());
        record
    }
}

/// The file. What was not measured is empty.
///
/// # Errors
/// If a record has another number of fields than the head.
pub fn csv(results: &Results, asks_paper: bool, comparisons: &[Comparison<'_>]) -> Result<String> {
    let fail = |e: String| Error::failed("results.csv", e);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(head()).map_err(|e| fail(e.to_string()))?;
    let of_norms: Vec<Results> =
        results.sheets.iter().map(|sheet| results.in_norm(sheet.norm)).collect();
    let own = results.sheets.iter().zip(&of_norms).flat_map(|(sheet, results)| {
        sheet.scales.iter().flat_map(move |scale| {
            labels(sheet).into_iter().flat_map(move |method| {
                let place = move |column| [scale.as_str(), method, column];
                sheet
                    .columns
                    .iter()
                    .map(move |column| (results, sheet.norm, place(column.as_str())))
            })
        })
    });
    let own = own.map(|(results, norm, place)| CsvRow {
        results,
        norm,
        printed: [String::new(), String::new(), String::new()],
        place,
        sides: [ThreatModel::Transfer, ThreatModel::WhiteBox]
            .map(|threat| results.spread(place[1], place[0], place[2], threat)),
        verdicts: [None; 2],
    });
    let linf = results.in_norm(Norm::Linf);
    let is_of_the_paper = results.is_of_the_paper();
    let printed = comparisons.iter().map(|cell| CsvRow {
        results: &linf,
        norm: Norm::Linf,
        printed: match is_of_the_paper {
            true => {
                [cell.table.to_string(), cell.column.label.clone(), format!("{:.4}", cell.printed)]
            }
            false => [cell.table.to_string(), String::new(), String::new()],
        },
        place: [cell.scale, cell.method, &cell.column.key],
        sides: [cell.transfer, cell.white_box],
        verdicts: cell.verdicts,
    });
    // Of another network, what was not measured says nothing.
    let is_measured = |row: &CsvRow<'_>| row.sides.iter().any(Option::is_some);
    let printed = printed.filter(|row| asks_paper && (is_of_the_paper || is_measured(row)));
    for cell in own.chain(printed) {
        writer.write_record(cell.record()).map_err(|e| fail(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| fail(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| fail(e.to_string()))
}
