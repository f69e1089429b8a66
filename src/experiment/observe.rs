//! What pictures of a results folder are drawn from: filters, firing rates, spikes, and what models take crafted images
//! for. It is measured once, when the results are written, so that a report needs neither networks nor images.

use super::build::in_norm;
use super::results::{CraftedSet, ModelResult, Results, load, save};
use crate::attack::{Norm, Samples, parse_eps};
use crate::checkpoint::StateDict;
use crate::data::{Dataset, ImageSet};
use crate::evaluation::{Crafted, classify};
use crate::files::{MOST, inside, open_regular, read_regular};
use crate::method::Training;
use crate::nn::{self, Freeze};
use crate::snn::{FrozenSpikingModel, SpikingModel, Statistics, firing_rates, spike_trains};
use crate::tensor::{Context, Shape};
use crate::{Error, Result};
use ndarray::ArrayView4;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Test images that firing rates are measured on.
const RATED: usize = 256;

/// Digits of a crafted set that are kept.
const SHOWN: usize = 10;

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
    /// The share of the largest class among the images of the white-box attacks.
    pub largest_class: Option<f64>,
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

    /// Observes the models and crafted sets that the results name. What cannot be observed is left out, and
    /// [`skipped`](Self::skipped) says why; without the test images of the results there are only filters.
    pub fn of(context: &Context, folder: &Path, results: &Results, test: Option<&Dataset>) -> Self {
        let mut seen = Self::default();
        let mut models = Vec::new();
        for model in first_of_each_method(results) {
            match read_model(folder, model) {
                Ok(network) => models.push((model, network)),
                Err(error) => seen.skip(&format!("Pictures of {}", model.method), &error),
            }
        }
        let asleep = |(model, _): &&(&ModelResult, nn::Model)| {
            model.defense.defense().is_none_or(|defense| defense.sleeps())
        };
        for (model, network) in models.iter().filter(asleep) {
            match filters(model, network) {
                Ok(filters) => seen.filters.push(filters),
                Err(error) => seen.skip(&format!("Filters of {}", model.method), &error),
            }
        }
        match of_results(results, test) {
            Err(why) => {
                seen.skipped.push(format!("Adversarial examples, rasters and firing rates: {why}."))
            }
            Ok(test) => {
                seen.largest_class = test.largest_class(results.white_box_images);
                seen.rated = RATED.min(test.len());
                let mut drawn: Vec<Training> = Vec::new();
                for (model, network) in models.iter().filter(asleep) {
                    let first = !drawn.contains(&model.defense);
                    match seen.spike(context, results, (model, network), test, first) {
                        Ok(()) => drawn.push(model.defense),
                        Err(error) => seen.skip(&format!("Spikes of {}", model.method), &error),
                    }
                }
                for set in shown(results) {
                    match digits(context, folder, set, &models, test) {
                        Ok(digits) => seen.digits.push(digits),
                        Err(error) => {
                            let CraftedSet { column, norm, scale, .. } = set;
                            let scale = in_norm(*norm, scale);
                            seen.skip(&format!("Images under {column} at {scale}"), &error);
                        }
                    }
                }
                if results.crafted.is_empty() {
                    let line = "Adversarial examples: the results name no crafted sets.";
                    seen.skipped.push(line.into());
                }
            }
        }
        // Equal folders have equal files, wherever the folders are.
        let place = folder.join("").display().to_string();
        seen.skipped.iter_mut().for_each(|line| *line = line.replace(&place, ""));
        seen
    }

    /// The rates of a model, and its spikes if it is the first of its defense.
    fn spike(
        &mut self,
        context: &Context,
        results: &Results,
        (model, network): (&ModelResult, &nn::Model),
        test: &Dataset,
        first: bool,
    ) -> Result<()> {
        let network = spiking(results, model, network)?;
        let rates = firing_rates(context, &network, &test.slice(0, self.rated)?)?;
        let (names, rates) = rates.into_iter().unzip();
        let (method, steps) = (model.method.clone(), network.steps());
        self.rates.push(FiringRates { method: method.clone(), steps, rates, names });
        if first {
            let step = |step: Vec<bool>| step.iter().map(|&s| if s { '1' } else { '0' }).collect();
            let (names, trains): (_, Vec<_>) =
                spike_trains(context, &network, test, 0)?.into_iter().unzip();
            let layers = trains.into_iter().map(|layer| layer.into_iter().map(step).collect());
            let layers = layers.collect();
            self.spikes.push(Spikes { method, label: test.label(0), layers, names });
        }
        Ok(())
    }

    fn skip(&mut self, what: &str, error: &Error) {
        self.skipped.push(format!("{what}: {error}."));
    }
}

/// The test images, if they are those of the results, as far as these say which.
fn of_results<'a>(
    results: &Results,
    test: Option<&'a Dataset>,
) -> std::result::Result<&'a Dataset, &'static str> {
    let test = test.ok_or("the test images were not found")?;
    let theirs = results.data.as_ref().map(|data| &data.test);
    if theirs.is_none_or(|theirs| *theirs == ImageSet::of(test)) {
        Ok(test)
    } else {
        Err("the test images that were found are not those of the results")
    }
}

