//! How an attack estimates the gradient of spikes. The caller chooses, not the network; the forward pass is unaffected.

use super::{Dynamics, SilentWindow};
use crate::kernels::surrogate::Surrogate;
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// An estimator of gradients through spikes. The default is the network's own: backpropagation through time with the
/// network's surrogate.
///
/// Lengths are in units of the threshold (of its distance to the resting potential), so a network whose currents,
/// threshold and all are doubled has the same gradient.
///
/// ```
/// use deepsleep::kernels::lif::Estimator;
/// let hart: Estimator = "hart:0.5".parse()?;
/// assert_eq!(hart.to_string(), "hart:0.5");
/// assert!(Estimator::default().is_own());
/// assert!("tirangle".parse::<Estimator>().is_err());
/// # Ok::<(), deepsleep::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimator {
    /// What stands for the derivative of a spike.
    pub slope: SlopeRule,
    /// How gradients of different time steps meet.
    pub time: TimeRule,
    /// Whether every time step gets the mean over all of them.
    pub average: bool,
    /// Where the gradient of a pooling window without a spike goes; None: where the network says.
    pub pool: Option<SilentWindow>,
    /// The gradient is that of the network run for this multiple of its time steps, whose rates are finer (Bu et al. 2023, as for
    /// [`RateRule::Rga`]). What the network decides is what it decides in its own steps.
    pub stretch: usize,
}

impl Default for Estimator {
    fn default() -> Self {
        let (slope, time) = (SlopeRule::default(), TimeRule::default());
        Self { slope, time, average: false, pool: None, stretch: 1 }
    }
}

/// The most times as many steps that a gradient may be of.
const LONGEST: usize = 1000;

/// What stands for the derivative of a spike.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum SlopeRule {
    /// The network's surrogate.
    #[default]
    Own,
    /// This one, in units of the threshold.
    Fixed(Surrogate),
    /// The density of a normal distribution as wide as the layer's membranes are spread (PDSG; Lun et al. 2025, "Towards
    /// effective and sparse adversarial attack on spiking neural networks via breaking invisible surrogate gradients").
    Pdsg,
    /// An arctangent that each neuron fits to its distance from the threshold (ASSG; Wang et al. 2025, arXiv 2512.22522).
    Assg(Assg),
}

/// Adaptive sharpness: how much of the arctangent's area lies within the mean distance of a neuron from its threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assg {
    /// Half of that share, in 0..0.5.
    pub degree: f32,
    /// How much of the running means stays from one gradient of a run to the next.
    pub decay: f32,
    /// How many mean deviations are added to the mean distance.
    pub deviations: f32,
}

impl Default for Assg {
    /// The published choice.
    fn default() -> Self {
        Self { degree: 0.425, decay: 0.9, deviations: 1.5 }
    }
}

/// How gradients of different time steps meet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum TimeRule {
    /// Through the membrane: backpropagation through time.
    #[default]
    Through,
    /// Not at all: a step's current is answerable for that step's spike alone.
    Detached,
    /// Not at all, and the slope is that of the neuron's rate.
    Rate(RateRule),
}

/// The slope of a neuron's rate as a function of its mean drive, in units of the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateRule {
    /// 1 if it spikes at all, else 0 (BPTR; Ding et al. 2022, "SNN-RAT: robustness-enhanced spiking neural network
    /// through regularized adversarial training").
    Bptr,
    /// This much below what makes it spike, then what leads to a rate of 1 at a drive of 2, and 0 beyond (RGA; Bu et al.
    /// 2023, "Rate gradient approximation attack threats deep spiking neural networks").
    Rga(f32),
    /// 1 if the drive is positive: the rectifier that the network may have been converted from.
    Relu,
}

/// What a backward pass is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// How gradients of spikes are estimated.
    pub estimator: Estimator,
    /// Lanes in which an attack's run begins: what an estimator has learned of their neurons is forgotten.
    pub fresh: u16,
    /// Whether an estimator learns from this gradient. It does so once an evaluation, of however many gradients.
    pub learn: bool,
}

impl Default for Estimate {
    fn default() -> Self {
        Self { estimator: Estimator::default(), fresh: u16::MAX, learn: true }
    }
}

impl Estimator {
    /// A fixed surrogate.
    pub fn fixed(surrogate: Surrogate) -> Self {
        Self { slope: SlopeRule::Fixed(surrogate), ..Self::default() }
    }

    /// The slope of rates.
    pub fn rate(rule: RateRule) -> Self {
        Self { time: TimeRule::Rate(rule), ..Self::default() }
    }

    /// A triangle of this half width, steps detached, their mean to each of them (HART; Hao et al. 2024, "Threaten
    /// spiking neural networks through combining rate and temporal information").
    pub fn hart(width: f32) -> Self {
        let time = TimeRule::Detached;
        Self { time, average: true, ..Self::fixed(Surrogate::Triangle(width)) }
    }

    /// Adaptive sharpness of this degree.
    pub fn assg(degree: f32) -> Self {
        Self { slope: SlopeRule::Assg(Assg { degree, ..Assg::default() }), ..Self::default() }
    }

    /// The membranes' own spread.
    pub fn pdsg() -> Self {
        Self { slope: SlopeRule::Pdsg, ..Self::default() }
    }

