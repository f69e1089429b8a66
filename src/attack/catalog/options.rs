//! Options of an attack as text, `key=value`, and the numbers in them.

use crate::attack::loss::Loss;
use crate::attack::methods::jitter::JITTERED;
use crate::attack::methods::pgd::StepSize;
use crate::attack::stepper::Goal;
use crate::kernels::lif::{Estimator, SilentWindow};
use crate::wording::number;
use crate::{Error, Result};
use std::str::FromStr;

/// The options that were given, for an attack to look up.
pub struct GivenOptions<'a> {
    /// The attack's name, for errors.
    pub attack: &'static str,
    /// Keys and values.
    pub given: Vec<(&'a str, &'a str)>,
}

impl GivenOptions<'_> {
    pub fn text(&self, key: &str) -> Option<String> {
        self.given.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
    }

    pub fn refuse(&self, key: &str, expected: &str) -> Error {
        let value = self.text(key).unwrap_or_default();
        Error::argument(
            "attack option",
            format!("{}: {key}={value}: expected {expected}", self.attack),
        )
    }

    pub fn value<T: FromStr>(&self, key: &str, default: T) -> Result<T> {
        let Some(text) = self.text(key) else { return Ok(default) };
        text.parse().map_err(|_| {
            self.refuse(key, "a number or word of the kind that the list of attacks shows")
        })
    }

    /// A number of steps, queries and the like: so small that products of two of them are numbers too.
    pub fn count(&self, key: &str, default: usize) -> Result<usize> {
        match self.value(key, default)? {
            count if count > MOST => Err(self.refuse(key, &format!("{MOST} at most"))),
            count => Ok(count),
        }
    }

    pub fn draws(&self, default: usize) -> Result<usize> {
        match self.count("draws", default)? {
            0 => Err(self.refuse("draws", "1 or more")),
            draws => Ok(draws),
        }
    }

    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.text(key).as_deref() {
            None => Ok(default),
            Some("yes" | "true") => Ok(true),
            Some("no" | "false") => Ok(false),
            Some(_) => Err(self.refuse(key, "yes or no")),
        }
    }

    /// The first success, unless the goal that suits transfer is asked for.
    pub fn goal(&self, transfer: Goal) -> Result<Goal> {
        let word = if transfer == Goal::Latest { "latest" } else { "last" };
        match self.text("return").as_deref() {
            None | Some("first") => Ok(Goal::First),
            Some(given) if given == word => Ok(transfer),
            Some(_) => Err(self.refuse("return", &format!("first or {word}"))),
        }
    }

    pub fn bounded(&self) -> Result<Goal> {
        let bounded = self.flag("bounded", false)?;
        Ok(if bounded { Goal::Nearest } else { Goal::NearestAnywhere })
    }

    pub fn loss(&self, default: Loss) -> Result<Loss> {
        let Some(name) = self.text("loss") else { return Ok(default) };
        let known = Loss::ALL.into_iter().find(|loss| loss.name() == name);
        let names = || Loss::ALL.map(Loss::name).join(", ");
        known.ok_or_else(|| self.refuse("loss", &format!("one of {}", names())))
    }

    /// The cross-entropy, in one of its forms.
    pub fn cross_entropy(&self) -> Result<Loss> {
        match self.loss(Loss::CrossEntropy)? {
            loss @ (Loss::CrossEntropy | Loss::ScaledCrossEntropy | Loss::CrossEntropyF32) => {
                Ok(loss)
            }
            _ => Err(self.refuse("loss", "ce, ce-scaled or ce-f32")),
        }
    }

    pub fn step(&self, default: StepSize) -> Result<StepSize> {
        Ok(self.length("step")?.unwrap_or(default))
    }

    fn length(&self, key: &str) -> Result<Option<StepSize>> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let (digits, of_eps) = match text.strip_suffix("eps") {
            Some(digits) => (digits, true),
            None => (text.as_str(), false),
        };
        let length = number(digits.trim())
            .filter(|length| *length > 0.0)
            .ok_or_else(|| self.refuse(key, "a positive number like 2/255, or 0.2eps"))?;
        Ok(Some(if of_eps { StepSize::OfEps(length) } else { StepSize::Absolute(length) }))
    }

    /// A number, or a fraction.
    pub fn number(&self, key: &str, default: f32) -> Result<f32> {
        let Some(text) = self.text(key) else { return Ok(default) };
        number(&text).ok_or_else(|| self.refuse(key, "a number like 0.03 or 8/255"))
    }

    /// How far jittered points lie away, and how many they are: `draws`.
    pub fn jitter(&self) -> Result<Option<(StepSize, usize)>> {
        let Some(size) = self.length("jitter").transpose() else { return Ok(None) };
        Ok(Some((size?, self.draws(JITTERED)?)))
    }

    /// Evaluations of one point: with jitter `draws` counts the points, of one evaluation each.
    pub fn evaluations(&self, default: usize) -> Result<usize> {
        if self.text("jitter").is_some() { Ok(1) } else { self.draws(default) }
    }

    /// The class that counts as success. It is the only target then.
    pub fn target(&self) -> Result<Option<usize>> {
        let Some(text) = self.text("target").filter(|text| text != "none") else { return Ok(None) };
        if self.text("targets").is_some() {
            return Err(self.refuse("targets", "nothing beside target, which is the only one"));
        }
        text.parse().map(Some).map_err(|_| self.refuse("target", "the number of a class, or none"))
    }

    /// How gradients of spikes are estimated, if anything is said about it.
    pub fn estimator(&self) -> Result<Option<Estimator>> {
        let (gradient, pool, time) = (self.text("gradient"), self.text("pool"), self.text("time"));
        if gradient.is_none() && pool.is_none() && time.is_none() {
            return Ok(None);
        }
        let mut estimator: Estimator = gradient.as_deref().unwrap_or("own").parse()?;
        if let Some(name) = pool {
            let known = SilentWindow::ALL.into_iter().find(|silent| silent.name() == name);
            estimator.pool =
                Some(known.ok_or_else(|| self.refuse("pool", "first, largest or all"))?);
        }
        estimator.stretch = self.count("time", 1)?;
        estimator.validate()?;
        Ok(Some(estimator))
    }

    pub fn ties(&self) -> Result<bool> {
        match self.text("ties").as_deref() {
            None | Some("reject") => Ok(false),
            Some("accept") => Ok(true),
            Some(_) => Err(self.refuse("ties", "accept or reject")),
        }
    }
}

/// What can be counted at most, which takes days.
const MOST: usize = 1_000_000_000;
