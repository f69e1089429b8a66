//! P9 of the specification: on an affine model the distance to the boundary is known.

use crate::common::models::Affine;
use deepsleep::attack::{
    Attack, AttackReport, Budget, CarliniWagner, CarliniWagnerLinf, Ddn, DeepFool, Fab, Fmn, Goal,
    HopSkipJump, Loss, Norm, Pgd, RayS, Samples, SigmaZero, Status, StepSize, Targeted,
    parse_attack, run_attack,
};
use deepsleep::simd::random::{Key, uniform_from_bits};
use deepsleep::tensor::{Context, Shape};
use ndarray::Array4;
use rand::Rng;

const FEATURES: usize = 12;
const SAMPLES: usize = 20;

/// Classes and seeds.
const PROBLEMS: [(usize, u64); 3] = [(2, 1), (3, 2), (6, 3)];

/// A model, points near the middle of the box, and their distance to the nearest boundary in each norm.
pub fn problem(classes: usize, seed: u64) -> (Affine, Samples) {
    let random = &mut Key::new(seed).generator();
    let mut number = || 2.0 * uniform_from_bits(random.next_u32()) - 1.0;
    let weight: Vec<f32> = (0..classes * FEATURES).map(|_| number()).collect();
    let shape = Shape::new(1, 3, 4);
    let images = Array4::from_shape_simple_fn((SAMPLES, 1, 3, 4), || 0.5 + 0.05 * number());
    // No class wins by more than a little at the middle.
    let bias = weight.chunks(FEATURES).map(|row| -0.5 * row.iter().sum::<f32>()).collect();
    let model = Affine { shape, weight, bias };
    let labels = images.outer_iter().map(|image| {
        let z = logits(&model, image.as_slice().unwrap());
        (0..classes).max_by(|&a, &b| z[a].total_cmp(&z[b])).unwrap()
    });
    let labels = labels.collect();
    let samples = Samples::new(images.view(), labels, (0..SAMPLES as u64).collect()).unwrap();
    (model, samples)
}

fn logits(model: &Affine, x: &[f32]) -> Vec<f32> {
    let rows = model.weight.chunks(FEATURES).zip(&model.bias);
    rows.map(|(row, b)| b + row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>()).collect()
}

pub fn distance(model: &Affine, x: &[f32], label: usize, norm: Norm) -> f32 {
    let (z, rows) = (logits(model, x), |i: usize| &model.weight[i * FEATURES..][..FEATURES]);
    let others = (0..z.len()).filter(|&i| i != label);
    let distances = others.map(|i| {
        let normal: Vec<f32> = rows(i).iter().zip(rows(label)).map(|(a, b)| a - b).collect();
        (z[label] - z[i]) / norm.dual_of(&normal)
    });
    distances.fold(f32::INFINITY, f32::min)
}

fn run(model: &Affine, samples: &Samples, a: &dyn Attack, norm: Norm, eps: f32) -> AttackReport {
    run_attack(&Context::new(1).unwrap(), model, samples, a, Budget { norm, eps, seed: 3 }).unwrap()
}

/// Every found distance is at least the true one, and at most `slack` times what is `beyond` it.
fn nearest(a: &dyn Attack, norm: Norm, (slack, beyond): (f32, f32), problems: &[(usize, u64)]) {
    for &(classes, seed) in problems {
        let (model, samples) = problem(classes, seed);
        let report = run(&model, &samples, a, norm, 1.0);
        for (i, outcome) in report.outcomes.iter().enumerate() {
            let truth = distance(&model, samples.image(i), outcome.label, norm);
            assert_eq!(outcome.status, Status::Fooled, "{} {norm} {classes} {i}", a.info().name);
            let found = norm.distance(&outcome.image, samples.image(i));
            let name = a.info().name;
            assert!(
                found >= truth - 1e-5,
                "{name} {norm}, {classes} classes, {i}: {found} beats {truth}"
            );
            assert!(
                found <= (truth + beyond) * slack + 1e-5,
                "{name} {norm}, {classes} classes, {i}: {found}, possible {truth}"
            );
        }
    }
}

#[test]
fn deepfool_finds_the_nearest_boundary() {
    for norm in [Norm::Linf, Norm::L2] {
        // Its steps are longer by 1e-4, and their sum by 2 %.
        nearest(&DeepFool::default(), norm, (1.02, 1e-4), &PROBLEMS);
    }
}

