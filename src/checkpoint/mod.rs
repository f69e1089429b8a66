//! Models on disk: safetensors, under the names that a PyTorch user would have (`conv1.weight`, `bn1.running_mean`).
//! Images and results by the sample: [`Npz`], numpy's format.
//!
//! ```
//! use deepsleep::checkpoint::StateDict;
//!
//! let mut state = StateDict::default();
//! state.insert("fc.weight", vec![2, 3], vec![0.5; 6])?;
//! state.note("seed", 7);
//! let file = tempfile::NamedTempFile::new().unwrap();
//! state.save(file.path())?;
//! let loaded = StateDict::load(file.path())?;
//! assert_eq!(loaded.get("fc.weight").unwrap().values, [0.5; 6]);
//! assert_eq!(loaded.noted("seed"), Some(7));
//! # Ok::<(), deepsleep::Error>(())
//! ```

pub(crate) mod format;
mod made_with;
#[cfg(feature = "npz")]
mod npy;
#[cfg(feature = "npz")]
mod npz;
#[cfg(feature = "npz")]
mod reader;

#[cfg(feature = "onnx")]
pub(crate) use format::half;
pub use made_with::MadeWith;
pub(crate) use made_with::flatten;
#[cfg(feature = "npz")]
pub use npz::{Npz, NpzArray};
#[cfg(feature = "npz")]
pub use reader::NpzReader;

use crate::files::{read_regular, write_atomically};
use crate::fingerprint::Fingerprint;
use crate::wording::{list, shown, to_json};
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of a file that is read, and of an array in it.
const MOST_BYTES: u64 = 1 << 30;

/// What PyTorch's wrappers put before the names of a network's arrays: `DataParallel` and `torch.compile`.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// The end of the name of PyTorch's count of batches, which nothing but a training in PyTorch uses.
const BATCHES_TRACKED: &str = "num_batches_tracked";

/// An array with its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct StateArray {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Numbers in row-major order.
    pub values: Vec<f32>,
}

/// Named arrays and notes about how they came to be. Equal ones hold the same, wherever they were read from.
#[derive(Clone, Debug, Default)]
pub struct StateDict {
    entries: BTreeMap<String, StateArray>,
    notes: BTreeMap<String, serde_json::Value>,
    /// Arrays of a file that are no numbers of ours, with their types.
    unread: BTreeMap<String, String>,
    /// Where it was read from, for errors.
    path: PathBuf,
}

impl PartialEq for StateDict {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries && self.notes == other.notes
    }
}

impl StateDict {
    /// Adds an array, or replaces the one of that name.
    ///
    /// # Errors
    /// If the shape's product is not the number of values, or the name is the format's own `__metadata__`.
    pub fn insert(&mut self, name: &str, shape: Vec<usize>, values: Vec<f32>) -> Result<()> {
        let count = shape.iter().try_fold(1_usize, |count, &n| count.checked_mul(n));
        if count != Some(values.len()) {
            return Err(Error::shape(
                "state dict",
                format!("{name}: a shape of {} numbers", values.len()),
                format!("{shape:?}"),
            ));
        }
        if name == "__metadata__" {
            return Err(Error::argument(
                "state dict",
                format!("{name} is a name that the format keeps"),
            ));
        }
        self.entries.insert(name.to_owned(), StateArray { shape, values });
        Ok(())
    }

    /// The array of this name.
    pub fn get(&self, name: &str) -> Option<&StateArray> {
        self.entries.get(name)
    }

