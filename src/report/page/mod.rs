//! What the templates are filled with.

pub mod csv;
pub mod escape;
pub mod figures;
pub mod format;
pub mod headline;
pub mod protocol;
pub mod run_info;
pub mod summary;

use crate::attack::Norm;
use crate::draw::failed;
use crate::evaluation::ThreatModel;
use crate::experiment::{Observations, Printed, Results, RunInfo};
use crate::report::compare::comparisons;
use crate::report::compare::differences::{Difference, differences};
use crate::report::compare::limits::{above, applies, bound, is_white_box};
use crate::report::compare::ranking::orders;
use crate::report::compare::search::{Searched, searched};
use crate::report::compare::sweep::{Swept, swept};
use crate::report::notice::notice;
use crate::report::page::csv::csv;
use crate::report::page::escape::{html_prose, markdown, markdown_prose, one_line};
use crate::report::page::figures::{
    Figure, figure_3, of_own_sheet, other_defenses, training, white_box,
};
use crate::report::page::headline::Headline;
use crate::report::page::protocol::protocol;
use crate::report::page::run_info::{Jobs, checks, facts, jobs, zero_gradients};
use crate::report::page::summary::Summary;
use crate::report::pictures::Pictures;
use crate::report::plain::Plain;
use crate::report::tables::ReadTable;
use crate::{Error, Result};
use askama::Template;
use std::path::Path;

/// A model in the list of models.
pub struct ListedModel {
    method: String,
    id: String,
    seed: u64,
    clean: String,
    overrides: String,
}

/// The page, and its shorter version in Markdown.
pub struct Page {
    notice: Option<String>,
    headline: Headline,
    summary: Summary,
    own: Vec<ReadTable>,
    /// Whether anything printed was asked for.
    printed: bool,
    /// The paper's, as measured under transfer, and white-box.
    tables: Vec<ReadTable>,
    white_box_tables: Vec<ReadTable>,
    differences: Vec<Difference>,
    swept: Option<Swept>,
    figure_3: Vec<Figure>,
    others: Vec<Figure>,
    /// Of methods that are not the paper's.
    own_curves: Vec<Figure>,
    white_box: Vec<Figure>,
    /// Whether an attack saw the model it attacked.
    is_white_box: bool,
    /// None where it says nothing.
    bound: Option<f64>,
    above: Vec<String>,
    training: Vec<Figure>,
    pictures: Pictures,
    facts: Vec<(String, String)>,
    models: Vec<ListedModel>,
    settings: Vec<(String, String)>,
    jobs: Vec<Jobs>,
    checks: Plain,
    zero_gradients: Option<String>,
    searched: Option<Searched>,
    skipped: Vec<String>,
    csv: String,
}

#[derive(Template)]
#[template(path = "report.html")]
struct Html<'a> {
    r: &'a Page,
}

#[derive(Template)]
#[template(path = "report.md")]
struct Markdown<'a> {
    r: &'a Page,
}

impl Page {
    /// Puts everything together.
    ///
    /// # Errors
    /// If a drawing fails, or a model's override is none of the settings.
    pub fn new(
        folder: &Path,
        results: &Results,
        run: Result<RunInfo>,
        seen: Result<Observations>,
    ) -> Result<Self> {
        let printed = Printed::load()?;
        let comparisons = comparisons(results, &printed);
        let seen = seen.unwrap_or_else(|error| Observations {
            skipped: vec![format!("Pictures: {error}.")],
            ..Observations::default()
        });
        let bound = bound(results);
        // Curves are over noise scales of linf, beside print.
        let curves = &results.in_norm(Norm::Linf);
        let [transfer, white] = [ThreatModel::Transfer, ThreatModel::WhiteBox];
        let mut own = [transfer, white].map(|threat| ReadTable::own(results, threat)).concat();
        let asked = [&results.tables, &results.figures].iter().any(|asked| !asked.is_empty());
        let asks_paper = own.is_empty() || asked;
        let any_printed = asks_paper && results.is_of_the_paper();
        let print = any_printed.then_some(&printed);
        let pictures = Pictures::draw(seen, print);
        let mut skipped = pictures.skipped.clone();
        let run = run.map_err(|error| skipped.push(format!("Times and machine: {error}."))).ok();
        // Of another engine, say; the results are worth a report all the same.
        let mut left_out = |what: &str, error: Error| {
            skipped.push(format!("{what}: {error}; run it again to have it here."))
        };
        let swept = swept(folder, results).map_err(|error| left_out("The sweep", error));
        let searched = searched(folder, results).map_err(|error| left_out("The search", error));
        let (swept, searched) = (swept.ok().flatten(), searched.ok().flatten());
        // Reports of equal folders are equal, wherever the folders are.
        let place = folder.join("").display().to_string();
        let line = |line: String| one_line(&line.replace(&place, "")).into_owned();
        let skipped = skipped.into_iter().map(line).collect();
        let printed_as = |threat| ReadTable::printed(results, &printed, &comparisons, threat);
        if asks_paper && !any_printed {
            own.extend(
                [transfer, white].map(printed_as).into_iter().flat_map(ReadTable::own_of_paper),
            );
        }
        let white_box_tables = printed_as(white).into_iter();
        let of_figure_3 = print.map(|print| figure_3(curves, print)).transpose()?;
        let others = print.map(|print| other_defenses(curves, print)).transpose()?;
        let csv = csv(results, asks_paper, &comparisons)?;
        let headline =
            Headline::new(results, &printed, &comparisons, searched.as_ref(), swept.as_ref())?;
        Ok(Self {
            notice: notice(results),
            headline,
            summary: Summary::new(&orders(&comparisons)),
            own,
            printed: any_printed,
            tables: printed_as(transfer),
            white_box_tables: white_box_tables
                .filter(|table| any_printed && table.is_attacked())
                .collect(),
            differences: all_differences(results, print)?,
            swept,
            figure_3: of_figure_3.unwrap_or_default(),
            others: others.unwrap_or_default(),
            own_curves: of_own_sheet(curves, &printed, any_printed)?,
            white_box: white_box(curves, &printed, bound)?,
            is_white_box: results.cells.iter().any(is_white_box),
            bound: applies(results).then_some(bound),
            above: above(results, bound),
            training: training(results)?,
            pictures,
            facts: facts(results, run.as_ref()),
            models: listed_models(results),
            settings: results.settings.written(),
            jobs: run.as_ref().map_or(Vec::new(), jobs),
            checks: checks(results),
            zero_gradients: zero_gradients(results),
            searched,
            skipped,
            csv,
        })
    }

