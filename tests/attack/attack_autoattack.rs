//! The release gate: AutoAttack against the official one's verdicts, sample by sample.
//!
//! `DEEPSLEEP_AUTOATTACK=full cargo test --release --test attack attack_autoattack` attacks all images of the golden files, and
//! holds the results to the limits: in Linf the robust accuracy within 0.7 points of the official one's and 98.5 % of
//! the verdicts alike; in L2 the robust accuracy within what the official attack's seeds 0 to 4 span, and a point more,
//! and 95 % of the verdicts alike.
//!
//! In L2 Square fools a dozen of the images that gradients do not, by luck: the official verdicts change with the seed.
//! With seeds 0 to 4 it leaves 135, 136, 140, 139 and 134 of 200; two seeds agree on 94.0 to 99.5 % of the images, and
//! with the majority of the five on 95.0 to 100 %.
//!
//! Without the variable all images that the official attack fools are attacked (they cost little: whoever is fooled is
//! done), and every fifth of the others. Where an attack is too weak this is seen with as many images as in full.

use crate::common::models::{lenet, test_images};
use deepsleep::attack::{AutoAttack, Budget, Norm, Status, run_attack};
use deepsleep::tensor::Context;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// Of the images that the official attack leaves, those that are attacked here when not all are.
const EVERY: usize = 5;

fn golden(name: &str) -> Value {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap()
}

fn full() -> bool {
    std::env::var("DEEPSLEEP_AUTOATTACK").is_ok_and(|value| value == "full")
}

/// What is attacked, and how.
struct Case {
    weights: String,
    norm: Norm,
    eps: f32,
    first: usize,
    last: usize,
}

impl Case {
    fn new(value: &Value) -> Self {
        let number = |name: &str| value[name].as_u64().unwrap() as usize;
        Self {
            weights: value["weights"].as_str().unwrap().into(),
            norm: value["norm"].as_str().unwrap().parse().unwrap(),
            eps: value["eps"].as_f64().unwrap() as f32,
            first: number("first"),
            last: number("last"),
        }
    }

    /// Attacks the images that are `chosen`, counted from the first; those that survive.
    fn survivors(&self, chosen: &[usize]) -> HashSet<usize> {
        let samples = test_images(self.first..self.last).select(chosen).unwrap();
        let (context, network) = (Context::new(2).unwrap(), lenet(&self.weights));
        let budget = Budget { norm: self.norm, eps: self.eps, seed: 0 };
        let start = std::time::Instant::now();
        let report =
            run_attack(&context, &network, &samples, &AutoAttack::default(), budget).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        let mut winners = BTreeMap::<&str, usize>::new();
        for winner in report.outcomes.iter().filter_map(|outcome| outcome.winner.as_ref()) {
            *winners.entry(&winner.attack).or_default() += 1;
        }
        println!(
            "{} {} {}: {} of {} survive, {winners:?}, {:?}, {seconds:.1} s, {:?}",
            self.weights,
            self.norm,
            self.eps,
            report.count(Status::Survived),
            samples.len(),
            report.cost(),
            report.warnings
        );
        let places = chosen.iter().zip(&report.outcomes);
        let survived = places.filter(|(_, outcome)| outcome.status == Status::Survived);
        survived.map(|(&place, _)| place).collect()
    }
}

/// Where two attacks differ.
struct Apart {
    /// Fooled by the official one alone.
    weaker: Vec<usize>,
    /// Fooled by ours alone.
    stronger: Vec<usize>,
}

impl Apart {
    fn new(ours: &HashSet<usize>, theirs: &[bool], chosen: &[usize]) -> Self {
        let places = || chosen.iter().copied();
        let apart = Self {
            weaker: places().filter(|i| ours.contains(i) && !theirs[*i]).collect(),
            stronger: places().filter(|i| !ours.contains(i) && theirs[*i]).collect(),
        };
        println!("fooled by theirs alone {:?}, by ours alone {:?}", apart.weaker, apart.stronger);
        apart
    }

    /// The share of `count` images whose verdicts are alike.
    fn alike(&self, count: usize) -> f64 {
        1.0 - (self.weaker.len() + self.stronger.len()) as f64 / count as f64
    }
}

