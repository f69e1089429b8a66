//! Every claim of a report, checked: what it says about an image is what the second opinion sees there.

use super::evaluators::{Decision, Evaluator, ROUNDING, judge};
use deepsleep::attack::{
    ATTACKS, Attack, AttackInfo, AttackReport, Norm, Outcome, Samples, Status,
};
use std::collections::BTreeMap;

/// How an attack is to be judged.
#[derive(Clone, Copy)]
pub struct Rules {
    /// Whether what it finds has to lie in the ball.
    pub bounded: bool,
    /// Whether it returns its last points, whoever they fool.
    pub returns_all: bool,
    /// Whether it looks for the nearest point, and so has to go beyond the boundary by more than rounding.
    pub minimal: bool,
    /// Whether it uses gradients.
    pub gradients: bool,
}

impl Rules {
    pub fn of(attack: &dyn Attack) -> Self {
        let AttackInfo { name, bounded, returns_all, needs_gradients, .. } = attack.info();
        Self {
            bounded,
            returns_all,
            minimal: ["fab", "fab-t", "deepfool", "cw", "cw-linf", "ddn", "fmn", "sigma-zero"]
                .contains(&name.as_str()),
            gradients: needs_gradients,
        }
    }
}

/// What was seen. Complaints are collected, so that a failure shows all there is to see.
#[derive(Default)]
pub struct Tally {
    pub checked: usize,
    pub fooled: usize,
    pub survived: usize,
    pub wrong: usize,
    /// Verdicts that rounding could turn.
    pub unsure: usize,
    /// By what each is about: how many, and the first.
    complaints: BTreeMap<String, (usize, String)>,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.checked += other.checked;
        self.fooled += other.fooled;
        self.survived += other.survived;
        self.wrong += other.wrong;
        self.unsure += other.unsure;
        for (about, (count, first)) in other.complaints {
            self.complaints.entry(about).or_insert((0, first)).0 += count;
        }
    }

    /// Notes a complaint about `what` (an attack on a model); `detail` says which sample, and what is wrong.
    pub fn complain(&mut self, what: &str, kind: &str, detail: String) {
        self.complaints.entry(format!("{what}: {kind}")).or_insert((0, detail)).0 += 1;
    }

    /// Fails if there is anything to complain about.
    pub fn settle(&self, what: &str) {
        let Self { checked, fooled, survived, wrong, unsure, complaints } = self;
        println!(
            "{what}: {checked} results, {fooled} fooled, {survived} survived, {wrong} clean wrong, {unsure} within \
             rounding"
        );
        let lines = complaints
            .iter()
            .map(|(about, (count, first))| format!("{count} x {about}, first: {first}"));
        let lines: Vec<String> = lines.collect();
        assert!(lines.is_empty(), "{what}:\n{}", lines.join("\n"));
    }
}

/// The norms of a change, in f64 from 32-bit pixels: exact up to the sums.
fn norms(image: &[f32], clean: &[f32]) -> [f64; 4] {
    let (mut largest, mut squares, mut sum, mut count) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
    for (&a, &b) in image.iter().zip(clean) {
        let d = (f64::from(a) - f64::from(b)).abs();
        largest = largest.max(d);
        squares += d * d;
        sum += d;
        count += f64::from(u8::from(a != b));
    }
    [largest, squares.sqrt(), sum, count]
}

/// How far outside of the ball an image lies, if it does.
pub fn outside(norm: Norm, eps: f32, image: &[f32], clean: &[f32]) -> Option<String> {
    let [_, l2, l1, l0] = norms(image, clean);
    let (size, limit) = match norm {
        // As whoever checks in 32 bits computes it.
        Norm::Linf => {
            let mut largest = 0.0f32;
            for (&a, &b) in image.iter().zip(clean) {
                largest = largest.max((a - b).abs());
            }
            (f64::from(largest), f64::from(eps))
        }
        Norm::L2 => (l2, f64::from(eps) * (1.0 + 1e-6)),
        Norm::L1 => (l1, f64::from(eps) * (1.0 + 1e-6)),
        _ => (l0, f64::from(eps)),
    };
    (size > limit).then(|| format!("{size:.9} is above eps {eps:.9} in {norm}"))
}

