//! The files of a training: the network at the end and a checkpoint after every epoch, each written whole or not at all.

use super::record::RecordedSettings;
use crate::console::Console;
use crate::output::OutputFiles;
use anyhow::{Result, anyhow};
use deepsleep::checkpoint::{MadeWith, StateDict};
use deepsleep::evaluation::CheckpointKind;
use deepsleep::files::{Content, Output};
use deepsleep::nn::TrainingOptions;
use std::path::Path;

/// `FILE` and `FILE.checkpoint`.
pub struct Files {
    model: Output,
    checkpoint: Output,
}

impl Files {
    /// Refuses a place that cannot be written to now, not after an hour of training, and one that holds another's work.
    pub fn new(mut outputs: OutputFiles, out: &Path, kind: CheckpointKind) -> Result<Self> {
        let (model, checkpoint) = outputs.with_checkpoint("--out", out, Content::Network)?;
        kind.expect(&checkpoint)?;
        Ok(Self { model, checkpoint })
    }

    pub fn checkpoint_path(&self) -> &Path {
        self.checkpoint.path()
    }

    pub fn has_checkpoint(&self) -> bool {
        self.checkpoint_path().exists()
    }

    /// Says that a training which begins anew loses what an interrupted one has done.
    pub fn note_replaced(&self, console: Console) {
        if self.has_checkpoint() {
            console.say(format_args!(
                "note: {} of an interrupted training will be replaced; --resume would continue it",
                self.checkpoint_path().display()
            ));
        }
    }

    /// The checkpoint of an interrupted training with these settings, if there is a checkpoint.
    pub fn checkpoint(&self, settings: &RecordedSettings) -> Result<Option<StateDict>> {
        if !self.has_checkpoint() {
            return Ok(None);
        }
        let state = StateDict::load(self.checkpoint_path())?;
        MadeWith::refuse(self.checkpoint_path(), &settings.differences(&state))?;
        let (done, epochs) =
            (state.noted::<usize>("training.epochs_done"), settings.options.epochs);
        if let Some(done) = done.filter(|&done| done > epochs) {
            let problem = format!("--epochs {done}, all of them done, not {epochs}");
            MadeWith::refuse(self.checkpoint_path(), &[problem])?;
        }
        Ok(Some(state))
    }

    /// The checkpoint, if there is one, whatever it is of.
    pub fn any_checkpoint(&self) -> Result<Option<StateDict>> {
        Ok(self.has_checkpoint().then(|| StateDict::load(self.checkpoint_path())).transpose()?)
    }

    /// The finished network, whatever it is of, where there is no checkpoint.
    pub fn any_finished(&self) -> Result<StateDict> {
        if !self.model.path().exists() {
            return Err(anyhow!(
                "nothing to resume: there is no {}; train without --resume to begin",
                self.checkpoint_path().display()
            ));
        }
        Ok(StateDict::load(self.model.path())?)
    }

    /// The finished network of these settings, and whether all epochs are done: it may have ended after fewer.
    pub fn finished(&self, settings: &RecordedSettings) -> Result<(StateDict, bool)> {
        let state = self.any_finished()?;
        let mut differences = settings.differences(&state);
        let epochs = settings.options.epochs;
        let done = state.noted::<TrainingOptions>("training.options").map(|theirs| theirs.epochs);
        if let Some(done) = done.filter(|&done| done > epochs) {
            differences.push(format!("--epochs {done}, not {epochs}"));
        }
        MadeWith::refuse(self.model.path(), &differences)?;
        Ok((state, done.is_none_or(|done| done == epochs)))
    }

    pub fn save_checkpoint(&self, state: &StateDict) -> deepsleep::Result<()> {
        self.checkpoint.write_all(&state.to_bytes()?)
    }

    /// Saves the network, after which the checkpoint has served.
    pub fn save_model(&self, state: &StateDict) -> Result<()> {
        self.model.write_all(&state.to_bytes()?)?;
        Ok(self.checkpoint.remove()?)
    }
}
