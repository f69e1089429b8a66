//! A stage of an audit as it is kept: an interrupted audit goes on behind the last one.

use super::report::{Attacked, Check};
use serde::{Deserialize, Serialize};

/// A stage of an audit that is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditStage {
    /// Its name.
    pub name: String,
    /// What it checked.
    pub checks: Vec<Check>,
    /// Places of the samples that it was the first to fool, among those that are audited.
    pub fooled: Vec<usize>,
    /// Places of the samples for which it was the first to meet logits that are not finite.
    #[serde(default)]
    pub invalid: Vec<usize>,
    /// The attacks that it ran.
    pub attacks: Vec<Attacked>,
    /// Images that an attack said fool, and that do not.
    pub refuted: usize,
    /// How long it took.
    #[serde(default)]
    pub seconds: f64,
    /// Which images are audited: a model whose answers vary might choose others when the audit goes on.
    #[serde(default)]
    pub chosen: Chosen,
}

/// The images of an audit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// Places of those that the model classifies correctly.
    pub right: Vec<usize>,
    /// Images that were looked at to find these.
    pub images: usize,
    /// Of these, the ones whose logits are not finite.
    #[serde(default)]
    pub invalid: usize,
}
