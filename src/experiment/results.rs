//! What came out of an experiment: everything in it has the same bits on every machine and with any number of threads. Times,
//! machine and instruction set are in [`RunInfo`](super::RunInfo), a file of its own.

use super::execute::read;
use super::replication::{CellSummary, Replication};
use super::sheet::{Sheet, is_false, is_linf, linf};
use super::statistics::Spread;
use super::store::{Lookup, Store};
use super::work::NUMERICS;
use crate::attack::{AttackSpec, Norm, parse_eps};
use crate::data::DataIdentity;
use crate::evaluation::ThreatModel;
use crate::evaluation::{Cell as EvaluatedCell, Evidence, NamedAttack, none_as_empty};
use crate::files::{MOST, read_regular, write_atomically};
use crate::method::HistoryPoint;
use crate::method::{Settings, Training};
use crate::wording::of_json;
use crate::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;

/// A trained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelResult {
    /// The method as the paper's tables print it, e.g. `DeepSleep (depth=3)`.
    pub method: String,
    /// Ours, e.g. `deepsleep-depth-3`.
    pub id: String,
    /// The defense, e.g. `deepsleep`; `none` for the control.
    pub defense: Training,
    /// Seed.
    pub seed: u64,
    /// The settings that differ from the experiment's, with their values.
    pub overrides: Vec<(String, String)>,
    /// Accuracy on all test images when it was trained, as a network of rectifiers.
    pub clean_accuracy: f64,
    /// How it got there.
    pub history: Vec<HistoryPoint>,
    /// The file (safetensors), relative to the results folder; None if the store names none.
    #[serde(with = "none_as_empty")]
    pub file: Option<String>,
    /// Whether it was run as a spiking network; its history is that of the network of rectifiers.
    #[serde(default, skip_serializing_if = "is_false")]
    pub spiking: bool,
}

impl ModelResult {
    /// Whether it is the experiment's control, on which all transfer sets are crafted: shown to it, they are its own.
    pub fn is_source(&self) -> bool {
        self.defense == Training::Control && self.overrides.is_empty() && !self.spiking
    }
}

/// Adversarial images that were crafted once, to be shown to many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CraftedSet {
    /// The column: `pgd`, `fgsm`, `bim`, `cw`, `autoattack`, or an attack with its options.
    pub column: String,
    /// How perturbations are measured; left out of files where it is Linf.
    #[serde(default = "linf", skip_serializing_if = "is_linf")]
    pub norm: Norm,
    /// The noise scale, e.g. `64/255`.
    pub scale: String,
    /// The seed of the control that it was crafted on.
    pub seed: u64,
    /// Images.
    pub images: usize,
    /// The file of the first portion ([`Crafted`](crate::evaluation::Crafted)), relative to the results folder; None if the
    /// store names none.
    #[serde(with = "none_as_empty")]
    pub file: Option<String>,
}

/// One accuracy: a model under an attack. A cell of a table, or a point of a figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableCell {
    /// [`ModelResult::method`].
    pub method: String,
    /// [`ModelResult::id`].
    pub model: String,
    /// Seed.
    pub seed: u64,
    /// How perturbations are measured.
    #[serde(default = "linf")]
    pub norm: Norm,
    /// The radius that the attack ran at: less than the noise scale for an attack that does not reach so far, 0 for clean
    /// images.
    #[serde(default)]
    pub eps: f32,
    /// The noise scale, e.g. `64/255`.
    pub scale: String,
    /// The column, by what really ran: `clean`, `pgd`, `fgsm`, `bim`, `cw`, `autoattack`, or an attack with its options; or
    /// `certified` and `union`.
    pub column: String,
    /// The attack with its options; None if there is none: for clean images, certificates and unions of attacks.
    #[serde(with = "none_as_empty")]
    pub attack: Option<NamedAttack>,
    /// Who crafted the images.
    pub threat_model: ThreatModel,
    /// Test images, from the first on.
    pub images: usize,
    /// The share of them classified correctly, attacked.
    pub accuracy: f64,
    /// What gives reason to doubt the number (the attack's automatic checks).
    pub warnings: Vec<String>,
    /// The share of backward passes whose gradient was exactly zero; none without backward passes.
    pub zero_gradient_share: Option<f64>,
    /// The file with the outcome of every image ([`evidence`](Self::evidence)), relative to the results folder; None in
    /// results of an engine that did not keep it.
    #[serde(default, with = "none_as_empty")]
    pub evidence: Option<String>,
}

