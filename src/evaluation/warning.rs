//! What gives reason to doubt a result.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A reason to doubt a result. In files it is its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum Warning {
    /// What the checks of an attack say; or any warning that was read from a file.
    Text(String),
    /// No radius bounds the attack.
    Unbounded {
        /// Images that fool and lie within the radius.
        within: usize,
        /// Images that fool, wherever they lie.
        fooled: usize,
        /// The option that would bound the attack, such as `bounded=yes`; None if it is not of the catalog.
        remedy: Option<String>,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Unbounded { within, fooled, remedy } => {
                f.write_str("eps does not bound this attack")?;
                if let Some(remedy) = remedy {
                    write!(f, " ({remedy} would)")?;
                }
                write!(
                    f,
                    ": {within} of the {fooled} images that fool lie within eps, and only those count in the worst case"
                )
            }
        }
    }
}

impl From<String> for Warning {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Warning> for String {
    fn from(warning: Warning) -> Self {
        warning.to_string()
    }
}
