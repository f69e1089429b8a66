//! `report`: writes the report of a results folder.

use crate::common::Common;
use crate::output::OutputFiles;
use crate::stderr::shown;
use anyhow::Result;
use clap::Args;
use deepsleep::report;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Report {
    /// Results folder, with the results.json that `reproduce` wrote
    folder: PathBuf,
}

#[derive(Serialize)]
struct Written {
    html: PathBuf,
    markdown: PathBuf,
    csv: PathBuf,
    picture: Option<PathBuf>,
    left_out: Vec<String>,
}

impl Report {
    pub fn run(&self, common: &Common) -> Result<()> {
        let mut outputs = OutputFiles::new(common.console(), Vec::new());
        // Held until the end: no other process writes them meanwhile.
        let _places = if self.folder.is_dir() {
            let place =
                |name: &&str| Ok(outputs.in_folder("FOLDER", &self.folder.join(name))?.locked()?);
            report::FILES.iter().map(place).collect::<Result<Vec<_>>>()?
        } else {
            Vec::new()
        };
        let report::Built { html, markdown, csv, picture, skipped } = report::build(&self.folder)?;
        for line in &skipped {
            common.console().say(format_args!("left out: {line}"));
        }
        let files = [&html, &markdown, &csv].into_iter().chain(&picture);
        let text = files.map(|path| shown(path)).collect::<Vec<_>>().join("\n");
        let written = Written { html, markdown, csv, picture, left_out: skipped };
        common.console().result(&written, text)
    }
}
