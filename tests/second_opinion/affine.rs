//! Affine models whose box does not matter: the distance to the boundary is known in every norm.

use super::cases::NORMS;
use super::models::points;
use super::net::{Net, Numbers};
use deepsleep::attack::{Budget, Norm, Samples, Status, parse_attack, run_attack};
use deepsleep::tensor::{Context, Shape};
use ndarray::Array4;

const SAMPLES: usize = 12;

/// A model and images near the middle of the box, classified correctly.
fn problem(classes: usize, seed: u64) -> (Net, Samples) {
    let net = Net::random(seed, Shape::new(1, 3, 4), &[classes]);
    let random = &mut Numbers::new(seed + 1000);
    let images =
        Array4::from_shape_simple_fn((SAMPLES, 1, 3, 4), || (0.5 + 0.05 * random.signed()) as f32);
    let labels = images.outer_iter().map(|image| {
        let logits = net.logits(&widen(image.as_slice().unwrap()));
        (0..classes).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap()
    });
    let labels = labels.collect();
    let samples = Samples::new(images.view(), labels, (0..SAMPLES as u64).collect()).unwrap();
    (net, samples)
}

fn widen(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// `|F| / |G|` in the dual norm, the least over the other classes.
fn distance(net: &Net, image: &[f32], label: usize, norm: Norm) -> f64 {
    let logits = net.logits(&widen(image));
    let features = image.len();
    let row = |class: usize| &net.layers[0].weight[class * features..][..features];
    let mut nearest = f64::INFINITY;
    for class in (0..logits.len()).filter(|&class| class != label) {
        let normal = row(class).iter().zip(row(label)).map(|(a, b)| (a - b).abs());
        let length = match norm {
            Norm::Linf => normal.sum(),
            Norm::L2 => normal.map(|g| g * g).sum::<f64>().sqrt(),
            _ => normal.fold(0.0, f64::max),
        };
        nearest = nearest.min((logits[label] - logits[class]) / length);
    }
    nearest
}

/// Fooled if and only if the boundary lies in the ball, but for `slack` of the radius.
fn decides(text: &str, norm: Norm, classes: &[usize], slack: f64) {
    let (mut fooled, mut survived) = (0, 0);
    for (seed, &classes) in classes.iter().cycle().take(12).enumerate() {
        let (net, samples) = problem(classes, seed as u64);
        let all = (0..SAMPLES).map(|i| distance(&net, samples.image(i), samples.labels()[i], norm));
        let distances: Vec<f64> = all.collect();
        // The middle one: half of the samples are to be fooled.
        let mut sorted = distances.clone();
        sorted.sort_by(f64::total_cmp);
        let eps = sorted[SAMPLES / 2] as f32 * 1.01;
        assert!(eps < 0.45, "the box matters");
        let budget = Budget { norm, eps, seed: 2 };
        let a = parse_attack(text).unwrap();
        let report = run_attack(&Context::new(1).unwrap(), &net, &samples, a.as_ref(), budget);
        let report = report.unwrap_or_else(|error| panic!("{text} {norm}: {error}"));
        for (outcome, distance) in report.outcomes.iter().zip(distances) {
            let ratio = distance / f64::from(eps);
            let place = format!("{text} {norm}, {classes} classes, net {seed}: {ratio} of eps");
            match outcome.status {
                Status::Fooled => assert!(ratio < 1.0 + 1e-5, "{place}, but fooled"),
                _ => assert!(ratio > 1.0 - slack, "{place}, but {:?}", outcome.status),
            }
            fooled += usize::from(outcome.status == Status::Fooled);
            survived += usize::from(outcome.status == Status::Survived);
        }
    }
    assert!(fooled > 40 && survived > 40, "{text} {norm}: {fooled} fooled, {survived} survived");
}

#[test]
fn a_single_step_decides_between_two_classes() {
    for norm in NORMS {
        for text in ["fgsm", "fgsm:loss=margin"] {
            decides(text, norm, &[2], 1e-4);
        }
    }
}

#[test]
fn ascent_decides_between_two_classes() {
    for norm in NORMS {
        decides("bim", norm, &[2], 0.01);
        // In L1 its authors' rule keeps to the few pixels that have moved, of which one would be best here.
        let slack = if norm == Norm::L1 { 0.25 } else { 0.01 };
        for text in ["apgd-ce", "apgd-dlr", "apgd-t"] {
            decides(text, norm, &[2], slack);
        }
        // From a random start, in L2, steps that are projected only turn toward the pole.
        for text in ["pgd", "eot-pgd:steps=20"] {
            decides(text, norm, &[2], 0.06);
        }
    }
}

#[test]
fn autoattack_decides_between_many_classes() {
    for norm in NORMS {
        decides("autoattack", norm, &[2, 3, 4, 6], 0.01);
    }
}

/// What is found is never nearer than the boundary, and not much farther.
#[test]
fn minimal_attacks_find_the_nearest_boundary() {
    for (text, slack, norms) in [
        ("deepfool", 1.03, &NORMS[..2]),
        ("fab", 1.02, &NORMS[..]),
        ("fab-t", 1.02, &NORMS[..]),
        ("cw:rate=0.001,steps=1000,search=6", 1.1, &NORMS[1..2]),
    ] {
        for &norm in norms {
            for (seed, classes) in [2, 3, 4, 6].into_iter().enumerate() {
                // Carlini & Wagner follow the likeliest wrong class, whose boundary need not be the nearest.
                if text.starts_with("cw") && classes > 2 {
                    continue;
                }
                let (net, samples) = problem(classes, 50 + seed as u64);
                let a = parse_attack(text).unwrap();
                let budget = Budget { norm, eps: 0.9, seed: 2 };
                let context = Context::new(1).unwrap();
                let report = run_attack(&context, &net, &samples, a.as_ref(), budget).unwrap();
                for (i, outcome) in report.outcomes.iter().enumerate() {
                    let truth = distance(&net, samples.image(i), outcome.label, norm);
                    let ratio = f64::from(outcome.distance(norm)) / truth;
                    let place = format!("{text} {norm}, {classes} classes, sample {i}");
                    assert_eq!(outcome.status, Status::Fooled, "{place}");
                    // Where the boundary is near, going beyond it by more than rounding is much of the way.
                    let room = 3e-4 / truth;
                    assert!(ratio > 1.0 - 1e-5 && ratio < slack + room, "{place}: {ratio}");
                }
            }
        }
    }
}

/// Two classes, images anywhere in the box: what one step can gain in ball and box together is a sum that can be written
/// down. (In L2 the step is cut off by the box, and another one may gain more.)
#[test]
fn a_single_step_gains_all_there_is() {
    for norm in [Norm::Linf, Norm::L1] {
        let (mut fooled, mut survived) = (0, 0);
        for seed in 0..30 {
            let net = Net::random(300 + seed, Shape::new(1, 3, 4), &[2]);
            let samples = points(&net, 400 + seed, SAMPLES);
            let eps = if norm == Norm::Linf { 0.1 } else { 0.4 };
            let budget = Budget { norm, eps, seed };
            let a = parse_attack("fgsm").unwrap();
            let context = Context::new(1).unwrap();
            let report = run_attack(&context, &net, &samples, a.as_ref(), budget).unwrap();
            for (i, outcome) in report.outcomes.iter().enumerate() {
                if outcome.status == Status::CleanWrong {
                    continue;
                }
                let (margin, gain) = (margin(&net, samples.image(i), outcome.label), {
                    gain(&net, samples.image(i), outcome.label, norm, f64::from(eps))
                });
                let place = format!("{norm}, net {seed}, sample {i}: margin {margin}, gain {gain}");
                if (margin - gain).abs() > 1e-5 {
                    let expected = if gain > margin { Status::Fooled } else { Status::Survived };
                    assert_eq!(outcome.status, expected, "{place}");
                }
                fooled += usize::from(outcome.status == Status::Fooled);
                survived += usize::from(outcome.status == Status::Survived);
            }
        }
        assert!(fooled > 50 && survived > 50, "{norm}: {fooled} fooled, {survived} survived");
    }
}

/// Of two classes: the label's logit less the other.
fn margin(net: &Net, image: &[f32], label: usize) -> f64 {
    let logits = net.logits(&widen(image));
    logits[label] - logits[1 - label]
}

/// The most by which a point of ball and box lowers the margin.
fn gain(net: &Net, image: &[f32], label: usize, norm: Norm, eps: f64) -> f64 {
    let row = |class: usize| &net.layers[0].weight[class * image.len()..][..image.len()];
    let slopes = row(1 - label).iter().zip(row(label)).map(|(a, b)| a - b);
    let mut moves: Vec<(f64, f64)> = slopes
        .zip(widen(image))
        .map(|(slope, x)| (slope.abs(), if slope > 0.0 { 1.0 - x } else { x }))
        .collect();
    if norm == Norm::Linf {
        return moves.iter().map(|(slope, room)| slope * room.min(eps)).sum();
    }
    moves.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut left, mut sum) = (eps, 0.0);
    for (slope, room) in moves {
        let step = f64::min(left, room);
        sum += slope * step;
        left -= step;
    }
    sum
}