/// All images, or those that the official attack fools and some of those that it does not.
fn choose(theirs: &[bool]) -> Vec<usize> {
    let survivors =
        (0..theirs.len()).filter(|&i| theirs[i]).step_by(if full() { 1 } else { EVERY });
    let mut chosen: Vec<usize> =
        survivors.chain((0..theirs.len()).filter(|&i| !theirs[i])).collect();
    chosen.sort_unstable();
    chosen
}

fn linf(case: usize) {
    let golden = golden("autoattack.json");
    let value = &golden["cases"][case];
    let case = Case::new(value);
    let robust = value["robust_indices"].as_array().unwrap();
    let robust: HashSet<usize> = robust.iter().map(|i| i.as_u64().unwrap() as usize).collect();
    let theirs: Vec<bool> = (case.first..case.last).map(|i| robust.contains(&i)).collect();
    let chosen = choose(&theirs);
    let ours = case.survivors(&chosen);
    let apart = Apart::new(&ours, &theirs, &chosen);
    let count = theirs.len() as f64;
    // 0.7 points of all images: whoever the official attack fools was asked about, in full or not.
    let most = (0.007 * count).floor() as usize;
    assert!(apart.weaker.len() <= most, "weaker on {:?}", apart.weaker);
    if full() {
        let alike = apart.alike(theirs.len());
        assert!(alike >= 0.985, "{alike:.4} of the verdicts are alike");
        let difference = (ours.len() as f64 - robust.len() as f64).abs() / count;
        assert!(difference <= 0.007, "robust accuracies are {difference:.4} apart");
    } else {
        assert!(apart.stronger.len() <= most, "stronger on {:?}", apart.stronger);
    }
}

#[test]
fn linf_on_the_plain_lenet() {
    linf(0);
}

#[test]
fn linf_on_the_robust_lenet() {
    linf(1);
}

#[test]
fn linf_on_the_robust_lenet_with_a_large_radius() {
    linf(2);
}

#[test]
fn l2_on_the_robust_lenet() {
    let golden = golden("autoattack_l2_seeds.json");
    let case = Case::new(&golden);
    let seeds: Vec<&[u8]> = golden["seeds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|seed| seed["verdicts"].as_str().unwrap().as_bytes())
        .collect();
    let count = case.last - case.first;
    assert!(seeds.iter().all(|verdicts| verdicts.len() == count));
    let votes = |i: usize| seeds.iter().filter(|verdicts| verdicts[i] == b'1').count();
    let majority: Vec<bool> = (0..count).map(|i| 2 * votes(i) > seeds.len()).collect();
    let chosen = choose(&majority);
    let ours = case.survivors(&chosen);
    let apart = Apart::new(&ours, &majority, &chosen);
    // Where the seeds agree there is no luck in it.
    let point = count / 100;
    let agreed = |i: &&usize| [0, seeds.len()].contains(&votes(**i));
    let weaker = apart.weaker.iter().filter(agreed).count();
    assert!(weaker <= point, "weaker on {weaker} images that every seed of the official one fools");
    let stronger = apart.stronger.iter().filter(agreed).count();
    assert!(stronger <= 2 * point, "stronger on {stronger} images that no seed fools");
    if full() {
        let alike = apart.alike(count);
        assert!(alike >= 0.95, "{alike:.4} of the verdicts are the majority's");
        let counts = seeds.iter().map(|seed| seed.iter().filter(|&&digit| digit == b'1').count());
        let (least, most) = (counts.clone().min().unwrap() - point, counts.max().unwrap() + point);
        let robust = ours.len();
        assert!((least..=most).contains(&robust), "{robust} survive, not {least} to {most}");
    }
}

/// At eps 0.5 every image can become uniform grey, and grey has one class: who survives has that one.
#[test]
fn at_half_the_range_at_most_one_class_survives() {
    let (context, network) = (Context::new(2).unwrap(), lenet("lenet_robust.safetensors"));
    let samples = test_images(100..164);
    for eps in [0.5, 1.0] {
        let budget = Budget { norm: Norm::Linf, eps, seed: 0 };
        let a = AutoAttack::default();
        let report = run_attack(&context, &network, &samples, &a, budget).unwrap();
        let labels: HashSet<usize> = report
            .outcomes
            .iter()
            .filter(|outcome| outcome.status == Status::Survived)
            .map(|outcome| outcome.label)
            .collect();
        assert!(labels.len() <= 1, "{labels:?} survive eps {eps}");
    }
}
