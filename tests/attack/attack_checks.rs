//! Models that give reason to doubt: random, not finite, probabilities, no gradient; and what cannot be attacked.

use crate::common::models::{Affine, lenet, test_images};
use deepsleep::attack::{
    AttackReport, AttackSpec, AutoAttack, Budget, Classifier, Fgsm, Norm, Samples, Session, Status,
    Version, parse_attack, parse_eps, run_attack,
};
use deepsleep::evaluation::{Cell, ThreatModel, Warning};
use deepsleep::simd::random::{Key, uniform_from_bits};
use deepsleep::simd::{LANES, Lanes};
use deepsleep::tensor::{Context, Shape};
use deepsleep::{Error, Result};
use ndarray::Array4;
use rand::Rng;

/// What is done to the logits `[x0 - x1, x1 - x0, -1, -1]` of a two-pixel image.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Random,
    Probabilities,
    Sigmoids,
    Rates,
    NoGradient,
    NotFinite,
}

struct Odd(Kind);

struct OddSession(Kind);

impl Classifier for Odd {
    fn input_shape(&self) -> Shape {
        Shape::new(1, 1, 2)
    }

    fn classes(&self) -> usize {
        4
    }

    fn session(&self, _context: Context) -> Box<dyn Session + '_> {
        Box::new(OddSession(self.0))
    }
}

impl Session for OddSession {
    fn logits(
        &mut self,
        images: &[Lanes],
        noise: &[Key; LANES],
        _differentiable: bool,
        out: &mut [Lanes],
    ) -> Result<()> {
        for (lane, noise) in noise.iter().enumerate() {
            let difference = images[0].0[lane] - images[1].0[lane];
            let mut z = [difference, -difference, -1.0, -1.0];
            match self.0 {
                Kind::Random => {
                    z[0] += 0.2 * uniform_from_bits(noise.generator().next_u32());
                }
                Kind::Probabilities => {
                    z = z.map(f32::exp);
                    let sum: f32 = z.iter().sum();
                    z = z.map(|z| z / sum);
                }
                Kind::Sigmoids => z = z.map(|z| 1.0 / (1.0 + (-8.0 * z).exp())),
                Kind::Rates => z = z.map(|z| (4.0 * z).round().clamp(0.0, 4.0) / 4.0),
                Kind::NotFinite if difference < 0.5 => z[1] = f32::NAN,
                Kind::NoGradient | Kind::NotFinite => {}
            }
            out.iter_mut().zip(z).for_each(|(out, z)| out.0[lane] = z);
        }
        Ok(())
    }

    fn gradient(&mut self, weight: &[Lanes], out: &mut [Lanes]) -> Result<()> {
        for lane in 0..LANES {
            let slope = weight[0].0[lane] - weight[1].0[lane];
            let slope = if self.0 == Kind::NoGradient { 0.0 } else { slope };
            (out[0].0[lane], out[1].0[lane]) = (slope, -slope);
        }
        Ok(())
    }
}

fn two_pixels() -> Samples {
    let images = Array4::from_shape_vec((2, 1, 1, 2), vec![0.9, 0.1, 0.8, 0.1]).unwrap();
    Samples::new(images.view(), vec![0, 0], vec![0, 1]).unwrap()
}

fn linf(eps: f32) -> Budget {
    Budget { norm: Norm::Linf, eps, seed: 0 }
}

fn warnings(kind: Kind) -> String {
    let context = Context::new(1).unwrap();
    let report =
        run_attack(&context, &Odd(kind), &two_pixels(), &AutoAttack::default(), linf(0.1)).unwrap();
    report.warnings.join("\n")
}

#[test]
fn a_random_model_is_noticed() {
    assert!(warnings(Kind::Random).contains("version=rand"));
    let rand = AutoAttack { version: Version::Rand, ..AutoAttack::default() };
    let context = Context::new(1).unwrap();
    let report = run_attack(&context, &Odd(Kind::Random), &two_pixels(), &rand, linf(0.6)).unwrap();
    assert_eq!(report.count(Status::Fooled), 2);
    assert!(!report.warnings.iter().any(|warning| warning.contains("version=rand")));
}

