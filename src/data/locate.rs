//! Where the folder of a data set is looked for.

use std::env;
use std::path::{Path, PathBuf};

use super::files::{FILES, Part, Split, missing_files};
use super::source::{DatasetName, Source};
use super::verify::check_file;
use crate::{Error, Result};

/// Environment variable that names a folder of data sets.
pub const DATA_VARIABLE: &str = "DEEPSLEEP_DATA";

/// Debian's folder of data sets; package `dataset-fashion-mnist` installs `/usr/share/datasets/fashion-mnist`.
const SYSTEM_FOLDER: &str = "/usr/share/datasets";

/// The places where data sets are looked for, first to last.
///
/// In each of them the data set's own subfolder (`mnist`, `fashion-mnist`) is looked at; in the first two, which a user
/// named, also the folder itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchPath {
    /// What `--data-dir` says. If given, nothing else is looked at: who names a folder wants that one.
    pub data_dir: Option<PathBuf>,
    /// What `DEEPSLEEP_DATA` says; it must exist, but may lack a data set.
    pub variable: Option<PathBuf>,
    /// `./data`, the user's cache folder and the system's folder of data sets.
    pub standard: Vec<PathBuf>,
}

impl SearchPath {
    /// The search path of this process: `data_dir` as given, the environment, and the standard places.
    pub fn from_env(data_dir: Option<&Path>) -> Self {
        let variable = env::var_os(DATA_VARIABLE).filter(|value| !value.is_empty());
        let mut standard = vec![PathBuf::from("data")];
        standard.extend(cache_dir().ok()); // without a home there is no cache to look into
        standard.push(PathBuf::from(SYSTEM_FOLDER));
        Self {
            data_dir: data_dir.map(Path::to_owned),
            variable: variable.map(PathBuf::from),
            standard,
        }
    }

    /// The first folder that holds all four files of data set `name`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none; it lists where was looked and how to get the files. Also if the folder
    /// of `DEEPSLEEP_DATA` does not exist, or if a folder that the user named holds another known data set's files
    /// (their names are the same).
    pub fn locate(&self, name: DatasetName) -> Result<PathBuf> {
        let mut looked = Vec::new();
        if let Some(root) = &self.data_dir {
            if let Some(found) = look_in(root, name, true, &mut looked)? {
                return Ok(found);
            }
            return Err(not_found(name, &looked));
        }
        if let Some(root) = &self.variable {
            if !root.is_dir() {
                let problem = format!(
                    "{DATA_VARIABLE} is set to {}, which is no folder; correct or unset it",
                    root.display()
                );
                return Err(Error::NotFound(problem));
            }
            if let Some(found) = look_in(root, name, true, &mut looked)? {
                return Ok(found);
            }
        }
        for root in &self.standard {
            if let Some(found) = look_in(root, name, false, &mut looked)? {
                return Ok(found);
            }
        }
        Err(not_found(name, &looked))
    }
}

/// Finds the folder of data set `name` on this process's [`SearchPath`]; `data_dir` is what `--data-dir` says.
///
/// # Errors
/// As [`SearchPath::locate`].
pub fn locate(name: DatasetName, data_dir: Option<&Path>) -> Result<PathBuf> {
    SearchPath::from_env(data_dir).locate(name)
}

/// The user's cache folder for data sets, e.g. `~/.cache/deepsleep`; it may not exist yet.
///
/// # Errors
/// [`Error::NotFound`] if the system knows no home folder.
pub fn cache_dir() -> Result<PathBuf> {
    directories::ProjectDirs::from("", "", "deepsleep")
        .map(|project| project.cache_dir().to_owned())
        .ok_or_else(|| {
            Error::NotFound(
                "no home folder, hence no cache folder; set HOME or name a folder".into(),
            )
        })
}

