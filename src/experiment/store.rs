//! The store of finished jobs: a folder of entries, each under its job's key.
//!
//! An entry is `KEY.json` with the job's value and checksums, written last; a file such as a model lies beside it. What
//! does not match its checksum is damaged: it is named, and computed again. Processes that share the folder claim a
//! job by a lock on `KEY.lock`, which the system releases however they end.

use crate::files::write_atomically;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A finished job's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
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
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    entry: Entry,
    sha256: String,
}

/// What is in the store under a key.
#[derive(Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// The result.
    Entry(Box<Entry>),
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
pub struct Claim {
    path: PathBuf,
    _file: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Whoever waits for the lock looks for the entry first; a lock file left behind does no harm either.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Name of the folder in a results folder.
    pub const FOLDER: &'static str = "store";

    /// The store of a results folder, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(results: &Path) -> Result<Self> {
        let folder = results.join(Self::FOLDER);
        fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "create", e))?;
        Ok(Self { folder })
    }

    /// The path of a file in it.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Looks up a key, and checks what is there.
    pub fn find(&self, key: &str) -> Found {
        let path = self.path(&format!("{key}.json"));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Found::Nothing,
            Err(e) => return Found::Damaged(format!("{} cannot be read: {e}", path.display())),
        };
        let damaged = |what: String| Found::Damaged(format!("{}: {what}", path.display()));
        let Sealed { entry, sha256 } = match serde_json::from_str(&text) {
            Ok(sealed) => sealed,
            Err(e) => return damaged(e.to_string()),
        };
        if seal(&entry).as_deref() != Ok(sha256.as_str()) {
            return damaged("its content does not match its checksum".into());
        }
        if let Some(file) = &entry.file {
            // Whoever made the entry must not make us read, or write when stores are joined, elsewhere.
            if Path::new(file).file_name() != Some(file.as_ref()) {
                return damaged(format!("`{file}` is no name of a file in the store"));
            }
            let Some(expected) = &entry.file_sha256 else {
                return damaged(format!("{file} has no checksum"));
            };
            match fs::read(self.path(file)) {
                Ok(bytes) if hex(&Sha256::digest(&bytes)) == *expected => {}
                Ok(_) => return damaged(format!("{file} does not match its checksum")),
                Err(e) => return damaged(format!("{file} cannot be read: {e}")),
            }
        }
        Found::Entry(Box::new(entry))
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
    ) -> Result<Entry> {
        let file_sha256 = match &file {
            Some(file) => {
                let path = self.path(file);
                let bytes = fs::read(&path).map_err(|e| Error::io(&path, "read", e))?;
                Some(hex(&Sha256::digest(&bytes)))
            }
            None => None,
        };
        let entry = Entry { name: name.to_owned(), seconds, value, file, file_sha256 };
        let sha256 = seal(&entry).map_err(|e| Error::failed("store", e))?;
        let sealed = Sealed { entry, sha256 };
        let text = serde_json::to_string_pretty(&sealed).map_err(|e| Error::failed("store", e))?;
        write_atomically(&self.path(&format!("{key}.json")), |to| writeln!(to, "{text}"))?;
        Ok(sealed.entry)
    }

    /// Claims a job; None if another process has it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn claim(&self, key: &str) -> Result<Option<Claim>> {
        let path = self.path(&format!("{key}.lock"));
        let file = File::create(&path).map_err(|e| Error::io(&path, "create", e))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Claim { path, _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(Error::io(&path, "lock", e)),
        }
    }

    /// Copies what another store has and this one lacks; returns how many entries, and what was damaged there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn take_from(&self, other: &Self) -> Result<(usize, Vec<String>)> {
        let (mut taken, mut damaged) = (0, Vec::new());
        let entries =
            fs::read_dir(&other.folder).map_err(|e| Error::io(&other.folder, "read", e))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".json"))
            .collect();
        names.sort();
        for name in names {
            let Some(key) = name.strip_suffix(".json") else { continue };
            if matches!(self.find(key), Found::Entry(_)) {
                continue;
            }
            match other.find(key) {
                Found::Entry(entry) => {
                    for file in entry.file.iter().chain([&name]) {
                        let from = other.path(file);
                        let bytes = fs::read(&from).map_err(|e| Error::io(&from, "read", e))?;
                        write_atomically(&self.path(file), |to| to.write_all(&bytes))?;
                    }
                    taken += 1;
                }
                Found::Damaged(what) => damaged.push(what),
                Found::Nothing => {}
            }
        }
        Ok((taken, damaged))
    }
}

