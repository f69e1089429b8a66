//! What the training of a control and the training of a defense have in common.

use super::{BatchProgress, Batches, ControlOptions, Defender, PassReport};
use crate::Result;
use crate::checkpoint::{MadeWith, StateDict};
use crate::data::Dataset;
use crate::nn::architecture::Architecture;
use crate::nn::{Model, Network, PlainRegime, StepReport, Trainer, TrainingOptions};
use crate::snn::{SpikingModel, SpikingOptions, Statistics};
use crate::tensor::Context;
use std::sync::Arc;

/// A model that is trained one pass or epoch at a time.
pub trait InTraining {
    /// Refuses fewer training images than fill a batch of any of its stages.
    ///
    /// # Errors
    /// If there are fewer; the setting is named.
    fn check_images(&self, images: usize) -> Result<()>;

    /// Makes the next pass or epoch; `None` when all are done. `progress` is called after every batch.
    ///
    /// # Errors
    /// If the images do not fit the network, there are too few of them, or a number stops being finite.
    fn advance(
        &mut self,
        context: &Context,
        data: &Dataset,
        progress: &mut (dyn FnMut(BatchProgress) + Send),
    ) -> Result<Option<PassReport>>;

    /// The model as it is now, seen as a network of rectifiers.
    fn model(&self) -> &Model;

    /// The spiking network as the last pass left it, if it was one.
    fn spiking(&self) -> Option<&SpikingModel> {
        None
    }

    /// Everything that is needed to resume.
    ///
    /// # Errors
    /// If an array of it does not have the shape that it says.
    fn checkpoint(&self) -> Result<StateDict>;

    /// What other defenses can share: see [`Defender::first_sleep`].
    ///
    /// # Errors
    /// Those of [`Defender::first_sleep`].
    fn first_sleep(&self) -> Result<Option<StateDict>> {
        Ok(None)
    }
}

impl InTraining for Defender {
    fn check_images(&self, images: usize) -> Result<()> {
        Self::check_images(self, images)
    }

    fn advance(
        &mut self,
        context: &Context,
        data: &Dataset,
        progress: &mut (dyn FnMut(BatchProgress) + Send),
    ) -> Result<Option<PassReport>> {
        self.advance_with(context, data, progress)
    }

    fn model(&self) -> &Model {
        Self::model(self)
    }

    fn spiking(&self) -> Option<&SpikingModel> {
        Self::spiking(self)
    }

    fn checkpoint(&self) -> Result<StateDict> {
        Self::checkpoint(self)
    }

    fn first_sleep(&self) -> Result<Option<StateDict>> {
        Self::first_sleep(self)
    }
}

/// What a control is trained as.
enum Trainee {
    Rectifiers(Model),
    Spiking(SpikingModel),
}

/// The network in training, whichever it is.
macro_rules! trained_as {
    ($trainee:expr, $network:ident => $body:expr) => {
        match $trainee {
            Trainee::Rectifiers($network) => $body,
            Trainee::Spiking($network) => $body,
        }
    };
}

/// An undefended control in training.
pub struct ControlTraining {
    trainer: Trainer,
    network: Trainee,
    /// The fingerprint of the trained network that it began with; None from initial weights.
    start: Option<String>,
}

/// The note of a file about that.
const START: &str = "training.start";

impl ControlTraining {
    /// The name of its only stage.
    pub const STAGE: &str = "training";

    /// From initial weights that follow from the seed of the options.
    ///
    /// # Errors
    /// If an option makes no sense.
    pub fn new(architecture: &Arc<Architecture>, options: TrainingOptions) -> Result<Self> {
        let network = Model::new(Arc::clone(architecture), options.seed)?;
        let trainer = Trainer::new(&network, options)?;
        Ok(Self { trainer, network: Trainee::Rectifiers(network), start: None })
    }

    /// From a trained model.
    ///
    /// # Errors
    /// If an option makes no sense.
    pub fn of_model(network: Model, options: TrainingOptions) -> Result<Self> {
        let start = Some(network.state().fingerprint());
        let trainer = Trainer::new(&network, options)?;
        Ok(Self { trainer, network: Trainee::Rectifiers(network), start })
    }

    /// The same training of a spiking network, by backpropagation through time.
    ///
    /// # Errors
    /// If the options make no sense, or the network has no rectifiers.
    pub fn with_spikes(self, options: SpikingOptions) -> Result<Self> {
        let spiking = SpikingModel::from_model(self.model(), options, Statistics::Carry)?;
        Ok(Self { network: Trainee::Spiking(spiking), ..self })
    }

    /// Continues from the network that an earlier training ended with, as [`prolong`](Self::prolong) does; returns whether
    /// epochs are left to do.
    ///
    /// # Errors
    /// If that training had other options, another start or more epochs, and those of [`Trainer::prolong`].
    pub fn continue_after(&mut self, finished: &StateDict, images: usize) -> Result<bool> {
        self.refuse_other_start(finished)?;
        let Self { trainer, network, .. } = self;
        trained_as!(network, network => trainer.continue_after(network, finished, images))
    }

    /// Continues a training that ended after fewer epochs (see [`Trainer::prolong`]).
    ///
    /// # Errors
    /// Those of [`Trainer::prolong`].
    pub fn prolong(&mut self, state: &StateDict, images: usize) -> Result<()> {
        let Self { trainer, network, .. } = self;
        trained_as!(network, network => trainer.prolong(network, state, images))
    }

    /// As the settings of a method say.
    ///
    /// # Errors
    /// If an option makes no sense.
    pub fn with_settings(
        architecture: &Arc<Architecture>,
        options: &ControlOptions,
        seed: u64,
    ) -> Result<Self> {
        Self::new(architecture, options.training(seed))
    }

