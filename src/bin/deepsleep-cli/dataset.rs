//! The options that choose images: `--data`, `--dataset`, `--data-dir`, and `--first` and `--images` for test images.

use crate::failure::WrongUse;
use crate::numbers::{at_least, whole};
use anyhow::{Result, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use deepsleep::data::{DataSource, Dataset, DatasetName, Format, SearchPath, Split};
use deepsleep::nn::FrozenNetwork;
use deepsleep::tensor::Shape;
use std::path::{Path, PathBuf};

/// Which images.
#[derive(Clone, Debug, Args)]
pub struct DatasetOptions {
    /// Data set: a known name (see `data list`), a folder (IDX, CIFAR's binary files, npz, or PNG files with one folder
    /// per class) or an .npz file [default: mnist]
    #[arg(long, value_name = "NAME|PATH", conflicts_with = "dataset")]
    data: Option<String>,
    /// Known data set; the same as --data NAME
    #[arg(long, value_name = "NAME", value_parser = names(), ignore_case = true)]
    dataset: Option<DatasetName>,
    /// Folder of the data set, or of several [default: DEEPSLEEP_DATA, else ./data, the user cache,
    /// the system's folder, the source folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// The known set that a text names, in either case; but a folder or file in the place of this text goes before other spellings
/// than its own: `MNIST`, such as torchvision's, is not `mnist`.
pub fn known_name(text: &str, place: &Path) -> Option<DatasetName> {
    let lower = text.to_ascii_lowercase();
    (text == lower || !place.exists()).then(|| lower.parse().ok()).flatten()
}

/// What was asked for.
enum DatasetChoice {
    Name(DatasetName),
    Place(PathBuf),
}

impl DatasetOptions {
    /// The data set of this name.
    pub fn of_name(name: DatasetName, data_dir: Option<PathBuf>) -> Self {
        Self { data: None, dataset: Some(name), data_dir }
    }

    /// The data set of this name or in this place.
    pub fn of_place(data: String) -> Self {
        Self { data: Some(data), dataset: None, data_dir: None }
    }

    /// Another data set, looked for in the same folder.
    pub fn of(self, data: String) -> Self {
        Self { data: Some(data), dataset: None, ..self }
    }

    /// Whether the command line says which data set.
    pub fn names_a_set(&self) -> bool {
        self.data.is_some() || self.dataset.is_some()
    }

    fn asked(&self) -> Result<DatasetChoice> {
        let Some(data) = &self.data else {
            return Ok(DatasetChoice::Name(self.dataset.unwrap_or(DatasetName::Mnist)));
        };
        if let Some(name) = known_name(data, Path::new(data)) {
            return Ok(DatasetChoice::Name(name));
        }
        if self.data_dir.is_some() {
            let problem = format!("--data {data}: with --data-dir it has to be a known name");
            return Err(WrongUse(problem).into());
        }
        let place = PathBuf::from(data);
        if !place.exists() && place.components().count() == 1 {
            let known = DatasetName::ALL.map(DatasetName::as_str).join(", ");
            let problem =
                format!("--data {data}: neither a folder or file, nor a known name ({known})");
            return Err(WrongUse(problem).into());
        }
        Ok(DatasetChoice::Place(place))
    }

    /// What the data set is called: its known name, or that of its folder or file.
    pub fn name(&self) -> String {
        match self.asked() {
            Ok(DatasetChoice::Name(name)) => name.to_string(),
            _ => {
                let found = [Split::Test, Split::Train].into_iter();
                let found = found.filter_map(|split| self.source(&[split]).ok()).next();
                found.map_or_else(String::new, |source| source.name)
            }
        }
    }

    /// The files that it is read from, where they are found, with the option that names them.
    pub fn files(&self) -> Vec<(&'static str, PathBuf)> {
        let option = if self.data.is_some() { "--data" } else { "--data-dir" };
        let halves = [Split::Train, Split::Test].into_iter();
        let found = halves.filter_map(|split| Some(self.source(&[split]).ok()?.files(split)));
        found.flatten().map(|path| (option, path)).collect()
    }

    /// Reads one half of it; the other one need not be there.
    pub fn load(&self, split: Split) -> Result<Dataset> {
        Ok(self.source(&[split])?.load(split)?)
    }

    /// The shape of its test images.
    pub fn shape(&self) -> Result<Shape> {
        Ok(self.load(Split::Test)?.shape())
    }

    /// Refuses images and classes that a network does not take.
    pub fn check(&self, images: &Dataset, wanted: Shape, classes: usize) -> Result<()> {
        let source = self.source(&[Split::Test]).or_else(|_| self.source(&[Split::Train]))?;
        let place = source.place.display();
        if images.shape() != wanted {
            let shape = images.shape();
            bail!("{place}: images of {shape} pixels; the network takes {wanted}");
        }
        let found = images.classes();
        if found > classes {
            bail!("{place}: images of {found} classes; the network has {classes}");
        }
        // Folders are numbered in the order of their names: without one, all labels behind it would be others.
        if found < classes && source.format == Format::PngFolder {
            bail!(
                "{place}: folders of {found} classes; the network has {classes}, and the folders have to be all of them: make \
                 an empty one for each class without images"
            );
        }
        Ok(())
    }

    /// Reads both halves, of the same folder, neither of them empty: training and test images.
    pub fn load_both(&self) -> Result<(Dataset, Dataset)> {
        let source = self.source(&[Split::Train, Split::Test])?;
        let (train, test) = (source.load(Split::Train)?, source.load(Split::Test)?);
        let place = source.place.display();
        for (half, images) in [("training", &train), ("test", &test)] {
            if images.is_empty() {
                let problem = format!("{place}: there are 0 {half} images; at least one is needed");
                return Err(WrongUse(problem).into());
            }
        }
        if train.shape() != test.shape() {
            let (train, test) = (train.shape(), test.shape());
            bail!("{place}: training images of {train} and test images of {test} pixels");
        }
        Ok((train, test))
    }

    /// Whether the user named a place, here or by `DEEPSLEEP_DATA`.
    pub fn is_named(&self) -> bool {
        matches!(self.asked(), Ok(DatasetChoice::Place(_)) | Err(_))
            || SearchPath::from_env(self.data_dir.as_deref()).is_named()
    }

    fn source(&self, splits: &[Split]) -> Result<DataSource> {
        Ok(match self.asked()? {
            DatasetChoice::Name(name) => {
                let path = SearchPath::from_env(self.data_dir.as_deref());
                DataSource::named(name, &path, splits)?
            }
            DatasetChoice::Place(place) => DataSource::at(place, splits)?,
        })
    }
}

/// Which test images.
#[derive(Debug, Args)]
pub struct TestImages {
    /// Number of test images [default: all, starting at --first]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    images: Option<usize>,
    /// First test image, counted from 0
    #[arg(long, value_name = "I", default_value_t = 0, value_parser = whole::<usize>)]
    pub first: usize,
    #[command(flatten)]
    pub data: DatasetOptions,
}

impl TestImages {
    /// The test set, which this network takes, and how many images `--first` and `--images` ask for; there are that many.
    pub fn load(&self, network: &dyn FrozenNetwork) -> Result<(Dataset, usize)> {
        let test = self.data.load(Split::Test)?;
        self.data.check(&test, network.input_shape(), network.classes())?;
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
