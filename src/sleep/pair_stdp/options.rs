//! The options of pair-based plasticity, and how they change a weight.

use crate::simd::{Lanes, Portable, Simd, math};
use crate::snn::Neuron;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Numbers of the plasticity and of the neurons.
///
/// Defaults: amplitudes and time constants of Song, Miller and Abbott (2000), at one millisecond a step: `a+` = 0.005,
/// `a-` = 1.05 `a+`, both constants 20; multiplicative bounds at -1 and 1, as a CNN's weights have both signs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PairOptions {
    /// The layer's neurons.
    pub neuron: Neuron,
    /// `a+`, the amplitude of potentiation.
    pub potentiation: f32,
    /// `a-`, the amplitude of depression.
    pub depression: f32,
    /// Time constant of the trace of incoming spikes, in steps.
    #[serde(alias = "tau-pre")]
    pub tau_pre: f32,
    /// Time constant of the trace of the layer's own spikes, in steps.
    #[serde(alias = "tau-post")]
    pub tau_post: f32,
    /// The lower bound of weights.
    pub minimum: f32,
    /// The upper bound of weights.
    pub maximum: f32,
    /// The exponent mu of the bounds: 0 hard, 1 soft.
    pub exponent: f32,
}

crate::options::with!(PairOptions);

impl Default for PairOptions {
    fn default() -> Self {
        Self {
            neuron: Neuron::default(),
            potentiation: 0.005,
            depression: 0.005_25,
            tau_pre: 20.0,
            tau_post: 20.0,
            minimum: -1.0,
            maximum: 1.0,
            exponent: 1.0,
        }
    }
}

impl PairOptions {
    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// If a trace is shorter than a step, a bound, an amplitude or the exponent is not finite, the exponent is negative
    /// or the bounds are not in order.
    pub fn validate(&self) -> Result<()> {
        let Self {
            potentiation, depression, tau_pre, tau_post, minimum, maximum, exponent, ..
        } = *self;
        let finite = [potentiation, depression, tau_pre, tau_post, minimum, maximum, exponent];
        if finite.iter().any(|x| !x.is_finite())
            || tau_pre < 1.0
            || tau_post < 1.0
            || minimum >= maximum
            || exponent < 0.0
        {
            let problem = format!(
                "{self:?}: all must be finite, tau_pre and tau_post at least 1 step, minimum below maximum, exponent not negative"
            );
            return Err(Error::argument("pair-based plasticity", problem));
        }
        self.neuron.dynamics().map(|_| ())
    }

    /// What a weight changes by, from its sums over time of trace by spike.
    pub(super) fn change(&self, weight: f32, potentiation: f32, depression: f32) -> f32 {
        let bound = |room: f32| match self.exponent {
            0.0 => 1.0,
            1.0 => room.max(0.0),
            mu => power(room.max(0.0), mu),
        };
        let up = self.potentiation * bound(self.maximum - weight) * potentiation;
        let down = self.depression * bound(weight - self.minimum) * depression;
        let new = weight + (up - down);
        // No change carries a weight across a bound; one that was outside to begin with may stay there.
        new.clamp(self.minimum.min(weight), self.maximum.max(weight)) - weight
    }
}

/// `x` to the power of `mu`, by the library's own functions: the system's may differ in the last bit.
fn power(x: f32, mu: f32) -> f32 {
    let (s, mut out) = (Portable, Lanes::ZERO);
    let logarithm = math::ln(s, s.splat(x));
    s.store(math::exp(s, s.mul(s.splat(mu), logarithm)), &mut out);
    out.0[0]
}

#[cfg(test)]
mod tests {
    use super::power;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_power_is_near_the_systems(x in 1e-6_f32..2.0, mu in 0.01_f32..4.0) {
            let (own, system) = (f64::from(power(x, mu)), f64::from(x).powf(f64::from(mu)));
            prop_assert!((own - system).abs() <= 1e-5 * system, "{own} {system}");
        }
    }

    #[test]
    fn no_room_is_no_change() {
        assert_eq!(power(0.0, 0.5), 0.0);
    }
}
