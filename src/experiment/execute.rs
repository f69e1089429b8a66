//! Does one job. Trainings are here; what measures a model is in `measure`.

use super::graph::{Job, model_file};
use super::store::{Lookup, Store, StoreEntry};
use super::work::{Observation, Work};
use crate::attack::Budget;
use crate::checkpoint::StateDict;
use crate::data::Dataset;
use crate::evaluation::{Evidence, union};
use crate::files::{MOST, read_regular};
use crate::method::{
    ControlTraining, Defender, HISTORY, HistoryPoint, InTraining, Observer, Settings, Training,
    training_loop,
};
use crate::nn::architecture::Architecture;
use crate::nn::{Freeze, FrozenNetwork, Model, Network, Origin};
use crate::snn::{SpikingModel, SpikingOptions, Statistics};
use crate::tensor::Context;
use crate::wording::to_json;
use crate::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

/// What a training found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Trained {
    pub history: Vec<HistoryPoint>,
}

/// Hears of every pass and epoch.
pub(super) type StepObserver<'a> = dyn FnMut(&str) + Send + 'a;

/// What jobs work with.
pub(super) struct Lab<'a> {
    pub context: &'a Context,
    pub store: &'a Store,
    pub train: &'a Dataset,
    pub test: &'a Dataset,
    /// For every control.
    pub architecture: &'a Arc<Architecture>,
    /// For every model.
    pub origin: &'a Origin,
    /// The key of the slow-wave sleep that the job begins with, if it does.
    pub sleep: Option<&'a str>,
}

impl Lab<'_> {
    /// Does a job: its value, and the name of the file that it made. `on_step` hears of every pass and epoch.
    pub fn execute(
        &self,
        job: &Job,
        inputs: &[&StoreEntry],
        on_step: &mut StepObserver<'_>,
    ) -> Result<(Value, Option<String>)> {
        match &job.work {
            Work::Train { training, settings, images } => {
                let train = self.train.slice(0..*images)?;
                let (mut model, history) = match training {
                    Training::Control => self.control(&job.key, settings, &train, on_step)?,
                    Training::Defense(defense) => {
                        let control = self.model(inputs[0])?;
                        let mut defender = Defender::new(*defense, control, *settings.clone())?;
                        let history = self.defend(&job.key, &mut defender, &train, on_step)?;
                        (defender.state(), history)
                    }
                };
                let file = model_file(&job.key);
                self.origin.note_in(&mut model);
                model.save(self.store.place(&file)?)?;
                let _ = std::fs::remove_file(self.checkpoint_path(&job.key));
                Ok((value(&Trained { history })?, Some(file)))
            }
            Work::Craft { attack, norm, eps, seed, images } => {
                let budget = Budget { norm: *norm, eps: *eps, seed: *seed };
                self.craft(&job.key, inputs, attack, budget, images.clone())
            }
            Work::Show { images, spiking } => {
                let cell = match inputs {
                    [model] => self.clean((model, *spiking), *images)?,
                    [model, clean, sets @ ..] => self.show((model, *spiking), clean, sets)?,
                    [] => return Err(Error::failed("experiment", "no model to show images to")),
                };
                Ok((value(&Evidence::of(&cell))?, None))
            }
            Work::Attack { attack, norm, eps, seed, images, spiking } => {
                let budget = Budget { norm: *norm, eps: *eps, seed: *seed };
                let cell = self.attack((inputs[0], *spiking), attack, budget, *images)?;
                Ok((value(&Evidence::of(&cell))?, None))
            }
            Work::Certify { bounds, eps, images } => {
                let cell = self.certify(inputs[0], *bounds, *eps, *images)?;
                Ok((value(&Evidence::of(&cell))?, None))
            }
            Work::Union { eps, .. } => {
                let cells = inputs.iter().map(|entry| read::<Evidence>(entry)?.cell(usize::MAX));
                let cell = union(&cells.collect::<Result<Vec<_>>>()?, *eps)?;
                Ok((value(&Evidence::of(&cell))?, None))
            }
            Work::Observe(what) => {
                let seen = match (what, inputs) {
                    (Observation::Network { images, spiking }, [model]) => {
                        value(&self.look_at(model, (*images, *spiking))?)
                    }
                    (Observation::Digits, [set]) => value(&self.digits(set)?),
                    (Observation::Classes, [model, sets @ ..]) => {
                        value(&self.classes(model, sets)?)
                    }
                    _ => Err(Error::failed("experiment", "nothing to observe")),
                };
                Ok((seen?, None))
            }
        }
    }

    pub(super) fn model(&self, entry: &StoreEntry) -> Result<Model> {
        Model::open(&self.state(file_of(entry)?)?)
    }

    /// What a trained model is run as.
    pub(super) fn network(
        &self,
        (entry, spiking): (&StoreEntry, Option<SpikingOptions>),
    ) -> Result<Box<dyn FrozenNetwork>> {
        network_of(&self.model(entry)?, spiking)
    }

    /// Reads a file of the store, which may come from elsewhere.
    fn state(&self, file: &str) -> Result<StateDict> {
        let path = self.store.path(file);
        StateDict::from_bytes(&read_regular(&path, MOST)?, path)
    }

    fn checkpoint_path(&self, key: &str) -> std::path::PathBuf {
        self.store.path(&checkpoint_file(key))
    }

    /// The checkpoint of this job, if there is one that can be read and is of this job: else the training starts over.
    fn checkpoint(&self, key: &str) -> Option<StateDict> {
        let state = self.state(&checkpoint_file(key)).ok()?;
        let same = self.origin.differences(&state).is_empty();
        (same && state.noted::<String>(JOB).as_deref() == Some(key)).then_some(state)
    }

    /// Trains a control, from where an earlier attempt was interrupted.
    fn control(
        &self,
        key: &str,
        settings: &Settings,
        train: &Dataset,
        on_step: &mut StepObserver<'_>,
    ) -> Result<(StateDict, Vec<HistoryPoint>)> {
        let options = &settings.control;
        let mut control =
            ControlTraining::with_settings(self.architecture, options, settings.seed)?;
        let mut history = Vec::new();
        if let Some(state) = self.checkpoint(key)
            && control.resume(&state).is_ok()
        {
            history = state.noted(HISTORY).unwrap_or_default();
        }
        self.session(key, &mut control, train, &mut history, on_step)?;
        Ok((control.model().state(), history))
    }

    /// Defends, from where an earlier attempt was interrupted, or after a sleep that another defense began with too.
    fn defend(
        &self,
        key: &str,
        defender: &mut Defender,
        train: &Dataset,
        on_step: &mut StepObserver<'_>,
    ) -> Result<Vec<HistoryPoint>> {
        let mut history = Vec::new();
        if let Some(state) = self.checkpoint(key)
            && defender.resume(self.context, &state).is_ok()
        {
            history = state.noted(HISTORY).unwrap_or_default();
        } else if let Some(sleep) = self.sleep
            && let Lookup::Entry(entry) = self.store.find(sleep)
        {
            if let Some(error) = entry.failure() {
                return Err(error);
            }
            defender.start_after(&self.state(file_of(&entry)?)?)?;
            history = read::<Trained>(&entry)?.history;
            on_step("slow-wave sleep taken from the store");
        }
        self.session(key, defender, train, &mut history, on_step)?;
        Ok(history)
    }

    fn session(
        &self,
        key: &str,
        model: &mut dyn InTraining,
        train: &Dataset,
        history: &mut Vec<HistoryPoint>,
        on_step: &mut StepObserver<'_>,
    ) -> Result<()> {
        let mut observer = Keeper { lab: self, key, start: Instant::now(), on_step };
        training_loop::train(self.context, model, [train, self.test], history, &mut observer)
    }
}

