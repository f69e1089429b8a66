//! Compares gradient attacks with attacks that need less.

use super::AuditOptions;
use super::report::{Attacked, Check, Finding};
use super::statistics::{beyond, interval, surely_more};
use super::subject::{NumberCheck, ShareCheck, Subject};
pub(super) use crate::attack::Member;
use crate::attack::geometry::random::symmetric;
use crate::attack::{
    Apgd, Attack, AutoAttack, Budget, Classifier, Fab, Fgsm, Goal, HopSkipJump, Loss, NesPgd, Norm,
    Pgd, RayS, Square, Start, Transferred, Version,
};
use crate::nn::predict;
use crate::{Error, Result};
use std::collections::HashSet;

/// The attacks that follow gradients: AutoAttack's, for spiking networks those of `version=spiking`, and for random ones
/// those that average over draws before them.
pub(super) fn with_gradients(norm: Norm, model: &dyn Classifier, fast: bool) -> Vec<Member> {
    let version = |version| AutoAttack { version, ..AutoAttack::default() }.members(norm);
    if model.is_random() {
        let mut members = version(Version::Rand);
        if model.is_spiking() {
            members.extend(guided(version(Version::SpikingFast), model));
        }
        return members;
    }
    if model.is_spiking() {
        return guided(version(if fast { Version::SpikingFast } else { Version::Spiking }), model);
    }
    let apgd = Apgd { restarts: if fast { 1 } else { 5 }, ..Apgd::default() };
    let dlr = Apgd { loss: Loss::Dlr, restarts: 1, ..apgd.clone() };
    let targeted = Apgd { loss: Loss::TargetedDlr, restarts: 1, ..apgd.clone() };
    let fab = Fab { goal: Goal::First, ..Fab::default() };
    let all: [Box<dyn Attack>; 4] =
        [Box::new(apgd), Box::new(dlr), Box::new(targeted), Box::new(fab)];
    all.into_iter().map(Member::of).collect()
}

/// Those of an ensemble's members that follow gradients of the model itself, and are for such a model.
fn guided(members: Vec<Member>, model: &dyn Classifier) -> Vec<Member> {
    let guided = members.into_iter().filter(Member::needs_gradients);
    guided.filter(|member| model.pools_spikes() || !member.attack.info().needs_windows).collect()
}

/// The share of samples that estimates of the gradients of spikes found beyond the network's own; nothing of others.
pub(super) fn gap(subject: &Subject<'_>, guided: &[Member]) -> Vec<Check> {
    if !subject.model.is_spiking() {
        return Vec::new();
    }
    let estimating =
        guided.iter().map(|member| member.attack.info()).filter(|info| info.needs_spikes);
    let estimating: HashSet<String> = estimating.map(|info| info.description).collect();
    let estimated = |attacked: &&Attacked| estimating.contains(&attacked.attack);
    let beyond = subject.attacks.iter().filter(estimated).map(|attack| attack.fooled).sum();
    let check = ShareCheck {
        name: "surrogate gap",
        catches: "surrogates that hide gradients",
        measures: "images that survive the network's own gradients and are fooled with other gradient estimators",
        fail: None,
        warn: Some(0.02),
        meaning: "the network's own surrogate hides gradients: robust accuracy from it alone means nothing; evaluate with \
                  autoattack:version=spiking",
    };
    vec![check.check(beyond, subject.len(), 1.0)]
}

/// Attacks that must not find anything that those with gradients have left, each on the same images.
pub(super) fn rivals(
    subject: &mut Subject<'_>,
    options: &AuditOptions,
    twins: &[&dyn Classifier],
) -> Result<Vec<Check>> {
    let (norm, left) = (subject.budget.norm, subject.survivors());
    let some = Subject::some(&left, options.search);
    let few = Subject::some(&left, options.search.min(64) / 2);
    let mut checks = Vec::new();
    let mut held =
        |subject: &mut Subject<'_>, share: ShareCheck, attack: &dyn Attack, on: &[usize]| {
            let found = subject.attack(attack, on)?;
            let found = subject.beyond_luck(attack, found)?;
            // What was tried on some of those left stands for all of them.
            let weight = left.len() as f64 / subject.len() as f64;
            let check = share.check(found.len(), on.len(), weight);
            if check.finding != Finding::Pass {
                // Where gradients miss images, the number to report is what this leaves of all.
                let mut rest = subject.survivors();
                rest.retain(|i| !on.contains(i));
                subject.attack(attack, &rest)?;
            }
            checks.push(check);
            Ok::<(), Error>(())
        };
    let fgsm = Fgsm { loss: Loss::CrossEntropy, draws: 1, goal: Goal::First };
    held(subject, SINGLE_STEP, &fgsm, &left)?;
    let square = Square { accept_ties: true, ..Square::default() };
    // In l2 luck alone finds more.
    let fail = Some(if norm == Norm::Linf { 0.002 } else { 0.02 });
    held(subject, ShareCheck { fail, ..SCORES }, &square, &some)?;
    match norm {
        Norm::Linf => held(subject, LABELS, &RayS::default(), &few)?,
        Norm::L2 => {
            held(subject, ShareCheck { fail, ..LABELS }, &HopSkipJump::default(), &few)?;
        }
        Norm::L1 | Norm::L0 => {}
    }
    held(subject, SMOOTHED, &NesPgd::default(), &few)?;
    let pgd = || -> Box<dyn Attack> { Box::new(Pgd { goal: Goal::Last, ..Pgd::default() }) };
    for &source in twins {
        let shown = Transferred { attack: pgd(), source, name: "twin" };
        held(subject, TRANSFER, &shown, &left)?;
    }
    let model = subject.model;
    if let Some(rectified) = model.rectified() {
        let source: &dyn Classifier = rectified;
        let shown = Transferred { attack: pgd(), source, name: "rectifiers" };
        let own = "images fooled by examples from its own rectifier form but by no gradient attack";
        held(subject, ShareCheck { name: "rectifiers", measures: own, ..TRANSFER }, &shown, &left)?;
    }
    Ok(checks)
}

