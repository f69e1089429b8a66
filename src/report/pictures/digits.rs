//! A few digits under each attack: clean, adversarial, the difference, and what models take them for.

use crate::autodiff::Tape;
use crate::data::Dataset;
use crate::evaluation::Crafted;
use crate::experiment::{CraftedSet, Published, Results};
use crate::files::{MOST, inside, open_regular};
use crate::nn::{Freeze, FrozenNetwork, LeNet, predict};
use crate::report::noise;
use crate::report::pictures::images::{difference, picture};
use crate::report::pictures::models::Loaded;
use crate::tensor::{Context, Tensor};
use crate::{Error, Result};
use ndarray::ArrayView4;
use std::path::Path;

/// Digits that are shown.
const SHOWN: usize = 10;

/// The images of one crafted set beside their clean ones.
#[derive(Clone, Debug)]
pub struct Digits {
    /// The attack and its scale.
    pub title: String,
    /// Images, as data URIs with what they show.
    pub rows: Vec<(String, Vec<Picture>)>,
    /// What each model takes the adversarial images for; whether that is right.
    pub answers: Vec<(String, Vec<(usize, bool)>)>,
}

/// An image inside the page.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The data URI.
    pub uri: String,
    /// For those who cannot see it.
    pub description: String,
}

/// The sets that are shown, at two noise scales at most: 64/255 and 128/255 if they are there, of the first seed.
pub fn shown<'a>(results: &'a Results) -> Vec<&'a CraftedSet> {
    let Some(first) = results.crafted.iter().map(|set| set.seed).min() else { return Vec::new() };
    let sets = || results.crafted.iter().filter(|set| set.seed == first);
    let mut scales: Vec<&'a str> = sets().map(|set| set.scale.as_str()).collect();
    scales.sort_by(|a, b| noise(a).partial_cmp(&noise(b)).unwrap_or(std::cmp::Ordering::Equal));
    scales.dedup();
    let printed = ["64/255", "128/255"];
    let wanted: Vec<&str> = scales.iter().copied().filter(|s| printed.contains(s)).collect();
    let scales =
        if wanted.is_empty() { scales.into_iter().rev().take(1).collect() } else { wanted };
    let of_scale = |scale: &'a str| sets().filter(move |set| set.scale == scale);
    scales.into_iter().flat_map(of_scale).collect()
}

/// One set; `models` are asked what they see.
///
/// # Errors
/// If the file is missing or does not fit the test images.
pub fn digits(
    context: &Context,
    folder: &Path,
    set: &CraftedSet,
    published: &Published,
    models: &[Loaded<'_>],
    test: &Dataset,
) -> Result<Digits> {
    let chosen = choose(folder, set, test)?;
    let size = test.shape();
    let row = |what: &str, uris: Result<Vec<String>>| {
        let pictures = uris?.into_iter().zip(&chosen);
        let described = |(uri, digit): (String, &Digit)| Picture {
            uri,
            description: format!("{what} image of a {}", digit.label),
        };
        Ok((what.to_owned(), pictures.map(described).collect()))
    };
    let most = chosen.iter().map(Digit::distance).fold(1.0 / 255.0, f32::max);
    let rows = vec![
        row("clean", chosen.iter().map(|d| picture(&d.clean, size)).collect())?,
        row("adversarial", chosen.iter().map(|d| picture(&d.crafted, size)).collect())?,
        row(
            "difference",
            chosen.iter().map(|d| difference(&d.clean, &d.crafted, size, most)).collect(),
        )?,
    ];
    let flat: Vec<f32> = chosen.iter().flat_map(|digit| digit.crafted.iter().copied()).collect();
    let shape = [chosen.len(), size.channels, size.height, size.width];
    let answer = |model: &Loaded<'_>| {
        let classes = classes(context, &model.lenet, &flat, shape)?;
        let answers = classes.iter().zip(&chosen).map(|(&class, d)| (class, class == d.label));
        Ok((model.model.method.clone(), answers.collect()))
    };
    let answers = models.iter().map(answer).collect::<Result<Vec<_>>>()?;
    let label = published.column(&set.column).map_or(set.column.as_str(), |c| c.label.as_str());
    let title = format!(
        "{} at {}, printed as {label} (difference: full colour at {most:.2})",
        set.column, set.scale
    );
    Ok(Digits { title, rows, answers })
}

/// A test image, clean and crafted.
struct Digit {
    label: usize,
    clean: Vec<f32>,
    crafted: Vec<f32>,
}

impl Digit {
    /// The largest change of a pixel.
    fn distance(&self) -> f32 {
        let changes = self.clean.iter().zip(&self.crafted).map(|(a, b)| (a - b).abs());
        changes.fold(0.0, f32::max)
    }
}

/// The first image of each class.
fn choose(folder: &Path, set: &CraftedSet, test: &Dataset) -> Result<Vec<Digit>> {
    let path = inside(folder, &set.file)?;
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
        Some(Digit {
            label: class,
            clean: samples.image(i).to_vec(),
            crafted: crafted.image(i).to_vec(),
        })
    };
    Ok((0..test.classes()).filter_map(first_of).take(SHOWN).collect())
}

/// What a network takes images for.
fn classes(
    context: &Context,
    lenet: &LeNet,
    images: &[f32],
    shape: [usize; 4],
) -> Result<Vec<usize>> {
    let images = ArrayView4::from_shape(shape, images)
        .map_err(|e| Error::shape("digits", format!("{shape:?}"), e.to_string()))?;
    let mut tape = Tape::new(context.clone());
    let x = tape.constant(Tensor::from_array(images));
    let logits = lenet.freeze()?.logits(&mut tape, x)?;
    let logits = tape.value(logits);
    Ok((0..shape[0]).map(|n| predict(&logits.sample(0, n).collect::<Vec<f32>>())).collect())
}
