//! Models that draw random numbers: where their noise comes from, and by what they are judged.

use crate::common::models::{golden, lenet, test_images};
use crate::common::plain::{Plain, PlainSession};
use deepsleep::attack::{
    AttackReport, Budget, Classifier, Fgsm, Norm, Samples, Session, Square, Status, parse_attack,
    run_attack,
};
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::evaluation::{Cell, Crafted, ThreatModel, mean_interval, wilson};
use deepsleep::nn::{DRAWS, Freeze, Model, decision_noise, decisions, predictions};
use deepsleep::simd::random::{Key, uniform_from_bits};
use deepsleep::simd::{Isa, LANES, Lanes};
use deepsleep::snn::{Encoder, FrozenSpikingModel, SpikingModel, SpikingOptions, Statistics};
use deepsleep::tensor::{Context, Shape};
use ndarray::Array4;
use rand::Rng;

/// Weights that are so much larger overflow where many of their neurons spike.
const HUGE: f32 = 2e37;

/// The golden LeNet as a spiking network with Poisson spikes.
fn poisson(steps: usize) -> FrozenSpikingModel {
    poisson_of(&Model::open(&golden("lenet_weights.safetensors")).unwrap(), steps)
}

fn poisson_of(lenet: &Model, steps: usize) -> FrozenSpikingModel {
    let encoder = Encoder::Poisson { rate: 1.0 };
    let options = SpikingOptions::default().with(|o| {
        o.steps = steps;
        o.encoder = encoder;
    });
    SpikingModel::from_model(lenet, options, Statistics::Carry).unwrap().freeze().unwrap()
}

fn linf(eps: f32) -> Budget {
    Budget { norm: Norm::Linf, eps, seed: 0 }
}

fn run(model: &dyn Classifier, samples: &Samples, text: &str, budget: Budget) -> AttackReport {
    let a = parse_attack(text).unwrap();
    run_attack(&Context::new(2).unwrap(), model, samples, a.as_ref(), budget).unwrap()
}

/// The logits of sixteen images, lane by lane.
fn logits(model: &dyn Classifier, images: &[Lanes], noise: &[Key; LANES]) -> Vec<Vec<f32>> {
    let mut session = model.session(Context::serial(Isa::detect().unwrap()));
    let mut z = vec![Lanes::ZERO; model.classes()];
    session.logits(images, noise, false, &mut z).unwrap();
    (0..LANES).map(|lane| z.iter().map(|z| z.0[lane]).collect()).collect()
}

#[test]
fn noise_is_that_of_the_callers_keys() {
    let (model, samples) = (poisson(4), test_images(0..16));
    let block = |change: f32| -> Vec<Lanes> {
        let of = |i: usize| std::array::from_fn(|lane| (samples.image(lane)[i] + change).min(1.0));
        (0..784).map(|i| Lanes(of(i))).collect()
    };
    let (images, keys) = (block(0.0), std::array::from_fn(|i| Key::new(i as u64)));
    let expected = logits(&model, &images, &keys);
    assert_eq!(logits(&model, &images, &keys), expected);
    // The noise of a lane goes where its key goes, and other lanes do not matter.
    let mut turned = keys;
    turned.rotate_left(5);
    let mut moved = images.clone();
    moved.iter_mut().for_each(|lanes| lanes.0.rotate_left(5));
    let mut found = logits(&model, &moved, &turned);
    found.rotate_right(5);
    assert_eq!(found, expected);
    // Other keys, other logits.
    let other = logits(&model, &images, &keys.map(|key| key.with(1)));
    let differ = other.iter().zip(&expected).filter(|(a, b)| a != b).count();
    assert!(differ >= 15, "{differ} of 16 differ");
    // Images that hardly differ see the same draws: of 50,000 only one that fell between the two would tell them apart.
    let near = logits(&model, &block(1e-7), &keys);
    let differ = near.iter().zip(&expected).filter(|(a, b)| a != b).count();
    assert!(differ <= 2, "{differ} of 16 differ");
    // One image in all lanes: one answer a key.
    let same = images.iter().map(|lanes| Lanes::splat(lanes.0[0])).collect::<Vec<_>>();
    let answers = logits(&model, &same, &[Key::new(9); LANES]);
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    assert!(model.is_random() && model.draws() == DRAWS);
}

