//! Adversarial training and lucid sleep: what their settings do, and that the defaults are what they were.

use crate::common::best;
use deepsleep::attack::Samples;
use deepsleep::certify::Certifier;
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::method::{AdversarialTraining, Defender, Defense, Lucid, Profile, Settings};
use deepsleep::nn::architecture::{Architecture, Node, Op};
use deepsleep::nn::{
    BatchAttack, BatchStart, Freeze, GradientAttack, Model, Network, Perturbation,
};
use deepsleep::simd::random::Key;
use deepsleep::tensor::{Context, Tensor};

fn context() -> Context {
    Context::with_isa(best(), 2).unwrap()
}

fn train(images: usize) -> Dataset {
    let folder = locate(DatasetName::Mnist, None).unwrap();
    Dataset::load(&folder, Split::Train).unwrap().slice(0..images).unwrap()
}

fn settings(profile: Profile, changes: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::new(profile);
    for (name, value) in changes {
        settings.set(name, value).unwrap();
    }
    settings
}

/// What comes out of a defense of a fresh LeNet, interrupted after `resume_at` passes if that is not 0.
fn defended(
    defense: &'static dyn Defense,
    settings: &Settings,
    images: usize,
    resume_at: usize,
) -> StateDict {
    let data = train(images);
    let begin = || Defender::new(defense, Model::lenet(3), settings.clone()).unwrap();
    let mut defender = begin();
    let mut passes = 0;
    while defender.advance(&context(), &data).unwrap().is_some() {
        passes += 1;
        if passes == resume_at {
            let checkpoint = defender.checkpoint().unwrap();
            defender = begin();
            defender.resume(&context(), &checkpoint).unwrap();
        }
    }
    defender.model().state()
}

#[test]
fn every_setting_of_adversarial_training_trains_and_resumes_to_the_same_bits() {
    let common = [
        ("adversarial_training.epochs", "2"),
        ("adversarial_training.batch_size", "48"),
        ("adversarial_training.attack", "pgd:steps=2,step=0.1"),
        ("adversarial_training.ratio", "1"),
        ("adversarial_training.eps", "0.2"),
        ("adversarial_training.learning_rate", "0.05"),
    ];
    let plain = defended(&AdversarialTraining, &settings(Profile::Published, &common), 192, 0);
    for (name, value) in [
        ("eps_ramp", "1.5"),
        ("start", "gray"),
        ("start", "corner"),
        ("start", "alternate"),
        ("loss", "margin"),
        ("loss", "mix"),
        ("loss", "trades"),
        ("loss", "mart:beta=2"),
        ("loss", "ibp:kappa=0.3"),
        ("average", "0.9"),
        ("weight_perturbation", "0.01"),
        ("rule", "adam"),
        ("spiking", "true"),
        ("schedule", "triangle:peak=0.1"),
    ] {
        let name = format!("adversarial_training.{name}");
        let changed = [&common[..], &[(name.as_str(), value)]].concat();
        let settings = settings(Profile::Published, &changed);
        let whole = defended(&AdversarialTraining, &settings, 192, 0);
        assert!(whole != plain, "{name}={value} changes nothing");
        assert!(whole == defended(&AdversarialTraining, &settings, 192, 1), "{name}={value}");
    }
}

#[test]
fn what_would_do_nothing_is_refused() {
    for (changes, problem) in [
        (&[("adversarial_training.start", "gray")][..], "FGSM starts at the image"),
        (&[("adversarial_training.eps_ramp", "-1")], "no number of epochs"),
        (&[("adversarial_training.average", "1")], "average 1"),
        (&[("adversarial_training.weight_perturbation", "2")], "weight perturbation 2"),
        (&[("adversarial_training.loss", "trades:beta=-1")], "beta of -1"),
        (
            &[
                ("adversarial_training.loss", "trades"),
                ("adversarial_training.label_smoothing", "0.1"),
            ],
            "label_smoothing",
        ),
        (&[("adversarial_training.loss", "ibp:kappa=2")], "kappa of 2"),
        (
            &[("adversarial_training.loss", "ibp"), ("adversarial_training.spiking", "true")],
            "without spikes",
        ),
        (
            &[("adversarial_training.loss", "mix"), ("adversarial_training.batch_size", "16")],
            "take turns",
        ),
        (&[("adversarial_training.attack", "pgd:steps=0,step=0.1")], "stays where it starts"),
        (&[("fast_wave.dream.attack", "pgd:steps=2,step=0")], "stays where it starts"),
        (&[("lucid.up", "0.05")], "lucid.down"),
        (&[("lucid.passes", "0")], "lucid.passes"),
    ] {
        let error = settings(Profile::Published, changes).validate().unwrap_err().to_string();
        assert!(error.contains(problem), "{changes:?}: {error}");
    }
}

