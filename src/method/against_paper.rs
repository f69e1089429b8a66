//! Sentences for the report that say what each defense ran where it may differ from the paper.

use super::{
    AdversarialTrainingOptions, Description, DistillationMethod, DistillationOptions, Profile,
    RobustLoss, Settings, SleepDefenseMethod, SleepDefenseOptions,
};
use crate::checkpoint::flatten;
use crate::nn::GradientAttack;
use crate::sleep::{
    DreamOptions, DreamSource, FastWaveOptions, Layers, Plasticity, SlowWaveOptions,
};
use crate::snn::{Encoder, Statistics};
use crate::wording::{grouped, times, to_json, written};
use serde::Serialize;

/// The running statistics of the network that is tested.
pub fn conversion(conversion: Statistics) -> Description {
    let sentence = match conversion {
        Statistics::Reset => {
            "the network that is tested has running statistics of mean 0 and variance 1: the conversion from the spiking network forgets them, as in the published code. The paper does not say so; logits grow by one or two orders of magnitude, which starves gradient attacks."
        }
        Statistics::Carry => {
            "the network that is tested keeps the running statistics of the one it was converted from; the published code resets them to mean 0 and variance 1."
        }
        Statistics::Recalibrate => {
            "the running statistics of the network that is tested were measured anew by one pass over the training images; the published code resets them to mean 0 and variance 1."
        }
    };
    Description { choice: "BatchNorm at conversion", sentence: sentence.to_owned() }
}

/// The choices of slow-wave sleep.
pub fn slow_wave(options: &SlowWaveOptions, train_images: usize) -> [Description; 3] {
    [
        Description { choice: "Plasticity", sentence: plasticity(options) },
        Description { choice: "Layers that learn in slow-wave sleep", sentence: layers(options) },
        Description {
            choice: "Length of slow-wave sleep",
            sentence: length(options, train_images),
        },
    ]
}

/// The choices of fast-wave sleep.
pub fn fast_wave(options: &FastWaveOptions) -> [Description; 3] {
    let dreams = if options.noise {
        dreams(&options.dream)
    } else {
        "no dreams: fast-wave sleep sees clean images only.".to_owned()
    };
    [
        Description { choice: "BatchNorm in fast-wave sleep", sentence: statistics(options) },
        Description { choice: "Dreams", sentence: dreams },
        Description { choice: "Encoding in fast-wave sleep", sentence: encoding(options) },
    ]
}

fn statistics(options: &FastWaveOptions) -> String {
    match options.statistics {
        Statistics::Reset => "fast-wave sleep starts from running statistics of mean 0 and variance 1, as in the published code; the paper does not say so.",
        Statistics::Carry => "fast-wave sleep starts from the running statistics of the network before it; the published code resets them.",
        Statistics::Recalibrate => "fast-wave sleep is told to measure its running statistics anew; the published code resets them.",
    }
    .to_owned()
}

fn plasticity(options: &SlowWaveOptions) -> String {
    match options.plasticity {
        Plasticity::Published => {
            "synapses change by the published code's rule: constant currents, competition, Hebbian potentiation and renormalization, one layer at a time. The pair-based plasticity, Poisson trains and neurons of the paper's Equations 8 and 9 are not in it."
        }
        Plasticity::Pair => {
            "synapses change by pair-based plasticity with traces and soft bounds under Poisson trains, as the paper's text has it (Equations 8 and 9). The published code, and so probably the printed numbers, have none of that."
        }
    }
    .to_owned()
}

fn layers(options: &SlowWaveOptions) -> String {
    match (options.plasticity, &options.layers) {
        (_, Layers::Named(names)) => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            return format!("{}. The paper says that all layers learn.", names.join(", "));
        }
        (_, Layers::All) => "all; in the published code those between the first and the last never do, as its optimizer is handed the wrong tensor.",
        (Plasticity::Published, Layers::Published) => "the first and the last; convolutions between them are only standardized, as the published code hands its optimizer the wrong tensor. The paper says that all layers learn.",
        (Plasticity::Pair, Layers::Published) => "the first and the last, as in the published code. The paper says that all layers learn.",
    }
    .to_owned()
}

fn length(o: &SlowWaveOptions, train_images: usize) -> String {
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
        o.decrease_ratio
    )
}

/// The number of cycles.
pub fn cycles(settings: &Settings) -> Description {
    let epochs = times(settings.fast_wave.epochs, "epoch", "epochs");
    let cycles = times(settings.cycles, "cycle", "cycles");
    let each = if settings.cycles == 1 { "" } else { " each" };
    let sentence = format!("{cycles} of slow-wave sleep and {epochs} of fast-wave sleep{each}.");
    Description { choice: "Cycles", sentence }
}

fn encoding(options: &FastWaveOptions) -> String {
    match options.spiking.encoder {
        Encoder::Direct => "images enter the spiking network as constant currents, as in the published code; the paper's text has Poisson spike trains.".to_owned(),
        Encoder::Poisson { rate } => format!("images enter the spiking network as Poisson spike trains (rate {rate}), as in the paper's text; the published code uses constant currents."),
    }
}

/// Whose distillation.
pub fn distillation(o: &DistillationOptions) -> String {
    match o.method {
        DistillationMethod::Published => "the teacher stays as it was initialized and the student's loss takes a soft-max twice, as in the published code: it is not the distillation of Papernot et al., which the paper cites.".to_owned(),
        DistillationMethod::Papernot => format!("the teacher was trained for {} and the student learns its labels at temperature {} (Papernot et al.); the published code's teacher is never trained.", times(o.teacher_epochs, "epoch", "epochs"), o.temperature),
    }
}

