//! Attacks on models that hide their gradients, attacks made for transfer, and targets of the user's.

use crate::common::masks::{Mask, Masked};
use crate::common::models::{lenet, test_images};
use deepsleep::attack::{
    AttackReport, Budget, Classifier, Norm, Samples, Status, parse_attack, run_attack,
};
use deepsleep::nn::FrozenModel;
use deepsleep::tensor::Context;

fn run(model: &dyn Classifier, samples: &Samples, text: &str, eps: f32) -> AttackReport {
    let budget = Budget { norm: Norm::Linf, eps, seed: 0 };
    let a = parse_attack(text).unwrap();
    run_attack(&Context::new(2).unwrap(), model, samples, a.as_ref(), budget).unwrap()
}

fn plain() -> FrozenModel {
    lenet("lenet_weights.safetensors")
}

#[test]
fn labels_and_scores_see_through_a_quantizer_without_gradient() {
    // Black pixels reach the third level above them from 5/32 on.
    let (samples, eps) = (test_images(0..24), 0.16);
    let truth = run(&plain(), &samples, "apgd-ce", eps).robust_accuracy();
    let masked = Masked(plain(), Mask::Levels(16.0));
    let robust = |text: &str| run(&masked, &samples, text, eps).robust_accuracy();
    let (gradient, rays) = (robust("pgd"), robust("rays"));
    let nes = robust("nes-pgd");
    println!("truth {truth}, pgd {gradient}, rays {rays}, nes {nes}");
    assert!(truth < 0.1 && gradient > 0.7, "{truth} {gradient}");
    // To labels radii look like stairs of 1/16, which a search takes one at a time if at all.
    assert!(rays < 0.6 && nes < 0.1, "{rays} {nes}");
}

#[test]
fn without_a_gradient_sa_pgd_walks_at_random_and_says_so() {
    let samples = test_images(0..16);
    let report = run(&Masked(plain(), Mask::Levels(16.0)), &samples, "sa-pgd:steps=30", 0.05);
    assert_eq!(report.zero_gradient_share(), Some(1.0));
    assert_eq!(report.count(Status::Invalid), 0);
    assert_eq!(report.diagnostics.refuted, 0);
    let finite = |image: &[f32]| image.iter().all(|x| (0.0..=1.0).contains(x));
    assert!(report.outcomes.iter().all(|outcome| finite(&outcome.image)));
}

#[test]
fn jitter_smooths_what_is_shattered() {
    // The slope lies between -9 and 11: 64 points leave an error of 0.9 beside a true 1.
    let (samples, eps) = (test_images(0..40), 0.1);
    let masked = Masked(plain(), Mask::Shattered { a: 0.002, b: 2e-4 });
    let robust =
        |model: &dyn Classifier, text: &str| run(model, &samples, text, eps).robust_accuracy();
    let truth = robust(&plain(), "pgd:steps=20");
    let shattered = robust(&masked, "pgd:steps=20");
    let jittered = robust(&masked, "pgd:steps=20,jitter=0.25eps,draws=64");
    // Scores know nothing of slopes, so to them no shattering is too fine.
    let finer = Masked(plain(), Mask::Shattered { a: 0.002, b: 2e-5 });
    let (nes, fine) = (robust(&finer, "nes-pgd"), robust(&finer, "pgd:steps=20"));
    println!("truth {truth}, pgd {shattered}, jitter {jittered}; finer: pgd {fine}, nes {nes}");
    assert!(jittered < shattered, "{jittered} {shattered}");
    assert!(nes < fine, "{nes} {fine}");
}

#[test]
fn square_walks_along_plateaus_if_it_may() {
    let (samples, eps) = (test_images(0..48), 0.08);
    let masked = Masked(plain(), Mask::Steps(4.0));
    let robust = |text: &str| run(&masked, &samples, text, eps).robust_accuracy();
    let (reject, accept) =
        (robust("square:queries=1500"), robust("square:queries=1500,ties=accept"));
    println!("reject {reject}, accept {accept}");
    assert!(accept < reject, "{accept} {reject}");
    // Where margins are never equal there is nothing to accept.
    let text = "square:queries=200";
    let (a, b) = (
        run(&plain(), &samples, text, 0.02),
        run(&plain(), &samples, "square:queries=200,ties=accept", 0.02),
    );
    assert_eq!(a.robust_indices(), b.robust_indices());
}

