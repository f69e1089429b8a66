//! Tables to read, one layout for page, Markdown and terminal: the printed ones, and the user's own. Each is of one threat
//! model.

use crate::evaluation::ThreatModel;
use crate::experiment::{CLEAN, Printed, PrintedVerdict, Results, Sheet, Spread, certified_by};
use crate::report::compare::{Comparison, comparisons, is_near};

/// A table.
#[derive(Clone, Debug)]
pub struct ReadTable {
    /// Its number in the paper; none of a table of the user's.
    pub number: Option<usize>,
    /// Whether it has the printed numbers, too.
    pub beside_print: bool,
    /// What it is.
    pub caption: String,
    /// Who crafted the images.
    pub threat_model: ThreatModel,
    /// Whether the run was asked for it; else it shows what was measured for others.
    pub asked: bool,
    /// Rows of print that are left out, as nothing in them was measured.
    pub left_out: usize,
    /// Its columns.
    pub columns: Vec<Head>,
    /// Its rows, one noise scale after the other.
    pub scales: Vec<ScaleRows>,
}

/// The head of a column.
#[derive(Clone, Debug)]
pub struct Head {
    /// The column's key.
    pub key: String,
    /// As printed, with the attack that really ran where it is another.
    pub label: String,
    /// What ran, in words.
    pub ran: String,
}

/// The rows of one noise scale.
#[derive(Clone, Debug)]
pub struct ScaleRows {
    /// The noise scale.
    pub scale: String,
    /// The rows: method and cells.
    pub rows: Vec<(String, Vec<ShownCell>)>,
}

/// One number over all seeds, beside what is printed.
#[derive(Clone, Debug)]
pub struct ShownCell {
    /// As printed, if it is.
    pub printed: Option<f64>,
    /// Ours, if it was measured.
    pub ours: Option<Spread>,
    /// What several seeds say of print.
    pub verdict: Option<PrintedVerdict>,
    /// The interval of one more run.
    pub interval: Option<[f64; 2]>,
}

impl ShownCell {
    /// A printed cell. Print is nothing to compare white-box attacks with.
    pub fn of(results: &Results, c: &Comparison<'_>, threat_model: ThreatModel) -> Self {
        match threat_model {
            ThreatModel::Transfer => Self {
                printed: Some(c.printed),
                ours: c.transfer,
                verdict: c.verdicts[0],
                interval: c.verdicts[0].map(|verdict| verdict.prediction.interval),
            },
            ThreatModel::WhiteBox => plain(results, c.white_box),
        }
    }

    /// The mean, with the standard deviation of several seeds.
    pub fn number(&self) -> String {
        match self.ours {
            None => "missing".to_owned(),
            Some(Spread { mean, deviation: None, .. }) => format!("{mean:.4}"),
            Some(Spread { mean, deviation: Some(sd), .. }) => format!("{mean:.3} \u{b1} {sd:.3}"),
        }
    }

    /// The interval of one more run; with one seed, that of other images.
    pub fn range(&self) -> String {
        let interval = self.interval.or_else(|| self.ours?.of_other_images());
        interval.map_or(String::new(), |[low, high]| format!("{low:.3} to {high:.3}"))
    }

    /// What that says of print: inside of the interval, or by how many standard deviations print is above it; with one seed,
    /// the difference.
    pub fn words(&self) -> String {
        match (self.verdict, self.ours, self.printed) {
            (Some(PrintedVerdict { replicated: true, .. }), ..) => "inside".to_owned(),
            (Some(PrintedVerdict { z, .. }), ..) => format!("z {}", signed(z, 1)),
            (None, Some(ours), Some(printed)) => signed(ours.mean - printed, 3),
            _ => String::new(),
        }
    }

