//! A network with spiking neurons in place of rectifiers (METHOD section 2), and the conversion between the two
//! (section 6).
//!
//! Its layers are those of the network with rectifiers, recorded with a time axis. What comes before the first neurons is
//! the same at every step when images are encoded directly, and is computed once.

use super::{Encoder, Neuron, Surrogate};
use crate::autodiff::{Tape, Var, Weight};
use crate::checkpoint::StateDict;
use crate::kernels::lif::{Dynamics, SilentWindow};
use crate::nn::architecture::{Architecture, Op};
use crate::nn::model::Rectifiers;
use crate::nn::{
    DRAWS, Freeze, FrozenModel, FrozenNetwork, Mode, Model, Network, Parameters, RunningStatistics,
};
use crate::tensor::Shape;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How a spiking network spikes. The default is the published network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpikingOptions {
    /// Time steps.
    pub steps: usize,
    /// The neurons of all layers.
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
    pub(crate) fn apply(self, statistics: &mut [RunningStatistics]) {
        if self != Self::Carry {
            for statistics in statistics {
                *statistics = RunningStatistics::new(statistics.mean.len());
            }
        }
    }
}

/// Refuses a network in which nothing could spike.
pub(crate) fn check_spiking(architecture: &Architecture) -> Result<()> {
    if architecture.nodes().iter().any(|node| node.op.is_rectifier()) {
        return Ok(());
    }
    let problem = "the network has neither `relu` nor `lif`, and only these are neurons: nothing in it would spike";
    Err(Error::argument("spiking network", problem))
}

/// A layer of neurons, in place of a rectifier.
#[derive(Clone, Debug)]
struct Layer {
    node: usize,
    dynamics: Dynamics,
    surrogate: Surrogate,
}

/// The neurons of every rectifier, its own where it is a node that has some.
fn layers(architecture: &Architecture, options: &SpikingOptions) -> Result<Vec<Layer>> {
    let of = |(node, op): (usize, &Op)| {
        let (neuron, surrogate) = match op {
            Op::Lif { neuron, surrogate } => (*neuron, *surrogate),
            _ => (None, None),
        };
        let dynamics = neuron.unwrap_or(options.neuron).dynamics()?;
        Ok(Layer { node, dynamics, surrogate: surrogate.unwrap_or(options.surrogate) })
    };
    let nodes = architecture.nodes().iter().map(|node| &node.op).enumerate();
    nodes.filter(|(_, op)| op.is_rectifier()).map(of).collect()
}

/// The names of an architecture's rectifiers, in order.
fn names(architecture: &Architecture) -> Vec<&str> {
    let nodes = architecture.nodes().iter();
    nodes.filter(|node| node.op.is_rectifier()).map(|node| node.name.as_str()).collect()
}

/// What is recorded in place of rectifiers.
struct Neurons<'a> {
    layers: &'a [Layer],
    steps: usize,
    silent: SilentWindow,
    /// The layers of spikes, if they are wanted.
    spikes: Option<&'a mut Vec<Var>>,
    /// Whether those are wanted before pooling.
    before_pooling: bool,
}

impl Rectifiers for Neurons<'_> {
    fn rectify(&mut self, tape: &mut Tape, node: usize, x: Var, pooled: bool) -> Result<Var> {
        let Some(layer) = self.layers.iter().find(|layer| layer.node == node) else {
            return Err(Error::argument("spiking network", format!("node {node} has no neurons")));
        };
        let (Layer { dynamics, surrogate, .. }, steps) = (layer, self.steps);
        let (spikes, out) = if pooled && !self.before_pooling {
            let spikes = tape.lif_pool(x, *dynamics, *surrogate, steps, self.silent)?;
            (spikes, spikes)
        } else {
            let spikes = tape.lif(x, *dynamics, *surrogate, steps)?;
            (spikes, if pooled { tape.max_pool(spikes, [2, 2], [2, 2])? } else { spikes })
        };
        if let Some(all) = &mut self.spikes {
            all.push(spikes);
        }
        Ok(out)
    }
}

