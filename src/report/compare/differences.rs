//! A sentence for each difference between what the paper says and what was run, from the settings in force.

use crate::Result;
use crate::experiment::Results;
use crate::report::page::format::{dreams, fraction, grouped, listed, times};
use crate::report::pictures::models::settings_of;
use crate::sleep::{
    AdversarialTrainingOptions, Distillation, DreamAttack, Layers, Plasticity, Profile, Settings,
    SleepDefense, SleepDefenseOptions,
};
use crate::snn::{Encoder, Statistics};

/// A difference and what ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// What ran. Several where methods differ in it.
    pub sentences: Vec<String>,
}

/// A choice of the method: what it is called, which defenses it concerns, and what to say about a value of it.
struct Choice {
    name: &'static str,
    defenses: &'static [&'static str],
    /// From the settings, and the number of training images.
    say: fn(&Settings, usize) -> String,
}

const CHOICES: &[Choice] = &[
    Choice {
        name: "BatchNorm at conversion",
        defenses: &["sleep", "slow-wave", "fast-wave", "deepsleep"],
        say: conversion,
    },
    Choice {
        name: "BatchNorm in fast-wave sleep",
        defenses: &["fast-wave", "deepsleep"],
        say: statistics,
    },
    Choice { name: "Plasticity", defenses: &["slow-wave", "deepsleep"], say: plasticity },
    Choice {
        name: "Second convolution in slow-wave sleep",
        defenses: &["slow-wave", "deepsleep"],
        say: layers,
    },
    Choice {
        name: "Length of slow-wave sleep",
        defenses: &["slow-wave", "deepsleep"],
        say: length,
    },
    Choice { name: "Cycles", defenses: &["deepsleep"], say: cycles },
    Choice { name: "Dreams", defenses: &["fast-wave", "deepsleep"], say: dreaming },
    Choice {
        name: "Encoding in fast-wave sleep",
        defenses: &["fast-wave", "deepsleep"],
        say: encoding,
    },
    Choice { name: "Distillation's teacher", defenses: &["distillation"], say: distillation },
    Choice { name: "Adversarial training", defenses: &["adversarial-training"], say: adversarial },
    Choice { name: "Sleep Defense", defenses: &["sleep"], say: sleep_defense },
];

/// The differences that lie in the settings, of the methods that were run.
///
/// # Errors
/// If a model's override is none of the settings.
pub fn differences(results: &Results) -> Result<Vec<Difference>> {
    let mut differences = Vec::new();
    for choice in CHOICES {
        // Sentence by sentence, the methods that it is true of.
        let mut said: Vec<(String, Vec<&str>)> = Vec::new();
        for model in &results.models {
            if !choice.defenses.contains(&model.defense.as_str()) {
                continue;
            }
            let sentence = (choice.say)(&settings_of(results, model)?, results.images_trained_on());
            let at = said.iter().position(|(other, _)| *other == sentence);
            let at = at.unwrap_or_else(|| {
                said.push((sentence, Vec::new()));
                said.len() - 1
            });
            if !said[at].1.contains(&model.method.as_str()) {
                said[at].1.push(&model.method);
            }
        }
        let alone = said.len() == 1;
        let sentence = |(sentence, methods): (String, Vec<&str>)| {
            if alone { sentence } else { format!("{}: {sentence}", listed(&methods)) }
        };
        let sentences: Vec<String> = said.into_iter().map(sentence).collect();
        if !sentences.is_empty() {
            differences.push(Difference { name: choice.name.to_owned(), sentences });
        }
    }
    Ok(differences)
}

fn conversion(settings: &Settings, _: usize) -> String {
    match settings.conversion {
        Statistics::Reset => {
            "the network that is tested has running statistics of mean 0 and variance 1: the conversion from the spiking network forgets them, as in the published code. The paper does not say so; logits grow by one or two orders of magnitude, which starves gradient attacks."
        }
        Statistics::Carry => {
            "the network that is tested keeps the running statistics of the one it was converted from; the published code resets them to mean 0 and variance 1."
        }
        Statistics::Recalibrate => {
            "the running statistics of the network that is tested were measured anew by one pass over the training images; the published code resets them to mean 0 and variance 1."
        }
    }
    .to_owned()
}

fn statistics(settings: &Settings, _: usize) -> String {
    match settings.fast_wave.statistics {
        Statistics::Reset => "fast-wave sleep starts from running statistics of mean 0 and variance 1, as in the published code; the paper does not say so.",
        Statistics::Carry => "fast-wave sleep starts from the running statistics of the network before it; the published code resets them.",
        Statistics::Recalibrate => "fast-wave sleep is told to measure its running statistics anew; the published code resets them.",
    }
    .to_owned()
}

fn plasticity(settings: &Settings, _: usize) -> String {
    match settings.slow_wave.plasticity {
        Plasticity::Published => {
            "synapses change by the published code's rule: constant currents, competition, Hebbian potentiation and renormalisation, one layer at a time. The pair-based plasticity, Poisson trains and neurons of the paper's Equations 8 and 9 are not in it."
        }
        Plasticity::Pair => {
            "synapses change by pair-based plasticity with traces and soft bounds under Poisson trains, as the paper's text has it (Equations 8 and 9). The published code, and so probably the printed numbers, have none of that."
        }
    }
    .to_owned()
}