#[test]
fn batches_start_where_they_are_told() {
    let images = train(40);
    let mut clean = Tensor::zeros(images.shape(), 40);
    images.gather(&context(), &(0..40).collect::<Vec<_>>(), &mut clean).unwrap();
    let network = Model::lenet(0).freeze().unwrap();
    let labels: Vec<usize> = (0..40).map(|i| images.label(i)).collect();
    let eps = 0.25_f32;
    let at = |start| {
        let mut moved = clean.clone();
        let by = Perturbation { eps, start, ..Perturbation::default() };
        let attack = GradientAttack::Pgd { steps: 0, step: 0.1 };
        let mut batch = BatchAttack::new(&context());
        batch.perturb_by(&network, attack, by, &mut moved, &labels, Key::new(5)).unwrap();
        moved.to_array()
    };
    let clean = clean.to_array();
    let (gray, corner, uniform) =
        (at(BatchStart::Gray), at(BatchStart::Corner), at(BatchStart::Uniform));
    for (i, &x) in clean.iter().enumerate() {
        let moved = |array: &ndarray::Array4<f32>| array.as_slice().unwrap()[i];
        assert_eq!(moved(&gray), if x > 0.5 { x - eps } else { x + eps });
        let corners = [(x - eps).max(0.0), (x + eps).min(1.0)];
        assert!(corners.contains(&moved(&corner)));
        assert!((moved(&uniform) - x).abs() <= eps);
    }
    assert!(at(BatchStart::Alternate) == gray || at(BatchStart::Alternate) == uniform);
}

#[test]
fn lucid_sleep_resumes_to_the_same_bits_and_cycles() {
    let changes = [
        ("adversarial_training.epochs", "1"),
        ("adversarial_training.attack", "pgd:steps=2,step=0.1"),
        ("lucid.passes", "5"),
        ("lucid.patches", "500"),
        ("cycles", "2"),
    ];
    let settings = settings(Profile::Lucid, &changes);
    let whole = defended(&Lucid, &settings, 256, 0);
    // Two cycles of slow waves and an epoch of dreams.
    for passes in [1, 2, 3] {
        assert!(whole == defended(&Lucid, &settings, 256, passes), "after {passes}");
    }
    let mut once = settings;
    once.cycles = 1;
    assert!(whole != defended(&Lucid, &once, 256, 0));
}

#[test]
fn the_average_is_that_of_all_steps() {
    // With a share of 0.9 and few steps the share is (1 + t) / (10 + t).
    let changes = [
        ("adversarial_training.epochs", "1"),
        ("adversarial_training.batch_size", "64"),
        ("adversarial_training.ratio", "0"),
        ("adversarial_training.average", "0.9"),
    ];
    let averaged = defended(&AdversarialTraining, &settings(Profile::Published, &changes), 192, 0);
    let after = |images: usize| {
        let live = &changes[..3];
        defended(&AdversarialTraining, &settings(Profile::Published, live), images, 0)
    };
    let last = after(192);
    let weights = |state: &StateDict| state.get("fc.weight").unwrap().values.clone();
    // An average of three steps lies apart from the last one, and not far.
    let (mean, last) = (weights(&averaged), weights(&last));
    let far = mean.iter().zip(&last).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
    assert!(far > 0.0 && far < 0.1, "{far}");
}

#[test]
fn training_by_bounds_makes_bounds_that_certify() {
    let changes = [
        ("adversarial_training.epochs", "6"),
        ("adversarial_training.batch_size", "64"),
        ("adversarial_training.rule", "adam"),
        ("adversarial_training.learning_rate", "0.005"),
        ("adversarial_training.eps", "0.05"),
        ("adversarial_training.eps_ramp", "2"),
        ("adversarial_training.ratio", "0"),
    ];
    let certified = |loss: &str| {
        let changes = [&changes[..], &[("adversarial_training.loss", loss)]].concat();
        let state =
            defended(&AdversarialTraining, &settings(Profile::Published, &changes), 2048, 0);
        let model = Model::open(&state).unwrap();
        let samples = Samples::from_dataset(&train(2248), 2048..2248).unwrap();
        Certifier::new(&model)
            .unwrap()
            .certify(&context(), &samples, 0.05)
            .unwrap()
            .certified_accuracy
    };
    let (plain, bounded) = (certified("ce"), certified("ibp"));
    assert!(bounded > plain + 0.2, "{plain} {bounded}");
}

#[test]
fn networks_that_have_no_bounds_to_train_by_are_refused() {
    let nodes = |op: Op| {
        let node = |name: &str, op| Node { name: name.into(), op, inputs: Vec::new() };
        vec![
            node("a", Op::Linear { out: 8, bias: true }),
            node("f", op),
            node("b", Op::Linear { out: 10, bias: true }),
        ]
    };
    let defender = |op: Op| {
        let shape = deepsleep::tensor::Shape::new(1, 28, 28);
        let architecture = Architecture::new(shape, 10, nodes(op)).unwrap();
        let settings =
            settings(Profile::Published, &[("adversarial_training.loss", "ibp:kappa=0.5")]);
        Defender::new(&AdversarialTraining, Model::new(architecture, 0).unwrap(), settings)
    };
    assert!(defender(Op::Tanh {}).is_ok());
    let error = defender(Op::Silu {}).err().unwrap().to_string();
    assert!(error.contains("`f` is a silu"), "{error}");
}