const SINGLE_STEP: ShareCheck = ShareCheck {
    name: "single step",
    catches: "oscillating or misled iterations",
    measures: "images fooled by a single step but by no iterated attack",
    fail: Some(0.01),
    warn: Some(0.0),
    meaning: "iterated attacks are weaker than a single step: they oscillate or follow a misleading gradient",
};

const SCORES: ShareCheck = ShareCheck {
    name: "score search",
    catches: "masked gradients",
    measures: "images fooled by Square (5,000 queries) but by no gradient attack",
    fail: Some(0.002),
    warn: Some(0.002),
    meaning: "random search succeeds where gradients fail: they are masked; report what the union leaves, and attack with \
              more queries",
};

const LABELS: ShareCheck = ShareCheck {
    name: "hard label",
    catches: "masked gradients and logits",
    measures: "images fooled by an attack that sees only labels but by no gradient attack",
    fail: Some(0.005),
    warn: Some(0.005),
    meaning: "labels alone succeed where gradients fail: gradients are masked, and perhaps logits too",
};

const SMOOTHED: ShareCheck = ShareCheck {
    name: "gradient-free smooth",
    catches: "staircases",
    measures: "images fooled by NES-PGD but by no gradient attack",
    fail: Some(0.02),
    warn: Some(0.02),
    meaning: "averaged scores succeed where gradients fail: the loss is a staircase or shattered; use nes-pgd, or jitter= \
              with gradient attacks",
};

const TRANSFER: ShareCheck = ShareCheck {
    name: "transfer",
    catches: "layers without a gradient, local learning",
    measures: "images fooled by examples from another network but by no gradient attack",
    fail: Some(0.01),
    warn: Some(0.01),
    meaning: "another network's gradients work better than its own: some layers have no gradient, or were learned by local rules",
};

/// Random points of the ball, half uniform and half at its corners.
pub(super) fn random(subject: &mut Subject<'_>, draws: usize) -> Result<Check> {
    let left = subject.survivors();
    let some = Subject::some(&left, 64);
    let point = |k: usize, n: usize| -> Vec<f32> {
        let random = &mut subject.key("random", some[k]).with(n as u64).generator();
        let noise = |x: &f32| {
            let draw = symmetric(random);
            let step = if n.is_multiple_of(2) { draw.signum() } else { draw };
            (x + subject.reach() * step).clamp(0.0, 1.0)
        };
        subject.samples.image(some[k]).iter().map(noise).collect()
    };
    // Of a random model one answer decides nothing.
    let draws = if subject.model.is_random() { 0 } else { draws.next_multiple_of(256) };
    let mut hit = vec![false; some.len()];
    let mut invalid = vec![false; some.len()];
    subject.logits(&some, draws, point, |k, z| {
        let label = subject.samples.labels()[some[k]];
        let finite = z.iter().all(|z| z.is_finite());
        invalid[k] |= !finite;
        hit[k] |= finite && predict(&z) != label;
    })?;
    some.iter().zip(invalid).for_each(|(&i, invalid)| subject.invalid[i] |= invalid);
    let found: Vec<usize> = (0..some.len()).filter(|&k| hit[k]).map(|k| some[k]).collect();
    let weight = left.len() as f64 / subject.len() as f64;
    found.iter().for_each(|&i| subject.fooled[i] = true);
    let check = ShareCheck {
        name: "random points",
        catches: "broken attacks",
        measures: "images fooled by a random point of the ball but by no attack",
        fail: Some(0.0),
        warn: Some(0.0),
        meaning: "random points succeed where attacks fail: the attacks are broken or misled",
    };
    Ok(check.check(found.len(), some.len(), weight))
}

