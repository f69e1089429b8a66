//! Audits of networks that hide how weak they are, and of networks that do not.

use crate::common::masks::{Mask, Masked};
use crate::common::models::{Affine, golden, lenet, test_images};
use deepsleep::attack::{Budget, Classifier, Norm, Samples};
use deepsleep::audit::{Audit, AuditReport, Finding, Verdict, audit};
use deepsleep::nn::{Freeze, Model};
use deepsleep::snn::{FrozenSpikingModel, SpikingModel, SpikingOptions, Statistics};
use deepsleep::tensor::Context;

const EPS: f32 = 16.0 / 255.0;

fn run(model: &dyn Classifier, samples: &Samples, options: &Audit) -> AuditReport {
    let report =
        audit(&Context::new(2).unwrap(), model, samples, options, &[], &mut |_| ()).unwrap();
    for check in report.checks.iter().filter(|check| check.finding != Finding::Pass) {
        println!("  {:?} {} {} {:?}", check.finding, check.name, check.statistic, check.interval);
    }
    report
}

fn short(images: usize) -> Audit {
    let budget = Budget { norm: Norm::Linf, eps: EPS, seed: 0 };
    Audit { budget, images, search: 8, random: 256, fast: true, ..Audit::default() }
}

fn fails(report: &AuditReport) -> Vec<&str> {
    report.of(Finding::Fail).map(|check| check.name.as_str()).collect()
}

/// A mask is found, and by the checks that are there for it.
fn found(mask: Mask, checks: &[&str]) {
    println!("{mask:?}");
    let masked = Masked(lenet("lenet_weights.safetensors"), mask);
    let report = run(&masked, &test_images(0..18), &short(16));
    assert_eq!(report.verdict, Verdict::NotTrusted, "{mask:?}");
    for check in checks {
        assert!(fails(&report).contains(check), "{mask:?}: {check} of {:?}", fails(&report));
    }
}

#[test]
fn masked_gradients_are_seen_through() {
    let guided = ["ascent", "directional derivative", "unbounded"];
    found(Mask::Zero, &["zero gradient", "ascent", "directional derivative", "unbounded"]);
    found(Mask::Levels(8.0), &["zero gradient"]);
    found(Mask::Negated, &guided);
    found(Mask::Unrelated, &guided[..2]);
    // A sign that is right at 54 of 100 pixels beats chance by far: not the ascent, but differences tell.
    found(Mask::Shattered { a: 0.002, b: 2e-5 }, &["directional derivative"]);
}

#[test]
fn noise_is_heard() {
    found(Mask::Noise(0.2), &["determinism"]);
    found(Mask::NoiseOfPixels(0.2), &["hidden noise"]);
}

#[test]
fn outputs_that_hide_logits_are_noticed() {
    found(Mask::Softmax, &["output type"]);
    found(Mask::OneHot, &["zero gradient"]);
    // Logits that nobody's soft-max in 32 bits can tell apart: ours can, and says so.
    let scaled = Masked(lenet("lenet_weights.safetensors"), Mask::Scaled(1e3));
    let report = run(&scaled, &test_images(0..18), &short(16));
    assert_eq!(report.check("logit scale").unwrap().finding, Finding::Warn);
}

#[test]
fn what_hides_nothing_is_not_accused() {
    let samples = test_images(0..26);
    let plain = || lenet("lenet_weights.safetensors");
    let truth = run(&plain(), &samples, &short(24));
    assert_eq!(fails(&truth), [""; 0]);
    // Too few images to say more.
    assert_eq!(truth.verdict, Verdict::Undecided);
    for mask in
        [Mask::Nothing, Mask::Scaled(0.1), Mask::Shifted(100.0), Mask::StraightThrough(255.0)]
    {
        println!("{mask:?}");
        let report = run(&Masked(plain(), mask), &samples, &short(24));
        assert_eq!(fails(&report), [""; 0], "{mask:?}");
        let off = (report.robust_accuracy - truth.robust_accuracy).abs();
        assert!(off <= 0.05, "{mask:?}: {off}");
    }
    println!("robust");
    let report = run(&lenet("lenet_robust.safetensors"), &samples, &short(24));
    assert_eq!(fails(&report), [""; 0]);
}

fn spiking() -> FrozenSpikingModel {
    let network = Model::open(&golden("lenet_weights.safetensors")).unwrap();
    let options = SpikingOptions::default();
    SpikingModel::from_model(&network, options, Statistics::Carry).unwrap().freeze().unwrap()
}

/// A spiking network's own gradients hide what others find, which the audit says, and its union finds it.
#[test]
fn a_spiking_network_is_judged_by_the_union() {
    let samples = test_images(0..24);
    let report = run(&spiking(), &samples, &short(20));
    assert_eq!(fails(&report), [""; 0]);
    assert!(report.spiking && report.check("surrogate gap").is_some());
    println!("without a gradient");
    let report = run(&Masked(spiking(), Mask::Zero), &samples, &short(20));
    assert_eq!(report.verdict, Verdict::NotTrusted);
    assert!(fails(&report).contains(&"zero gradient"));
}

/// Of an affine model the robust accuracy is known: the audit's number is it.
#[test]
fn of_an_affine_model_the_number_is_exact() {
    let (model, samples) = crate::attack_oracle::problem(3, 7);
    let model: Affine = model;
    let eps = 0.003;
    let options = Audit {
        budget: Budget { norm: Norm::Linf, eps, seed: 0 },
        images: samples.len(),
        ..short(0)
    };
    let report = run(&model, &samples, &options);
    let robust = (0..samples.len()).filter(|&i| {
        let label = samples.labels()[i];
        crate::attack_oracle::distance(&model, samples.image(i), label, Norm::Linf) > eps
    });
    let robust = robust.count() as f64 / samples.len() as f64;
    assert!(robust > 0.1 && robust < 0.9, "{robust}");
    assert_eq!(report.robust_accuracy, robust);
    assert_eq!(fails(&report), [""; 0]);
}

#[test]
fn claims_beyond_what_was_found_are_refused() {
    let samples = test_images(0..26);
    let options = Audit { claim: Some(0.99), ..short(24) };
    let report = run(&lenet("lenet_weights.safetensors"), &samples, &options);
    assert_eq!(fails(&report), ["claim"]);
    assert_eq!(report.verdict, Verdict::NotTrusted);
}
