//! The files that a command writes, all checked together before any work.

use crate::console::Console;
use crate::failure::WrongUse;
use anyhow::{Context, Result};
use deepsleep::files::{Content, Output, leads_into, same_file};
use std::path::{Path, PathBuf};

/// The files that a command reads and writes. No output may be an input or another output.
pub struct OutputFiles {
    console: Console,
    /// With the option that names each. Of a folder all files are read.
    read: Vec<(&'static str, PathBuf)>,
    written: Vec<(&'static str, PathBuf)>,
}

impl OutputFiles {
    /// For a command that reads these files.
    pub fn new(console: Console, read: Vec<(&'static str, PathBuf)>) -> Self {
        Self { console, read, written: Vec::new() }
    }

    /// A file, device or pipe that is written once, with this content. From now on no other process may write to the
    /// file.
    pub fn once(&mut self, option: &'static str, path: &Path, content: Content) -> Result<Output> {
        let output = self.look(option, path)?.to_hold(content).context(option)?;
        self.take(option, output)
    }

    fn take(&self, option: &'static str, output: Output) -> Result<Output> {
        let output = output.locked().context(option)?;
        match output.other_names() {
            0 => {}
            others => self.console.say(format_args!(
                "note: {} has other names (hard links: {others}), which keep the old content",
                output.path().display()
            )),
        }
        Ok(output)
    }

    /// A file of a results folder that may come from elsewhere: a link there could lead anywhere.
    pub fn in_folder(&mut self, option: &'static str, path: &Path) -> Result<Output> {
        if std::fs::symlink_metadata(path).is_ok_and(|there| there.is_symlink()) {
            let problem =
                "this is a link, and results are written only inside their folder; delete it";
            return Err(anyhow::anyhow!("{}: {problem}", path.display()));
        }
        self.look(option, path)
    }

    /// [`once`](Self::once), where the option was given.
    pub fn optional(
        &mut self,
        option: &'static str,
        path: Option<&Path>,
        content: Content,
    ) -> Result<Option<Output>> {
        path.map(|path| self.once(option, path, content)).transpose()
    }

    /// A file that is written, and beside it the checkpoint that goes before it: no device, no pipe.
    pub fn with_checkpoint(
        &mut self,
        option: &'static str,
        path: &Path,
        content: Content,
    ) -> Result<(Output, Output)> {
        let file = |output: Output| -> Result<Output> {
            if output.is_stream() {
                let path = output.path().display();
                let problem = format!(
                    "{option} {path}: this is a device or a pipe, and a checkpoint has to lie beside it; name a file"
                );
                return Err(WrongUse(problem).into());
            }
            Ok(output)
        };
        let output = file(self.once(option, path, content)?)?;
        let checkpoint = checkpoint_of(path);
        refuse_as_checkpoint(option, path, &checkpoint)?;
        let checkpoint = self.look(option, &checkpoint)?;
        Ok((output, file(self.take(option, checkpoint)?)?))
    }

    /// A file that other code will write, and lock if that matters.
    pub fn look(&mut self, option: &'static str, path: &Path) -> Result<Output> {
        let output = Output::open(path).context(option)?;
        for (what, others) in [("read", &self.read), ("written", &self.written)] {
            if let Some((other, its)) = others.iter().find(|(_, its)| same_file(path, its)) {
                let (path, its) = (path.display(), its.display());
                let problem = format!(
                    "{option} {path}: this is the file that {other} {its} names, which is {what}; name another"
                );
                return Err(WrongUse(problem).into());
            }
        }
        refuse_among(&self.read, option, path)?;
        self.written.push((option, path.to_owned()));
        Ok(output)
    }
}

/// Refuses a place in a folder that is read.
pub fn refuse_among(
    read: &[(&'static str, PathBuf)],
    option: &'static str,
    path: &Path,
) -> Result<()> {
    let Some((other, its)) = read.iter().find(|(_, its)| leads_into(path, its)) else {
        return Ok(());
    };
    let (path, its) = (path.display(), its.display());
    let problem = format!(
        "{option} {path}: this is in {its}, all files of which are read for {other}; name another place"
    );
    Err(WrongUse(problem).into())
}

/// Refuses anything but a regular file in the checkpoint's place. The user named the output and may not have looked there.
fn refuse_as_checkpoint(option: &str, path: &Path, checkpoint: &Path) -> Result<()> {
    let what = match std::fs::metadata(checkpoint) {
        Ok(there) if there.is_dir() => "a folder",
        Ok(there) if !there.is_file() => "a pipe, a socket or a device",
        _ => return Ok(()),
    };
    let (path, checkpoint) = (path.display(), checkpoint.display());
    let problem = format!(
        "{option} {path}: its checkpoint would be {checkpoint}, which is {what}; move that away, or name another {option}"
    );
    Err(WrongUse(problem).into())
}

/// Where a command that writes `out` at its end keeps its progress.
pub fn checkpoint_of(out: &Path) -> PathBuf {
    let mut checkpoint = out.as_os_str().to_owned();
    checkpoint.push(".checkpoint");
    checkpoint.into()
}