#[test]
fn an_accuracy_is_of_the_mean_logits_over_the_draws() {
    let test = Dataset::load(locate(DatasetName::Mnist, None).unwrap(), Split::Test).unwrap();
    let test = test.slice(0..70).unwrap();
    let (model, context) = (poisson(4).with_draws(5), Context::new(2).unwrap());
    let all = decisions(&context, &model, &test, 0, 3).unwrap();
    assert!(all.iter().any(|verdict| (1..5).contains(&verdict.right)), "nothing is random here");
    // By hand: the mean of five sessions with the keys of the verdict.
    let samples = test_images(0..70);
    for i in [0, 33, 69] {
        let image: Vec<Lanes> = samples.image(i).iter().map(|&x| Lanes::splat(x)).collect();
        let (mut mean, mut right) = ([0.0; 10], 0);
        for draw in 0..5 {
            let z = &logits(&model, &image, &[decision_noise(3, i as u64, draw); LANES])[0];
            mean.iter_mut().zip(z).for_each(|(mean, z)| *mean += z / 5.0);
            right += usize::from(largest(z) == test.label(i));
        }
        assert_eq!((all[i].class, all[i].right), (Some(largest(&mean)), right), "image {i}");
    }
    // Parts of a set get the decisions of the whole, on any instruction set and number of threads.
    for isa in crate::common::isas() {
        let context = Context::with_isa(isa, 1).unwrap();
        let part = decisions(&context, &model, &test.slice(21..61).unwrap(), 21, 3).unwrap();
        assert_eq!(part, all[21..61]);
    }
    // Another seed, other draws; a network without noise has one, whatever the seed.
    assert_ne!(decisions(&context, &model, &test, 0, 4).unwrap(), all);
    let (seed_0, by_default) =
        (decisions(&context, &model, &test, 0, 0).unwrap(), predictions(&context, &model, &test));
    assert!(seed_0.iter().map(|verdict| verdict.class.unwrap()).eq(by_default.unwrap()));
    let fixed = lenet("lenet_weights.safetensors");
    assert_eq!(
        decisions(&context, &fixed, &test, 7, 8).unwrap(),
        decisions(&context, &fixed, &test, 0, 0).unwrap()
    );
    // An attack's clean pass is the same judgment.
    let report = run(&model, &samples, "fgsm", Budget { seed: 3, ..linf(0.01) });
    let right = all.iter().enumerate().filter(|&(i, v)| v.class == Some(test.label(i))).count();
    assert_eq!(report.clean_accuracy(), right as f64 / 70.0);
    let expected = all.iter().map(|verdict| verdict.right).sum::<usize>() as f64 / (5.0 * 70.0);
    assert!((report.expected_clean_accuracy().unwrap() - expected).abs() < 1e-12);
    // So it is where logits of some draws are not finite: such an image has no answer.
    let mut state = golden("lenet_weights.safetensors");
    let name = state.names().find(|name| name.starts_with("fc")).unwrap().to_owned();
    let array = state.get(&name).unwrap();
    let (shape, huge) = (array.shape.clone(), array.values.iter().map(|x| x * HUGE).collect());
    state.insert(&name, shape, huge).unwrap();
    let model = poisson_of(&Model::open(&state).unwrap(), 4).with_draws(5);
    let all = decisions(&context, &model, &test, 0, 3).unwrap();
    let report = run(&model, &samples, "fgsm", Budget { seed: 3, ..linf(0.01) });
    let invalid = all.iter().filter(|verdict| verdict.class.is_none()).count();
    assert!((1..70).contains(&invalid), "{invalid}");
    assert_eq!(report.count(Status::Invalid), invalid);
    let expected = all.iter().map(|verdict| verdict.right).sum::<usize>() as f64 / (5.0 * 70.0);
    assert!((report.expected_clean_accuracy().unwrap() - expected).abs() < 1e-12);
}

