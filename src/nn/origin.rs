//! What a network is and which images it has learned from, as notes in its files.

use super::architecture::Architecture;
use crate::checkpoint::StateDict;
use crate::data::DataIdentity;
use serde::{Deserialize, Serialize};

const NETWORK: &str = "network";
const DATA: &str = "data";

/// Where a trained network comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its layers and their shapes.
    pub network: String,
    /// The images that it was trained on, and those that its accuracies are of.
    pub data: DataIdentity,
}

impl Origin {
    /// For a network of this architecture that is trained on these images, and evaluated on those.
    pub fn new(architecture: &Architecture, data: DataIdentity) -> Self {
        Self { network: architecture.to_string(), data }
    }

    /// Writes it beside the arrays.
    pub fn note_in(&self, state: &mut StateDict) {
        state.note(NETWORK, &self.network);
        state.note(DATA, &self.data);
    }

    /// How the origin that a file notes differs from this one, in words; nothing if it does not.
    pub fn differences(&self, state: &StateDict) -> Vec<String> {
        let mut all = Vec::new();
        match state.noted::<String>(NETWORK) {
            Some(theirs) if theirs == self.network => {}
            Some(theirs) => all.push(format!("another network ({theirs})")),
            None => all.push("no note of its network".to_owned()),
        }
        match state.noted::<DataIdentity>(DATA) {
            Some(theirs) => all.extend(theirs.differences(&self.data)),
            None => all.push("no note of its images".to_owned()),
        }
        all
    }
}
