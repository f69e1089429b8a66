//! Everything that is drawn from the files beside the results. What cannot be drawn is left out, with the reason.

pub mod digits;
mod images;
pub mod models;

use crate::data::Dataset;
use crate::draw::theme::{described, themed};
use crate::draw::{filters_svg, raster_svg};
use crate::experiment::{Published, Results};
use crate::nn::{Freeze, Network};
use crate::report::Found;
use crate::report::pictures::digits::{Digits, digits, shown};
use crate::report::pictures::models::{ASLEEP, Loaded, first_of_each_method, load, settings_of};
use crate::snn::{FrozenSpikingLeNet, SpikingLeNet, Statistics, firing_rates, spike_trains};
use crate::tensor::Context;
use crate::{Error, Result};
use std::path::Path;

/// Test images that firing rates are measured on.
const RATED: usize = 256;

/// A drawing with what it shows.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// What it shows.
    pub title: String,
    /// The drawing, SVG.
    pub svg: String,
}

/// How often the neurons of a model spike.
#[derive(Clone, Debug)]
pub struct Rates {
    /// The method.
    pub method: String,
    /// Time steps.
    pub steps: usize,
    /// Spikes a neuron and step, of both layers.
    pub rates: [f64; 2],
}

/// All pictures.
#[derive(Clone, Debug, Default)]
pub struct Pictures {
    /// Adversarial examples.
    pub digits: Vec<Digits>,
    /// First-layer filters.
    pub filters: Vec<Drawing>,
    /// Spike rasters.
    pub rasters: Vec<Drawing>,
    /// Firing rates.
    pub rates: Vec<Rates>,
    /// Test images that the rates are of.
    pub rated: usize,
    /// What is missing, and why.
    pub skipped: Vec<String>,
}

impl Pictures {
    /// Draws what can be drawn. Without test images there are only filters.
    pub fn draw(
        context: &Context,
        folder: &Path,
        results: &Results,
        published: &Published,
        found: Found<'_>,
    ) -> Self {
        let mut pictures = Self::default();
        let mut models = Vec::new();
        for model in first_of_each_method(results) {
            match load(folder, model) {
                Ok(loaded) => models.push(loaded),
                Err(error) => pictures.skip(&format!("Pictures of {}", model.method), &error),
            }
        }
        let asleep = |l: &&Loaded<'_>| {
            l.model.defense == "none" || ASLEEP.contains(&l.model.defense.as_str())
        };
        for loaded in models.iter().filter(asleep) {
            match filters(loaded) {
                Ok(drawing) => pictures.filters.push(drawing),
                Err(error) => pictures.skip(&format!("Filters of {}", loaded.model.method), &error),
            }
        }
        let Found::TheirTest(test) = found else {
            let why = match found {
                Found::Others => "the test images that were found are not those of the results",
                _ => "the test images were not found",
            };
            let line = format!("Adversarial examples, rasters and firing rates: {why}.");
            pictures.skipped.push(line);
            return pictures;
        };
        pictures.rated = RATED.min(test.len());
        let mut drawn: Vec<&str> = Vec::new();
        for loaded in models.iter().filter(asleep) {
            let method = &loaded.model.method;
            if let Err(error) = pictures.spikes(context, results, loaded, test, &mut drawn) {
                pictures.skip(&format!("Spikes of {method}"), &error);
            }
        }
        for set in shown(results) {
            match digits(context, folder, set, published, &models, test) {
                Ok(digits) => pictures.digits.push(digits),
                Err(error) => {
                    pictures.skip(&format!("Digits under {} at {}", set.column, set.scale), &error);
                }
            }
        }
        if results.crafted.is_empty() {
            pictures.skipped.push("Adversarial examples: the results name no crafted sets.".into());
        }
        pictures
    }

    /// Rates of a model, and a raster of the first of each defense.
    fn spikes<'a>(
        &mut self,
        context: &Context,
        results: &Results,
        loaded: &Loaded<'a>,
        test: &Dataset,
        drawn: &mut Vec<&'a str>,
    ) -> Result<()> {
        let network = spiking(results, loaded)?;
        let (method, defense) = (&loaded.model.method, loaded.model.defense.as_str());
        let rates = firing_rates(context, &network, &test.slice(0, self.rated)?)?;
        self.rates.push(Rates { method: method.clone(), steps: network.steps(), rates });
        if !drawn.contains(&defense) {
            let trains = spike_trains(context, &network, test, 0)?;
            let svg = raster_svg(&[("conv 1", &trains[0]), ("conv 2", &trains[1])])?;
            let title = format!("{method}: the first test image, a {}", test.label(0));
            self.rasters.push(Drawing { svg: themed(&svg, &format!("Spikes of {title}")), title });
            drawn.push(defense);
        }
        Ok(())
    }

    /// The largest of all rates; bars are drawn relative to it.
    pub fn largest_rate(&self) -> f64 {
        let all = self.rates.iter().flat_map(|model| model.rates);
        all.fold(f64::MIN_POSITIVE, f64::max)
    }

    fn skip(&mut self, what: &str, error: &Error) {
        self.skipped.push(format!("{what}: {error}."));
    }
}

/// The spiking view of a model, with the settings it was made with.
fn spiking(results: &Results, loaded: &Loaded<'_>) -> Result<FrozenSpikingLeNet> {
    let options = settings_of(results, loaded.model)?.fast_wave.spiking;
    SpikingLeNet::from_lenet(&loaded.lenet, options, Statistics::Carry)?.freeze()
}

fn filters(loaded: &Loaded<'_>) -> Result<Drawing> {
    let title = loaded.model.method.clone();
    let conv1 = loaded.lenet.parameters().get("conv1.weight");
    let conv1 = conv1.ok_or_else(|| Error::NotFound("conv1.weight is not there".to_owned()))?;
    let svg = filters_svg(&conv1.values, [5, 5])?;
    Ok(Drawing { svg: described(&svg, &format!("First-layer filters of {title}")), title })
}
