//! Which command a checkpoint is of: one of another kind is somebody's work, and stays.

use crate::failure::WrongUse;
use anyhow::{Context, Result};
use deepsleep::evaluation::JournalSettings;
use deepsleep::files::Output;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A checkpoint is no longer than this, or it is none of ours.
const MOST: u64 = 1 << 30;

/// Who leaves checkpoints beside an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointKind {
    /// `train`: safetensors with notes of what is done.
    Training,
    /// `evaluate`: lines of JSON, the first of them the settings.
    Evaluation,
}

impl CheckpointKind {
    /// Refuses a checkpoint that is there and is not of this kind, before it is replaced.
    pub fn expect(self, checkpoint: &Output) -> Result<()> {
        let path = checkpoint.path();
        if !path.exists() {
            return Ok(());
        }
        let found = Self::of(path).with_context(|| format!("{}: cannot read", path.display()))?;
        let (what, ours) = match (found, self) {
            (FoundCheckpoint::Of(kind), _) if kind == self => return Ok(()),
            (FoundCheckpoint::Nothing, _) => return Ok(()),
            (FoundCheckpoint::Of(Self::Training), _) => ("a training's", "an evaluation"),
            (FoundCheckpoint::Of(Self::Evaluation), _) => ("an evaluation's", "a training"),
            (FoundCheckpoint::Unknown, Self::Training) => ("not a training's", "a training"),
            (FoundCheckpoint::Unknown, Self::Evaluation) => {
                ("not an evaluation's", "an evaluation")
            }
        };
        let path = path.display();
        let problem = format!(
            "{path}: this checkpoint is {what}, and {ours} would replace it; name another --out, or move it away"
        );
        Err(WrongUse(problem).into())
    }

    fn of(path: &Path) -> std::io::Result<FoundCheckpoint> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(FoundCheckpoint::Nothing);
        }
        // Half a first line is what an evaluation leaves that was killed at its very beginning.
        let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        if serde_json::from_slice::<JournalSettings>(first).is_ok() {
            return Ok(FoundCheckpoint::Of(Self::Evaluation));
        }
        // The header may be damaged, and it is a training's all the same.
        let has = |word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
        let notes = bytes.get(8) == Some(&b'{')
            && ["training.epochs_done", "defense.stage"].into_iter().any(has);
        Ok(if notes { FoundCheckpoint::Of(Self::Training) } else { FoundCheckpoint::Unknown })
    }
}

enum FoundCheckpoint {
    /// An empty file.
    Nothing,
    Of(CheckpointKind),
    Unknown,
}
