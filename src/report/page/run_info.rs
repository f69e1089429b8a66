//! What was run: settings, times, what the attacks' own checks said.

use crate::experiment::{Results, RunInfo, TableCell, ThreatModel};
use crate::method::of_32_bits;
use crate::report::page::format::{bytes, date, duration};
use crate::report::page::protocol::has;
use crate::wording::as_meant;

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

/// What the checks said of a method under an attack.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The method.
    pub method: String,
    /// The attack.
    pub attack: String,
    /// `transfer` or `white-box`.
    pub threat_model: &'static str,
    /// Cells.
    pub cells: usize,
    /// Cells with a warning.
    pub warned: usize,
    /// The largest share of gradients that were exactly zero; empty without backward passes.
    pub zero_gradients: String,
    /// The warnings, each once, with how many cells have it.
    pub warnings: Vec<(String, usize)>,
}

/// All settings with their values, as they were meant.
pub fn settings(results: &Results) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| match of_32_bits(value) {
        Some(number) => as_meant(number),
        None => value.to_string(),
    };
    results.settings.list().into_iter().map(|(name, value)| (name, text(&value))).collect()
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
        let attacked = has(results, threat_model);
        facts.push((name, if attacked { images.to_string() } else { "none".into() }));
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

/// What the attacks' own checks said: methods and attacks with a warning or a gradient that was exactly zero.
pub fn checks(results: &Results) -> Vec<Checked> {
    let same = |a: &TableCell, b: &TableCell| {
        (&a.method, &a.column, a.threat_model) == (&b.method, &b.column, b.threat_model)
    };
    let mut firsts: Vec<&TableCell> = Vec::new();
    for cell in &results.cells {
        if firsts.iter().all(|first| !same(first, cell)) {
            firsts.push(cell);
        }
    }
    let check = |first: &&TableCell| {
        let cells: Vec<&TableCell> =
            results.cells.iter().filter(|cell| same(first, cell)).collect();
        let mut warnings: Vec<(String, usize)> = Vec::new();
        for warning in cells.iter().flat_map(|cell| &cell.warnings) {
            match warnings.iter_mut().find(|(other, _)| other == warning) {
                Some((_, count)) => *count += 1,
                None => warnings.push((warning.clone(), 1)),
            }
        }
        let zero = cells.iter().filter_map(|cell| cell.zero_gradient_share).reduce(f64::max);
        let concern = !warnings.is_empty() || zero.is_some_and(|share| share > 0.0);
        concern.then(|| Checked {
            method: first.method.clone(),
            attack: first.column.clone(),
            threat_model: first.threat_model.name(),
            cells: cells.len(),
            warned: cells.iter().filter(|cell| !cell.warnings.is_empty()).count(),
            zero_gradients: zero.map_or(String::new(), |share| format!("{:.1} %", 100.0 * share)),
            warnings,
        })
    };
    firsts.iter().filter_map(check).collect()
}
