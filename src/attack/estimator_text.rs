//! Estimators of spikes' gradients as text: the values of `gradient=`, `pool=` and `time=`.

use crate::kernels::lif::{Assg, Estimator, RateRule, SlopeRule, TimeRule};
use crate::kernels::surrogate::Surrogate;
use crate::wording::number;
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// Estimators that are no surrogate, each with its usual number; NaN for those that take none.
const OTHERS: [(&str, f32); 7] = [
    ("own", f32::NAN),
    ("bptr", f32::NAN),
    ("rga", 0.2),
    ("relu", f32::NAN),
    ("hart", 1.0),
    ("pdsg", f32::NAN),
    ("assg", 0.425),
];

/// Former names of surrogates, each with the number that it had if none was given. A rectangle's number was its width.
const FORMER: [(&str, f32); 4] = [("rect", 1.0), ("exp", 2.0), ("atan", 2.0), ("ste", f32::NAN)];

/// Surrogates have the names and numbers that they have in settings.
///
/// ```
/// use deepsleep::attack::Estimator;
/// let hart: Estimator = "hart:0.5".parse()?;
/// assert_eq!(hart.to_string(), "hart:0.5");
/// // Former names are read: the number of `rect` was the width.
/// assert_eq!("rect:1".parse::<Estimator>()?.to_string(), "rectangle:2");
/// assert!("tirangle".parse::<Estimator>().is_err());
/// # Ok::<(), deepsleep::Error>(())
/// ```
impl FromStr for Estimator {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, given) = match text.split_once(':') {
            Some((name, given)) => (name.trim(), Some(given.trim())),
            None => (text.trim(), None),
        };
        let surrogates = Surrogate::ALL.map(|surrogate| (surrogate.name(), surrogate.parameter()));
        let today = || OTHERS.iter().chain(&surrogates);
        let refuse = |problem: String| Err(Error::argument("gradient", problem));
        let Some(&(name, usual)) = today().chain(&FORMER).find(|(known, _)| *known == name) else {
            let names: Vec<&str> = today().map(|(name, _)| *name).collect();
            return refuse(format!(
                "`{text}` is none of {}, with a number as in arctan:2",
                names.join(", ")
            ));
        };
        let number = match given {
            None => usual,
            Some(_) if usual.is_nan() => {
                return refuse(format!("`{text}`: {name} takes no number"));
            }
            Some(given) => match given.parse().ok().or_else(|| number(given)) {
                Some(number) => number,
                None => {
                    return refuse(format!("`{text}`: `{given}` is no number such as 0.5 or 1/2"));
                }
            },
        };
        let estimator = named(name, number);
        estimator.validate()?;
        Ok(estimator)
    }
}

/// The estimator of a known name.
fn named(name: &str, number: f32) -> Estimator {
    match name {
        "bptr" => Estimator::rate(RateRule::Bptr),
        "rga" => Estimator::rate(RateRule::Rga(number)),
        "relu" => Estimator::rate(RateRule::Relu),
        "hart" => Estimator::hart(number),
        "pdsg" => Estimator::pdsg(),
        "assg" => Estimator::assg(number),
        "rect" => Estimator::fixed(Surrogate::Rectangle(2.0 / number)),
        "exp" => Estimator::fixed(Surrogate::Exponential(number)),
        "atan" => Estimator::fixed(Surrogate::Arctan(number)),
        "ste" => Estimator::fixed(Surrogate::StraightThrough(1.0)),
        _ => match Surrogate::ALL.into_iter().find(|surrogate| surrogate.name() == name) {
            Some(surrogate) => Estimator::fixed(surrogate.with_parameter(number)),
            None => Estimator::default(),
        },
    }
}

