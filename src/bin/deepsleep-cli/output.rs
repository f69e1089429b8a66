//! Files that a subcommand writes.

use crate::failure::WrongUse;
use anyhow::{Context, Result, bail};
use deepsleep::files::write_atomically;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Refuses a place that cannot be written to now, not after an hour of work; `option` is what named it.
pub fn writable(option: &str, path: &Path) -> Result<()> {
    let name = path.display();
    if path.is_dir() || path.file_name().is_none() {
        let problem = format!("{option} {name}: this is a folder; name a file in it");
        return Err(WrongUse(problem).into());
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.is_dir() {
        bail!("{option} {name}: there is no folder {}", folder.display());
    }
    tempfile::tempfile_in(folder)
        .with_context(|| format!("{option} {name}: cannot write there"))?;
    Ok(())
}

/// Where a command that writes `out` at its end keeps what it has done so far.
pub fn checkpoint_of(out: &Path) -> PathBuf {
    let mut checkpoint = out.as_os_str().to_owned();
    checkpoint.push(".checkpoint");
    checkpoint.into()
}

/// Writes a file, whole or not at all.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    Ok(write_atomically(path, |file| file.write_all(content))?)
}
