//! What an audit says.

use crate::attack::Norm;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether a number can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditVerdict {
    /// A check failed.
    #[serde(rename = "not trusted")]
    NotTrusted,
    /// A check warns.
    #[serde(rename = "doubtful")]
    Doubtful,
    /// None does. (No audit proves robustness.)
    #[serde(rename = "no reason to doubt")]
    NoReasonToDoubt,
    /// There are too few images to say so.
    #[serde(rename = "undecided")]
    Undecided,
}

impl fmt::Display for AuditVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotTrusted => "not trusted",
            Self::Doubtful => "doubtful",
            Self::NoReasonToDoubt => "no reason to doubt",
            Self::Undecided => "undecided",
        })
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// Nothing was found.
    Pass,
    /// Something that may mean little.
    Warn,
    /// Something that makes the number worthless.
    Fail,
}

impl Finding {
    /// As tables have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What is measured.
    pub measures: String,
    /// The number that was measured.
    pub statistic: f64,
    /// Where the true one lies, with 95 %; None of what is no share of samples.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interval: Option<[f64; 2]>,
    /// When it fails, or warns.
    pub threshold: String,
    /// How it ended.
    pub finding: Finding,
    /// What it catches.
    #[serde(default)]
    pub catches: String,
    /// What it means that it did not pass, and what to do; empty if it did.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub meaning: String,
    /// What lies behind the number, where that is a curve: points from left to right.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub curve: Vec<[f64; 2]>,
}

/// An attack of an audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attacked {
    /// The attack with its options.
    pub attack: String,
    /// The radius.
    #[serde(default)]
    pub eps: f32,
    /// Samples that it was shown, of those that had withstood what is said at the check.
    pub samples: usize,
    /// Samples that it fooled.
    pub fooled: usize,
    /// Samples for which it met logits that are not finite.
    #[serde(default)]
    pub invalid: usize,
    /// What it took.
    pub forward_passes: u64,
    /// What it took.
    pub backward_passes: u64,
}

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditReport {
    /// The norm.
    pub norm: Norm,
    /// The radius.
    pub eps: f32,
    /// The seed of all random numbers.
    pub seed: u64,
    /// Whether the model spikes.
    pub spiking: bool,
    /// Images that were looked at.
    pub images: usize,
    /// Those that the model classifies correctly: what is audited.
    pub right: usize,
    /// Their share.
    pub clean_accuracy: f64,
    /// The number to report: the share of images that withstand everything that the audit tried.
    pub robust_accuracy: f64,
    /// Where the true one lies, with 95 %, as far as these attacks are concerned.
    pub interval: [f64; 2],
    /// Images that nothing fooled and in whose ball the model's logits are not finite somewhere: they count neither as robust
    /// nor as fooled.
    #[serde(default)]
    pub invalid: usize,
    /// The share that withstands the attacks that follow gradients.
    pub gradient_accuracy: f64,
    /// The number that is claimed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub claim: Option<f64>,
    /// The verdict.
    pub verdict: AuditVerdict,
    /// All checks, in their order.
    pub checks: Vec<Check>,
    /// All attacks, in their order.
    pub attacks: Vec<Attacked>,
}

impl AuditReport {
    /// The checks that ended so.
    pub fn of(&self, finding: Finding) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |check| check.finding == finding)
    }

    /// A check by its name.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}
