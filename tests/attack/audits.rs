//! Audits of networks that hide how weak they are, and of networks that do not.

use crate::common::masks::{Borrowed, Mask, Masked};
use crate::common::models::{Affine, golden, lenet, test_images};
use deepsleep::attack::{Budget, Classifier, Norm, Samples};
use deepsleep::audit::{Audit, AuditReport, AuditTask, Finding, Stage, Verdict, audit};
use deepsleep::nn::{Freeze, Model};
use deepsleep::snn::{FrozenSpikingModel, SpikingModel, SpikingOptions, Statistics, Surrogate};
use deepsleep::tensor::Context;

const EPS: f32 = 16.0 / 255.0;

fn run(model: &dyn Classifier, samples: &Samples, options: &Audit) -> AuditReport {
    let report = audit(&Context::new(2).unwrap(), model, samples, options, &[], |_| ()).unwrap();
    for check in report.checks.iter().filter(|check| check.finding != Finding::Pass) {
        println!("  {:?} {} {} {:?}", check.finding, check.name, check.statistic, check.interval);
    }
    report
}

fn short(images: usize) -> Audit {
    let budget = Budget { norm: Norm::Linf, eps: EPS, seed: 0 };
    Audit { budget, images, search: 8, random: 256, active: 8, fast: true, ..Audit::default() }
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
    found(Mask::Steep(1e5), &["zero gradient"]);
    let borrowed = Borrowed(lenet("lenet_weights.safetensors"), Model::lenet(3).freeze().unwrap());
    let report = run(&borrowed, &test_images(0..18), &short(16));
    assert!(guided.iter().all(|check| fails(&report).contains(check)), "{:?}", fails(&report));
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
    spiking_with(SpikingOptions::default())
}

fn spiking_with(options: SpikingOptions) -> FrozenSpikingModel {
    let network = Model::open(&golden("lenet_weights.safetensors")).unwrap();
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

/// A surrogate that is nowhere but at the threshold, and thresholds that hardly anybody reaches.
#[test]
fn a_starved_surrogate_and_silent_neurons_are_noticed() {
    let samples = test_images(0..20);
    let narrow = spiking().with_surrogate(Surrogate::Rectangle(1e-3));
    let report = run(&narrow, &samples, &short(16));
    assert_ne!(report.check("surrogate gap").unwrap().finding, Finding::Pass);
    let mut options = SpikingOptions::default();
    options.neuron.threshold *= 4.0;
    let report = run(&spiking_with(options), &test_images(0..200), &short(16));
    let (silent, usual) =
        (report.check("silent neurons").unwrap(), run(&spiking(), &samples, &short(16)));
    assert_eq!(silent.finding, Finding::Warn);
    assert_eq!(usual.check("silent neurons").unwrap().finding, Finding::Pass);
}

/// Logits that are inflated since their statistics were forgotten, as the published code leaves them.
#[test]
fn forgotten_statistics_are_noticed() {
    let network = Model::open(&golden("lenet_weights.safetensors")).unwrap();
    let spiking = SpikingModel::from_model(&network, SpikingOptions::default(), Statistics::Carry);
    let reset = spiking.unwrap().to_model(Statistics::Reset).freeze().unwrap();
    let report = run(&reset, &test_images(0..200), &short(16));
    assert_ne!(report.verdict, Verdict::NoReasonToDoubt);
    println!("{:?}", report.check("logit scale"));
}

/// Two classes, and three, are audited like ten.
#[test]
fn few_classes_are_audited() {
    for classes in [2, 3] {
        let (model, samples) = crate::attack_oracle::problem(classes, 7);
        let options = Audit {
            budget: Budget { norm: Norm::Linf, eps: 0.003, seed: 0 },
            images: samples.len(),
            ..short(0)
        };
        assert_eq!(fails(&run(&model, &samples, &options)), [""; 0], "{classes}");
    }
}

/// An attack whose steps do not reach as far as the radius, behind a claim.
#[test]
fn a_claim_by_an_attack_that_falls_short_is_doubted() {
    let samples = test_images(0..26);
    let by = |text: &str| {
        let claimed_by = Some(text.parse().unwrap());
        let options = Audit { claim: Some(0.5), claimed_by, ..short(24) };
        run(&lenet("lenet_weights.safetensors"), &samples, &options)
    };
    let short = by("pgd:steps=3,step=0.007");
    assert_eq!(short.check("reach").unwrap().finding, Finding::Warn);
    assert!(short.check("reach").unwrap().meaning.contains("is needed"));
    assert_eq!(by("pgd").check("reach").unwrap().finding, Finding::Pass);
}

/// An audit that goes on behind any of its parts ends in the same report.
#[test]
fn an_interrupted_audit_goes_on() {
    let (context, samples, options) = (Context::new(2).unwrap(), test_images(0..18), short(16));
    let model = lenet("lenet_weights.safetensors");
    let task = AuditTask {
        context: &context,
        model: &model,
        samples: &samples,
        options: &options,
        twins: &[],
    };
    let mut stages: Vec<Stage> = Vec::new();
    let whole = task.run(Vec::new(), &mut |_| (), &mut |stage| {
        stages.push(stage.clone());
        Ok(())
    });
    let whole = whole.unwrap();
    for done in [1, 4, stages.len() - 1, stages.len()] {
        let kept = serde_json::to_string(&stages[..done]).unwrap();
        let kept: Vec<Stage> = serde_json::from_str(&kept).unwrap();
        let mut new = 0;
        let report = task.run(kept, &mut |_| (), &mut |_| {
            new += 1;
            Ok(())
        });
        assert_eq!((report.unwrap(), new), (whole.clone(), stages.len() - done));
    }
    let mut other = stages.clone();
    other.swap(0, 1);
    assert!(task.run(other, &mut |_| (), &mut |_| Ok(())).is_err());
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
