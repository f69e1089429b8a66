//! `report`: from a results folder to something to read.

use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::output::Outputs;
use crate::stderr::shown;
use anyhow::Result;
use clap::Args;
use deepsleep::data::Split;
use deepsleep::report;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Report {
    /// Folder with results.json, and the models and images that it names
    folder: PathBuf,
    #[command(flatten)]
    data: DatasetOptions,
}

#[derive(Serialize)]
struct Written {
    html: PathBuf,
    markdown: PathBuf,
    csv: PathBuf,
    left_out: Vec<String>,
}

impl Report {
    pub fn run(&self, common: &Common) -> Result<()> {
        let mut outputs = Outputs::new(common.console(), self.data.files());
        // Held until the end: no other process writes them meanwhile.
        let _places = if self.folder.is_dir() {
            let place =
                |name: &&str| Ok(outputs.in_folder("FOLDER", &self.folder.join(name))?.locked()?);
            report::FILES.iter().map(place).collect::<Result<Vec<_>>>()?
        } else {
            Vec::new()
        };
        let context = common.context()?;
        // Without the test images there is a report all the same, unless the user said where they are.
        let test = match self.data.load(Split::Test) {
            Err(error) if self.data.is_named() => return Err(error),
            Err(error) => {
                common.console().say(format_args!("left out: pictures of test images: {error:#}"));
                None
            }
            Ok(test) => Some(test),
        };
        let report::Built { html, markdown, csv, skipped } =
            report::build(&context, &self.folder, test.as_ref())?;
        for line in &skipped {
            common.console().say(format_args!("left out: {line}"));
        }
        let text = [&html, &markdown, &csv].map(|path| shown(path)).join("\n");
        let written = Written { html, markdown, csv, left_out: skipped };
        common.console().result(&written, text)
    }
}
