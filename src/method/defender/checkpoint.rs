//! Checkpoints of a defense: to continue after an interruption, or from the sleep that another defense already did.

use super::Defender;
use crate::checkpoint::{MadeWith, StateDict};
use crate::method::Settings;
use crate::method::spiking_settings::SETTINGS;
use crate::nn::{Model, Network};
use crate::sleep::linear_output;
use crate::tensor::Context;
use crate::{Error, Result};
use std::sync::Arc;

/// The linear weights right after the first slow-wave sleep.
const FIRST_LINEAR: &str = "first_linear";

impl Defender {
    /// Right after a slow-wave sleep that came first: the model, and what dreams need of the sleep. Every defense that
    /// begins with the same sleep of the same control may [`start_after`](Self::start_after) it. None at any other time.
    ///
    /// # Errors
    /// If an array of it does not have the shape that it says.
    pub fn first_sleep(&self) -> Result<Option<StateDict>> {
        if !self.begins_shared() || self.at != 1 || self.run.is_some() {
            return Ok(None);
        }
        let mut state = StateDict::default();
        state.absorb("model", self.model().state());
        self.save_first_linear(&mut state)?;
        Ok(Some(state))
    }

    /// Takes over the [`first_sleep`](Self::first_sleep) of another defender with the same control, seed and settings
    /// of slow-wave sleep, instead of sleeping again.
    ///
    /// # Errors
    /// If this defense does not begin with slow-wave sleep, or has begun already, or the state is not one of a sleep.
    pub fn start_after(&mut self, sleep: &StateDict) -> Result<()> {
        if !self.begins_shared() || self.at != 0 || self.run.is_some() {
            let problem = format!("{} is not about to fall asleep", self.defense.name());
            return Err(Error::argument("start after", problem));
        }
        let first_linear = self.first_linear_of(sleep)?;
        let of_model = sleep.names().filter(|name| name.starts_with("model."));
        sleep.expect_only("a first sleep", of_model.chain([FIRST_LINEAR]))?;
        self.networks.model.load_state(&sleep.extract("model"))?;
        self.networks.first_linear = first_linear;
        self.at = 1;
        Ok(())
    }

    fn begins_shared(&self) -> bool {
        self.stages.first().is_some_and(|stage| stage.is_shared())
    }

    /// The linear weights that a sleep or a checkpoint keeps for dreams.
    fn first_linear_of(&self, state: &StateDict) -> Result<Option<Vec<f32>>> {
        let control = &self.networks.control;
        let linear = linear_output(control.architecture());
        let linear = linear.and_then(|name| control.parameters().get(&name));
        let weights = linear.map_or(0, |linear| linear.values.len());
        Ok(state.expect_if_there(FIRST_LINEAR, &[weights])?.map(<[f32]>::to_vec))
    }

    fn save_first_linear(&self, state: &mut StateDict) -> Result<()> {
        match &self.networks.first_linear {
            None => Ok(()),
            Some(first) => state.insert(FIRST_LINEAR, vec![first.len()], first.clone()),
        }
    }

    /// Everything that a resumed defense needs.
    ///
    /// # Errors
    /// If an array of it does not have the shape that it says.
    pub fn checkpoint(&self) -> Result<StateDict> {
        let mut state = StateDict::default();
        state.note("defense", self.defense.name());
        state.note(SETTINGS, &self.settings);
        state.note("defense.stage", self.at);
        state.note("defense.at_work", self.run.is_some());
        state.absorb("model", self.model().state());
        state.absorb("control", self.networks.control.state());
        if let Some(teacher) = &self.networks.teacher {
            state.absorb("teacher", teacher.state());
        }
        self.save_first_linear(&mut state)?;
        if let Some(run) = &self.run {
            state.absorb("work", run.checkpoint(&self.networks)?);
        }
        Ok(state)
    }

    /// Continues from a [`checkpoint`](Self::checkpoint).
    ///
    /// # Errors
    /// If the checkpoint is of another defense, other settings or another control, or not one of a defense; the defender
    /// is then as it was before.
    pub fn resume(&mut self, context: &Context, state: &StateDict) -> Result<()> {
        let mut differences = self.differences(state)?;
        let (control, own) = (state.extract("control"), self.networks.control.state());
        if own.names().any(|name| control.get(name) != own.get(name)) {
            differences.push("another control".to_owned());
        }
        MadeWith::refuse(state.path(), &differences)?;
        // What may still turn out to be damaged is restored beside this defender, which stays as it is until all of it is
        // there: after a refusal the caller can continue with it, or start over.
        let mut restored =
            Self::new(self.defense, self.networks.control.clone(), self.settings.clone())?;
        restored.restore(context, state)?;
        // What was taken is what it would save.
        state.expect_only("this defense's checkpoint", restored.checkpoint()?.names())?;
        *self = restored;
        Ok(())
    }

    /// How the defense and the settings that a file was made with, a checkpoint or a defended network, differ from these, in
    /// words; empty if they do not.
    ///
    /// # Errors
    /// If the file does not say.
    pub fn differences(&self, state: &StateDict) -> Result<Vec<String>> {
        let missing = || Error::format(state.path(), "it does not say how a defense made it");
        let defense: String = state.noted("defense").ok_or_else(missing)?;
        let settings: Settings = state.noted(SETTINGS).ok_or_else(missing)?;
        let made_with = |defense: &str, settings| {
            MadeWith::default().and("defense", defense).and_all("setting ", settings)
        };
        let ours = made_with(self.defense.name(), &self.settings);
        Ok(made_with(&defense, &settings).differences(&ours))
    }

    /// Restores everything except the origin, which was compared already. On error the defender is left inconsistent and
    /// must be discarded.
    fn restore(&mut self, context: &Context, state: &StateDict) -> Result<()> {
        let missing = || Error::format(state.path(), "this is not the checkpoint of a defense");
        self.at = state.noted("defense.stage").ok_or_else(missing)?;
        if self.at > self.stages.len() {
            let (at, stages, defense) = (self.at, self.stages.len(), self.defense.name());
            let problem = format!("the checkpoint is of stage {at}; {defense} has {stages}");
            return Err(Error::format(state.path(), problem));
        }
        self.networks.first_linear = self.first_linear_of(state)?;
        let teacher = state.extract("teacher");
        if teacher.names().next().is_some() {
            let architecture = Arc::clone(self.networks.control.architecture());
            self.networks.teacher = Some(Model::from_state(architecture, &teacher)?);
        }
        self.networks.model.load_state(&state.extract("model"))?;
        let at_work: bool = state.noted("defense.at_work").ok_or_else(missing)?;
        if !at_work || self.at == self.stages.len() {
            return Ok(());
        }
        let mut run = self.begin(context)?;
        run.resume(&mut self.networks, &state.extract("work"))?;
        self.networks.model.load_state(&state.extract("model"))?;
        self.run = Some(run);
        Ok(())
    }
}
