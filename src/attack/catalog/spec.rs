//! An attack as a value: its name and its options, as users write them.

use crate::attack::attack_trait::Attack;
use crate::attack::catalog::parse::{entry_and_options, parse_attack};
use crate::attack::catalog::{ATTACKS, CatalogEntry};
use crate::kernels::lif::Estimator;
use crate::wording::{number, written};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// An attack and its options, such as `pgd:steps=40,restarts=5`. It can be built, always: parsing has tried it.
///
/// Two are equal if they name the same attack with the same options, in whatever order and spelling of numbers
/// (`step=2/255` and `step=0.007843138`, `gradient=atan:3` and `gradient=arctan:3`). [`Display`](fmt::Display) prints the
/// options as they were given, [`canonical`](Self::canonical) is one spelling for all of them.
///
/// ```
/// use deepsleep::attack::AttackSpec;
/// let pgd: AttackSpec = "pgd:steps=10,step=2/255".parse()?;
/// assert_eq!(pgd, "pgd: step=2/255, steps=10".parse()?);
/// assert_eq!(pgd.transfer_form().to_string(), "pgd:steps=10,step=2/255,return=last");
/// # Ok::<(), deepsleep::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttackSpec {
    name: String,
    pub(super) options: Vec<(String, String)>,
}

impl AttackSpec {
    /// The attack's name, one of [`ATTACKS`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value that was given for an option; None if it has its default.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The attack, ready to run.
    ///
    /// # Errors
    /// Only if the catalog changed since parsing, which it cannot.
    pub fn build(&self) -> Result<Box<dyn Attack>> {
        let given = self.options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let entry = self.entry().ok_or_else(|| {
            Error::argument("attack", format!("`{}` is not in the catalog", self.name))
        })?;
        entry.with_options(given.collect())
    }

