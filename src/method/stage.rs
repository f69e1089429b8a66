//! The stages of a defense. A new defense implements one unless existing stages suffice.

use super::{Batches, Settings};
use crate::checkpoint::StateDict;
use crate::data::Dataset;
use crate::nn::{Model, Network, Regime, Trainer};
use crate::simd::random::Key;
use crate::snn::{SpikingModel, Statistics};
use crate::tensor::Context;
use crate::{Error, Result};

/// The networks of a defense: what its stages hand on to one another.
#[derive(Clone, Debug)]
pub struct Networks {
    /// The undefended network that the defense started from.
    pub control: Model,
    /// The model as it is now; during a stage, as the last pass or epoch left it.
    pub model: Model,
    /// The teacher, once there is one.
    pub teacher: Option<Model>,
    /// The linear weights right after the first step of the first slow-wave sleep, once there was one.
    pub first_linear: Option<Vec<f32>>,
    /// The spiking network as the last pass left it, if that trained one.
    pub spiking: Option<SpikingModel>,
}

/// A batch that was just processed.
#[derive(Clone, Copy, Debug)]
pub struct BatchProgress {
    /// The stage that it is part of.
    pub stage: &'static str,
    /// Batches of this pass or epoch that are done.
    pub batch: usize,
    /// Batches of this pass or epoch in all.
    pub batches: usize,
    /// Images of this batch.
    pub images: usize,
    /// Its mean loss, where it is known.
    pub loss: Option<f32>,
}

/// Hears of every batch of a pass or epoch: how many are done, how many there are, and the images of this one.
pub type PassProgress<'a> = dyn FnMut(usize, usize, usize) + Send + 'a;

/// A stage, before it begins.
pub trait Stage: Send + Sync {
    /// Its name, in histories and messages. The stage's random numbers depend on it.
    fn name(&self) -> &'static str;

    /// Refuses what this stage could not work with, before any stage begins.
    ///
    /// # Errors
    /// If it does not apply to the network, or a setting names what the network does not have.
    fn check(&self, settings: &Settings, control: &Model) -> Result<()> {
        let _ = (settings, control);
        Ok(())
    }

    /// How it goes over the training images, if that is in whole batches.
    fn batches(&self, settings: &Settings) -> Option<Batches>;

    /// Prepares the first pass. May replace the model by another one to start from. Everything random must follow from
    /// `key`.
    ///
    /// # Errors
    /// If the settings or the networks make no sense.
    fn begin(
        &self,
        context: &Context,
        settings: &Settings,
        key: Key,
        networks: &mut Networks,
    ) -> Result<Box<dyn StageRun>>;

    /// Whether every defense that begins with this stage can share it: it must depend on nothing but the control, the
    /// seed and the group `slow_wave`.
    fn is_shared(&self) -> bool {
        false
    }
}

/// A stage at work.
pub trait StageRun: Send {
    /// Passes or epochs in all.
    fn passes(&self) -> usize;

    /// Passes or epochs done.
    fn passes_done(&self) -> usize;

    /// Makes the next pass or epoch and leaves its outcome in `networks`. `progress` hears of every batch. Returns the mean
    /// loss, if there is one.
    ///
    /// # Errors
    /// If the images do not fit the network, or a number stops being finite.
    fn pass(
        &mut self,
        context: &Context,
        data: &Dataset,
        networks: &mut Networks,
        progress: &mut PassProgress<'_>,
    ) -> Result<Option<f32>>;

    /// Called after the last pass.
    fn finish(&mut self, networks: &mut Networks) {
        let _ = networks;
    }

    /// What a resumed stage needs, between two passes.
    ///
    /// # Errors
    /// If an array of it does not have the shape that it says.
    fn checkpoint(&self, networks: &Networks) -> Result<StateDict>;

    /// Continues from a [`checkpoint`](Self::checkpoint).
    ///
    /// # Errors
    /// If the checkpoint is of something else; the run is then of no more use.
    fn resume(&mut self, networks: &mut Networks, state: &StateDict) -> Result<()>;
}

