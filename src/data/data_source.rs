//! A data set that was found on disk: its name, place, format and number of classes. Known names are in `catalog`.

use super::formats::{Format, cifar};
use super::{Dataset, DatasetName, SearchPath, Split};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A data set that was found; nothing of it is read yet but, perhaps, its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSource {
    /// What it is called: the known name, or that of its folder or file.
    pub name: String,
    /// Its folder or file.
    pub place: PathBuf,
    /// How its files are made.
    pub format: Format,
    /// Its number of classes.
    pub classes: usize,
}

impl DataSource {
    /// A known data set with these halves, where `path` finds it.
    ///
    /// # Errors
    /// As [`SearchPath::locate_splits`].
    pub fn named(name: DatasetName, path: &SearchPath, splits: &[Split]) -> Result<Self> {
        let place = path.locate_splits(name, splits)?;
        Ok(Self::known(name, place))
    }

    fn known(name: DatasetName, place: PathBuf) -> Self {
        Self { name: name.to_string(), place, format: name.format(), classes: name.classes() }
    }

    /// The data set with these halves in a folder or a file, its format told by the names of the files. A folder without
    /// any is looked through for the folders of one known data set, as this program and torchvision name them.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or there are several; or the labels, which tell the classes, cannot be read.
    pub fn at(place: impl AsRef<Path>, splits: &[Split]) -> Result<Self> {
        let place = place.as_ref();
        let shown = place.display();
        let not_found = |problem: String| Err(Error::NotFound(format!("{shown}: {problem}")));
        if !place.exists() {
            return not_found("no such folder or file".into());
        }
        let has = |format: &Format, place: &Path| {
            splits.iter().all(|&split| format.files(place, split).is_ok())
        };
        let mut formats = match place.is_dir() {
            true => Format::ALL.into_iter().filter(|format| has(format, place)).collect(),
            false => vec![Format::Npz],
        };
        if formats.len() > 1 {
            let names: Vec<String> = formats.iter().map(ToString::to_string).collect();
            let names = names.join(", ");
            return not_found(format!(
                "the folder holds several data sets ({names}), and either could be meant; move the others away"
            ));
        }
        if let Some(format) = formats.pop() {
            let whole = place.canonicalize().unwrap_or_else(|_| place.to_owned());
            let name = whole.file_stem().unwrap_or(whole.as_os_str());
            let classes = format.classes(place)?;
            let name = name.to_string_lossy().into_owned();
            return Ok(Self { name, place: place.to_owned(), format, classes });
        }
        let below = DatasetName::ALL.into_iter().filter_map(|name| {
            let folders = [name.as_str(), name.torchvision()].map(|folder| place.join(folder));
            let found = folders.into_iter().find(|folder| has(&name.format(), folder))?;
            Some(Self::known(name, found))
        });
        let mut below: Vec<Self> = below.collect();
        match (below.pop(), below.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                let names = below.iter().chain([&last]).map(|source| source.name.as_str());
                let names = names.collect::<Vec<_>>().join(", ");
                not_found(format!(
                    "the folder holds several data sets ({names}); choose one by its name and this folder, {shown}"
                ))
            }
            (None, _) => not_found(Self::lacking(place, splits)),
        }
    }

    /// What a folder lacks, said of the format that it is nearest to.
    fn lacking(place: &Path, splits: &[Split]) -> String {
        if let Some((_, problem)) = cifar::python_version(place) {
            return problem;
        }
        let whole = [Split::Train, Split::Test];
        let near = |format: &&Format| whole.iter().any(|&s| format.files(place, s).is_ok());
        let missing = |format: &Format| -> Vec<String> {
            let missing = splits.iter().filter_map(|&s| format.files(place, s).err());
            missing.flat_map(|missing| missing.names).collect()
        };
        if let Some(format) = Format::ALL.iter().find(near) {
            return format!("{format}, but it lacks {}", missing(format).join(", "));
        }
        let first = Format::ALL.map(|format| {
            format.files(place, splits.first().copied().unwrap_or(Split::Test)).err()
        });
        let names: Vec<String> =
            first.into_iter().flatten().filter_map(|m| m.names.into_iter().next()).collect();
        format!(
            "no file {}; `deepsleep-cli data fetch` gets the data sets it knows",
            names.join(" or ")
        )
    }

    /// Reads one half.
    ///
    /// # Errors
    /// If a file is missing, cannot be read or is not what its format requires; it is named.
    pub fn load(&self, split: Split) -> Result<Dataset> {
        let set = self.format.read(&self.place, split, self.classes)?;
        if set.is_sorted_by_class() {
            log::info!(
                target: "note",
                "{}: its {} images stand class by class, so that the first of them are of a few classes; shuffle the file before a \
                 part of it is measured or learned from",
                self.place.display(),
                set.len()
            );
        }
        Ok(set)
    }

    /// The files, or folders of files, that one half is read from; none if one is missing.
    pub fn files(&self, split: Split) -> Vec<PathBuf> {
        self.format.files(&self.place, split).unwrap_or_default()
    }
}