    pub(super) fn entry(&self) -> Option<&'static CatalogEntry> {
        ATTACKS.iter().find(|entry| entry.name == self.name)
    }

    /// The attack as it is run for transfer. One that could stop at its first success would hand on images just past the
    /// boundary of the source, which rarely fool another model; so it takes all its steps unless `return` says otherwise.
    /// PGD and its kin return their last point (`return=last`), APGD and AutoAttack the last success of a run
    /// (`return=latest`), as the libraries do that the papers crafted their sets with.
    ///
    /// ```
    /// use deepsleep::attack::AttackSpec;
    /// let form = |text: &str| Ok::<_, deepsleep::Error>(text.parse::<AttackSpec>()?.transfer_form().to_string());
    /// assert_eq!(form("pgd:steps=10")?, "pgd:steps=10,return=last");
    /// assert_eq!(form("fgsm")?, "fgsm:return=last");
    /// assert_eq!(form("bim:return=first")?, "bim:return=first");
    /// assert_eq!(form("autoattack")?, "autoattack:return=latest");
    /// assert_eq!(form("square")?, "square");
    /// # Ok::<(), deepsleep::Error>(())
    /// ```
    #[must_use]
    pub fn transfer_form(&self) -> Self {
        let mut form = self.clone();
        let option = self.entry().and_then(|entry| entry.transfer?.split_once('='));
        if let Some((key, value)) = option.filter(|(key, _)| self.option(key).is_none()) {
            form.options.push((key.to_owned(), value.to_owned()));
        }
        form
    }

    /// The radius at which this attack gives the same images as at `eps`: questions that differ in nothing that matters
    /// are then one question. An attack that starts at the image, as BIM does, gets no further than the sum of its steps; one
    /// that no radius bounds gives the same images at all of them, so any will do.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    pub fn effective_radius(&self, eps: f32) -> Result<f32> {
        if self.is_unbounded()? {
            return Ok(1.0);
        }
        let by_steps = self.entry().is_some_and(|entry| entry.bounded_by_steps);
        // Where the length of a step is given, their number stands beside it.
        let form = self.canonical();
        let given = |key| form.option(key).and_then(number).filter(|_| by_steps);
        Ok(match (given("steps"), given("step")) {
            (Some(steps), Some(step)) => eps.min(steps * step),
            _ => eps,
        })
    }

    /// Whether no radius bounds it: it looks for the smallest perturbation, wherever that lies.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    pub fn is_unbounded(&self) -> Result<bool> {
        Ok(!self.build()?.info().bounded)
    }

    /// The option that would let the radius bound this attack; None if it does already.
    ///
    /// ```
    /// use deepsleep::attack::AttackSpec;
    /// let option = |text: &str| Ok::<_, deepsleep::Error>(text.parse::<AttackSpec>()?.bounding_option());
    /// assert_eq!(option("cw")?, Some("bounded=yes"));
    /// assert_eq!(option("rays:return=nearest")?, Some("return=first"));
    /// assert_eq!(option("rays")?, None);
    /// # Ok::<(), deepsleep::Error>(())
    /// ```
    pub fn bounding_option(&self) -> Option<&'static str> {
        let bounds = |&(key, value): &(&'static str, &'static str)| {
            let mut bound = self.clone();
            bound.options.retain(|(name, _)| name != key);
            bound.options.push((key.to_owned(), value.to_owned()));
            bound.is_unbounded().is_ok_and(|unbounded| !unbounded)
        };
        let unbounded = self.is_unbounded().unwrap_or_default();
        let options = [(("bounded", "yes"), "bounded=yes"), (("return", "first"), "return=first")];
        let option = options.into_iter().find(|(option, _)| unbounded && bounds(option));
        option.map(|(_, text)| text)
    }

    /// Refuses more targets than there are wrong classes, where a number was given.
    ///
    /// # Errors
    /// If it asks for more.
    pub fn check_classes(&self, classes: usize) -> Result<()> {
        let asked = self.option("targets").and_then(|text| text.parse::<usize>().ok());
        match asked.filter(|asked| *asked >= classes) {
            None => Ok(()),
            Some(asked) => {
                let wrong = classes.saturating_sub(1);
                let problem = format!(
                    "{self}: targets={asked}, and of {classes} classes {wrong} are wrong; give {wrong} at most"
                );
                Err(Error::argument("attack option", problem))
            }
        }
    }

    /// Whether it is an ensemble, whose later members see only what the earlier ones could not fool.
    pub fn is_ensemble(&self) -> bool {
        self.build().is_ok_and(|attack| attack.info().is_ensemble)
    }

    /// Name and options without order and spelling.
    fn normalized(&self) -> (&str, Vec<(&str, OptionValue<'_>)>) {
        let mut options: Vec<_> = self
            .options
            .iter()
            .map(|(key, value)| (key.as_str(), OptionValue::of(key, value)))
            .collect();
        options.sort_unstable();
        (&self.name, options)
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum OptionValue<'a> {
    Number(u32),
    Word(Cow<'a, str>),
}

impl<'a> OptionValue<'a> {
    pub(super) fn of(key: &str, value: &'a str) -> Self {
        if let Some(number) = number(value) {
            return Self::Number(number.to_bits());
        }
        // Estimators have former names too.
        let estimator = (key == "gradient").then(|| value.parse::<Estimator>().ok()).flatten();
        Self::Word(estimator.map_or(value.into(), |estimator| estimator.to_string().into()))
    }
}

impl fmt::Display for OptionValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(bits) => f.write_str(&written(f32::from_bits(*bits))),
            Self::Word(word) => f.write_str(word),
        }
    }
}

impl PartialEq for AttackSpec {
    fn eq(&self, other: &Self) -> bool {
        self.normalized() == other.normalized()
    }
}

impl Eq for AttackSpec {}

impl Hash for AttackSpec {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.normalized().hash(state);
    }
}

impl FromStr for AttackSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse_attack(text)?;
        let (entry, options) = entry_and_options(text)?;
        let options = options.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        Ok(Self { name: entry.name.to_owned(), options: options.collect() })
    }
}

impl TryFrom<String> for AttackSpec {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<AttackSpec> for String {
    fn from(spec: AttackSpec) -> Self {
        spec.to_string()
    }
}

impl fmt::Display for AttackSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (i, (key, value)) in self.options.iter().enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}
