//! Which images: the options `--dataset` and `--data-dir`, and `--first` and `--images` of the test images.

use crate::failure::WrongUse;
use crate::numbers::at_least;
use anyhow::{Result, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use deepsleep::data::{Dataset, DatasetName, Part, SearchPath, Split, find_file};
use deepsleep::nn::LeNet;
use std::path::{Path, PathBuf};

/// Which images.
#[derive(Debug, Args)]
pub struct DatasetOptions {
    /// Data set to use
    #[arg(long, value_name = "NAME", default_value_t = DatasetName::Mnist, value_parser = names(), ignore_case = true)]
    pub dataset: DatasetName,
    /// Folder of the data set, or of data sets [default: DEEPSLEEP_DATA, or ./data, the cache, the system's, the sources']
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl DatasetOptions {
    /// The files that it is read from, where they are found, with the option that names them.
    pub fn files(&self) -> Vec<(&'static str, PathBuf)> {
        let halves = [Split::Train, Split::Test].into_iter();
        let places = halves.filter_map(|split| Some((split, self.locate(&[split]).ok()?)));
        let found = places.flat_map(|(split, folder)| {
            [Part::Images, Part::Labels].map(|part| find_file(&folder, split, part))
        });
        found.flatten().map(|path| ("--data-dir", path)).collect()
    }

    /// Reads one half of it; the other one need not be there.
    pub fn load(&self, split: Split) -> Result<Dataset> {
        self.read(&self.locate(&[split])?, split)
    }

    /// Reads both halves, of the same folder: training and test images.
    pub fn load_both(&self) -> Result<(Dataset, Dataset)> {
        let folder = self.locate(&[Split::Train, Split::Test])?;
        Ok((self.read(&folder, Split::Train)?, self.read(&folder, Split::Test)?))
    }

    /// Whether the user named a folder, here or by `DEEPSLEEP_DATA`.
    pub fn is_named(&self) -> bool {
        SearchPath::from_env(self.data_dir.as_deref()).is_named()
    }

    fn locate(&self, splits: &[Split]) -> Result<PathBuf> {
        let path = SearchPath::from_env(self.data_dir.as_deref());
        Ok(path.locate_splits(self.dataset, splits)?)
    }

    fn read(&self, folder: &Path, split: Split) -> Result<Dataset> {
        let images = Dataset::load(folder, split)?;
        let wanted = LeNet::INPUT;
        if images.shape() != [wanted.channels, wanted.height, wanted.width] {
            let [channels, height, width] = images.shape();
            bail!(
                "{}: images of {channels}x{height}x{width} pixels; the network takes {wanted}",
                folder.display()
            );
        }
        Ok(images)
    }
}

/// Which test images.
#[derive(Debug, Args)]
pub struct TestImages {
    /// Number of test images [default: all from --first on]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    images: Option<usize>,
    /// First test image, counted from 0
    #[arg(long, value_name = "I", default_value_t = 0)]
    pub first: usize,
    #[command(flatten)]
    pub data: DatasetOptions,
}

impl TestImages {
    /// The test set, and how many images `--first` and `--images` ask for; there are that many.
    pub fn load(&self) -> Result<(Dataset, usize)> {
        let test = self.data.load(Split::Test)?;
        let (first, all) = (self.first, test.len());
        let wrong = |problem: String| Err(WrongUse(problem).into());
        match (all.saturating_sub(first), self.images) {
            (0, _) => {
                wrong(format!("--first {first}: there are {all} test images, numbered from 0"))
            }
            (left, Some(images)) if images > left => wrong(format!(
                "--images {images}: there are {left} test images from --first {first} on"
            )),
            (left, images) => Ok((test, images.unwrap_or(left))),
        }
    }
}

/// The known names; clap then lists them, and finds the one that was meant.
pub fn names() -> impl TypedValueParser<Value = DatasetName> {
    PossibleValuesParser::new(DatasetName::ALL.map(DatasetName::as_str))
        .try_map(|name| name.to_ascii_lowercase().parse::<DatasetName>())
}
