//! Whether the methods come in the printed order.

use crate::report::compare::ranking::Ranking;

/// The summary.
#[derive(Clone, Debug)]
pub struct Summary {
    /// A line a column, with its verdict at each table and noise scale.
    pub columns: Vec<ColumnOrder>,
    /// The heads of those verdicts.
    pub places: Vec<String>,
    /// A sentence a pair that comes in the other order.
    pub disagreements: Vec<String>,
}

/// The order of methods in a column.
#[derive(Clone, Debug)]
pub struct ColumnOrder {
    /// The column as printed, and what ran.
    pub label: String,
    /// Pairs in the printed order, of pairs measured, over all places.
    pub concordant: usize,
    /// Pairs measured.
    pub measured: usize,
    /// Pairs that print sets apart.
    pub pairs: usize,
    /// The verdict at each place.
    pub verdicts: Vec<RankingVerdict>,
}

/// The order of methods in a column of a table at one noise scale.
#[derive(Clone, Debug)]
pub struct RankingVerdict {
    /// Words.
    pub words: &'static str,
    /// Pairs in the printed order, of pairs measured.
    pub pairs: String,
    /// The class in the page's style.
    pub class: &'static str,
}

impl Summary {
    /// Puts the columns together.
    pub fn new(orders: &[Ranking]) -> Self {
        let place = |order: &Ranking| format!("Table {}, {}", order.table, order.scale);
        let mut places: Vec<String> = orders.iter().map(place).collect();
        places.dedup();
        // Orders go place by place.
        let mut seen = Vec::new();
        places.retain(|place| {
            let new = !seen.contains(place);
            seen.push(place.clone());
            new
        });
        let mut columns: Vec<ColumnOrder> = Vec::new();
        let mut keys: Vec<&str> = Vec::new();
        for order in orders {
            let at = keys.iter().position(|key| *key == order.key).unwrap_or_else(|| {
                keys.push(&order.key);
                columns.push(ColumnOrder {
                    label: order.label.clone(),
                    concordant: 0,
                    measured: 0,
                    pairs: 0,
                    verdicts: Vec::new(),
                });
                columns.len() - 1
            });
            let column = &mut columns[at];
            column.concordant += order.concordant();
            column.measured += order.measured;
            column.pairs += order.pairs;
            column.verdicts.push(RankingVerdict {
                words: order.verdict(),
                pairs: format!("{}/{}", order.concordant(), order.measured),
                class: match (order.measured, order.disagreements.len()) {
                    (0, _) => "missing",
                    (_, 0) => "near",
                    _ => "far",
                },
            });
        }
        Self { columns, places, disagreements: orders.iter().flat_map(sentences).collect() }
    }

    /// The sentence about all columns.
    pub fn order_sentence(&self) -> String {
        let pairs: usize = self.columns.iter().map(|column| column.measured).sum();
        let concordant: usize = self.columns.iter().map(|column| column.concordant).sum();
        let verdicts = || self.columns.iter().flat_map(|column| &column.verdicts);
        let agree = verdicts().filter(|verdict| verdict.class == "near").count();
        let measured = verdicts().filter(|verdict| verdict.class != "missing").count();
        format!(
            "The order of the methods agrees in {agree} of {measured} measured columns; {concordant} of {pairs} pairs that differ by more than 0.02 in print are in the same order here."
        )
    }
}

fn sentences(order: &Ranking) -> Vec<String> {
    let place = format!("Table {}, {}, {}", order.table, order.scale, order.label);
    let sentence = |d: &crate::report::compare::ranking::Disagreement| {
        format!(
            "{place}: {} is printed above {} ({:.4} against {:.4}); ours are {:.4} and {:.4}.",
            d.above, d.below, d.printed[0], d.printed[1], d.ours[0], d.ours[1]
        )
    };
    order.disagreements.iter().map(sentence).collect()
}
