//! What jobs observe for the pictures of a report.

use super::execute::{Lab, file_of, read};
use super::measure::finite;
use super::observations::Digit;
use super::store::StoreEntry;
use crate::attack::Samples;
use crate::evaluation::{Crafted, classify};
use crate::nn::{Freeze, Model};
use crate::snn::{SpikingModel, SpikingOptions, Statistics, firing_rates, spike_trains};
use crate::tensor::Shape;
use crate::{Error, Result};
use ndarray::ArrayView4;
use serde::{Deserialize, Serialize};

/// Test images that firing rates are measured on.
pub(super) const RATED: usize = 256;

/// Digits of a crafted set that are kept.
const SHOWN: usize = 10;

/// What was seen of a network, or why it cannot be seen.
#[derive(Serialize, Deserialize)]
pub(super) struct SeenNetwork {
    /// Height and width of a filter of the first convolution, and the weights `[filter][y][x]`.
    pub filters: std::result::Result<([usize; 2], Vec<f32>), String>,
    pub spikes: std::result::Result<SeenSpikes, String>,
}

/// Spikes of a network, layer by layer.
#[derive(Serialize, Deserialize)]
pub(super) struct SeenSpikes {
    pub steps: usize,
    /// What the layers are called.
    pub names: Vec<String>,
    /// Spikes a neuron and step.
    pub rates: Vec<f64>,
    /// The class of the first image, whose spikes follow: for each layer its steps, for each step a `1` or `0` a neuron.
    pub label: usize,
    pub layers: Vec<Vec<String>>,
}

impl Lab<'_> {
    /// Looks at a network, and shows its spiking form the first images.
    pub(super) fn look_at(
        &self,
        model: &StoreEntry,
        (images, options): (usize, SpikingOptions),
    ) -> Result<SeenNetwork> {
        let model = self.model(model)?;
        let filters = model.first_convolution().ok_or("there is no convolution".to_owned());
        let filters = filters.map(|first| ([first.shape[2], first.shape[3]], first.values.clone()));
        let spikes = self.spikes(&model, (images, options));
        let spikes = match spikes {
            Err(error) if !error.is_of_what_was_asked() => return Err(error),
            spikes => spikes.map_err(|error| error.to_string()),
        };
        Ok(SeenNetwork { filters, spikes })
    }

    fn spikes(
        &self,
        model: &Model,
        (images, options): (usize, SpikingOptions),
    ) -> Result<SeenSpikes> {
        let network = SpikingModel::from_model(model, options, Statistics::Carry)?.freeze()?;
        let rates = firing_rates(self.context, &network, &self.test.slice(0..images)?)?;
        let (names, rates) = rates.into_iter().unzip();
        let step = |step: Vec<bool>| step.iter().map(|&s| if s { '1' } else { '0' }).collect();
        let trains = spike_trains(self.context, &network, self.test, 0)?.into_iter();
        let layers = trains.map(|(_, layer)| layer.into_iter().map(step).collect()).collect();
        Ok(SeenSpikes { steps: network.steps(), names, rates, label: self.test.label(0), layers })
    }

    /// The first image of each class in a crafted set.
    pub(super) fn digits(&self, set: &StoreEntry) -> Result<Vec<Digit>> {
        let crafted = Crafted::load(self.store.path(file_of(set)?))?;
        let samples = crafted.samples();
        let first_of = |class| {
            let i = (0..samples.len()).find(|&i| samples.labels()[i] == class)?;
            let (clean, crafted) = (samples.image(i).to_vec(), crafted.image(i).to_vec());
            Some(Digit { label: class, clean, crafted })
        };
        Ok((0..self.test.classes()).filter_map(first_of).take(SHOWN).collect())
    }

    /// What a model takes these digits for, set by set.
    pub(super) fn classes(
        &self,
        model: &StoreEntry,
        sets: &[&StoreEntry],
    ) -> Result<Vec<Vec<usize>>> {
        let network = self.model(model)?.freeze()?;
        let classes = |set: &&StoreEntry| {
            let digits: Vec<Digit> = read(set)?;
            let Shape { channels, height, width } = self.test.shape();
            let pixels: Vec<f32> = digits.iter().flat_map(|digit| digit.crafted.clone()).collect();
            let images = ArrayView4::from_shape((digits.len(), channels, height, width), &pixels)
                .map_err(|e| Error::failed("digits", e))?;
            let labels = digits.iter().map(|digit| digit.label).collect();
            let shown = Samples::new(images, labels, (0..digits.len() as u64).collect())?;
            let report = classify(self.context, &network, &shown, 0)?;
            finite(&report)?;
            Ok(report.outcomes.iter().map(|outcome| outcome.prediction).collect())
        };
        sets.iter().map(classes).collect()
    }
}
