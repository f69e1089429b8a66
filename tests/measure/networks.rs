//! Networks of the shapes that CIFAR's images call for, narrow: they train, spike, are defended by everything there is,
//! and are attacked.

use deepsleep::attack::{
    AttackReport, Budget, Classifier, Norm, Samples, parse_attack, run_attack,
};
use deepsleep::checkpoint::StateDict;
use deepsleep::data::Dataset;
use deepsleep::method::{ControlTraining, DEFENSES, Defender, InTraining, Profile, Settings};
use deepsleep::nn::architecture::{Algorithm, Architecture, Node, Op, Pair};
use deepsleep::nn::{Freeze, FrozenNetwork, Model, Network, TrainingOptions, accuracy};
use deepsleep::simd::random::{Key, uniform_from_bits};
use deepsleep::snn::{SpikingModel, SpikingOptions, Statistics, firing_rates};
use deepsleep::tensor::{Context, Shape};
use rand::Rng;
use std::sync::Arc;

const CLASSES: usize = 4;

/// Noise with a bright square of a color and at a place that are the class's.
fn images(count: usize, seed: u64) -> Dataset {
    let mut generator = Key::new(seed).named("images").generator();
    let mut pixels = Vec::with_capacity(count * 3 * 32 * 32);
    for class in (0..count).map(|i| i % CLASSES) {
        let (top, left) = (4 + 12 * (class / 2), 4 + 12 * (class % 2));
        for (c, y, x) in
            (0..3).flat_map(|c| (0..32).flat_map(move |y| (0..32).map(move |x| (c, y, x))))
        {
            let bright = (top..top + 12).contains(&y) && (left..left + 12).contains(&x);
            let level = if bright && c == class % 3 { 200.0 } else { 40.0 };
            pixels.push((level + 50.0 * uniform_from_bits(generator.next_u32())) as u8);
        }
    }
    let labels = (0..count).map(|i| (i % CLASSES) as u8).collect();
    Dataset::new(pixels, labels, [3, 32, 32], CLASSES).unwrap()
}

fn node(name: &str, op: Op, inputs: &[&str]) -> Node {
    Node { name: name.into(), op, inputs: inputs.iter().map(|&i| i.to_owned()).collect() }
}

fn conv(out: usize, kernel: usize, stride: usize) -> Op {
    let padding = Pair([kernel / 2; 2]);
    let (kernel, stride) = (Pair([kernel; 2]), Pair([stride; 2]));
    Op::Conv2d { out, kernel, stride, padding, groups: 1, bias: false, algorithm: Algorithm::Lanes }
}

fn norm() -> Op {
    Op::BatchNorm { eps: 1e-5, momentum: 0.1 }
}

/// A residual network as resnet20 is, with a stem and two blocks.
fn resnet() -> Architecture {
    let nodes = vec![
        node("conv1", conv(4, 3, 2), &[]),
        node("bn1", norm(), &[]),
        node("relu1", Op::Relu {}, &[]),
        node("layer1.conv1", conv(4, 3, 1), &[]),
        node("layer1.bn1", norm(), &[]),
        node("layer1.relu1", Op::Relu {}, &[]),
        node("layer1.conv2", conv(4, 3, 1), &[]),
        node("layer1.bn2", norm(), &[]),
        node("layer1.add", Op::Add {}, &["layer1.bn2", "relu1"]),
        node("layer1.relu2", Op::Relu {}, &[]),
        node("layer2.conv1", conv(8, 3, 2), &[]),
        node("layer2.bn1", norm(), &[]),
        node("layer2.relu1", Op::Relu {}, &[]),
        node("layer2.conv2", conv(8, 3, 1), &[]),
        node("layer2.bn2", norm(), &[]),
        node("layer2.shortcut.0", conv(8, 1, 2), &["layer1.relu2"]),
        node("layer2.shortcut.1", norm(), &[]),
        node("layer2.add", Op::Add {}, &["layer2.bn2", "layer2.shortcut.1"]),
        node("layer2.relu2", Op::Relu {}, &[]),
        // A mean over halves: the class is told by a place.
        node(
            "pool",
            Op::AvgPool {
                window: Pair([4; 2]),
                stride: None,
                padding: Pair([0; 2]),
                ceil: false,
                count_include_pad: true,
            },
            &[],
        ),
        node("linear", Op::Linear { out: CLASSES, bias: true }, &[]),
    ];
    Architecture::new(Shape::new(3, 32, 32), CLASSES, nodes).unwrap()
}

