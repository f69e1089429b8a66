//! From an attack's findings to results that can be relied upon: the clean pass before, the verification after.

use super::classifier::Classifier;
use super::driver::{Job, check, drive};
use super::findings::Findings;
use super::margin::{margin, predict};
use super::method::{Budget, Goal, Method};
use super::norm::Norm;
use super::outcome::{Outcome, Report, Status, Winner};
use super::samples::Samples;
use super::transpose::to_lanes;
use super::trial::{Cost, Hit, Trial};
use crate::simd::random::Key;
use crate::simd::{LANES, Lanes};
use crate::tensor::Context;
use crate::{Error, Result};

/// What an attack found, not yet verified.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// One a sample under attack, in the order asked for.
    pub trials: Vec<Trial>,
    /// What gives reason to doubt the result.
    pub findings: Findings,
}

/// An attack with its options: every [`Method`] is one, and an ensemble of attacks is one.
pub trait Attack: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// Evaluations that are averaged to decide about an image.
    fn draws(&self) -> usize;

    /// Whether what it finds has to lie in the ball.
    fn is_bounded(&self) -> bool;

    /// Whether it returns its last points also where they fool nobody, and attacks what is misclassified already: to
    /// be shown to other models.
    fn returns_all(&self) -> bool;

    /// Attacks these of the samples, whose clean logits are finite.
    ///
    /// # Errors
    /// If the model cannot be evaluated, or an option does not fit the model, the images or the norm.
    fn search(&self, job: &Job<'_>, which: &[usize]) -> Result<Search>;

    /// What is wrong with the options for this budget, though they can be run.
    fn doubts(&self, budget: &Budget) -> Vec<String>;
}

impl<M: Method> Attack for M {
    fn name(&self) -> &str {
        Method::name(self)
    }

    fn draws(&self) -> usize {
        Method::draws(self)
    }

    fn is_bounded(&self) -> bool {
        self.goal() != Goal::NearestAnywhere
    }

    fn returns_all(&self) -> bool {
        self.goal() == Goal::Last
    }

    fn search(&self, job: &Job<'_>, which: &[usize]) -> Result<Search> {
        self.validate(&job.budget, job.samples.shape())?;
        Ok(Search { trials: drive(job, self, which)?, findings: Findings::default() })
    }

    fn doubts(&self, budget: &Budget) -> Vec<String> {
        Method::doubts(self, budget)
    }
}

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
    if !(0.0..=1.0).contains(&budget.eps) && budget.norm == Norm::Linf
        || !(budget.eps >= 0.0 && budget.eps.is_finite())
    {
        let problem =
            format!("eps {} is no radius in {}; pixels are 0..=1", budget.eps, budget.norm);
        return Err(Error::argument("attack", problem));
    }
    let mut job = Job { context, classifier, samples, budget, clean_logits: &[] };
    check(&job)?;
    let images: Vec<&[f32]> = (0..samples.len()).map(|i| samples.image(i)).collect();
    let clean = verify(&job, &images, samples.ids(), attack.draws(), "clean")?;
    job.clean_logits = &clean;
    let classes = classifier.classes();
    let logits = |i: usize| &clean[i * classes..][..classes];

    let findings = Findings { doubts: attack.doubts(&budget), ..Findings::default() };
    let mut report = Report {
        attack: attack.name().into(),
        budget,
        outcomes: Vec::new(),
        findings,
        warnings: Vec::new(),
    };
    let mut which = Vec::new();
    for (i, &image) in images.iter().enumerate() {
        let (label, z) = (samples.labels()[i], logits(i));
        let finite = z.iter().all(|z| z.is_finite());
        let status = match finite {
            false => Status::Invalid,
            true if margin(z, label) < 0.0 => Status::CleanWrong,
            true => Status::Survived,
        };
        if status == Status::Survived || (finite && attack.returns_all()) {
            which.push(i);
        }
        let cost = Cost { forward_passes: attack.draws() as u64, ..Cost::default() };
        report.outcomes.push(Outcome {
            id: samples.ids()[i],
            label,
            status,
            image: image.to_vec(),
            prediction: if finite { predict(z, label) } else { label },
            margin: margin(z, label),
            linf: 0.0,
            l2: 0.0,
            l1: 0.0,
            winner: None,
            cost,
        });
    }
    let search = attack.search(&job, &which)?;
    report.findings.merge(&search.findings);
    settle(&job, attack, search.trials, &mut report)?;
    report.warnings = report.findings.warnings_of(&report.outcomes);
    Ok(report)
}

