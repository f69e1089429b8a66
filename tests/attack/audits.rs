//! Audits of networks that hide how weak they are, and of networks that do not.

use crate::common::masks::{Mask, Masked};
use crate::common::models::{Affine, golden, lenet, test_images};
use deepsleep::attack::{Budget, Classifier, Norm, Samples, parse_attack};
use deepsleep::audit::{
    AuditOptions, AuditReport, AuditStage, AuditTask, AuditVerdict, Check, Finding, run_audit,
};
use deepsleep::data::Dataset;
use deepsleep::nn::architecture::Architecture;
use deepsleep::nn::{Freeze, Model};
use deepsleep::snn::{FrozenSpikingModel, SpikingModel, SpikingOptions, Statistics};
use deepsleep::tensor::{Context, Shape};

const EPS: f32 = 16.0 / 255.0;

fn run(model: &dyn Classifier, samples: &Samples, options: &AuditOptions) -> AuditReport {
    let report = run_audit(&Context::new(2).unwrap(), model, samples, options).unwrap();
    report.checks.iter().for_each(is_documented);
    for check in report.checks.iter().filter(|check| check.finding != Finding::Pass) {
        println!("  {:?} {} {} {:?}", check.finding, check.name, check.statistic, check.interval);
    }
    report
}

/// The table of the documentation says of a check that it catches the same.
pub fn is_documented(check: &Check) {
    let page = include_str!("../../docs/attacks.md");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    let found = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim)).any(|row| {
        let row: Vec<&str> = row.collect();
        let mut names = row[0].split(" (").next().unwrap_or("").split(", ");
        row.len() == 4 && names.any(|name| name == check.name) && row[3].contains(&check.catches)
    });
    assert!(found && !check.catches.is_empty(), "{}: {}", check.name, check.catches);
}

fn short(images: usize) -> AuditOptions {
    let budget = Budget { norm: Norm::Linf, eps: EPS, seed: 0 };
    AuditOptions::default().with(|o| {
        o.budget = budget;
        o.images = images;
        o.search = 8;
        o.random = 256;
        o.active = 8;
        o.fast = true;
    })
}

fn fails(report: &AuditReport) -> Vec<&str> {
    report.of(Finding::Fail).map(|check| check.name.as_str()).collect()
}

fn spiking() -> FrozenSpikingModel {
    let network = Model::open(&golden("lenet_weights.safetensors")).unwrap();
    let options = SpikingOptions::default();
    SpikingModel::from_model(&network, options, Statistics::Carry).unwrap().freeze().unwrap()
}

/// A spiking network's own gradients hide what others find, which the audit says, and its union finds it.
#[test]
fn a_spiking_network_is_judged_by_the_union() {
    let samples = test_images(0..12);
    let report = run(&spiking(), &samples, &short(8));
    assert_eq!(fails(&report), [""; 0]);
    assert!(report.spiking && report.check("surrogate gap").is_some());
    println!("without a gradient");
    let report = run(&Masked(spiking(), Mask::Zero), &samples, &short(8));
    assert_eq!(report.verdict, AuditVerdict::NotTrusted);
    assert!(fails(&report).contains(&"zero gradient"));
}

/// Some estimators are about pooling windows over spikes; a network without them is audited by the others.
#[test]
fn a_spiking_network_without_pooling_is_audited() {
    let shape = Shape::new(1, 4, 4);
    let architecture = Architecture::named("mlp:12", shape, 3).unwrap();
    let model = Model::new(architecture, 1).unwrap();
    let options = SpikingOptions::default().with(|o| o.steps = 3);
    let spiking = SpikingModel::from_model(&model, options, Statistics::Carry).unwrap();
    let pixels = (0..6 * 16).map(|i| (i * 29 % 64) as f32 / 64.0).collect();
    let data = Dataset::from_floats(pixels, vec![0, 1, 2, 0, 1, 2], shape, 3).unwrap();
    let samples = Samples::from_dataset(&data, 0..6).unwrap();
    let options = short(6).with(|o| o.fast = false);
    let report = run(&spiking.freeze().unwrap(), &samples, &options);
    assert!(report.checks.iter().any(|check| check.name == "surrogate gap"));
    assert!(report.attacks.iter().all(|attack| !attack.attack.contains("pool=")));
}