#[test]
fn fab_finds_the_nearest_boundary() {
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        nearest(&Fab { targets: 0, ..Fab::default() }, norm, (1.01, 0.0), &PROBLEMS);
        nearest(&Fab::default(), norm, (1.01, 0.0), &PROBLEMS);
    }
}

#[test]
fn fmn_and_ddn_come_near_it() {
    // Two classes: both follow the likeliest wrong one, which of more need not be the nearest.
    let two = [(2, 1), (2, 2), (2, 3)];
    let fmn = |step, steps| Fmn { step, steps, ..Fmn::default() };
    nearest(&fmn(0.1, 200), Norm::Linf, (1.05, 1e-3), &two);
    nearest(&fmn(0.1, 200), Norm::L2, (1.03, 0.0), &two);
    nearest(&fmn(0.1, 300), Norm::L1, (1.1, 1e-3), &two);
    let ddn = Ddn { radius: 0.1, steps: 200, ..Ddn::default() };
    nearest(&ddn, Norm::L2, (1.05, 0.0), &two);
}

#[test]
fn carlini_wagner_in_linf_comes_near_it() {
    let two = [(2, 1), (2, 2), (2, 3)];
    let cw = CarliniWagnerLinf {
        learning_rate: 0.002,
        search_steps: 60,
        ..CarliniWagnerLinf::default()
    };
    nearest(&cw, Norm::Linf, (1.05, 1e-3), &two);
}

/// Of an affine model of two classes the fewest pixels are those whose way to an end of the box gains most.
#[test]
fn the_fewest_pixels_are_found() {
    for seed in 1..6 {
        let (model, samples) = problem(2, seed);
        let (fmn, sigma) = (Fmn { steps: 300, ..Fmn::default() }, SigmaZero::default());
        let attacks: [&dyn Attack; 2] = [&fmn, &sigma];
        for attack in attacks {
            let report = run(&model, &samples, attack, Norm::L0, 12.0);
            let mut more = 0;
            for (i, outcome) in report.outcomes.iter().enumerate() {
                let (x, label) = (samples.image(i), outcome.label);
                let row = |class: usize| &model.weight[class * FEATURES..][..FEATURES];
                let normal = row(1 - label).iter().zip(row(label)).map(|(a, b)| a - b);
                let way = |(x, g): (&f32, f32)| if g > 0.0 { g * (1.0 - x) } else { -g * x };
                let mut gains: Vec<f32> = x.iter().zip(normal).map(way).collect();
                gains.sort_unstable_by(|a, b| b.total_cmp(a));
                let z = logits(&model, x);
                let mut gap = z[label] - z[1 - label];
                let fewest = gains.iter().take_while(|gain| {
                    let needed = gap > 0.0;
                    gap -= **gain;
                    needed
                });
                let fewest = fewest.count() as f32;
                let name = attack.info().name;
                assert_eq!(outcome.status, Status::Fooled, "{name} {seed} {i}");
                assert!(outcome.l0 >= fewest, "{name} {seed} {i}: {} below {fewest}", outcome.l0);
                more += usize::from(outcome.l0 > fewest);
            }
            assert!(
                more <= SAMPLES / 4,
                "{} {seed}: {more} of {SAMPLES} by too many",
                attack.info().name
            );
        }
    }
}

#[test]
fn labels_alone_lead_to_the_nearest_boundary() {
    let rays = RayS { goal: Goal::NearestAnywhere, queries: 3000, ..RayS::default() };
    nearest(&rays, Norm::Linf, (1.02, 1e-3), &[(2, 1), (2, 2), (2, 3)]);
    let hop = HopSkipJump { goal: Goal::NearestAnywhere, steps: 30, ..HopSkipJump::default() };
    nearest(&hop, Norm::L2, (1.03, 0.0), &[(2, 1), (2, 2), (2, 3)]);
    nearest(&hop, Norm::Linf, (1.15, 1e-3), &[(2, 1), (2, 2), (2, 3)]);
}

