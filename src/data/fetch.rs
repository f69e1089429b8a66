//! Fetches a data set from public mirrors: resumable, hash-checked, atomic.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

use super::archive;
use super::catalog::{DownloadSource, FileForm, SourceFile};
use super::curl::Curl;
use super::download::{DownloadStart, download};
use super::gz::read_error;
use super::verify::{check_content, check_file};
use crate::files::MadeFolders;
use crate::{Error, Result};

/// What gzip may add to data it cannot shrink, generously.
const GZIP_OVERHEAD: u64 = 1 << 16;

/// How often one mirror may break off one file, having sent something of it each time.
const MOST_CONTINUATIONS: usize = 5;

/// What happens during [`fetch`], for a progress display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchProgress<'a> {
    /// The file is there with the right content; nothing is fetched.
    AlreadyThere {
        /// As it is served.
        name: &'a str,
    },
    /// A request goes out.
    Started {
        /// As it is served.
        name: &'a str,
        /// Where it is fetched from.
        url: &'a str,
    },
    /// More of the file has come.
    Received {
        /// As it is served.
        name: &'a str,
        /// Compressed bytes held by now, those of earlier attempts included.
        bytes: u64,
        /// Compressed bytes of the whole file, if the server says.
        total: Option<u64>,
    },
    /// An attempt failed; another or the final error follows.
    Failed {
        /// Where it was fetched from.
        url: &'a str,
        /// Why it failed.
        reason: &'a str,
    },
    /// The file is complete, checked and in place.
    Done {
        /// As it is served.
        name: &'a str,
    },
}