/// A network that a stage trains: the model itself, or the model run as a spiking network.
pub trait TrainedNetwork: Network + Sized {
    /// Leaves what it has become to the stages that follow.
    fn hand_on(&self, networks: &mut Networks);
}

impl TrainedNetwork for Model {
    fn hand_on(&self, networks: &mut Networks) {
        networks.model = self.clone();
    }
}

impl TrainedNetwork for SpikingModel {
    fn hand_on(&self, networks: &mut Networks) {
        networks.model = self.to_model(Statistics::Carry);
        networks.spiking = Some(self.clone());
    }
}

/// A stage that trains a network by backpropagation.
pub struct TrainingRun<N> {
    trainer: Trainer,
    network: N,
    regime: Box<dyn Regime<N>>,
    then: Option<fn(&mut Networks)>,
}

impl<N: TrainedNetwork> TrainingRun<N> {
    /// Trains this network with this trainer under this regime.
    pub fn new(trainer: Trainer, network: N, regime: impl Regime<N> + 'static) -> Self {
        Self { trainer, network, regime: Box::new(regime), then: None }
    }

    /// Does this too, after the last epoch.
    #[must_use]
    pub fn then(self, then: fn(&mut Networks)) -> Self {
        Self { then: Some(then), ..self }
    }
}

impl<N: TrainedNetwork + Send> StageRun for TrainingRun<N> {
    fn passes(&self) -> usize {
        self.trainer.options().epochs
    }

    fn passes_done(&self) -> usize {
        self.trainer.epochs_done()
    }

    fn pass(
        &mut self,
        context: &Context,
        data: &Dataset,
        networks: &mut Networks,
        progress: &mut PassProgress<'_>,
    ) -> Result<Option<f32>> {
        let Self { trainer, network, regime, .. } = self;
        let mut progress = |p: crate::nn::StepReport| progress(p.step, p.steps, p.images);
        let report = trainer.epoch_with(context, network, data, regime.as_mut(), &mut progress)?;
        if trainer.epochs_done() == trainer.options().epochs {
            trainer.finish(network)?;
        }
        network.hand_on(networks);
        Ok(Some(report.loss))
    }

    fn finish(&mut self, networks: &mut Networks) {
        if let Some(then) = self.then {
            then(networks);
        }
    }

    fn checkpoint(&self, _: &Networks) -> Result<StateDict> {
        self.trainer.checkpoint(&self.network)
    }

    fn resume(&mut self, networks: &mut Networks, state: &StateDict) -> Result<()> {
        self.trainer.resume(&mut self.network, state)?;
        self.network.hand_on(networks);
        Ok(())
    }
}

/// What a [`SinglePass`] does.
type Action =
    dyn FnMut(&Context, &Dataset, &mut Networks, &mut PassProgress<'_>) -> Result<()> + Send;

/// A stage of one pass, which has no state to save.
pub struct SinglePass {
    action: Box<Action>,
    done: bool,
}

impl SinglePass {
    /// Does this.
    pub fn new(
        action: impl FnMut(&Context, &Dataset, &mut Networks, &mut PassProgress<'_>) -> Result<()>
        + Send
        + 'static,
    ) -> Self {
        Self { action: Box::new(action), done: false }
    }
}

impl StageRun for SinglePass {
    fn passes(&self) -> usize {
        1
    }

    fn passes_done(&self) -> usize {
        usize::from(self.done)
    }

    fn pass(
        &mut self,
        context: &Context,
        data: &Dataset,
        networks: &mut Networks,
        progress: &mut PassProgress<'_>,
    ) -> Result<Option<f32>> {
        (self.action)(context, data, networks, progress)?;
        self.done = true;
        Ok(None)
    }

    fn checkpoint(&self, _: &Networks) -> Result<StateDict> {
        Ok(StateDict::default())
    }

    fn resume(&mut self, _: &mut Networks, state: &StateDict) -> Result<()> {
        Err(Error::format(state.path(), "it is in the middle of a stage of a single pass"))
    }
}
