//! From an attack's findings to results that can be relied upon: the clean pass before, the verification after.

use super::classifier::Classifier;
use super::findings::Findings;
use super::job::Job;
use super::method::Budget;
use super::norm::Norm;
use super::outcome::{Expected, Outcome, Report, Status, Winner};
use super::samples::Samples;
use super::search::Attack;
use super::trial::{Cost, Hit, Trial};
use super::verification::{Confirmation, confirm, judge};
use crate::Result;
use crate::nn::{margin, predict, spread};
use crate::tensor::Context;

/// Attacks samples: clean pass, search on those classified correctly, verification of every returned image by a fresh
/// forward pass and independent checks of box and norm.
///
/// # Errors
/// If model, images and budget do not fit one another, or the model cannot be evaluated.
pub fn attack(
    context: &Context,
    classifier: &dyn Classifier,
    samples: &Samples,
    attack: &dyn Attack,
    budget: Budget,
) -> Result<Report> {
    budget.check()?;
    let mut job = Job { context, classifier, samples, budget, clean_logits: &[] };
    job.check()?;
    let images: Vec<&[f32]> = (0..samples.len()).map(|i| samples.image(i)).collect();
    let all: Vec<usize> = (0..samples.len()).collect();
    let verdicts = judge(&job, attack, &images, &all)?;
    let clean: Vec<f32> = verdicts.iter().flat_map(|verdict| verdict.logits.clone()).collect();
    job.clean_logits = &clean;

    let findings = Findings {
        doubts: attack.doubts(&budget),
        losses: attack.losses().into_iter().map(|loss| loss.name().to_owned()).collect(),
        ..Findings::default()
    };
    let mut report = Report {
        attack: attack.name().into(),
        budget,
        outcomes: Vec::new(),
        findings,
        warnings: Vec::new(),
    };
    let mut which = Vec::new();
    for (i, &image) in images.iter().enumerate() {
        let (label, z) = (samples.labels()[i], verdicts[i].logits.as_slice());
        let finite = z.iter().all(|z| z.is_finite());
        let status = match finite {
            false => Status::Invalid,
            true if predict(z) != label => Status::CleanWrong,
            true => Status::Survived,
        };
        if status == Status::Survived || (finite && attack.returns_all()) {
            which.push(i);
        }
        let cost = Cost { forward_passes: job.draws(attack.draws()) as u64, ..Cost::default() };
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
            winner: None,
            expected,
            cost,
        });
    }
    if attack.flattens() {
        report.findings.flat =
            which.iter().filter(|&&i| spread(&verdicts[i].logits) < FLAT).count();
    }
    let search = attack.search(&job, &which)?;
    report.findings.merge(&search.findings);
    settle(&job, attack, search.trials, &mut report)?;
    report.renew_warnings();
    Ok(report)
}

/// Logits that spread by less than this make a cross-entropy nearly linear in them.
const FLAT: f32 = 0.01;

/// Verifies what was found, and enters it into the outcomes.
fn settle(
    job: &Job<'_>,
    attack: &dyn Attack,
    trials: Vec<Trial>,
    report: &mut Report,
) -> Result<()> {
    let confirmations = confirm(job, attack, &trials)?;
    let mut refuted = 0;
    for (trial, confirmation) in trials.into_iter().zip(confirmations) {
        let outcome = &mut report.outcomes[trial.sample];
        outcome.cost += trial.cost;
        if trial.invalid && outcome.status == Status::Survived {
            outcome.status = Status::Invalid;
        }
        if trial.invalid
            && let Some(expected) = &mut outcome.expected
        {
            expected.attacked = 0.0;
        }
        let (Some(hit), Some(Confirmation { fools, verdict })) = (trial.hit, confirmation) else {
            continue;
        };
        outcome.cost.forward_passes += job.draws(attack.draws()) as u64;
        let returned = fools || attack.returns_all();
        if returned && let Some(expected) = &mut outcome.expected {
            expected.attacked = verdict.right;
        }
        if fools && outcome.status == Status::Survived {
            outcome.status = Status::Fooled;
        }
        // What is shown whatever comes of it may be what the model has no answer to.
        let answered = verdict.logits.iter().all(|z| z.is_finite());
        if !answered && attack.returns_all() && outcome.status == Status::Survived {
            outcome.status = Status::Invalid;
        }
        if !returned {
            refuted += 1;
            continue;
        }
        let clean = job.samples.image(trial.sample);
        outcome.prediction = predict(&verdict.logits);
        outcome.margin = margin(&verdict.logits, outcome.label);
        outcome.linf = Norm::Linf.distance(&hit.image, clean);
        outcome.l2 = Norm::L2.distance(&hit.image, clean);
        outcome.l1 = Norm::L1.distance(&hit.image, clean);
        let Hit { image, attack, restart, target, iteration } = hit;
        outcome.image = image;
        outcome.winner = Some(Winner { attack: attack.into(), restart, target, iteration });
    }
    report.findings.refuted += refuted;
    Ok(())
}