    /// Whether it is the network's own.
    pub fn is_own(&self) -> bool {
        *self == Self::default()
    }

    /// The options of an attack that ask for it: `gradient=rga:0.2,pool=all,time=4`.
    pub fn options(&self) -> String {
        let mut options = format!("gradient={self}");
        if let Some(silent) = self.pool {
            options += &format!(",pool={}", silent.name());
        }
        if self.stretch != 1 {
            options += &format!(",time={}", self.stretch);
        }
        options
    }

    /// Refuses numbers that give no gradient.
    ///
    /// # Errors
    /// If a width is not positive, or a share not one.
    pub fn validate(&self) -> Result<()> {
        let refuse = |problem: String| Err(Error::argument("gradient", problem));
        if !(1..=LONGEST).contains(&self.stretch) {
            let problem = format!("{} times as many steps; give 1 to {LONGEST}", self.stretch);
            return refuse(problem);
        }
        match self.slope {
            SlopeRule::Fixed(surrogate) => surrogate.validate()?,
            SlopeRule::Assg(Assg { degree, decay, deviations }) => {
                if !(degree > 0.0 && degree < 0.5) {
                    return refuse(format!("assg:{degree}: the degree must lie between 0 and 0.5"));
                }
                if !((0.0..1.0).contains(&decay) && deviations >= 0.0 && deviations.is_finite()) {
                    return refuse(format!(
                        "assg: a decay of {decay} and {deviations} deviations; 0 to 1, and 0 or more"
                    ));
                }
            }
            SlopeRule::Own | SlopeRule::Pdsg => {}
        }
        match self.time {
            TimeRule::Rate(RateRule::Rga(share)) if !(0.0..=1.0).contains(&share) => {
                refuse(format!("rga:{share}: the slope of silent neurons must lie in 0..=1"))
            }
            _ => Ok(()),
        }
    }

    /// Lanes of memory that a block of a layer with `neurons` neurons needs from one gradient to the next.
    pub fn memory(&self, neurons: usize, steps: usize) -> usize {
        match (self.slope, self.time) {
            (_, TimeRule::Rate(_)) => 0,
            (SlopeRule::Assg(_), _) => 2 * neurons * steps,
            _ => 0,
        }
    }
}

/// The distance of the threshold from the resting potential: the unit of lengths.
pub(super) fn unit(d: &Dynamics) -> f32 {
    let unit = d.threshold - d.initial;
    if unit > 0.0 { unit } else { 1.0 }
}

/// Names with a number, the number they have if none is given, and what it is of.
const NAMES: [(&str, f32); 11] = [
    ("own", f32::NAN),
    ("triangle", 1.0),
    ("rect", 1.0),
    ("exp", 2.0),
    ("atan", 2.0),
    ("ste", f32::NAN),
    ("bptr", f32::NAN),
    ("rga", 0.2),
    ("relu", f32::NAN),
    ("hart", 1.0),
    ("pdsg", f32::NAN),
];

impl FromStr for Estimator {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name.trim(), Some(number.trim())),
            None => (text.trim(), None),
        };
        let known = NAMES.iter().copied().chain([("assg", Assg::default().degree)]);
        let unknown = || {
            let names: Vec<&str> = known.clone().map(|(name, _)| name).collect();
            let problem =
                format!("`{text}` is none of {}, with a number as in atan:2", names.join(", "));
            Error::argument("gradient", problem)
        };
        let (_, default) = known.clone().find(|(known, _)| *known == name).ok_or_else(unknown)?;
        let number = match number {
            None => default,
            Some(_) if default.is_nan() => {
                return Err(Error::argument(
                    "gradient",
                    format!("`{text}`: {name} takes no number"),
                ));
            }
            Some(number) => number.parse().map_err(|_| unknown())?,
        };
        let estimator = match name {
            "triangle" => Self::fixed(Surrogate::Triangle(number)),
            "rect" => Self::fixed(Surrogate::Rectangle(2.0 / number)),
            "exp" => Self::fixed(Surrogate::Exponential(number)),
            "atan" => Self::fixed(Surrogate::Arctan(number)),
            "ste" => Self::fixed(Surrogate::StraightThrough(1.0)),
            "bptr" => Self::rate(RateRule::Bptr),
            "rga" => Self::rate(RateRule::Rga(number)),
            "relu" => Self::rate(RateRule::Relu),
            "hart" => Self::hart(number),
            "pdsg" => Self::pdsg(),
            "assg" => Self::assg(number),
            _ => Self::default(),
        };
        estimator.validate()?;
        Ok(estimator)
    }
}

impl fmt::Display for Estimator {
    /// The name that it is asked for by, without [`pool`](Self::pool) and [`stretch`](Self::stretch).
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
            (_, SlopeRule::Assg(assg)) => write!(f, "assg:{}", assg.degree),
            (_, SlopeRule::Fixed(surrogate)) => match surrogate {
                Surrogate::Triangle(width) => write!(f, "triangle:{width}"),
                Surrogate::Rectangle(height) => write!(f, "rect:{}", 2.0 / height),
                Surrogate::Exponential(a) => write!(f, "exp:{a}"),
                Surrogate::Arctan(a) => write!(f, "atan:{a}"),
                Surrogate::StraightThrough(_) => f.write_str("ste"),
                other => write!(f, "{other:?}"),
            },
        }
    }
}