    /// Epochs done.
    pub fn epochs_done(&self) -> usize {
        self.trainer.epochs_done()
    }

    /// Continues from a checkpoint. With a constant learning rate the number of epochs may differ from then.
    ///
    /// # Errors
    /// If the checkpoint is of other options, of another network, or of a training that began with other weights.
    pub fn resume(&mut self, state: &StateDict) -> Result<()> {
        self.refuse_other_start(state)?;
        let Self { trainer, network, .. } = self;
        trained_as!(network, network => trainer.resume(network, state))
    }

    fn refuse_other_start(&self, state: &StateDict) -> Result<()> {
        let other = state.noted::<String>(START) != self.start;
        let differences = other.then(|| "another network to start from".to_owned());
        MadeWith::refuse(state.path(), differences.as_slice())
    }
}

impl InTraining for ControlTraining {
    fn check_images(&self, images: usize) -> Result<()> {
        Batches::of("control", self.trainer.options().batch_size).check_images(images)
    }

    fn advance(
        &mut self,
        context: &Context,
        data: &Dataset,
        progress: &mut (dyn FnMut(BatchProgress) + Send),
    ) -> Result<Option<PassReport>> {
        let (stage, of) = (Self::STAGE, self.trainer.options().epochs);
        if self.trainer.epochs_done() >= of {
            return Ok(None);
        }
        let observer = |p: StepReport| {
            let (batch, batches, images, loss) = (p.step, p.steps, p.images, Some(p.loss));
            progress(BatchProgress { stage, batch, batches, images, loss });
        };
        let Self { trainer, network, .. } = self;
        let report = trained_as!(network, network => {
            trainer.epoch_with(context, network, data, &mut PlainRegime, observer)
        })?;
        let (done, loss) = (self.trainer.epochs_done(), Some(report.loss));
        Ok(Some(PassReport { stage, done, of, loss }))
    }

    fn model(&self) -> &Model {
        match &self.network {
            Trainee::Rectifiers(model) => model,
            Trainee::Spiking(spiking) => spiking.model(),
        }
    }

    fn spiking(&self) -> Option<&SpikingModel> {
        match &self.network {
            Trainee::Rectifiers(_) => None,
            Trainee::Spiking(spiking) => Some(spiking),
        }
    }

    fn checkpoint(&self) -> Result<StateDict> {
        let Self { trainer, network, .. } = self;
        let mut checkpoint = trained_as!(network, network => trainer.checkpoint(network))?;
        if let Some(start) = &self.start {
            checkpoint.note(START, start);
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A spiking control learns as its network does with the same trainer, and goes on after a checkpoint.
    #[test]
    fn a_spiking_control_is_trained_through_time() {
        let options = TrainingOptions::default().with(|o| (o.epochs, o.batch_size) = (2, 16));
        let spiking = SpikingOptions::default().with(|o| o.steps = 2);
        let context = Context::new(1).expect("a context");
        let pixels: Vec<u8> = (0..32 * 784).map(|i| (i * 7 % 251) as u8).collect();
        let labels: Vec<u8> = (0..32).map(|i| i % 10).collect();
        let data =
            Dataset::new(pixels, labels, crate::tensor::Shape::new(1, 28, 28), 10).expect("images");
        let architecture = Arc::clone(Model::lenet(0).architecture());
        let control = || {
            let control = ControlTraining::new(&architecture, options.clone()).expect("a training");
            control.with_spikes(spiking).expect("neurons")
        };
        let mut whole = control();
        let advance = |control: &mut ControlTraining| {
            control.advance(&context, &data, &mut |_| {}).expect("an epoch").is_some()
        };
        assert!(advance(&mut whole));
        let checkpoint = whole.checkpoint().expect("a checkpoint");
        assert!(advance(&mut whole) && !advance(&mut whole));
        let mut network =
            SpikingModel::from_model(&Model::lenet(options.seed), spiking, Statistics::Carry)
                .expect("neurons");
        let mut trainer = Trainer::new(&network, options.clone()).expect("a trainer");
        for _ in 0..2 {
            trainer
                .epoch_with(&context, &mut network, &data, &mut PlainRegime, |_| {})
                .expect("an epoch");
        }
        assert_eq!(whole.model().state().fingerprint(), network.state().fingerprint());
        assert!(whole.spiking().is_some_and(|spiking| spiking.options().steps == 2));
        let mut resumed = control();
        resumed.resume(&checkpoint).expect("resumed");
        assert!(advance(&mut resumed));
        assert_eq!(resumed.model().state().fingerprint(), network.state().fingerprint());
    }

    /// It would go on with the weights of the other one.
    #[test]
    fn a_training_resumes_from_what_it_began_with() {
        let options = TrainingOptions::default();
        let of = |seed| {
            ControlTraining::of_model(Model::lenet(seed), options.clone()).expect("a training")
        };
        let new = || {
            ControlTraining::new(Model::lenet(0).architecture(), options.clone())
                .expect("a training")
        };
        let checkpoints = [new(), of(1), of(2)].map(|training| training.checkpoint().expect("one"));
        for (i, checkpoint) in checkpoints.iter().enumerate() {
            for (j, mut training) in [new(), of(1), of(2)].into_iter().enumerate() {
                match training.resume(checkpoint) {
                    Ok(()) => assert_eq!(i, j),
                    Err(error) => {
                        assert_ne!(i, j);
                        assert!(
                            error.to_string().contains("another network to start from"),
                            "{error}"
                        );
                    }
                }
            }
        }
    }
}
