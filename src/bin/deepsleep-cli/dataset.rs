//! Which images: the options `--dataset` and `--data-dir`.

use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use std::path::PathBuf;

/// Which images.
#[derive(Debug, Args)]
pub struct DatasetOptions {
    /// Data set to use
    #[arg(long, value_name = "NAME", default_value_t = DatasetName::Mnist, value_parser = names())]
    pub dataset: DatasetName,
    /// Folder of the data set, or of data sets [default: DEEPSLEEP_DATA, ./data, the cache, the system's]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl DatasetOptions {
    /// Reads one half of it.
    pub fn load(&self, split: Split) -> Result<Dataset> {
        let folder = locate(self.dataset, self.data_dir.as_deref())?;
        Ok(Dataset::load(folder, split)?)
    }
}

/// The known names; clap then lists them, and finds the one that was meant.
pub fn names() -> impl TypedValueParser<Value = DatasetName> {
    PossibleValuesParser::new(DatasetName::ALL.map(DatasetName::as_str))
        .try_map(|name| name.parse::<DatasetName>())
}
