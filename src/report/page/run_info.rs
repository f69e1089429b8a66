//! What was run: settings, times, what the attacks' own checks said.
use crate::evaluation::ThreatModel;

use crate::experiment::{Results, RunInfo, TableCell};
use crate::report::page::format::{bytes, date, duration, listed};
use crate::report::plain::Plain;

/// A kind of job, summed up.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// `train`, `craft`, ...
    pub kind: String,
    /// Jobs.
    pub count: usize,
    /// Those that were found in the store.
    pub reused: usize,
    /// Wall time of all, when they were computed.
    pub total: String,
    /// The longest, and what it was.
    pub longest: String,
}

/// Facts about the run, name and value.
pub fn facts(results: &Results, run: Option<&RunInfo>) -> Vec<(String, String)> {
    let seeds: Vec<String> = results.seeds.iter().map(u64::to_string).collect();
    let tables: Vec<String> = results.tables.iter().map(usize::to_string).collect();
    let figures: Vec<String> = results.figures.iter().map(usize::to_string).collect();
    let or_none =
        |items: Vec<String>| if items.is_empty() { "none".into() } else { items.join(", ") };
    let mut facts = vec![
        ("Engine", format!("deepsleep {}, numerics {}", results.version, results.numerics)),
        ("Run", if results.quick { "quick".into() } else { "full".into() }),
        ("Tables asked for", or_none(tables)),
        ("Figures asked for", or_none(figures)),
        ("Seeds", or_none(seeds)),
    ];
    if !results.network.is_empty() {
        facts.push(("Network", results.network.clone()));
    }
    match &results.data {
        Some(data) => facts.extend([
            ("Data set", data.name.clone()),
            ("Training set", data.train.to_string()),
            ("Test set", data.test.to_string()),
        ]),
        None => facts.push(("Data set", "not noted".into())),
    }
    facts.push(("Training images used", results.images_trained_on().to_string()));
    for (name, threat_model, images) in [
        ("Test images, transfer", ThreatModel::Transfer, results.images),
        ("Test images, white-box", ThreatModel::WhiteBox, results.white_box_images),
    ] {
        let measured = |cell: &TableCell| cell.threat_model == threat_model && !cell.is_clean();
        let is_measured = results.cells.iter().any(measured);
        facts.push((name, if is_measured { images.to_string() } else { "none".into() }));
    }
    if let Some(run) = run {
        facts.extend([
            ("Instruction set", run.isa.clone()),
            ("Threads", run.threads.to_string()),
            ("Processor", run.processor.clone()),
            ("Ended", date(run.finished)),
            ("Time of this run", duration(run.seconds)),
            ("Peak memory", run.peak_memory.map_or("not told".into(), bytes)),
        ]);
    }
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Times, kind by kind.
pub fn jobs(run: &RunInfo) -> Vec<Jobs> {
    let mut kinds: Vec<&str> = Vec::new();
    for job in &run.jobs {
        if !kinds.contains(&job.kind.as_str()) {
            kinds.push(&job.kind);
        }
    }
    let sum = |kind: &str| {
        let jobs: Vec<_> = run.jobs.iter().filter(|job| job.kind == kind).collect();
        let longest = jobs.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds));
        Jobs {
            kind: kind.to_owned(),
            count: jobs.len(),
            reused: jobs.iter().filter(|job| job.reused).count(),
            total: duration(jobs.iter().map(|job| job.seconds).sum()),
            longest: longest
                .map_or(String::new(), |job| format!("{} ({})", duration(job.seconds), job.name)),
        }
    };
    kinds.into_iter().map(sum).collect()
}

/// What the attacks' own checks said, once a kind: warnings that differ in their numbers alone are of one.
pub fn checks(results: &Results) -> Plain {
    let kind = |warning: &str| warning.replace(|c: char| c.is_ascii_digit() || c == '.', "");
    let mut kinds: Vec<(String, Vec<(&TableCell, &str)>)> = Vec::new();
    for cell in &results.cells {
        for warning in &cell.warnings {
            let kind = kind(warning);
            let at = kinds.iter().position(|(other, _)| *other == kind).unwrap_or_else(|| {
                kinds.push((kind, Vec::new()));
                kinds.len() - 1
            });
            kinds[at].1.push((cell, warning));
        }
    }
    let row = |(_, said): (String, Vec<(&TableCell, &str)>)| {
        let distinct = |name: fn(&TableCell) -> &str| {
            let mut names: Vec<&str> = Vec::new();
            for (cell, _) in &said {
                if !names.contains(&name(cell)) {
                    names.push(name(cell));
                }
            }
            listed(&names)
        };
        let first = said.first().map_or("", |(_, warning)| *warning);
        vec![
            first.to_owned(),
            said.len().to_string(),
            distinct(|cell| &cell.method),
            distinct(|cell| &cell.column),
        ]
    };
    Plain {
        caption: "Warnings of white-box attacks, once a kind: the first of its kind, and of how many numbers".to_owned(),
        head: vec!["Warning", "Numbers", "Methods", "Attacks"],
        rows: kinds.into_iter().map(row).collect(),
    }
}

/// The largest share of gradients that were exactly zero, if there were any.
pub fn zero_gradients(results: &Results) -> Option<String> {
    let cells = results.cells.iter().filter_map(|c| Some((c, c.zero_gradient_share?)));
    let (cell, share) =
        cells.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, share)| *share > 0.0)?;
    Some(format!(
        "Gradients that were exactly zero: {:.1} % at most ({} under {} at {}).",
        100.0 * share,
        cell.method,
        cell.column,
        cell.scale
    ))
}
