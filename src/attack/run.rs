//! From an attack's candidates to verified results: the clean pass before, the verification after.

use crate::Result;
use crate::attack::attack_info::AttackInfo;
use crate::attack::attack_trait::Attack;
use crate::attack::candidate::{Candidate, Cost, Hit};
use crate::attack::checks;
use crate::attack::diagnostics::{Diagnostics, FLAT};
use crate::attack::geometry::norm::Norm;
use crate::attack::outcome::{AttackReport, Expected, Outcome, Status};
use crate::attack::recheck::Recheck;
use crate::attack::samples::Samples;
use crate::attack::stepper::Budget;
use crate::attack::task::AttackTask;
use crate::attack::verification::{Confirmation, confirm, judge};
use crate::kernels::lif::Estimator;
use crate::nn::{Classifier, check_memory, margin, predict, spread};
use crate::simd::LANES;
use crate::tensor::Context;

/// Attacks samples: clean pass, search on those classified correctly, verification of every returned image by a fresh
/// forward pass and independent checks of box and norm.
///
/// # Errors
/// If model, images and budget do not fit one another, or the model cannot be evaluated.
pub fn run_attack(
    context: &Context,
    classifier: &dyn Classifier,
    samples: &Samples,
    attack: &dyn Attack,
    budget: Budget,
) -> Result<AttackReport> {
    let info = &attack.info();
    let mut task = task(context, classifier, samples, info, budget);
    let mut report = begin(&task, attack, info)?;
    let images: Vec<&[f32]> = (0..samples.len()).map(|i| samples.image(i)).collect();
    let all: Vec<usize> = (0..samples.len()).collect();
    let verdicts = judge(&task, info.draws, &images, &all)?;
    let clean: Vec<f32> = verdicts.iter().flat_map(|verdict| verdict.logits.clone()).collect();
    task.clean_logits = &clean;

    let mut which = Vec::new();
    for (i, &image) in images.iter().enumerate() {
        let (label, z) = (samples.labels()[i], verdicts[i].logits.as_slice());
        let finite = z.iter().all(|z| z.is_finite());
        let status = match finite {
            false => Status::Invalid,
            true if predict(z) != label => Status::CleanWrong,
            true => Status::Survived,
        };
        if is_attacked(info, status, label, &mut report.diagnostics) {
            which.push(i);
        }
        let cost = Cost { forward_passes: task.draws(info.draws) as u64, ..Cost::default() };
        let right = if finite { verdicts[i].right } else { 0.0 };
        let expected = classifier.is_random().then_some(Expected { clean: right, attacked: right });
        report.outcomes.push(Outcome {
            id: samples.ids()[i],
            label,
            status,
            image: image.to_vec(),
            prediction: if finite { predict(z) } else { label },
            margin: margin(z, label),
            linf: 0.0,
            l2: 0.0,
            l1: 0.0,
            l0: 0.0,
            winner: None,
            expected,
            cost,
        });
    }
    if info.flattens {
        report.diagnostics.flat =
            which.iter().filter(|&&i| spread(&verdicts[i].logits) < FLAT).count();
        report.diagnostics.measured = which.len();
    }
    let range = checks::range(&task, &which);
    (report.diagnostics.outputs, report.diagnostics.saturates) = (range.outputs, range.saturates);
    finish(&task, attack, &which, report)
}

/// Refuses what [`run_attack`] would refuse, before any work: models and images that do not fit together, and options that do
/// not fit the model, the images or the norm.
///
/// # Errors
/// Those of [`run_attack`], but for what comes to light by evaluating the model.
pub fn check_attack(
    context: &Context,
    classifier: &dyn Classifier,
    samples: &Samples,
    attack: &dyn Attack,
    budget: Budget,
) -> Result<()> {
    let info = &attack.info();
    let task = task(context, classifier, samples, info, budget);
    begin(&task, attack, info)?;
    // An attack on none of the samples looks at its options alone.
    attack.search(&task, &[]).map(drop)
}

/// As [`run_attack`], on samples whose clean outcomes are known, for an attack that does not look at the clean logits.
pub(crate) fn run_classified(
    context: &Context,
    classifier: &dyn Classifier,
    samples: &Samples,
    attack: &dyn Attack,
    budget: Budget,
    clean: &[Outcome],
) -> Result<AttackReport> {
    let info = &attack.info();
    let task = task(context, classifier, samples, info, budget);
    let mut report = begin(&task, attack, info)?;
    let mut which = Vec::new();
    for (i, outcome) in clean.iter().enumerate() {
        if is_attacked(info, outcome.status, outcome.label, &mut report.diagnostics) {
            which.push(i);
        }
        let (image, cost) = (samples.image(i).to_vec(), Cost::default());
        report.outcomes.push(Outcome { image, cost, ..outcome.clone() });
    }
    finish(&task, attack, &which, report)
}