/// Verifies what was found, and enters it into the outcomes.
fn settle(
    job: &Job<'_>,
    attack: &dyn Attack,
    trials: Vec<Trial>,
    report: &mut Report,
) -> Result<()> {
    let (confirmed, logits) = confirm(job, attack, &trials)?;
    let classes = job.classifier.classes();
    let mut refuted = 0;
    let mut rows = logits.chunks(classes);
    for (trial, confirmed) in trials.into_iter().zip(confirmed) {
        let outcome = &mut report.outcomes[trial.sample];
        outcome.cost += trial.cost;
        if trial.invalid && outcome.status == Status::Survived {
            outcome.status = Status::Invalid;
        }
        let Some(hit) = trial.hit else { continue };
        outcome.cost.forward_passes += attack.draws() as u64;
        let Some(row) = rows.next() else { continue };
        if confirmed && outcome.status == Status::Survived {
            outcome.status = Status::Fooled;
        }
        if !confirmed && !attack.returns_all() {
            refuted += 1;
            continue;
        }
        let clean = job.samples.image(trial.sample);
        outcome.prediction = predict(row, outcome.label);
        outcome.margin = margin(row, outcome.label);
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

/// For every trial, whether a fresh forward pass misclassifies its image, which must lie in box and ball; and the
/// logits of all images found, one after the other.
pub(super) fn confirm(
    job: &Job<'_>,
    attack: &dyn Attack,
    trials: &[Trial],
) -> Result<(Vec<bool>, Vec<f32>)> {
    let found = || trials.iter().filter_map(|trial| Some((trial, trial.hit.as_ref()?)));
    let images: Vec<&[f32]> = found().map(|(_, hit)| hit.image.as_slice()).collect();
    let ids: Vec<u64> = found().map(|(trial, _)| job.samples.ids()[trial.sample]).collect();
    let logits = verify(job, &images, &ids, attack.draws(), "verification")?;
    let mut rows = logits.chunks(job.classifier.classes());
    let confirmed = trials.iter().map(|trial| {
        let Some((hit, row)) = trial.hit.as_ref().and_then(|hit| Some((hit, rows.next()?))) else {
            return false;
        };
        let distance = job.budget.norm.distance(&hit.image, job.samples.image(trial.sample));
        let boxed = hit.image.iter().all(|pixel| (0.0..=1.0).contains(pixel));
        boxed
            && (!attack.is_bounded() || job.budget.admits(distance))
            && row.iter().all(|z| z.is_finite())
            && margin(row, job.samples.labels()[trial.sample]) < 0.0
    });
    let confirmed = confirmed.collect();
    Ok((confirmed, logits))
}

/// The mean logits of `draws` forward passes of each image, `[image][class]`, with noise of this `purpose`.
pub(super) fn verify(
    job: &Job<'_>,
    images: &[&[f32]],
    ids: &[u64],
    draws: usize,
    purpose: &str,
) -> Result<Vec<f32>> {
    let (classes, features) = (job.classifier.classes(), job.samples.shape().features());
    let root = Key::new(job.budget.seed).named(purpose);
    let draws = draws.max(1);
    let mut logits = vec![0.0; images.len() * classes];
    let workers = job.context.workers(|context| {
        let session = job.classifier.session(context);
        (session, vec![0.0; LANES * features], vec![Lanes::ZERO; features])
    });
    workers.chunks(&mut logits, LANES * classes, |(session, rows, block), i, out| {
        let count = out.len() / classes;
        rows.fill(0.0);
        for (row, image) in rows.chunks_mut(features).zip(&images[i * LANES..][..count]) {
            row.copy_from_slice(image);
        }
        to_lanes(rows, block);
        let mut z = vec![Lanes::ZERO; classes];
        for draw in 0..draws {
            let key = |lane: usize| {
                let id = ids.get(i * LANES + lane).copied().unwrap_or(0);
                root.with(id).with(draw as u64)
            };
            session.logits(block, &std::array::from_fn(key), false, &mut z)?;
            for (lane, row) in out.chunks_mut(classes).enumerate() {
                row.iter_mut().zip(&z).for_each(|(to, z)| *to += z.0[lane] / draws as f32);
            }
        }
        Ok(())
    })?;
    Ok(logits)
}
