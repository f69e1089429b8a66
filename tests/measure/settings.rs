//! Every setting of every defense, changed by itself: a defense says that it reads exactly those that change its outcome.

use crate::defenses::SHORT;
use deepsleep::data::{Dataset, Split};
use deepsleep::method::{
    AdversarialTraining, DEFENSES, DeepSleep, Defender, Defense, Distillation, FastWaveDefense,
    Lucid, Profile, Settings, SleepDefense, SlowWaveDefense, Training,
};
use deepsleep::nn::architecture::Architecture;
use deepsleep::nn::{Model, Network, recalibrate};
use deepsleep::tensor::Context;
use rayon::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

const ZERO_EPS: (&str, &str) = ("adversarial_training.eps", "0");
const PGD: (&str, &str) = ("adversarial_training.attack", "pgd:steps=2,step=0.02");

type Values = &'static [(&'static str, &'static str)];

/// With these beside the short settings, everything has something to do on few images.
const BASE: Values = &[
    ("slow_wave.batches", "2"),
    ("sleep.replay.steps", "300"),
    ("sleep.replay.window", "5"),
    ("sleep.replay.thresholds", "[1, 1, 1]"),
];

/// Defenses in the forms in which they read different settings.
const FORMS: &[(&dyn Defense, Values)] = &[
    (&AdversarialTraining, &[]),
    (
        &AdversarialTraining,
        &[("adversarial_training.rule", "adam"), ("adversarial_training.schedule", "cosine")],
    ),
    (&AdversarialTraining, &[("adversarial_training.attack", "pgd:steps=2,step=0.02")]),
    (&AdversarialTraining, &[("adversarial_training.ratio", "0")]),
    (
        &AdversarialTraining,
        &[("adversarial_training.ratio", "0"), ("adversarial_training.loss", "ibp")],
    ),
    (
        &AdversarialTraining,
        &[("adversarial_training.ratio", "0"), ("adversarial_training.loss", "mart")],
    ),
    (
        &AdversarialTraining,
        &[
            ("adversarial_training.ratio", "1"),
            ("adversarial_training.loss", "ibp"),
            ("adversarial_training.eps_ramp", "1"),
        ],
    ),
    (
        &AdversarialTraining,
        &[
            ("adversarial_training.loss", "ibp"),
            ("adversarial_training.ratio", "0"),
            ("adversarial_training.eps_ramp", "1"),
        ],
    ),
    (
        &AdversarialTraining,
        &[
            ("adversarial_training.attack", "pgd:steps=2,step=0.02"),
            ("adversarial_training.loss", "trades"),
        ],
    ),
    (&AdversarialTraining, &[("adversarial_training.loss", "mart")]),
    (&AdversarialTraining, &[("adversarial_training.eps", "0")]),
    (
        &AdversarialTraining,
        &[("adversarial_training.eps", "0"), ("adversarial_training.loss", "ibp")],
    ),
    (&AdversarialTraining, &[ZERO_EPS, ("adversarial_training.loss", "mart")]),
    (&AdversarialTraining, &[("adversarial_training.loss", "ibp:kappa=1")]),
    (&Distillation, &[]),
    (&Distillation, &[("distillation.method", "papernot")]),
    (&SleepDefense, &[]),
    (&SleepDefense, &[("slow_wave.plasticity", "pair"), ("sleep.steps", "60")]),
    (&SleepDefense, &[("sleep.method", "tadros")]),
    (&SleepDefense, &[("sleep.method", "tadros"), ("conversion", "recalibrate")]),
    (&SlowWaveDefense, &[]),
    (&SlowWaveDefense, &[("slow_wave.layers", "all"), ("slow_wave.rescale", "true")]),
    (&SlowWaveDefense, &[("slow_wave.plasticity", "pair")]),
    (&SlowWaveDefense, &[("slow_wave.plasticity", "pair"), ("slow_wave.pair.exponent", "0")]),
    (&SlowWaveDefense, &[("slow_wave.plasticity", "pair"), ("slow_wave.pair.potentiation", "0")]),
    (&SlowWaveDefense, &[("slow_wave.plasticity", "pair"), ("slow_wave.pair.depression", "0")]),
    (
        &SlowWaveDefense,
        &[("slow_wave.plasticity", "pair"), ("slow_wave.layers", "all"), ("conversion", "carry")],
    ),
    (&SlowWaveDefense, &[("slow_wave.plasticity", "pair"), ("slow_wave.pair.neuron.tau", "null")]),
    (
        &SlowWaveDefense,
        &[("slow_wave.plasticity", "pair"), ("slow_wave.pair.neuron.reset", "soft")],
    ),
    (
        &SlowWaveDefense,
        &[("slow_wave.plasticity", "pair"), ("slow_wave.pair.neuron.reset", "none")],
    ),
    (&FastWaveDefense, &[]),
    (&FastWaveDefense, &[("conversion", "carry")]),
    (&FastWaveDefense, &[("conversion", "recalibrate")]),
    (&FastWaveDefense, &[("fast_wave.noise", "false")]),
    (&FastWaveDefense, &[("fast_wave.noise", "false"), ("conversion", "carry")]),
    (&FastWaveDefense, &[("fast_wave.dream.ratio", "0")]),
    (&FastWaveDefense, &[("fast_wave.dream.eps", "0")]),
    (&FastWaveDefense, &[("fast_wave.dream.source", "control")]),
    (&FastWaveDefense, &[("fast_wave.dream.source", "live"), ("fast_wave.rule", "adam")]),
    (
        &FastWaveDefense,
        &[
            ("fast_wave.dream.source", "live-snn"),
            ("fast_wave.dream.attack", "pgd:steps=2,step=0.1"),
        ],
    ),
    (
        &FastWaveDefense,
        &[
            ("fast_wave.spiking.encoder", "poisson:rate=1"),
            ("fast_wave.spiking.surrogate", "arctan:2"),
        ],
    ),
    (&FastWaveDefense, &[("fast_wave.spiking.surrogate", "straight-through:1")]),
    (&FastWaveDefense, &[("fast_wave.spiking.neuron.reset", "soft")]),
    (&FastWaveDefense, &[("fast_wave.spiking.neuron.reset", "none")]),
    (&FastWaveDefense, &[("fast_wave.spiking.neuron.tau", "null")]),
    (
        &FastWaveDefense,
        &[
            ("fast_wave.spiking.neuron.synapse_tau", "3"),
            ("fast_wave.spiking.neuron.decay_input", "false"),
        ],
    ),
    (&FastWaveDefense, &[("fast_wave.spiking.steps", "1")]),
    (
        &FastWaveDefense,
        &[
            ("fast_wave.spiking.steps", "1"),
            ("fast_wave.spiking.neuron.decay_input", "false"),
            ("fast_wave.spiking.neuron.synapse_tau", "3"),
        ],
    ),
    (
        &FastWaveDefense,
        &[
            ("fast_wave.spiking.steps", "1"),
            ("fast_wave.spiking.neuron.tau", "null"),
            ("fast_wave.spiking.neuron.synapse_tau", "3"),
        ],
    ),
    (&DeepSleep, &[]),
    (&DeepSleep, &[("cycles", "2")]),
    (
        &DeepSleep,
        &[
            ("cycles", "2"),
            ("conversion", "carry"),
            ("slow_wave.rescale", "true"),
            ("slow_wave.layers", "all"),
        ],
    ),
    (&DeepSleep, &[("cycles", "2"), ("slow_wave.rescale", "true"), ("slow_wave.layers", "all")]),
    (&DeepSleep, &[("cycles", "2"), ("slow_wave.plasticity", "pair")]),
    (&Lucid, &[]),
    (&Lucid, &[("cycles", "2"), ("lucid.silent", "0.6")]),
    (&Lucid, &[("lucid.homeostasis", "false")]),
    (&Lucid, &[("lucid.down_selection", "false")]),
    (&Lucid, &[("lucid.down_selection", "false"), ("lucid.homeostasis", "false"), ("cycles", "2")]),
    (&Lucid, &[("adversarial_training.ratio", "0")]),
    (&Lucid, &[("adversarial_training.eps", "0")]),
    (&Lucid, &[("adversarial_training.eps_ramp", "1"), ("cycles", "2")]),
    (&Lucid, &[("adversarial_training.spiking", "true"), ("fast_wave.spiking.steps", "2")]),
    (
        &AdversarialTraining,
        &[
            ("adversarial_training.spiking", "true"),
            ("fast_wave.spiking.steps", "1"),
            ("fast_wave.spiking.encoder", "poisson:rate=0.7"),
        ],
    ),
];

