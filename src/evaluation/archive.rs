//! Reads and writes crafted images in numpy's format.

use super::crafted::{Crafted, Image, UNSAID};
use crate::attack::geometry::ball::{distance, near_box};
use crate::attack::{
    AttackInfo, AttackReport, Budget, Cost, Diagnostics, Norm, Outcome, Samples, Status, Winner,
};
use crate::checkpoint::{Npz, NpzReader};
use crate::tensor::Shape;
use crate::wording::of_json;
use crate::wording::shown;
use crate::{Error, Result};
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};
use std::io::{Read, Seek};
use std::path::Path;

/// The array of the set's own settings, as JSON.
const NOTES: &str = "notes";

/// Bytes of the notes that are read; an attack writes a few hundred.
const MOST_NOTES: usize = 20_000;

#[derive(Serialize, Deserialize)]
struct SetNotes<T> {
    attack: String,
    norm: Norm,
    eps: f32,
    #[serde(default)]
    seed: u64,
    /// Left out where the radius was stated.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    stated: bool,
    #[serde(default = "yes")]
    bounded: bool,
    /// The class that counts as success; None: any but the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<usize>,
    #[serde(default)]
    diagnostics: Diagnostics,
    /// The caller's.
    #[serde(default)]
    about: T,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_yes(value: &bool) -> bool {
    *value
}

/// Everything about an attack on some samples: images, labels, adversarial images, and a column for each part of an
/// [`Outcome`]. `about` is JSON that the file keeps.
///
/// # Errors
/// If the report is not of these samples.
pub fn archive(
    samples: &Samples,
    report: &AttackReport,
    attack: &AttackInfo,
    about: &impl Serialize,
) -> Result<Npz> {
    let mut npz = Crafted::of(samples, report, attack).to_npz(about)?;
    let outcomes = &report.outcomes;
    let column = |get: fn(&Outcome) -> f32| outcomes.iter().map(get).collect::<Vec<f32>>();
    let rows = [samples.len()];
    npz.floats("margin", &rows, column(|o| o.margin))?;
    npz.floats("linf", &rows, column(|o| o.linf))?;
    npz.floats("l2", &rows, column(|o| o.l2))?;
    npz.floats("l1", &rows, column(|o| o.l1))?;
    npz.floats("l0", &rows, column(|o| o.l0))?;
    npz.integers("prediction", outcomes.iter().map(|o| o.prediction as i64).collect());
    npz.words("status", outcomes.iter().map(|o| word(o.status)));
    // An image that was shown and fooled no model has a maker, and no winner.
    npz.words("winner", outcomes.iter().map(won));
    Ok(npz)
}

/// The attack that fooled, if any did.
fn won(outcome: &Outcome) -> String {
    let fooled = outcome.winner.as_ref().filter(|_| outcome.status == Status::Fooled);
    fooled.map_or_else(String::new, |winner| winner.attack.to_string())
}

/// What the caller of [`archive`] noted about a set; none in a file of another origin.
pub fn about<R: Read + Seek>(file: &mut NpzReader<R>) -> Option<serde_json::Value> {
    Some(notes(file).ok()??.about)
}

fn word(status: Status) -> &'static str {
    match status {
        Status::CleanWrong => "clean-wrong",
        Status::Fooled => "fooled",
        Status::Survived => "survived",
        Status::Invalid => "invalid",
        Status::Outside => "outside",
        Status::Uncertified => "uncertified",
    }
}

/// The placeholder for a missing number.
const NONE: i64 = -1;