/// Whether more of the same finds more: twice the steps, on what is left.
pub(super) fn effort(subject: &mut Subject<'_>) -> Result<Check> {
    let left = subject.survivors();
    let more = Apgd { steps: 200, restarts: 2, ..Apgd::default() };
    let targeted = Apgd { loss: Loss::TargetedDlr, steps: 200, targets: 3, ..Apgd::default() };
    let (mut left, mut found) = (left, Vec::new());
    for attack in [more, targeted] {
        let some = subject.attack(&attack, &left)?;
        left.retain(|i| !some.contains(i));
        found.extend(subject.beyond_luck(&attack, some)?);
    }
    let check = ShareCheck {
        name: "effort",
        catches: "too few steps",
        measures: "images fooled only with twice the steps",
        fail: None,
        warn: Some(0.01),
        meaning: "the attacks had not converged: use more steps and restarts",
    };
    Ok(subject.share(check, found.len(), subject.len()))
}

/// The logits' scale: whether the cross-entropy as libraries compute it loses what ours keeps.
pub(super) fn scale(subject: &mut Subject<'_>) -> Result<Check> {
    let which = Subject::some(&subject.all(), 256);
    let mut fooled = |loss| {
        let pgd = Pgd { loss, steps: 20, ..Pgd::default() };
        subject.attack(&pgd, &which)
    };
    let (plain, ours) = (fooled(Loss::CrossEntropyF32)?, fooled(Loss::CrossEntropy)?);
    let more = ours.len().saturating_sub(plain.len());
    let gap = more as f64 / which.len() as f64;
    // Two attacks on a random model fool some images each by luck.
    let surely =
        !subject.model.is_random() || surely_more(beyond(&ours, &plain), beyond(&plain, &ours), 1);
    let finding = if gap > 0.02 && surely { Finding::Warn } else { Finding::Pass };
    let number = NumberCheck {
        name: "logit scale",
        catches: "inflated logits",
        measures: "images that cross-entropy fools and the same in the arithmetic of other libraries does not",
        meaning: "logits are so large that a soft-max in 32 bits loses their gradient (distillation, statistics that were reset): \
         numbers by libraries that use it are too high; use loss=ce or dlr",
    };
    let check = number.check(gap, ("warns above 2 %", finding));
    Ok(Check { interval: Some(interval(more, which.len())), ..check })
}

/// At which shares of the radius the curve is measured.
const RADII: [f32; 6] = [0.25, 0.5, 0.75, 1.0, 1.5, 2.0];

/// Where no model may keep anything, and how accuracy falls with the radius.
pub(super) fn radii(subject: &mut Subject<'_>) -> Result<Vec<Check>> {
    let all = subject.all();
    let budget = subject.budget;
    let whole = subject.whole();
    let random = subject.model.is_random();
    // The first success of one draw may be chance, and ends a search: of a random model it is the last point that counts.
    let goal = if random { Goal::Last } else { Goal::First };
    // From the image: a random point of this ball is no digit any more, whatever gradients say.
    let guided = Pgd { steps: 100, start: Start::Clean, goal, ..Pgd::default() };
    let mut unbounded = subject.left_at(&guided, &all, Budget { eps: whole, ..budget })?;
    if random {
        // Where noise is larger than what a step changes, one draw says little.
        let averaged = Pgd { draws: subject.model.draws(), ..guided };
        unbounded = subject.left_again(&averaged, unbounded, Budget { eps: whole, ..budget }, 2)?;
    }
    let pgd = Pgd { steps: 20, goal, ..Pgd::default() };
    let (mut radii, mut left) = (vec![0.0], vec![all.clone()]);
    for share in RADII {
        let eps = (share * budget.eps).min(whole);
        radii.push(eps);
        left.push(subject.left_at(&pgd, &all, Budget { eps, ..budget })?);
    }
    let rise = left.windows(2).map(|pair| pair[1].len().saturating_sub(pair[0].len())).max();
    let rise = rise.unwrap_or(0);
    let check = ShareCheck {
        name: "unbounded",
        catches: "strong masking of any kind",
        measures: "images that survive gradient attacks although every image is allowed",
        fail: Some(0.0),
        warn: Some(0.0),
        meaning: "no model can be right about an arbitrary image: its gradients lead nowhere",
    };
    let rises = rise as f64 / all.len() as f64;
    // Between two looks at a random model, some images rise by chance, and as many fall.
    let surely = !random
        || left.windows(2).any(|pair| {
            let (risen, fallen) = (beyond(&pair[1], &pair[0]), beyond(&pair[0], &pair[1]));
            surely_more(risen, fallen, RADII.len())
        });
    let finding = if rises > 0.005 && surely { Finding::Fail } else { Finding::Pass };
    let threshold = if random { "fails if significantly above 0.5 %" } else { "fails above 0.5 %" };
    let share =
        |(eps, left): (f32, Vec<usize>)| [f64::from(eps), left.len() as f64 / all.len() as f64];
    let curve: Vec<[f64; 2]> = radii.into_iter().zip(left).map(share).collect();
    let number = NumberCheck {
        name: "radius curve",
        catches: "masking, bugs",
        measures: "largest rise of the share that withstands PGD, from 0 to twice the radius",
        meaning: "more room makes the attack weaker: its steps overshoot, or its gradients mislead",
    };
    let rises = number.check(rises, (threshold, finding));
    let interval = Some(interval(rise, all.len()));
    Ok(vec![check.check(unbounded.len(), all.len(), 1.0), Check { curve, interval, ..rises }])
}
