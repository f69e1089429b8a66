//! Whether the methods come in the same order in print and here, column by column.

use crate::report::compare::Comparison;

/// Printed numbers that differ by no more than this say nothing about order: a defended model was trained anew for each
/// noise scale without a seed.
const TIE: f64 = 0.02;

/// Two methods that print has in one order, and ours in the other (or level).
#[derive(Clone, Debug, PartialEq)]
pub struct Disagreement {
    /// The better method in print.
    pub above: String,
    /// The worse method in print.
    pub below: String,
    /// What is printed for the two.
    pub printed: [f64; 2],
    /// Ours.
    pub ours: [f64; 2],
}

/// A column of a table at one noise scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// The table's number.
    pub table: usize,
    /// Noise scale.
    pub scale: String,
    /// The column as printed, and what ran.
    pub label: String,
    /// The column's key.
    pub key: String,
    /// Pairs of methods that print sets apart.
    pub pairs: usize,
    /// Those of them that were measured here, both.
    pub measured: usize,
    /// Those of them that are in the other order.
    pub disagreements: Vec<Disagreement>,
}

impl Ranking {
    /// Measured pairs in the printed order.
    pub fn concordant(&self) -> usize {
        self.measured - self.disagreements.len()
    }

    /// The verdict, in words.
    pub fn verdict(&self) -> &'static str {
        match (self.measured, self.disagreements.len()) {
            (0, _) => "not measured",
            (_, 1..) => "order differs",
            (measured, 0) if measured < self.pairs => "agrees as far as measured",
            _ => "order agrees",
        }
    }
}

/// The order in every column that has more than one method.
pub fn orders(comparisons: &[Comparison<'_>]) -> Vec<Ranking> {
    let mut orders: Vec<Ranking> = Vec::new();
    for (i, first) in comparisons.iter().enumerate() {
        let place = |c: &Comparison<'_>| (c.table, c.scale.to_owned(), c.column.key.clone());
        let later = comparisons[i + 1..].iter().filter(|second| place(second) == place(first));
        for second in later {
            let at = orders.iter().position(|o| {
                (o.table, o.scale.as_str(), o.key.as_str())
                    == (first.table, first.scale, first.column.key.as_str())
            });
            let at = at.unwrap_or_else(|| {
                orders.push(Ranking {
                    table: first.table,
                    scale: first.scale.to_owned(),
                    label: first.column.label_with_attack(),
                    key: first.column.key.clone(),
                    pairs: 0,
                    measured: 0,
                    disagreements: Vec::new(),
                });
                orders.len() - 1
            });
            compare(&mut orders[at], first, second);
        }
    }
    orders
}

fn compare(order: &mut Ranking, first: &Comparison<'_>, second: &Comparison<'_>) {
    if (first.printed - second.printed).abs() <= TIE + 1e-9 {
        return;
    }
    order.pairs += 1;
    let (above, below) =
        if first.printed > second.printed { (first, second) } else { (second, first) };
    let (Some(high), Some(low)) = (above.transfer, below.transfer) else { return };
    order.measured += 1;
    if high.mean <= low.mean {
        order.disagreements.push(Disagreement {
            above: above.method.to_owned(),
            below: below.method.to_owned(),
            printed: [above.printed, below.printed],
            ours: [high.mean, low.mean],
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::PrintedColumn;
    use crate::experiment::Spread;

    #[test]
    fn ties_in_print_do_not_count_and_reversals_are_named() {
        let column = PrintedColumn {
            full: None,
            other_norms: None,
            spiking: None,
            label: "PGD".into(),
            key: "fgsm".into(),
            ran: String::new(),
            attack: None,
        };
        let row = |method, printed, ours: Option<f64>| Comparison {
            table: 1,
            scale: "64/255",
            method,
            column: &column,
            printed,
            transfer: ours.and_then(|accuracy| Spread::of([(accuracy, 10)])),
            white_box: None,
            verdicts: [None; 2],
        };
        let rows = [
            row("a", 0.90, Some(0.5)),
            row("b", 0.89, Some(0.6)),
            row("c", 0.5, Some(0.55)),
            row("d", 0.1, None),
        ];
        let orders = orders(&rows);
        let [order] = &orders[..] else { panic!("one column") };
        assert_eq!((order.pairs, order.measured, order.concordant()), (5, 2, 1));
        assert_eq!(order.disagreements[0].above, "a");
        assert_eq!(order.disagreements[0].below, "c");
        assert_eq!(order.verdict(), "order differs");
    }
}
