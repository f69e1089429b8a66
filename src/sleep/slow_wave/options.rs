//! The options of slow-wave sleep.

use crate::sleep::PairOptions;
use crate::sleep::circuit::PlasticLayer;
use crate::snn::Neuron;
use crate::wording::{meant, shown};
use crate::{Error, Result};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// Which layers slow-wave sleep changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layers {
    /// The first and the last; convolutions between them are only standardized (the published code hands its optimizer
    /// the wrong tensor).
    Published,
    /// All convolutions and linear layers.
    All,
    /// Those of these names.
    #[serde(untagged)]
    Named(Vec<String>),
}

/// By hand, as serde's own error would not say what is possible.
impl<'de> Deserialize<'de> for Layers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Name(String),
            Names(Vec<String>),
        }
        match Either::deserialize(deserializer)? {
            Either::Names(names) => Ok(Self::Named(names)),
            Either::Name(name) => match name.as_str() {
                "published" => Ok(Self::Published),
                "all" => Ok(Self::All),
                _ => Err(D::Error::custom(format!(
                    "unknown variant `{}`, expected `published`, `all` or a list of layers as [\"conv1\", \"fc\"]",
                    shown(&name)
                ))),
            },
        }
    }
}

/// The rule by which synapses change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plasticity {
    /// The published code: constant currents, competition, Hebbian potentiation and renormalization, one layer at a
    /// time.
    Published,
    /// The paper's text: Poisson trains, LIF neurons (Eq. 8), pair-based plasticity with traces and soft bounds (Eq. 9),
    /// all layers at once.
    Pair,
}

/// The options of slow-wave sleep. The default is the published code's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SlowWaveOptions {
    /// Depth of the U: 1 is a single sub-sleep, 2 goes down and up again.
    pub depth: usize,
    /// Spiking rate before the first halving; a sub-sleep at depth d simulates `decrease_ratio 2^d / initial_rate` steps.
    pub initial_rate: f64,
    /// What the published code calls the decrease ratio: it divides the rate once, at all depths.
    #[serde(alias = "ratio")]
    pub decrease_ratio: f64,
    /// Passes of each sub-sleep.
    pub length: usize,
    /// Images that are simulated together and share a threshold; a last, smaller batch is dropped.
    pub batch_size: usize,
    /// Learning rate of the convolutions.
    pub learning_rate: f32,
    /// Which layers change.
    pub layers: Layers,
    /// The rule by which they change.
    pub plasticity: Plasticity,
    /// Pair-based plasticity: neurons and synapses. Resistances follow from the drive, and no gradients are taken: the neurons'
    /// `resistance`, `decay_input` and `reset_grad` make no difference.
    pub pair: PairOptions,
    /// Pair-based plasticity: the resistance of each layer is such that, at the start of the sleep, the membrane of its
    /// most strongly driven neuron settles at this many thresholds. The paper gives no resistance.
    pub drive: f32,
    /// Whether a convolution's channels wake with the norms they fell asleep with. Standardized weights are ten times as
    /// large, and before a normalization layer that makes every later learning rate a hundredth of itself.
    pub rescale: bool,
    /// Batches of each layer's pass, at most; 0 is the whole data set. To try things out.
    pub batches: usize,
}

crate::options::with!(SlowWaveOptions);

impl Default for SlowWaveOptions {
    fn default() -> Self {
        Self {
            depth: 2,
            initial_rate: 0.01,
            decrease_ratio: 2.0,
            length: 1,
            batch_size: 128,
            learning_rate: 1e-3,
            layers: Layers::Published,
            plasticity: Plasticity::Published,
            pair: PairOptions {
                neuron: Neuron { tau: Some(20.0), threshold: 1.0, ..Neuron::default() },
                ..PairOptions::default()
            },
            drive: 1.5,
            rescale: false,
            batches: 0,
        }
    }
}

/// Whose turn it is in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The plastic layer of this number, from 0: the network's convolutions and linear layers in order.
    Layer(usize),
    /// All layers at once (pair-based plasticity).
    All,
}

/// One layer's pass over the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Time steps simulated.
    pub steps: usize,
    /// The layer that learns.
    pub turn: Turn,
}

