//! Writes files whole or not at all, following links, and safely opens files from elsewhere.
//!
//! An [`Output`] is a place to write to, looked at before the work begins: links are followed, devices and pipes are
//! written to and never replaced, a file keeps its mode and owner. A [`Lock`] keeps a second process away from it.

mod content;
mod folder;
mod lock;
mod made;
mod output;

pub use content::Content;
pub use folder::{MOST, inside};
pub use lock::Lock;
#[cfg(feature = "experiment")]
pub(crate) use lock::lock_file;
pub use made::MadeFolders;
#[cfg(feature = "experiment")]
pub(crate) use output::TEMPORARY;
pub use output::{Output, leads_into, same_file};

use crate::{Error, Result};
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Read};
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Held shared while a file is written, exclusively to keep all writers away.
static WRITING: RwLock<()> = RwLock::new(());

/// While this lives, no file of ours is half written, and none is begun.
#[derive(Debug)]
pub struct Settled(#[allow(dead_code)] RwLockWriteGuard<'static, ()>);

/// Waits until no thread of this process is in the middle of writing a file, and removes the files of its locks: the moment
/// for a program to end at a signal, without a temporary file left behind or half a line in a journal.
#[must_use]
pub fn settle() -> Settled {
    let settled = Settled(WRITING.write().unwrap_or_else(PoisonError::into_inner));
    lock::remove_all();
    settled
}

/// To be held while a file is being written.
pub(crate) fn writing() -> RwLockReadGuard<'static, ()> {
    WRITING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Lets `fill` write to `path` as [`Output::write`] does: an ordinary file appears whole or not at all.
///
/// # Errors
/// Those of [`Output::open`] and of the file system; `path` is named.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<()> {
    Output::open(path)?.write(fill)
}

/// Opens a file that may come from elsewhere, to read it: a regular one, or a link to one, of at most `most`
/// bytes. A pipe would wait for its writer, and a device may never end.
///
/// # Errors
/// [`Error::Io`] if there is no such file, it is a folder, or it cannot be opened; [`Error::Format`] if it is a pipe or
/// a device, or larger than `most`.
pub fn open_regular(path: impl AsRef<Path>, most: u64) -> Result<File> {
    let path = path.as_ref();
    let fail = |error| Error::io(path, "read", error);
    // Before it is opened, for that alone may wait; and after, for it may have been exchanged in between.
    check_regular(path, &std::fs::metadata(path).map_err(fail)?, most)?;
    let file = File::open(path).map_err(fail)?;
    check_regular(path, &file.metadata().map_err(fail)?, most)?;
    Ok(file)
}

/// The content of a file that may come from elsewhere; see [`open_regular`].
///
/// # Errors
/// Those of [`open_regular`], and if the file cannot be read or does not fit into memory.
pub fn read_regular(path: impl AsRef<Path>, most: u64) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let fail = |error| Error::io(path, "read", error);
    let file = open_regular(path, most)?;
    let length = file.metadata().map_err(fail)?.len();
    let mut content = Vec::new();
    usize::try_from(length)
        .ok()
        .and_then(|length| content.try_reserve_exact(length).ok())
        .ok_or_else(|| Error::format(path, format!("{length} bytes do not fit into memory")))?;
    // It may grow while it is read; what was promised is read, and no more.
    file.take(length).read_to_end(&mut content).map_err(fail)?;
    Ok(content)
}

/// Refuses what is no regular file, or too large.
fn check_regular(path: &Path, found: &Metadata, most: u64) -> Result<()> {
    if found.is_dir() {
        return Err(Error::io(path, "read", io::ErrorKind::IsADirectory.into()));
    }
    if !found.is_file() {
        let problem = "a pipe, socket, or device, not a file; save its content as a file first";
        return Err(Error::format(path, problem));
    }
    if found.len() > most {
        let problem = format!("{} bytes are too many; at most {most} are read", found.len());
        return Err(Error::format(path, problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_bearable_size_are_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "1234").expect("a file");
        assert_eq!(read_regular(&path, 4).expect("four bytes"), b"1234");
        let problem = |path: &Path, most| open_regular(path, most).expect_err("no").to_string();
        assert!(problem(&path, 3).contains("4 bytes are too many; at most 3"));
        assert!(problem(folder.path(), 9).contains("cannot read: is a directory"));
        assert!(problem(&folder.path().join("none"), 9).contains("No such file"));
        #[cfg(unix)]
        {
            assert!(
                problem(Path::new("/dev/zero"), 9).contains("/dev/zero: a pipe, socket, or device")
            );
            // A link to a file is one; a link to a device is none.
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&path, &link).expect("a link");
            assert_eq!(read_regular(&link, 4).expect("four bytes"), b"1234");
            let link = folder.path().join("device");
            std::os::unix::fs::symlink("/dev/zero", &link).expect("a link");
            assert!(problem(&link, 9).contains("device, not a file"));
            // This one has no writer: opening it would wait forever.
            let pipe = folder.path().join("pipe");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status();
            if made.is_ok_and(|status| status.success()) {
                assert!(problem(&pipe, 9).contains("a pipe"));
            }
        }
    }
}
