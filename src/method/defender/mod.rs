//! Runs the stages of a defense, one pass or epoch at a time.

mod checkpoint;

use super::{BatchProgress, Defense, Networks, Settings, Stage, StageRun, Training};
use crate::Result;
use crate::checkpoint::StateDict;
use crate::data::Dataset;
use crate::method::spiking_settings::SETTINGS;
use crate::nn::{Model, Network, check_finite_state};
use crate::simd::random::Key;
use crate::snn::SpikingModel;
use crate::tensor::Context;

/// A pass or an epoch that was just made.
#[derive(Clone, Debug)]
pub struct PassReport {
    /// The stage that it was part of.
    pub stage: &'static str,
    /// Passes or epochs of this stage that are done.
    pub done: usize,
    /// Passes or epochs of this stage in all.
    pub of: usize,
    /// Mean loss, where there is one.
    pub loss: Option<f32>,
}

/// A control on its way to a defended model.
pub struct Defender {
    defense: &'static dyn Defense,
    settings: Settings,
    stages: Vec<Box<dyn Stage>>,
    /// Place of the stage at work.
    at: usize,
    networks: Networks,
    run: Option<Box<dyn StageRun>>,
}

impl Defender {
    /// Before the first stage.
    ///
    /// # Errors
    /// If a setting makes no sense, even one of another defense, or the defense does not apply to the network or its images.
    pub fn new(defense: &'static dyn Defense, control: Model, settings: Settings) -> Result<Self> {
        settings.validate()?;
        let model = control.clone();
        let networks =
            Networks { control, model, teacher: None, first_linear: None, spiking: None };
        let stages = defense.stages(&settings);
        for stage in &stages {
            stage.check(&settings, &networks.control)?;
            let batches = stage.batches(&settings);
            batches.map_or(Ok(()), |b| b.check_shape(networks.control.input_shape()))?;
        }
        Ok(Self { defense, settings, stages, at: 0, networks, run: None })
    }

    /// Refuses fewer training images than fill a batch of any stage, before the first begins.
    ///
    /// # Errors
    /// Those of [`Training::check_images`].
    pub fn check_images(&self, images: usize) -> Result<()> {
        Training::Defense(self.defense).check_images(&self.settings, images)
    }

    /// The model as it is now, seen as a network of rectifiers with the running statistics that it has.
    pub fn model(&self) -> &Model {
        &self.networks.model
    }

    /// The spiking network as the last pass left it, if that trained one.
    pub fn spiking(&self) -> Option<&SpikingModel> {
        self.networks.spiking.as_ref()
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The finished model with notes of what it is: defense, profile, every setting.
    pub fn state(&self) -> StateDict {
        let mut state = self.model().state();
        state.note("defense", self.defense.name());
        state.note(SETTINGS, &self.settings);
        state
    }

    /// Makes the next pass or epoch; `None` when the defense is complete.
    ///
    /// # Errors
    /// Those of the stage: images of another shape, too few of them, numbers that stop being finite.
    pub fn advance(&mut self, context: &Context, data: &Dataset) -> Result<Option<PassReport>> {
        self.advance_with(context, data, |_| {})
    }

    /// As [`advance`](Self::advance); `observer` is told of every batch.
    ///
    /// # Errors
    /// Those of [`advance`](Self::advance).
    pub fn advance_with(
        &mut self,
        context: &Context,
        data: &Dataset,
        mut observer: impl FnMut(BatchProgress) + Send,
    ) -> Result<Option<PassReport>> {
        if self.at == self.stages.len() {
            return Ok(None);
        }
        self.networks.spiking = None;
        let mut run = match self.run.take() {
            Some(run) => run,
            None => self.begin(context)?,
        };
        let stage = self.stages[self.at].name();
        let mut loss = None;
        // A stage of no pass or epoch leaves everything as it is.
        if run.passes() > 0 {
            let mut progress = |batch, batches, images| {
                observer(BatchProgress { stage, batch, batches, images, loss: None });
            };
            loss = run.pass(context, data, &mut self.networks, &mut progress)?;
        }
        let (done, of) = (run.passes_done(), run.passes());
        if done >= of {
            run.finish(&mut self.networks);
            self.at += 1;
        } else {
            self.run = Some(run);
        }
        check_finite_state(&self.model().state(), || format!("{stage}, {done} of {of}"))?;
        Ok(Some(PassReport { stage, done, of, loss }))
    }

    /// Prepares the stage that is next: its first weights, its random numbers.
    fn begin(&mut self, context: &Context) -> Result<Box<dyn StageRun>> {
        let stage = &self.stages[self.at];
        let key = Key::new(self.settings.seed).named(stage.name()).with(self.at as u64);
        stage.begin(context, &self.settings, key, &mut self.networks)
    }
}
