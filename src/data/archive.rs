//! Unpacks the known files of data sets that are served as one archive.

use crate::files::write_atomically;
use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use tar::Archive;

/// Names and lengths of the files.
pub(super) type Members = &'static [(&'static str, u64)];

/// The files in `dir`, if all are there with their lengths.
pub(super) fn there(dir: &Path, members: Members) -> Option<Vec<PathBuf>> {
    let found = members.iter().map(|&(name, bytes)| {
        let path = dir.join(name);
        let file = path.metadata().ok().filter(|data| data.is_file() && data.len() == bytes);
        file.map(|_| path)
    });
    found.collect()
}

/// Unpacks the files into `dir`, each whole or not at all, wherever they are in the archive; all else in it stays there.
pub(super) fn unpack(
    content: &File,
    path: &Path,
    members: Members,
    dir: &Path,
) -> Result<Vec<PathBuf>> {
    let read = |error: io::Error| Error::io(path, "unpack", error);
    let mut archive = Archive::new(MultiGzDecoder::new(BufReader::new(content)));
    for entry in archive.entries().map_err(read)? {
        let mut entry = entry.map_err(read)?;
        let name = entry.path().map_err(read)?;
        let name = name.file_name().map(|name| name.to_string_lossy().into_owned());
        let known = members.iter().find(|(member, _)| Some(*member) == name.as_deref());
        let Some(&(member, bytes)) = known else { continue };
        if !entry.header().entry_type().is_file() || entry.size() != bytes {
            let found = entry.size();
            let problem = format!("`{member}` in it has {found} bytes, not {bytes}");
            return Err(Error::format(path, problem));
        }
        write_atomically(&dir.join(member), |file| {
            io::copy(&mut entry.by_ref().take(bytes), file).map(drop)
        })?;
    }
    there(dir, members).ok_or_else(|| {
        let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
        Error::format(path, format!("not all of {} are in it", names.join(", ")))
    })
}
