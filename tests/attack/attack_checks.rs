//! Models that give reason to doubt: random, not finite, probabilities, no gradient; and what cannot be attacked.

use crate::common::models::{lenet, test_images};
use deepsleep::attack::{
    AutoAttack, Budget, Classifier, Fgsm, Norm, Samples, Session, Status, Version, parse_attack,
    parse_eps, run_attack,
};
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
    assert!(message(parse_attack("autoattack:version=best")).contains("version=best"));
    assert!(message(parse_attack("apgd-t:loss=ce")).contains("targeted"));
    for entry in deepsleep::attack::ATTACKS {
        assert_eq!(parse_attack(entry.name).unwrap().name(), entry.name);
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