    /// The class in the page's style: `near`, `close`, `off`, `far`, `missing` or `plain`.
    pub fn class(&self) -> &'static str {
        let Some(ours) = self.ours else { return "missing" };
        let Some(printed) = self.printed else { return "plain" };
        let distance = (ours.mean - printed).abs();
        let inside = self.verdict.map_or(is_near(distance), |verdict| verdict.replicated);
        match distance {
            _ if inside => "near",
            d if d <= 0.1 => "close",
            d if d <= 0.25 => "off",
            _ => "far",
        }
    }
}

/// With its sign, a real minus.
pub fn signed(number: f64, digits: usize) -> String {
    let sign = if number < 0.0 { '\u{2212}' } else { '+' };
    format!("{sign}{:.digits$}", number.abs())
}

impl ReadTable {
    /// Whether anything but answers to clean images was measured in it. (Clean images are the same under all threat models.)
    pub fn is_attacked(&self) -> bool {
        let mut rows = self.scales.iter().flat_map(|scale| &scale.rows);
        rows.any(|(_, cells)| {
            let mut cells = self.columns.iter().zip(cells);
            cells.any(|(head, cell)| head.key != CLEAN && cell.ours.is_some())
        })
    }

    /// Its place in sentences.
    pub fn name(&self) -> String {
        match self.number {
            Some(number) => format!("Table {number}"),
            None => "Own table".to_owned(),
        }
    }

