//! From the results of an experiment to something to read: tables as printed beside ours, what differs, curves, pictures.
//!
//! [`build`] writes `index.html` (one file, no network), `report.md` and `results.csv` into a results folder. The same
//! folder (and the same test images) gives the same bytes. [`filters_svg`], [`raster_svg`], [`grid_png`] and
//! [`grid_svg`] draw networks and attacked images for anyone.
//!
//! | part | what it is |
//! |---|---|
//! | `compare`, `order`, `bound` | printed numbers beside ours, the order of the methods, what no attack may exceed |
//! | `headline`, `differences`, `protocol`, `nearest` | sentences, all of them from results and settings |
//! | `chart`, `figures`, `theme` | curves in the page's colours |
//! | `models`, `digits`, `images`, `pictures` | what is drawn from the files beside the results |
//! | `tables`, `machine`, `page`, `rows` | what the templates and the CSV file are filled with |

mod bound;
mod chart;
mod compare;
mod differences;
mod digits;
mod figures;
mod filters;
mod grid;
mod headline;
mod images;
mod machine;
mod models;
mod nearest;
mod order;
mod page;
mod pictures;
mod protocol;
mod raster;
mod rows;
mod tables;
mod theme;
mod wording;

pub use compare::{NEAR, is_near};
pub use filters::filters_svg;
pub use grid::{GridImage, grid_png, grid_svg};
pub use raster::raster_svg;

use crate::attack::{Norm, parse_eps};
use crate::data::Dataset;
use crate::experiment::{Results, Run};
use crate::files::write_atomically;
use crate::tensor::Context;
use crate::{Error, Result};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A report that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The page.
    pub html: PathBuf,
    /// The same without pictures.
    pub markdown: PathBuf,
    /// A row a printed cell.
    pub csv: PathBuf,
    /// What is missing in it, and why.
    pub skipped: Vec<String>,
}

/// The names of the files that [`build`] writes.
pub const FILES: [&str; 3] = ["index.html", "report.md", "results.csv"];

/// Writes the report of a results folder into that folder. The test images are for pictures of digits and spikes, which
/// are left out without them.
///
/// # Errors
/// If there are no readable results in the folder, or the files cannot be written.
pub fn build(context: &Context, folder: &Path, test: Option<&Dataset>) -> Result<Built> {
    if !folder.join(Results::FILE).is_file() {
        let (folder, file) = (folder.display(), Results::FILE);
        let problem =
            format!("{folder}: no {file} in it; name the folder that an experiment wrote");
        return Err(Error::NotFound(problem));
    }
    let results = Results::load(folder)?;
    let report = page::Report::new(context, folder, &results, Run::load(folder), test)?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        write_atomically(&path, |file| file.write_all(text.as_bytes())).map(|()| path)
    };
    Ok(Built {
        csv: write("results.csv", report.csv())?,
        markdown: write("report.md", &report.markdown()?)?,
        html: write("index.html", &report.html()?)?,
        skipped: report.skipped().to_vec(),
    })
}

/// A noise scale such as `64/255` as a number.
fn noise(scale: &str) -> Option<f64> {
    let scales = parse_eps(scale, Norm::Linf, 1).ok()?;
    scales.first().map(|eps| f64::from(*eps))
}

/// What a library says when it fails to draw or write, as an error of ours.
fn failed(error: impl std::fmt::Display) -> Error {
    Error::failed("drawing", error)
}