impl SlowWaveOptions {
    /// Time steps of each sub-sleep, down and up the U.
    pub fn sub_sleeps(&self) -> Vec<usize> {
        let down = 0..self.depth;
        let up = (0..self.depth.saturating_sub(1)).rev();
        let steps =
            |depth: usize| self.decrease_ratio * (1u64 << depth.min(32)) as f64 / self.initial_rate;
        down.chain(up).map(|depth| steps(depth) as usize).collect()
    }

    /// Time steps of every pass over all layers, in order.
    pub fn steps_of_passes(&self) -> Vec<usize> {
        let repeated = |steps| std::iter::repeat_n(steps, self.length);
        self.sub_sleeps().into_iter().flat_map(repeated).collect()
    }

    /// The passes for each number of steps, of a network with `layers` plastic layers.
    pub fn passes_of(&self, steps: impl IntoIterator<Item = usize>, layers: usize) -> Vec<Pass> {
        let turns: Vec<Turn> = match self.plasticity {
            Plasticity::Published => (0..layers).map(Turn::Layer).collect(),
            Plasticity::Pair => vec![Turn::All],
        };
        let all = |steps| turns.iter().map(move |&turn| Pass { steps, turn });
        steps.into_iter().flat_map(all).collect()
    }

    /// Which of these layers learn.
    pub(super) fn learning(&self, layers: &[PlasticLayer]) -> Result<Vec<bool>> {
        let last = layers.len() - 1;
        let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        match &self.layers {
            Layers::All => Ok(vec![true; layers.len()]),
            Layers::Published => Ok((0..layers.len()).map(|i| i == 0 || i == last).collect()),
            Layers::Named(chosen) => {
                if let Some(name) = chosen.iter().find(|name| !names.contains(&name.as_str())) {
                    let problem = format!(
                        "`slow_wave.layers` names `{}`, which is not a convolution or linear layer of this network{}; there \
                         are {}",
                        shown(name),
                        meant(name, &names),
                        names.join(", ")
                    );
                    return Err(Error::argument("setting", problem));
                }
                Ok(names.iter().map(|name| chosen.iter().any(|chosen| chosen == name)).collect())
            }
        }
    }

    /// Passes of a sub-sleep, at most.
    pub const MOST_PASSES: usize = 10_000;

    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// If a number is out of its range, which is said, or the pair rule refuses its share.
    pub fn validate(&self) -> Result<()> {
        if self.layers == Layers::Named(Vec::new()) {
            let problem =
                "`slow_wave.layers` names none, which would do nothing; at least one has to learn";
            return Err(Error::argument("setting", problem));
        }
        let rate = self.decrease_ratio > 0.0 && self.initial_rate > 0.0 && self.initial_rate <= 1.0;
        self.pair.validate()?;
        if !(self.drive > 0.0 && self.drive.is_finite()) {
            let problem = format!("drive {} is not above 0", self.drive);
            return Err(Error::argument("slow-wave sleep", problem));
        }
        if !rate || !(1..=8).contains(&self.depth) || self.batch_size == 0 {
            return Err(Error::argument(
                "slow-wave sleep",
                format!(
                    "depth {} (1 to 8), initial rate {} (above 0, at most 1), decrease ratio {} (above 0), batch size {}",
                    self.depth, self.initial_rate, self.decrease_ratio, self.batch_size
                ),
            ));
        }
        let (length, most) = (self.length, Self::MOST_PASSES);
        if length > most {
            let problem = format!("length {length}: at most {most} passes");
            return Err(Error::argument("slow-wave sleep", problem));
        }
        // Ties are drawn by the number of the step, which has 32 bits.
        if let Some(steps) = self.sub_sleeps().into_iter().find(|&n| u32::try_from(n).is_err()) {
            let problem = format!(
                "initial rate {:e} and decrease ratio {:e} make {steps} time steps; at most {} are possible",
                self.initial_rate,
                self.decrease_ratio,
                u32::MAX
            );
            return Err(Error::argument("slow-wave sleep", problem));
        }
        Ok(())
    }
}
