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

mod npz;

pub use npz::{Column, Npz};

use crate::files::write_atomically;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The one key of a file's metadata that is ours; its value is JSON with sorted keys. (The format's own map has no
/// order, so more than one key would make equal models differ in their bytes.)
const METADATA: &str = "deepsleep";

/// An array with its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Numbers in row-major order.
    pub values: Vec<f32>,
}

/// Named arrays and notes about how they came to be. Equal ones hold the same, wherever they were read from.
#[derive(Clone, Debug, Default)]
pub struct StateDict {
    entries: BTreeMap<String, Entry>,
    notes: BTreeMap<String, serde_json::Value>,
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
        self.entries.insert(name.to_owned(), Entry { shape, values });
        Ok(())
    }

    /// The array of this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The array of this name, which must have this shape.
    ///
    /// # Errors
    /// If it is missing, has another shape, or holds a number that is not finite; the file is named.
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let entry = self.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.names().collect();
            Error::format(&self.path, format!("has no `{name}`; it has {}", names.join(", ")))
        })?;
        if entry.shape != shape {
            let problem = format!("`{name}` has shape {:?}, expected {shape:?}", entry.shape);
            return Err(Error::format(&self.path, problem));
        }
        if let Some(i) = entry.values.iter().position(|v| !v.is_finite()) {
            let problem = format!("`{name}` holds {} at position {i}", entry.values[i]);
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

    /// Where it was read from; empty if it was not.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all arrays, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Notes a setting or a result beside the arrays.
    pub fn note(&mut self, name: &str, value: impl Serialize) {
        // Only maps with keys that are no strings fail to become JSON; nobody notes such.
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
        let entries = self.entries.iter();
        let notes = self.notes.iter();
        Self {
            entries: entries.filter_map(|(n, entry)| Some((inner(n)?, entry.clone()))).collect(),
            notes: notes.filter_map(|(n, note)| Some((inner(n)?, note.clone()))).collect(),
            path: self.path.clone(),
        }
    }

    /// The file as bytes. Equal state dicts give equal bytes.
    ///
    /// # Errors
    /// If the format refuses (it does not for arrays that [`insert`](Self::insert) took).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let fail = |e: String| Error::format(&self.path, format!("cannot be written: {e}"));
        let bytes: Vec<(&str, &[usize], Vec<u8>)> = self
            .entries
            .iter()
            .map(|(name, entry)| {
                let bytes = entry.values.iter().flat_map(|v| v.to_le_bytes()).collect();
                (name.as_str(), entry.shape.as_slice(), bytes)
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, shape, bytes)| {
                Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| fail(e.to_string()))?;
        let notes = serde_json::to_string(&self.notes).map_err(|e| fail(e.to_string()))?;
        let metadata =
            (!self.notes.is_empty()).then(|| HashMap::from([(METADATA.to_owned(), notes)]));
        safetensors::serialize(views, metadata).map_err(|e| fail(e.to_string()))
    }

    /// Writes a safetensors file, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let bytes = self.to_bytes()?;
        write_atomically(path.as_ref(), |file| file.write_all(&bytes))
    }

    /// Reads a safetensors file. Arrays of f64 are rounded to f32; arrays of integers (PyTorch's
    /// `num_batches_tracked`) are left out.
    ///
    /// # Errors
    /// If the file cannot be read or is not what the format requires.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
        Self::from_bytes(&bytes, path)
    }

    /// Reads the content of a safetensors file; `path` is what errors name.
    ///
    /// # Errors
    /// If the content is not what the format requires.
    pub fn from_bytes(bytes: &[u8], path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let fail = |e: String| Error::format(path, format!("not a readable safetensors file: {e}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| fail(e.to_string()))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| fail(e.to_string()))?;
        let mut state = Self { path: path.to_owned(), ..Self::default() };
        for (name, view) in tensors.iter() {
            let data = view.data();
            let values: Vec<f32> = match view.dtype() {
                Dtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
                Dtype::F64 => {
                    data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()
                }
                Dtype::BOOL
                | Dtype::U8
                | Dtype::I8
                | Dtype::I16
                | Dtype::U16
                | Dtype::I32
                | Dtype::U32
                | Dtype::I64
                | Dtype::U64 => continue,
                other => {
                    return Err(Error::format(
                        path,
                        format!("`{name}` is of type {other:?}; convert it to F32"),
                    ));
                }
            };
            state.insert(name, view.shape().to_vec(), values)?;
        }
        let notes = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA));
        if let Some(notes) = notes {
            state.notes = serde_json::from_str(notes)
                .map_err(|e| Error::format(path, format!("its notes are no JSON object: {e}")))?;
        }
        Ok(state)
    }
}

/// A value as JSON by way of text: an f32 stays the shortest number that names it (0.1), where a direct conversion would
/// widen it first (0.10000000149011612).
pub(crate) fn to_json(value: &impl Serialize) -> serde_json::Result<serde_json::Value> {
    serde_json::from_str(&serde_json::to_string(value)?)
}
