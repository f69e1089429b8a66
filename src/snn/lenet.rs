//! LeNet with spiking neurons in place of rectifiers (METHOD section 2), and the conversion between the two (section 6).

use super::{Encoder, Neuron, Surrogate};
use crate::autodiff::{FrozenConv, Tape, Var, Weight};
use crate::checkpoint::StateDict;
use crate::kernels::conv2d::Conv2dOptions;
use crate::kernels::lif::{Dynamics, SilentWindow};
use crate::nn::{
    BATCH_NORM_EPS, DRAWS, Freeze, FrozenLeNet, FrozenNetwork, LeNet, Mode, Network, Parameters,
    RunningStatistics,
};
use crate::tensor::Shape;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a spiking LeNet spikes. The default is the published network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpikingOptions {
    /// Time steps.
    pub steps: usize,
    /// The neurons of both layers.
    pub neuron: Neuron,
    /// What stands for the derivative of a spike.
    pub surrogate: Surrogate,
    /// How images become input.
    pub encoder: Encoder,
}

impl Default for SpikingOptions {
    fn default() -> Self {
        Self {
            steps: 8,
            neuron: Neuron::default(),
            surrogate: Surrogate::default(),
            encoder: Encoder::Direct,
        }
    }
}

impl SpikingOptions {
    /// Time steps at most: at this many, sixteen images take gigabytes.
    pub const MOST_STEPS: usize = 10_000;

    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// If there are no time steps or more than [`MOST_STEPS`](Self::MOST_STEPS), or the encoder, the
    /// surrogate or the neuron cannot be (see [`Neuron::dynamics`]).
    pub fn validate(&self) -> Result<()> {
        let (steps, most) = (self.steps, Self::MOST_STEPS);
        if !(1..=most).contains(&steps) {
            let problem = format!("{steps} time steps; 1 to {most} are possible");
            return Err(Error::argument("spiking network", problem));
        }
        self.encoder.validate()?;
        self.surrogate.validate()?;
        self.neuron.dynamics().map(|_| ())
    }
}

/// What a conversion does with the running statistics of batch normalization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// Mean 0, variance 1: the published code, which forgets them.
    Reset,
    /// Those of the network converted from.
    Carry,
    /// Mean 0, variance 1, then measured anew by one pass over the training set (see
    /// [`recalibrate`](crate::nn::recalibrate)).
    Recalibrate,
}

impl Statistics {
    /// Forgets running statistics, unless they are carried.
    pub(crate) fn apply(self, statistics: &mut [RunningStatistics; 2]) {
        if self != Self::Carry {
            for statistics in statistics {
                *statistics = RunningStatistics::new(statistics.mean.len());
            }
        }
    }
}

/// The trainable spiking network.
#[derive(Clone, Debug)]
pub struct SpikingLeNet {
    /// Weights and running statistics are LeNet's, one to one.
    lenet: LeNet,
    options: SpikingOptions,
    dynamics: Dynamics,
    silent: SilentWindow,
    /// The normalizations of the last forward pass in training mode.
    normalized: Option<[Var; 2]>,
}

impl SpikingLeNet {
    /// From a LeNet.
    ///
    /// # Errors
    /// If the options make no sense.
    pub fn from_lenet(
        lenet: &LeNet,
        options: SpikingOptions,
        statistics: Statistics,
    ) -> Result<Self> {
        options.validate()?;
        let dynamics = options.neuron.dynamics()?;
        let mut lenet = lenet.clone();
        statistics.apply(lenet.statistics_mut());
        Ok(Self { lenet, options, dynamics, silent: SilentWindow::First, normalized: None })
    }

    /// As a LeNet with rectifiers.
    pub fn to_lenet(&self, statistics: Statistics) -> LeNet {
        let mut lenet = self.lenet.clone();
        statistics.apply(lenet.statistics_mut());
        lenet
    }

    /// Its weights and statistics, as they are.
    pub fn lenet(&self) -> &LeNet {
        &self.lenet
    }

