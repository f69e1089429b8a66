//! Trainings and defenses, with a checkpoint after every pass.

use crate::data::Data;
use crate::error::{Raised, refuse};
use crate::network::{Network, json};
use crate::trained::Trained;
use crate::work::{Office, run};
use deepsleep::checkpoint::{MadeWith, StateDict};
use deepsleep::data::{DataIdentity, Dataset};
use deepsleep::evaluation::CheckpointKind;
use deepsleep::files::{Content, Output};
use deepsleep::method::{
    BatchProgress, HISTORY, HistoryPoint, InTraining, Observer, Profile, Settings, Training,
    keep_spiking_options, training_loop,
};
use deepsleep::nn::{Model, Network as _, Origin};
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Settings of a profile.
pub fn settings_of(profile: &str, seed: u64) -> deepsleep::Result<Settings> {
    let mut settings = Settings::new(profile.parse::<Profile>()?);
    settings.seed = seed;
    Ok(settings)
}

/// All settings of a profile with their values, as JSON values by dotted name.
#[pyfunction]
pub fn all_settings(profile: &str) -> PyResult<Vec<(String, String)>> {
    Ok(settings_of(profile, 0).raised()?.written())
}

/// Defenses and what they do.
#[pyfunction]
pub fn defenses() -> Vec<(&'static str, &'static str)> {
    Training::all().filter_map(Training::defense).map(|d| (d.name(), d.about())).collect()
}

/// The note of a file about the network that its training began with: a fingerprint of it.
const START: &str = "training.start";

/// What hears of a training: shows it, and keeps its checkpoints.
struct Keeper<'a> {
    office: &'a Office<'a>,
    checkpoint: Option<&'a Path>,
    origin: &'a Origin,
    images: usize,
    done: usize,
}

impl Observer for Keeper<'_> {
    fn on_batch(&mut self, progress: BatchProgress) {
        self.done += progress.images;
        let loss = progress.loss.map_or(String::new(), |loss| format!(", loss {loss:.4}"));
        self.office.tell(self.done, self.images, format!("{}{loss}", progress.stage));
    }

    fn on_pass(
        &mut self,
        _: &dyn InTraining,
        _: &[HistoryPoint],
        mut checkpoint: StateDict,
    ) -> deepsleep::Result<()> {
        self.done = 0;
        self.origin.note_in(&mut checkpoint);
        self.checkpoint.map_or(Ok(()), |path| checkpoint.save(path))
    }
}

/// Trains a control, or defends one; the network and its history as JSON. With `out`, `out.checkpoint` holds the last pass.
#[pyfunction]
#[pyo3(signature = (train, test, defense, start, architecture, profile, seed, changes, out, resume, threads, progress=None))]
#[expect(clippy::too_many_arguments, reason = "a function of Python's, called with keywords")]
pub fn run_training<'py>(
    py: Python<'py>,
    train: &Data,
    test: &Data,
    defense: Option<&str>,
    start: Option<&Network>,
    architecture: Option<&str>,
    profile: &str,
    seed: u64,
    changes: Vec<(String, String)>,
    out: Option<PathBuf>,
    resume: bool,
    threads: usize,
    progress: Option<Bound<'py, PyAny>>,
) -> PyResult<(Network, String)> {
    let trained = defense.map_or(Ok(Training::Control), str::parse).raised()?;
    let of_profile = settings_of(profile, seed).raised()?;
    let changes: Vec<(&str, &str)> =
        changes.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let settings = of_profile.changed(&changes).raised()?;
    if let Some(problem) = trained.unread(&of_profile, &changes).raised()? {
        return Err(refuse(format!("setting: {problem}")));
    }
    let mut training = match (defense, start) {
        (Some(_), Some(start)) => {
            let network = start.model.architecture();
            if trained.defense().is_some()
                && let Some(problem) = of_profile.unread_by(network, &changes).raised()?
            {
                return Err(refuse(format!("setting: {problem}")));
            }
            Trained::defended(trained, &start.model, &settings)?
        }
        (None, Some(start)) => Trained::from_weights(&start.model, &settings)?,
        (_, None) => Trained::control(architecture.unwrap_or_default(), &settings)?,
    };
    let images = [&train.0, &test.0];
    let network = Arc::clone(training.in_training().model().architecture());
    training.check_images(images)?;
    let checkpoint = out.as_ref().map(|out| {
        let mut name = out.clone().into_os_string();
        name.push(".checkpoint");
        PathBuf::from(name)
    });
    if let (Some(out), Some(checkpoint)) = (&out, &checkpoint) {
        // What cannot be written at the end is not worth an hour.
        Output::open(out).and_then(|out| out.to_hold(Content::Network)).raised()?;
        let kind = match training {
            Trained::Control(_) => CheckpointKind::Training,
            Trained::Defended(_) => CheckpointKind::Defense,
        };
        Output::open(checkpoint).and_then(|checkpoint| kind.expect(&checkpoint)).raised()?;
    }
    let mut course = Course {
        training,
        trained,
        settings,
        origin: Origin::new(&network, DataIdentity::of("", images[0], images[1])),
        start,
        began: start.map(|start| start.model.state().fingerprint()),
        out,
        checkpoint,
    };
    let (model, state, history) =
        run(py, &[], threads, progress.as_ref(), |office, _| course.run(office, images, resume))?;
    let network = Network::of(model, state, (false, None), Vec::new()).raised()?;
    Ok((network, json(&history)?))
}