/// The trainable spiking network.
///
/// ```
/// use deepsleep::nn::Model;
/// use deepsleep::snn::{SpikingModel, SpikingOptions, Statistics};
///
/// let options = SpikingOptions { steps: 4, ..SpikingOptions::default() };
/// let spiking = SpikingModel::from_model(&Model::lenet(0), options, Statistics::Carry)?;
/// assert_eq!(spiking.layers(), ["relu1", "relu2"]);
/// # Ok::<(), deepsleep::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpikingModel {
    /// Weights and running statistics are those of the network with rectifiers, one to one.
    model: Model,
    options: SpikingOptions,
    layers: Vec<Layer>,
    silent: SilentWindow,
}

impl SpikingModel {
    /// From a network with rectifiers.
    ///
    /// # Errors
    /// If the options make no sense, or there are no rectifiers.
    pub fn from_model(
        model: &Model,
        options: SpikingOptions,
        statistics: Statistics,
    ) -> Result<Self> {
        options.validate()?;
        check_spiking(model.architecture())?;
        let layers = layers(model.architecture(), &options)?;
        let mut model = model.clone();
        statistics.apply(model.statistics_mut());
        Ok(Self { model, options, layers, silent: SilentWindow::First })
    }

    /// As a network with rectifiers.
    pub fn to_model(&self, statistics: Statistics) -> Model {
        let mut model = self.model.clone();
        statistics.apply(model.statistics_mut());
        model
    }

    /// Its weights and statistics, as they are.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How it spikes.
    pub fn options(&self) -> &SpikingOptions {
        &self.options
    }

    /// The names of the layers of neurons, in order.
    pub fn layers(&self) -> Vec<&str> {
        names(self.model.architecture())
    }

    /// The same network, trained with another gradient of pooling windows in which nobody spikes.
    pub fn with_silent_windows(mut self, silent: SilentWindow) -> Self {
        self.silent = silent;
        self
    }

    /// Records the forward pass up to the last layer's output at every step: logits `[step]`, and all layers of
    /// spikes, pooled where 2 x 2 windows are. A Poisson encoder draws from the tape's keys.
    ///
    /// # Errors
    /// If `x` does not have the input's shape, or a Poisson encoder finds no keys on the tape.
    pub fn forward_steps(
        &mut self,
        tape: &mut Tape,
        x: Var,
        weights: &[Weight],
        mode: Mode,
    ) -> Result<(Var, Vec<Var>)> {
        let mut spikes = Vec::new();
        let logits = self.record(tape, x, weights, mode, Some(&mut spikes))?;
        Ok((logits, spikes))
    }

    fn record(
        &mut self,
        tape: &mut Tape,
        x: Var,
        weights: &[Weight],
        mode: Mode,
        spikes: Option<&mut Vec<Var>>,
    ) -> Result<Var> {
        let SpikingOptions { steps, encoder, .. } = self.options;
        let Self { model, layers, silent, .. } = self;
        let mut neurons = Neurons { layers, steps, silent: *silent, spikes, before_pooling: false };
        let x = encoder.encode(tape, x, steps)?;
        model.record(tape, x, weights, mode, Some(&mut neurons))
    }
}

impl Network for SpikingModel {
    fn input_shape(&self) -> Shape {
        self.model.input_shape()
    }

    fn classes(&self) -> usize {
        self.model.classes()
    }

    fn sample_bytes(&self) -> usize {
        self.model.architecture().least_spiking_bytes(self.options.steps)
    }

    fn parameters(&self) -> &Parameters {
        self.model.parameters()
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        self.model.parameters_mut()
    }

    fn forward(&mut self, tape: &mut Tape, x: Var, weights: &[Weight], mode: Mode) -> Result<Var> {
        let logits = self.record(tape, x, weights, mode, None)?;
        tape.mean_steps(logits)
    }

    fn move_statistics(&mut self, tape: &Tape, momentum: f32) {
        self.model.move_statistics_over(tape, self.options.steps, Some(momentum));
    }

    fn update_statistics(&mut self, tape: &Tape) {
        self.model.move_statistics_over(tape, self.options.steps, None);
    }

