//! Finds the folder of a data set.

use std::env;
use std::path::{Path, PathBuf};

use super::catalog::{DatasetName, DownloadSource};
use super::files::{IdxPart, Split, file_name};
use super::formats::{Format, Missing, cifar};
use super::verify::check_file;
use crate::{Error, Result};

/// Environment variable that names a folder of data sets.
pub const DATA_VARIABLE: &str = "DEEPSLEEP_DATA";

/// Debian's folder of data sets; package `dataset-fashion-mnist` installs `/usr/share/datasets/fashion-mnist`.
const SYSTEM_FOLDER: &str = "/usr/share/datasets";

/// Where the data bundled with the sources are, as long as these stay where this was built from.
const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

/// The places where data sets are looked for, first to last.
///
/// In each of them the data set's own subfolder (`mnist`, `cifar-10`, ...) is looked at; in one that a user named, also
/// torchvision's (`MNIST/raw`, `cifar-10-batches-bin`, ...) and the folder itself. Who names a folder wants that one: if it
/// lacks a file, nothing else is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchPath {
    /// What `--data-dir` says.
    pub data_dir: Option<PathBuf>,
    /// What `DEEPSLEEP_DATA` says; `--data-dir` goes before it.
    pub variable: Option<PathBuf>,
    /// `./data`, the user's cache folder, the system's folder of data sets, and the folder beside the sources that this
    /// was built from, where it is there.
    pub standard: Vec<PathBuf>,
}

impl SearchPath {
    /// The search path of this process: `data_dir` as given, the environment, and the standard places.
    pub fn from_env(data_dir: Option<&Path>) -> Self {
        let variable = env::var_os(DATA_VARIABLE).filter(|value| !value.is_empty());
        let mut standard = vec![PathBuf::from("data")];
        standard.extend(cache_dir().ok()); // without a home there is no cache to look into
        standard.push(PathBuf::from(SYSTEM_FOLDER));
        standard.extend(of_the_build(BUNDLED));
        Self {
            data_dir: data_dir.map(Path::to_owned),
            variable: variable.map(PathBuf::from),
            standard,
        }
    }

    /// The first folder that holds all four files of data set `name`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or a folder that the user named lacks one of them; it lists where was looked
    /// and how to get the files. Also if a folder that the user named holds another known data set's files (their names
    /// are the same).
    pub fn locate(&self, name: DatasetName) -> Result<PathBuf> {
        self.locate_splits(name, &[Split::Train, Split::Test])
    }

    /// The first folder that holds these halves of data set `name`, whether or not it has the others.
    ///
    /// # Errors
    /// As [`locate`](Self::locate).
    pub fn locate_splits(&self, name: DatasetName, splits: &[Split]) -> Result<PathBuf> {
        let mut looked = Vec::new();
        let named = match (&self.data_dir, &self.variable) {
            (Some(root), _) => Some((root, String::new())),
            (None, Some(root)) => Some((root, format!(" in the folder of {DATA_VARIABLE}"))),
            (None, None) => None,
        };
        if let Some((root, of)) = named {
            let found = look_in(root, (name, splits), true, &mut looked)?;
            let roots = std::slice::from_ref(root);
            return found.ok_or_else(|| not_found(name, &of, (roots, &looked)));
        }
        for root in &self.standard {
            if let Some(found) = look_in(root, (name, splits), false, &mut looked)? {
                return Ok(found);
            }
        }
        Err(not_found(name, "", (&self.standard, &looked)))
    }

    /// Whether the user named a folder.
    pub fn is_named(&self) -> bool {
        self.data_dir.is_some() || self.variable.is_some()
    }
}

/// The folder beside the sources, where it is there: on any machine but that of the build it cannot be filled.
fn of_the_build(folder: &str) -> Option<PathBuf> {
    Some(PathBuf::from(folder)).filter(|folder| folder.is_dir())
}

/// Finds the folder of all of data set `name` on this process's [`SearchPath`]; `data_dir` is what `--data-dir` says.
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

/// Looks at the data set's subfolder of `root`, and, if a user named `root`, at torchvision's and at `root` itself; notes
/// what was missing.
fn look_in(
    root: &Path,
    (name, splits): (DatasetName, &[Split]),
    named: bool,
    looked: &mut Vec<String>,
) -> Result<Option<PathBuf>> {
    if !root.is_dir() {
        looked.push(format!("{} (no such folder)", root.display()));
        return Ok(None);
    }
    let mut look_at = |dir: &Path| {
        let (mut missing, mut any) = (Vec::new(), false);
        for &split in splits {
            match name.format().files(dir, split) {
                Ok(_) => any = true,
                Err(Missing { names, partly }) => {
                    any |= partly;
                    missing.extend(names);
                }
            }
        }
        let reason = match missing.len() {
            0 => return true,
            _ if !dir.is_dir() => "no such folder".to_owned(),
            _ if !any => "none of the files".to_owned(),
            _ => format!("lacks {}", missing.join(", ")),
        };
        looked.push(format!("{} ({reason})", dir.display()));
        false
    };
    let own = root.join(name.as_str());
    if !named {
        return Ok(look_at(&own).then_some(own));
    }
    let torchvision = root.join(name.torchvision());
    let mut found = Vec::from_iter(look_at(&own).then_some(own));
    if torchvision.is_dir() && look_at(&torchvision) {
        found.push(torchvision);
    }
    if look_at(root) {
        match refuse_other(root, name, splits) {
            Ok(()) => found.push(root.to_owned()),
            Err(other) if found.is_empty() => return Err(other),
            Err(_) => {}
        }
    }
    match &found[..] {
        [first, second, ..] => Err(Error::NotFound(format!(
            "{}: {name} is both in {} and in {}; name the one that is meant",
            root.display(),
            first.display(),
            second.display()
        ))),
        _ => Ok(found.pop()),
    }
}