/// A training with its files.
struct Course<'a> {
    training: Trained,
    trained: Training,
    settings: Settings,
    origin: Origin,
    start: Option<&'a Network>,
    /// The fingerprint of the network that it starts from.
    began: Option<String>,
    out: Option<PathBuf>,
    checkpoint: Option<PathBuf>,
}

impl Course<'_> {
    /// Trains to the end; the network, its file and its history.
    fn run(
        &mut self,
        office: &Office<'_>,
        images: [&Dataset; 2],
        resume: bool,
    ) -> deepsleep::Result<(Model, StateDict, Vec<HistoryPoint>)> {
        let mut history = Vec::new();
        if resume && let Some(finished) = self.resume(office, images[0].len(), &mut history)? {
            return Ok((Model::open(&finished)?, finished, history));
        }
        if let Trained::Control(_) = self.training {
            // It may be longer now than when these epochs were made.
            history.iter_mut().for_each(|point| point.of = self.settings.control.epochs);
        }
        let checkpoint = self.checkpoint.as_deref();
        let (origin, images_of_pass) = (&self.origin, images[0].len());
        let mut keeper = Keeper { office, checkpoint, origin, images: images_of_pass, done: 0 };
        let model = self.training.in_training();
        training_loop::train(office.context, model, images, &mut history, &mut keeper)?;
        let state = self.state(&history)?;
        if let Some(out) = &self.out {
            state.save(out)?;
        }
        if let Some(path) = checkpoint.filter(|path| path.exists()) {
            std::fs::remove_file(path)
                .map_err(|error| deepsleep::Error::io(path, "remove", error))?;
        }
        Ok((self.training.in_training().model().clone(), state, history))
    }

    /// Goes on from the checkpoint, or after the network that an earlier training ended with. That network's file if nothing
    /// is left to do.
    fn resume(
        &mut self,
        office: &Office<'_>,
        images: usize,
        history: &mut Vec<HistoryPoint>,
    ) -> deepsleep::Result<Option<StateDict>> {
        if let Some(path) = self.checkpoint.as_deref().filter(|path| path.exists()) {
            let state = StateDict::load(path)?;
            MadeWith::refuse(path, &self.origin.differences(&state))?;
            self.training.resume(office.context, &state)?;
            *history = state.noted(HISTORY).unwrap_or_default();
        } else if let Some(out) = self.out.as_deref().filter(|out| out.exists()) {
            let state = StateDict::load(out)?;
            let mut differences = self.origin.differences(&state);
            if state.noted::<String>(START) != self.began {
                differences.push("another network to start from".to_owned());
            }
            MadeWith::refuse(out, &differences)?;
            let more = self.training.continue_after(&state, images)?;
            *history = state.noted(HISTORY).unwrap_or_default();
            return Ok((!more).then_some(state));
        }
        Ok(None)
    }

    /// The file of the network at the end, with notes of how it was made.
    fn state(&self, history: &[HistoryPoint]) -> deepsleep::Result<StateDict> {
        let mut state = self.training.state(&self.settings);
        if let Some(start) = self.start {
            keep_spiking_options(&start.state, self.trained, &self.settings, &mut state)?;
        }
        self.origin.note_in(&mut state);
        if let Some(began) = &self.began {
            state.note(START, began);
        }
        state.note(HISTORY, history);
        state.note("clean_accuracy", history.last().map(|point| point.test_accuracy));
        Ok(state)
    }
}
