//! Where a training saves: the network at the end, a checkpoint after every epoch, each whole or not at all.

use super::record::Settings;
use anyhow::{Context, Result, anyhow};
use deepsleep::checkpoint::StateDict;
use deepsleep::nn::TrainingOptions;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::WrongUse;
use crate::output::{checkpoint_of, writable};

/// `FILE` and `FILE.checkpoint`.
pub struct Files {
    model: PathBuf,
    checkpoint: PathBuf,
}

impl Files {
    /// Refuses a place that cannot be written to now, not after an hour of training.
    pub fn new(out: &Path) -> Result<Self> {
        writable("--out", out)?;
        let checkpoint = checkpoint_of(out);
        writable("--out", &checkpoint)?;
        Ok(Self { model: out.to_owned(), checkpoint })
    }

    pub fn checkpoint_path(&self) -> &Path {
        &self.checkpoint
    }

    pub fn has_checkpoint(&self) -> bool {
        self.checkpoint.exists()
    }

    /// The checkpoint of an interrupted training with these settings, if there is a checkpoint.
    pub fn checkpoint(&self, settings: &Settings) -> Result<Option<StateDict>> {
        if !self.has_checkpoint() {
            return Ok(None);
        }
        let state = StateDict::load(&self.checkpoint)?;
        self.refuse_other(&self.checkpoint, settings.differences(&state))?;
        let (done, epochs) =
            (state.noted::<usize>("training.epochs_done"), settings.options.epochs);
        if let Some(done) = done.filter(|&done| done > epochs) {
            let problem = format!("it is of {done} epochs already, not {epochs}");
            self.refuse_other(&self.checkpoint, vec![problem])?;
        }
        Ok(Some(state))
    }

    /// The checkpoint, if there is one, whatever it is of.
    pub fn any_checkpoint(&self) -> Result<Option<StateDict>> {
        Ok(self.has_checkpoint().then(|| StateDict::load(&self.checkpoint)).transpose()?)
    }

    /// The finished network of these settings, where there is no checkpoint.
    pub fn finished(&self, settings: &Settings) -> Result<StateDict> {
        if !self.model.exists() {
            return Err(anyhow!(
                "nothing to resume: there is no {}; train without --resume to begin",
                self.checkpoint.display()
            ));
        }
        let state = StateDict::load(&self.model)?;
        let mut differences = settings.differences(&state);
        let epochs = settings.options.epochs;
        match state.noted::<TrainingOptions>("training.options") {
            Some(theirs) if theirs.epochs != epochs => {
                differences.push(format!("--epochs {}, not {epochs}", theirs.epochs));
            }
            _ => {}
        }
        self.refuse_other(&self.model, differences)?;
        Ok(state)
    }

    fn refuse_other(&self, found: &Path, differences: Vec<String>) -> Result<()> {
        if differences.is_empty() {
            return Ok(());
        }
        Err(WrongUse(format!(
            "cannot resume: {} was made with {}; give the same options, or train without --resume",
            found.display(),
            differences.join("; ")
        ))
        .into())
    }

    pub fn save_checkpoint(&self, state: &StateDict) -> Result<()> {
        Ok(state.save(&self.checkpoint)?)
    }

    /// Saves the network, after which the checkpoint has served.
    pub fn save_model(&self, state: &StateDict) -> Result<()> {
        state.save(&self.model)?;
        match fs::remove_file(&self.checkpoint) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.checkpoint.display()))
            }
            _ => Ok(()),
        }
    }
}