/// Padded convolutions with normalization and 2 x 2 maxima, and a hidden linear layer, as vgg9 has.
fn vgg() -> Architecture {
    let pool =
        || Op::MaxPool { window: Pair([2; 2]), stride: None, padding: Pair([0; 2]), ceil: false };
    let mut nodes = Vec::new();
    for (i, out) in [4, 8, 8].into_iter().enumerate() {
        nodes.push(node(&format!("features.{}", 4 * i), conv(out, 3, 1), &[]));
        nodes.push(node(&format!("features.{}", 4 * i + 1), norm(), &[]));
        nodes.push(node(&format!("features.{}", 4 * i + 2), Op::Relu {}, &[]));
        nodes.push(node(&format!("features.{}", 4 * i + 3), pool(), &[]));
    }
    nodes.push(node("classifier.0", Op::Linear { out: 16, bias: true }, &[]));
    nodes.push(node("classifier.1", Op::Relu {}, &[]));
    nodes.push(node("classifier.2", Op::Linear { out: CLASSES, bias: true }, &[]));
    Architecture::new(Shape::new(3, 32, 32), CLASSES, nodes).unwrap()
}

fn context() -> Context {
    Context::new(2).unwrap()
}

/// Trained until it knows its images.
fn trained(architecture: Architecture, data: &Dataset) -> Model {
    let options = TrainingOptions::default().with(|o| {
        o.epochs = 8;
        o.batch_size = 16;
    });
    let mut training = ControlTraining::new(&Arc::new(architecture), options).unwrap();
    while training.advance(&context(), data, &mut |_| {}).unwrap().is_some() {}
    let model = training.model().clone();
    let known = accuracy(&context(), &model.freeze().unwrap(), &images(40, 2)).unwrap();
    assert!(known > 0.9, "{known}");
    model
}

fn settings(profile: Profile) -> Settings {
    let mut settings = Settings::new(profile);
    for (name, value) in [
        ("slow_wave.depth", "1"),
        ("slow_wave.batch_size", "32"),
        ("slow_wave.initial_rate", "0.2"),
        ("fast_wave.batch_size", "32"),
        ("fast_wave.epochs", "2"),
        ("fast_wave.spiking.steps", "3"),
        ("adversarial_training.batch_size", "32"),
        ("adversarial_training.epochs", "1"),
        ("distillation.batch_size", "32"),
        ("distillation.teacher_epochs", "1"),
        ("distillation.student_epochs", "1"),
        ("sleep.steps", "10"),
        ("sleep.passes", "1"),
        ("lucid.passes", "3"),
        ("lucid.patches", "100"),
        ("sleep.replay.steps", "20"),
    ] {
        settings.set(name, value).unwrap();
    }
    settings
}

fn attack(model: &dyn Classifier, samples: &Samples, text: &str) -> AttackReport {
    let attack = parse_attack(text).unwrap();
    let budget = Budget { norm: Norm::Linf, eps: 8.0 / 255.0, seed: 0 };
    run_attack(&context(), model, samples, attack.as_ref(), budget).unwrap()
}

