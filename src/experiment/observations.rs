//! What pictures of a results folder are drawn from: filters, firing rates, spikes, and what models take crafted images
//! for. Jobs of the graph observe it, so that a report needs neither networks nor images.

use super::build::in_norm;
use super::execute::read;
use super::graph::Graph;
use super::observe::{RATED, SeenNetwork};
use super::results::{load, save};
use super::run::JobOutcome;
use super::store::StoreEntry;
use crate::Result;
use crate::method::Training;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The filters of a model's first layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filters {
    /// The method.
    pub method: String,
    /// Height and width of a filter.
    pub shape: [usize; 2],
    /// The weights `[filter][y][x]`.
    pub weights: Vec<f32>,
}

/// How often the neurons of a model spike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FiringRates {
    /// The method.
    pub method: String,
    /// Time steps.
    pub steps: usize,
    /// Spikes a neuron and step, layer by layer.
    pub rates: Vec<f64>,
    /// What the layers are called.
    #[serde(default)]
    pub names: Vec<String>,
}

/// When the neurons of a model spike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spikes {
    /// The method.
    pub method: String,
    /// The class of the image.
    pub label: usize,
    /// For each layer its steps, for each step a `1` or `0` a neuron.
    pub layers: Vec<Vec<String>>,
    /// What the layers are called.
    #[serde(default)]
    pub names: Vec<String>,
}

/// A test image, clean and crafted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Digit {
    /// Its class.
    pub label: usize,
    /// Pixels `[channel][y][x]` in 0..=1.
    pub clean: Vec<f32>,
    /// The same, attacked.
    pub crafted: Vec<f32>,
}

/// The first image of each class in a crafted set, and what models take them for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DigitSet {
    /// The column's key.
    pub column: String,
    /// The noise scale, with its norm where that is not Linf.
    pub scale: String,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// The images.
    pub digits: Vec<Digit>,
    /// Method by method, the class that it gives to each crafted image.
    pub answers: Vec<(String, Vec<usize>)>,
}

/// What was observed beside the accuracies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observations {
    /// For the control and every method that puts a network to sleep.
    pub filters: Vec<Filters>,
    /// Test images that the rates are of.
    pub rated: usize,
    /// For the same models.
    pub rates: Vec<FiringRates>,
    /// For the first method of each defense.
    pub spikes: Vec<Spikes>,
    /// Adversarial examples.
    pub digits: Vec<DigitSet>,
    /// What is missing, and why.
    pub skipped: Vec<String>,
}

impl Observations {
    /// Name of the file in a results folder.
    pub const FILE: &'static str = "observations.json";

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

    /// What the jobs of a graph observed. What is missing is left out, and [`skipped`](Self::skipped) says why.
    ///
    /// # Errors
    /// If a stored value is not of its kind.
    pub fn assemble(graph: &Graph, outcomes: &[JobOutcome]) -> Result<Self> {
        let rated = RATED.min(graph.images.test.images);
        let mut seen = Self { rated, ..Self::default() };
        let mut drawn: Vec<Training> = Vec::new();
        for network in &graph.observed.networks {
            let row = &graph.models[network.model].row;
            match result(outcomes, network.job) {
                Ok(entry) => seen.add(&row.label, read(entry)?, (row.training, &mut drawn)),
                Err(why) => seen.skip(&format!("Pictures of {}", row.label), &why),
            }
        }
        let mut answers = Vec::new();
        for model in &graph.observed.answers {
            let label = &graph.models[model.model].row.label;
            match result(outcomes, model.job) {
                Ok(entry) => answers.push((label, read::<Vec<Vec<usize>>>(entry)?)),
                Err(why) => seen.skip(&format!("What {label} takes images for"), &why),
            }
        }
        for (place, digits) in graph.observed.digits.iter().enumerate() {
            let set = &graph.sets[digits.set];
            let (column, scale) = (set.column.clone(), in_norm(set.norm, &set.scale));
            match result(outcomes, digits.job) {
                Ok(entry) => {
                    let of_set = |(label, answers): &(&String, Vec<Vec<usize>>)| {
                        Some(((*label).clone(), answers.get(place)?.clone()))
                    };
                    let input = graph.architecture.input();
                    seen.digits.push(DigitSet {
                        shape: [input.channels, input.height, input.width],
                        digits: read(entry)?,
                        answers: answers.iter().filter_map(of_set).collect(),
                        column,
                        scale,
                    });
                }
                Err(why) => seen.skip(&format!("Images under {column} at {scale}"), &why),
            }
        }
        if graph.sets.is_empty() {
            seen.skipped.push("Adversarial examples: there are no crafted sets.".into());
        }
        Ok(seen)
    }

    /// A network that was put to sleep; its spikes if it is the first of its defense.
    fn add(
        &mut self,
        label: &str,
        seen: SeenNetwork,
        (training, drawn): (Training, &mut Vec<Training>),
    ) {
        let method = label.to_owned();
        match seen.filters {
            Ok((shape, weights)) => {
                self.filters.push(Filters { method: method.clone(), shape, weights });
            }
            Err(why) => self.skip(&format!("Filters of {method}"), &why),
        }
        match seen.spikes {
            Ok(seen) => {
                let (steps, rates, names) = (seen.steps, seen.rates, seen.names.clone());
                self.rates.push(FiringRates { method: method.clone(), steps, rates, names });
                if !drawn.contains(&training) {
                    drawn.push(training);
                    let (label, layers, names) = (seen.label, seen.layers, seen.names);
                    self.spikes.push(Spikes { method, label, layers, names });
                }
            }
            Err(why) => self.skip(&format!("Spikes of {method}"), &why),
        }
    }

    fn skip(&mut self, what: &str, why: &str) {
        self.skipped.push(format!("{what}: {why}."));
    }
}

/// The result of a job, or why there is none.
fn result(outcomes: &[JobOutcome], job: usize) -> std::result::Result<&StoreEntry, String> {
    match &outcomes[job] {
        JobOutcome::Done(entry, _) => Ok(entry),
        JobOutcome::Failed(error) => Err(error.to_string()),
        JobOutcome::NotOurs | JobOutcome::Missing => Err("it has not been observed yet".into()),
    }
}