impl TableCell {
    /// Whether it is of clean images.
    pub fn is_clean(&self) -> bool {
        self.column == CLEAN
    }

    /// Whether it is of one attack, which may be unknown to this engine.
    pub fn is_attack(&self) -> bool {
        self.attack.is_some()
    }

    /// The attack; None if there is none, and if this engine does not know it.
    pub fn spec(&self) -> Option<&AttackSpec> {
        self.attack.as_ref().and_then(NamedAttack::spec)
    }

    /// What became of every image, read from the results folder. Those of an attack that no radius bounds are counted within
    /// the noise scale.
    ///
    /// # Errors
    /// If the file is missing, damaged, or not of a cell.
    pub fn evidence(&self, folder: &Path) -> Result<EvaluatedCell> {
        let file = self.evidence.as_ref();
        let key = file.and_then(|file| {
            file.strip_prefix(Store::FOLDER)?.strip_prefix('/')?.strip_suffix(".json")
        });
        let key = key.filter(|key| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
        let missing = || Error::NotFound(format!("no evidence for `{}`", self.column));
        match Store::at(folder).find(key.ok_or_else(missing)?) {
            Lookup::Entry(entry) => {
                let evidence = read::<Evidence>(&entry)?.of_attack(self.spec());
                let cell = evidence.cell(self.images)?;
                let scale = parse_eps(&self.scale, self.norm, usize::MAX).unwrap_or_default();
                Ok(match scale[..] {
                    [eps] => cell.counted_within(eps),
                    _ => cell,
                })
            }
            Lookup::NotFound => Err(missing()),
            Lookup::Damaged(what) => Err(Error::format(folder, what)),
        }
    }
}

/// The key of the column of clean images.
pub const CLEAN: &str = "clean";

/// An accuracy of one seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The seed.
    pub seed: u64,
    /// The accuracy.
    pub accuracy: f64,
    /// The number of test images.
    pub images: usize,
}

/// Names of the files of a [report](crate::report) in a results folder: the page, its shorter version, one row per cell, and the
/// picture of the shorter version.
pub const REPORT_FILES: [&str; 4] = ["index.html", "report.md", "results.csv", "replication.svg"];

/// Everything that an experiment found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Results {
    /// Version of the engine.
    pub version: String,
    /// Version of its numerics: changes when bits change.
    pub numerics: u32,
    /// The layers of the network and their shapes; empty in results of an engine that did not note them.
    #[serde(default)]
    pub network: String,
    /// The data set, whole; none in results of an engine that did not note it.
    #[serde(default)]
    pub data: Option<DataIdentity>,
    /// Shortened (`--quick`): fewer methods, scales and images, and shorter trainings.
    pub quick: bool,
    /// The settings in force, but for each model's overrides.
    pub settings: Settings,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Tables that were asked for.
    pub tables: Vec<usize>,
    /// Figures that were asked for.
    pub figures: Vec<usize>,
    /// Tables of the caller's that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sheets: Vec<Sheet>,
    /// Test images under transfer attacks.
    pub images: usize,
    /// Test images under white-box attacks.
    pub white_box_images: usize,
    /// The share of the largest class among these.
    #[serde(default)]
    pub largest_class: Option<f64>,
    /// Training images that were used, the first ones of the data set. (0 meant all of them to an engine that did not
    /// note the data set.)
    pub train_images: usize,
    /// The models.
    pub models: Vec<ModelResult>,
    /// The crafted sets.
    pub crafted: Vec<CraftedSet>,
    /// The accuracies, each once, even where several tables show it.
    pub cells: Vec<TableCell>,
    /// With several seeds, each accuracy over them. It follows from the cells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summary: Vec<CellSummary>,
    /// With several seeds, each printed number beside them. It follows from the cells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replication: Vec<Replication>,
}