impl Crafted {
    /// As arrays, to be saved; `about` is JSON that the file keeps.
    ///
    /// # Errors
    /// If the images are not as many as the samples.
    pub fn to_npz(&self, about: &impl Serialize) -> Result<Npz> {
        let (samples, mut npz) = (self.samples(), Npz::default());
        let shape = samples.shape();
        let dimensions = [samples.len(), shape.channels, shape.height, shape.width];
        let clean = (0..samples.len()).flat_map(|i| samples.image(i)).copied().collect();
        npz.floats("images", &dimensions, clean)?;
        let crafted = self.images.iter().flat_map(|image| &image.pixels).copied().collect();
        npz.floats("adversarial", &dimensions, crafted)?;
        npz.integers("labels", samples.labels().iter().map(|&label| label as i64).collect());
        npz.integers("id", samples.ids().iter().map(|&id| id as i64).collect());

        let winner = |get: fn(&Winner) -> i64| {
            self.images.iter().map(|i| i.winner.as_ref().map_or(NONE, get)).collect()
        };
        npz.integers("restart", winner(|w| w.restart as i64));
        npz.integers("target", winner(|w| w.target.map_or(NONE, |target| target as i64)));
        npz.integers("iteration", winner(|w| w.iteration as i64));
        let names =
            |image: &Image| image.winner.as_ref().map_or(String::new(), |w| w.attack.to_string());
        npz.words("winner", self.images.iter().map(names));
        let cost =
            |get: fn(&Cost) -> u64| self.images.iter().map(|i| get(&i.cost) as i64).collect();
        npz.integers("forward_passes", cost(|c| c.forward_passes));
        npz.integers("backward_passes", cost(|c| c.backward_passes));
        npz.integers("zero_gradients", cost(|c| c.zero_gradients));
        npz.integers("zero_starts", cost(|c| c.zero_starts));

        let Budget { norm, eps, seed } = self.budget;
        let (attack, diagnostics) = (self.attack.clone(), self.diagnostics.clone());
        let (stated, bounded, target) = (self.stated, self.bounded, self.target);
        let notes =
            SetNotes { attack, norm, eps, seed, stated, bounded, target, diagnostics, about };
        let notes = serde_json::to_string(&notes)
            .map_err(|e| Error::failed("npz", format!("the notes are no JSON: {e}")))?;
        npz.text(NOTES, &notes);
        Ok(npz)
    }

    /// Reads a set that was saved before, here or elsewhere: `images`, `adversarial` (N x C x H x W, or N x H x W, pixels
    /// in 0..=1) and `labels`. What else [`to_npz`](Self::to_npz) writes may be missing: then the images are numbered from
    /// 0, crafting them cost nothing that is known, and without `notes` the radius is the largest change of a pixel,
    /// until [`within`](Self::within) states one.
    ///
    /// # Errors
    /// If the file cannot be read, lacks one of the three, or its arrays do not belong together.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(&mut NpzReader::open(path)?)
    }

    /// As [`load`](Self::load), of a file that is open. Arrays of other names are not read.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn read<R: Read + Seek>(file: &mut NpzReader<R>) -> Result<Self> {
        let path = file.path().to_owned();
        let fail = |problem: String| Error::format(&path, problem);
        let (count, shape) = sizes(file)?; // before anything large is read
        let notes = notes(file)?;

        let mut columns = Columns { file: &mut *file, count };
        let labels = columns.natural("labels")?.unwrap_or_default();
        let labels = labels.into_iter().map(|label| label as usize).collect();
        let ids = columns.natural("id")?.unwrap_or_else(|| (0..count as u64).collect());
        let restart = columns.integers("restart")?;
        let (steered, iteration) = (columns.integers("target")?, columns.integers("iteration")?);
        let [forward, backward] =
            [columns.natural("forward_passes")?, columns.natural("backward_passes")?];
        let [zeros, starts] = [columns.natural("zero_gradients")?, columns.natural("zero_starts")?];
        let none = vec![0; count];
        let few = zeros.as_ref().unwrap_or(&none).iter().zip(backward.as_ref().unwrap_or(&none));
        if let Some(i) = { few }.position(|(zeros, all)| zeros > all) {
            let problem = "than `backward_passes`, of which they are some";
            return Err(fail(format!("`zero_gradients` holds more at position {i} {problem}")));
        }

        let images = |array: ArrayD<f32>| {
            let shape = (count, shape.channels, shape.height, shape.width);
            array.into_shape_with_order(shape).map_err(|e| fail(format!("`images`: {e}")))
        };
        let clean = images(file.floats("images")?)?;
        let samples =
            Samples::new(clean.view(), labels, ids).map_err(|e| fail(format!("`images`: {e}")))?;
        drop(clean);
        let mut crafted = images(file.floats("adversarial")?)?;
        // As of clean images, what rounding has put outside of the box is put back.
        crafted.iter_mut().filter(|pixel| near_box(**pixel)).for_each(|p| *p = p.clamp(0.0, 1.0));

        let place = |column: &Option<Vec<i64>>, i: usize| {
            column.as_ref().and_then(|column| usize::try_from(column[i]).ok())
        };
        let cost = |column: &Option<Vec<u64>>, i: usize| column.as_ref().map_or(0, |c| c[i]);
        let attack = shown(notes.as_ref().map_or(UNKNOWN, |notes| &notes.attack));
        let images = crafted.outer_iter().enumerate().map(|(i, pixels)| Image {
            pixels: pixels.iter().copied().collect(),
            winner: place(&restart, i).map(|restart| Winner {
                // Part of an ensemble or not: which one is in the file, for people.
                attack: attack.clone().into(),
                restart,
                target: place(&steered, i),
                iteration: place(&iteration, i).unwrap_or(0),
            }),
            cost: Cost {
                forward_passes: cost(&forward, i),
                backward_passes: cost(&backward, i),
                zero_gradients: cost(&zeros, i),
                zero_starts: cost(&starts, i),
            },
        });
        let images: Vec<Image> = images.collect();
        let stated = notes.as_ref().is_some_and(|notes| notes.stated);
        let (budget, bounded, target, diagnostics) = match notes {
            Some(SetNotes { norm, eps, seed, bounded, target, mut diagnostics, .. }) => {
                // Some versions kept the doubt of a set without a radius in the file; it goes once one is stated.
                diagnostics.option_warnings.retain(|doubt| stated || doubt != UNSAID);
                // Minus zero is no other radius.
                (Budget { norm, eps: eps + 0.0, seed }, bounded, target, diagnostics)
            }
            None => (largest_change(&samples, &images), true, None, Diagnostics::default()),
        };
        budget.validate().map_err(|e| fail(format!("`{NOTES}`: {e}")))?;
        Ok(Self { samples, images, attack, budget, stated, bounded, target, diagnostics })
    }
}

