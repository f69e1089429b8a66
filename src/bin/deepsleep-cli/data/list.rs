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
            (None, Some(problem)) => format!("{:13} - ({problem})", found.name),
            (None, None) => found.name.to_owned(),
        };
        common.console().result(&all, all.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}
