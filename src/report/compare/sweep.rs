//! What the sweep over open settings found, if there was one.

use crate::Result;
use crate::experiment::{Distance, Hypothesis, Results, SweepFound, SweepRow};
use crate::report::compare::search::apart;
use crate::report::plain::Plain;
use std::collections::BTreeSet;
use std::path::Path;

/// Variants that are shown for a row.
const SHOWN: usize = 3;

/// A printed row, and what comes nearest to it.
pub struct Nearest {
    /// The row: method and noise scale.
    pub row: String,
    /// The distance with the profile's settings, if they were tried.
    pub profile: String,
    /// The nearest variants with their distances.
    pub variants: Vec<(String, String)>,
    /// How many variants were tried, each with every seed.
    pub tried: usize,
    /// With how many seeds.
    pub seeds: usize,
}

/// What a sweep found.
pub struct Swept {
    /// How what was swept differs from the results of the folder; empty if it does not.
    pub apart: String,
    /// Its rows.
    pub rows: Vec<Nearest>,
    /// What was not measured, and why; no rows if everything was.
    pub passed_over: Plain,
}

/// The sweep of a results folder; None if there was none, or it has no rows.
///
/// # Errors
/// If the file is not one of a sweep.
pub fn swept(folder: &Path, results: &Results) -> Result<Option<Swept>> {
    let shown = |answer: &SweepRow| {
        let name = |v: &Distance| match v.variant.split_once(' ') {
            Some((_, change)) => format!("{change}, seed {}", v.seed),
            None => format!("the profile's settings, seed {}", v.seed),
        };
        let distance = |v: &Distance| format!("{:.3}", v.distance);
        let seeds: BTreeSet<u64> = answer.variants.iter().map(|v| v.seed).collect();
        let tried: BTreeSet<&str> = answer.variants.iter().map(|v| v.variant.as_str()).collect();
        let unchanged = answer.variants.iter().find(|v| !v.variant.contains(' '));
        Nearest {
            row: format!("{} at {}", answer.method, answer.scale),
            profile: unchanged.map_or("not tried".into(), distance),
            variants: answer.variants.iter().take(SHOWN).map(|v| (name(v), distance(v))).collect(),
            tried: tried.len(),
            seeds: seeds.len(),
        }
    };
    Ok(SweepFound::load(folder)?.filter(|found| !found.rows.is_empty()).map(|found| Swept {
        apart: apart("sweep", &found.request.differences(results, &Hypothesis::new())),
        rows: found.rows.iter().map(shown).collect(),
        passed_over: passed_over(&found),
    }))
}

fn passed_over(found: &SweepFound) -> Plain {
    let rows =
        found.passed_over.iter().map(|passed| vec![passed.variant.clone(), passed.why.clone()]);
    Plain {
        caption: "Passed over: variants that cannot be, or of which a job fails whenever it is run"
            .to_owned(),
        head: vec!["Variant", "Why"],
        rows: rows.collect(),
    }
}