    /// How it spikes.
    pub fn options(&self) -> &SpikingOptions {
        &self.options
    }

    /// The same network, trained with another gradient of pooling windows in which nobody spikes.
    pub fn with_silent_windows(mut self, silent: SilentWindow) -> Self {
        self.silent = silent;
        self
    }

    /// Records the forward pass up to the linear layer's output at every step: logits `[step]`, and the two layers of
    /// (pooled) spikes. A Poisson encoder draws from the tape's keys.
    ///
    /// # Errors
    /// If `x` does not have the input's shape, or a Poisson encoder finds no keys on the tape.
    pub fn forward_steps(
        &mut self,
        tape: &mut Tape,
        x: Var,
        weights: &[Weight],
        mode: Mode,
    ) -> Result<(Var, [Var; 2])> {
        let &[conv1, bn1, bias1, conv2, bn2, bias2, fc] = weights else {
            let found = format!("{}", weights.len());
            return Err(Error::shape("spiking LeNet", "its 7 parameters on the tape", found));
        };
        let SpikingOptions { steps, surrogate, encoder, .. } = self.options;
        let [norm1, norm2] = [0, 1].map(|i| self.lenet.statistics()[i].normalization(mode));
        // With a direct encoding all of this is the same at every step, and computed once.
        let x = encoder.encode(tape, x, steps)?;
        let maps = tape.conv2d(x, conv1, Conv2dOptions::default())?;
        let current1 = tape.batch_norm(maps, bn1, bias1, norm1, BATCH_NORM_EPS)?;
        let spikes1 = tape.lif_pool(current1, self.dynamics, surrogate, steps, self.silent)?;
        let maps = tape.conv2d(spikes1, conv2, Conv2dOptions::default())?;
        let current2 = tape.batch_norm(maps, bn2, bias2, norm2, BATCH_NORM_EPS)?;
        let spikes2 = tape.lif_pool(current2, self.dynamics, surrogate, steps, self.silent)?;
        self.normalized = (mode == Mode::Train).then_some([current1, current2]);
        Ok((tape.linear(spikes2, fc)?, [spikes1, spikes2]))
    }
}

impl Network for SpikingLeNet {
    fn input_shape(&self) -> Shape {
        self.lenet.input_shape()
    }

    fn classes(&self) -> usize {
        self.lenet.classes()
    }

    fn parameters(&self) -> &Parameters {
        self.lenet.parameters()
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        self.lenet.parameters_mut()
    }

    fn forward(&mut self, tape: &mut Tape, x: Var, weights: &[Weight], mode: Mode) -> Result<Var> {
        let (logits, _) = self.forward_steps(tape, x, weights, mode)?;
        tape.mean_steps(logits)
    }

    fn move_statistics(&mut self, tape: &Tape, momentum: f32) {
        let Some(normalized) = self.normalized.take() else { return };
        for (statistics, var) in self.lenet.statistics_mut().iter_mut().zip(normalized) {
            let Some(moments) = tape.batch_moments(var) else { continue };
            // Every step updates once; a layer that was computed once for all steps did so with equal statistics.
            let recorded = moments.mean.len() / statistics.mean.len();
            for _ in 0..self.options.steps / recorded {
                statistics.update(moments, momentum);
            }
        }
    }