#[test]
fn probabilities_are_noticed() {
    assert!(warnings(Kind::Probabilities).contains("look like probabilities"));
    let of_sigmoids = warnings(Kind::Sigmoids);
    assert!(of_sigmoids.contains("those of a sigmoid"), "{of_sigmoids}");
    for kind in [Kind::NoGradient, Kind::Rates] {
        assert!(!warnings(kind).contains("outputs lie in"));
    }
    // By every attack that follows gradients, and by no other.
    let context = Context::new(1).unwrap();
    for (name, said) in [("fgsm", true), ("fab:steps=2", true), ("square:queries=5", false)] {
        let attack = parse_attack(name).unwrap();
        let model = Odd(Kind::Probabilities);
        let report =
            run_attack(&context, &model, &two_pixels(), attack.as_ref(), linf(0.1)).unwrap();
        let text = report.warnings.join("\n");
        assert_eq!(text.contains("look like probabilities"), said, "{name}: {text}");
    }
}

#[test]
fn a_missing_gradient_is_noticed_and_square_does_without() {
    let context = Context::new(1).unwrap();
    let a = AutoAttack::default();
    let report =
        run_attack(&context, &Odd(Kind::NoGradient), &two_pixels(), &a, linf(0.45)).unwrap();
    let text = report.warnings.join("\n");
    assert!(text.contains("exactly zero (2 samples start with one)"), "{text}");
    assert_eq!(report.zero_gradient_share(), Some(1.0));
    assert_eq!(report.count(Status::Fooled), 2, "{report:?}");
    // What is advised exists in the norm.
    for attack in ["pgd:steps=3", "pgd:steps=3,loss=margin", "sigma-zero:steps=3"] {
        let attack = parse_attack(attack).unwrap();
        let budget = Budget { norm: Norm::L0, eps: 1.0, seed: 0 };
        let model = Odd(Kind::NoGradient);
        let report = run_attack(&context, &model, &two_pixels(), attack.as_ref(), budget).unwrap();
        let text = report.warnings.join("\n");
        let (_, advice) = text.split_once("compare with ").expect(&text);
        let advised = advice.split([',', ' ']).next().unwrap();
        let advised = parse_attack(advised).unwrap();
        run_attack(&context, &model, &two_pixels(), advised.as_ref(), budget).unwrap();
    }
}

#[test]
fn what_is_not_finite_is_no_success() {
    let context = Context::new(1).unwrap();
    let report =
        run_attack(&context, &Odd(Kind::NotFinite), &two_pixels(), &Fgsm::default(), linf(0.2))
            .unwrap();
    assert_eq!((report.count(Status::Invalid), report.count(Status::Fooled)), (2, 0));
    assert_eq!(report.robust_accuracy(), 0.0);
    assert!(report.warnings.join("\n").contains("2 samples are invalid"));
    for (i, outcome) in report.outcomes.iter().enumerate() {
        assert_eq!(outcome.image, two_pixels().image(i));
    }
}

#[test]
fn fgsm_costs_one_backward_pass() {
    let (context, network) = (Context::new(1).unwrap(), lenet("lenet_robust.safetensors"));
    let report =
        run_attack(&context, &network, &test_images(0..3), &Fgsm::default(), linf(0.1)).unwrap();
    // The clean pass, the gradient's, and the one that shows the result; a verification where there is something.
    for outcome in &report.outcomes {
        let fooled = u64::from(outcome.status == Status::Fooled);
        assert_eq!((outcome.cost.forward_passes, outcome.cost.backward_passes), (3 + fooled, 1));
    }
}

fn message<T>(result: Result<T>) -> String {
    result.err().map(|error: Error| error.to_string()).expect("an error")
}

