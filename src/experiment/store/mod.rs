//! The store of finished jobs: a folder of entries, each under its job's key.
//!
//! An entry is `KEY.json` with the job's value and checksums, written last; a file such as a model lies beside it. What
//! does not match its checksum is damaged: it is named, and computed again. Processes that share the folder claim a
//! job by a lock on `KEY.lock`, which the system releases however they end.

#[cfg(test)]
mod tests;

use crate::files::{
    MOST, MadeFolders, TEMPORARY, inside, lock_file, read_regular, write_atomically,
};
use crate::fingerprint::sha256;
use crate::wording::of_json;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A finished job's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoreEntry {
    /// The job's name when it was computed.
    pub name: String,
    /// Wall seconds that it took.
    pub seconds: f64,
    /// What it found out.
    pub value: Value,
    /// The name of the file that it made, in the store's folder.
    pub file: Option<String>,
    /// The file's SHA-256.
    file_sha256: Option<String>,
    /// Where a number was not finite, and what it was: this job ends so whenever it is run, and has no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_finite: Option<(String, String)>,
}

impl StoreEntry {
    /// Why there is no value, if this is how the job ends whenever it is run.
    pub fn failure(&self) -> Option<Error> {
        let (place, problem) = self.not_finite.clone()?;
        Some(Error::NotFinite { place, problem })
    }

    /// Whether another run came to the same result; how long it took does not count.
    pub fn same_result(&self, other: &Self) -> bool {
        let result = |e: &Self| {
            (e.value.clone(), e.file.clone(), e.file_sha256.clone(), e.not_finite.clone())
        };
        result(self) == result(other)
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    entry: StoreEntry,
    sha256: String,
}

/// What is in the store under a key.
#[derive(Debug)]
pub enum Lookup {
    /// Nothing.
    NotFound,
    /// The result.
    Entry(Box<StoreEntry>),
    /// Something that cannot be used; why.
    Damaged(String),
}

/// A folder of entries.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// A job that is ours until this is dropped.
#[derive(Debug)]
pub struct JobClaim {
    path: PathBuf,
    _file: File,
}

impl Drop for JobClaim {
    fn drop(&mut self) {
        // A process that waits for the lock looks for the entry first; a lock file left behind does no harm either.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Name of the folder in a results folder.
    pub const FOLDER: &'static str = "store";

    /// Name of the file in the store that says what it is for; no entry.
    pub(super) const REQUEST: &'static str = "request.json";

    /// The store of a results folder, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(results: &Path) -> Result<Self> {
        let (store, made) = Self::begin(results)?;
        made.keep();
        Ok(store)
    }

    /// [`open`](Self::open), before it is known whether there will be results: new folders that nothing comes of go away.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn begin(results: &Path) -> Result<(Self, MadeFolders)> {
        let store = Self::at(results);
        let made = MadeFolders::make(&store.folder)?;
        Ok((store, made))
    }

    /// The store of a results folder, whether it is there or not: what is not there holds nothing.
    pub fn at(results: &Path) -> Self {
        Self { folder: results.join(Self::FOLDER) }
    }

