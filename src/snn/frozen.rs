//! The spiking form of a trained network: what evaluation and attacks run.

use super::neurons::{Neurons, SpikingLayer, names};
use super::{SpikingModel, SpikingOptions};
use crate::Result;
use crate::autodiff::{Tape, Var};
use crate::kernels::lif::SilentWindow;
use crate::nn::architecture::Architecture;
use crate::nn::{Classifier, DRAWS, Freeze, FrozenModel, FrozenNetwork, Session, tape_session};
use crate::tensor::{Context, Shape};

/// The spiking network in evaluation mode, batch normalization folded into the convolutions.
///
/// With [`Encoder::Poisson`](super::Encoder::Poisson) it is random: it draws from the keys of the tape that it is recorded on,
/// and the mean logits of several draws decide about an image (see [`Classifier::draws`]).
///
/// Its gradients are for attacks: in a pooling window without spikes they go to the neuron that is nearest to a
/// spike ([`SilentWindow::Largest`]), while training's go to the first.
#[derive(Clone, Debug)]
pub struct FrozenSpikingModel {
    model: FrozenModel,
    options: SpikingOptions,
    layers: Vec<SpikingLayer>,
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
        Ok(tape.mean_steps(logits))
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

    /// The same network with another gradient of pooling windows without spikes.
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

impl Classifier for FrozenSpikingModel {
    fn input_shape(&self) -> Shape {
        self.model.input_shape()
    }

    fn classes(&self) -> usize {
        self.model.classes()
    }

    fn sample_bytes(&self) -> usize {
        self.model.architecture().least_spiking_bytes(self.options.steps)
    }

    fn is_random(&self) -> bool {
        self.options.encoder.is_random()
    }

    fn is_spiking(&self) -> bool {
        !self.layers.is_empty()
    }

    fn pools_spikes(&self) -> bool {
        self.model.pools_rectified()
    }

    fn as_network(&self) -> Option<&dyn FrozenNetwork> {
        Some(self)
    }

    fn rectified(&self) -> Option<&dyn FrozenNetwork> {
        Some(&self.model)
    }

    fn draws(&self) -> usize {
        if self.is_random() { self.draws } else { 1 }
    }

    fn session(&self, context: Context) -> Box<dyn Session + '_> {
        tape_session(self, context)
    }
}

impl FrozenNetwork for FrozenSpikingModel {
    fn logits(&self, tape: &mut Tape, x: Var) -> Result<Var> {
        self.record_into(tape, x, None, false)
    }

    fn spikes(&self, tape: &mut Tape, x: Var) -> Result<Vec<Var>> {
        FrozenSpikingModel::spikes(self, tape, x)
    }

    fn features(&self) -> usize {
        self.model.features()
    }

    fn stretched(&self, factor: usize) -> Option<Box<dyn FrozenNetwork + Send + '_>> {
        let mut longer = self.clone();
        longer.options.steps = longer.options.steps.checked_mul(factor)?;
        Some(Box::new(longer))
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
}