/// Checks all of a report.
pub fn check(
    report: &AttackReport,
    samples: &Samples,
    network: &dyn Evaluator,
    rules: Rules,
    what: &str,
) -> Tally {
    let mut tally = Tally::default();
    if report.outcomes.len() != samples.len() {
        tally.complain(what, "samples", format!("{} outcomes", report.outcomes.len()));
    }
    for (i, outcome) in report.outcomes.iter().enumerate() {
        let (clean, label) = (samples.image(i), samples.labels()[i]);
        let mut complain = |kind: &str, detail: String| {
            tally.complain(what, kind, format!("sample {i}, {:?}, {detail}", outcome.status));
        };
        if (outcome.id, outcome.label) != (samples.ids()[i], label) {
            complain("another sample's", format!("id {}", outcome.id));
        }
        numbers(outcome, clean, &mut complain);
        if rules.bounded
            && let Some(problem) =
                outside(report.budget.norm, report.budget.eps, &outcome.image, clean)
        {
            complain("outside of the ball", problem);
        }
        let verdict = judge(network, &outcome.image, label);
        said(outcome, &verdict, &mut complain);
        status(outcome, clean, &verdict, rules, &mut complain);
        if outcome.status == Status::CleanWrong {
            let clean = judge(network, clean, label);
            if clean.prediction == label && clean.sure {
                complain("right without an attack", format!("margin {:e}", clean.margin));
            }
        }
        tally.checked += 1;
        tally.unsure += usize::from(!verdict.sure);
        match outcome.status {
            Status::Fooled => tally.fooled += 1,
            Status::Survived => tally.survived += 1,
            _ => tally.wrong += 1,
        }
    }
    tally
}

type Complain<'a> = &'a mut dyn FnMut(&str, String);

/// Box, norms, cost.
fn numbers(outcome: &Outcome, clean: &[f32], complain: Complain<'_>) {
    if outcome.image.len() != clean.len() {
        return complain("shape", format!("{} pixels", outcome.image.len()));
    }
    // NaN lies in no range.
    if let Some(pixel) = outcome.image.iter().find(|pixel| !(0.0..=1.0).contains(*pixel)) {
        complain("outside of the box", format!("a pixel of {pixel}"));
    }
    let said = [outcome.linf, outcome.l2, outcome.l1, outcome.l0].map(f64::from);
    for (said, seen) in said.into_iter().zip(norms(&outcome.image, clean)) {
        if (said - seen).abs() > 1e-5 * seen + 1e-9 {
            complain("norms", format!("{said} is said, {seen} is seen"));
        }
    }
    let cost = outcome.cost;
    if cost.forward_passes == 0 || cost.zero_gradients > cost.backward_passes {
        complain("cost", format!("{cost:?}"));
    }
}

/// Prediction and margin, where rounding cannot change them by more than rounding.
fn said(outcome: &Outcome, verdict: &Decision, complain: Complain<'_>) {
    if !verdict.smooth {
        return;
    }
    let slack = 2.0 * ROUNDING * verdict.scale;
    let best = verdict.logits[verdict.prediction];
    if best - verdict.logits[outcome.prediction] > slack {
        let (said, seen) = (outcome.prediction, verdict.prediction);
        complain("prediction", format!("{said} is said, {seen} is seen"));
    }
    let (said, seen) = (f64::from(outcome.margin), verdict.margin);
    if (said - seen).abs() > slack {
        complain("margin", format!("{said} is said, {seen} is seen"));
    }
}

/// What became of the sample, and who did it.
fn status(
    outcome: &Outcome,
    clean: &[f32],
    verdict: &Decision,
    rules: Rules,
    complain: Complain<'_>,
) {
    let right = verdict.prediction == outcome.label;
    let same = outcome.image.iter().zip(clean).all(|(a, b)| a.to_bits() == b.to_bits());
    let margin = format!("margin {:e} of {:e}", verdict.margin, verdict.scale);
    match outcome.status {
        Status::Fooled => {
            // A boundary of membranes beside their threshold is no distance that an attack could keep.
            let near = rules.minimal && verdict.smooth && !verdict.sure;
            if right && verdict.sure || near {
                complain("not beyond the boundary", margin);
            }
            if outcome.prediction == outcome.label {
                complain("predicted as its label", format!("{}", outcome.label));
            }
            if rules.gradients && outcome.cost.backward_passes == 0 {
                complain("cost", format!("{:?}", outcome.cost));
            }
        }
        Status::Survived => {
            if !right && verdict.sure {
                complain("misclassified", margin);
            }
            if outcome.prediction != outcome.label {
                complain("not predicted as its label", format!("{}", outcome.prediction));
            }
        }
        Status::CleanWrong => {}
        _ => complain("no answer", margin),
    }
    if rules.returns_all {
        return;
    }
    if outcome.status != Status::Fooled && !same {
        complain("not the clean image", format!("moved by {}", outcome.linf));
    }
    let named = outcome.winner.as_ref().is_some_and(|winner| {
        // Of an attack on another loss the name says so: apgd-t-ce.
        let is = |name: &str| winner.attack.starts_with(name) && name != "autoattack";
        ATTACKS.iter().any(|entry| is(entry.name))
    });
    if named != (outcome.status == Status::Fooled) {
        complain("winner", format!("{:?}", outcome.winner));
    }
}
