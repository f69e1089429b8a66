//! Writes a file whole or not at all.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// Lets `fill` write a temporary file beside `path`, then renames it into place.
///
/// Readers see the old file or the new one, never a half; a failure leaves the old one and no litter.
pub(crate) fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut tempfile::NamedTempFile>) -> io::Result<()>,
) -> Result<()> {
    let error = |source| Error::io(path, "write", source);
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
    let mut file = builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(error)?;
    let mut writer = BufWriter::with_capacity(1 << 16, &mut file);
    fill(&mut writer).and_then(|()| writer.flush()).map_err(error)?;
    drop(writer);
    file.as_file().sync_all().map_err(error)?;
    file.persist(path).map_err(|failed| error(failed.error))?;
    Ok(())
}
