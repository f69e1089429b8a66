//! Profiles: named sets of values for all settings.

use crate::wording::meant;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A named set of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// What the published code computes, quirks included.
    Published,
    /// What the paper's text says.
    Paper,
    /// The same pipeline with the defects fixed.
    Standard,
    /// As `standard`, with the adversarial training of lucid sleep, which withstands attacks on the model itself.
    Lucid,
}

impl Profile {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Paper => "paper",
            Self::Standard => "standard",
            Self::Lucid => "lucid",
        }
    }
}

impl Profile {
    /// Whether baselines have their full strength, not what the paper gave them.
    #[cfg(feature = "experiment")]
    pub(crate) fn is_full_strength(self) -> bool {
        matches!(self, Self::Standard | Self::Lucid)
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "published" => Ok(Self::Published),
            "paper" => Ok(Self::Paper),
            "standard" => Ok(Self::Standard),
            "lucid" => Ok(Self::Lucid),
            _ => Err(Error::argument(
                "profile",
                format!(
                    "unknown profile `{name}`{}; there are published, paper, standard and lucid",
                    meant(name, &["published", "paper", "standard", "lucid"])
                ),
            )),
        }
    }
}