#[test]
fn sa_pgd_is_as_strong_as_its_kin_where_nothing_is_masked() {
    let samples = test_images(0..100);
    let network = plain();
    let robust = |text: &str| run(&network, &samples, text, 0.05).robust_accuracy();
    let (ours, apgd, pgd) = (robust("sa-pgd"), robust("apgd-ce"), robust("pgd"));
    println!("sa-pgd {ours}, apgd-ce {apgd}, pgd {pgd}");
    assert!(ours <= apgd + 0.03, "{ours} {apgd} {pgd}");
}

/// Settings in which the attacks of the family are one another, to the bit.
#[test]
fn momentum_attacks_without_what_makes_them_are_bim() {
    let samples = test_images(0..20);
    let network = plain();
    let images = |text: &str| -> Vec<Vec<f32>> {
        run(&network, &samples, text, 0.1).outcomes.into_iter().map(|o| o.image).collect()
    };
    let bim = images("bim:step=0.25eps,return=last");
    assert_eq!(images("mi-fgsm:decay=0,return=last"), bim);
    assert_eq!(images("ni-fgsm:decay=0,return=last"), bim);
    assert_eq!(images("di-fgsm:diversity=0,return=last"), bim);
    assert_eq!(images("vmi-fgsm:decay=0,neighbors=0,return=last"), bim);
    let mi = images("mi-fgsm:return=last");
    assert_eq!(images("vmi-fgsm:neighbors=0,return=last"), mi);
    for other in ["ni-fgsm:return=last", "vmi-fgsm:return=last", "di-fgsm:decay=1,return=last"] {
        assert_ne!(images(other), mi, "{other}");
    }
    assert_ne!(mi, bim);
}

#[test]
fn only_the_target_counts() {
    let samples = test_images(0..24);
    let network = lenet("lenet_robust.safetensors");
    for text in [
        "fgsm",
        "pgd",
        "pgd:loss=margin",
        "apgd-ce:steps=30",
        "apgd-dlr:steps=30",
        "apgd-t:steps=30",
        "sa-pgd:steps=30",
        "mi-fgsm",
        "square:queries=500",
        "rays:queries=500",
        "nes-pgd:steps=8,pairs=20",
        "fab:steps=10",
        "fab-t:steps=10",
        "deepfool",
        "fmn:bounded=yes",
    ] {
        let options = if text.contains(':') { "," } else { ":" };
        let report = run(&network, &samples, &format!("{text}{options}target=8"), 0.4);
        assert!(report.count(Status::Fooled) > 0, "{text}");
        for (i, outcome) in report.outcomes.iter().enumerate() {
            match outcome.status {
                Status::Fooled => assert_eq!(outcome.prediction, 8, "{text} {i}"),
                Status::Survived => assert_eq!(outcome.image, samples.image(i), "{text} {i}"),
                _ => {}
            }
            assert!(outcome.label != 8 || outcome.status != Status::Fooled, "{text} {i}");
        }
        let eights = samples.labels().iter().filter(|&&label| label == 8).count();
        assert_eq!(report.diagnostics.of_target, eights, "{text}");
    }
    let a = parse_attack("pgd:target=10").unwrap();
    let budget = Budget { norm: Norm::Linf, eps: 0.1, seed: 0 };
    let context = Context::new(1).unwrap();
    let error = run_attack(&context, &network, &samples, a.as_ref(), budget).unwrap_err();
    assert!(error.to_string().contains("target 10"), "{error}");
    assert!(parse_attack("pgd:target=dog").is_err());
    assert!(parse_attack("autoattack:target=1").is_err());
}
