//! A result as JSON and, until it is finished, its journal next to it.

use crate::common::Common;
use crate::output::OutputFiles;
use anyhow::{Context as _, Result, anyhow};
use deepsleep::checkpoint::MadeWith;
use deepsleep::evaluation::{CheckpointKind, Journal, JournalSettings};
use deepsleep::files::{Content, Output};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// `FILE.json` and `FILE.json.checkpoint`.
pub struct ResultFiles {
    out: Output,
    checkpoint: Output,
    kind: CheckpointKind,
}

impl ResultFiles {
    /// Refuses a place that cannot be written to now, not after an hour of attacks, and one that holds another's work.
    pub fn new(outputs: &mut OutputFiles, out: &Path, kind: CheckpointKind) -> Result<Self> {
        let (out, checkpoint) = outputs.with_checkpoint("--out", out, Content::Result)?;
        kind.expect(&checkpoint)?;
        Ok(Self { out, checkpoint, kind })
    }

    /// Where the result goes.
    pub fn path(&self) -> &Path {
        self.out.path()
    }

    /// The finished result of these settings, where there is no checkpoint. `its` are those that a result says it was
    /// made with.
    pub fn finished<T: DeserializeOwned>(
        &self,
        settings: &JournalSettings,
        its: impl Fn(&T) -> Option<&JournalSettings>,
    ) -> Result<Option<T>> {
        if self.checkpoint.path().exists() {
            return Ok(None);
        }
        let (out, checkpoint) = (self.out.path().display(), self.checkpoint.path().display());
        let (verb, what) = (self.kind.verb(), self.kind.name());
        if !self.out.path().exists() {
            return Err(anyhow!(
                "nothing to resume: there is no {checkpoint}; {verb} without --resume to begin"
            ));
        }
        let text = std::fs::read(self.out.path()).with_context(|| format!("{out}: cannot read"))?;
        let problem = || format!("{out}: this is not the result of {what}");
        let result: T = serde_json::from_slice(&text).with_context(problem)?;
        let theirs = its(&result).with_context(problem)?.clone();
        MadeWith::same(self.out.path(), theirs, settings)?;
        Ok(Some(result))
    }

    /// Saves the result, after which the checkpoint has served.
    pub fn save(&self, result: &impl Serialize) -> Result<()> {
        save(&self.out, result)?;
        Ok(self.checkpoint.remove()?)
    }
}

/// The journal, if there is a place for one, and the entries that it holds.
pub fn journal<P: DeserializeOwned>(
    files: Option<&ResultFiles>,
    common: &Common,
    settings: &JournalSettings,
    resume: bool,
) -> Result<(Option<Journal>, Vec<P>)> {
    let Some(ResultFiles { checkpoint, kind, .. }) = files else { return Ok((None, Vec::new())) };
    if resume && let Some((journal, done)) = Journal::resume(checkpoint, settings)? {
        return Ok((Some(journal), done));
    }
    if !resume && checkpoint.path().exists() {
        common.console().say(format_args!(
            "note: {} of an interrupted {} will be replaced; --resume would continue it",
            checkpoint.path().display(),
            kind.noun()
        ));
    }
    Ok((Some(Journal::begin(checkpoint, settings)?), Vec::new()))
}

/// Writes a result as JSON.
pub fn save(out: &Output, result: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(result)?;
    text.push('\n');
    Ok(out.write_all(text.as_bytes())?)
}