/// The number of images, and the shape of each.
fn sizes<R: Read + Seek>(file: &mut NpzReader<R>) -> Result<(usize, Shape)> {
    let shapes = [file.shape("images")?, file.shape("adversarial")?, file.shape("labels")?];
    let fail = |problem: String| Error::format(file.path(), problem);
    let [clean, crafted, labels] = &shapes;
    let (count, shape) = match *clean.as_slice() {
        [count, height, width] => (count, Shape::new(1, height, width)),
        [count, channels, height, width] => (count, Shape::new(channels, height, width)),
        _ => return Err(fail(format!("`images` has shape {clean:?}, not N x C x H x W"))),
    };
    if clean != crafted {
        let problem = format!("`images` has shape {clean:?} and `adversarial` {crafted:?}");
        return Err(fail(problem));
    }
    if count == 0 {
        return Err(fail("there are 0 images in it, of which nothing can be said".into()));
    }
    if labels != &[count] {
        return Err(fail(format!("`labels` has shape {labels:?}, expected [{count}]")));
    }
    Ok((count, shape))
}

/// The name of an attack without a name.
const UNKNOWN: &str = "crafted";

/// What a set says about itself; None if it says nothing.
fn notes<R: Read + Seek>(file: &mut NpzReader<R>) -> Result<Option<SetNotes<serde_json::Value>>> {
    if !file.has(NOTES) {
        return Ok(None);
    }
    let text = file.text(NOTES)?;
    let fail = |problem: String| Err(Error::format(file.path(), problem));
    if text.len() > MOST_NOTES {
        return fail(format!("`{NOTES}` has {} bytes; at most {MOST_NOTES} are read", text.len()));
    }
    serde_json::from_str(&text).map(Some).or_else(|e| {
        let problem = of_json(&e);
        fail(format!(
            "`{NOTES}` is not what an attack writes: {problem}; a set without it is read too"
        ))
    })
}

/// The radius of a set that does not say any: the largest change of a pixel that stays in the box.
fn largest_change(samples: &Samples, images: &[Image]) -> Budget {
    let boxed = images
        .iter()
        .enumerate()
        .filter(|(_, image)| image.pixels.iter().all(|&pixel| near_box(pixel)));
    let changes = boxed.map(|(i, image)| distance(Norm::Linf, &image.pixels, samples.image(i)));
    Budget { norm: Norm::Linf, eps: changes.fold(0.0, f64::max) as f32, seed: 0 }
}

/// Numbers by the sample, which a set may have or not.
struct Columns<'a, R> {
    file: &'a mut NpzReader<R>,
    count: usize,
}

impl<R: Read + Seek> Columns<'_, R> {
    fn integers(&mut self, name: &str) -> Result<Option<Vec<i64>>> {
        if !self.file.has(name) {
            return Ok(None);
        }
        let (shape, count) = (self.file.shape(name)?, self.count);
        if shape != [count] {
            let problem = format!("`{name}` has shape {shape:?}, expected [{count}]");
            return Err(Error::format(self.file.path(), problem));
        }
        Ok(Some(self.file.integers(name)?.into_iter().collect()))
    }

    /// Numbers that are not negative.
    fn natural(&mut self, name: &str) -> Result<Option<Vec<u64>>> {
        let Some(values) = self.integers(name)? else { return Ok(None) };
        if let Some(i) = values.iter().position(|&value| value < 0) {
            let problem = format!("`{name}` holds {} at position {i}, below 0", values[i]);
            return Err(Error::format(self.file.path(), problem));
        }
        Ok(Some(values.into_iter().map(i64::unsigned_abs).collect()))
    }
}
