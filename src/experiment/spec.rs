//! What an experiment is asked to find out.

use super::sheet::{Selection, Sheet};
use super::work::Sources;
use crate::data::{DataIdentity, ImageSet};
use crate::evaluation::ThreatModel;
use crate::method::{Profile, Settings};
use crate::nn::architecture::Architecture;
use serde::{Deserialize, Serialize};

/// What an experiment is asked to find out. [`SpecBuilder`](super::SpecBuilder) makes it of images; the default asks for
/// nothing, of no images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExperimentSpec {
    /// Tables of the paper.
    pub tables: Vec<usize>,
    /// Figures of the paper.
    pub figures: Vec<usize>,
    /// The part of these that is run; all of them if None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Selection>,
    /// Tables of the caller's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sheets: Vec<Sheet>,
    /// Settings of all models, but for what a method sets.
    pub settings: Settings,
    /// Seeds; every model is trained once for each.
    pub seeds: Vec<u64>,
    /// Who crafts.
    pub threat_models: Vec<ThreatModel>,
    /// Test images under transfer attacks, the first ones.
    pub images: usize,
    /// Test images under white-box attacks, the first ones.
    pub white_box_images: usize,
    /// The share of the largest class among these, for the record: no result depends on it.
    pub largest_class: Option<f64>,
    /// The network.
    #[serde(default)]
    pub architecture: Architecture,
    /// The data set, whole.
    pub data: DataIdentity,
    /// Training images that are used: the first ones of the data set.
    pub trained_on: ImageSet,
    /// Whether it is a shortened run, to be labeled so.
    pub quick: bool,
}

impl Default for ExperimentSpec {
    /// Nothing yet: the published profile, one seed, both threat models, no tables and no images.
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            figures: Vec::new(),
            only: None,
            sheets: Vec::new(),
            settings: Settings::new(Profile::Published),
            seeds: vec![0],
            threat_models: vec![ThreatModel::Transfer, ThreatModel::WhiteBox],
            images: 0,
            white_box_images: 0,
            largest_class: None,
            architecture: Architecture::default(),
            data: DataIdentity::default(),
            trained_on: ImageSet::default(),
            quick: false,
        }
    }
}

impl ExperimentSpec {
    /// The images that are read: the training images that are used, and all test images.
    pub fn images_read(&self) -> DataIdentity {
        DataIdentity { train: self.trained_on.clone(), ..self.data.clone() }
    }

    /// What jobs read beside the results of others.
    pub fn sources(&self) -> Sources {
        Sources {
            train: self.trained_on.fingerprint.clone(),
            test: self.data.test.fingerprint.clone(),
            network: self.architecture.to_string(),
        }
    }
}

impl ExperimentSpec {
    /// Test images that clean accuracy is measured on: the most that any attack is asked about.
    pub(super) fn clean_images(&self) -> usize {
        let images = self.threat_models.iter().map(|&threat_model| self.images_under(threat_model));
        images.max().unwrap_or(0)
    }

    /// Test images under attacks of this threat model.
    pub fn images_under(&self, threat_model: ThreatModel) -> usize {
        match threat_model {
            ThreatModel::Transfer => self.images,
            ThreatModel::WhiteBox => self.white_box_images,
        }
    }
}

#[cfg(test)]
impl ExperimentSpec {
    /// Table 1 under the published profile, of images that do not exist.
    pub(super) fn example() -> Self {
        Self {
            tables: vec![1],
            threat_models: vec![ThreatModel::Transfer],
            images: 100,
            white_box_images: 1,
            ..Self::default()
        }
    }
}