fn layers(settings: &Settings, _: usize) -> String {
    match (settings.slow_wave.plasticity, settings.slow_wave.layers) {
        (Plasticity::Pair, _) => "all three layers learn, at once; in the published code the second convolution never does.",
        (_, Layers::Published) => "it is never trained: the published code hands its optimiser the wrong tensor, so its weights are only standardised. The paper says that all layers learn.",
        (_, Layers::All) => "it learns like the others; in the published code it never does, as its optimiser is handed the wrong tensor.",
    }
    .to_owned()
}

fn length(settings: &Settings, train_images: usize) -> String {
    let o = &settings.slow_wave;
    let steps: Vec<String> = o.sub_sleeps().iter().map(usize::to_string).collect();
    // A last, smaller batch is dropped.
    let images = match o.batches.saturating_mul(o.batch_size) {
        0 => format!("over the {} training images of this run", grouped(train_images)),
        some if some / o.batch_size >= train_images / o.batch_size => {
            format!("over the {} training images of this run", grouped(train_images))
        }
        _ => format!(
            "over {} batches of {} only, not over all training images as published",
            o.batches, o.batch_size
        ),
    };
    format!(
        "sub-sleeps of {} time steps, {} each, {images}. The paper counts in spiking rates; the published code's ratio of {} divides the rate once, at all depths.",
        steps.join(", "),
        times(o.length, "pass", "passes"),
        o.ratio
    )
}

fn cycles(settings: &Settings, _: usize) -> String {
    let epochs = times(settings.fast_wave.epochs, "epoch", "epochs");
    let cycles = times(settings.cycles, "cycle", "cycles");
    let each = if settings.cycles == 1 { "" } else { " each" };
    format!("{cycles} of slow-wave sleep and {epochs} of fast-wave sleep{each}.")
}

fn dreaming(settings: &Settings, _: usize) -> String {
    if settings.fast_wave.noise {
        dreams(&settings.fast_wave.dream)
    } else {
        "no dreams: fast-wave sleep sees clean images only.".to_owned()
    }
}

fn encoding(settings: &Settings, _: usize) -> String {
    match settings.fast_wave.spiking.encoder {
        Encoder::Direct => "images enter the spiking network as constant currents, as in the published code; the paper's text has Poisson spike trains.".to_owned(),
        Encoder::Poisson { rate } => format!("images enter the spiking network as Poisson spike trains (rate {rate}), as in the paper's text; the published code uses constant currents."),
    }
}

fn distillation(settings: &Settings, _: usize) -> String {
    let o = &settings.distillation;
    match o.method {
        Distillation::Published => "the teacher stays as it was initialised and the student's loss takes a soft-max twice, as in the published code: it is not the distillation of Papernot et al., which the paper cites.".to_owned(),
        Distillation::Papernot => format!("the teacher was trained for {} and the student learns its labels at temperature {} (Papernot et al.); the published code's teacher is never trained.", times(o.teacher_epochs, "epoch", "epochs"), o.temperature),
    }
}

fn adversarial(settings: &Settings, _: usize) -> String {
    let training = |o: &AdversarialTrainingOptions| {
        let start = if o.from_scratch { "from random weights" } else { "from the control" };
        let attack = match o.attack {
            DreamAttack::Fgsm => "FGSM".to_owned(),
            DreamAttack::Pgd { steps, .. } => format!("{steps}-step PGD"),
        };
        format!(
            "{} {start}, with probability {} a batch is replaced by {attack} examples of eps {}",
            times(o.epochs, "epoch", "epochs"),
            o.ratio,
            fraction(o.eps)
        )
    };
    let here = &settings.adversarial_training;
    let published = Settings::new(Profile::Published).adversarial_training;
    let as_published = if *here == published {
        ", as in the published code".to_owned()
    } else {
        format!("; the published code: {}", training(&published))
    };
    let strength = match here.attack {
        DreamAttack::Pgd { .. } if here.ratio >= 1.0 => {
            "Every batch under PGD is the training of Madry et al."
        }
        _ => {
            "That is weaker than the training of Madry et al., where every batch is attacked by PGD."
        }
    };
    format!("{}{as_published}. {strength}", training(here))
}

fn sleep_defense(settings: &Settings, _: usize) -> String {
    let o = &settings.sleep;
    let length = |o: &SleepDefenseOptions| {
        format!("{} of {} time steps", times(o.passes, "pass", "passes"), o.steps)
    };
    let published = Settings::new(Profile::Published).sleep;
    match o.method {
        SleepDefense::AsRun => {
            let here = length(o);
            let paper = length(&published);
            let paper = if here == paper { String::new() } else { format!(" ({paper} there)") };
            format!(
                "the slow-wave network alone for {here}, which is what the paper ran{paper}; it is not the sleep replay of Tadros et al., which the paper cites."
            )
        }
        SleepDefense::Tadros => format!(
            "the sleep replay of Tadros et al. for {} time steps, with rates of change {} and {}; the paper ran the slow-wave network at a fixed number of time steps instead.",
            o.replay.steps, o.replay.increase, o.replay.decrease
        ),
    }
}
