//! Does one job: trains, crafts, shows, attacks.

use super::graph::{Job, model_file};
use super::results::Point;
use super::store::{Entry, Found, Store};
use super::work::Work;
use crate::attack::{Budget, Norm, Samples, parse_attack, run_attack};
use crate::autodiff::Tape;
use crate::checkpoint::{StateDict, to_json};
use crate::data::Dataset;
use crate::defense::Defender;
use crate::evaluation::Crafted;
use crate::files::{MOST, read_regular};
use crate::nn::{
    Freeze, FrozenNetwork, LeNet, Network, Origin, Trainer, TrainingOptions, accuracy,
};
use crate::simd::LANES;
use crate::sleep::Settings;
use crate::tensor::{Context, Tensor};
use crate::{Error, Result};
use ndarray::{Array4, ArrayView4, Axis};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Instant;

/// Images from pixels to classes at a time.
const CHUNK: usize = 32 * LANES;

/// What a training found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Trained {
    pub history: Vec<Point>,
}

/// What an evaluation found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Evaluated {
    pub images: usize,
    pub accuracy: f64,
    pub warnings: Vec<String>,
    pub zero_gradient_share: Option<f64>,
}

/// What jobs work with.
pub(super) struct Lab<'a> {
    pub context: &'a Context,
    pub store: &'a Store,
    pub train: &'a Dataset,
    pub test: &'a Dataset,
    /// Of every model.
    pub origin: &'a Origin,
    /// The key of the slow-wave sleep that the job begins with, if it does.
    pub sleep: Option<&'a str>,
}

