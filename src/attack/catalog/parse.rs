//! Attacks and radii as users write them.

use crate::attack::attack_trait::Attack;
use crate::attack::catalog::options::GivenOptions;
use crate::attack::catalog::{ATTACKS, CatalogEntry};
use crate::attack::ensemble::estimated::Estimated;
use crate::attack::ensemble::targeted::Targeted;
use crate::attack::geometry::norm::Norm;
use crate::wording::{meant, number, short_form};
use crate::{Error, Result};

/// Bytes of the longest description: several times what all options of an attack take.
const LONGEST: usize = 1000;

/// The attack of `NAME[:key=value,...]`, as in `pgd:steps=40,restarts=5`.
///
/// # Errors
/// If the name or an option is unknown, or a value is not of its kind; the message lists what there is.
pub fn parse_attack(text: &str) -> Result<Box<dyn Attack>> {
    let (entry, given) = entry_and_options(text)?;
    entry.with_options(given)
}

impl CatalogEntry {
    /// The attack with these options, steered at the class that `target` names, if it does.
    pub(super) fn with_options(&self, given: Given<'_>) -> Result<Box<dyn Attack>> {
        let mut options = GivenOptions { attack: self.name, given };
        let mut attack = (self.build)(&mut options)?;
        if let Some(estimator) = options.estimator()? {
            attack = Box::new(Estimated { attack, estimator });
        }
        Ok(match options.target()? {
            Some(class) => Box::new(Targeted { attack, class }),
            None => attack,
        })
    }
}

/// Keys and values of options.
pub(super) type Given<'a> = Vec<(&'a str, &'a str)>;

/// The catalog's entry and the options that a text names; their values are not looked at.
pub(super) fn entry_and_options(text: &str) -> Result<(&'static CatalogEntry, Given<'_>)> {
    if text.len() > LONGEST {
        let (length, start) = (text.len(), text.chars().take(40).collect::<String>());
        let problem = format!("`{start}...` has {length} bytes; an attack has {LONGEST} at most");
        return Err(Error::argument("attack", problem));
    }
    let (name, parts) = short_form::split(text);
    let entry = ATTACKS.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<&str> = ATTACKS.iter().map(|entry| entry.name).collect();
        let (meant, names) = (meant(name, &names), names.join(", "));
        Error::argument("attack", format!("`{name}` is unknown{meant}; there are {names}"))
    })?;
    let mut given: Given<'_> = Vec::new();
    for (key, value) in parts {
        let known = || entry.options().map(|(key, _, _)| *key).collect::<Vec<&str>>();
        let problem = |what: String| Error::argument("attack option", format!("{name}: {what}"));
        let Some(value) = value else {
            return Err(problem(format!("`{key}` is not of the form key=value")));
        };
        if !entry.options().any(|(option, _, _)| *option == key) {
            let (meant, keys) = (meant(key, &known()), known().join(", "));
            return Err(problem(format!("no option `{key}`{meant}; there are {keys}")));
        }
        if given.iter().any(|(other, _)| *other == key) {
            return Err(problem(format!("`{key}` is given twice")));
        }
        given.push((key, value));
    }
    Ok((entry, given))
}

/// Radii such as `64/255,0.3`, in pixels of 0..=1: more than 0, and for linf at most 1 (for l2 and l1 at most the
/// longest way there is between two images with this many `features`). For l0, numbers of values to change.
///
/// # Errors
/// If a radius cannot be read or lies outside.
pub fn parse_eps(text: &str, norm: Norm, features: usize) -> Result<Vec<f32>> {
    let most = norm.widest(features);
    let radius = |text: &str| {
        let eps = number(text.trim());
        eps.filter(|&eps| norm.is_radius(eps) && eps <= most).ok_or_else(|| {
            let text = text.trim();
            let problem = match norm {
                Norm::L0 => {
                    format!("`{text}` is not a number of values to change, 1 to {most}, such as 20")
                }
                _ => format!("`{text}` is not a radius in (0, {most}] such as 64/255 or 0.3"),
            };
            Error::argument("eps", problem)
        })
    };
    text.split(',').map(radius).collect()
}
