//! A few digits under each attack: clean, adversarial, the difference, and what models take them for.

use crate::Result;
use crate::experiment::{Digit, DigitSet, Printed};
use crate::report::pictures::images::{difference, picture};
use crate::tensor::Shape;
use crate::{Error, experiment};

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

/// One set, drawn; under the name of its column in print, if it is `printed`.
///
/// # Errors
/// If the images do not have the shape that they are said to have.
pub fn digits(set: &DigitSet, printed: Option<&Printed>) -> Result<Digits> {
    let experiment::DigitSet { digits: chosen, shape, column, scale, .. } = set;
    let size = Shape::from(*shape);
    let features: usize = shape.iter().product();
    let whole = |d: &Digit| d.clean.len() == features && d.crafted.len() == features;
    if features == 0 || !chosen.iter().all(whole) {
        return Err(Error::format("", format!("the images are not of shape {shape:?}")));
    }
    let row = |what: &str, uris: Result<Vec<String>>| {
        let picture = |(uri, digit): (String, &Digit)| Picture {
            uri,
            description: format!("{what} image of a {}", digit.label),
        };
        Ok((what.to_owned(), uris?.into_iter().zip(chosen).map(picture).collect()))
    };
    let most = chosen.iter().map(distance).fold(1.0 / 255.0, f32::max);
    let rows = vec![
        row("clean", chosen.iter().map(|d| picture(&d.clean, size)).collect())?,
        row("adversarial", chosen.iter().map(|d| picture(&d.crafted, size)).collect())?,
        row(
            "difference",
            chosen.iter().map(|d| difference(&d.clean, &d.crafted, size, most)).collect(),
        )?,
    ];
    let right = |(&class, digit): (&usize, &Digit)| (class, class == digit.label);
    let answer = |(method, classes): &(String, Vec<usize>)| {
        (method.clone(), classes.iter().zip(chosen).map(right).collect())
    };
    let answers = set.answers.iter().map(answer).collect();
    let printed = printed.and_then(|printed| printed.column(column));
    let label = printed.map_or(String::new(), |column| format!(", printed as {}", column.label));
    let title = format!("{column} at {scale}{label} (difference: full color at {most:.2})");
    Ok(Digits { title, rows, answers })
}

/// The largest change of a pixel.
fn distance(digit: &Digit) -> f32 {
    let changes = digit.clean.iter().zip(&digit.crafted).map(|(a, b)| (a - b).abs());
    changes.fold(0.0, f32::max)
}
