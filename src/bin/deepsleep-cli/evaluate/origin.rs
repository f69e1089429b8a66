//! Where crafted images come from, as far as their file says.

use crate::model::ModelKind;
use anyhow::Result;
use deepsleep::checkpoint::NpzReader;
use deepsleep::evaluation::{ThreatModel, about, fingerprint_of_file};
use serde::Deserialize;
use std::io::{Read, Seek};
use std::path::Path;

/// What `attack --save` notes about a set; a file of somebody else may say nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The attack with its options.
    pub specification: Option<String>,
    pub dataset: Option<String>,
    /// The network that they were made on.
    maker: Option<Maker>,
}

/// A network, known again by the content of its file.
#[derive(Clone, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct Maker {
    sha256: String,
    kind: ModelKind,
}

impl Maker {
    pub fn of(model: &Path, kind: ModelKind) -> Result<Self> {
        Ok(Self { sha256: fingerprint_of_file(model)?, kind })
    }
}

impl Origin {
    pub fn of<R: Read + Seek>(file: &mut NpzReader<R>) -> Self {
        about(file).and_then(|about| serde_json::from_value(about).ok()).unwrap_or_default()
    }

    /// What the images' maker knew of this network: everything, if it is the one that they were made on.
    pub fn threat(&self, model: &Path, kind: ModelKind) -> Result<ThreatModel> {
        let Some(maker) = &self.maker else { return Ok(ThreatModel::Transfer) };
        let same = *maker == Maker::of(model, kind)?;
        Ok(if same { ThreatModel::WhiteBox } else { ThreatModel::Transfer })
    }
}