/// Trains, spikes, sleeps by every defense in two profiles (interrupted once), and is attacked as it wakes.
fn lives(architecture: Architecture) {
    let data = images(64, 1);
    let control = trained(architecture, &data);
    let samples = Samples::from_dataset(&images(8, 3), 0..8).unwrap();
    for profile in [Profile::Published, Profile::Standard] {
        for &defense in DEFENSES {
            let mut settings = settings(profile);
            // Refused where it would do nothing: lucid sleep dreams of the network as it is.
            if defense.name() == "adversarial-training" {
                settings.set("adversarial_training.from_scratch", "true").unwrap();
            }
            let new = || Defender::new(defense, control.clone(), settings.clone()).unwrap();
            let mut defender = new();
            defender.advance(&context(), &data).unwrap();
            let saved = defender.checkpoint().unwrap().to_bytes().unwrap();
            let mut resumed = new();
            let state = StateDict::from_bytes(&saved, "checkpoint").unwrap();
            resumed.resume(&context(), &state).unwrap();
            let mut spiking = None;
            for each in [&mut defender, &mut resumed] {
                while each.advance(&context(), &data).unwrap().is_some() {
                    spiking = each.spiking().cloned().or(spiking);
                }
            }
            let bytes = |defender: &Defender| defender.state().to_bytes().unwrap();
            assert!(bytes(&defender) == bytes(&resumed), "{} {profile:?}", defense.name());
            let model = defender.model();
            assert_ne!(model.parameters(), control.parameters(), "{}", defense.name());
            let report = attack(&model.freeze().unwrap(), &samples, "pgd:steps=2");
            assert!(report.robust_accuracy() <= report.clean_accuracy());
            if defense.name().contains("fast") || defense.name() == "deepsleep" {
                let frozen = spiking.unwrap().freeze().unwrap();
                assert_eq!(frozen.steps(), 3);
                attack(&frozen, &samples, "pgd:steps=2");
            }
        }
    }
    let options = SpikingOptions::default().with(|o| o.steps = 6);
    let spiking = SpikingModel::from_model(&control, options, Statistics::Carry).unwrap();
    let frozen = spiking.freeze().unwrap();
    let rates = firing_rates(&context(), &frozen, &data).unwrap();
    assert!(rates.iter().all(|(_, rate)| *rate > 0.0), "{rates:?}");
    let networks: [&dyn FrozenNetwork; 2] = [&control.freeze().unwrap(), &frozen];
    for network in networks {
        for text in ["apgd-ce:steps=3", "apgd-t:steps=2", "fab-t:steps=2", "square:queries=30"] {
            let report = attack(network, &samples, text);
            assert!(report.robust_accuracy() <= report.clean_accuracy(), "{text}");
        }
    }
}

#[test]
fn a_residual_network_of_cifars_shape() {
    lives(resnet());
}

#[test]
fn a_deep_network_of_cifars_shape() {
    lives(vgg());
}

#[test]
fn a_defense_that_does_not_apply_says_so_before_it_starts() {
    let nodes = vec![node("fc", Op::Linear { out: CLASSES, bias: true }, &[])];
    let architecture = Architecture::new(Shape::new(3, 32, 32), CLASSES, nodes).unwrap();
    let linear = Model::new(architecture, 0).unwrap();
    let mut named = settings(Profile::Published);
    named.set("slow_wave.layers", r#"["conv1", "conv9"]"#).unwrap();
    let mut wide = settings(Profile::Standard);
    wide.set("sleep.replay.window", "33").unwrap();
    let plain = settings(Profile::Published);
    let resnet = Model::new(resnet(), 0).unwrap();
    let smooth = vec![
        node("act", Op::Gelu { tanh: false }, &[]),
        node("fc", Op::Linear { out: CLASSES, bias: true }, &[]),
    ];
    let smooth = Architecture::new(Shape::new(3, 32, 32), CLASSES, smooth).unwrap();
    let smooth = Model::new(smooth, 0).unwrap();
    for (defense, model, settings, words) in [
        ("deepsleep", &linear, &plain, "neither `relu` nor `lif`"),
        ("fast-wave", &linear, &plain, "no activation at all"),
        ("fast-wave", &smooth, &plain, "`act` (gelu)"),
        ("lucid", &linear, &plain, "begins with a convolution"),
        ("slow-wave", &resnet, &named, "`conv9`"),
        ("sleep", &resnet, &named, "`conv9`"),
        ("sleep", &resnet, &wide, "`sleep.replay.window` is 33"),
    ] {
        let defense = *DEFENSES.iter().find(|each| each.name() == defense).unwrap();
        let error = Defender::new(defense, model.clone(), settings.clone()).err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
    }
    // What has nothing to do with it does not mind.
    let slow_wave = *DEFENSES.iter().find(|each| each.name() == "slow-wave").unwrap();
    Defender::new(slow_wave, linear, plain).unwrap();
}