/// The strength of adversarial training.
pub fn adversarial_training(here: &AdversarialTrainingOptions) -> String {
    let published = AdversarialTrainingOptions::new(Profile::Published);
    // Published in everything that the sentence has no words for.
    let shown = |o: &AdversarialTrainingOptions| AdversarialTrainingOptions {
        epochs: o.epochs,
        attack: o.attack,
        eps: o.eps,
        ratio: o.ratio,
        from_scratch: o.from_scratch,
        ..published.clone()
    };
    let training = |o: &AdversarialTrainingOptions| {
        let start = if o.from_scratch { "from random weights" } else { "from the control" };
        let attack = match o.attack {
            GradientAttack::Fgsm => "FGSM".to_owned(),
            GradientAttack::Pgd { steps, .. } => format!("{steps}-step PGD"),
        };
        format!(
            "{} {start}{}, with probability {} a batch is replaced by {attack} examples of eps {}",
            times(o.epochs, "epoch", "epochs"),
            beyond(o, &shown(o)),
            o.ratio,
            written(o.eps)
        )
    };
    let as_published = if *here == published {
        ", as in the published code".to_owned()
    } else {
        format!("; the published code: {}", training(&published))
    };
    let one_loss = matches!(here.loss, RobustLoss::Ce | RobustLoss::Margin | RobustLoss::Mix);
    let strength = match here.attack {
        _ if !one_loss => {
            "That is not the training of Madry et al., which learns from the cross-entropy of its examples alone."
        }
        GradientAttack::Pgd { .. } if here.ratio >= 1.0 => {
            "Every batch under PGD is the training of Madry et al."
        }
        _ => {
            "That is weaker than the training of Madry et al., where every batch is attacked by PGD."
        }
    };
    format!("{}{as_published}. {strength}", training(here))
}

/// What the slow waves of lucid sleep did.
pub fn lucid(settings: &Settings) -> String {
    let (o, eps) = (&settings.lucid, settings.adversarial_training.eps);
    let part = |done: bool, words: &'static str| done.then_some(words);
    let parts = [
        part(o.down_selection, "synapses of the first layer competed under a constant sum"),
        part(o.homeostasis, "thresholds were set beyond the reach of perturbations"),
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    let parts =
        if parts.is_empty() { "filters were normalized".to_owned() } else { parts.join(", ") };
    format!(
        "{} of slow waves and dreams: {parts} of eps {}, without labels. The paper has no such sleep; most of its robustness is \
         that of adversarial training.",
        times(settings.cycles, "cycle", "cycles"),
        written(eps)
    )
}

/// What of some settings differs from others of their kind, in parentheses.
fn beyond<T: Serialize>(here: &T, plain: &T) -> String {
    let all = |settings: &T| to_json(settings).map_or_else(|_| Vec::new(), |all| flatten(&all));
    let plain = all(plain);
    let differences = all(here).into_iter().filter(|setting| !plain.contains(setting));
    let differences: Vec<String> = differences.map(|(n, v)| format!("{n} = {v}")).collect();
    if differences.is_empty() { String::new() } else { format!(" ({})", differences.join(", ")) }
}

/// Whose Sleep Defense.
pub fn sleep_defense(o: &SleepDefenseOptions) -> String {
    let length = |o: &SleepDefenseOptions| {
        format!("{} of {} time steps", times(o.passes, "pass", "passes"), o.steps)
    };
    let published = SleepDefenseOptions::new(Profile::Published);
    match o.method {
        SleepDefenseMethod::AsRun => {
            let here = length(o);
            let paper = length(&published);
            let paper = if here == paper { String::new() } else { format!(" ({paper} there)") };
            format!(
                "the slow-wave network alone for {here}, which is what the paper ran{paper}; it is not the sleep replay of Tadros et al., which the paper cites."
            )
        }
        SleepDefenseMethod::Tadros => format!(
            "the sleep replay of Tadros et al. for {} time steps, with rates of change {} and {}; the paper ran the slow-wave network at a fixed number of time steps instead.",
            o.replay.steps, o.replay.increase, o.replay.decrease
        ),
    }
}

/// Dreams, and how far they are from the paper's.
fn dreams(options: &DreamOptions) -> String {
    let source = match options.source {
        DreamSource::Control => {
            "the undefended control, which is the paper's picture; the published code's source is a hybrid of control and sleeper"
        }
        DreamSource::Hybrid => {
            "the published code's hybrid (live convolutions, the control's running statistics, an early linear layer); the paper pictures the undefended control"
        }
        DreamSource::Live => {
            "the sleeping network seen with rectifiers; the paper pictures the undefended control, the published code a hybrid"
        }
        DreamSource::LiveSnn => {
            "the spiking network itself; the paper pictures the undefended control, the published code a hybrid"
        }
    };
    let attack = match options.attack {
        GradientAttack::Fgsm => "FGSM".to_owned(),
        GradientAttack::Pgd { steps, .. } => format!("{steps}-step PGD"),
    };
    format!(
        "with probability {} a batch is replaced by {attack} examples of eps {} crafted on {source}. (The paper's Figure 2 says PGD, its text FGSM.)",
        options.ratio,
        written(options.eps)
    )
}
