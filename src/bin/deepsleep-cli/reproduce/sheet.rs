//! `--sheet FILE`: which network and images a sheet of the user's names, beside the command line.

use crate::architecture::{ArchitectureOption, is_file};
use crate::dataset::{DatasetOptions, known_name};
use crate::failure::WrongUse;
use anyhow::{Result, bail};
use deepsleep::data::Dataset;
use deepsleep::experiment::Sheet;
use deepsleep::nn::architecture::Architecture;
use std::path::{Path, PathBuf};

/// What is to be measured, of which network, on which images.
pub struct SheetChoice {
    /// The user's, if there is one; what it says of network and images has gone into the other two.
    pub sheet: Option<Sheet>,
    pub data: DatasetOptions,
    architecture: ArchitectureOption,
    /// The sheet that names the network, if one does.
    names_network: Option<PathBuf>,
}

impl SheetChoice {
    /// Of the sheet and the command line together; what both say is refused.
    pub fn new(
        path: Option<&Path>,
        mut data: DatasetOptions,
        mut architecture: ArchitectureOption,
    ) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self { sheet: None, data, architecture, names_network: None });
        };
        let mut names_network = None;
        let mut sheet = Sheet::load(path)?;
        let twice = |option: &str, what: &str| {
            let path = path.display();
            Err(WrongUse(format!("{option}: `{what}` stands in {path} too; give one of them"))
                .into())
        };
        let beside = |text: String| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            folder.unwrap_or(Path::new(".")).join(text).display().to_string()
        };
        if let Some(named) = sheet.architecture.take() {
            if architecture.architecture.is_some() {
                return twice("--architecture", "architecture");
            }
            let named = if is_file(&named) { beside(named) } else { named };
            architecture.architecture = Some(named);
            names_network = Some(path.to_owned());
        }
        if let Some(named) = sheet.data.take() {
            if data.names_a_set() {
                return twice("--data", "data");
            }
            let place = beside(named.clone());
            let known = known_name(&named, Path::new(&place));
            data = data.of(known.map_or(place, |name| name.to_string()));
        }
        Ok(Self { sheet: Some(sheet), data, architecture, names_network })
    }

    /// The network for these images.
    pub fn network(&self, train: &Dataset, test: &Dataset) -> Result<Architecture> {
        let network = self.architecture.of_images(train, test);
        match (&self.names_network, network) {
            (Some(sheet), Err(error)) if error.is::<WrongUse>() => {
                bail!("{}: {}", sheet.display(), error.to_string().trim_start_matches("--"))
            }
            (_, network) => network,
        }
    }
}
