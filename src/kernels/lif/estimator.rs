//! How an attack estimates the gradient of spikes. The caller chooses, not the network; the forward pass is unaffected.

use super::{Dynamics, SilentWindow};
use crate::kernels::surrogate::Surrogate;
use crate::{Error, Result};

/// An estimator of gradients through spikes. The default is the network's own: backpropagation through time with the
/// network's surrogate.
///
/// Lengths are in units of the threshold (of its distance to the resting potential), so a network whose currents,
/// threshold and all are doubled has the same gradient.
///
/// ```
/// use deepsleep::kernels::lif::Estimator;
/// use deepsleep::kernels::surrogate::Surrogate;
/// assert!(Estimator::default().is_own());
/// assert!(Estimator::fixed(Surrogate::Triangle(0.0)).validate().is_err());
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