/// Fetches every file of `source` that folder `dir` lacks or holds with another content; returns where they are. Of an
/// archive the files in it are meant, which are unpacked; the archive does not stay.
///
/// The system's `curl` does the transfers. The folder is created. A file grows as `<name>.part`, which a later call
/// continues; it gets its name only when its hash is right. Mirrors are tried in order.
///
/// # Errors
/// [`Error::Argument`] without mirrors, [`Error::Io`] if the folder cannot be written, another process is fetching
/// into it, there is no `curl`, or no mirror delivers a file: then it says for each why, with both hashes if the content
/// was wrong.
pub fn fetch(
    source: &DownloadSource,
    dir: impl AsRef<Path>,
    mut observer: impl FnMut(FetchProgress<'_>),
) -> Result<Vec<PathBuf>> {
    let dir = dir.as_ref();
    if source.mirrors.is_empty() {
        return Err(Error::argument("fetch", "no base URL to fetch from; name at least one"));
    }
    // What is new and stays empty goes away if nothing can be fetched.
    let made = MadeFolders::make(dir)?;
    let curl = Curl::default();
    let files = source.files.iter();
    let fetched = files.map(|file| fetch_file(&curl, source, dir, file, &mut observer));
    let fetched = fetched.collect::<Result<Vec<_>>>()?;
    made.keep();
    Ok(fetched.concat())
}

/// Where the file is, or what was in it, if it is there with the right content.
fn there(dir: &Path, file: &SourceFile) -> Result<Option<Vec<PathBuf>>> {
    if let FileForm::Archive(members) = file.form {
        return Ok(archive::there(dir, members));
    }
    let check = check_file(dir, file);
    if check.ok {
        return Ok(Some(vec![check.path]));
    }
    if check.path == dir.join(&file.name) {
        return Ok(None);
    }
    // It would be read in place of what is fetched, and is not ours to remove.
    let problem = check.problem.unwrap_or_default();
    Err(Error::format(check.path, format!("{problem}; move it away, then fetch again")))
}

/// Brings one file into `dir`.
fn fetch_file(
    curl: &Curl,
    source: &DownloadSource,
    dir: &Path,
    file: &SourceFile,
    progress: &mut dyn FnMut(FetchProgress<'_>),
) -> Result<Vec<PathBuf>> {
    let name = file.name.as_str();
    if let Some(paths) = there(dir, file)? {
        progress(FetchProgress::AlreadyThere { name });
        return Ok(paths);
    }
    if !curl.is_installed() {
        return Err(without_curl(source, dir));
    }
    let target = dir.join(name);
    let mut part = PartFile::open(dir.join(format!("{name}.part")))?;
    // Another process may have finished between the look above and our lock.
    if let Some(paths) = there(dir, file)? {
        part.remove()?;
        progress(FetchProgress::AlreadyThere { name });
        return Ok(paths);
    }
    let mut failures = Vec::new();
    for mirror in &source.mirrors {
        let url = format!("{}/{name}", mirror.trim_end_matches('/'));
        match fetch_from(curl, &url, &mut part, file, progress) {
            Ok(()) => {
                let paths = part.settle(target, file, dir)?;
                progress(FetchProgress::Done { name });
                return Ok(paths);
            }
            Err(reason) => {
                progress(FetchProgress::Failed { url: &url, reason: &reason });
                failures.push(format!("{url}: {reason}"));
            }
        }
    }
    part.remove_if_empty()?;
    Err(Error::io(target, "download", io::Error::other(failures.join("; "))))
}

/// What to do where there is no curl.
fn without_curl(source: &DownloadSource, dir: &Path) -> Error {
    let places = source.mirrors.join(" or ");
    let names: Vec<&str> = source.files.iter().map(|file| file.name.as_str()).collect();
    let packed = source.files.iter().any(|file| matches!(file.form, FileForm::Archive(_)));
    let unpacked = if packed { ", unpacked" } else { "" };
    let reason = format!(
        "the program curl is not installed; install it, or get {} from {places} and put them into this folder{unpacked}",
        names.join(", ")
    );
    Error::io(dir, "download", io::Error::new(io::ErrorKind::NotFound, reason))
}

/// Fetches into `part` from one mirror and checks the content; the reason in words if that fails.
///
/// An interrupted transfer that brought something is continued. Mirrors compress differently, so a part that one began
/// and another ended is wrong as a whole although either was right: after such a mismatch the same mirror is asked
/// once for everything.
fn fetch_from(
    curl: &Curl,
    url: &str,
    part: &mut PartFile,
    file: &SourceFile,
    progress: &mut dyn FnMut(FetchProgress<'_>),
) -> Result<(), String> {
    let name = file.name.as_str();
    let most = file.bytes + GZIP_OVERHEAD;
    let mut continuations = 0;
    loop {
        let held = part.len().map_err(|error| error.to_string())?;
        progress(FetchProgress::Started { name, url });
        let mut received = |bytes, total| progress(FetchProgress::Received { name, bytes, total });
        let reason = match download(curl, url, &mut part.file, most, &mut received) {
            Ok(outcome) => {
                let Err(reason) = part.check(file) else { return Ok(()) };
                part.empty().map_err(|error| error.to_string())?;
                if outcome == DownloadStart::Fresh {
                    return Err(reason);
                }
                reason
            }
            Err(reason) => {
                let grown = part.len().map_err(|error| error.to_string())? > held;
                if !grown || continuations == MOST_CONTINUATIONS {
                    return Err(reason);
                }
                continuations += 1;
                reason
            }
        };
        progress(FetchProgress::Failed { url, reason: &reason });
    }
}

/// A file under construction, locked against other processes.
#[derive(Debug)]
struct PartFile {
    path: PathBuf,
    file: File,
}

impl PartFile {
    /// Opens or creates the file with what an earlier attempt left in it.
    fn open(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Error::io(&path, "create", error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, file }),
            Err(TryLockError::WouldBlock) => {
                let reason = "another process is fetching it; wait until it is done";
                Err(Error::io(&path, "lock", io::Error::other(reason)))
            }
            // Some network file systems have no locks; a clash would then be caught by the hash.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Self { path, file })
            }
            Err(TryLockError::Error(error)) => Err(Error::io(&path, "lock", error)),
        }
    }

    /// Compressed bytes held.
    fn len(&self) -> Result<u64> {
        match self.file.metadata() {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) => Err(Error::io(&self.path, "examine", error)),
        }
    }

    /// Checks the content; says in words what is wrong. Reads through the locked handle: on some systems no other may.
    fn check(&mut self, expected: &SourceFile) -> Result<(), String> {
        let path = &self.path;
        let found = self
            .file
            .rewind()
            .map_err(|error| read_error(path, error))
            .and_then(|()| check_content(BufReader::new(&self.file), path, expected));
        match found {
            Ok(found) if found == expected.sha256 => Ok(()),
            Ok(found) => {
                Err(format!("wrong content: expected sha256 {}, found {found}", expected.sha256))
            }
            Err(error) => {
                Err(format!("wrong content: expected sha256 {}, but {error}", expected.sha256))
            }
        }
    }

    /// Gives the checked file its name, or unpacks what is in it; returns what is there then.
    fn settle(mut self, target: PathBuf, file: &SourceFile, dir: &Path) -> Result<Vec<PathBuf>> {
        if let FileForm::Archive(members) = file.form {
            self.file.rewind().map_err(|error| Error::io(&self.path, "read", error))?;
            let paths = archive::unpack(&self.file, &self.path, members, dir)?;
            self.remove()?;
            return Ok(paths);
        }
        self.file.sync_all().map_err(|error| Error::io(&self.path, "write", error))?;
        fs::rename(&self.path, &target).map_err(|error| Error::io(&target, "write", error))?;
        Ok(vec![target])
    }

    /// Forgets the content.
    fn empty(&self) -> Result<()> {
        self.file.set_len(0).map_err(|error| Error::io(&self.path, "empty", error))
    }

    /// Removes a part that holds nothing worth continuing.
    fn remove_if_empty(self) -> Result<()> {
        if self.len()? == 0 { self.remove() } else { Ok(()) }
    }

    /// Removes the file; one that is gone already is fine.
    fn remove(self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(&self.path, "remove", error))
            }
            _ => Ok(()),
        }
    }
}