fn largest(z: &[f32]) -> usize {
    (0..z.len()).fold(0, |best, i| if z[i] > z[best] { i } else { best })
}

#[test]
fn a_sample_under_attack_depends_on_nobody_else() {
    let (model, samples) = (poisson(2), test_images(0..24));
    for text in ["pgd:steps=4,draws=2", "square:queries=20,draws=2", "apgd-ce:steps=3,restarts=2"] {
        let all = run(&model, &samples, text, linf(0.1));
        assert!(all.count(Status::Fooled) > 0, "{text}");
        let order = [23, 3, 17, 0, 9];
        let some = samples.select(&order).unwrap();
        // The portable instruction set takes long: one attack has to do.
        let isa = if text.starts_with("pgd") {
            crate::common::portable()
        } else {
            Isa::detect().unwrap()
        };
        let context = Context::with_isa(isa, 1).unwrap();
        let a = parse_attack(text).unwrap();
        let report = run_attack(&context, &model, &some, a.as_ref(), linf(0.1)).unwrap();
        for (outcome, i) in report.outcomes.iter().zip(order) {
            assert_eq!(outcome, &all.outcomes[i], "{text}");
        }
        // Another seed is another attack and another judgment.
        assert_ne!(
            run(&model, &samples, text, Budget { seed: 1, ..linf(0.1) }).outcomes,
            all.outcomes
        );
    }
}

#[test]
fn more_draws_are_another_and_a_stronger_attack() {
    let (model, samples) = (poisson(4), test_images(0..64));
    let fooled = |draws: usize| {
        let text = format!("eot-pgd:steps=10,draws={draws},start=clean,return=last");
        let report = run(&model, &samples, &text, linf(0.06));
        (report.count(Status::Fooled), report.outcomes.iter().map(|o| o.image.clone()).collect())
    };
    let ((one, images), (eight, others)): ((_, Vec<_>), (_, Vec<_>)) = (fooled(1), fooled(8));
    assert_ne!(images, others);
    assert!(eight > one, "{one} fooled with one draw, {eight} with eight");
    // Without noise the number of draws does not matter.
    let fixed = lenet("lenet_weights.safetensors");
    let some = test_images(0..16);
    for name in ["fgsm", "bim", "fab:steps=3", "deepfool:steps=3", "square:queries=30"] {
        let separator = if name.contains(':') { ',' } else { ':' };
        let with =
            |draws| run(&fixed, &some, &format!("{name}{separator}draws={draws}"), linf(0.1));
        let statuses = |report: AttackReport| -> Vec<Status> {
            report.outcomes.iter().map(|outcome| outcome.status).collect()
        };
        // A power of two, so that means round nothing.
        let (one, four) = (with(1), with(4));
        assert!(four.cost().forward_passes > one.cost().forward_passes, "{name}");
        assert_eq!(statuses(one), statuses(four), "{name}");
    }
}

#[test]
fn a_radius_of_nothing_fools_nobody() {
    let (model, samples) = (poisson(3), test_images(0..100));
    for text in ["pgd:steps=20", "apgd-ce:steps=20,restarts=2", "square:queries=200", "fab:steps=5"]
    {
        let report = run(&model, &samples, text, linf(1e-5));
        let (clean, robust) = (report.clean_accuracy(), report.robust_accuracy());
        assert!(clean > 0.3, "{clean}");
        assert!(clean - robust <= 0.02, "{text}: {clean} becomes {robust}");
        let lost = report.expected_clean_accuracy().unwrap() - report.expected_accuracy().unwrap();
        assert!((0.0..=0.01).contains(&lost), "{text}: {lost}");
    }
}