    /// The array of this name, which must have this shape.
    ///
    /// # Errors
    /// If it is missing, has another shape, or holds a number that is not finite; the file is named.
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let values = self.expect_shape(name, shape)?;
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            let problem = format!("`{name}` holds {} at position {i}", values[i]);
            return Err(Error::format(&self.path, problem));
        }
        Ok(values)
    }

    /// As [`expect`](Self::expect), of numbers that may be anything.
    ///
    /// # Errors
    /// If it is missing or has another shape; the file is named.
    pub fn expect_shape(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let entry = self.get(name).ok_or_else(|| {
            let problem = match self.unread.get(name) {
                Some(kind) => {
                    format!("`{name}` is of type {kind}, expected floats; convert it to F32")
                }
                None => format!("has no `{name}`; it has {}", list(self.names())),
            };
            Error::format(&self.path, problem)
        })?;
        if entry.shape != shape {
            let problem = format!("`{name}` has shape {:?}, expected {shape:?}", entry.shape);
            return Err(Error::format(&self.path, problem));
        }
        Ok(&entry.values)
    }

    /// As [`expect`](Self::expect), of an array that may be missing.
    ///
    /// # Errors
    /// If it is there with another shape, or holds a number that is not finite; the file is named.
    pub fn expect_if_there(&self, name: &str, shape: &[usize]) -> Result<Option<&[f32]>> {
        self.get(name).map(|_| self.expect(name, shape)).transpose()
    }

    /// As [`expect`](Self::expect), of numbers that must not be negative, such as variances.
    ///
    /// # Errors
    /// As for [`expect`](Self::expect), or if there is a negative number.
    pub fn expect_non_negative(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let values = self.expect(name, shape)?;
        match values.iter().position(|&v| v < 0.0) {
            None => Ok(values),
            Some(i) => {
                let problem = format!("`{name}` holds {} at position {i}, below 0", values[i]);
                Err(Error::format(&self.path, problem))
            }
        }
    }

    /// Refuses arrays of other names than these, which are all that `owner` takes: a network that drops an array of its
    /// file in silence is another network. PyTorch's `num_batches_tracked` alone may be there besides.
    ///
    /// # Errors
    /// If there are others; the file and they are named, with what was expected.
    pub fn expect_only<'a>(
        &self,
        owner: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        let known: BTreeSet<&str> = names.into_iter().collect();
        let there = self.names().chain(self.unread.keys().map(String::as_str));
        let mut unused: Vec<&str> = there
            .filter(|name| !known.contains(name) && !name.ends_with(BATCHES_TRACKED))
            .collect();
        if unused.is_empty() {
            return Ok(());
        }
        unused.sort_unstable();
        let (verb, unused) = (if unused.len() == 1 { "is" } else { "are" }, quoted(&unused));
        let known = list(known);
        let problem =
            format!("{unused} {verb} not part of {owner}, which takes {known}, and nothing else");
        Err(Error::format(&self.path, problem))
    }

    /// The same arrays without the names of the wrappers that PyTorch puts around a network, and these names: `module.`
    /// (`DataParallel`) and `_orig_mod.` (`torch.compile`), where they stand before the names of all arrays.
    #[must_use]
    pub fn unwrapped(mut self) -> (Self, String) {
        let mut removed = String::new();
        let wraps_all = |state: &Self, prefix: &&str| {
            let mut names = state.entries.keys().chain(state.unread.keys()).peekable();
            names.peek().is_some() && names.all(|name| name.starts_with(*prefix))
        };
        while let Some(prefix) = WRAPPERS.into_iter().find(|prefix| wraps_all(&self, prefix)) {
            removed.push_str(prefix);
            let entries = std::mem::take(&mut self.entries).into_iter();
            self.entries =
                entries.map(|(name, of)| (name[prefix.len()..].to_owned(), of)).collect();
            let unread = std::mem::take(&mut self.unread).into_iter();
            self.unread = unread.map(|(name, of)| (name[prefix.len()..].to_owned(), of)).collect();
        }
        (self, removed)
    }

    /// Where it was read from; empty if it was not.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same, read from a file of another format.
    #[must_use]
    #[cfg(feature = "onnx")]
    pub(crate) fn of_file(self, path: &Path) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// The names of all arrays, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The fingerprint of all arrays, with their names.
    pub fn fingerprint(&self) -> String {
        let all = self.entries.iter().fold(Fingerprint::of("network"), |all, (name, array)| {
            let bytes: Vec<u8> =
                array.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            all.bytes(name.as_bytes()).bytes(&bytes)
        });
        all.finish()
    }

    /// Notes a setting or a result beside the arrays.
    pub fn note(&mut self, name: &str, value: impl Serialize) {
        // Only maps with keys that are no strings fail to become JSON; there are none among notes.
        let value = to_json(&value).unwrap_or(serde_json::Value::Null);
        self.notes.insert(name.to_owned(), value);
    }

    /// A note, if it is there and of this type.
    pub fn noted<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.notes.get(name)?.clone()).ok()
    }

    /// All notes.
    pub fn notes(&self) -> &BTreeMap<String, serde_json::Value> {
        &self.notes
    }

    /// Moves every array toward that of another state dict with the same ones, of which it keeps `share` of its own.
    pub(crate) fn blend(&mut self, share: f32, other: &Self) {
        for (name, array) in &mut self.entries {
            let Some(other) = other.entries.get(name) else { continue };
            let pairs = array.values.iter_mut().zip(&other.values);
            pairs.for_each(|(mean, new)| *mean = share * *mean + (1.0 - share) * new);
        }
    }

    /// Takes over all arrays and notes of another state dict, their names behind `prefix.`.
    pub fn absorb(&mut self, prefix: &str, other: Self) {
        let entries = other.entries.into_iter();
        self.entries.extend(entries.map(|(name, entry)| (format!("{prefix}.{name}"), entry)));
        let notes = other.notes.into_iter();
        self.notes.extend(notes.map(|(name, note)| (format!("{prefix}.{name}"), note)));
    }

    /// What was absorbed behind `prefix.`.
    pub fn extract(&self, prefix: &str) -> Self {
        let inner = |name: &str| Some(name.strip_prefix(prefix)?.strip_prefix('.')?.to_owned());
        let (entries, unread) = (self.entries.iter(), self.unread.iter());
        let notes = self.notes.iter();
        Self {
            entries: entries.filter_map(|(n, entry)| Some((inner(n)?, entry.clone()))).collect(),
            notes: notes.filter_map(|(n, note)| Some((inner(n)?, note.clone()))).collect(),
            unread: unread.filter_map(|(n, kind)| Some((inner(n)?, kind.clone()))).collect(),
            path: self.path.clone(),
        }
    }

    /// All arrays and notes but those behind `prefix.`.
    #[must_use]
    pub fn without(&self, prefix: &str) -> Self {
        let outer =
            |name: &str| !name.strip_prefix(prefix).is_some_and(|inner| inner.starts_with('.'));
        let mut other = self.clone();
        other.entries.retain(|name, _| outer(name));
        other.notes.retain(|name, _| outer(name));
        other.unread.retain(|name, _| outer(name));
        other
    }

    /// Writes a safetensors file, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let bytes = self.to_bytes()?;
        write_atomically(path.as_ref(), |file| file.write_all(&bytes))
    }

    /// Reads a safetensors file of at most a gigabyte. Floats of 16 bits are widened, those of 64 rounded; arrays of
    /// integers (PyTorch's `num_batches_tracked`) are not read, but known to be there.
    ///
    /// # Errors
    /// If the file cannot be read or is not what the format requires.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(&read_regular(path, MOST_BYTES)?, path)
    }
}

/// Names with quotes around each, as [`list`] shows them.
fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", shown(name))).collect();
    list(names.iter().map(String::as_str))
}