/// What makes a difference only where a membrane is at its threshold, or in rounding, as a layer's resistance follows from
/// its threshold; and what tables of the paper change, whatever the dreams are.
const HARDLY: &[&str] =
    &["neuron.inclusive", "pair.neuron.threshold", "pair.neuron.rest", "fast_wave.noise"];

/// Other values of a setting; those that it does not take are left out later.
fn others(name: &str, value: &Value) -> Vec<String> {
    let own = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    match name.rsplit('.').next().unwrap_or(name) {
        "attack" | "fgsm" => own(&["fgsm", "pgd:steps=3,step=0.05"]),
        "loss" if name.starts_with("adv") => own(&["ce", "margin", "mix", "mart", "ibp", "trades"]),
        "schedule" => {
            own(&["constant", "linear", "cosine", "triangle", "step:epochs=1,factor=0.5"])
        }
        "start" => own(&["uniform", "grey", "corner", "alternate"]),
        "conversion" | "statistics" => own(&["reset", "carry", "recalibrate"]),
        "source" => own(&["control", "hybrid", "live", "live-snn"]),
        "encoder" => own(&["direct", "poisson:rate=0.7"]),
        "reset" => own(&["hard", "soft", "none"]),
        "layers" => own(&["published", "all", "[\"conv2\"]"]),
        "plasticity" => own(&["published", "pair"]),
        "method" => own(&["as-run", "tadros", "published", "papernot"]),
        "synapse_tau" | "tau" => own(&["3", "7", "null"]),
        "change" => own(&["[0.9, 1.1]"]),
        "thresholds" => own(&["[0.5, 1, 1]", "[1, 1, 2]", "[1, 0.5, 1]"]),
        _ => match value {
            Value::Bool(is) => vec![(!is).to_string()],
            Value::Number(number) if number.is_f64() => {
                let x = number.as_f64().unwrap();
                [0.5 * x, 1.5 * x, 10.0 * x, x + 0.3, x + 1.5, x - 0.25, 0.01 * x, 1.0]
                    .map(|x| (x as f32).to_string())
                    .into()
            }
            Value::Number(number) => {
                let n = number.as_u64().unwrap();
                [n + 1, 1, 2 * n, n + 7].map(|n| n.to_string()).into()
            }
            other => panic!("`{name}` = {other} is of a new kind"),
        },
    }
}

