//! Crafted images on disk, in numpy's format.

use super::crafted::{Crafted, Image};
use crate::attack::{Budget, Cost, Findings, Outcome, Report, Samples, Status, Winner};
use crate::checkpoint::Npz;
use crate::{Error, Result};
use ndarray::Ix4;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The array of the set's own settings, as JSON.
const NOTES: &str = "notes";

#[derive(Serialize, Deserialize)]
struct Notes<T> {
    attack: String,
    norm: crate::attack::Norm,
    eps: f32,
    seed: u64,
    bounded: bool,
    findings: Findings,
    /// The caller's.
    about: T,
}

/// Everything about an attack on some samples: images, labels, adversarial images, and a column for each part of an
/// [`Outcome`]. `about` is JSON that the file keeps.
///
/// # Errors
/// If the report is not of these samples.
pub fn archive(
    samples: &Samples,
    report: &Report,
    bounded: bool,
    about: &impl Serialize,
) -> Result<Npz> {
    let mut npz = Crafted::of(samples, report, bounded).to_npz(about)?;
    let outcomes = &report.outcomes;
    let column = |get: fn(&Outcome) -> f32| outcomes.iter().map(get).collect::<Vec<f32>>();
    let rows = [samples.len()];
    npz.floats("margin", &rows, column(|o| o.margin))?;
    npz.floats("linf", &rows, column(|o| o.linf))?;
    npz.floats("l2", &rows, column(|o| o.l2))?;
    npz.floats("l1", &rows, column(|o| o.l1))?;
    npz.integers("prediction", outcomes.iter().map(|o| o.prediction as i64).collect());
    npz.words("status", outcomes.iter().map(|o| word(o.status)));
    Ok(npz)
}

/// What the caller of [`archive`] noted about a set; none in a file of another origin.
pub fn about(npz: &Npz) -> Option<serde_json::Value> {
    let notes: Notes<serde_json::Value> =
        serde_json::from_str(&npz.expect_text(NOTES).ok()?).ok()?;
    Some(notes.about)
}

fn word(status: Status) -> &'static str {
    match status {
        Status::CleanWrong => "clean-wrong",
        Status::Fooled => "fooled",
        Status::Survived => "survived",
        Status::Invalid => "invalid",
    }
}

/// What stands where there is no number.
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
            |image: &Image| image.winner.as_ref().map_or(String::new(), |w| w.attack.clone());
        npz.words("winner", self.images.iter().map(names));
        let cost =
            |get: fn(&Cost) -> u64| self.images.iter().map(|i| get(&i.cost) as i64).collect();
        npz.integers("forward_passes", cost(|c| c.forward_passes));
        npz.integers("backward_passes", cost(|c| c.backward_passes));
        npz.integers("zero_gradients", cost(|c| c.zero_gradients));
        npz.integers("zero_starts", cost(|c| c.zero_starts));

        let Budget { norm, eps, seed } = self.budget;
        let (attack, findings) = (self.attack.clone(), self.findings.clone());
        let notes = Notes { attack, norm, eps, seed, bounded: self.bounded, findings, about };
        let notes = serde_json::to_string(&notes)
            .map_err(|e| Error::argument("npz", format!("the notes are no JSON: {e}")))?;
        npz.text(NOTES, &notes);
        Ok(npz)
    }

    /// Reads a set that was saved before.
    ///
    /// # Errors
    /// If the file cannot be read, lacks an array, or its arrays do not belong together.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_npz(&Npz::load(path)?)
    }

    /// The set that [`to_npz`](Self::to_npz) made these arrays of.
    ///
    /// # Errors
    /// If an array is missing, or they do not belong together.
    pub fn from_npz(npz: &Npz) -> Result<Self> {
        let fail = |problem: String| Error::format(npz.path(), problem);
        let images = |name: &str| {
            let array = npz.expect_floats(name)?.view().into_dimensionality::<Ix4>();
            array.map_err(|e| fail(format!("`{name}` is not N x C x H x W: {e}")))
        };
        let (clean, crafted) = (images("images")?, images("adversarial")?);
        if clean.dim() != crafted.dim() {
            let (a, b) = (clean.dim(), crafted.dim());
            return Err(fail(format!("`images` has shape {a:?} and `adversarial` {b:?}")));
        }
        let count = clean.dim().0;
        let natural = |name: &str| -> Result<Vec<u64>> {
            let whole =
                |v| u64::try_from(v).map_err(|_| fail(format!("`{name}` holds {v}, below 0")));
            npz.expect_integers(name, count)?.into_iter().map(whole).collect()
        };
        let labels = natural("labels")?.into_iter().map(|label| label as usize).collect();
        let samples = Samples::new(clean, labels, natural("id")?)
            .map_err(|e| fail(format!("`images`: {e}")))?;
        if let Some(pixel) = crafted.iter().find(|pixel| !(0.0..=1.0).contains(*pixel)) {
            return Err(fail(format!("`adversarial` has a pixel of {pixel}, outside of 0..=1")));
        }
        let notes: Notes<serde_json::Value> = serde_json::from_str(&npz.expect_text(NOTES)?)
            .map_err(|e| fail(format!("`{NOTES}` is not what an attack writes: {e}")))?;
        if !(notes.eps >= 0.0 && notes.eps.is_finite()) {
            return Err(fail(format!("`{NOTES}` has an eps of {}", notes.eps)));
        }

        let place = |name: &str| npz.expect_integers(name, count);
        let (restart, target, iteration) =
            (place("restart")?, place("target")?, place("iteration")?);
        let (forward, backward) = (natural("forward_passes")?, natural("backward_passes")?);
        let (zeros, starts) = (natural("zero_gradients")?, natural("zero_starts")?);
        let images = crafted.outer_iter().enumerate().map(|(i, pixels)| Image {
            pixels: pixels.iter().copied().collect(),
            winner: usize::try_from(restart[i]).ok().map(|restart| Winner {
                // Part of an ensemble or not: which one is in the file, for people.
                attack: notes.attack.clone(),
                restart,
                target: usize::try_from(target[i]).ok(),
                iteration: usize::try_from(iteration[i]).unwrap_or(0),
            }),
            cost: Cost {
                forward_passes: forward[i],
                backward_passes: backward[i],
                zero_gradients: zeros[i],
                zero_starts: starts[i],
            },
        });
        Ok(Self {
            images: images.collect(),
            samples,
            attack: notes.attack,
            budget: Budget { norm: notes.norm, eps: notes.eps, seed: notes.seed },
            bounded: notes.bounded,
            findings: notes.findings,
        })
    }
}