/// With two classes there is one way to be wrong: to be steered there changes nothing, to the bit.
#[test]
fn of_two_classes_the_other_is_the_target() {
    let (model, samples) = problem(2, 4);
    for text in [
        "fgsm",
        "pgd:loss=margin",
        "apgd-dlr:steps=20",
        "sa-pgd:loss=margin",
        "square:queries=300",
        "rays",
        "uniform:queries=300",
        "nes-pgd:pairs=10",
        "mi-fgsm:loss=margin",
        "fab",
        "deepfool",
        "fmn",
    ] {
        for eps in [0.01, 0.05] {
            let untargeted = parse_attack(text).unwrap();
            let free = run(&model, &samples, untargeted.as_ref(), Norm::Linf, eps);
            let mut fooled = 0;
            for class in [0, 1] {
                let a = Targeted { attack: parse_attack(text).unwrap(), class };
                let steered = run(&model, &samples, &a, Norm::Linf, eps);
                for (a, b) in steered.outcomes.iter().zip(&free.outcomes) {
                    if a.label == class {
                        assert_eq!(a.status, Status::Survived);
                        continue;
                    }
                    assert_eq!((a.status, &a.image), (b.status, &b.image), "{text} {eps}");
                    fooled += usize::from(a.status == Status::Fooled);
                }
            }
            assert_eq!(fooled, free.count(Status::Fooled), "{text} {eps}");
        }
    }
}

/// A constant added to all logits changes no decision; it makes rounding coarser, and no attack blind.
#[test]
fn minimal_attacks_do_not_mind_a_shift() {
    for shift in [10.0, 100.0] {
        for (classes, seed) in PROBLEMS {
            let (mut model, samples) = problem(classes, seed);
            model.bias.iter_mut().for_each(|bias| *bias += shift);
            for norm in [Norm::Linf, Norm::L2] {
                let attacks: [&dyn Attack; 3] =
                    [&Fab { targets: 0, ..Fab::default() }, &Fab::default(), &DeepFool::default()];
                for a in attacks {
                    let report = run(&model, &samples, a, norm, 1.0);
                    for (i, outcome) in report.outcomes.iter().enumerate() {
                        let truth = distance(&model, samples.image(i), outcome.label, norm);
                        let found = norm.distance(&outcome.image, samples.image(i));
                        assert_eq!(
                            outcome.status,
                            Status::Fooled,
                            "{} {norm} {shift}",
                            a.info().name
                        );
                        // Twice 1e-5 of the logits beyond the boundary, for normals longer than 1/2.
                        let beyond = 4e-5 * shift + 2e-4;
                        assert!(
                            found <= 1.03 * truth + beyond,
                            "{} {norm} {shift}: {found}, possible {truth}",
                            a.info().name
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn carlini_wagner_comes_near_it() {
    // With more than two classes it follows the likeliest wrong one, whose boundary need not be the nearest.
    // These distances are a few hundredths: Adam's usual step of 0.01 would leap over them.
    let a = CarliniWagner { learning_rate: 1e-3, ..CarliniWagner::default() };
    nearest(&a, Norm::L2, (1.05, 0.0), &[(2, 1), (2, 2), (2, 3)]);
}

#[test]
fn pgd_on_the_margin_succeeds_if_and_only_if_the_boundary_is_in_the_ball() {
    let pgd = Pgd { loss: Loss::Margin, step: StepSize::OfEps(0.5), ..Pgd::default() };
    for norm in [Norm::Linf, Norm::L2] {
        // Two classes: the margin's gradient points to the only boundary there is.
        let (model, samples) = problem(2, 5);
        for eps in [0.01, 0.03, 0.1] {
            let report = run(&model, &samples, &pgd, norm, eps);
            for (i, outcome) in report.outcomes.iter().enumerate() {
                let truth = distance(&model, samples.image(i), outcome.label, norm);
                if (truth - eps).abs() > 1e-3 * eps {
                    let fooled = outcome.status == Status::Fooled;
                    assert_eq!(fooled, truth < eps, "{norm} {i}: {truth}, eps {eps}");
                }
            }
        }
    }
}

#[test]
fn what_lies_outside_the_ball_is_no_success() {
    let (model, samples) = problem(4, 7);
    let report = run(&model, &samples, &Fab::default(), Norm::L2, 1e-4);
    for (i, outcome) in report.outcomes.iter().enumerate() {
        let truth = distance(&model, samples.image(i), outcome.label, Norm::L2);
        assert!(outcome.status == Status::Survived || truth < 1.1e-4);
    }
    let bounded = DeepFool { goal: Goal::Nearest, ..DeepFool::default() };
    assert_eq!(run(&model, &samples, &bounded, Norm::L2, 1e-5).count(Status::Fooled), 0);
}
