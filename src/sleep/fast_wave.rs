//! Fast-wave (REM) sleep: backpropagation through time on the spiking network, on images and dreams (docs/method.md, section 5).

use crate::checkpoint::StateDict;
use crate::data::Dataset;
use crate::nn::{
    Batch, BatchAttack, EpochReport, Freeze, GradientAttack, Model, Network, Recipe, Regime,
    StepReport, Trainer, TrainingOptions,
};
use crate::simd::random::{Key, uniform_from_bits};
use crate::sleep::linear_output;
use crate::snn::{SpikingModel, SpikingOptions, Statistics};
use crate::tensor::Context;
use crate::{Error, Result};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Whose gradients make the dreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DreamSource {
    /// The undefended control: the paper's picture.
    Control,
    /// The published code: live convolutions and normalization weights, the control's running statistics, and the last
    /// layer's weights as they were after its first slow-wave step (the live ones if there was none).
    Hybrid,
    /// The rectifier view of the sleeping network as it is now.
    Live,
    /// The spiking network itself, by backpropagation through time.
    LiveSnn,
}

/// Dreams: how adversarial examples get into the sleep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DreamOptions {
    /// Whose gradients make them.
    pub source: DreamSource,
    /// How they are made.
    pub attack: GradientAttack,
    /// Their L-infinity radius; pixels are in 0..=1.
    pub eps: f32,
    /// Probability that a batch is a dream.
    pub ratio: f32,
}

crate::options::with!(DreamOptions);

/// The options of fast-wave sleep. The default is the published code's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FastWaveOptions {
    /// Passes over the data.
    pub epochs: usize,
    /// How it learns.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Whether there are dreams at all.
    pub noise: bool,
    /// The dreams.
    pub dream: DreamOptions,
    /// The spiking network.
    pub spiking: SpikingOptions,
    /// The running statistics it starts from.
    pub statistics: Statistics,
}

crate::options::with!(FastWaveOptions);

impl Default for FastWaveOptions {
    fn default() -> Self {
        Self {
            epochs: 5,
            recipe: Recipe::default(),
            noise: true,
            dream: DreamOptions {
                source: DreamSource::Hybrid,
                attack: GradientAttack::Fgsm,
                eps: 128.0 / 255.0,
                ratio: 0.5,
            },
            spiking: SpikingOptions::default(),
            statistics: Statistics::Reset,
        }
    }
}

impl FastWaveOptions {
    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// If a dream's strength or probability is not in 0..=1, its attack goes nowhere, or training or the spiking network refuses its share.
    pub fn validate(&self) -> Result<()> {
        let DreamOptions { eps, ratio, attack, .. } = self.dream;
        if let Some(problem) = attack.problem() {
            let problem = format!("`fast_wave.dream.attack` is {problem}");
            return Err(Error::argument("fast-wave sleep", problem));
        }
        if !(0.0..=1.0).contains(&ratio) || !(0.0..=1.0).contains(&eps) {
            return Err(Error::argument(
                "fast-wave sleep",
                format!("dream eps {eps} and ratio {ratio} must be between 0 and 1"),
            ));
        }
        self.spiking.validate()?;
        self.training(0).validate()
    }

    fn training(&self, seed: u64) -> TrainingOptions {
        self.recipe.training(self.epochs, seed)
    }
}

/// A network in fast-wave sleep.
pub struct FastWave {
    trainer: Trainer,
    network: SpikingModel,
    rem: Rem,
}

impl FastWave {
    /// Starts to dream. `control` is the undefended network; `first_linear` what
    /// [`SlowWave::first_linear`](super::SlowWave::first_linear) kept, for the hybrid's dreams.
    ///
    /// # Errors
    /// If the options make no sense.
    pub fn new(
        context: &Context,
        model: &Model,
        control: &Model,
        first_linear: Option<&[f32]>,
        options: &FastWaveOptions,
        seed: u64,
    ) -> Result<Self> {
        options.validate()?;
        let linear = linear_output(model.architecture());
        let weights = linear.and_then(|name| model.parameters().get(&name));
        let weights = weights.map_or(0, |weights| weights.values.len());
        if let Some(first) = first_linear.filter(|first| first.len() != weights) {
            let (expected, found) = (format!("{weights} linear weights"), first.len().to_string());
            return Err(Error::shape("fast-wave sleep", expected, found));
        }
        let network = SpikingModel::from_model(model, options.spiking, options.statistics)?;
        let training = options.training(Key::new(seed).named("fast-wave").to_u64());
        let rem = Rem {
            attack: BatchAttack::new(context),
            options: options.noise.then_some(options.dream),
            control: control.clone(),
            first_linear: first_linear.map(<[f32]>::to_vec),
        };
        Ok(Self { trainer: Trainer::new(&network, training)?, network, rem })
    }

