//! Logits times a number: the decision is the same, so is the robustness.

use super::cases::NORMS;
use crate::common::masks::{Mask, Masked};
use crate::common::models::{golden, lenet, test_images};
use deepsleep::attack::{
    AttackReport, Budget, Classifier, Norm, Samples, parse_attack, run_attack,
};
use deepsleep::nn::{Freeze, FrozenModel, Model, Network};
use deepsleep::tensor::Context;

const FILE: &str = "lenet_robust.safetensors";

/// The network with the numbers of its last layer multiplied.
fn heavier(factor: f32) -> FrozenModel {
    let mut network = Model::open(&golden(FILE)).unwrap();
    let parameters = network.parameters_mut().iter_mut();
    let last = parameters.filter(|parameter| parameter.name == "fc.weight");
    last.for_each(|parameter| parameter.values.iter_mut().for_each(|w| *w *= factor));
    network.freeze().unwrap()
}

fn eps(norm: Norm) -> f32 {
    match norm {
        Norm::Linf => 0.25,
        Norm::L2 => 2.0,
        _ => 15.0,
    }
}

fn run(model: &dyn Classifier, samples: &Samples, text: &str, norm: Norm) -> AttackReport {
    let budget = Budget { norm, eps: eps(norm), seed: 4 };
    let a = parse_attack(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let report = run_attack(&Context::new(1).unwrap(), model, samples, a.as_ref(), budget);
    report.unwrap_or_else(|error| panic!("{text} {norm}: {error}"))
}

/// In percentage points: with fifty images, one of them.
const RISE: f64 = 0.02 + 1e-9;

/// Robust accuracy at these factors may lie at most [`RISE`] above that of the network as it is.
fn holds(texts: &[&str], norms: &[Norm], factors: &[f32]) {
    let samples = test_images(0..50);
    let mut complaints = Vec::new();
    for text in texts {
        for &norm in norms {
            let plain = run(&lenet(FILE), &samples, text, norm);
            let mut line = format!("{text} {norm}: {:.2} as it is", plain.robust_accuracy());
            for (i, &factor) in factors.iter().enumerate() {
                // By turns a user's wrapper and the engine's own network.
                let report = if i % 2 == 0 {
                    let model = Masked(lenet(FILE), Mask::Scaled(factor));
                    run(&model, &samples, text, norm)
                } else {
                    run(&heavier(factor), &samples, text, norm)
                };
                line += &format!(", {:.2} times {factor:e}", report.robust_accuracy());
                if report.robust_accuracy() > plain.robust_accuracy() + RISE {
                    complaints.push(format!(
                        "{text} {norm}: {:.2} robust as it is, {:.2} with logits times {factor:e}",
                        plain.robust_accuracy(),
                        report.robust_accuracy()
                    ));
                }
                if report.clean_accuracy() != plain.clean_accuracy() {
                    complaints.push(format!("{text} {norm}: another clean accuracy at {factor:e}"));
                }
                // The ratio's gradient is exactly zero where the label has the third largest logit.
                let [before, zeros] = [&plain, &report].map(|report| report.cost().zero_gradients);
                if zeros > before {
                    let of = format!("{zeros} zero gradients at {factor:e}, {before} as it is");
                    complaints.push(format!("{text} {norm}: {of}"));
                }
            }
            println!("{line}");
        }
    }
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
}

const LARGE: [f32; 6] = [3.0, 10.0, 1e2, 1e3, 1e4, 1e6];

#[test]
fn cross_entropy_does_not_fade_with_large_logits() {
    holds(&["fgsm", "bim:steps=7", "pgd:steps=8", "eot-pgd:steps=8"], &NORMS, &LARGE);
}

/// The hardest of 324 series: a limit of 32 on the spread of logits left 3.4 points more of 1,000 images.
#[test]
fn many_steps_in_l1_do_not_fade_with_large_logits() {
    let samples = test_images(0..500);
    let left = |factor| {
        let a = parse_attack("pgd:steps=20").unwrap();
        let budget = Budget { norm: Norm::L1, eps: 19.5, seed: 0 };
        let context = Context::new(2).unwrap();
        run_attack(&context, &heavier(factor), &samples, a.as_ref(), budget)
            .unwrap()
            .robust_accuracy()
    };
    let (plain, large) = (left(1.0), left(5.0));
    assert!(large <= plain + RISE, "{plain} robust, and {large} with logits times 5");
}

#[test]
fn auto_pgd_does_not_fade_with_large_logits() {
    let texts = ["apgd-ce:steps=12", "apgd-dlr:steps=12", "apgd-t:steps=8,targets=2"];
    holds(&texts, &NORMS, &LARGE);
    holds(&["apgd-t:steps=8,targets=2,loss=targeted-ce"], &NORMS, &[10.0, 1e3, 1e6]);
}

#[test]
fn margins_and_boundaries_do_not_fade_at_any_scale() {
    let factors = [1e-6, 1e-3, 1e3, 1e6];
    holds(&["pgd:steps=8,loss=margin", "fgsm:loss=margin"], &NORMS, &factors);
    holds(&["fab:steps=4", "fab-t:steps=6,targets=3"], &NORMS, &factors);
    holds(&["deepfool:steps=8,bounded=yes"], &NORMS[..2], &factors);
    holds(&["cw:steps=60,search=9,rate=0.05"], &NORMS[1..2], &factors);
}

#[test]
fn cross_entropy_over_the_spread_holds_at_any_scale() {
    let texts = ["fgsm:loss=ce-scaled", "pgd:steps=8,loss=ce-scaled"];
    holds(&texts, &NORMS, &[1e-6, 1e-4, 1e-2, 1e2, 1e4, 1e6]);
}

/// Below 1 the cross-entropy itself flattens: whoever uses it is told what to use.
#[test]
fn a_flat_cross_entropy_is_doubted() {
    let samples = test_images(0..16);
    for text in ["fgsm", "pgd:steps=3", "apgd-ce:steps=5"] {
        let warned = |model: &dyn Classifier| {
            let warnings = run(model, &samples, text, Norm::Linf).warnings;
            let all = ["pgd:loss=ce-scaled", "apgd-dlr and apgd-t"];
            warnings.iter().any(|warning| all.iter().all(|word| warning.contains(word)))
        };
        // Their logits spread by about 30: by a thousandth, and by a third, where cross-entropy is the weaker attack too.
        for factor in [1e-4, 1e-2] {
            let model = Masked(lenet(FILE), Mask::Scaled(factor));
            assert!(warned(&model), "{text}: no word of logits times {factor}");
        }
        assert!(!warned(&lenet(FILE)), "{text}: a doubt where there is no reason");
    }
}

/// A power of two changes no digit of a logit, so none of a ratio of logits, so none of the images.
#[test]
fn the_ratio_losses_do_not_notice_a_power_of_two() {
    let samples = test_images(0..32);
    for norm in NORMS {
        for text in ["apgd-dlr:steps=10", "apgd-t:steps=6,targets=2", "fgsm:loss=dlr"] {
            let plain = run(&lenet(FILE), &samples, text, norm);
            for power in [1, 5, 20] {
                let factor = f32::powi(2.0, power);
                let report = run(&heavier(factor), &samples, text, norm);
                for (a, b) in plain.outcomes.iter().zip(&report.outcomes) {
                    let place = format!("{text} {norm}, times 2^{power}, image {}", a.id);
                    assert_eq!(a.status, b.status, "{place}");
                    assert!(a.image == b.image, "{place}: another image");
                    assert_eq!(a.margin * factor, b.margin, "{place}");
                    assert_eq!(a.cost, b.cost, "{place}");
                }
            }
        }
    }
}