/// Keeps what a training leaves: its checkpoint, and a first sleep for others.
struct Keeper<'a> {
    lab: &'a Lab<'a>,
    key: &'a str,
    start: Instant,
    on_step: &'a mut StepObserver<'a>,
}

impl Observer for Keeper<'_> {
    fn on_pass(
        &mut self,
        model: &dyn InTraining,
        history: &[HistoryPoint],
        mut checkpoint: StateDict,
    ) -> Result<()> {
        let Lab { store, origin, sleep, .. } = *self.lab;
        history.iter().last().into_iter().for_each(|point| (self.on_step)(&line(point)));
        origin.note_in(&mut checkpoint);
        checkpoint.note(JOB, self.key);
        checkpoint.save(store.place(&checkpoint_file(self.key))?)?;
        let (Some(sleep), Some(state)) = (sleep, model.first_sleep()?) else { return Ok(()) };
        let file = format!("{sleep}.safetensors");
        state.save(store.place(&file)?)?;
        let seconds = self.start.elapsed().as_secs_f64();
        let slept = Trained { history: history.to_vec() };
        store.keep(sleep, "slow-wave sleep", seconds, value(&slept)?, Some(file))?;
        Ok(())
    }
}

/// The note of a checkpoint that names its job.
const JOB: &str = "job";

fn checkpoint_file(key: &str) -> String {
    format!("{key}.checkpoint")
}

/// A model as it is run: a network of rectifiers, or one that spikes so.
pub(super) fn network_of(
    model: &Model,
    spiking: Option<SpikingOptions>,
) -> Result<Box<dyn FrozenNetwork>> {
    Ok(match spiking {
        None => Box::new(model.freeze()?),
        Some(options) => {
            Box::new(SpikingModel::from_model(model, options, Statistics::Carry)?.freeze()?)
        }
    })
}

pub(super) fn file_of(entry: &StoreEntry) -> Result<&str> {
    let missing = || Error::NotFound(format!("the result of `{}` has no file", entry.name));
    entry.file.as_deref().ok_or_else(missing)
}

pub(super) fn value(of: &impl Serialize) -> Result<Value> {
    to_json(of).map_err(|e| Error::failed("experiment", e))
}

/// A stored value as what it is.
pub(super) fn read<T: DeserializeOwned>(entry: &StoreEntry) -> Result<T> {
    serde_json::from_value(entry.value.clone()).map_err(|e| {
        let problem = format!("the stored result of `{}` is not of its kind: {e}", entry.name);
        Error::failed("experiment", problem)
    })
}

fn line(point: &HistoryPoint) -> String {
    let HistoryPoint { stage, done, of, test_accuracy, .. } = point;
    format!("{stage} {done}/{of}, test accuracy {:.2} %", 100.0 * test_accuracy)
}
