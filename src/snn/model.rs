//! A network with spiking neurons in place of rectifiers (docs/method.md, section 2), and the conversion between the two
//! (section 6).
//!
//! Its layers are those of the network with rectifiers, recorded with a time axis. What comes before the first neurons is
//! the same at every step when images are encoded directly, and is computed once.

use super::neurons::{Neurons, SpikingLayer, check_spiking, layers, names};
use super::{SpikingOptions, Statistics};
use crate::Result;
use crate::autodiff::{Tape, Var, Weight};
use crate::checkpoint::StateDict;
use crate::kernels::lif::SilentWindow;
use crate::nn::{Mode, Model, Network, Parameters};
use crate::tensor::Shape;

/// The trainable spiking network.
///
/// ```
/// use deepsleep::nn::Model;
/// use deepsleep::snn::{SpikingModel, SpikingOptions, Statistics};
///
/// let options = SpikingOptions::default().with(|o| o.steps = 4);
/// let spiking = SpikingModel::from_model(&Model::lenet(0), options, Statistics::Carry)?;
/// assert_eq!(spiking.layers(), ["relu1", "relu2"]);
/// # Ok::<(), deepsleep::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpikingModel {
    /// Weights and running statistics are those of the network with rectifiers, one to one.
    pub(super) model: Model,
    pub(super) options: SpikingOptions,
    pub(super) layers: Vec<SpikingLayer>,
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

    /// The same network, trained with another gradient of pooling windows without spikes.
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
        Ok(tape.mean_steps(logits))
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