/// What is asked of the attack, the clean logits aside.
fn task<'a>(
    context: &'a Context,
    classifier: &'a dyn Classifier,
    samples: &'a Samples,
    attack: &AttackInfo,
    budget: Budget,
) -> AttackTask<'a> {
    let (target, estimator) = (attack.target, Estimator::default());
    AttackTask { context, classifier, samples, budget, target, estimator, clean_logits: &[] }
}

/// Whether a sample is attacked that the model answers so when it is clean.
fn is_attacked(
    attack: &AttackInfo,
    clean: Status,
    label: usize,
    diagnostics: &mut Diagnostics,
) -> bool {
    let wanted = clean == Status::Survived || (clean != Status::Invalid && attack.returns_all);
    // What is of the target class already cannot be steered there.
    let of_target = wanted && attack.target == Some(label);
    diagnostics.of_target += usize::from(of_target);
    wanted && !of_target
}

/// The report before anything was done, if the task can be.
fn begin(task: &AttackTask<'_>, attack: &dyn Attack, info: &AttackInfo) -> Result<AttackReport> {
    task.budget.validate()?;
    task.check()?;
    task.check_spikes(info)?;
    check_memory(task.context, task.classifier.sample_bytes(), LANES)?;
    let diagnostics = Diagnostics {
        option_warnings: attack.option_warnings(&task.budget),
        losses: info.losses.iter().map(|loss| loss.name().to_owned()).collect(),
        ..Diagnostics::default()
    };
    Ok(AttackReport {
        attack: info.name.clone(),
        budget: task.budget,
        outcomes: Vec::new(),
        diagnostics,
        warnings: Vec::new(),
    })
}

/// Searches, and verifies what was found.
fn finish(
    task: &AttackTask<'_>,
    attack: &dyn Attack,
    which: &[usize],
    mut report: AttackReport,
) -> Result<AttackReport> {
    let search = attack.search(task, which)?;
    report.diagnostics.merge(&search.diagnostics);
    settle(task, &attack.info(), search.candidates, &mut report)?;
    report.renew_warnings();
    Ok(report)
}

/// Verifies what was found, and enters it into the outcomes.
fn settle(
    task: &AttackTask<'_>,
    attack: &AttackInfo,
    candidates: Vec<Candidate>,
    report: &mut AttackReport,
) -> Result<()> {
    let confirmations = confirm(task, attack, &candidates)?;
    let recheck = Recheck::of(task)?;
    report.diagnostics.changed += recheck.enter(&mut report.outcomes);
    let mut refuted = 0;
    for (candidate, confirmation) in candidates.into_iter().zip(confirmations) {
        let outcome = &mut report.outcomes[candidate.sample];
        outcome.cost += candidate.cost;
        if recheck.has(candidate.sample) {
            continue;
        }
        if candidate.invalid && outcome.status == Status::Survived {
            outcome.status = Status::Invalid;
        }
        if candidate.invalid
            && let Some(expected) = &mut outcome.expected
        {
            expected.attacked = 0.0;
        }
        let (Some(hit), Some(Confirmation { fools, verdict })) = (candidate.hit, confirmation)
        else {
            continue;
        };
        outcome.cost.forward_passes += task.draws(attack.draws) as u64;
        let returned = fools || attack.returns_all;
        if returned && let Some(expected) = &mut outcome.expected {
            expected.attacked = verdict.right;
        }
        if fools && outcome.status == Status::Survived {
            outcome.status = Status::Fooled;
        }
        // What is shown whatever comes of it may be what the model has no answer to.
        let answered = verdict.logits.iter().all(|z| z.is_finite());
        if !answered && attack.returns_all && outcome.status == Status::Survived {
            outcome.status = Status::Invalid;
        }
        if !returned {
            refuted += 1;
            if recheck.explain(&verdict.logits, outcome.label) {
                report.diagnostics.changed += 1;
                outcome.status = Status::Invalid;
            }
            continue;
        }
        let clean = task.samples.image(candidate.sample);
        outcome.prediction = predict(&verdict.logits);
        outcome.margin = margin(&verdict.logits, outcome.label);
        outcome.linf = Norm::Linf.distance(&hit.image, clean);
        outcome.l2 = Norm::L2.distance(&hit.image, clean);
        outcome.l1 = Norm::L1.distance(&hit.image, clean);
        outcome.l0 = Norm::L0.distance(&hit.image, clean);
        let Hit { image, winner } = hit;
        outcome.image = image;
        outcome.winner = Some(winner);
    }
    report.diagnostics.refuted += refuted;
    Ok(())
}