impl Results {
    /// Of nothing yet, with these settings, by this engine.
    pub fn new(settings: Settings) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            numerics: NUMERICS,
            network: String::new(),
            data: None,
            quick: false,
            settings,
            seeds: Vec::new(),
            tables: Vec::new(),
            figures: Vec::new(),
            sheets: Vec::new(),
            images: 0,
            white_box_images: 0,
            largest_class: None,
            train_images: 0,
            models: Vec::new(),
            crafted: Vec::new(),
            cells: Vec::new(),
            summary: Vec::new(),
            replication: Vec::new(),
        }
    }

    /// Training images that were used. To an engine that did not note the data set, which was then MNIST or passed for it,
    /// 0 meant all of them.
    pub fn images_trained_on(&self) -> usize {
        match (self.train_images, &self.data) {
            (0, None) => 60_000,
            (used, _) => used,
        }
    }

    /// The settings of a model: the experiment's with its overrides.
    ///
    /// # Errors
    /// If an override is none of the settings.
    pub fn settings_of(&self, model: &ModelResult) -> Result<Settings> {
        let mut settings = self.settings.clone();
        for (name, value) in &model.overrides {
            settings.set(name, value)?;
        }
        Ok(settings)
    }

    /// Name of the file in a results folder.
    pub const FILE: &'static str = "results.json";

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

    /// What was measured in one norm: a noise scale means something else in every other, and print is in linf.
    #[must_use]
    pub fn in_norm(&self, norm: Norm) -> Self {
        let mut results = self.clone();
        results.cells.retain(|cell| cell.norm == norm);
        results
    }

    /// Whether what stands under transfer for a method was crafted on its very models.
    pub fn is_source(&self, method: &str) -> bool {
        let mut models = self.models.iter().filter(|model| model.method == method).peekable();
        models.peek().is_some() && models.all(ModelResult::is_source)
    }

    /// What was measured for a method, a scale and a column over the seeds, if anything was.
    pub fn spread(
        &self,
        method: &str,
        scale: &str,
        column: &str,
        threat_model: ThreatModel,
    ) -> Option<Spread> {
        let measured = self.measured(method, scale, column, threat_model).into_iter();
        Spread::of(measured.map(|run| (run.accuracy, run.images)))
    }

    /// What was measured for a method, a scale and a column: one number per seed. Clean images belong to no attack: whoever
    /// crafted the others, the numbers are the same.
    pub fn measured(
        &self,
        method: &str,
        scale: &str,
        column: &str,
        threat_model: ThreatModel,
    ) -> Vec<Measured> {
        let of_cell = |cell: &TableCell| Measured {
            seed: cell.seed,
            accuracy: cell.accuracy,
            images: cell.images,
        };
        let own: Vec<_> = self.cells_of(method, scale, column, threat_model).map(of_cell).collect();
        if !own.is_empty() || column != CLEAN {
            return own;
        }
        let here = |cell: &&TableCell| cell.method == method && cell.scale == scale;
        let clean = self.cells.iter().filter(here).filter(|cell| cell.column == CLEAN);
        let clean: Vec<_> = clean.map(of_cell).collect();
        if !clean.is_empty() {
            return clean;
        }
        let at_work = |id: &str| self.cells.iter().filter(here).any(|cell| cell.model == id);
        let models = self.models.iter();
        let models = models.filter(|m| m.method == method && !m.spiking && at_work(&m.id));
        let of_model = |model: &ModelResult| Measured {
            seed: model.seed,
            accuracy: model.clean_accuracy,
            images: self.test_images(),
        };
        models.map(of_model).collect()
    }

    /// The test images of the data set: MNIST's, if nothing else was noted.
    pub fn test_images(&self) -> usize {
        self.data.as_ref().map_or(10_000, |data| data.test.images)
    }

    /// The cells of one method, scale, column and threat model: one per seed.
    pub fn cells_of<'a>(
        &'a self,
        method: &'a str,
        scale: &'a str,
        column: &'a str,
        threat_model: ThreatModel,
    ) -> impl Iterator<Item = &'a TableCell> {
        self.cells.iter().filter(move |cell| {
            (cell.method.as_str(), cell.scale.as_str(), cell.column.as_str(), cell.threat_model)
                == (method, scale, column, threat_model)
        })
    }
}

pub(super) fn load<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = read_regular(path, MOST)?;
    serde_json::from_slice(&bytes).map_err(|e| Error::format(path, of_json(&e)))
}

pub(super) fn save<T: Serialize>(value: &T, path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::failed("results", e))?;
    write_atomically(path, |file| writeln!(file, "{text}"))
}