impl fmt::Display for Estimator {
    /// The name that it is asked for by, without [`pool`](Self::pool) and [`stretch`](Self::stretch). What was put
    /// together otherwise than by name is written as the nearest that has one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.time, self.slope) {
            (TimeRule::Rate(RateRule::Bptr), _) => f.write_str("bptr"),
            (TimeRule::Rate(RateRule::Rga(share)), _) => write!(f, "rga:{share}"),
            (TimeRule::Rate(RateRule::Relu), _) => f.write_str("relu"),
            (TimeRule::Detached, SlopeRule::Fixed(Surrogate::Triangle(width))) if self.average => {
                write!(f, "hart:{width}")
            }
            (_, SlopeRule::Own) => f.write_str("own"),
            (_, SlopeRule::Pdsg) => f.write_str("pdsg"),
            (_, SlopeRule::Assg(Assg { degree, .. })) => write!(f, "assg:{degree}"),
            (_, SlopeRule::Fixed(surrogate)) => surrogate.fmt(f),
        }
    }
}

/// The option that asks for an estimator.
const OPTION: &str = "gradient=";

/// Whether an attack's description asks for an estimator.
pub fn is_named_in(description: &str) -> bool {
    description.contains(OPTION)
}

/// The options of an attack that ask for it: `gradient=rga:0.2,pool=all,time=4`.
pub fn options(estimator: &Estimator) -> String {
    let mut options = format!("{OPTION}{estimator}");
    if let Some(silent) = estimator.pool {
        options += &format!(",pool={}", silent.name());
    }
    if estimator.stretch != 1 {
        options += &format!(",time={}", estimator.stretch);
    }
    options
}

/// What names its random numbers: that of older versions, so that they stay what they were.
pub fn key(estimator: &Estimator) -> String {
    match (estimator.time, estimator.slope) {
        (TimeRule::Through, SlopeRule::Fixed(surrogate)) => match surrogate {
            Surrogate::Rectangle(height) => format!("rect:{}", 2.0 / height),
            Surrogate::Exponential(a) => format!("exp:{a}"),
            Surrogate::Arctan(a) => format!("atan:{a}"),
            Surrogate::StraightThrough(1.0) => "ste".to_owned(),
            other => other.to_string(),
        },
        _ => estimator.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any estimator that has a name, with any number that it takes.
    fn any_estimator() -> impl Strategy<Value = Estimator> {
        let names = OTHERS.iter().map(|(name, _)| *name);
        let names: Vec<&str> = names.chain(Surrogate::ALL.map(Surrogate::name)).collect();
        let number = prop_oneof![1e-30f32..1e30, 1e-3f32..1e3, Just(f32::MIN_POSITIVE)];
        (prop::sample::select(names), number).prop_map(|(name, number)| match name {
            "rga" => named(name, number.min(1.0)),
            "assg" => named(name, (number / 1e3).clamp(1e-6, 0.499)),
            _ => named(name, number),
        })
    }

    proptest! {
        #[test]
        fn every_estimator_is_read_as_it_is_written(estimator in any_estimator()) {
            prop_assert_eq!(estimator.to_string().parse::<Estimator>().unwrap(), estimator);
        }

        #[test]
        fn the_former_width_of_a_rectangle_keeps_its_bits(width in 1e-3f32..1e3) {
            let former: Estimator = format!("rect:{width}").parse().unwrap();
            prop_assert_eq!(former, Estimator::fixed(Surrogate::Rectangle(2.0 / width)));
            prop_assert_eq!(former.to_string().parse::<Estimator>().unwrap(), former);
        }
    }

    #[test]
    fn random_numbers_have_the_names_that_they_had() {
        for (text, name) in [
            ("rectangle:2", "rect:1"),
            ("exponential", "exp:2"),
            ("arctan:3", "atan:3"),
            ("straight-through", "ste"),
            ("straight-through:3", "straight-through:3"),
            ("triangle:0.5", "triangle:0.5"),
            ("hart", "hart:1"),
            ("assg", "assg:0.425"),
            ("own", "own"),
        ] {
            assert_eq!(key(&text.parse().unwrap()), name, "{text}");
        }
    }
}
