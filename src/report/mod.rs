//! From the results of an experiment to something to read: tables as printed beside ours, what differs, curves, pictures.
//!
//! [`build`] writes `index.html` (one file, no network), `report.md`, `results.csv` and `replication.svg` into a results
//! folder. It runs no network and reads no images: the same folder gives the same bytes.
//!
//! | folder | what it is |
//! |---|---|
//! | `compare` | printed numbers beside ours: distances, the ranking of the methods, limits, the sweep, what differs |
//! | `page` | what the templates and the CSV file are filled with: sentences, tables, figures |
//! | `tables` | the printed tables and the user's own as they are shown: one layout for page, Markdown and terminal |
//! | `pictures` | what is drawn from `observations.json` |
//! | `audit` | the page of an audit |
//! | `notice` | what a shortened run says of itself |
//! | `plain` | tables of words, for page and Markdown alike |

mod audit;
mod compare;
mod notice;
mod page;
mod pictures;
mod plain;
mod tables;

pub use audit::audit_page;
pub use compare::{NEAR, is_near};
pub use notice::notice;
pub use tables::{Head, ReadTable, ScaleRows, ShownCell};

use crate::attack::{Norm, parse_eps};
use crate::experiment::{Observations, Results, RunInfo};
use crate::files::write_atomically;
use crate::wording::{Medium, printable, to_json};
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
    /// One row per printed cell.
    pub csv: PathBuf,
    /// Printed against ours, by itself; none if nothing was measured.
    pub picture: Option<PathBuf>,
    /// What is missing in it, and why.
    pub skipped: Vec<String>,
}

/// The names of the files that [`build`] writes.
pub use crate::experiment::REPORT_FILES as FILES;

/// Writes the report of a results folder into that folder, from nothing but the folder: the results, how they were run
/// ([`RunInfo`]), what was observed beside them ([`Observations`]), and the answers of a sweep. All but the results may be
/// missing.
///
/// # Errors
/// If there are no readable results in the folder, or the files cannot be written.
pub fn build(folder: &Path) -> Result<Built> {
    // What is there and is no file is told below.
    if !folder.join(Results::FILE).exists() {
        let (folder, file) = (folder.display(), Results::FILE);
        let problem =
            format!("{folder}: no {file} in it; name the folder that an experiment wrote");
        return Err(Error::NotFound(problem));
    }
    let results = Results::load(folder).and_then(cleaned)?;
    let run = RunInfo::load(folder).and_then(cleaned);
    let seen = Observations::load(folder).and_then(cleaned);
    let report = page::Page::new(folder, &results, run, seen)?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        write_atomically(&path, |file| file.write_all(text.as_bytes())).map(|()| path)
    };
    let [html, markdown, csv, picture] = FILES;
    Ok(Built {
        csv: write(csv, report.csv())?,
        markdown: write(markdown, &report.markdown()?)?,
        html: write(html, &report.html()?)?,
        picture: report.picture().map(|svg| write(picture, svg)).transpose()?,
        skipped: report.skipped().to_vec(),
    })
}

/// The same without control characters in any of its texts: a file from elsewhere must not control our terminal.
fn cleaned<T: Serialize + DeserializeOwned>(value: T) -> Result<T> {
    fn clean(value: &mut Value) {
        match value {
            Value::String(text) => *text = printable(text, Medium::Page).into_owned(),
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
