//! Everything that is drawn from what was observed beside the results. What cannot be drawn is left out, with the reason.

pub mod digits;
mod images;

use crate::draw::theme::{described, themed};
use crate::draw::{filters_svg, raster_svg};
use crate::experiment::{Filters, FiringRates, Observations, Printed, Spikes};
use crate::report::pictures::digits::{Digits, digits};
use crate::{Error, Result};

/// A drawing with what it shows.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// What it shows.
    pub title: String,
    /// The drawing, SVG.
    pub svg: String,
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
    pub rates: Vec<FiringRates>,
    /// Test images that the rates are of.
    pub rated: usize,
    /// What is missing, and why.
    pub skipped: Vec<String>,
}

impl Pictures {
    /// Draws what can be drawn; `printed` is None for a sheet of the user's.
    pub fn draw(seen: Observations, printed: Option<&Printed>) -> Self {
        let mut pictures = Self { skipped: seen.skipped, rated: seen.rated, ..Self::default() };
        pictures.rates = seen.rates;
        for seen in &seen.filters {
            match filters(seen) {
                Ok(drawing) => pictures.filters.push(drawing),
                Err(error) => pictures.skip(&format!("Filters of {}", seen.method), &error),
            }
        }
        for seen in &seen.spikes {
            match raster(seen) {
                Ok(drawing) => pictures.rasters.push(drawing),
                Err(error) => pictures.skip(&format!("Spikes of {}", seen.method), &error),
            }
        }
        for set in &seen.digits {
            match digits(set, printed) {
                Ok(digits) => pictures.digits.push(digits),
                Err(error) => {
                    pictures.skip(&format!("Images under {} at {}", set.column, set.scale), &error);
                }
            }
        }
        pictures
    }

    /// The largest of all rates; bars are drawn relative to it.
    pub fn largest_rate(&self) -> f64 {
        let all = self.rates.iter().flat_map(|model| model.rates.iter().copied());
        all.fold(f64::MIN_POSITIVE, f64::max)
    }

    /// The names of the layers that the rates are of.
    pub fn layer_names(&self) -> Vec<String> {
        let longest = self.rates.iter().max_by_key(|model| model.rates.len());
        let names = |model: &FiringRates| {
            (0..model.rates.len()).map(|i| layer_name(&model.names, i)).collect()
        };
        longest.map_or_else(Vec::new, names)
    }

    fn skip(&mut self, what: &str, error: &Error) {
        self.skipped.push(format!("{what}: {error}."));
    }
}

/// What layer `i` is called.
fn layer_name(names: &[String], i: usize) -> String {
    names.get(i).cloned().unwrap_or_else(|| format!("layer {}", i + 1))
}

fn raster(seen: &Spikes) -> Result<Drawing> {
    let title = format!("{}: the first test image, a {}", seen.method, seen.label);
    let layers: Vec<Vec<Vec<bool>>> = { seen.layers.iter() }
        .map(|layer| layer.iter().map(|step| step.chars().map(|c| c == '1').collect()).collect())
        .collect();
    let names: Vec<String> = (0..layers.len()).map(|i| layer_name(&seen.names, i)).collect();
    let named = names.iter().zip(&layers).map(|(name, layer)| (name.as_str(), layer.as_slice()));
    let svg = raster_svg(&named.collect::<Vec<_>>())?;
    Ok(Drawing { svg: themed(&svg, &format!("Spikes of {title}")), title })
}

fn filters(seen: &Filters) -> Result<Drawing> {
    let title = seen.method.clone();
    let svg = filters_svg(&seen.weights, seen.shape, &[])?;
    Ok(Drawing { svg: described(&svg, &format!("First-layer filters of {title}")), title })
}