/// Refuses a folder whose labels are another known data set's.
///
/// The file names are alike, so `--data-dir data/mnist --dataset fashion-mnist` would otherwise use the wrong images
/// silently. Unknown content passes: it may be someone's own data.
fn refuse_other(dir: &Path, name: DatasetName, splits: &[Split]) -> Result<()> {
    if name.format() != Format::Idx {
        return Ok(());
    }
    let is = |other: DatasetName| {
        let files = DownloadSource::of(other).files;
        // The test labels are the shorter ones.
        let split = if splits.contains(&Split::Test) { Split::Test } else { Split::Train };
        let name = format!("{}.gz", file_name(split, IdxPart::Labels));
        let labels = files.iter().find(|file| file.name == name);
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

/// Says where was looked (`of`: in whose folder) and what to do.
fn not_found(name: DatasetName, of: &str, (roots, looked): (&[PathBuf], &[String])) -> Error {
    let other = roots.iter().filter_map(|root| cifar::python_version(root));
    let other = other.into_iter().find(|(format, _)| *format == name.format());
    let other = other.map(|(_, problem)| format!("; {problem}")).unwrap_or_default();
    Error::NotFound(format!(
        "no {name} data set{of}; looked in {}{other}; get it {}, or put its files into one of these, or name its folder, \
         also by {DATA_VARIABLE}",
        looked.join(", "),
        name.how_to_get()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::files::{FILES, file_name};
    use std::fs;

    fn fill(dir: &Path) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        for (split, part) in FILES {
            fs::write(dir.join(file_name(split, part)), "x").unwrap();
        }
        dir.to_owned()
    }

    #[test]
    fn the_folder_of_a_build_on_another_machine_is_no_place() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        assert_eq!(of_the_build(place), Some(folder.path().to_owned()));
        assert_eq!(of_the_build(&format!("{place}/build/data")), None);
        assert!(SearchPath::from_env(None).standard.contains(&BUNDLED.into()));
    }

    #[test]
    fn places_are_searched_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = |name: &str| folder.path().join(name);
        let mut path = SearchPath {
            data_dir: None,
            variable: None,
            standard: vec![root("data"), root("cache")],
        };
        let expected =
            [fill(&root("cache").join("fashion-mnist")), fill(&root("data").join("fashion-mnist"))];
        // From the most to the least preferred, removing each after it was found.
        for dir in expected.iter().rev() {
            assert_eq!(&path.locate(DatasetName::FashionMnist).unwrap(), dir);
            fs::remove_file(dir.join("train-labels-idx1-ubyte")).unwrap();
        }
        let problem = path.locate(DatasetName::FashionMnist).unwrap_err().to_string();
        assert!(problem.contains("lacks train-labels-idx1-ubyte"), "{problem}");
        assert!(problem.contains("data fetch fashion-mnist"), "{problem}");

        // In a folder that was named: as it is called here, as torchvision calls it, or the folder itself.
        path.variable = Some(root("variable"));
        let places = ["variable", "variable/FashionMNIST/raw", "variable/fashion-mnist"];
        for place in places {
            let dir = fill(&root(place));
            assert_eq!(path.locate(DatasetName::FashionMnist).unwrap(), dir);
            fs::remove_file(dir.join("train-labels-idx1-ubyte")).unwrap();
        }
        // In two of them at once, either could be meant.
        for [one, other] in [[0, 1], [0, 2], [1, 2]] {
            let two = [one, other].map(|place| fill(&root(places[place])));
            let problem = path.locate(DatasetName::FashionMnist).unwrap_err().to_string();
            for dir in two {
                assert!(problem.contains(&dir.display().to_string()), "{problem}");
                fs::remove_file(dir.join("train-labels-idx1-ubyte")).unwrap();
            }
        }
        path.data_dir = Some(fill(&root("mine")));
        assert_eq!(path.locate(DatasetName::FashionMnist).unwrap(), root("mine"));
    }

    #[test]
    fn only_the_files_that_are_read_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let dir = fill(folder.path());
        fs::remove_file(dir.join("train-labels-idx1-ubyte")).unwrap();
        let path = SearchPath { data_dir: Some(dir.clone()), ..SearchPath::default() };
        let find = |splits: &[Split]| path.locate_splits(DatasetName::Mnist, splits);
        assert_eq!(find(&[Split::Test]).unwrap(), dir);
        for splits in [&[Split::Train][..], &[Split::Train, Split::Test]] {
            let problem = find(splits).unwrap_err().to_string();
            assert!(problem.contains("lacks train-labels-idx1-ubyte)"), "{problem}");
        }
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
        assert!(problem.contains("in the folder of DEEPSLEEP_DATA"), "{problem}");
        assert!(problem.contains("typo (no such folder)"), "{problem}");
        // Half of the files there do not let the search go on either.
        fs::create_dir(folder.path().join("typo")).unwrap();
        fs::write(folder.path().join("typo/t10k-images-idx3-ubyte"), "x").unwrap();
        let problem = path.locate(DatasetName::Mnist).unwrap_err().to_string();
        assert!(problem.contains("typo (lacks train-images-idx3-ubyte, train-labels"), "{problem}");
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