/// An attack whose steps do not reach as far as the radius, behind a claim.
#[test]
fn a_claim_by_an_attack_that_falls_short_is_doubted() {
    let samples = test_images(0..26);
    let by = |text: &str| {
        let claimed_by = Some(text.parse().unwrap());
        let options = short(24).with(|o| {
            o.claim = Some(0.5);
            o.claimed_by = claimed_by;
        });
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
    let mut stages: Vec<AuditStage> = Vec::new();
    let whole = task.run_with(Vec::new(), &mut |_| (), &mut |stage| {
        stages.push(stage.clone());
        Ok(())
    });
    let whole = whole.unwrap();
    for done in [1, 4, stages.len() - 1, stages.len()] {
        let kept = serde_json::to_string(&stages[..done]).unwrap();
        let kept: Vec<AuditStage> = serde_json::from_str(&kept).unwrap();
        let mut new = 0;
        let report = task.run_with(kept, &mut |_| (), &mut |_| {
            new += 1;
            Ok(())
        });
        assert_eq!((report.unwrap(), new), (whole.clone(), stages.len() - done));
    }
    assert!(stages.iter().all(|stage| stage.seconds > 0.0 && stage.invalid.is_empty()));
    let mut other = stages.clone();
    other.swap(0, 1);
    assert!(task.run_with(other, &mut |_| (), &mut |_| Ok(())).is_err());
}

/// Of an affine model the robust accuracy is known: the audit's number is it.
#[test]
fn of_an_affine_model_the_number_is_exact() {
    let (model, samples) = crate::attack_oracle::problem(3, 7);
    let model: Affine = model;
    let eps = 0.003;
    let options = short(0).with(|o| {
        o.budget = Budget { norm: Norm::Linf, eps, seed: 0 };
        o.images = samples.len();
    });
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

/// Of weights that are all zeros nothing can be trusted, but that their gradient is zero too is right.
#[test]
fn the_gradient_of_a_constant_is_its_derivative() {
    let (mut model, samples) = crate::attack_oracle::problem(3, 7);
    model.weight.fill(0.0);
    model.bias.fill(0.0);
    let report = run(&model, &samples, &short(samples.len()));
    let fails = fails(&report);
    assert!(fails.contains(&"zero gradient"), "{fails:?}");
    assert!(!fails.contains(&"directional derivative"), "{fails:?}");
}

#[test]
fn claims_beyond_what_was_found_are_refused() {
    let samples = test_images(0..26);
    let options = short(24).with(|o| o.claim = Some(0.99));
    let report = run(&lenet("lenet_weights.safetensors"), &samples, &options);
    assert_eq!(fails(&report), ["claim"]);
    assert_eq!(report.verdict, AuditVerdict::NotTrusted);
}

/// What the attack behind a claim, or a twin, cannot do is found before any work.
#[test]
fn audits_that_cannot_end_do_not_begin() {
    let (context, samples) = (Context::new(1).unwrap(), test_images(0..26));
    let model = lenet("lenet_weights.safetensors");
    let (of_three, _) = crate::attack_oracle::problem(3, 7);
    let claimed = |text: &str, norm| {
        short(24).with(|o| {
            o.claim = Some(0.5);
            o.claimed_by = Some(text.parse().unwrap());
            o.budget = Budget { norm, eps: 0.5, seed: 0 };
        })
    };
    let mut cases = vec![(short(24), vec![&of_three as &dyn Classifier])];
    for (text, norm) in [
        ("sa-pgd", Norm::L2),
        ("square:refill=yes", Norm::Linf),
        ("pgd:target=12", Norm::Linf),
        ("pgd:gradient=rga", Norm::Linf),
    ] {
        cases.push((claimed(text, norm), Vec::new()));
    }
    for (options, twins) in &cases {
        let task =
            AuditTask { context: &context, model: &model, samples: &samples, options, twins };
        let mut said = Vec::new();
        let report =
            task.run_with(Vec::new(), &mut |what| said.push(what.to_owned()), &mut |_| Ok(()));
        assert!(report.is_err() && said.is_empty(), "{said:?}");
    }
}

/// A network without answers away from the images: that is said as what it is, and such images are neither robust nor fooled,
/// as in an evaluation.
#[test]
fn logits_that_are_not_finite_are_named() {
    let samples = test_images(0..18);
    let model = Masked(lenet("lenet_weights.safetensors"), Mask::Undefined);
    let report = run(&model, &samples, &short(16));
    assert_eq!(fails(&report), ["finite answers"]);
    let check = report.check("finite answers").unwrap();
    assert_eq!((check.statistic, report.invalid, report.robust_accuracy), (1.0, 16, 0.0));
    assert_eq!(report.verdict, AuditVerdict::NotTrusted);
    assert!(check.meaning.contains("neither as robust nor as fooled"));
    let whole = run(&lenet("lenet_weights.safetensors"), &samples, &short(16));
    assert_eq!(whole.check("finite answers").unwrap().finding, Finding::Pass);
    assert_eq!(whole.invalid, 0);
}

/// Every check says how sure its number is and what it catches, whether it passes or not, and no two attacks at one radius are
/// called the same.
#[test]
fn checks_and_attacks_say_what_they_are() {
    let samples = test_images(0..18);
    for model in [&lenet("lenet_weights.safetensors") as &dyn Classifier, &spiking()] {
        let report = run(model, &samples, &short(16));
        for check in &report.checks {
            // A number of faults has no interval.
            let counts = ["controls", "claim", "reach"].contains(&check.name.as_str());
            assert_eq!(check.interval.is_none(), counts, "{}", check.name);
            if let Some([low, high]) = check.interval {
                assert!(low <= check.statistic && check.statistic <= high, "{check:?}");
            }
        }
        let pgd = report.attacks.iter().filter(|attack| attack.attack.starts_with("pgd"));
        let mut pgd: Vec<String> =
            pgd.map(|attack| format!("{} {}", attack.attack, attack.eps)).collect();
        assert!(pgd.len() > 8, "{pgd:?}");
        let expected = [
            "pgd:steps=100,start=clean 1",
            "pgd:loss=margin,steps=100 ",
            "pgd:loss=ce-f32,steps=20 ",
        ];
        // Nothing of the spiking network may be left for the second one.
        for expected in expected.iter().filter(|_| !report.spiking) {
            assert!(pgd.iter().any(|attack| attack.starts_with(expected)), "{expected}: {pgd:?}");
        }
        // PGD of 20 steps is run at the radius twice: for the logits' scale, and for the curve.
        pgd.sort();
        let runs = pgd.len();
        pgd.dedup();
        assert_eq!(pgd.len(), runs - 1, "{pgd:?}");
        for attack in &report.attacks {
            let text = attack.attack.split(",source=").next().unwrap();
            let text = text.split(":source=").next().unwrap();
            let parsed = parse_attack(text).unwrap();
            assert_eq!(parsed.info().description, text);
        }
    }
}