#[test]
fn names_options_and_radii_are_checked() {
    assert!(message(parse_attack("pdg")).contains("apgd-ce"));
    assert!(message(parse_attack("pgd:stesp=4")).contains("steps"));
    assert!(message(parse_attack("pgd:steps")).contains("key=value"));
    assert!(message(parse_attack("pgd:steps=4,steps=5")).contains("twice"));
    assert!(message(parse_attack("pgd:steps=many")).contains("steps=many"));
    // Finite in 64 bits, not in 32.
    assert!(message(parse_attack("pgd:step=1e300")).contains("step=1e300"));
    assert!(message(parse_attack("pgd:step=-1")).contains("positive"));
    let counts = [
        "steps",
        "restarts",
        "targets",
        "queries",
        "pairs",
        "probes",
        "search",
        "neighbors",
        "draws",
    ];
    for entry in deepsleep::attack::ATTACKS {
        for (key, ..) in entry.options().filter(|(key, ..)| counts.contains(key)) {
            // Products of two are numbers too.
            let text = format!("{}:{key}={}", entry.name, usize::MAX);
            assert!(message(parse_attack(&text)).contains("1000000000 at most"), "{text}");
        }
    }
    assert!(message(parse_attack("autoattack:version=best")).contains("version=best"));
    assert!(message(parse_attack("apgd-t:loss=ce")).contains("targeted"));
    for entry in deepsleep::attack::ATTACKS {
        assert_eq!(parse_attack(entry.name).unwrap().info().name, entry.name);
    }
    assert_eq!(parse_eps("64/255, 0.3", Norm::Linf, 784).unwrap(), [64.0 / 255.0, 0.3]);
    assert_eq!(parse_eps("1.5", Norm::L2, 784).unwrap(), [1.5]);
    for bad in ["0", "-0.1", "1.01", "x", "1/0", "", "0.1,", "nan"] {
        assert!(message(parse_eps(bad, Norm::Linf, 784)).contains("(0, 1]"), "{bad}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (context, network) = (Context::new(1).unwrap(), lenet("lenet_robust.safetensors"));
    let run = |text: &str, budget| {
        let a = parse_attack(text).unwrap();
        message(run_attack(&context, &network, &test_images(0..1), a.as_ref(), budget))
    };
    assert!(run("deepfool", Budget { norm: Norm::L1, eps: 1.0, seed: 0 }).contains("l1"));
    assert!(run("pgd:steps=0", linf(0.1)).contains("at least 1"));
    assert!(run("pgd", linf(f32::NAN)).contains("NaN"));
    assert!(run("pgd", linf(2.0)).contains("eps 2"));
    let wrong = run_attack(&context, &network, &two_pixels(), &Fgsm::default(), linf(0.1));
    assert!(message(wrong).contains("1x28x28"));
    let high = Array4::from_elem((1, 1, 1, 2), 1.5);
    assert!(message(Samples::new(high.view(), vec![0], vec![0])).contains("1.5"));
}

/// Whoever has run an attack is not told to compare with it, wherever the gradients vanished and by which loss.
#[test]
fn advice_names_other_attacks_than_the_one_that_ran() {
    let context = Context::new(1).unwrap();
    let texts = [
        "fgsm:loss=dlr",
        "pgd:steps=2",
        "apgd-ce:steps=2",
        "apgd-ce:steps=2,loss=ce-scaled",
        "apgd-dlr:steps=2",
        "apgd-t:steps=2",
        "autoattack",
        "autoattack:version=plus",
    ];
    for text in texts {
        let name = text.split(':').next().unwrap();
        let attack = parse_attack(text).unwrap();
        let a = attack.as_ref();
        for samples in [two_pixels(), two_pixels().select(&[0]).unwrap()] {
            let model = Odd(Kind::NoGradient);
            let mut report = run_attack(&context, &model, &samples, a, linf(0.1)).unwrap();
            let said = |report: &AttackReport| {
                let bounded =
                    Cell::of_report(text.to_owned(), ThreatModel::WhiteBox, report, true, 0.0);
                let says = |w: &String| bounded.warnings.contains(&Warning::Text(w.clone()));
                assert!(report.warnings.iter().all(says), "{text}");
                let advice = |warning: &&String| warning.contains("compare with");
                report.warnings.iter().find(advice).cloned().expect("zero gradients")
            };
            let at_images = said(&report);
            // The same, if they had arisen on the way.
            report.outcomes.iter_mut().for_each(|outcome| outcome.cost.zero_starts = 0);
            let parts = report.outcomes.len();
            let on_the_way = said(&AttackReport::merge([report]).unwrap());
            assert!(parts > 0 && on_the_way != at_images);
            for advice in [at_images, on_the_way] {
                let (_, advice) = advice.split_once("compare with").unwrap();
                let words = advice.split([' ', ',', ';']);
                assert!(words.into_iter().all(|word| word != name), "{text}: {advice}");
                assert!(name != "autoattack" || !advice.contains("square"), "{text}: {advice}");
            }
        }
    }
}

#[test]
fn more_targets_than_wrong_classes_are_refused() {
    for (text, most) in [("apgd-t", 9), ("fab-t", 9), ("apgd-t:targets=9", 9), ("pgd", 1)] {
        let spec: AttackSpec = text.parse().unwrap();
        spec.check_classes(most + 1).unwrap();
    }
    // The default is for many classes, and few will do.
    "apgd-t".parse::<AttackSpec>().unwrap().check_classes(3).unwrap();
    for text in ["apgd-t:targets=99", "fab-t:targets=10"] {
        let spec: AttackSpec = text.parse().unwrap();
        let error = spec.check_classes(10).unwrap_err().to_string();
        assert!(error.contains(text) && error.contains("give 9 at most"), "{error}");
    }
}

#[test]
fn small_radii_are_said_with_the_digits_that_count() {
    let attack = parse_attack("bim:steps=3").unwrap();
    let warnings = attack.option_warnings(&linf(1e-5)).join("");
    assert!(
        warnings.contains("3 steps of 2.000e-6 reach 6.000e-6, 1.000e-5 is needed"),
        "{warnings}"
    );
}

/// z = [8 (x0 + x1) - 7.9, 0], flat where a pixel is below 0.3 or above 0.7: what a network that thresholds looks like.
struct Thresholds;

impl Classifier for Thresholds {
    fn input_shape(&self) -> Shape {
        Shape::new(1, 1, 2)
    }

    fn classes(&self) -> usize {
        2
    }

    fn session(&self, _context: Context) -> Box<dyn Session + '_> {
        Box::new(ThresholdSession([[0.0; 2]; LANES]))
    }
}

/// The derivative by each pixel of each lane.
struct ThresholdSession([[f32; 2]; LANES]);

impl Session for ThresholdSession {
    fn logits(
        &mut self,
        images: &[Lanes],
        _noise: &[Key; LANES],
        _differentiable: bool,
        out: &mut [Lanes],
    ) -> Result<()> {
        for lane in 0..LANES {
            let pixels = [images[0].0[lane], images[1].0[lane]];
            self.0[lane] = pixels.map(|x| if (0.3..=0.7).contains(&x) { 8.0 } else { 0.0 });
            let seen = pixels.map(|x| 8.0 * x.clamp(0.3, 0.7));
            (out[0].0[lane], out[1].0[lane]) = (seen[0] + seen[1] - 7.9, 0.0);
        }
        Ok(())
    }

    fn gradient(&mut self, weight: &[Lanes], out: &mut [Lanes]) -> Result<()> {
        for lane in 0..LANES {
            (0..2).for_each(|i| out[i].0[lane] = weight[0].0[lane] * self.0[lane][i]);
        }
        Ok(())
    }
}

#[test]
fn a_start_next_to_gray_finds_the_slopes_of_a_network_that_thresholds() {
    let images = Array4::from_shape_vec((1, 1, 1, 2), vec![0.95, 0.4]).unwrap();
    let samples = Samples::new(images.view(), vec![0], vec![0]).unwrap();
    let robust = |text: &str, eps: f32| {
        let attack = parse_attack(text).unwrap();
        let context = Context::new(1).unwrap();
        run_attack(&context, &Thresholds, &samples, attack.as_ref(), linf(eps)).unwrap().outcomes[0]
            .status
            == Status::Survived
    };
    // From the image the first pixel has no gradient, and the second alone does not reach.
    assert!(robust("pgd:start=clean,steps=20,step=0.02", 0.27));
    assert!(!robust("pgd:start=gray,steps=20,step=0.02", 0.27));
    // Either spelling, and the same steps whatever the seed.
    assert!(!robust("pgd:start=grey,steps=20,step=0.02", 0.27));
    assert!(!parse_attack("pgd:start=gray").unwrap().info().random);
    assert!(parse_attack("pgd:start=corner").unwrap().info().random);
    assert!(parse_attack("pgd:start=uniform").unwrap().info().random);
}

/// Of the L2 ball nearly all is at its rim, where a random point of it lies.
#[test]
fn a_radial_start_is_at_any_distance() {
    let (count, shape) = (200, Shape::new(1, 12, 12));
    let images = Array4::from_elem((count, 1, 12, 12), 0.5f32);
    let samples = Samples::new(images.view(), vec![0; count], (0..count as u64).collect()).unwrap();
    let (weight, bias) = (vec![0.01; 2 * shape.features()], vec![1.0, 0.0]);
    let model = Affine { shape, weight, bias };
    let context = Context::new(1).unwrap();
    let distances = |start| {
        let text = format!("pgd:start={start},steps=1,step=0.000001,return=last");
        let budget = Budget { norm: Norm::L2, eps: 0.4, seed: 0 };
        let attack = parse_attack(&text).unwrap();
        let report = run_attack(&context, &model, &samples, attack.as_ref(), budget).unwrap();
        let mut distances: Vec<f32> = report.outcomes.iter().map(|o| o.l2).collect();
        distances.sort_by(f32::total_cmp);
        distances
    };
    assert!(distances("random")[0] > 0.35);
    for (i, distance) in distances("radial").into_iter().enumerate() {
        // The i-th of 200 uniform numbers, give or take three standard deviations of the one in the middle.
        let expected = 0.4 * (i as f32 + 0.5) / count as f32;
        assert!(
            (distance - expected).abs() < 0.4 * 3.0 * 0.5 / (count as f32).sqrt(),
            "{i}: {distance}"
        );
    }
}

#[test]
fn corners_are_of_the_linf_ball() {
    let samples = two_pixels();
    let context = Context::new(1).unwrap();
    for (text, norm, problem) in [
        ("pgd:start=gray", Norm::L2, "a ball in l2 has none"),
        ("eot-pgd:start=corner", Norm::L1, "a ball in l1 has none"),
        ("pgd:start=corner", Norm::L0, "a ball in l0 has none"),
        ("pgd:start=radial", Norm::Linf, "start=radial is a distance in l2"),
        ("pgd:start=gray,restarts=2", Norm::Linf, "from the same corner take the same steps"),
    ] {
        let attack = parse_attack(text).unwrap();
        let budget = Budget { norm, eps: 0.5, seed: 0 };
        let model = Odd(Kind::NoGradient);
        let error = message(run_attack(&context, &model, &samples, attack.as_ref(), budget));
        assert!(error.contains(problem), "{text}: {error}");
    }
    let error = message(parse_attack("pgd:start=middle"));
    assert!(error.contains("random, clean, gray, corner or radial"), "{error}");
    let error = message(parse_attack("bim:start=gray"));
    assert!(error.contains("start"), "{error}");
}

#[test]
fn what_would_bound_an_attack_is_an_option_of_it() {
    let context = Context::new(1).unwrap();
    let report =
        run_attack(&context, &Odd(Kind::NoGradient), &two_pixels(), &Fgsm::default(), linf(0.1))
            .unwrap();
    let mut unbounded = 0;
    for text in
        ["rays:return=nearest", "hopskipjump:return=nearest", "deepfool", "fmn", "ddn", "cw"]
    {
        if parse_attack(text).unwrap().info().bounded {
            continue;
        }
        unbounded += 1;
        let cell = Cell::of_report(text.to_owned(), ThreatModel::WhiteBox, &report, false, 0.0);
        let said = cell.warnings.last().unwrap().to_string();
        assert!(said.contains("does not bound"), "{said}");
        let option = said.split(['(', ' ']).find(|word| word.contains('=')).unwrap();
        let name = text.split(':').next().unwrap();
        assert!(parse_attack(&format!("{name}:{option}")).unwrap().info().bounded, "{said}");
    }
    assert!(unbounded >= 4, "{unbounded}");
}