/// Looks at the data set's subfolder of `root`, then, if a user named `root`, at `root` itself; notes what was missing.
fn look_in(
    root: &Path,
    name: DatasetName,
    named: bool,
    looked: &mut Vec<String>,
) -> Result<Option<PathBuf>> {
    let mut look_at = |dir: &Path| {
        let missing = missing_files(dir);
        let reason = match missing.len() {
            0 => return true,
            _ if !dir.is_dir() => "no such folder".to_owned(),
            all if all == FILES.len() => "none of the files".to_owned(),
            _ => format!("lacks {}", missing.join(", ")),
        };
        looked.push(format!("{} ({reason})", dir.display()));
        false
    };
    // Torchvision downloads into a folder of its own name, `MNIST/raw`.
    let torchvision = match name {
        DatasetName::Mnist => "MNIST/raw",
        DatasetName::FashionMnist => "FashionMNIST/raw",
    };
    for own in [name.as_str(), torchvision].map(|folder| root.join(folder)) {
        if look_at(&own) {
            return Ok(Some(own));
        }
    }
    if named && look_at(root) {
        refuse_other(root, name)?;
        return Ok(Some(root.to_owned()));
    }
    Ok(None)
}

/// Refuses a folder whose test labels are another known data set's.
///
/// The file names are alike, so `--data-dir data/mnist --dataset fashion-mnist` would otherwise use the wrong images
/// silently. Unknown content passes: it may be someone's own data.
fn refuse_other(dir: &Path, name: DatasetName) -> Result<()> {
    let is = |other: DatasetName| {
        let files = Source::of(other).files;
        let labels = files.iter().find(|f| (f.split, f.part) == (Split::Test, Part::Labels));
        labels.is_some_and(|labels| check_file(dir, labels).ok)
    };
    match DatasetName::ALL.into_iter().find(|&other| other != name && is(other)) {
        None => Ok(()),
        Some(other) => Err(Error::NotFound(format!(
            "{}: {name} was looked for, but these are the files of {other}; name another folder",
            dir.display()
        ))),
    }
}

/// Says where was looked and what to do.
fn not_found(name: DatasetName, looked: &[String]) -> Error {
    Error::NotFound(format!(
        "no {name} data set; looked in {}; get it with `deepsleep-cli data fetch {name}`, or name its folder with --data-dir",
        looked.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::files::file_name;
    use std::fs;

    fn fill(dir: &Path) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        for (split, part) in FILES {
            fs::write(dir.join(file_name(split, part)), "x").unwrap();
        }
        dir.to_owned()
    }

    #[test]
    fn places_are_searched_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = |name: &str| folder.path().join(name);
        let mut path = SearchPath {
            data_dir: None,
            variable: Some(root("variable")),
            standard: vec![root("data"), root("cache")],
        };
        fs::create_dir(root("variable")).unwrap();
        let expected = [
            fill(&root("cache").join("fashion-mnist")),
            fill(&root("data").join("fashion-mnist")),
            fill(&root("variable")),
            fill(&root("variable").join("fashion-mnist")),
        ];
        // From the most to the least preferred, removing each after it was found.
        for dir in expected.iter().rev() {
            assert_eq!(&path.locate(DatasetName::FashionMnist).unwrap(), dir);
            fs::remove_file(dir.join("train-labels-idx1-ubyte")).unwrap();
        }
        let problem = path.locate(DatasetName::FashionMnist).unwrap_err().to_string();
        assert!(problem.contains("lacks train-labels-idx1-ubyte"), "{problem}");
        assert!(problem.contains("data fetch fashion-mnist"), "{problem}");

        path.data_dir = Some(fill(&root("mine")));
        assert_eq!(path.locate(DatasetName::FashionMnist).unwrap(), root("mine"));
    }

    #[test]
    fn a_named_folder_without_the_files_is_an_error_even_if_others_have_them() {
        let folder = tempfile::tempdir().unwrap();
        let good = folder.path().join("good");
        fill(&good.join("mnist"));
        let mut path = SearchPath {
            data_dir: Some(folder.path().join("typo")),
            standard: vec![good.clone()],
            ..SearchPath::default()
        };
        let problem = path.locate(DatasetName::Mnist).unwrap_err().to_string();
        assert!(problem.contains("typo") && problem.contains("no such folder"), "{problem}");
        path.variable = path.data_dir.take();
        let problem = path.locate(DatasetName::Mnist).unwrap_err().to_string();
        assert!(problem.contains("DEEPSLEEP_DATA is set to"), "{problem}");
        path.variable = None;
        assert_eq!(path.locate(DatasetName::Mnist).unwrap(), good.join("mnist"));
    }

    #[test]
    fn files_lying_loose_in_a_standard_place_are_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = SearchPath { standard: vec![fill(folder.path())], ..SearchPath::default() };
        assert!(path.locate(DatasetName::Mnist).is_err());
    }
}
