//! Tables 1 to 3 as they are shown: printed and ours in one cell.

use crate::experiment::{Published, Results};
use crate::report::compare::{Comparison, Spread, is_near};

/// A table.
#[derive(Clone, Debug)]
pub struct ShownTable {
    /// Its number.
    pub number: usize,
    /// As printed.
    pub caption: String,
    /// Whether the run was asked for it.
    pub asked: bool,
    /// Its columns.
    pub columns: Vec<Head>,
    /// Its rows, one noise scale after the other.
    pub scales: Vec<ScaleRows>,
}

/// The head of a column.
#[derive(Clone, Debug)]
pub struct Head {
    /// As printed.
    pub label: String,
    /// The attack that really ran, where it is another.
    pub labeled: String,
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

/// A printed number and ours.
#[derive(Clone, Debug)]
pub struct ShownCell {
    /// As printed.
    pub published: String,
    /// Ours under transfer.
    pub transfer: Side,
    /// Whether that is on images which were crafted on this very model.
    pub own: bool,
    /// Ours, white-box.
    pub white_box: Side,
}

/// Ours of one threat model.
#[derive(Clone, Debug)]
pub struct Side {
    /// The mean; `missing` if it was not measured.
    pub mean: String,
    /// How far it is from print, with its sign.
    pub difference: String,
    /// Smallest to largest over the seeds; empty with one seed.
    pub spread: String,
    /// The class in the page's style: `near`, `close`, `off`, `far` or `missing`.
    pub class: &'static str,
}

impl Side {
    fn new(spread: Option<Spread>, published: f64) -> Self {
        let Some(spread) = spread else {
            let (difference, seeds) = (String::new(), String::new());
            return Self { mean: "missing".into(), difference, spread: seeds, class: "missing" };
        };
        let difference = spread.mean - published;
        let class = match difference.abs() {
            d if is_near(d) => "near",
            d if d <= 0.1 => "close",
            d if d <= 0.25 => "off",
            _ => "far",
        };
        let sign = if difference < 0.0 { '\u{2212}' } else { '+' };
        Self {
            mean: format!("{:.4}", spread.mean),
            difference: format!("{sign}{:.3}", difference.abs()),
            spread: match spread.seeds {
                1 => String::new(),
                _ => format!("{:.3} to {:.3}", spread.smallest, spread.largest),
            },
            class,
        }
    }
}

/// All tables.
pub fn tables(
    results: &Results,
    published: &Published,
    comparisons: &[Comparison<'_>],
) -> Vec<ShownTable> {
    let head = |column: &crate::experiment::PrintedColumn| Head {
        label: column.label.clone(),
        labeled: column.label_with_attack(),
        ran: column.ran.clone(),
    };
    let shown = |table: &crate::experiment::Table| {
        let mut scales: Vec<ScaleRows> = Vec::new();
        for row in &table.rows {
            let of_row = comparisons.iter().filter(|c| {
                (c.table, c.scale, c.method) == (table.number, &*row.scale, &*row.method)
            });
            let cells = of_row.map(|c| ShownCell {
                published: format!("{:.4}", c.published),
                transfer: Side::new(c.transfer, c.published),
                own: results.is_source(c.method),
                white_box: Side::new(c.white_box, c.published),
            });
            let row_cells = (row.method.clone(), cells.collect());
            match scales.iter_mut().find(|scale| scale.scale == row.scale) {
                Some(scale) => scale.rows.push(row_cells),
                None => {
                    scales.push(ScaleRows { scale: row.scale.clone(), rows: vec![row_cells] });
                }
            }
        }
        ShownTable {
            number: table.number,
            caption: table.caption.clone(),
            asked: results.tables.contains(&table.number),
            columns: published.columns.iter().map(head).collect(),
            scales,
        }
    };
    published.tables.iter().map(shown).collect()
}