#[test]
fn autoattack_sees_that_the_model_is_random() {
    let (model, samples) = (poisson(1), test_images(0..4));
    let standard = run(&model, &samples, "autoattack", linf(0.01));
    let text = standard.warnings.join("\n");
    assert!(text.contains("version=rand"), "{text}");
    // No attack can change a coin toss: what Square seemed to find is not a finding.
    let coin = run(&Coin { right: 0.7, draws: 100 }, &two_pixels(20), "autoattack", linf(0.01));
    assert_eq!((coin.robust_accuracy(), coin.diagnostics.square_alone), (1.0, 0));
    let rand = run(&model, &samples, "autoattack:version=rand", linf(0.01));
    assert!(!rand.warnings.join("\n").contains("version=rand"), "{:?}", rand.warnings);
}

/// Two classes, of which the first is right; with this probability a draw says so, whatever the image.
struct Coin {
    right: f32,
    draws: usize,
}

impl Classifier for Coin {
    fn input_shape(&self) -> Shape {
        Shape::new(1, 1, 2)
    }

    fn classes(&self) -> usize {
        2
    }

    fn is_random(&self) -> bool {
        true
    }

    fn draws(&self) -> usize {
        self.draws
    }

    fn session(&self, _context: Context) -> Box<dyn Session + '_> {
        Box::new(PlainSession::new(self))
    }
}

impl Plain for Coin {
    fn logits(&self, image: &[f64], noise: Key) -> Vec<f64> {
        let heads = uniform_from_bits(noise.generator().next_u32()) < self.right;
        // The images add to both: what they are makes no difference.
        let both: f64 = image.iter().sum();
        vec![both + f64::from(heads), both + f64::from(!heads)]
    }

    fn gradient(&self, image: &[f64], weight: &[f64]) -> Vec<f64> {
        vec![weight.iter().sum(); image.len()]
    }
}

fn two_pixels(count: usize) -> Samples {
    let images = Array4::from_elem((count, 1, 1, 2), 0.5);
    Samples::new(images.view(), vec![0; count], (0..count as u64).collect()).unwrap()
}

fn cell(report: &AttackReport) -> Cell {
    Cell::of_report("fgsm".to_owned(), ThreatModel::WhiteBox, report, true, 0.0)
}

/// Means of shares of every kind of spread lie in their interval as often as it says.
#[test]
fn intervals_of_means_hold_what_they_promise() {
    let random = &mut Key::new(5).generator();
    for (kind, mean) in [("even", 0.5), ("rare", 0.02), ("votes", 0.9), ("near one", 0.98)] {
        let mut inside = 0;
        for _ in 0..4000 {
            let mut draw = || f64::from(uniform_from_bits(random.next_u32()));
            let share = |_| match kind {
                "even" => draw(),
                "rare" => 0.04 * draw(),
                "votes" => f64::from(u8::from(draw() < mean)),
                _ => 1.0 - 0.04 * draw(),
            };
            let [low, high] = mean_interval(&(0..100).map(share).collect::<Vec<f64>>());
            inside += usize::from(low <= mean && mean <= high);
        }
        // 95 % of 4,000 have a standard deviation of 14; Wilson's interval of a hundred votes holds 93.6 to 96 %.
        assert!((3720..=3900).contains(&inside), "{kind}: {inside} of 4000");
    }
    assert_eq!(mean_interval(&[]), [0.0, 1.0]);
    assert_eq!(mean_interval(&[1.0; 50]), wilson(50, 50));
}

