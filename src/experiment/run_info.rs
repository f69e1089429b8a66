//! How an experiment was run: a file of its own beside the results, which are the same however that was.

use super::results::{load, save};
use crate::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A job that was run, or found in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRun {
    /// What it did, e.g. `train deepsleep, seed 0`.
    pub name: String,
    /// `train`, `craft`, `transfer`, `white-box`.
    pub kind: String,
    /// Wall seconds when it was computed.
    pub seconds: f64,
    /// Whether this run found it in the store.
    pub reused: bool,
}

/// How an experiment was run: whatever may differ between two runs with the same results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Instruction set.
    pub isa: String,
    /// Threads.
    pub threads: usize,
    /// The processor, as the system names it.
    pub processor: String,
    /// When it ended, seconds since 1970.
    pub finished: u64,
    /// Wall seconds of this run.
    pub seconds: f64,
    /// Largest resident memory of this run in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// The jobs, in the order of the graph.
    pub jobs: Vec<JobRun>,
}

impl RunInfo {
    /// Name of the file in a results folder.
    pub const FILE: &'static str = "run.json";

    /// Reads a results folder.
    ///
    /// # Errors
    /// If there is no such file in it, or it is not one of ours.
    pub fn load(folder: &Path) -> Result<Self> {
        load(&folder.join(Self::FILE))
    }

    /// Writes it into a results folder, whole or not at all.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, folder: &Path) -> Result<()> {
        save(self, &folder.join(Self::FILE))
    }
}