/// What comes out, in bits; None if these settings are refused.
fn outcome(
    defense: &'static dyn Defense,
    control: &Model,
    data: &Dataset,
    settings: &Settings,
) -> Option<Vec<u32>> {
    settings.validate().ok()?;
    let mut defender = Defender::new(defense, control.clone(), settings.clone()).ok()?;
    let context = Context::new(1).unwrap();
    while defender.advance(&context, data).ok()?.is_some() {}
    let model = defender.model();
    let weights = model.parameters().iter().flat_map(|p| p.values.iter());
    let statistics = model.statistics().iter().flat_map(|s| s.mean.iter().chain(&s.variance));
    Some(weights.chain(statistics).map(|x| x.to_bits()).collect())
}

/// What a form's outcome depends on and is not said to, and the other way round.
fn wrong(
    defense: &'static dyn Defense,
    form: Values,
    control: &Model,
    data: &Dataset,
) -> Vec<String> {
    let about = |name: &str, what: &str| format!("{} {form:?}: {name} {what}", defense.name());
    let settings = settings_of(form);
    let Some(plain) = outcome(defense, control, data, &settings) else {
        return vec![about("it", "does not run")];
    };
    let same = |other: &Settings| outcome(defense, control, data, other).is_none_or(|o| o == plain);
    let list = settings.list().into_iter().filter(|(name, _)| name != "profile" && name != "seed");
    let (read, unread): (Vec<_>, Vec<_>) =
        list.partition(|(name, _)| Training::Defense(defense).reads(&settings, name));
    let changed = |settings: &Settings, name: &str, value: &str| {
        let mut other = settings.clone();
        (other.set(name, value).is_ok() && other != *settings).then_some(other)
    };
    // Another value may be one that is read, as a loss of bounds is where no batch is one of examples.
    let stays_unread = |settings: &Settings, name: &str| {
        let is_read = |(other, _): &(String, Value)| {
            other.starts_with(name) && Training::Defense(defense).reads(settings, other)
        };
        !settings.list().iter().any(is_read)
    };
    let mut wrong = Vec::new();
    for (name, value) in &read {
        let others = others(name, value).into_iter();
        let mut outcomes = others
            .filter_map(|value| changed(&settings, name, &value))
            .filter_map(|other| outcome(defense, control, data, &other))
            .peekable();
        let can_change = outcomes.peek().is_some();
        let hardly = HARDLY.iter().any(|hardly| name.ends_with(hardly));
        if can_change && outcomes.all(|other| other == plain) && !hardly {
            wrong.push(about(name, "is said to be read"));
        }
    }
    // All that is not read at once, and one by one if that changes something.
    for turn in 0..5 {
        let mut all = settings.clone();
        let mut steps = Vec::new();
        for (name, value) in &unread {
            let others = others(name, value);
            let next = changed(&all, name, &others[turn % others.len()]);
            if let Some(next) = next.filter(|next| stays_unread(next, name)) {
                all = next.clone();
                steps.push((name, next));
            }
        }
        if !same(&all) {
            let first = steps.iter().find(|(_, step)| !same(step)).unwrap();
            wrong.push(about(first.0, "is not said to be read"));
        }
    }
    wrong
}

