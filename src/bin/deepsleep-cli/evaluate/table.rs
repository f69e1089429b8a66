//! Results of attacks for people.

use deepsleep::evaluation::{Cell, ThreatModel, WorstCase};

pub fn table(cells: &[Cell], worst: &[WorstCase]) -> String {
    let names = cells.iter().map(|cell| cell.attack.len());
    let width = names.max().unwrap_or(0).max("worst case".len());
    let mut lines = vec![format!(
        "{:<width$}  {:<4} {:>7}  {:<9} {:>8} {:>12} {:>12} {:>9} {:>8}",
        "attack", "norm", "eps", "threat", "robust", "forward", "backward", "zero grad", "seconds"
    )];
    for cell in cells {
        let threat = match cell.threat_model {
            ThreatModel::WhiteBox => "white-box",
            ThreatModel::Transfer => "transfer",
        };
        let zero =
            cell.zero_gradient_share.map_or("-".to_owned(), |z| format!("{:.2} %", 100.0 * z));
        lines.push(format!(
            "{:<width$}  {:<4} {:>7.4}  {threat:<9} {:>8} {:>12} {:>12} {zero:>9} {:>8.1}",
            cell.attack,
            cell.norm.to_string(),
            cell.eps,
            percent(cell.robust_accuracy),
            cell.forward_passes,
            cell.backward_passes,
            cell.seconds,
        ));
    }
    for cell in cells {
        if let Some(expected) = cell.expected_accuracy {
            lines.push(format!(
                "{:<width$}  {:<4} {:>7.4}  {:<9} {:>8}   expected of one draw",
                cell.attack,
                cell.norm.to_string(),
                cell.eps,
                "",
                percent(expected)
            ));
        }
    }
    for worst in worst {
        lines.push(format!(
            "{:<width$}  {:<4} {:>7.4}  {:<9} {:>8}   strongest: {}",
            "worst case",
            worst.norm.to_string(),
            worst.eps,
            "",
            percent(worst.robust_accuracy),
            worst.strongest
        ));
    }
    for cell in cells {
        let (attack, eps) = (&cell.attack, cell.eps);
        let warnings = cell.warnings.iter();
        lines.extend(warnings.map(|w| format!("warning: {attack}, eps {eps:.4}: {w}")));
    }
    lines.join("\n")
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
