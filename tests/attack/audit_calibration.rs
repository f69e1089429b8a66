//! What the audit says of networks that hide how weak they are, and of networks that do not.
//!
//! `DEEPSLEEP_AUDIT=full cargo test --release --test attack audit_calibration -- --nocapture` audits each of them on five seeds,
//! each with images of its own, and prints the tables of docs/attacks.md. Without the variable, a few of them and a handful of
//! images have to do. Several names of cases, separated by commas, run these alone: `DEEPSLEEP_AUDIT=full,M9,M16`.

use crate::common::masks::{Borrowed, Mask, Masked, SaysRandom};
use crate::common::models::{golden, lenet, test_images};
use deepsleep::attack::{Budget, Classifier, Norm};
use deepsleep::audit::{AuditOptions, AuditReport, AuditVerdict, Finding, run_audit};
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::method::{AdversarialTraining, Defender, Profile, Settings};
use deepsleep::nn::{Freeze, FrozenModel, Model};
use deepsleep::snn::{
    Encoder, FrozenSpikingModel, SpikingModel, SpikingOptions, Statistics, Surrogate,
};
use deepsleep::tensor::Context;
use std::collections::BTreeMap;

const EPS: f32 = 16.0 / 255.0;

/// A network to audit, and what the audit has to say of it.
struct Case {
    name: &'static str,
    what: &'static str,
    /// Makes the network: some are trained, which is for those that are audited.
    model: Box<dyn Fn() -> Box<dyn Classifier>>,
    budget: Budget,
    /// The attack behind a claim.
    claimed_by: Option<&'static str>,
    /// Checks that are there for it, and how each has to end at least; none for a network that hides nothing.
    named: &'static [(&'static str, Finding)],
    /// Checks that may fail on some images, although it hides nothing on purpose.
    may_fail: &'static [&'static str],
}

fn case<M: Classifier + 'static>(
    name: &'static str,
    what: &'static str,
    model: impl Fn() -> M + 'static,
) -> Case {
    let budget = Budget { norm: Norm::Linf, eps: EPS, seed: 0 };
    let model = Box::new(move || Box::new(model()) as Box<dyn Classifier>);
    Case { name, what, model, budget, claimed_by: None, named: &[], may_fail: &[] }
}

impl Case {
    fn hides(self, named: &'static [(&'static str, Finding)]) -> Self {
        Self { named, ..self }
    }

    fn may_fail(self, may_fail: &'static [&'static str]) -> Self {
        Self { may_fail, ..self }
    }

    fn within(self, norm: Norm, eps: f32) -> Self {
        Self { budget: Budget { norm, eps, seed: 0 }, ..self }
    }

    fn run(&self, model: &dyn Classifier, seed: usize, scale: Scale) -> AuditReport {
        let (images, search) = match scale {
            Scale::Small if model.is_spiking() => (6, 2),
            Scale::Small => (10, 2),
            // Searches take tens of thousands of evaluations an image: spiking networks get fewer.
            Scale::Full if model.is_spiking() => (24, 4),
            Scale::Full => (50, 8),
        };
        let options = AuditOptions::default().with(|o| {
            o.budget = Budget { seed: seed as u64, ..self.budget };
            o.images = images;
            o.search = search;
            o.random = 256;
            o.active = 4;
            o.fast = true;
            o.claimed_by = self.claimed_by.map(|text| text.parse().unwrap());
        });
        let context = Context::new(2).unwrap();
        let samples = match model.input_shape().features() {
            784 => test_images(1000 * seed..1000 * seed + 400),
            _ => crate::attack_oracle::problem(model.classes(), 7).1,
        };
        run_audit(&context, model, &samples, &options).unwrap()
    }

    /// All that is wrong with what the audit says.
    fn complaints(&self, report: &AuditReport) -> Vec<String> {
        let ended = |name: &str| report.check(name).map(|check| check.finding);
        let missed = self.named.iter().filter(|(name, least)| ended(name) < Some(*least));
        let mut complaints: Vec<String> =
            missed.map(|(name, _)| format!("{}: {name} is {:?}", self.name, ended(name))).collect();
        if self.named.is_empty() {
            complaints.extend(
                report
                    .of(Finding::Fail)
                    .filter(|check| !self.may_fail.contains(&check.name.as_str()))
                    .map(|check| format!("{}: {} fails: {}", self.name, check.name, check.meaning)),
            );
        }
        let fails = self.named.iter().any(|(_, least)| *least == Finding::Fail);
        if fails && report.verdict != AuditVerdict::NotTrusted {
            complaints.push(format!("{}: {}", self.name, report.verdict));
        }
        complaints
    }
}

