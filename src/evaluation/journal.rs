//! What is finished of an evaluation or an audit, in a file that grows by one line per entry. Whenever the process is killed, all
//! complete lines count.

use crate::attack::Samples;
use crate::checkpoint::MadeWith;
use crate::files::{Output, read_regular, writing};
use crate::fingerprint::Fingerprint;
use crate::wording::of_json_line;
use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file, open for the next entry.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

/// Everything that the bits of the result depend on, in words.
pub type JournalSettings = BTreeMap<String, String>;

impl Journal {
    /// Starts a new file, in the place of an old one, which stays where the new one cannot be written. Two processes must
    /// not have one journal: the place should be [locked](Output::locked) until it is done.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin(place: &Output, settings: &JournalSettings) -> Result<Self> {
        let path = place.path();
        place.write_all(&line(path, settings)?)?;
        Ok(Self { path: path.to_owned(), file: open(path)? })
    }

    /// Opens a file to go on with it, and returns the entries that it holds. Half a line at its end, written by a process
    /// that was killed, is cut off. None if there is no whole line.
    ///
    /// # Errors
    /// If it cannot be read, is no journal, or is of other settings; the error says which.
    pub fn resume<E: DeserializeOwned>(
        place: &Output,
        settings: &JournalSettings,
    ) -> Result<Option<(Self, Vec<E>)>> {
        let path = place.path();
        let journal = open(path)?;
        let bytes = read_regular(path, u64::MAX)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let fail = |line: usize, e: serde_json::Error| {
            let problem = of_json_line(&e);
            Error::format(path, format!("line {line} is not what an evaluation writes: {problem}"))
        };
        let mut lines = bytes[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let Some(first) = lines.next() else { return Ok(None) };
        let theirs: JournalSettings = serde_json::from_slice(first).map_err(|e| fail(1, e))?;
        MadeWith::same(path, theirs, settings)?;
        let entries = lines
            .enumerate()
            .map(|(i, line)| serde_json::from_slice(line).map_err(|e| fail(i + 2, e)));
        let entries = entries.collect::<Result<Vec<E>>>()?;
        journal.set_len(whole as u64).map_err(|e| Error::io(path, "write", e))?;
        Ok(Some((Self { path: path.to_owned(), file: journal }, entries)))
    }

    /// Adds an entry; when this returns, it is on the disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, entry: &impl Serialize) -> Result<()> {
        let line = line(&self.path, entry)?;
        let _writing = writing();
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(|e| Error::io(&self.path, "write", e))
    }
}

/// Opens a journal to append to it.
fn open(path: &Path) -> Result<File> {
    OpenOptions::new().append(true).open(path).map_err(|e| Error::io(path, "write", e))
}

fn line(path: &Path, value: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value).map_err(|e| Error::io(path, "write", e.into()))?;
    line.push(b'\n');
    Ok(line)
}

/// The fingerprint of samples: pixels, labels, identities.
pub fn fingerprint(samples: &Samples) -> String {
    let mut all = Fingerprint::of("samples");
    for i in 0..samples.len() {
        let (id, label) = (samples.ids()[i], samples.labels()[i] as u64);
        all = all.number(id).number(label).bytes(bytemuck::cast_slice(samples.image(i)));
    }
    all.finish()
}

/// The fingerprint of a file's bytes.
///
/// # Errors
/// If it cannot be read.
pub fn fingerprint_of_file(path: &Path) -> Result<String> {
    crate::fingerprint::of_file(path)
}