#[test]
fn a_coin_has_the_accuracy_of_its_coin() {
    let samples = two_pixels(200);
    for (right, accuracy) in [(0.7, 1.0), (0.3, 0.0)] {
        let coin = Coin { right, draws: 400 };
        for text in ["pgd:steps=5", "square:queries=50", "apgd-ce:steps=10,restarts=3"] {
            let report = run(&coin, &samples, text, linf(0.3));
            // The mean of 400 draws is on the likelier side (10 standard deviations), and no attack changes that.
            assert_eq!((report.clean_accuracy(), report.robust_accuracy()), (accuracy, accuracy));
            // 80,000 draws: a standard deviation of 0.0016.
            let expected = f64::from(right);
            assert!((report.expected_accuracy().unwrap() - expected).abs() < 0.008);
            assert!((report.expected_clean_accuracy().unwrap() - expected).abs() < 0.008);
            let random = cell(&report).random.unwrap();
            assert_eq!(Some(random.expected_accuracy), report.expected_accuracy());
            assert_eq!(random.majority_accuracy, accuracy);
            assert_eq!(random.majority_interval, wilson((200.0 * accuracy) as usize, 200));
            // Every image has nearly the same share: the mean is far surer than a vote of 200 would be.
            let [low, high] = random.expected_interval;
            assert!(low < random.expected_accuracy && random.expected_accuracy < high);
            assert!(high - low < 0.02, "{low} {high}");
        }
    }
    // A single draw decides nothing: though every image seems to fool the model now and then, what seems to is refuted.
    let report = run(&Coin { right: 0.7, draws: 400 }, &samples, "square:queries=5", linf(0.3));
    let seemed = report.diagnostics.refuted as f64 / 200.0;
    assert!((0.15..0.45).contains(&seemed), "{seemed} seemed to fool it");
}

#[test]
fn every_draw_is_counted() {
    let samples = two_pixels(50);
    let report = run(&Coin { right: 0.9, draws: 30 }, &samples, "fgsm:draws=3", linf(0.1));
    let mut refuted = 0;
    for outcome in &report.outcomes {
        // The clean verdict; the gradient, and the answer to its step, of three draws each; the verdict on what seemed
        // to fool the model.
        let base = 30 + 3 + 3;
        assert!([base, base + 30].contains(&outcome.cost.forward_passes), "{:?}", outcome.cost);
        refuted += usize::from(outcome.cost.forward_passes > base);
    }
    assert_eq!(refuted, report.diagnostics.refuted + report.count(Status::Fooled));
    assert!(refuted > 0);
    let shown = Crafted::craft(
        &Context::new(1).unwrap(),
        &Coin { right: 0.9, draws: 30 },
        &samples,
        &Fgsm::default(),
        linf(0.1),
    );
    let report = shown.unwrap().show(&Context::new(1).unwrap(), &Coin { right: 0.6, draws: 300 });
    let expected = report.unwrap().expected_accuracy().unwrap();
    assert!((expected - 0.6).abs() < 0.02, "{expected}");
}

#[test]
fn a_model_without_noise_says_nothing_of_expectations() {
    let (model, samples) = (lenet("lenet_weights.safetensors"), test_images(0..8));
    let report = run(&model, &samples, "fgsm", linf(0.1));
    assert_eq!((report.expected_accuracy(), report.expected_clean_accuracy()), (None, None));
    assert!(!model.is_random() && model.draws() == 1);
    let json = |report: &AttackReport| {
        let cell = cell(report);
        let read: Cell = serde_json::from_str(&serde_json::to_string(&cell).unwrap()).unwrap();
        assert_eq!(read.random, cell.random);
        let records = serde_json::to_string(&cell.outcomes).unwrap();
        serde_json::to_string(&cell).unwrap() + &records
    };
    assert!(!json(&report).contains("expected") && !json(&report).contains("majority"));
    let report = run(&poisson(1), &samples, "fgsm", linf(0.1));
    assert_eq!(json(&report).matches("\"expected_accuracy\":").count(), 1);
    assert_eq!(json(&report).matches("\"expected\":{\"clean\":").count(), 8);
    // Averaging changes nothing where there is nothing to average, in Square's shortcut neither.
    let square = Square { queries: 40, ..Square::default() };
    let averaged = Square { draws: 2, ..square.clone() };
    let [a, b] = [square, averaged].map(|square| {
        run_attack(&Context::new(1).unwrap(), &model, &samples, &square, linf(0.2)).unwrap()
    });
    for (a, b) in a.outcomes.iter().zip(&b.outcomes) {
        assert_eq!((a.status, &a.image, a.margin), (b.status, &b.image, b.margin));
    }
}