fn digits() -> (Model, Dataset) {
    let data = Dataset::load("tests/golden/digits", Split::Train).unwrap().slice(0..100).unwrap();
    let network: Architecture =
        toml::from_str(&std::fs::read_to_string("experiments/digits/net.toml").unwrap()).unwrap();
    let mut control = Model::new(Arc::new(network), 3).unwrap();
    recalibrate(&Context::new(1).unwrap(), &mut control, &data, 32).unwrap();
    (control, data)
}

fn settings_of(form: Values) -> Settings {
    let mut settings = Settings::new(Profile::Published);
    for (name, value) in SHORT.iter().chain(BASE).chain(form) {
        settings.set(name, value).unwrap_or_else(|error| panic!("{error}"));
    }
    settings
}

#[test]
fn every_defense_has_a_form() {
    let missing = DEFENSES.iter().filter(|defense| !FORMS.iter().any(|(form, _)| form == *defense));
    let missing: Vec<_> = missing.map(|defense| defense.name()).collect();
    assert!(missing.is_empty(), "not in FORMS: {missing:?}");
}

#[test]
fn a_defense_reads_exactly_what_changes_its_outcome() {
    let (control, data) = digits();
    let wrong: Vec<String> = FORMS
        .par_iter()
        .flat_map(|&(defense, form)| wrong(defense, form, &control, &data))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Results are kept under the settings that are read: no two outcomes may be kept under the same.
#[test]
fn outcomes_under_the_same_settings_are_the_same() {
    let (control, data) = digits();
    let more: [(&dyn Defense, Values); 3] = [
        (&AdversarialTraining, &[ZERO_EPS, PGD, ("adversarial_training.loss", "mart")]),
        (&AdversarialTraining, &[ZERO_EPS, PGD, ("adversarial_training.loss", "trades")]),
        (&AdversarialTraining, &[ZERO_EPS, ("adversarial_training.loss", "margin")]),
    ];
    let mut kept = HashMap::new();
    for &(defense, form) in FORMS.iter().chain(&more) {
        let settings = settings_of(form);
        let read = format!("{:?}", Training::Defense(defense).settings_read(&settings));
        let outcome = outcome(defense, &control, &data, &settings).expect("it runs");
        let (other, before) =
            kept.entry((defense.name(), read)).or_insert_with(|| (form, outcome.clone()));
        assert!(*before == outcome, "{}: {other:?} and {form:?}", defense.name());
    }
}
