//! The table at the end: ours beside what was printed.

use crate::common::Common;
use crate::stderr::shown;
use anyhow::Result;
use deepsleep::evaluation::ThreatModel;
use deepsleep::experiment::{Published, Results, Sheet, SweepRow};
use deepsleep::report::{NEAR, is_near};
use std::path::Path;

/// Tables of the transfer columns, ours and the printed numbers.
pub fn of(results: &Results) -> Result<String> {
    let published = Published::load()?;
    let mut text = String::new();
    if results.quick {
        text += "QUICK run: shortened training, few images. These numbers mean nothing.\n";
    }
    let (mut near, mut cells) = (0, 0);
    for table in published.tables.iter().filter(|t| results.tables.contains(&t.number)) {
        text += &format!("\nTable {} (ours, then as printed in brackets)\n", table.number);
        text += &format!("{:<9}{:<27}", "noise", "method");
        for column in &published.columns {
            text += &format!("{:>15}", column.label);
        }
        for row in &table.rows {
            text += &format!("\n{:<9}{:<27}", row.scale, row.method);
            for (column, &printed) in published.columns.iter().zip(&row.values) {
                let threat = ThreatModel::Transfer;
                let ours = results.mean(&row.method, &row.scale, &column.key, threat);
                let Some(mean) = ours else {
                    text += &format!("{:>15}", format!("- ({printed:.3})"));
                    continue;
                };
                cells += 1;
                near += usize::from(is_near((mean - printed).abs()));
                text += &format!("{:>15}", format!("{mean:.3} ({printed:.3})"));
            }
        }
        text += "\n";
    }
    for sheet in &results.sheets {
        text += &own(results, sheet);
    }
    let mut sources: Vec<&str> = Vec::new();
    for model in results.models.iter().filter(|model| results.is_source(&model.method)) {
        if !sources.contains(&model.method.as_str()) {
            sources.push(&model.method);
            text +=
                &format!("\n{}: images crafted on itself, which is no transfer\n", model.method);
        }
    }
    if cells > 0 {
        text += &format!(
            "\n{near} of {cells} cells lie within {NEAR} of the printed ones (transfer)\n"
        );
    }
    Ok(text)
}

/// A table of the user's: accuracies under transfer, then white-box.
fn own(results: &Results, sheet: &Sheet) -> String {
    let mut text = format!("\n{:<9}{:<27}", "noise", "method (transfer, white-box)");
    for column in &sheet.columns {
        text += &format!("{column:>15}");
    }
    let mut methods: Vec<&str> = Vec::new();
    for row in &sheet.methods {
        if !methods.contains(&row.label.as_str()) {
            methods.push(&row.label);
        }
    }
    for scale in &sheet.scales {
        for method in &methods {
            text += &format!("\n{scale:<9}{method:<27}");
            for column in &sheet.columns {
                let mean = |threat| results.mean(method, scale, column, threat);
                let shown = [ThreatModel::Transfer, ThreatModel::WhiteBox].map(mean);
                let shown = shown.map(|m| m.map_or("-".into(), |m| format!("{m:.3}")));
                text += &format!("{:>15}", shown.join(", "));
            }
        }
    }
    text + "\n"
}

/// Writes `sweep.json`, and prints the nearest variants of every printed row.
pub fn save_sweep(answers: &[SweepRow], out: &Path, common: &Common) -> Result<()> {
    SweepRow::save(answers, out)?;
    let mut text = String::new();
    for answer in answers {
        let SweepRow { table, scale, method, .. } = answer;
        text +=
            &format!("\n{method} at {scale} (table {table}), mean distance over the columns:\n");
        for variant in answer.variants.iter().take(5) {
            text +=
                &format!("  {:.4}  {}, seed {}\n", variant.distance, variant.variant, variant.seed);
        }
    }
    text += &format!("\n{}", shown(&out.join(SweepRow::FILE)));
    common.console().result(&answers, text)
}