/// The first model of each method, in the order of the results.
fn first_of_each_method(results: &Results) -> Vec<&ModelResult> {
    let mut firsts: Vec<&ModelResult> = Vec::new();
    for model in results.models.iter().filter(|model| !model.spiking) {
        if firsts.iter().all(|other| other.method != model.method) {
            firsts.push(model);
        }
    }
    firsts
}

/// Where a file lies that the results name.
fn path_of(folder: &Path, file: Option<&str>) -> Result<PathBuf> {
    let missing = || Error::NotFound("the results name no file of it".to_owned());
    inside(folder, file.ok_or_else(missing)?)
}

fn read_model(folder: &Path, model: &ModelResult) -> Result<nn::Model> {
    let path = path_of(folder, model.file.as_deref())?;
    nn::Model::open(&StateDict::from_bytes(&read_regular(&path, MOST)?, path)?)
}

/// The spiking view of a model, with the settings it was made with.
fn spiking(
    results: &Results,
    model: &ModelResult,
    network: &nn::Model,
) -> Result<FrozenSpikingModel> {
    let options = results.settings_of(model)?.fast_wave.spiking;
    SpikingModel::from_model(network, options, Statistics::Carry)?.freeze()
}

fn filters(model: &ModelResult, network: &nn::Model) -> Result<Filters> {
    let missing = || Error::NotFound("there is no convolution".to_owned());
    let first = network.first_convolution().ok_or_else(missing)?;
    let shape = [first.shape[2], first.shape[3]];
    Ok(Filters { method: model.method.clone(), shape, weights: first.values.clone() })
}

/// The sets that are shown, at two noise scales at most: 64/255 and 128/255 if they are there, of the first seed. All are of
/// one norm, as a noise scale means something else in every other: the paper's if there are any.
fn shown(results: &Results) -> Vec<&CraftedSet> {
    let Some(first) = results.crafted.iter().map(|set| set.seed).min() else { return Vec::new() };
    let sets = || results.crafted.iter().filter(move |set| set.seed == first);
    let Some(norm) = sets().map(|set| set.norm).min_by_key(|&norm| norm != Norm::Linf) else {
        return Vec::new();
    };
    let sets = || sets().filter(move |set| set.norm == norm);
    let noise = |scale: &str| parse_eps(scale, norm, usize::MAX).ok()?.first().copied();
    let mut scales: Vec<&str> = sets().map(|set| set.scale.as_str()).collect();
    scales.sort_by(|a, b| noise(a).partial_cmp(&noise(b)).unwrap_or(std::cmp::Ordering::Equal));
    scales.dedup();
    let printed = ["64/255", "128/255"];
    let wanted: Vec<&str> = scales.iter().copied().filter(|s| printed.contains(s)).collect();
    let scales =
        if wanted.is_empty() { scales.into_iter().rev().take(1).collect() } else { wanted };
    scales.into_iter().flat_map(|scale| sets().filter(move |set| set.scale == scale)).collect()
}

/// The first image of each class in a set, and what models take them for.
fn digits(
    context: &Context,
    folder: &Path,
    set: &CraftedSet,
    models: &[(&ModelResult, nn::Model)],
    test: &Dataset,
) -> Result<DigitSet> {
    let path = path_of(folder, set.file.as_deref())?;
    open_regular(&path, MOST)?;
    let crafted = Crafted::load(&path)?;
    let samples = crafted.samples();
    let same = |i: usize| {
        let id = samples.ids()[i] as usize;
        id < test.len() && samples.labels()[i] == test.label(id)
    };
    if samples.shape() != test.shape() || !(0..samples.len()).all(same) {
        let problem = "its images are not of the test images found here".to_owned();
        return Err(Error::format(&path, problem));
    }
    let first_of = |class| {
        let i = (0..samples.len()).find(|&i| samples.labels()[i] == class)?;
        let (clean, crafted) = (samples.image(i).to_vec(), crafted.image(i).to_vec());
        Some(Digit { label: class, clean, crafted })
    };
    let digits: Vec<Digit> = (0..test.classes()).filter_map(first_of).take(SHOWN).collect();
    let Shape { channels, height, width } = test.shape();
    let pixels: Vec<f32> = digits.iter().flat_map(|digit| digit.crafted.clone()).collect();
    let images = ArrayView4::from_shape((digits.len(), channels, height, width), &pixels)
        .map_err(|e| Error::failed("digits", e))?;
    let labels = digits.iter().map(|digit| digit.label).collect();
    let shown = Samples::new(images, labels, (0..digits.len() as u64).collect())?;
    let answer = |(model, network): &(&ModelResult, nn::Model)| {
        let report = classify(context, &network.freeze()?, &shown, 0)?;
        let classes = report.outcomes.iter().map(|outcome| outcome.prediction).collect();
        Ok((model.method.clone(), classes))
    };
    Ok(DigitSet {
        column: set.column.clone(),
        scale: in_norm(set.norm, &set.scale),
        shape: [channels, height, width],
        answers: models.iter().map(answer).collect::<Result<_>>()?,
        digits,
    })
}
