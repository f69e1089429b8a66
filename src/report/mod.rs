//! From the results of an experiment to something to read: tables as printed beside ours, what differs, curves, pictures.
//!
//! [`build`] writes `index.html` (one file, no network), `report.md` and `results.csv` into a results folder. The same
//! folder (and the same test images) gives the same bytes.
//!
//! | folder | what it is |
//! |---|---|
//! | `compare` | printed numbers beside ours: distances, the ranking of the methods, limits, the sweep, what differs |
//! | `page` | what the templates and the CSV file are filled with: sentences, tables, figures |
//! | `pictures` | what is drawn from the files beside the results |

mod compare;
mod page;
mod pictures;

pub use compare::{NEAR, is_near};

use crate::attack::{Norm, parse_eps};
use crate::checkpoint::to_json;
use crate::data::{Dataset, ImageSet};
use crate::experiment::{Results, Run};
use crate::files::write_atomically;
use crate::tensor::Context;
use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
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
    let results = Results::load(folder).and_then(printable)?;
    let run = Run::load(folder).and_then(printable);
    let theirs = results.data.as_ref().map(|data| &data.test);
    let same = |test: &&Dataset| theirs.is_none_or(|theirs| *theirs == ImageSet::of(test));
    let found = match (test, test.filter(same)) {
        (Some(_), None) => Found::Others,
        (_, None) => Found::Nothing,
        (_, Some(test)) => Found::TheirTest(test),
    };
    let report = page::Page::new(context, folder, &results, run, found)?;
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

/// The test images that were found.
#[derive(Clone, Copy, Debug)]
enum Found<'a> {
    Nothing,
    /// Of another data set than the results: they say nothing about it.
    Others,
    /// Those of the results, as far as these say which.
    TheirTest(&'a Dataset),
}

impl<'a> Found<'a> {
    fn test(self) -> Option<&'a Dataset> {
        if let Self::TheirTest(test) = self { Some(test) } else { None }
    }
}

/// The same without control characters in any of its texts: whoever sent it must not write to our terminal.
fn printable<T: Serialize + DeserializeOwned>(value: T) -> Result<T> {
    fn clean(value: &mut Value) {
        match value {
            Value::String(text) => *text = page::escape::printable(text),
            Value::Array(all) => all.iter_mut().for_each(clean),
            Value::Object(all) => all.values_mut().for_each(clean),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let fail = |e: serde_json::Error| Error::format(Results::FILE, e.to_string());
    let mut json = to_json(&value).map_err(fail)?;
    clean(&mut json);
    serde_json::from_value(json).map_err(fail)
}

/// A noise scale such as `64/255` as a number.
fn noise(scale: &str) -> Option<f64> {
    let scales = parse_eps(scale, Norm::Linf, 1).ok()?;
    scales.first().map(|eps| f64::from(*eps))
}
