//! What the search for one hypothesis found, if there was one.

use crate::Result;
use crate::experiment::{Finalist, Found, PassedOver, Results, words_of};
use crate::report::plain::Plain;
use crate::report::tables::signed;
use std::path::Path;

/// A search, in words.
pub struct Searched {
    /// How what was searched differs from the results of the folder; empty if it does not.
    pub apart: String,
    /// What won, and whether it is confirmed.
    pub sentence: String,
    /// The finalists.
    pub finalists: Plain,
    /// Every candidate in the order in which they were tried.
    pub log: Plain,
    /// What has no score, and why; no rows if everything has one.
    pub passed_over: Plain,
    /// Printed numbers that no finalist explains.
    pub unexplained: Plain,
}

/// What to say of a sweep or a search that is of other settings or images than the results beside it: how it differs.
pub fn apart(what: &str, differences: &[String]) -> String {
    match differences {
        [] => String::new(),
        _ => format!(
            "The {what} is not of these results, and says nothing about them: it was of {}.",
            differences.join("; ")
        ),
    }
}

/// The search of a results folder; None if there was none.
///
/// # Errors
/// If its file is not one of a search.
pub fn searched(folder: &Path, results: &Results) -> Result<Option<Searched>> {
    Ok(Found::load(folder)?.map(|found| Searched {
        apart: apart("search", &found.differences(results)),
        sentence: match results.is_of_the_paper() {
            true => sentence(&found),
            false => format!(
                "The printed numbers are of LeNet on MNIST, and not of this network or these images; only by their distance: {}",
                sentence(&found)
            ),
        },
        finalists: finalists(&found),
        log: log(&found),
        passed_over: passed_over(&found),
        unexplained: unexplained(&found),
    }))
}

fn sentence(found: &Found) -> String {
    let Some(winner) = found.winner() else {
        return "The search has no finalist.".to_owned();
    };
    let best = words_of(&winner.hypothesis);
    let Some(start) = found.start() else {
        return format!(
            "Of {} hypotheses the best is {best}: {} of {} printed numbers inside. What it gains is not known: the profile as it is was passed over in the finals.",
            found.log.len(),
            winner.inside,
            winner.cells
        );
    };
    if winner.hypothesis.is_empty() {
        let tried = found.log.len() - 1;
        return format!(
            "Of {tried} hypotheses none explains the printed numbers better than {best}."
        );
    }
    let gain = |part: fn(&Finalist) -> f64| signed(part(winner) - part(start), 1);
    let confirmed = if found.is_overfitted() {
        "it gains only where it was chosen, and so has overfitted"
    } else {
        "it gains where it was not chosen, too"
    };
    format!(
        "Of {} hypotheses the best is {best}: {} of {} printed numbers inside, {} of {} with the profile as it is. The logarithm of their density changes by {} on the cells it was chosen by and by {} on the others: {confirmed}.",
        found.log.len(),
        winner.inside,
        winner.cells,
        start.inside,
        start.cells,
        gain(|finalist| finalist.choosing.log_density),
        gain(|finalist| finalist.confirming.log_density)
    )
}

fn finalists(found: &Found) -> Plain {
    let row = |finalist: &Finalist| {
        let Finalist { hypothesis, seeds, choosing, confirming, inside, cells } = finalist;
        vec![
            words_of(hypothesis),
            seeds.to_string(),
            format!(
                "{:.1} ({} of {} inside)",
                choosing.log_density, choosing.inside, choosing.cells
            ),
            format!(
                "{:.1} ({} of {} inside)",
                confirming.log_density, confirming.inside, confirming.cells
            ),
            format!("{inside} of {cells}"),
        ]
    };
    Plain {
        caption: "Finalists".to_owned(),
        head: vec![
            "Hypothesis",
            "Seeds",
            "Log density, choosing half",
            "Confirming half",
            "All printed numbers inside",
        ],
        rows: found.finalists.iter().map(row).collect(),
    }
}

fn log(found: &Found) -> Plain {
    let row = |step: &crate::experiment::SearchStep| {
        let change = match step.round {
            0 => "the profile as it is".to_owned(),
            _ => format!("`{}` = {}", step.setting, step.value),
        };
        vec![
            step.round.to_string(),
            change,
            format!("{:.1}", step.score.log_density),
            format!("{} of {}", step.score.inside, step.score.cells),
            if step.taken { "taken" } else { "" }.to_owned(),
        ]
    };
    Plain {
        caption: format!(
            "All {} candidates, with {} seeds each",
            found.log.len(),
            found.log.first().map_or(0, |step| step.seeds)
        ),
        head: vec!["Round", "Change", "Log density", "Inside", ""],
        rows: found.log.iter().map(row).collect(),
    }
}

fn passed_over(found: &Found) -> Plain {
    let row = |passed: &PassedOver| vec![words_of(&passed.hypothesis), passed.why.clone()];
    Plain {
        caption: "Passed over: values that cannot be together, or whose jobs fail".to_owned(),
        head: vec!["Hypothesis", "Why"],
        rows: found.passed_over.iter().map(row).collect(),
    }
}

fn unexplained(found: &Found) -> Plain {
    let row = |cell: &crate::experiment::Unexplained| {
        vec![
            format!("Table {}, {}", cell.table, cell.scale),
            cell.method.clone(),
            cell.column.clone(),
            format!("{:.4}", cell.printed),
            format!("{:.3}", cell.mean),
            signed(cell.z, 1),
            words_of(&cell.hypothesis),
        ]
    };
    Plain {
        caption:
            "Printed numbers in no finalist's interval, with the nearest that any hypothesis came"
                .to_owned(),
        head: vec!["Place", "Method", "Column", "Printed", "Nearest", "z", "With"],
        rows: found.unexplained.iter().map(row).collect(),
    }
}