    fn state(&self) -> StateDict {
        self.lenet.state()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<()> {
        self.lenet.load_state(state)
    }
}

/// The spiking network in evaluation mode, batch normalization folded into the convolutions.
///
/// With [`Encoder::Poisson`] it is random: it draws from the keys of the tape that it is recorded on, and the mean logits
/// of several draws decide about an image (see [`FrozenNetwork::draws`]).
///
/// Its gradients are for attacks: where nobody spikes in a pooling window they go to the neuron that is nearest to a
/// spike ([`SilentWindow::Largest`]), while training's go to the first.
#[derive(Clone, Debug)]
pub struct FrozenSpikingLeNet {
    layers: [Arc<FrozenConv>; 3],
    options: SpikingOptions,
    dynamics: Dynamics,
    draws: usize,
    silent: SilentWindow,
    shape: Shape,
    classes: usize,
}

impl FrozenSpikingLeNet {
    /// Records the forward pass; returns logits and the two layers of (pooled) spikes.
    ///
    /// # Errors
    /// If `x` does not have the input's shape.
    pub fn record(&self, tape: &mut Tape, x: Var) -> Result<(Var, [Var; 2])> {
        let SpikingOptions { steps, surrogate, encoder, .. } = self.options;
        let x = encoder.encode(tape, x, steps)?;
        let current1 = tape.frozen(x, &self.layers[0])?;
        let spikes1 = tape.lif_pool(current1, self.dynamics, surrogate, steps, self.silent)?;
        let current2 = tape.frozen(spikes1, &self.layers[1])?;
        let spikes2 = tape.lif_pool(current2, self.dynamics, surrogate, steps, self.silent)?;
        let logits = tape.frozen(spikes2, &self.layers[2])?;
        Ok((tape.mean_steps(logits)?, [spikes1, spikes2]))
    }

    /// Records the forward pass up to the second layer's spikes; returns both layers' spikes *before* pooling, as firing
    /// rates and rasters want them.
    ///
    /// # Errors
    /// If `x` does not have the input's shape.
    pub fn spikes(&self, tape: &mut Tape, x: Var) -> Result<[Var; 2]> {
        let SpikingOptions { steps, surrogate, encoder, .. } = self.options;
        let x = encoder.encode(tape, x, steps)?;
        let current1 = tape.frozen(x, &self.layers[0])?;
        let spikes1 = tape.lif(current1, self.dynamics, surrogate, steps)?;
        let pooled = tape.max_pool(spikes1, [2, 2], [2, 2])?;
        let current2 = tape.frozen(pooled, &self.layers[1])?;
        Ok([spikes1, tape.lif(current2, self.dynamics, surrogate, steps)?])
    }

    /// Time steps.
    pub fn steps(&self) -> usize {
        self.options.steps
    }

    /// The same network with another surrogate: attacks try several.
    pub fn with_surrogate(mut self, surrogate: Surrogate) -> Self {
        self.options.surrogate = surrogate;
        self
    }

    /// The same network with another gradient of pooling windows in which nobody spikes.
    pub fn with_silent_windows(mut self, silent: SilentWindow) -> Self {
        self.silent = silent;
        self
    }

    /// The same network, judged by `draws` random draws per image (at least 1). Without a Poisson encoder nothing is
    /// drawn, and one evaluation is all there is.
    pub fn with_draws(mut self, draws: usize) -> Self {
        self.draws = draws.max(1);
        self
    }
}

impl Freeze for SpikingLeNet {
    type Frozen = FrozenSpikingLeNet;

    fn freeze(&self) -> Result<FrozenSpikingLeNet> {
        Ok(FrozenSpikingLeNet {
            layers: self.lenet.freeze()?.layers(),
            options: self.options,
            dynamics: self.dynamics,
            draws: DRAWS,
            silent: SilentWindow::Largest,
            shape: self.lenet.input_shape(),
            classes: self.lenet.classes(),
        })
    }
}

impl FrozenNetwork for FrozenSpikingLeNet {
    fn input_shape(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn logits(&self, tape: &mut Tape, x: Var) -> Result<Var> {
        Ok(self.record(tape, x)?.0)
    }

    fn is_random(&self) -> bool {
        self.options.encoder.is_random()
    }

    fn is_spiking(&self) -> bool {
        true
    }

    fn rectified(&self) -> Option<Box<dyn FrozenNetwork + '_>> {
        Some(Box::new(FrozenLeNet::of_layers(self.layers.clone())))
    }

    fn draws(&self) -> usize {
        if self.is_random() { self.draws } else { 1 }
    }
}
