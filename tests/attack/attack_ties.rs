//! One rule for ties: the first of the largest logits, in every accuracy and under every attack.

use crate::common::models::{Affine, test_images};
use deepsleep::attack::{ATTACKS, Budget, Norm, Samples, Status, parse_attack, run_attack};
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{Freeze, Model, Network, accuracy};
use deepsleep::tensor::{Context, Shape};
use ndarray::Array4;

const NORMS: [Norm; 3] = [Norm::Linf, Norm::L2, Norm::L1];

/// A network whose logits are all 0.
fn dead() -> Model {
    let trained = Model::lenet(1).state();
    let mut state = StateDict::default();
    for name in trained.names() {
        let array = trained.get(name).unwrap();
        let zero = if name == "fc.weight" { 0.0 } else { 1.0 };
        let values = array.values.iter().map(|v| v * zero).collect();
        state.insert(name, array.shape.clone(), values).unwrap();
    }
    Model::open(&state).unwrap()
}

#[test]
fn a_dead_network_has_the_accuracy_of_class_0_everywhere() {
    let (context, network) = (Context::new(2).unwrap(), dead().freeze().unwrap());
    let samples = test_images(0..40);
    let zeros = samples.labels().iter().filter(|&&label| label == 0).count();
    assert!(zeros > 0);
    let folder = locate(DatasetName::Mnist, None).unwrap();
    let test = Dataset::load(&folder, Split::Test).unwrap().slice(0..40).unwrap();
    let expected = zeros as f64 / 40.0;
    assert_eq!(accuracy(&context, &network, &test).unwrap(), expected);
    for entry in ATTACKS {
        let options = match entry.name {
            "square" | "rays" | "uniform" => ":queries=5",
            "nes-pgd" => ":steps=2,pairs=3",
            "cw" => ":steps=2,search=2",
            "autoattack" => ":version=rand",
            name if entry.options().any(|(key, ..)| *key == "steps") && name != "cw" => ":steps=2",
            _ => "",
        };
        let a = parse_attack(&format!("{}{options}", entry.name)).unwrap();
        for norm in NORMS {
            let budget = Budget { norm, eps: 0.3, seed: 0 };
            // Not every attack exists in every norm.
            let Ok(report) = run_attack(&context, &network, &samples, a.as_ref(), budget) else {
                continue;
            };
            assert_eq!(report.clean_accuracy(), expected, "{} {norm}", entry.name);
            assert_eq!(report.robust_accuracy(), expected, "{} {norm}", entry.name);
            for outcome in &report.outcomes {
                let right = outcome.label == 0;
                assert_eq!(outcome.prediction, 0);
                assert_eq!(outcome.status == Status::CleanWrong, !right, "{} {norm}", entry.name);
            }
        }
    }
}

/// Two pixels, three classes: `z = (x0, x1, 0)`. On the diagonal classes 0 and 1 tie, and class 0 has it.
#[test]
fn a_tie_is_lost_by_the_later_class() {
    let model = Affine {
        shape: Shape::new(1, 1, 2),
        weight: vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
        bias: vec![0.0; 3],
    };
    let images = Array4::from_shape_vec((2, 1, 1, 2), vec![0.5, 0.5, 0.5, 0.5]).unwrap();
    let samples = Samples::new(images.view(), vec![0, 1], vec![0, 1]).unwrap();
    let a = parse_attack("fgsm").unwrap();
    let budget = Budget { norm: Norm::Linf, eps: 0.0, seed: 0 };
    let report =
        run_attack(&Context::new(1).unwrap(), &model, &samples, a.as_ref(), budget).unwrap();
    let found: Vec<_> =
        report.outcomes.iter().map(|o| (o.status, o.prediction, o.margin)).collect();
    assert_eq!(found, [(Status::Survived, 0, 0.0), (Status::CleanWrong, 0, 0.0)]);
}

/// An attack that can bring a sample of class 1 to a tie, and no farther, has fooled the model.
#[test]
fn a_tie_that_the_label_loses_is_a_success() {
    let shape = Shape::new(1, 1, 1);
    // z = (x, 0.5): class 1 until x reaches 0.5.
    let model = Affine { shape, weight: vec![1.0, 0.0], bias: vec![0.0, 0.5] };
    let images = Array4::from_shape_vec((1, 1, 1, 1), vec![0.25]).unwrap();
    let samples = Samples::new(images.view(), vec![1], vec![0]).unwrap();
    for text in ["fgsm", "bim:step=0.25", "pgd:start=clean,step=0.25", "square:queries=20"] {
        let a = parse_attack(text).unwrap();
        let budget = Budget { norm: Norm::Linf, eps: 0.25, seed: 0 };
        let report =
            run_attack(&Context::new(1).unwrap(), &model, &samples, a.as_ref(), budget).unwrap();
        let outcome = &report.outcomes[0];
        assert_eq!(
            (outcome.status, outcome.prediction, outcome.margin),
            (Status::Fooled, 0, 0.0),
            "{text}"
        );
    }
}
