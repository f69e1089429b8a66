//! The table at the end: ours beside what was printed.

use crate::common::Common;
use crate::stderr::shown;
use anyhow::Result;
use deepsleep::experiment::{Printed, Results, SweepFound, SweepRow};
use deepsleep::report::{Head, NEAR, ReadTable, ScaleRows, ShownCell, is_near, notice};
use std::path::Path;

/// The tables that were asked for, beside the printed numbers where there are any.
pub fn of(results: &Results) -> Result<String> {
    let printed = Printed::load()?;
    let mut text = String::new();
    if let Some(notice) = notice(results) {
        text += &format!("{}\n", notice.replace('`', ""));
    }
    let tables = ReadTable::asked(results, &printed);
    tables.iter().for_each(|table| text += &read(table));
    let mut sources: Vec<&str> = Vec::new();
    for model in results.models.iter().filter(|model| results.is_source(&model.method)) {
        if !sources.contains(&model.method.as_str()) {
            sources.push(&model.method);
            text += &format!(
                "\n{}: images crafted on the model itself, so this is not a transfer\n",
                model.method
            );
        }
    }
    let rows = tables.iter().flat_map(|table| &table.scales).flat_map(|scale| &scale.rows);
    let cells: Vec<&ShownCell> = rows.flat_map(|(_, cells)| cells).collect();
    Ok(text + &verdict(&cells))
}

/// A table: ours, and in brackets as printed; a star where print lies in the interval of one more run.
fn read(table: &ReadTable) -> String {
    let mut text = format!("\n{} ({}", table.name(), table.threat_model.name());
    text += if table.beside_print { "; ours, then as printed in brackets)" } else { ")" };
    text += &format!("\n{:<9}{:<27}", "noise", "method");
    // Attacks with their options may be longer than numbers.
    let width = |column: &Head| (column.key.len() + 2).max(16);
    for column in &table.columns {
        text += &format!("{:>1$}", column.key, width(column));
    }
    for ScaleRows { scale, rows } in &table.scales {
        for (method, cells) in rows {
            text += &format!("\n{scale:<9}{method:<27}");
            for (column, cell) in table.columns.iter().zip(cells) {
                text += &format!("{:>1$}", short(cell), width(column));
            }
        }
    }
    text + "\n"
}

fn short(cell: &ShownCell) -> String {
    let ours = cell.ours.map_or("-".to_owned(), |ours| format!("{:.3}", ours.mean));
    let star = if cell.verdict.is_some_and(|verdict| verdict.replicated) { "*" } else { "" };
    match (cell.printed, cell.ours.and_then(|ours| ours.deviation)) {
        (Some(printed), _) => format!("{ours} ({printed:.3}){star}"),
        (None, Some(deviation)) => format!("{ours} \u{b1} {deviation:.3}"),
        (None, None) => ours,
    }
}

/// How many cells replicate; with one seed, how many are near.
fn verdict(cells: &[&ShownCell]) -> String {
    let printed = cells.iter().filter_map(|cell| Some((cell.ours?.mean, cell.printed?)));
    let (all, near) = printed.fold((0, 0), |(all, near), (ours, printed)| {
        (all + 1, near + usize::from(is_near((ours - printed).abs())))
    });
    let verdicts: Vec<bool> =
        cells.iter().filter_map(|cell| Some(cell.verdict?.replicated)).collect();
    let inside = verdicts.iter().filter(|inside| **inside).count();
    match (all, verdicts.len()) {
        (0, _) => String::new(),
        (_, 0) => format!(
            "\n{near} of {all} cells lie within {NEAR} of the printed ones (transfer; one seed says nothing of another)\n"
        ),
        (_, of) => format!(
            "\n{inside} of {of} printed cells lie in the 95 % prediction interval of one more run (*, transfer)\n"
        ),
    }
}

/// Writes `sweep.json`, and prints the nearest variants of every printed row.
pub fn save_sweep(found: &SweepFound, out: &Path, common: &Common) -> Result<()> {
    found.save(out)?;
    let mut text = String::new();
    for answer in &found.rows {
        let SweepRow { table, scale, method, .. } = answer;
        text +=
            &format!("\n{method} at {scale} (table {table}), mean distance over the columns:\n");
        for variant in answer.variants.iter().take(5) {
            text +=
                &format!("  {:.4}  {}, seed {}\n", variant.distance, variant.variant, variant.seed);
        }
    }
    text += &format!("\n{}", shown(&out.join(SweepFound::FILE)));
    common.console().result(found, text)
}
