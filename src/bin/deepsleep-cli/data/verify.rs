//! `data verify`: compares files with the published hashes.

use crate::common::Common;
use crate::dataset::names;
use crate::stderr::shown;
use anyhow::{Result, bail};
use clap::Args;
use deepsleep::data::{DatasetName, DownloadSource, FileCheck, FileForm, locate, verify};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Verify {
    /// Data set to check [default: all that are found]
    #[arg(value_parser = names(), ignore_case = true)]
    name: Option<DatasetName>,
    /// Folder of the data set, or of several [default: DEEPSLEEP_DATA, else ./data, the user cache,
    /// the system's folder, the source folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// The data sets whose files have published hashes.
fn with_hashes() -> Vec<DatasetName> {
    let archived = |name: &DatasetName| {
        let files = DownloadSource::of(*name).files;
        files.iter().any(|file| matches!(file.form, FileForm::Archive(_)))
    };
    DatasetName::ALL.into_iter().filter(|name| !archived(name)).collect()
}

impl Verify {
    pub fn run(&self, common: &Common) -> Result<()> {
        let mut checks: Vec<FileCheck> = Vec::new();
        let mut missing = Vec::new();
        let names = self.name.map_or_else(with_hashes, |name| vec![name]);
        for name in names {
            match locate(name, self.data_dir.as_deref()) {
                Ok(folder) => checks.extend(verify(folder, name)?),
                Err(error) => missing.push(error),
            }
        }
        if checks.is_empty()
            && let Some(error) = missing.into_iter().next()
        {
            return Err(error.into());
        }
        let line = |check: &FileCheck| match &check.problem {
            None => format!("ok    {}", shown(&check.path)),
            Some(problem) => format!("WRONG {}: {problem}", shown(&check.path)),
        };
        let text = checks.iter().map(line).collect::<Vec<_>>().join("\n");
        common.console().result(&checks, text)?;
        let wrong = checks.iter().filter(|check| !check.ok).count();
        if wrong > 0 {
            bail!("{wrong} of {} files are not the published ones", checks.len());
        }
        Ok(())
    }
}
