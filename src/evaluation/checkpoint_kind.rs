//! Recognizes what wrote a checkpoint, so that one of another kind is never overwritten.

use super::JournalSettings;
use crate::files::Output;
use crate::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The maximum size of our checkpoints.
const MOST: u64 = 1 << 30;

/// What writes checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointKind {
    /// A training: safetensors with notes about the progress.
    Training,
    /// A defense's training: the same, with notes about stages.
    Defense,
    /// An evaluation: lines of JSON, the first of them the settings.
    Evaluation,
    /// An audit: the same, and the settings say so.
    Audit,
}

/// A key that only the settings of an audit have, not those of an evaluation.
pub const AUDIT: &str = "audit";

impl CheckpointKind {
    /// Refuses to replace an existing checkpoint of another kind, and what is none.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is one, [`Error::Io`] if it cannot be read.
    pub fn expect(self, checkpoint: &Output) -> Result<()> {
        let path = checkpoint.path();
        if !path.exists() {
            return Ok(());
        }
        let found = Self::of(path).map_err(|error| Error::io(path, "read", error))?;
        let what = match found {
            FoundCheckpoint::Of(kind) if kind == self => return Ok(()),
            FoundCheckpoint::Nothing => return Ok(()),
            FoundCheckpoint::Of(kind) => format!("{}'s", kind.name()),
            FoundCheckpoint::Unknown => format!("not {}'s", self.name()),
        };
        let ours = self.name();
        let problem = format!(
            "{}: this checkpoint is {what}, and {ours} would replace it; name another output, or move it away",
            path.display()
        );
        Err(Error::argument("checkpoint", problem))
    }

    /// What writes it, with an article.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "a training",
            Self::Defense => "a defense",
            Self::Evaluation => "an evaluation",
            Self::Audit => "an audit",
        }
    }

    /// The same without the article.
    pub fn noun(self) -> &'static str {
        self.name().split(' ').nth(1).unwrap_or_default()
    }

    /// The subcommand.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Training | Self::Defense => "train",
            Self::Evaluation => "evaluate",
            Self::Audit => "audit",
        }
    }

    fn of(path: &Path) -> std::io::Result<FoundCheckpoint> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(FoundCheckpoint::Nothing);
        }
        // Half a first line is what an evaluation leaves that was killed at its very beginning.
        let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        if let Ok(settings) = serde_json::from_slice::<JournalSettings>(first) {
            let audit = settings.contains_key(AUDIT);
            return Ok(FoundCheckpoint::Of(if audit { Self::Audit } else { Self::Evaluation }));
        }
        // The header may be damaged, and it is a training's all the same.
        let has = |word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
        Ok(match bytes.get(8) == Some(&b'{') {
            true if has("defense.stage") => FoundCheckpoint::Of(Self::Defense),
            true if has("training.epochs_done") => FoundCheckpoint::Of(Self::Training),
            _ => FoundCheckpoint::Unknown,
        })
    }
}

enum FoundCheckpoint {
    /// An empty file.
    Nothing,
    Of(CheckpointKind),
    Unknown,
}
