//! `train --defense none`: the undefended control, from scratch or from a trained network.

use super::files::Files;
use super::record::{RecordedSettings, TrainedOn, TrainingSummary};
use super::watch::Watch;
use super::{Train, settings};
use crate::architecture::open;
use crate::common::Common;
use crate::model;
use anyhow::Result;
use deepsleep::checkpoint::StateDict;
use deepsleep::data::Dataset;
use deepsleep::method::{
    ControlTraining, HISTORY, HistoryPoint, InTraining, Training, keep_spiking_options,
    note_spiking_options, training_loop,
};
use deepsleep::nn::{Network, TrainingOptions};
use std::sync::Arc;
use std::time::Instant;

/// Resumes an interrupted training, or one that ended after fewer epochs. Returns the file that it continues from, and
/// whether there is anything left to do.
fn continued(
    control: &mut ControlTraining,
    files: &Files,
    settings: &RecordedSettings,
    images: usize,
) -> Result<(StateDict, bool)> {
    if let Some(checkpoint) = files.checkpoint(settings)? {
        control.resume(&checkpoint)?;
        return Ok((checkpoint, true));
    }
    let (model, all) = files.finished(settings)?;
    if !all {
        control.prolong(&model, images)?;
    }
    Ok((model, !all))
}

/// A training from initial weights, or from those that a file holds.
fn start_of(
    train: &Train,
    options: &TrainingOptions,
    began: Option<&StateDict>,
    [images, test]: [&Dataset; 2],
) -> Result<ControlTraining> {
    let Some(began) = began else {
        let architecture = Arc::new(train.architecture.of_images(images, test)?);
        return Ok(ControlTraining::new(&architecture, options.clone())?);
    };
    let named = train.architecture.architecture.as_deref();
    let model = open(began, named, &|| train.data.shape())?;
    Ok(ControlTraining::of_model(model, options.clone())?)
}

/// Trains a control.
pub fn run(train: &Train, common: &Common) -> Result<()> {
    let start = Instant::now();
    let console = common.console();
    let given = settings::of(train, Some(Training::Control))?;
    let options = given.control.training(given.seed);
    let files = train.files(common)?;
    let context = common.context()?;
    let (images, test) = train.images()?;
    let began = train.from.as_deref().map(|from| model::read(from, console)).transpose()?;
    let spiking = settings::spiking(train, &given, began.as_ref())?;
    let mut control = start_of(train, &options, began.as_ref(), [&images, &test])?;
    if let Some(spiking) = spiking {
        control = control.with_spikes(spiking)?;
    }
    let architecture = Arc::clone(control.model().architecture());
    if architecture.has_neurons() && spiking.is_none() {
        console.say(format_args!(
            "note: the spiking neurons (`lif`) are trained as ReLUs; --model-kind snn lets them spike"
        ));
    }
    for half in [&images, &test] {
        train.data.check(half, architecture.input(), architecture.classes())?;
    }
    let TrainingOptions { epochs, batch_size, .. } = options;
    control.check_images(images.len())?;
    let settings = RecordedSettings {
        defense: Training::Control,
        source: TrainedOn::new(&architecture, &train.data.name(), &images, &test),
        from: train.from.as_deref().map(model::fingerprint).transpose()?,
        options,
        spiking,
    };

    let mut history: Vec<HistoryPoint> = Vec::new();
    if train.resume {
        let (state, more) = continued(&mut control, &files, &settings, images.len())?;
        if !more {
            console.say(format_args!("{} is finished already", train.out.display()));
            return TrainingSummary::of_finished(&settings, &train.out, &state)?.print(console);
        }
        history = state.noted(HISTORY).unwrap_or_default();
        // The training may be longer now than when these epochs were made.
        history.iter_mut().for_each(|point| point.of = epochs);
        console.say(format_args!("continuing after epoch {}", control.epochs_done()));
    } else {
        files.note_replaced(console);
    }
    console.say(format_args!(
        "training {} on {} images of {}, {} threads, {}",
        architecture.name().unwrap_or("the network"),
        settings.source.train_images,
        settings.source.dataset,
        context.threads(),
        context.isa().name()
    ));

    let per_epoch = images.len() / batch_size * batch_size;
    let all = (epochs - control.epochs_done()).saturating_mul(per_epoch);
    let mut watch = Watch::new(console.progress(all), &files, |state| settings.note_in(state));
    training_loop::train(&context, &mut control, [&images, &test], &mut history, &mut watch)?;
    let times = watch.finish();

    let mut model = control.model().state();
    settings.note_in(&mut model);
    if let Some(began) = &began {
        keep_spiking_options(began, Training::Control, &given, &mut model)?;
    }
    // Without times, threads and instruction set: equal trainings give equal bytes on every machine.
    model.note(HISTORY, &history);
    if let Some(spiking) = spiking {
        note_spiking_options(&mut model, spiking);
    }
    let clean_accuracy = history.last().map_or(0.0, HistoryPoint::accuracy);
    model.note("clean_accuracy", clean_accuracy);
    files.save_model(&model)?;
    let (of, times) = ((train.out.as_path(), clean_accuracy), times.of(&history));
    TrainingSummary::of_run(&settings, of, times, &context, start.elapsed())?.print(console)
}
