//! `train --defense ...`: from a control to a defended network.

use super::Train;
use super::record::TrainedOn;
use super::watch::{TimedPoint, Watch};
use crate::architecture::open;
use crate::common::Common;
use crate::failure::WrongUse;
use crate::model;
use crate::settings::assignments;
use crate::stderr::shown;
use anyhow::Result;
use deepsleep::checkpoint::MadeWith;
use deepsleep::evaluation::{HISTORY, HistoryPoint, session};
use deepsleep::method::{Defender, Defense, Profile, Settings, Training};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

#[derive(Serialize)]
struct DefenseSummary<'a> {
    model: &'a std::path::Path,
    clean_accuracy: f64,
    version: &'static str,
    defense: &'static str,
    #[serde(flatten)]
    source: &'a TrainedOn,
    settings: &'a Settings,
    history: Vec<TimedPoint<'a>>,
    seconds: f64,
    threads: usize,
    isa: &'static str,
}

/// The settings of `--profile`, `--set` and `--seed`. Where it is for a defense, what that does not read is refused.
pub fn settings(train: &Train, defense: Option<&'static dyn Defense>) -> Result<Settings> {
    let wrong = |error: deepsleep::Error| WrongUse(error.to_string());
    let profile = train.profile.as_deref().unwrap_or("published").to_ascii_lowercase();
    let profile: Profile = profile.parse().map_err(wrong)?;
    let mut settings = Settings::new(profile);
    settings.seed = train.seed.unwrap_or_default();
    let assignments = assignments(&train.set)?;
    if let (Some(seed), Some((_, value))) =
        (train.seed, assignments.iter().find(|(name, _)| *name == "seed"))
    {
        let problem = format!("--seed {seed} and --set seed={value}: give the seed once");
        return Err(WrongUse(problem).into());
    }
    let mut steps = vec![settings.clone()];
    for (name, value) in &assignments {
        settings.set(name, value).map_err(wrong)?;
        steps.push(settings.clone());
    }
    settings.validate().map_err(wrong)?;
    let Some(defense) = defense else { return Ok(settings) };
    // What is read follows from all of them together: without noise, no dreams.
    let training = Training::Defense(defense);
    let read = |of: &Settings| -> Vec<(String, Value)> {
        of.list().into_iter().filter(|(name, _)| training.reads(&settings, name)).collect()
    };
    for (step, (name, value)) in steps.windows(2).zip(&assignments) {
        let [before, after] = step else { continue };
        // A spiking network is made of any file, with the file's settings.
        let as_file = before.fast_wave.spiking != after.fast_wave.spiking;
        if before != after && !as_file && read(before) == read(after) {
            let reader = defense.name();
            let problem = format!(
                "--set {name}={value}: {reader} does not read this setting, as the others are"
            );
            return Err(WrongUse(problem).into());
        }
    }
    Ok(settings)
}

/// Prints every setting with its value.
pub fn print_config(settings: &Settings, common: &Common) -> Result<()> {
    let lines = settings.list().into_iter().map(|(name, value)| format!("{name} = {value}"));
    common.console().result(settings, lines.collect::<Vec<_>>().join("\n"))
}

/// Defends a control.
pub fn run(train: &Train, defense: &'static dyn Defense, common: &Common) -> Result<()> {
    let start = Instant::now();
    let console = common.console();
    for (option, given) in [
        ("--epochs", train.epochs.is_some()),
        ("--batch-size", train.batch_size.is_some()),
        ("--lr", train.lr.is_some()),
        ("--augment-shift", train.augment_shift.is_some()),
        ("--augment-flip", train.augment_flip),
    ] {
        if given {
            let problem = format!(
                "{option} is for the control; a defense's values are settings: --set NAME=VALUE, \
                 listed by --print-config"
            );
            return Err(WrongUse(problem).into());
        }
    }
    let Some(from) = &train.from else {
        let problem =
            "a defense starts from a trained control: --from FILE (made by `train --defense none`)";
        return Err(WrongUse(problem.into()).into());
    };
    let settings = settings(train, Some(defense))?;
    let files = train.files(common)?;
    let context = common.context()?;
    let architecture = train.architecture.architecture.as_deref();
    let control = open(&model::read(from, console)?, architecture, &|| train.data.shape())?;
    let architecture = Arc::clone(control.architecture());
    let mut defender = Defender::new(defense, control, settings.clone())
        .map_err(|error| WrongUse(error.to_string()))?;
    let (images, test) = train.images()?;
    for half in [&images, &test] {
        train.data.check(half, architecture.input(), architecture.classes())?;
    }
    let source = TrainedOn::new(&architecture, &train.data.name(), &images, &test);

    let mut history: Vec<HistoryPoint> = Vec::new();
    if train.resume {
        let Some(state) = files.any_checkpoint()? else {
            let at = files.checkpoint_path().display().to_string();
            return Err(WrongUse(format!("nothing to resume: there is no {at}")).into());
        };
        MadeWith::refuse(files.checkpoint_path(), &source.differences(&state))?;
        defender.resume(&context, &state)?;
        history = state.noted(HISTORY).unwrap_or_default();
        console.say(format_args!("continuing after {} passes and epochs", history.len()));
    }
    console.say(format_args!(
        "{} on {} images of {}, profile {:?}, {} threads, {}",
        defense.name(),
        images.len(),
        train.data.name(),
        settings.profile,
        context.threads(),
        context.isa().name()
    ));

    let progress = console.progress(images.len());
    let mut watch =
        Watch::new(progress, &files, |state| source.note_in(state)).per_pass(console, images.len());
    session::train(&context, &mut defender, [&images, &test], &mut history, &mut watch)?;
    let times = watch.finish();

    let clean_accuracy = history.last().map_or(0.0, |last| last.test_accuracy);
    let version = env!("CARGO_PKG_VERSION");
    let mut model = defender.state();
    source.note_in(&mut model);
    model.note(HISTORY, &history);
    model.note("clean_accuracy", clean_accuracy);
    files.save_model(&model)?;
    let outcome = DefenseSummary {
        model: &train.out,
        clean_accuracy,
        version,
        defense: defense.name(),
        source: &source,
        settings: &settings,
        history: times.of(&history),
        seconds: start.elapsed().as_secs_f64(),
        threads: context.threads(),
        isa: context.isa().name(),
    };
    let percent = 100.0 * clean_accuracy;
    console.result(&outcome, format_args!("{}: test accuracy {percent:.2} %", shown(&train.out)))
}