    /// Removes what processes that were killed left behind: locks without a holder, and temporary files that no process has
    /// written to for an hour. Nothing depends on it.
    pub fn tidy(&self) {
        const HOUR: Duration = Duration::from_secs(3600);
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if let Some(key) = name.strip_suffix(".lock") {
                // If it is free, it goes away with the claim.
                let _ = self.claim(key);
            } else if name.starts_with(TEMPORARY) {
                let age = entry.metadata().and_then(|data| data.modified());
                if age.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > HOUR)) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }

    /// The path of a file in it.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Where to write a file in it: what is there and no regular file, such as a link from elsewhere, is
    /// removed, so that nothing is written outside.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn place(&self, file: &str) -> Result<PathBuf> {
        let path = self.path(file);
        if fs::symlink_metadata(&path).is_ok_and(|there| !there.is_file()) {
            fs::remove_file(&path).map_err(|e| Error::io(&path, "remove", e))?;
        }
        Ok(path)
    }

    /// Looks up a key, and checks what is there.
    pub fn find(&self, key: &str) -> Lookup {
        let name = format!("{key}.json");
        // A link to nowhere is there, and cannot be read.
        if fs::symlink_metadata(self.path(&name)).is_err() {
            return Lookup::NotFound;
        }
        match self.look(&name) {
            Ok(entry) => Lookup::Entry(Box::new(entry)),
            Err(error) => Lookup::Damaged(error.to_string()),
        }
    }

    /// The entry in a file of this name; its maker must not make us read, or write when stores are joined,
    /// elsewhere.
    fn look(&self, name: &str) -> Result<StoreEntry> {
        let path = self.path(name);
        let damaged = |what: String| Error::format(&path, what);
        let text = self.read(name)?;
        let Sealed { entry, sha256: seal_of } =
            serde_json::from_slice(&text).map_err(|e| damaged(of_json(&e)))?;
        if seal(&entry).as_deref() != Ok(seal_of.as_str()) {
            return Err(damaged("its content does not match its checksum".into()));
        }
        if let Some(file) = &entry.file {
            if Path::new(file).file_name() != Some(file.as_ref()) {
                return Err(damaged(format!("`{file}` is not the name of a file in the store")));
            }
            let Some(expected) = &entry.file_sha256 else {
                return Err(damaged(format!("{file} has no checksum")));
            };
            if sha256(&self.read(file)?) != *expected {
                return Err(damaged(format!("{file} does not match its checksum")));
            }
        }
        Ok(entry)
    }

    fn read(&self, file: &str) -> Result<Vec<u8>> {
        read_regular(&inside(&self.folder, file)?, MOST)
    }

    /// Keeps a result. `file` is the name of the file that the job has written into the folder, if it made one.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn keep(
        &self,
        key: &str,
        name: &str,
        seconds: f64,
        value: Value,
        file: Option<String>,
    ) -> Result<StoreEntry> {
        let file_sha256 = match &file {
            Some(file) => {
                let path = self.path(file);
                let bytes = read_regular(&path, u64::MAX)?;
                Some(sha256(&bytes))
            }
            None => None,
        };
        let name = name.to_owned();
        let not_finite = None;
        self.write(key, StoreEntry { name, seconds, value, file, file_sha256, not_finite })
    }

    /// Keeps that a job came to a number that is not finite, as it would again; what went wrong otherwise is not kept.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn keep_failure(&self, key: &str, name: &str, seconds: f64, error: &Error) -> Result<()> {
        let Error::NotFinite { place, problem } = error else { return Ok(()) };
        let not_finite = Some((place.clone(), problem.clone()));
        let (name, value) = (name.to_owned(), Value::Null);
        let entry = StoreEntry { name, seconds, value, file: None, file_sha256: None, not_finite };
        self.write(key, entry).map(drop)
    }

    fn write(&self, key: &str, entry: StoreEntry) -> Result<StoreEntry> {
        let sha256 = seal(&entry).map_err(|e| Error::failed("store", e))?;
        let sealed = Sealed { entry, sha256 };
        let text = serde_json::to_string_pretty(&sealed).map_err(|e| Error::failed("store", e))?;
        write_atomically(&self.place(&format!("{key}.json"))?, |to| writeln!(to, "{text}"))?;
        Ok(sealed.entry)
    }

    /// Claims a job; None if another process has it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn claim(&self, key: &str) -> Result<Option<JobClaim>> {
        let path = self.path(&format!("{key}.lock"));
        let file = lock_file(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(JobClaim { path, _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(Error::io(&path, "lock", e)),
        }
    }

    /// The keys of everything in it, damaged or not, sorted; none if it is not there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn keys(&self) -> Result<Vec<String>> {
        let error = |e| Error::io(&self.folder, "read", e);
        let entries = match fs::read_dir(&self.folder) {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            entries => entries.map_err(error)?,
        };
        let mut keys = Vec::new();
        for entry in entries {
            let name = entry.map_err(error)?.file_name().into_string();
            let name = name.ok().filter(|name| name != Self::REQUEST);
            keys.extend(name.and_then(|name| Some(name.strip_suffix(".json")?.to_owned())));
        }
        keys.sort();
        Ok(keys)
    }

    /// Copies an entry of another store, with its file.
    ///
    /// # Errors
    /// Those of the file system, and if there is no usable entry.
    pub fn take(&self, key: &str, other: &Self) -> Result<()> {
        let name = format!("{key}.json");
        let entry = other.look(&name)?;
        for file in entry.file.iter().chain([&name]) {
            let bytes = other.read(file)?;
            write_atomically(&self.place(file)?, |to| to.write_all(&bytes))?;
        }
        Ok(())
    }
}

fn seal(entry: &StoreEntry) -> std::result::Result<String, String> {
    let text = serde_json::to_vec(entry).map_err(|e| e.to_string())?;
    Ok(sha256(&text))
}