impl Lab<'_> {
    /// Does a job: its value, and the name of the file that it made. `say` hears of every pass and epoch.
    pub fn perform(
        &self,
        job: &Job,
        inputs: &[&Entry],
        say: &mut dyn FnMut(&str),
    ) -> Result<(Value, Option<String>)> {
        match &job.work {
            Work::Train { defense, settings, images } => {
                let train = self.train.slice(0, *images)?;
                let (mut model, history) = match defense {
                    None => self.control(&job.key, settings, &train, say)?,
                    Some(defense) => {
                        let control = self.model(inputs[0])?;
                        let mut defender = Defender::new(*defense, control, *settings.clone())?;
                        let history = self.defend(&job.key, &mut defender, &train, say)?;
                        (defender.state(), history)
                    }
                };
                let file = model_file(&job.key);
                self.origin.note_in(&mut model);
                model.save(self.store.place(&file)?)?;
                let _ = std::fs::remove_file(self.checkpoint_path(&job.key));
                Ok((value(&Trained { history })?, Some(file)))
            }
            Work::Craft { attack: text, eps, seed, images } => {
                let source = self.model(inputs[0])?.freeze()?;
                let samples = Samples::from_dataset(self.test, images.clone())?;
                let budget = Budget { norm: Norm::Linf, eps: *eps, seed: *seed };
                let method = parse_attack(text)?;
                let crafted =
                    Crafted::craft(self.context, &source, &samples, method.as_ref(), budget)?;
                let file = format!("{}.npz", job.key);
                let about = serde_json::json!({ "attack": text });
                crafted.to_npz(&about)?.save(self.store.place(&file)?)?;
                Ok((serde_json::json!({ "images": images.len() }), Some(file)))
            }
            Work::Show { images } => {
                let model = self.model(inputs[0])?.freeze()?;
                let (mut right, mut count) = (0, 0);
                if inputs.len() == 1 {
                    let clean = Samples::from_dataset(self.test, 0..*images)?;
                    count = clean.len();
                    right = self.right(&model, clean.to_array().view(), clean.labels())?;
                }
                for set in &inputs[1..] {
                    let crafted = Crafted::load(self.store.path(file_of(set)?))?;
                    let samples = crafted.samples();
                    let mut shown: Array4<f32> = samples.to_array();
                    for (i, mut image) in shown.outer_iter_mut().enumerate() {
                        image.iter_mut().zip(crafted.image(i)).for_each(|(to, &from)| *to = from);
                    }
                    count += samples.len();
                    right += self.right(&model, shown.view(), samples.labels())?;
                }
                let evaluated = Evaluated {
                    images: count,
                    accuracy: right as f64 / count.max(1) as f64,
                    warnings: Vec::new(),
                    zero_gradient_share: None,
                };
                Ok((value(&evaluated)?, None))
            }
            Work::Attack { attack: text, eps, seed, images } => {
                let model = self.model(inputs[0])?.freeze()?;
                let samples = Samples::from_dataset(self.test, 0..*images)?;
                let budget = Budget { norm: Norm::Linf, eps: *eps, seed: *seed };
                let method = parse_attack(text)?;
                let report = run_attack(self.context, &model, &samples, method.as_ref(), budget)?;
                let evaluated = Evaluated {
                    images: samples.len(),
                    accuracy: report.robust_accuracy(),
                    zero_gradient_share: report.zero_gradient_share(),
                    warnings: report.warnings,
                };
                Ok((value(&evaluated)?, None))
            }
        }
    }

    fn model(&self, entry: &Entry) -> Result<LeNet> {
        LeNet::from_state(&self.state(file_of(entry)?)?)
    }

    /// Reads a file of the store, which may be somebody else's.
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

    fn save_checkpoint(&self, key: &str, mut state: StateDict, history: &[Point]) -> Result<()> {
        self.origin.note_in(&mut state);
        state.note(JOB, key);
        state.note("history", history);
        state.save(self.store.place(&checkpoint_file(key))?)
    }

    fn control(
        &self,
        key: &str,
        settings: &Settings,
        train: &Dataset,
        say: &mut dyn FnMut(&str),
    ) -> Result<(StateDict, Vec<Point>)> {
        let options = TrainingOptions { seed: settings.seed, ..settings.control.clone() };
        let of = options.epochs;
        let mut network = LeNet::new(settings.seed);
        let mut trainer = Trainer::new(&network, options)?;
        let mut history: Vec<Point> = Vec::new();
        if let Some(state) = self.checkpoint(key)
            && trainer.resume(&mut network, &state).is_ok()
        {
            history = state.noted("history").unwrap_or_default();
        }
        while trainer.epochs_done() < of {
            let report = trainer.epoch(self.context, &mut network, train, &mut |_| {})?;
            let point = Point {
                stage: "training".into(),
                done: trainer.epochs_done(),
                of,
                loss: Some(report.loss),
                test_accuracy: accuracy(self.context, &network.freeze()?, self.test)?,
                spiking_accuracy: None,
            };
            say(&line(&point));
            history.push(point);
            self.save_checkpoint(key, trainer.checkpoint(&network)?, &history)?;
        }
        Ok((network.state(), history))
    }

    /// Defends, from where an earlier attempt was interrupted, or after a sleep that another defense began with too.
    fn defend(
        &self,
        key: &str,
        defender: &mut Defender,
        train: &Dataset,
        say: &mut dyn FnMut(&str),
    ) -> Result<Vec<Point>> {
        let mut history: Vec<Point> = Vec::new();
        if let Some(state) = self.checkpoint(key)
            && defender.resume(self.context, &state).is_ok()
        {
            history = state.noted("history").unwrap_or_default();
        } else if let Some(sleep) = self.sleep
            && let Found::Entry(entry) = self.store.find(sleep)
        {
            defender.start_after(&self.state(file_of(&entry)?)?)?;
            history = read::<Trained>(&entry)?.history;
            say("slow-wave sleep taken from the store");
        }
        let start = Instant::now();
        while let Some(step) = defender.advance(self.context, train, &mut |_| {})? {
            let spiking = match defender.spiking() {
                // A single draw, if it draws at all: many images average well enough.
                Some(network) => {
                    Some(accuracy(self.context, &network.freeze()?.with_draws(1), self.test)?)
                }
                None => None,
            };
            let point = Point {
                stage: step.stage.into(),
                done: step.done,
                of: step.of,
                loss: step.loss,
                test_accuracy: accuracy(self.context, &defender.model().freeze()?, self.test)?,
                spiking_accuracy: spiking,
            };
            say(&line(&point));
            history.push(point);
            self.save_checkpoint(key, defender.checkpoint()?, &history)?;
            if let (Some(sleep), Some(state)) = (self.sleep, defender.first_sleep()?) {
                let file = format!("{sleep}.safetensors");
                state.save(self.store.place(&file)?)?;
                let (seconds, slept) =
                    (start.elapsed().as_secs_f64(), Trained { history: history.clone() });
                self.store.keep(sleep, "slow-wave sleep", seconds, value(&slept)?, Some(file))?;
            }
        }
        Ok(history)
    }

    /// How many images a model classifies rightly.
    fn right(
        &self,
        model: &dyn FrozenNetwork,
        images: ArrayView4<'_, f32>,
        labels: &[usize],
    ) -> Result<usize> {
        let mut tape = Tape::new(self.context.clone());
        let mut right = 0;
        for (images, labels) in images.axis_chunks_iter(Axis(0), CHUNK).zip(labels.chunks(CHUNK)) {
            let x = tape.constant(Tensor::from_array(images));
            let logits = model.logits(&mut tape, x)?;
            let logits = tape.value(logits).to_array();
            for (logits, &label) in logits.outer_iter().zip(labels) {
                let logits: Vec<f32> = logits.iter().copied().collect();
                if logits.iter().any(|z| !z.is_finite()) {
                    return Err(Error::NotFinite {
                        place: "evaluation".into(),
                        problem: "a logit is not finite: the weights are damaged or too large"
                            .into(),
                    });
                }
                right += usize::from(crate::nn::predict(&logits) == label);
            }
            tape.reset();
        }
        Ok(right)
    }
}

/// The note of a checkpoint that names its job.
const JOB: &str = "job";

fn checkpoint_file(key: &str) -> String {
    format!("{key}.checkpoint")
}

fn file_of(entry: &Entry) -> Result<&str> {
    let missing = || Error::NotFound(format!("the result of `{}` has no file", entry.name));
    entry.file.as_deref().ok_or_else(missing)
}

fn value(of: &impl Serialize) -> Result<Value> {
    to_json(of).map_err(|e| Error::failed("experiment", e))
}

/// A stored value as what it is.
pub(super) fn read<T: DeserializeOwned>(entry: &Entry) -> Result<T> {
    serde_json::from_value(entry.value.clone()).map_err(|e| {
        let problem = format!("the stored result of `{}` is not of its kind: {e}", entry.name);
        Error::failed("experiment", problem)
    })
}

fn line(point: &Point) -> String {
    let Point { stage, done, of, test_accuracy, .. } = point;
    format!("{stage} {done}/{of}, test accuracy {:.2} %", 100.0 * test_accuracy)
}
