//! A defense on disk: to go on after an interruption, or after the sleep that another defense has had.

use super::{Defender, Stage, Work};
use crate::checkpoint::StateDict;
use crate::nn::{LeNet, Network};
use crate::sleep::Settings;
use crate::tensor::Context;
use crate::{Error, Result};

/// The linear weights right after the first slow-wave sleep.
const FIRST_LINEAR: &str = "first_linear";

impl Defender {
    /// Right after a slow-wave sleep that came first: the model, and what dreams need of the sleep. Every defense that
    /// begins with the same sleep of the same control may [`start_after`](Self::start_after) it.
    ///
    /// # Errors
    /// None in practice: the shapes are the network's own.
    pub fn first_sleep(&self) -> Result<Option<StateDict>> {
        let just_slept = self.stages.first() == Some(&Stage::SlowWave) && self.at == 1;
        if !just_slept || self.work.is_some() {
            return Ok(None);
        }
        let mut state = StateDict::default();
        state.absorb("model", self.model.state());
        if let Some(first) = &self.first_linear {
            state.insert(FIRST_LINEAR, vec![first.len()], first.clone())?;
        }
        Ok(Some(state))
    }

    /// Takes over the [`first_sleep`](Self::first_sleep) of another defender with the same control, seed and settings
    /// of slow-wave sleep, instead of sleeping again.
    ///
    /// # Errors
    /// If this defense does not begin with slow-wave sleep, or has begun already, or the state is not one of a sleep.
    pub fn start_after(&mut self, sleep: &StateDict) -> Result<()> {
        if self.stages.first() != Some(&Stage::SlowWave) || self.at != 0 || self.work.is_some() {
            let problem = format!("{} is not about to fall asleep", self.defense.name());
            return Err(Error::argument("start after", problem));
        }
        let first_linear = self.first_linear_of(sleep)?;
        let of_model = sleep.names().filter(|name| name.starts_with("model."));
        sleep.expect_only("a first sleep", of_model.chain([FIRST_LINEAR]))?;
        self.model.load_state(&sleep.extract("model"))?;
        self.first_linear = first_linear;
        self.at = 1;
        Ok(())
    }

    /// The linear weights that a sleep or a checkpoint keeps for dreams.
    fn first_linear_of(&self, state: &StateDict) -> Result<Option<Vec<f32>>> {
        let weights = self.control.parameters().get("fc.weight").map_or(0, |fc| fc.values.len());
        Ok(state.expect_if_there(FIRST_LINEAR, &[weights])?.map(<[f32]>::to_vec))
    }

    /// Everything that a resumed defense needs.
    ///
    /// # Errors
    /// None in practice: the shapes are the networks' own.
    pub fn checkpoint(&self) -> Result<StateDict> {
        let mut state = StateDict::default();
        state.note("defense", self.defense.name());
        state.note("settings", &self.settings);
        state.note("defense.stage", self.at);
        state.note("defense.at_work", self.work.is_some());
        state.absorb("model", self.model.state());
        state.absorb("control", self.control.state());
        if let Some(teacher) = &self.teacher {
            state.absorb("teacher", teacher.state());
        }
        if let Some(first) = &self.first_linear {
            state.insert(FIRST_LINEAR, vec![first.len()], first.clone())?;
        }
        match &self.work {
            None => {}
            Some(Work::Training(trainer, _)) => {
                state.absorb("work", trainer.checkpoint(&self.model)?)
            }
            Some(Work::Slow(sleep)) => state.absorb("work", sleep.checkpoint()?),
            Some(Work::Fast(sleep)) => state.absorb("work", sleep.checkpoint()?),
        }
        Ok(state)
    }

    /// Continues from a [`checkpoint`](Self::checkpoint).
    ///
    /// # Errors
    /// If the checkpoint is of another defense, other settings or another control, or not one of a defense; the defender
    /// is then as it was before.
    pub fn resume(&mut self, context: &Context, state: &StateDict) -> Result<()> {
        let missing = || Error::format(state.path(), "this is not the checkpoint of a defense");
        let defense: String = state.noted("defense").ok_or_else(missing)?;
        let settings: Settings = state.noted("settings").ok_or_else(missing)?;
        let control = state.extract("control");
        let same_control = self
            .control
            .state()
            .names()
            .all(|name| control.get(name) == self.control.state().get(name));
        if defense != self.defense.name() || settings != self.settings || !same_control {
            return Err(Error::argument(
                "resume",
                format!("the checkpoint is of {defense} with other settings or another control"),
            ));
        }
        // What may still turn out to be damaged is restored beside this defender, which stays as it is until all of it is
        // there: whoever is refused can go on, or start over, with it.
        let mut restored = Self::new(self.defense, self.control.clone(), self.settings.clone())?;
        restored.restore(context, state)?;
        // What was taken is what it would save.
        state.expect_only("this defense's checkpoint", restored.checkpoint()?.names())?;
        *self = restored;
        Ok(())
    }

    /// All but what the checkpoint says of its origin; afterwards, if it fails, this defender is half of either.
    fn restore(&mut self, context: &Context, state: &StateDict) -> Result<()> {
        let missing = || Error::format(state.path(), "this is not the checkpoint of a defense");
        self.at = state.noted("defense.stage").ok_or_else(missing)?;
        if self.at > self.stages.len() {
            let (at, stages, defense) = (self.at, self.stages.len(), self.defense.name());
            let problem = format!("the checkpoint is of stage {at}; {defense} has {stages}");
            return Err(Error::format(state.path(), problem));
        }
        self.first_linear = self.first_linear_of(state)?;
        let teacher = state.extract("teacher");
        if teacher.names().next().is_some() {
            self.teacher = Some(LeNet::from_state(&teacher)?);
        }
        self.model.load_state(&state.extract("model"))?;
        let at_work: bool = state.noted("defense.at_work").ok_or_else(missing)?;
        let Some(&stage) = self.stages.get(self.at).filter(|_| at_work) else { return Ok(()) };
        let mut work = self.begin(context, stage)?;
        let of_work = state.extract("work");
        match &mut work {
            Work::Training(trainer, _) => trainer.resume(&mut self.model, &of_work)?,
            Work::Slow(sleep) => sleep.resume(&of_work)?,
            Work::Fast(sleep) => sleep.resume(&of_work)?,
        }
        self.model.load_state(&state.extract("model"))?;
        self.work = Some(work);
        Ok(())
    }
}
