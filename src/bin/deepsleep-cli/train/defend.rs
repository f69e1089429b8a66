//! `train --defense ...`: from a control to a defended network.

use super::record::{FROM, TrainedOn, TrainingSummary};
use super::watch::Watch;
use super::{Train, settings};
use crate::architecture::open;
use crate::common::Common;
use crate::failure::WrongUse;
use crate::model;
use anyhow::Result;
use deepsleep::checkpoint::{MadeWith, StateDict};
use deepsleep::experiment::Work;
use deepsleep::method::{
    Defender, Defense, HISTORY, HistoryPoint, Settings, Training, keep_spiking_options,
    training_loop,
};
use deepsleep::nn::architecture::Architecture;
use indicatif::HumanDuration;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a network was defended.
#[derive(Serialize)]
struct DefenseRecord<'a> {
    defense: &'static str,
    #[serde(flatten)]
    source: &'a TrainedOn,
    settings: &'a Settings,
}

/// Seconds that it might take on two cores.
fn estimate(
    defense: &'static dyn Defense,
    settings: &Settings,
    images: usize,
    architecture: &Architecture,
) -> f64 {
    let (training, settings) = (Training::Defense(defense), Box::new(settings.clone()));
    Work::Train { training, settings, images }.estimate(architecture)
}

/// The control that a defense starts from. What only a control takes is refused.
fn control_of(train: &Train) -> Result<&Path> {
    if let Some((option, ..)) = train.shorthands().first() {
        let problem = format!(
            "{option} is for the control; a defense's values are settings: --set NAME=VALUE, listed by --print-config"
        );
        return Err(WrongUse(problem).into());
    }
    let Some(from) = train.from.as_deref() else {
        let problem =
            "a defense starts from a trained control: --from FILE (made by `train --defense none`)";
        return Err(WrongUse(problem.into()).into());
    };
    Ok(from)
}

/// Refuses a finished network that is of another defense, other settings, other images or another control.
fn refuse_other(
    finished: &StateDict,
    defender: &Defender,
    source: &TrainedOn,
    made_of: &str,
) -> Result<()> {
    let mut differences = defender.differences(finished)?;
    differences.extend(source.differences(finished));
    let theirs = MadeWith::default().and_if("--from", finished.noted::<String>(FROM));
    differences.extend(theirs.differences(&MadeWith::default().and("--from", made_of)));
    Ok(MadeWith::refuse(finished.path(), &differences)?)
}

/// Defends a control.
pub fn run(train: &Train, defense: &'static dyn Defense, common: &Common) -> Result<()> {
    let (start, console) = (Instant::now(), common.console());
    let from = control_of(train)?;
    let settings = settings::of(train, Some(Training::Defense(defense)))?;
    let (files, context) = (train.files(common)?, common.context()?);
    let architecture = train.architecture.architecture.as_deref();
    let began = model::read(from, console)?;
    let control = open(&began, architecture, &|| train.data.shape())?;
    let architecture = Arc::clone(control.architecture());
    settings::refuse_unread_by(&architecture, train, &settings)?;
    let mut defender = Defender::new(defense, control, settings.clone())
        .map_err(|error| WrongUse(error.to_string()))?;
    let (images, test) = train.images()?;
    for half in [&images, &test] {
        train.data.check(half, architecture.input(), architecture.classes())?;
    }
    defender.check_images(images.len())?;
    let source = TrainedOn::new(&architecture, &train.data.name(), &images, &test);
    let made_of = model::fingerprint(from)?;
    let record = DefenseRecord { defense: defense.name(), source: &source, settings: &settings };

    let mut history: Vec<HistoryPoint> = Vec::new();
    if train.resume {
        let Some(state) = files.any_checkpoint()? else {
            let state = files.any_finished()?;
            refuse_other(&state, &defender, &source, &made_of)?;
            console.say(format_args!("{} is finished already", train.out.display()));
            return TrainingSummary::of_finished(&record, &train.out, &state)?.print(console);
        };
        MadeWith::refuse(files.checkpoint_path(), &source.differences(&state))?;
        defender.resume(&context, &state)?;
        history = state.noted(HISTORY).unwrap_or_default();
        console.say(format_args!("continuing after {} passes and epochs", history.len()));
    } else {
        files.note_replaced(console);
    }
    let estimated =
        history.is_empty().then(|| estimate(defense, &settings, images.len(), &architecture));
    let time = estimated.map_or(String::new(), |seconds| {
        format!("; about {} on two cores", HumanDuration(Duration::from_secs_f64(seconds.max(1.0))))
    });
    console.say(format_args!(
        "{} on {} images of {}, profile {}, {} threads, {}{time}",
        defense.name(),
        images.len(),
        train.data.name(),
        settings.profile.name(),
        context.threads(),
        context.isa().name()
    ));

    let progress = console.progress(images.len());
    let mut watch = Watch::new(progress, &files, |state| source.note_in(state)).of_passes(
        console,
        images.len(),
        estimated,
    );
    training_loop::train(&context, &mut defender, [&images, &test], &mut history, &mut watch)?;
    let times = watch.finish();

    let mut model = defender.state();
    let training = Training::Defense(defense);
    let changed = keep_spiking_options(&began, training, &settings, &mut model)?;
    if !changed.is_empty() {
        let (from, changed) = (from.display(), changed.join("; "));
        console.say(format_args!(
            "note: the spiking settings of {from} are replaced by those of this training: {changed}"
        ));
    }
    source.note_in(&mut model);
    model.note(FROM, &made_of);
    model.note(HISTORY, &history);
    let clean_accuracy = history.last().map_or(0.0, HistoryPoint::accuracy);
    model.note("clean_accuracy", clean_accuracy);
    files.save_model(&model)?;
    let (of, times) = ((train.out.as_path(), clean_accuracy), times.of(&history));
    TrainingSummary::of_run(&record, of, times, &context, start.elapsed())?.print(console)
}
