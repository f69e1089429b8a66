//! `data list`: shows where each data set is found.

use crate::common::Common;
use crate::stderr::shown;
use anyhow::Result;
use clap::Args;
use deepsleep::data::{DatasetName, locate};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct List {
    /// Folder to search [default: DEEPSLEEP_DATA, else ./data, the user cache,
    /// the system's folder, the source folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Columns of a line.
const WIDTH: usize = 100;

#[derive(Serialize)]
struct ListedDataset {
    name: &'static str,
    folder: Option<PathBuf>,
    /// Why there is no folder.
    problem: Option<String>,
}

impl List {
    pub fn run(&self, common: &Common) -> Result<()> {
        let find = |name: DatasetName| {
            let found = locate(name, self.data_dir.as_deref());
            let problem = found.as_ref().err().map(ToString::to_string);
            ListedDataset { name: name.as_str(), folder: found.ok(), problem }
        };
        let all = DatasetName::ALL.map(find);
        let line = |found: &ListedDataset| match (&found.folder, &found.problem) {
            (Some(folder), _) => format!("{:13} {}", found.name, shown(folder)),
            (None, Some(problem)) => {
                let lines = wrapped(problem, WIDTH - 16).join(&format!("\n{:16}", ""));
                format!("{:13} - {lines}", found.name)
            }
            (None, None) => found.name.to_owned(),
        };
        common.console().result(&all, all.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

/// Wraps a text into lines of at most `width` letters; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