    fn state(&self) -> StateDict {
        self.model.state()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<()> {
        self.model.load_state(state)
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
pub struct FrozenSpikingModel {
    model: FrozenModel,
    options: SpikingOptions,
    layers: Vec<Layer>,
    draws: usize,
    silent: SilentWindow,
}

impl FrozenSpikingModel {
    /// Records the forward pass; returns logits and all layers of spikes, pooled where 2 x 2 windows are.
    ///
    /// # Errors
    /// If `x` does not have the input's shape.
    pub fn record(&self, tape: &mut Tape, x: Var) -> Result<(Var, Vec<Var>)> {
        let mut spikes = Vec::new();
        let logits = self.record_into(tape, x, Some(&mut spikes), false)?;
        Ok((logits, spikes))
    }

    /// Records the forward pass; returns all layers' spikes *before* pooling, as firing rates and rasters want them.
    ///
    /// # Errors
    /// If `x` does not have the input's shape.
    pub fn spikes(&self, tape: &mut Tape, x: Var) -> Result<Vec<Var>> {
        let mut spikes = Vec::new();
        self.record_into(tape, x, Some(&mut spikes), true)?;
        Ok(spikes)
    }

    fn record_into(
        &self,
        tape: &mut Tape,
        x: Var,
        spikes: Option<&mut Vec<Var>>,
        before_pooling: bool,
    ) -> Result<Var> {
        let SpikingOptions { steps, encoder, .. } = self.options;
        let (layers, silent) = (&self.layers, self.silent);
        let mut neurons = Neurons { layers, steps, silent, spikes, before_pooling };
        let x = encoder.encode(tape, x, steps)?;
        let logits = self.model.record(tape, x, Some(&mut neurons))?;
        tape.mean_steps(logits)
    }

    /// Its layers, as they are with rectifiers.
    pub fn architecture(&self) -> &Architecture {
        self.model.architecture()
    }

    /// The names of the layers of neurons, in order.
    pub fn layers(&self) -> Vec<&str> {
        names(self.model.architecture())
    }

    /// Time steps.
    pub fn steps(&self) -> usize {
        self.options.steps
    }

    /// The same network with another surrogate for all its neurons: attacks try several.
    pub fn with_surrogate(mut self, surrogate: Surrogate) -> Self {
        self.options.surrogate = surrogate;
        self.layers.iter_mut().for_each(|layer| layer.surrogate = surrogate);
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

impl Freeze for SpikingModel {
    type Frozen = FrozenSpikingModel;

    fn freeze(&self) -> Result<FrozenSpikingModel> {
        Ok(FrozenSpikingModel {
            model: self.model.freeze()?,
            options: self.options,
            layers: self.layers.clone(),
            draws: DRAWS,
            silent: SilentWindow::Largest,
        })
    }
}

impl FrozenNetwork for FrozenSpikingModel {
    fn input_shape(&self) -> Shape {
        self.model.input_shape()
    }

    fn classes(&self) -> usize {
        self.model.classes()
    }

    fn sample_bytes(&self) -> usize {
        self.model.architecture().least_spiking_bytes(self.options.steps)
    }

    fn logits(&self, tape: &mut Tape, x: Var) -> Result<Var> {
        self.record_into(tape, x, None, false)
    }

    fn is_random(&self) -> bool {
        self.options.encoder.is_random()
    }

    fn is_spiking(&self) -> bool {
        true
    }

    fn spikes(&self, tape: &mut Tape, x: Var) -> Result<Vec<Var>> {
        FrozenSpikingModel::spikes(self, tape, x)
    }

    fn features(&self) -> usize {
        self.model.features()
    }

    /// Logits are means over the steps, and a linear layer of means is the mean of linear layers.
    fn with_head(
        &self,
        weight: &[f32],
        bias: Vec<f32>,
    ) -> Result<Option<Box<dyn FrozenNetwork + '_>>> {
        let Some(model) = self.model.with_last(weight, bias)? else { return Ok(None) };
        Ok(Some(Box::new(Self { model, ..self.clone() })))
    }

    fn rectified(&self) -> Option<Box<dyn FrozenNetwork + '_>> {
        Some(Box::new(&self.model))
    }

    fn draws(&self) -> usize {
        if self.is_random() { self.draws } else { 1 }
    }
}