fn plain() -> FrozenModel {
    lenet("lenet_weights.safetensors")
}

fn spiking(options: SpikingOptions) -> FrozenSpikingModel {
    let network = Model::open(&golden("lenet_weights.safetensors")).unwrap();
    SpikingModel::from_model(&network, options, Statistics::Carry).unwrap().freeze().unwrap()
}

fn masked(mask: Mask) -> Masked<FrozenModel> {
    Masked(plain(), mask)
}

/// LeNet behind pixel noise of this size, which says that it is random, and a mask.
fn noisy(size: f32, mask: Mask) -> SaysRandom<Masked<Masked<FrozenModel>>> {
    SaysRandom(Masked(masked(Mask::Noise(size)), mask))
}

/// LeNet, trained further on adversarial images of the first training images.
fn trained(images: usize, changes: &[(&str, &str)]) -> FrozenModel {
    let mut settings = Settings::new(Profile::Standard);
    for (name, value) in changes {
        settings.set(&format!("adversarial_training.{name}"), value).unwrap();
    }
    let folder = locate(DatasetName::Mnist, None).unwrap();
    let data = Dataset::load(&folder, Split::Train).unwrap().slice(0..images).unwrap();
    let model = Model::open(&golden("lenet_weights.safetensors")).unwrap();
    let mut defender = Defender::new(&AdversarialTraining, model, settings).unwrap();
    let context = Context::new(2).unwrap();
    while defender.advance(&context, &data).unwrap().is_some() {}
    defender.model().freeze().unwrap()
}

/// Running statistics reset: the weights of sleep are large, as the published code normalizes its filters, and what hid
/// that is forgotten. Logits are inflated.
fn reset() -> FrozenModel {
    let mut state = golden("lenet_weights.safetensors");
    for (name, shape) in [("conv1.weight", [10, 1, 5, 5]), ("conv2.weight", [20, 10, 5, 5])] {
        let values = state.expect(name, &shape).unwrap().iter().map(|w| 10.0 * w).collect();
        state.insert(name, shape.to_vec(), values).unwrap();
    }
    let network = Model::open(&state).unwrap();
    let spiking = SpikingModel::from_model(&network, SpikingOptions::default(), Statistics::Carry);
    spiking.unwrap().to_model(Statistics::Reset).freeze().unwrap()
}

