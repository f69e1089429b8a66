//! `train --defense ...`: from a control to a defended network, a pass or an epoch at a time.

use super::Train;
use super::record::Source;
use crate::common::Common;
use crate::failure::WrongUse;
use crate::model;
use anyhow::Result;
use deepsleep::defense::{Defender, Defense};
use deepsleep::experiment::same_training;
use deepsleep::nn::{Freeze, LeNet, accuracy};
use deepsleep::sleep::{Profile, Settings};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What came of a pass or an epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stage {
    stage: String,
    done: usize,
    of: usize,
    loss: Option<f32>,
    /// Of the network seen with rectifiers, on the whole test set.
    test_accuracy: f64,
    /// Of the spiking network itself, while it is one.
    spiking_accuracy: Option<f64>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    model: &'a std::path::Path,
    clean_accuracy: f64,
    version: &'static str,
    defense: &'static str,
    #[serde(flatten)]
    source: &'a Source,
    settings: &'a Settings,
    history: &'a [Stage],
    seconds: f64,
    threads: usize,
    isa: &'static str,
}

/// The settings of `--profile`, `--set` and `--seed`. Where it is for a defense, what that does not read is refused.
pub fn settings(train: &Train, defense: Option<Defense>) -> Result<Settings> {
    let wrong = |error: deepsleep::Error| WrongUse(error.to_string());
    let profile = train.profile.as_deref().unwrap_or("published").to_ascii_lowercase();
    let profile: Profile = profile.parse().map_err(wrong)?;
    let mut settings = Settings::new(profile);
    settings.seed = train.seed;
    let mut unread = None;
    for assignment in &train.set {
        let Some((name, value)) = assignment.split_once('=') else {
            let problem = format!("--set {assignment}: expected NAME=VALUE");
            return Err(WrongUse(problem).into());
        };
        let before = settings.clone();
        settings.set(name.trim(), value.trim()).map_err(wrong)?;
        // A spiking network is made of any file, with the file's settings.
        let as_file = before.fast_wave.spiking != settings.fast_wave.spiking;
        if let Some(defense) = defense
            && before != settings
            && !as_file
            && same_training(Some(defense), &before, &settings)
        {
            let name = defense.name();
            unread = Some(format!("--set {assignment}: {name} does not read this setting"));
        }
    }
    settings.check().map_err(wrong)?;
    if let Some(problem) = unread {
        return Err(WrongUse(problem).into());
    }
    Ok(settings)
}

/// Prints every setting with its value.
pub fn print_config(settings: &Settings, common: &Common) -> Result<()> {
    let lines = settings.list().into_iter().map(|(name, value)| format!("{name} = {value}"));
    common.console().result(settings, lines.collect::<Vec<_>>().join("\n"))
}

/// Defends a control.
pub fn run(train: &Train, defense: Defense, common: &Common) -> Result<()> {
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
                "{option} is for the control; a defence's numbers are settings: --set NAME=VALUE, \
                 listed by --print-config"
            );
            return Err(WrongUse(problem).into());
        }
    }
    let Some(from) = &train.from else {
        let problem =
            "a defence starts from a trained control: --from FILE (made by `train --defense none`)";
        return Err(WrongUse(problem.into()).into());
    };
    let settings = settings(train, Some(defense))?;
    let files = train.files(common)?;
    let context = common.context()?;
    let control = LeNet::from_state(&model::read(from, console)?)?;
    let mut defender = Defender::new(defense, control, settings.clone())
        .map_err(|error| WrongUse(error.to_string()))?;
    let (images, test) = train.images()?;
    let source = Source::new(&train.data.name(), &images, &test);

    let mut history: Vec<Stage> = Vec::new();
    if train.resume {
        let Some(state) = files.any_checkpoint()? else {
            let at = files.checkpoint_path().display().to_string();
            return Err(WrongUse(format!("nothing to resume: there is no {at}")).into());
        };
        let differences = source.differences(&state);
        if !differences.is_empty() {
            let problem = format!(
                "cannot resume: {} was made with {}; give the same options, or train without --resume",
                files.checkpoint_path().display(),
                differences.join("; ")
            );
            return Err(WrongUse(problem).into());
        }
        defender.resume(&context, &state)?;
        history = state.noted("history").unwrap_or_default();
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

    loop {
        let unit = Instant::now();
        let mut progress = console.progress(images.len());
        let step = defender.advance(&context, &images, &mut |p| {
            let state = format_args!("{}, batch {}/{}", p.stage, p.batch, p.batches);
            progress.advance(p.images, state);
        })?;
        let Some(step) = step else { break };
        let seconds = unit.elapsed().as_secs_f64();
        let test_accuracy = accuracy(&context, &defender.model().freeze()?, &test)?;
        let spiking_accuracy = match defender.spiking() {
            // A single draw, if it draws at all: 10,000 images average well enough for a look at the way.
            Some(spiking) => Some(accuracy(&context, &spiking.freeze()?.with_draws(1), &test)?),
            None => None,
        };
        let loss = step.loss.map_or(String::new(), |loss| format!(", loss {loss:.4}"));
        let spiking =
            spiking_accuracy.map_or(String::new(), |a| format!(" ({:.2} % spiking)", 100.0 * a));
        progress.say(format_args!(
            "{} {}/{}{loss}, test accuracy {:.2} %{spiking}, {seconds:.1} s",
            step.stage,
            step.done,
            step.of,
            100.0 * test_accuracy
        ));
        let stage = step.stage.to_owned();
        let (done, of, loss) = (step.done, step.of, step.loss);
        history.push(Stage { stage, done, of, loss, test_accuracy, spiking_accuracy });
        let mut checkpoint = defender.checkpoint()?;
        source.note_in(&mut checkpoint);
        checkpoint.note("history", &history);
        files.save_checkpoint(&checkpoint)?;
    }

    let clean_accuracy = history.last().map_or(0.0, |last| last.test_accuracy);
    let version = env!("CARGO_PKG_VERSION");
    let mut model = defender.state();
    source.note_in(&mut model);
    model.note("history", &history);
    model.note("clean_accuracy", clean_accuracy);
    files.save_model(&model)?;
    let outcome = Outcome {
        model: &train.out,
        clean_accuracy,
        version,
        defense: defense.name(),
        source: &source,
        settings: &settings,
        history: &history,
        seconds: start.elapsed().as_secs_f64(),
        threads: context.threads(),
        isa: context.isa().name(),
    };
    let percent = 100.0 * clean_accuracy;
    console.result(&outcome, format_args!("{}: test accuracy {percent:.2} %", train.out.display()))
}