    /// A table of the paper's as measured under this threat model; beside print under transfer, which the paper measured.
    pub fn printed(
        results: &Results,
        printed: &Printed,
        comparisons: &[Comparison<'_>],
        threat_model: ThreatModel,
    ) -> Vec<Self> {
        let shown = |table: &crate::experiment::Table| {
            let (mut scales, mut left_out) = (Vec::<ScaleRows>::new(), 0);
            for row in &table.rows {
                let of_row = comparisons.iter().filter(|c| {
                    (c.table, c.scale, c.method) == (table.number, &*row.scale, &*row.method)
                });
                let cells: Vec<_> =
                    of_row.map(|c| ShownCell::of(results, c, threat_model)).collect();
                if cells.iter().all(|cell| cell.ours.is_none()) {
                    left_out += 1;
                    continue;
                }
                match scales.iter_mut().find(|scale| scale.scale == row.scale) {
                    Some(scale) => scale.rows.push((row.method.clone(), cells)),
                    None => scales.push(ScaleRows {
                        scale: row.scale.clone(),
                        rows: vec![(row.method.clone(), cells)],
                    }),
                }
            }
            let head = |column: &crate::experiment::PrintedColumn| Head {
                key: column.key.clone(),
                label: column.label_with_attack(),
                ran: column.ran.clone(),
            };
            Self {
                number: Some(table.number),
                beside_print: true,
                caption: table.caption.clone(),
                threat_model,
                asked: results.tables.contains(&table.number),
                left_out,
                columns: printed.columns.iter().map(head).collect(),
                scales,
            }
        };
        let tables = printed.tables.iter().map(shown);
        if results.is_of_the_paper() {
            return tables.collect();
        }
        tables.map(|table| table.without_print(results)).collect()
    }

    /// The rows and columns of a printed table, of another network or other images than the paper's.
    fn without_print(self, results: &Results) -> Self {
        let rows = format!("Rows of the paper's table {}", self.number.unwrap_or_default());
        let head = |head: Head| Head { label: head.key.clone(), ran: String::new(), ..head };
        let cell = |cell: ShownCell| ShownCell { printed: None, verdict: None, ..cell };
        let scale = |scale: ScaleRows| ScaleRows {
            rows: scale
                .rows
                .into_iter()
                .map(|(method, cells)| (method, cells.into_iter().map(cell).collect()))
                .collect(),
            ..scale
        };
        Self {
            caption: format!("{rows}, {}", of(results)),
            beside_print: false,
            columns: self.columns.into_iter().map(head).collect(),
            scales: self.scales.into_iter().map(scale).collect(),
            left_out: 0,
            ..self
        }
    }

    /// The tables of the paper's that were asked for, of a network or images of the user's: as own ones.
    pub fn own_of_paper(tables: Vec<Self>) -> impl Iterator<Item = Self> {
        tables.into_iter().filter(|table| table.asked && !table.scales.is_empty())
    }

    /// The user's tables, as far as an attack was measured under this threat model; one of clean images alone counts as transfer.
    pub fn own(results: &Results, threat_model: ThreatModel) -> Vec<Self> {
        let own = |sheet: &Sheet| {
            let table = own(results, sheet, threat_model);
            let is_clean = sheet.columns.iter().all(|column| column == CLEAN);
            let first = threat_model == ThreatModel::Transfer;
            (table.is_attacked() || (first && is_clean)).then_some(table)
        };
        results.sheets.iter().filter_map(own).collect()
    }

    /// All tables that were asked for, as far as anything in them was measured: the paper's under transfer, then the user's
    /// under both threat models.
    pub fn asked(results: &Results, printed: &Printed) -> Vec<Self> {
        let comparisons = comparisons(results, printed);
        let printed = Self::printed(results, printed, &comparisons, ThreatModel::Transfer);
        let mut all: Vec<Self> = printed.into_iter().filter(|table| table.asked).collect();
        for threat_model in [ThreatModel::Transfer, ThreatModel::WhiteBox] {
            all.extend(Self::own(results, threat_model));
        }
        all
    }
}

/// Network and images.
fn of(results: &Results) -> String {
    let set = results.data.as_ref().map_or("", |data| data.name.as_str());
    format!("{} on {set}", results.network)
}

fn plain(results: &Results, ours: Option<Spread>) -> ShownCell {
    let prediction = ours.and_then(|spread| spread.prediction(results.test_images()));
    let interval = prediction.map(|prediction| prediction.interval);
    ShownCell { printed: None, ours, verdict: None, interval }
}

/// The row labels of a sheet, each once.
pub fn labels(sheet: &Sheet) -> Vec<&str> {
    let mut labels: Vec<&str> = Vec::new();
    for row in &sheet.rows {
        if !labels.contains(&row.label.as_str()) {
            labels.push(&row.label);
        }
    }
    labels
}

fn own(results: &Results, sheet: &Sheet, threat_model: ThreatModel) -> ReadTable {
    let results = &results.in_norm(sheet.norm);
    let cell = |method: &str, scale: &str, column: &String| {
        plain(results, results.spread(method, scale, column, threat_model))
    };
    // Certificates are of the model itself.
    let is_here =
        |column: &&String| threat_model == ThreatModel::WhiteBox || certified_by(column).is_none();
    let columns = || sheet.columns.iter().filter(is_here);
    let rows = |scale: &String| {
        let row = |method: &&str| {
            let cells = columns().map(|column| cell(method, scale, column));
            ((*method).to_owned(), cells.collect())
        };
        let rows = labels(sheet).iter().map(row).collect();
        ScaleRows { scale: scale.clone(), rows }
    };
    let head = |key: &String| Head { key: key.clone(), label: key.clone(), ran: String::new() };
    ReadTable {
        number: None,
        beside_print: false,
        caption: format!("{}, {}", sheet.norm, of(results)),
        threat_model,
        asked: true,
        left_out: 0,
        columns: columns().map(head).collect(),
        scales: sheet.scales.iter().map(rows).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::wilson;

    #[test]
    fn one_seed_has_the_interval_of_its_images_and_several_that_of_one_more_run() {
        let shown = |accuracies: &[f64]| {
            let ours = Spread::of(accuracies.iter().map(|&accuracy| (accuracy, 100)));
            let interval = ours.and_then(|ours| Some(ours.prediction(100)?.interval));
            ShownCell { printed: None, ours, verdict: None, interval }
        };
        let [low, high] = wilson(79, 100);
        assert_eq!(shown(&[0.79]).range(), format!("{low:.3} to {high:.3}"));
        assert_eq!(shown(&[0.79, 0.79]).range(), "0.790 to 0.790");
        assert_eq!(shown(&[]).range(), "");
    }
}
