//! What is in training: a control or a defender.

use crate::error::{Raised, refuse};
use crate::network::parsed;
use deepsleep::checkpoint::{MadeWith, StateDict};
use deepsleep::data::Dataset;
use deepsleep::method::{ControlTraining, Defender, InTraining, Settings, Training};
use deepsleep::nn::architecture::Architecture;
use deepsleep::nn::{Model, Network as _};
use pyo3::prelude::*;
use std::sync::Arc;

/// A control or a defender.
pub enum Trained {
    Control(Box<ControlTraining>),
    Defended(Box<Defender>),
}

impl Trained {
    /// A control with the network's weights to begin with.
    pub fn from_weights(network: &Model, settings: &Settings) -> PyResult<Self> {
        let options = settings.control.training(settings.seed);
        let control = ControlTraining::of_model(network.clone(), options).raised()?;
        Ok(Self::Control(Box::new(control)))
    }

    /// A control of an architecture as Python writes it.
    pub fn control(architecture: &str, settings: &Settings) -> PyResult<Self> {
        let architecture: Arc<Architecture> = Arc::new(parsed(architecture).raised()?);
        let options = settings.control.training(settings.seed);
        let control = ControlTraining::new(&architecture, options).raised()?;
        Ok(Self::Control(Box::new(control)))
    }

    /// A defender of this control.
    pub fn defended(trained: Training, control: &Model, settings: &Settings) -> PyResult<Self> {
        let Some(defense) = trained.defense() else {
            return Err(refuse("defense: `none` is a control's training; call train"));
        };
        let defender = Defender::new(defense, control.clone(), settings.clone()).raised()?;
        Ok(Self::Defended(Box::new(defender)))
    }

    /// Refuses training and test images that the network does not take.
    pub fn check_images(&mut self, images: [&Dataset; 2]) -> PyResult<()> {
        let network = Arc::clone(self.in_training().model().architecture());
        for (half, data) in ["training", "test"].into_iter().zip(images) {
            if data.shape() != network.input() {
                let (found, wanted) = (data.shape(), network.input());
                return Err(refuse(format!(
                    "{half} images of {found}; the network takes {wanted}"
                )));
            }
            if data.classes() > network.classes() {
                let (found, known) = (data.classes(), network.classes());
                return Err(refuse(format!(
                    "{half} images of {found} classes; the network tells {known}"
                )));
            }
        }
        Ok(())
    }

    pub fn resume(
        &mut self,
        context: &deepsleep::Context,
        state: &StateDict,
    ) -> deepsleep::Result<()> {
        match self {
            Self::Control(control) => control.resume(state),
            Self::Defended(defender) => defender.resume(context, state),
        }
    }

    pub fn in_training(&mut self) -> &mut dyn InTraining {
        match self {
            Self::Control(control) => control.as_mut(),
            Self::Defended(defender) => defender.as_mut(),
        }
    }

    /// Whether there is anything left to do after the network that an earlier training ended with.
    pub fn continue_after(
        &mut self,
        finished: &StateDict,
        images: usize,
    ) -> deepsleep::Result<bool> {
        match self {
            Self::Control(control) => control.continue_after(finished, images),
            Self::Defended(defender) => {
                MadeWith::refuse(finished.path(), &defender.differences(finished)?)?;
                Ok(false)
            }
        }
    }

    /// The network at the end, with notes of how it was made.
    pub fn state(&self, settings: &Settings) -> StateDict {
        match self {
            Self::Control(control) => {
                let mut state = control.model().state();
                state.note("defense", Training::Control);
                state.note("training.options", settings.control.training(settings.seed));
                state
            }
            Self::Defended(defender) => defender.state(),
        }
    }
}