/// One mask of every kind, and a few twice.
fn masks() -> Vec<Case> {
    use Finding::{Fail, Warn};
    let options = SpikingOptions::default;
    let guided = &[("ascent", Fail), ("directional derivative", Fail), ("unbounded", Fail)];
    vec![
        case("M1", "backward returns zero", || masked(Mask::Zero)).hides(&[
            ("zero gradient", Fail),
            ("ascent", Fail),
            ("unbounded", Fail),
        ]),
        case("M2", "pixels in 8 levels, gradient 0", || masked(Mask::Levels(8.0)))
            .hides(&[("zero gradient", Fail)]),
        case("M2b", "pixels in 16 levels, gradient 0", || masked(Mask::Levels(16.0)))
            .hides(&[("zero gradient", Fail)]),
        case("M3", "logits times 1,000", || masked(Mask::Scaled(1e3)))
            .hides(&[("logit scale", Warn)]),
        case("M4", "soft-max outputs", || masked(Mask::Softmax)).hides(&[("output type", Fail)]),
        case("M5", "pixel noise of 0.2, anew each time", || masked(Mask::Noise(0.2)))
            .hides(&[("determinism", Fail)]),
        case("M6", "the same, drawn from the pixels", || masked(Mask::NoiseOfPixels(0.2)))
            .hides(&[("hidden noise", Fail)]),
        // Its gradient is right within a ripple, where the smallest steps of the directional derivative lie.
        case("M7", "x + 0.002 sin(x / 2e-5)", || masked(Mask::Shattered { a: 0.002, b: 2e-5 }))
            .hides(&[("unbounded", Fail)]),
        case("M8", "gradient negated", || masked(Mask::Negated)).hides(guided),
        case("M8b", "a random vector for a gradient", || masked(Mask::Unrelated))
            .hides(&[("ascent", Fail), ("directional derivative", Fail)]),
        case("M8c", "another network's gradient", || {
            Borrowed(plain(), Model::lenet(3).freeze().unwrap())
        })
        // At the whole radius of the box it may lead somewhere.
        .hides(&[("ascent", Fail), ("directional derivative", Fail)]),
        case("M9", "FGSM-trained at 0.45, past overfitting", || {
            trained(3200, &[("attack", "fgsm"), ("eps", "0.45"), ("epochs", "15")])
        })
        .within(Norm::Linf, 0.45)
        .hides(&[("loss along the gradient", Warn)]),
        Case {
            claimed_by: Some("pgd:steps=10,step=0.03333eps"),
            ..case("M10", "claimed by PGD that goes eps / 3", plain).hides(&[("reach", Warn)])
        },
        case(
            "M11",
            "surrogate: rectangle, 1e-3 thresholds to either side",
            // Of 1 / 2000 to either side, where thresholds are 0.5.
            move || spiking(options().with(|o| o.surrogate = Surrogate::Rectangle(2000.0))),
        )
        .hides(&[("zero gradient", Fail), ("ascent", Fail), ("surrogate gap", Warn)]),
        case("M11a", "surrogate: the same derivative everywhere", move || {
            spiking(options().with(|o| o.surrogate = Surrogate::StraightThrough(1.0)))
        })
        .hides(&[("ascent", Fail), ("surrogate gap", Warn)]),
        case("M11b", "surrogate: arctan 1000", move || {
            spiking(options().with(|o| o.surrogate = Surrogate::Arctan(1000.0)))
        })
        // So few images are not always enough for more.
        .hides(&[("ascent", Warn), ("surrogate gap", Warn)]),
        case("M12", "encoder without a gradient", move || Masked(spiking(options()), Mask::Zero))
            .hides(&[("zero gradient", Fail)]),
        case("M13", "thresholds 2.5 times as high", move || {
            spiking(options().with(|o| o.neuron.threshold *= 2.5))
        })
        .hides(&[("silent neurons", Warn)]),
        case("M14", "sigmoids of slope 1e5 before the pixels", || masked(Mask::Steep(1e5)))
            .hides(&[("zero gradient", Fail)]),
        case("M15", "1 for the class, 0 for the others", || masked(Mask::OneHot))
            .hides(&[("zero gradient", Fail)]),
        case("M16", "running statistics reset", reset).hides(&[("logit scale", Warn)]),
        case("M17", "noise of 0.25 that is said, gradient negated", || noisy(0.25, Mask::Negated))
            .hides(&[("ascent", Fail), ("unbounded", Fail)]),
        case("M17b", "noise of 0.5 that is said, no gradient", || noisy(0.5, Mask::Zero))
            .hides(&[("zero gradient", Fail), ("unbounded", Fail)]),
    ]
}

/// Networks that hide nothing.
fn honest() -> Vec<Case> {
    let robust = || lenet("lenet_robust.safetensors");
    let poisson = Encoder::Poisson { rate: 1.0 };
    let adversarial = [("attack", "pgd:steps=7,step=0.03"), ("eps", "0.1"), ("epochs", "2")];
    vec![
        case("control", "LeNet", plain),
        case("robust, 0.1", "adversarially trained by PyTorch", robust).within(Norm::Linf, 0.1),
        case("robust, 0.2", "the same", robust).within(Norm::Linf, 0.2),
        // It thresholds its pixels: of test images 4,000 to 4,050, nine attacks along gradients leave three that HopSkipJump
        // fools.
        case("robust, l2 1.5", "the same", robust)
            .within(Norm::L2, 1.5)
            .may_fail(&["score search", "hard label"]),
        case("adversarial", "trained here by PGD at 0.1", move || trained(6400, &adversarial))
            .within(Norm::Linf, 0.1),
        case("affine, 2", "two classes", || crate::attack_oracle::problem(2, 7).0)
            .within(Norm::Linf, 0.003),
        case("affine, 3", "three classes", || crate::attack_oracle::problem(3, 7).0)
            .within(Norm::Linf, 0.003),
        case("scaled", "logits times 0.1", || masked(Mask::Scaled(0.1))),
        case("shifted", "logits plus 100", || masked(Mask::Shifted(100.0))),
        case("noise 0.1", "pixel noise that is said", || noisy(0.1, Mask::Nothing)),
        case("noise 0.25", "the same", || noisy(0.25, Mask::Nothing)),
        case("noise 0.5", "the same", || noisy(0.5, Mask::Nothing)),
        case("levels", "255 levels, straight through", || masked(Mask::StraightThrough(255.0))),
        case("spiking", "LeNet as a spiking network", || spiking(SpikingOptions::default())),
        case("Poisson", "the same with Poisson spikes, 4 steps", move || {
            spiking(SpikingOptions::default().with(|options| {
                (options.encoder, options.steps) = (poisson, 4);
            }))
            .with_draws(10)
        }),
    ]
}

