//! The attack of a result: one of the catalog, or whatever else its maker is called.

use crate::attack::AttackSpec;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The attack that a result is of. In files it is its text.
///
/// ```
/// use deepsleep::evaluation::NamedAttack;
/// let known = NamedAttack::from("pgd:steps=10".to_owned());
/// assert_eq!((known.name(), known.spec().is_some()), ("pgd", true));
/// let theirs = NamedAttack::from("a set of theirs".to_owned());
/// assert_eq!((theirs.to_string().as_str(), theirs.spec()), ("a set of theirs", None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NamedAttack {
    /// One of the catalog, with its options.
    Known(AttackSpec),
    /// Another: the caller's own, one of a newer version, or what made a set of images elsewhere.
    Other(String),
}

impl NamedAttack {
    /// The name without options.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(spec) => spec.name(),
            Self::Other(text) => text.split(':').next().unwrap_or_default(),
        }
    }

    /// The attack, if this engine knows it.
    pub fn spec(&self) -> Option<&AttackSpec> {
        match self {
            Self::Known(spec) => Some(spec),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for NamedAttack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(spec) => spec.fmt(f),
            Self::Other(text) => text.fmt(f),
        }
    }
}

impl From<AttackSpec> for NamedAttack {
    fn from(spec: AttackSpec) -> Self {
        Self::Known(spec)
    }
}

impl From<String> for NamedAttack {
    fn from(text: String) -> Self {
        text.parse().map_or(Self::Other(text), Self::Known)
    }
}

impl From<NamedAttack> for String {
    fn from(attack: NamedAttack) -> Self {
        attack.to_string()
    }
}
