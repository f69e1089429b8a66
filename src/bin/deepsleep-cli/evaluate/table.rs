//! Tables of attack results, as text.

use crate::numbers::{confidence, percent, range};
use deepsleep::attack::findings;
use deepsleep::evaluation::{Cell, NamedAttack, WorstCase};
use deepsleep::wording::{Medium, printable, written};

/// Characters of the widest first column: an attack's options may be long, and a file's name for its attack endless.
const WIDEST: usize = 80;

pub fn table(cells: &[Cell], worst: &[WorstCase]) -> String {
    let names = cells.iter().map(|cell| name(cell.attack.as_ref()).chars().count());
    let width = names.max().unwrap_or(0).max("worst case".len());
    let radii = cells.iter().map(|cell| written(cell.eps).len());
    let eps = radii.max().unwrap_or(0).max(7);
    let mut lines = vec![format!(
        "{:<width$}  {:<4} {:>eps$}  {:<9} {:>8} {:>17} {:>12} {:>12} {:>9} {:>8}",
        "attack",
        "norm",
        "eps",
        "threat",
        "robust",
        "95 %",
        "forward",
        "backward",
        "zero grad",
        "seconds"
    )];
    for cell in cells {
        let threat = cell.threat_model.name();
        let zero = cell.zero_gradient_share.map_or("-".to_owned(), |z| percent(z, 1.0));
        lines.push(format!(
            "{:<width$}  {:<4} {:>eps$}  {threat:<9} {:>8} {:>17} {:>12} {:>12} {zero:>9} {:>8.1}",
            name(cell.attack.as_ref()),
            cell.norm.to_string(),
            written(cell.eps),
            percent(cell.robust_accuracy, 1.0),
            cell.robust_interval.map_or(String::new(), range),
            cell.forward_passes,
            cell.backward_passes,
            cell.seconds,
        ));
    }
    for cell in cells {
        let Some(random) = cell.random else { continue };
        for (accuracy, interval, whose) in [
            (random.expected_accuracy, random.expected_interval, "expected of one draw"),
            (random.majority_accuracy, random.majority_interval, "by majority of the draws"),
        ] {
            lines.push(format!(
                "{:<width$}  {:<4} {:>eps$}  {:<9} {:>8}   {whose}, {}",
                name(cell.attack.as_ref()),
                cell.norm.to_string(),
                written(cell.eps),
                "",
                percent(accuracy, 1.0),
                confidence(interval)
            ));
        }
    }
    for worst in worst {
        lines.push(format!(
            "{:<width$}  {:<4} {:>eps$}  {:<9} {:>8}   strongest: {}",
            "worst case",
            worst.norm.to_string(),
            written(worst.eps),
            "",
            percent(worst.robust_accuracy, 1.0),
            name(worst.strongest.as_ref())
        ));
    }
    for cell in cells {
        let (attack, eps) = (name(cell.attack.as_ref()), written(cell.eps));
        let found = findings(&cell.found_by).into_iter();
        lines.extend(found.map(|found| format!("{attack}, eps {eps}: {found}")));
        let warnings = cell.warnings.iter();
        lines.extend(warnings.map(|w| format!("warning: {attack}, eps {eps}: {w}")));
    }
    // A set from elsewhere brings words of its own, which must not look like lines of ours.
    lines.iter().map(|line| printable(line, Medium::Line)).collect::<Vec<_>>().join("\n")
}

fn name(attack: Option<&NamedAttack>) -> String {
    attack.map_or(String::new(), |attack| short(&attack.to_string()))
}

/// An attack's name as a table has room for it.
fn short(name: &str) -> String {
    let name = printable(name, Medium::Line);
    if name.chars().count() <= WIDEST {
        return name.into_owned();
    }
    name.chars().take(WIDEST - 3).chain("...".chars()).collect()
}

/// Images of each class by what they are taken for, with the share that is right.
pub fn confusion(counts: &[Vec<usize>]) -> String {
    let most = counts.iter().flatten().max().copied().unwrap_or(0);
    let width = most.to_string().len().max(counts.len().saturating_sub(1).to_string().len()) + 1;
    let columns: String = (0..counts.len()).map(|class| format!("{class:>width$}")).collect();
    let mut lines = vec![format!("class, taken for {columns}    right")];
    for (class, row) in counts.iter().enumerate() {
        let numbers: String = row.iter().map(|count| format!("{count:>width$}")).collect();
        let all: usize = row.iter().sum();
        let right = percent(row[class] as f64, all as f64);
        lines.push(format!("{class:>16} {numbers} {right:>8}"));
    }
    lines.join("\n")
}