#[derive(Clone, Copy)]
enum Scale {
    Small,
    Full,
}

/// Runs all of these, prints a row each, and what every check measured; fails with all complaints.
fn calibrate(cases: Vec<Case>) {
    let wanted = std::env::var("DEEPSLEEP_AUDIT").unwrap_or_default();
    let mut wanted = wanted.split(',').filter(|word| !word.is_empty());
    let full = wanted.next() == Some("full");
    let mut names: Vec<&str> = wanted.collect();
    if !full {
        // One of each kind, and what audits have been wrong about.
        names.extend([
            "M1",
            "M5",
            "M8",
            "M10",
            "M13",
            "M16",
            "control",
            "robust, l2 1.5",
            "affine, 3",
            "Poisson",
            "M17",
            "noise 0.5",
        ]);
    }
    let (scale, seeds) = if full { (Scale::Full, 5) } else { (Scale::Small, 1) };
    let (mut complaints, mut measured) = (Vec::new(), BTreeMap::new());
    for case in cases.iter().filter(|case| names.is_empty() || names.contains(&case.name)) {
        let model = (case.model)();
        let run = |seed| case.run(model.as_ref(), seed, scale);
        let reports: Vec<AuditReport> = (0..seeds).map(run).collect();
        complaints.extend(reports.iter().flat_map(|report| case.complaints(report)));
        println!("{}", row(case, &reports));
        for check in reports.iter().flat_map(|report| &report.checks) {
            crate::audits::is_documented(check);
            let of = (check.name.clone(), check.threshold.clone());
            measured.entry(of).or_insert_with(Vec::new).push((check.statistic, check.finding));
        }
    }
    println!("\n| check | threshold | measured | warnings | failures |\n|---|---|---|---|---|");
    for ((name, threshold), values) in measured {
        let count = |finding| values.iter().filter(|(_, f)| *f == finding).count();
        println!(
            "| {name} | {threshold} | {} | {} of {} | {} |",
            range(values.iter().map(|(statistic, _)| *statistic)),
            count(Finding::Warn),
            values.len(),
            count(Finding::Fail)
        );
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// A line of the table: verdicts, the number to report, the named checks, and what else did not pass.
fn row(case: &Case, reports: &[AuditReport]) -> String {
    let not_trusted = reports.iter().filter(|r| r.verdict == AuditVerdict::NotTrusted).count();
    let mean = reports.iter().map(|r| r.robust_accuracy).sum::<f64>() / reports.len() as f64;
    let of = |name: &str| {
        let checks = || reports.iter().filter_map(|report| report.check(name));
        let statistics = range(checks().map(|check| check.statistic));
        let count = |finding| checks().filter(|check| check.finding == finding).count();
        let ends = match (count(Finding::Fail), count(Finding::Warn)) {
            (fails, 0) => format!("{fails} fail"),
            (0, warns) => format!("{warns} warn"),
            (fails, warns) => format!("{fails} fail, {warns} warn"),
        };
        format!("{name} {statistics} ({ends})")
    };
    let named: Vec<&str> = case.named.iter().map(|(name, _)| *name).collect();
    let mut others: Vec<&str> = Vec::new();
    for check in reports.iter().flat_map(|report| &report.checks) {
        let is_new =
            !named.contains(&check.name.as_str()) && !others.contains(&check.name.as_str());
        if check.finding != Finding::Pass && is_new {
            others.push(&check.name);
        }
    }
    let listed = |names: &[&str]| names.iter().map(|name| of(name)).collect::<Vec<_>>().join("; ");
    format!(
        "| {} | {} | {not_trusted} of {} | {:.1} % | {} | {} |",
        case.name,
        case.what,
        reports.len(),
        100.0 * mean,
        listed(&named),
        listed(&others)
    )
}

/// The smallest and the largest of these, with three digits.
fn range(values: impl Iterator<Item = f64>) -> String {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
    let digits = |x: f64| {
        let x = format!("{x:.3}");
        if x.contains('.') { x.trim_end_matches('0').trim_end_matches('.').to_owned() } else { x }
    };
    if low == high { digits(low) } else { format!("{} to {}", digits(low), digits(high)) }
}

#[test]
fn masks_are_seen_through() {
    calibrate(masks());
}

#[test]
fn what_hides_nothing_is_not_accused() {
    calibrate(honest());
}
