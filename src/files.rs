//! Writes a file whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{Error, Result};

/// Held by whoever is writing; all of it by whoever wants nobody to be.
static WRITING: RwLock<()> = RwLock::new(());

/// While this lives, no file of ours is half written, and nobody begins to write one.
#[derive(Debug)]
pub struct Settled(#[allow(dead_code)] RwLockWriteGuard<'static, ()>);

/// Waits until nobody in this process is in the middle of writing a file: the moment for a program to end at a signal,
/// without a temporary file left behind or half a line in a journal.
#[must_use]
pub fn settle() -> Settled {
    Settled(WRITING.write().unwrap_or_else(PoisonError::into_inner))
}

/// To be held while a file is being written.
pub(crate) fn writing() -> RwLockReadGuard<'static, ()> {
    WRITING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Lets `fill` write a temporary file beside `path`, then renames it into place.
///
/// Readers see the old file or the new one, never a half; a failure leaves the old one and no litter. A process that is
/// killed in the middle leaves the old one, and the temporary file under a hidden name, `.deepsleep-` and six letters.
///
/// # Errors
/// Those of the file system; `path` is named.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<()> {
    let error = |source| Error::io(path, "write", source);
    let _writing = writing();
    // A bare file name has the empty path as its parent.
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".deepsleep-");
    #[cfg(unix)]
    {
        // Temporary files are private by default; this one becomes an ordinary file (the umask still applies).
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(error)?;
    let mut writer = BufWriter::with_capacity(1 << 16, file.as_file());
    fill(&mut writer).and_then(|()| writer.flush()).map_err(error)?;
    drop(writer);
    file.as_file().sync_all().map_err(error)?;
    file.persist(path).map_err(|failed| error(failed.error))?;
    Ok(())
}