    /// The page.
    ///
    /// # Errors
    /// If the template cannot show a value.
    pub fn html(&self) -> Result<String> {
        Html { r: self }.render().map_err(failed)
    }

    /// In Markdown, without pictures.
    ///
    /// # Errors
    /// If the template cannot show a value.
    pub fn markdown(&self) -> Result<String> {
        Markdown { r: self }.render().map_err(failed)
    }

    /// The printed cells and ours.
    pub fn csv(&self) -> &str {
        &self.csv
    }

    /// Printed against ours, by itself.
    pub fn picture(&self) -> Option<&str> {
        let picture = self.headline.picture.as_ref().filter(|_| self.printed);
        picture.map(|[_, alone]| alone.as_str())
    }

    /// What is missing in it, and why.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// At the top.
    fn title(&self) -> &'static str {
        if self.printed { "DeepSleep: printed and reproduced" } else { "DeepSleep: measured" }
    }

    /// Behind headings and captions.
    fn tag(&self) -> &'static str {
        if self.notice.is_some() { " (quick run)" } else { "" }
    }
}

/// Where protocol and settings differ from the paper's; of what is not compared with it, how it was measured.
fn all_differences(results: &Results, print: Option<&Printed>) -> Result<Vec<Difference>> {
    let mut all = protocol(results, print);
    if print.is_some() {
        all.extend(differences(results)?);
    }
    Ok(all)
}

fn listed_models(results: &Results) -> Vec<ListedModel> {
    let listed = |model: &crate::experiment::ModelResult| ListedModel {
        method: model.method.clone(),
        id: model.id.clone(),
        seed: model.seed,
        clean: {
            let form = if model.spiking { " (with rectifiers)" } else { "" };
            format!("{:.4}{form}", model.clean_accuracy)
        },
        overrides: model
            .overrides
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect::<Vec<_>>()
            .join(", "),
    };
    results.models.iter().map(listed).collect()
}

#[cfg(test)]
mod tests {
    /// Whatever text the templates show is escaped: HTML by askama, but for what is marked as safe; Markdown by hand.
    #[test]
    fn every_text_of_the_templates_is_escaped() {
        let numbers = [
            "table.left_out",
            "number",
            "near",
            "measured",
            "cells",
            "column.concordant",
            "count",
            "column.measured",
            "verdict.pairs",
            "row.tried",
            "row.seeds",
            "r.above.len()",
            "kind.count",
            "kind.reused",
            "word.is_empty()",
            "r.title()",
            "r.tag()",
        ];
        let shown = |template: &'static str| {
            template.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim()))
        };
        for value in shown(include_str!("../../../templates/report.md")) {
            let escaped = value.starts_with("self::markdown") || value.contains("|format(");
            assert!(escaped || numbers.contains(&value), "{value}");
        }
        for value in shown(include_str!("../../../templates/report.html")) {
            let ours = value.starts_with("self::html_prose(") || value.ends_with("svg|safe");
            assert!(ours || !value.contains("safe"), "{value}");
        }
    }
}
