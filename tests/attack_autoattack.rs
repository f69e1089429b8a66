//! AutoAttack against the official one's verdicts, sample by sample (tests/golden/autoattack.json).
//!
//! `DEEPSLEEP_AUTOATTACK=full cargo test --release --test attack_autoattack` attacks all images of the file; without
//! the variable, every twenty-fifth.
//!
//! In L2 Square fools a dozen of the images that gradients do not, by luck: the official attack with seeds 1 to 4 leaves
//! 0.685, 0.690, 0.680 and 0.690 of them robust, and agrees with its own verdicts of seed 0 (0.690) on 97.5, 96.0, 95.0 and
//! 98.0 %. Ours with seeds 0 to 19: 0.693 in the mean, from 0.670 to 0.710. With seed 0 it is 0.700: on all images this one
//! test fails its limit of 0.007, by one image.

mod common;

use common::models::{lenet, test_images};
use deepsleep::attack::{AutoAttack, Budget, Norm, Status, attack};
use deepsleep::tensor::Context;
use serde_json::Value;
use std::collections::HashSet;

fn compare(case: usize) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = std::fs::read_to_string(folder.join("autoattack.json")).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    let case = &golden["cases"][case];
    let number = |name: &str| case[name].as_u64().unwrap() as usize;
    let norm: Norm = case["norm"].as_str().unwrap().parse().unwrap();
    let eps = case["eps"].as_f64().unwrap() as f32;
    let weights = case["weights"].as_str().unwrap();
    let all = test_images(number("first")..number("last"));
    let full = std::env::var("DEEPSLEEP_AUTOATTACK").is_ok_and(|value| value == "full");
    let chosen: Vec<usize> = (0..all.len()).step_by(if full { 1 } else { 25 }).collect();
    let samples = all.select(&chosen).unwrap();
    let theirs: HashSet<u64> =
        case["robust_indices"].as_array().unwrap().iter().map(|i| i.as_u64().unwrap()).collect();

    let (context, network) = (Context::new(2).unwrap(), lenet(weights));
    let budget = Budget { norm, eps, seed: 0 };
    let start = std::time::Instant::now();
    let report = attack(&context, &network, &samples, &AutoAttack::default(), budget).unwrap();
    let seconds = start.elapsed().as_secs_f64();

    let (mut stronger, mut weaker, mut robust) = (Vec::new(), Vec::new(), 0);
    let mut winners = std::collections::BTreeMap::<String, usize>::new();
    for outcome in &report.outcomes {
        let ours = outcome.status == Status::Survived;
        let theirs = theirs.contains(&outcome.id);
        robust += usize::from(theirs);
        match (ours, theirs) {
            (true, false) => weaker.push(outcome.id),
            (false, true) => stronger.push(outcome.id),
            _ => {}
        }
        if let Some(winner) = &outcome.winner {
            *winners.entry(winner.attack.clone()).or_default() += 1;
        }
    }
    let count = samples.len() as f64;
    println!(
        "{weights} {norm} {eps}: robust {:.4} (official {:.4}) of {count}, fooled only by us {stronger:?}, only by \
         theirs {weaker:?}, {winners:?}, {:?}, {seconds:.1} s, {:?}",
        report.robust_accuracy(),
        robust as f64 / count,
        report.cost(),
        report.warnings
    );
    assert!(weaker.len() <= 2, "weaker than the official one on {weaker:?}");
    if full {
        let apart = (stronger.len() + weaker.len()) as f64;
        assert!(1.0 - apart / count >= 0.985, "agreement {:.4}", 1.0 - apart / count);
        assert!((report.robust_accuracy() - robust as f64 / count).abs() <= 0.007);
    }
}

#[test]
fn linf_on_the_plain_lenet() {
    compare(0);
}

#[test]
fn linf_on_the_robust_lenet() {
    compare(1);
}

#[test]
fn linf_on_the_robust_lenet_with_a_large_radius() {
    compare(2);
}

#[test]
fn l2_on_the_robust_lenet() {
    compare(3);
}

/// At eps 0.5 every image can become uniform grey, and grey has one class: who survives has that one.
#[test]
fn at_half_the_range_at_most_one_class_survives() {
    let (context, network) = (Context::new(2).unwrap(), lenet("lenet_robust.safetensors"));
    let samples = test_images(100..164);
    for eps in [0.5, 1.0] {
        let budget = Budget { norm: Norm::Linf, eps, seed: 0 };
        let a = AutoAttack::default();
        let report = attack(&context, &network, &samples, &a, budget).unwrap();
        let labels: HashSet<usize> = report
            .outcomes
            .iter()
            .filter(|outcome| outcome.status == Status::Survived)
            .map(|outcome| outcome.label)
            .collect();
        assert!(labels.len() <= 1, "{labels:?} survive eps {eps}");
    }
}
