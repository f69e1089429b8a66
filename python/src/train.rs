//! Trainings and defenses, with a checkpoint after every pass.

use crate::data::Data;
use crate::error::{Raised, refuse};
use crate::network::{Network, json, parsed};
use crate::work::{Office, run};
use deepsleep::checkpoint::{MadeWith, StateDict};
use deepsleep::data::DataIdentity;
use deepsleep::evaluation::CheckpointKind;
use deepsleep::files::{Content, Output};
use deepsleep::method::{
    BatchProgress, ControlTraining, Defender, HISTORY, HistoryPoint, InTraining, Observer, Profile,
    Settings, Training, keep_spiking_options, training_loop,
};
use deepsleep::nn::architecture::Architecture;
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

/// A control or a defender.
enum Trained {
    Control(Box<ControlTraining>),
    Defended(Box<Defender>),
}

impl Trained {
    fn resume(&mut self, context: &deepsleep::Context, state: &StateDict) -> deepsleep::Result<()> {
        match self {
            Self::Control(control) => control.resume(state),
            Self::Defended(defender) => defender.resume(context, state),
        }
    }

    fn in_training(&mut self) -> &mut dyn InTraining {
        match self {
            Self::Control(control) => control.as_mut(),
            Self::Defended(defender) => defender.as_mut(),
        }
    }

    /// Whether there is anything left to do after the network that an earlier training ended with.
    fn continue_after(&mut self, finished: &StateDict, images: usize) -> deepsleep::Result<bool> {
        match self {
            Self::Control(control) => control.continue_after(finished, images),
            Self::Defended(defender) => {
                MadeWith::refuse(finished.path(), &defender.differences(finished)?)?;
                Ok(false)
            }
        }
    }

    /// The network at the end, with notes of how it was made.
    fn state(&self, settings: &Settings) -> StateDict {
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
    let (train, test) = (&train.0, &test.0);
    let mut training = match (defense, start) {
        (Some(_), Some(start)) => {
            let Some(defense) = trained.defense() else {
                return Err(refuse("defense: `none` is a control's training; call train"));
            };
            let control = start.model.clone();
            if let Some(problem) =
                of_profile.unread_by(control.architecture(), &changes).raised()?
            {
                return Err(refuse(format!("setting: {problem}")));
            }
            let defender = Defender::new(defense, control, settings.clone()).raised()?;
            Trained::Defended(Box::new(defender))
        }
        (None, Some(start)) => {
            let options = settings.control.training(settings.seed);
            Trained::Control(Box::new(
                ControlTraining::of_model(start.model.clone(), options).raised()?,
            ))
        }
        (_, None) => {
            let architecture: Arc<Architecture> =
                Arc::new(parsed(architecture.unwrap_or_default()).raised()?);
            let options = settings.control.training(settings.seed);
            Trained::Control(Box::new(ControlTraining::new(&architecture, options).raised()?))
        }
    };
    let ends = Arc::clone(training.in_training().model().architecture());
    for (half, data) in [("training", train), ("test", test)] {
        if data.shape() != ends.input() {
            let (found, wanted) = (data.shape(), ends.input());
            return Err(refuse(format!("{half} images of {found}; the network takes {wanted}")));
        }
        if data.classes() > ends.classes() {
            let (found, known) = (data.classes(), ends.classes());
            return Err(refuse(format!(
                "{half} images of {found} classes; the network tells {known}"
            )));
        }
    }
    let origin = Origin::new(&ends, DataIdentity::of("", train, test));
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
    let images = train.len();
    let began = start.map(|start| start.model.state().fingerprint());
    let (model, state, history) = run(py, &[], threads, progress.as_ref(), |office, _| {
        let mut history: Vec<HistoryPoint> = Vec::new();
        if let Some(path) = checkpoint.as_deref().filter(|path| resume && path.exists()) {
            let state = StateDict::load(path)?;
            MadeWith::refuse(path, &origin.differences(&state))?;
            training.resume(office.context, &state)?;
            history = state.noted(HISTORY).unwrap_or_default();
        } else if let Some(out) = out.as_deref().filter(|out| resume && out.exists()) {
            let state = StateDict::load(out)?;
            let mut differences = origin.differences(&state);
            if state.noted::<String>(START) != began {
                differences.push("another network to start from".to_owned());
            }
            MadeWith::refuse(out, &differences)?;
            let more = training.continue_after(&state, images)?;
            history = state.noted(HISTORY).unwrap_or_default();
            if !more {
                return Ok((Model::open(&state)?, state, history));
            }
        }
        if let Trained::Control(_) = training {
            // It may be longer now than when these epochs were made.
            history.iter_mut().for_each(|point| point.of = settings.control.epochs);
        }
        let place = checkpoint.as_deref();
        let mut keeper = Keeper { office, checkpoint: place, origin: &origin, images, done: 0 };
        let model = training.in_training();
        training_loop::train(office.context, model, [train, test], &mut history, &mut keeper)?;
        let mut state = training.state(&settings);
        if let Some(start) = start {
            keep_spiking_options(&start.state, trained, &settings, &mut state)?;
        }
        origin.note_in(&mut state);
        if let Some(began) = &began {
            state.note(START, began);
        }
        state.note(HISTORY, &history);
        state.note("clean_accuracy", history.last().map(|point| point.test_accuracy));
        if let Some(out) = &out {
            state.save(out)?;
        }
        if let Some(path) = place.filter(|path| path.exists()) {
            std::fs::remove_file(path)
                .map_err(|error| deepsleep::Error::io(path, "remove", error))?;
        }
        Ok((training.in_training().model().clone(), state, history))
    })?;
    let network = Network::of(model, state, (false, None), Vec::new()).raised()?;
    Ok((network, json(&history)?))
}
