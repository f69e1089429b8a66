//! Models that say nothing: all logits are equal, and the first class is the answer everywhere.

use super::cases::{NORMS, short};
use super::net::Net;
use crate::common::models::{golden, test_images};
use deepsleep::attack::{ATTACKS, Budget, Classifier, Samples, Status, parse_attack, run_attack};
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{Freeze, Model, Network, predictions};
use deepsleep::snn::{SpikingModel, SpikingOptions, Statistics};
use deepsleep::tensor::{Context, Shape};
use ndarray::Array4;

/// Every attack, in every norm that it has, says that of the samples as many are right as have class `first`, before and
/// after, and touches no image.
fn answers_with_the_first_class(what: &str, model: &dyn Classifier, samples: &Samples) {
    let zeros = samples.labels().iter().filter(|&&label| label == 0).count();
    let expected = zeros as f64 / samples.len() as f64;
    assert!(zeros > 0);
    let context = Context::new(1).unwrap();
    let mut runs = 0;
    for entry in ATTACKS {
        for norm in NORMS {
            let text = short(entry.name)[0];
            let a = parse_attack(text).unwrap();
            let budget = Budget { norm, eps: 0.3, seed: 0 };
            let Ok(report) = run_attack(&context, model, samples, a.as_ref(), budget) else {
                continue;
            };
            runs += 1;
            let place = format!("{what}, {text}, {norm}");
            assert_eq!(report.clean_accuracy(), expected, "{place}: clean");
            assert_eq!(report.robust_accuracy(), expected, "{place}: robust");
            for (i, outcome) in report.outcomes.iter().enumerate() {
                let right = outcome.label == 0;
                let status = if right { Status::Survived } else { Status::CleanWrong };
                assert_eq!(outcome.status, status, "{place}, {i}");
                assert_eq!(outcome.prediction, 0, "{place}, {i}");
                assert_eq!(outcome.margin, 0.0, "{place}, {i}");
                assert_eq!(outcome.image, samples.image(i), "{place}, {i}");
            }
        }
    }
    assert!(runs >= 30, "only {runs} runs");
}

/// A LeNet of zeros.
fn dead_lenet() -> Model {
    let mut network = Model::open(&golden("lenet_weights.safetensors")).unwrap();
    network.parameters_mut().iter_mut().for_each(|parameter| parameter.values.fill(0.0));
    network
}

#[test]
fn a_dead_lenet_has_one_accuracy() {
    let network = dead_lenet().freeze().unwrap();
    answers_with_the_first_class("dead LeNet", &network, &test_images(0..16));
    let folder = locate(DatasetName::Mnist, None).unwrap();
    let data = Dataset::load(&folder, Split::Test).unwrap();
    let found = predictions(&Context::new(1).unwrap(), &network, &data).unwrap();
    assert!(found.iter().all(|&class| class == 0));
}

#[test]
fn a_spiking_lenet_in_which_nobody_spikes_has_one_accuracy() {
    let options = SpikingOptions::default().with(|o| o.steps = 2);
    let network = SpikingModel::from_model(&dead_lenet(), options, Statistics::Reset).unwrap();
    let network = network.freeze().unwrap();
    answers_with_the_first_class("dead spiking LeNet", &network, &test_images(0..16));
}

/// A net of zeros, and images of all its classes.
#[test]
fn a_dead_model_of_somebody_elses_has_one_accuracy() {
    let mut net = Net::random(1, Shape::new(1, 6, 6), &[8, 5]);
    for layer in &mut net.layers {
        layer.weight.fill(0.0);
        layer.bias.fill(0.0);
    }
    let images = Array4::from_elem((10, 1, 6, 6), 0.5);
    let labels = (0..10).map(|i| i % 5).collect();
    let samples = Samples::new(images.view(), labels, (0..10).collect()).unwrap();
    answers_with_the_first_class("dead net", &net, &samples);
}

/// Two classes with equal logits at every image: the later one is never right, and nobody is fooled into it from the
/// earlier one.
#[test]
fn of_two_equal_classes_the_first_is_the_answer() {
    let mut net = Net::random(2, Shape::new(1, 3, 3), &[7, 3]);
    let last = net.layers.last_mut().unwrap();
    // Class 2 is class 1 again, and class 0 never wins.
    let row = last.weight[7..14].to_vec();
    last.weight[14..].copy_from_slice(&row);
    last.weight[..7].fill(0.0);
    last.bias = vec![-100.0, 0.5, 0.5];
    let images = Array4::from_shape_fn((8, 1, 3, 3), |(n, _, y, x)| {
        ((n * 9 + y * 3 + x) * 37 % 101) as f32 / 101.0
    });
    for (label, status) in [(1, Status::Survived), (2, Status::CleanWrong)] {
        let samples = Samples::new(images.view(), vec![label; 8], (0..8).collect()).unwrap();
        for entry in ATTACKS {
            for norm in NORMS {
                let text = short(entry.name)[0];
                let a = parse_attack(text).unwrap();
                let budget = Budget { norm, eps: 0.2, seed: 0 };
                let context = Context::new(1).unwrap();
                let Ok(report) = run_attack(&context, &net, &samples, a.as_ref(), budget) else {
                    continue;
                };
                for outcome in &report.outcomes {
                    assert_eq!(outcome.status, status, "{text} {norm}, label {label}");
                    assert_eq!(outcome.prediction, 1, "{text} {norm}, label {label}");
                }
            }
        }
    }
}