    /// The network as it is now.
    pub fn network(&self) -> &SpikingModel {
        &self.network
    }

    /// Epochs in all.
    pub fn epochs(&self) -> usize {
        self.trainer.options().epochs
    }

    /// Epochs done.
    pub fn epochs_done(&self) -> usize {
        self.trainer.epochs_done()
    }

    /// Sleeps one epoch.
    ///
    /// # Errors
    /// As for [`Trainer::epoch_with`].
    pub fn epoch(&mut self, context: &Context, data: &Dataset) -> Result<EpochReport> {
        self.epoch_with(context, data, |_| {})
    }

    /// As [`epoch`](Self::epoch); `observer` is told of every step.
    ///
    /// # Errors
    /// As for [`Trainer::epoch_with`].
    pub fn epoch_with(
        &mut self,
        context: &Context,
        data: &Dataset,
        observer: impl FnMut(StepReport) + Send,
    ) -> Result<EpochReport> {
        let Self { trainer, network, rem } = self;
        trainer.epoch_with(context, network, data, rem, observer)
    }

    /// Everything that a resumed sleep needs.
    ///
    /// # Errors
    /// Never: the shapes are the network's own.
    pub fn checkpoint(&self) -> Result<StateDict> {
        self.trainer.checkpoint(&self.network)
    }

    /// Continues from a [`checkpoint`](Self::checkpoint).
    ///
    /// # Errors
    /// If the checkpoint is of other options or of another network.
    pub fn resume(&mut self, state: &StateDict) -> Result<()> {
        self.trainer.resume(&mut self.network, state)
    }
}

/// The regime: a coin a batch decides whether it is dreamt.
struct Rem {
    attack: BatchAttack,
    /// None: no dreams.
    options: Option<DreamOptions>,
    control: Model,
    first_linear: Option<Vec<f32>>,
}

impl Rem {
    /// The published mixture of the sleeping network and the control.
    fn hybrid(&self, network: &SpikingModel) -> Model {
        let mut hybrid = network.to_model(Statistics::Carry);
        hybrid.statistics_mut().clone_from_slice(self.control.statistics());
        if let (Some(first), Some(name)) =
            (&self.first_linear, linear_output(hybrid.architecture()))
            && let Some(linear) = hybrid.parameters_mut().get_mut(&name)
        {
            linear.values.copy_from_slice(first);
        }
        hybrid
    }
}

impl Regime<SpikingModel> for Rem {
    fn prepare(&mut self, network: &mut SpikingModel, batch: &mut Batch<'_>) -> Result<()> {
        let Some(DreamOptions { source, attack, eps, ratio }) = self.options else { return Ok(()) };
        let coin = uniform_from_bits(batch.key.named("coin").generator().next_u32());
        if coin >= ratio {
            return Ok(());
        }
        let key = batch.key.named("dream");
        let (images, labels) = (&mut batch.images, batch.labels);
        match source {
            DreamSource::Control => {
                self.attack.perturb(&self.control.freeze()?, attack, eps, images, labels, key)
            }
            DreamSource::Hybrid => {
                let hybrid = self.hybrid(network).freeze()?;
                self.attack.perturb(&hybrid, attack, eps, images, labels, key)
            }
            DreamSource::Live => {
                let live = network.to_model(Statistics::Carry).freeze()?;
                self.attack.perturb(&live, attack, eps, images, labels, key)
            }
            DreamSource::LiveSnn => {
                self.attack.perturb(&network.freeze()?, attack, eps, images, labels, key)
            }
        }
    }
}