fn seal(entry: &Entry) -> std::result::Result<String, String> {
    let text = serde_json::to_vec(entry).map_err(|e| e.to_string())?;
    Ok(hex(&Sha256::digest(text)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_kept_is_found_and_damage_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        assert!(matches!(store.find("k"), Found::Nothing));
        fs::write(store.path("k.model"), b"weights").expect("a file");
        let value = json!({ "accuracy": 0.1 });
        store.keep("k", "train", 1.5, value.clone(), Some("k.model".into())).expect("kept");
        let Found::Entry(entry) = store.find("k") else { panic!("not found") };
        assert_eq!((entry.value, entry.seconds), (value, 1.5));

        fs::write(store.path("k.model"), b"weighty").expect("a file");
        assert!(matches!(store.find("k"), Found::Damaged(what) if what.contains("k.model")));
        fs::write(store.path("k.model"), b"weights").expect("a file");
        let text = fs::read_to_string(store.path("k.json")).expect("the entry");
        fs::write(store.path("k.json"), text.replace("0.1", "0.2")).expect("the entry");
        assert!(matches!(store.find("k"), Found::Damaged(what) if what.contains("checksum")));
        fs::write(store.path("k.json"), &text[..text.len() / 2]).expect("the entry");
        assert!(matches!(store.find("k"), Found::Damaged(_)));
    }

    #[test]
    fn an_entry_names_files_of_the_store_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        fs::write(folder.path().join("outside"), b"weights").expect("a file");
        let outside = folder.path().join("outside").display().to_string();
        for file in ["../outside", outside.as_str(), "/dev/zero", "..", "", "./k.json"] {
            let file_sha256 = Some(hex(&Sha256::digest(b"weights")));
            let (name, file) = ("train".to_owned(), Some(file.to_owned()));
            let entry = Entry { name, seconds: 1.0, value: json!(1), file, file_sha256 };
            let sealed = Sealed { sha256: seal(&entry).expect("JSON"), entry };
            let text = serde_json::to_string(&sealed).expect("JSON");
            fs::write(store.path("k.json"), text).expect("the entry");
            assert!(matches!(store.find("k"), Found::Damaged(what) if what.contains("no name")));
        }
    }

    #[test]
    fn a_job_is_claimed_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let claim = store.claim("k").expect("no failure");
        assert!(claim.is_some() && store.claim("k").expect("no failure").is_none());
        drop(claim);
        assert!(store.claim("k").expect("no failure").is_some());
    }

    #[test]
    fn stores_are_joined() {
        let (a, b) = (tempfile::tempdir().expect("a"), tempfile::tempdir().expect("b"));
        let (a, b) = (Store::open(a.path()).expect("a"), Store::open(b.path()).expect("b"));
        fs::write(b.path("x.npz"), b"images").expect("a file");
        b.keep("x", "craft", 1.0, json!(1), Some("x.npz".into())).expect("kept");
        b.keep("y", "show", 1.0, json!(2), None).expect("kept");
        fs::write(b.path("z.json"), b"{").expect("a file");
        let (taken, damaged) = a.take_from(&b).expect("joined");
        assert_eq!((taken, damaged.len()), (2, 1));
        assert!(matches!(a.find("x"), Found::Entry(_)) && matches!(a.find("y"), Found::Entry(_)));
        assert_eq!(a.take_from(&b).expect("joined").0, 0);
    }
}
