//! Whether a robust accuracy can be trusted: checks that find masked gradients and weak attacks (after Athalye et al. 2018,
//! "Obfuscated gradients give a false sense of security", Carlini et al. 2019, "On evaluating adversarial robustness", and
//! Pintor et al. 2022, "Indicators of attack failure").
//!
//! ```
//! use deepsleep::attack::{Budget, Norm, Samples};
//! use deepsleep::audit::{Audit, audit};
//! use deepsleep::data::{Dataset, DatasetName, Split, locate};
//! use deepsleep::nn::{Freeze, Model};
//! use deepsleep::tensor::Context;
//!
//! let test = Dataset::load(locate(DatasetName::Mnist, None)?, Split::Test)?;
//! let samples = Samples::from_dataset(&test, 0..16)?;
//! let model = Model::lenet(7).freeze()?; // untrained; any `Classifier`
//! let options = Audit { budget: Budget { norm: Norm::Linf, eps: 0.05, seed: 0 }, search: 2, ..Audit::default() };
//! let report = audit(&Context::new(0)?, &model, &samples, &options, &[], |_| {})?;
//! println!("{}, {:.3}", report.verdict, report.robust_accuracy);
//! # Ok::<(), deepsleep::Error>(())
//! ```

mod answers;
mod attacks;
mod gradients;
mod report;
mod statistics;
mod subject;

pub use report::{Attacked, AuditReport, Check, Finding, Verdict};

use crate::attack::{Budget, Classifier, Norm, Samples};
use crate::evaluation::wilson;
use crate::tensor::Context;
use crate::{Error, Result};
use gradients::Gradients;
use subject::{ShareCheck, Subject, number};

/// Images below which an audit that finds nothing decides nothing.
pub const ENOUGH: usize = 500;

/// What is audited how.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Norm, radius, seed.
    pub budget: Budget,
    /// Rightly classified images to audit.
    pub images: usize,
    /// The robust accuracy that somebody claims.
    pub claim: Option<f64>,
    /// Images that withstood gradients and are searched without: these searches take ten thousand evaluations an image.
    pub search: usize,
    /// Random points an image.
    pub random: usize,
    /// Leaves out the long tail of attacks with gradients.
    pub fast: bool,
}

impl Default for Audit {
    /// 500 images at 8/255 in Linf.
    fn default() -> Self {
        Self {
            budget: Budget { norm: Norm::Linf, eps: 8.0 / 255.0, seed: 0 },
            images: ENOUGH,
            claim: None,
            search: 100,
            random: 1024,
            fast: false,
        }
    }
}

/// Audits a model on the first of these samples that it classifies rightly. `twins` are other networks for the same task, whose
/// images are shown to it. `observer` hears what is going on.
///
/// # Errors
/// If model, samples and budget do not fit one another, or no sample is classified rightly.
pub fn audit(
    context: &Context,
    model: &dyn Classifier,
    samples: &Samples,
    options: &Audit,
    twins: &[&dyn Classifier],
    mut observer: impl FnMut(&str),
) -> Result<AuditReport> {
    options.budget.check()?;
    if options.budget.norm == Norm::L0 {
        let problem = "an audit in l0 has no attacks to compare; linf, l2 and l1 have";
        return Err(Error::argument("audit", problem));
    }
    let mut subject = Subject::find(context, model, samples, (options.images, options.budget))?;
    let subject = &mut subject;
    observer("answers");
    let mut checks = vec![
        answers::determinism(subject)?,
        answers::hidden_noise(subject)?,
        answers::probabilities(subject)?,
    ];
    observer("gradients");
    let at_images = Gradients::of(subject, 256)?;
    checks.push(gradients::vanishing(&at_images));
    checks.push(gradients::ascent(subject, &at_images)?);
    checks.push(gradients::differences(subject, &at_images)?);
    checks.push(gradients::roughness(subject, &at_images)?);
    checks.push(gradients::overshoot(subject, &at_images)?);
    observer("attacks with gradients");
    let members = attacks::with_gradients(options.budget.norm, model.is_spiking(), options.fast);
    checks.extend(attacks::gradient_part(subject, &members)?);
    let withstood = subject.survivors().len();
    observer("attacks without");
    checks.extend(attacks::rivals(subject, options, twins)?);
    checks.push(attacks::random(subject, options.random)?);
    observer("effort and radii");
    checks.push(attacks::effort(subject)?);
    checks.push(attacks::scale(subject)?);
    checks.extend(attacks::radii(subject)?);
    checks.push(second_look(subject));
    Ok(conclude(subject, options, withstood, checks))
}

/// Images that attacks said to fool, looked at again.
fn second_look(subject: &Subject<'_>) -> Check {
    let share = ShareCheck {
        name: "second look",
        measures: "images that an attack returned as fooling and that do not, or lie outside of box or ball",
        fail: Some(0.0),
        warn: Some(0.0),
        meaning: "successes are no successes: of a random network, of numbers that are none, or a fault in the attack",
    };
    let found = subject.attacks.iter().map(|attack| attack.fooled).sum();
    let mut check = share.check(subject.refuted, found, 1.0);
    if subject.refuted > 0 {
        check.finding = Finding::Fail;
        check.meaning = share.meaning.into();
    }
    check
}

fn conclude(
    subject: &Subject<'_>,
    options: &Audit,
    withstood: usize,
    mut checks: Vec<Check>,
) -> AuditReport {
    let (images, right) = (subject.images, subject.len());
    let left = subject.survivors().len();
    let interval = wilson(left, images);
    if let Some(claim) = options.claim {
        let finding = if claim > interval[1] { Finding::Fail } else { Finding::Pass };
        let threshold = format!("fails above {:.4}", interval[1]);
        checks.push(number(
            "claim",
            "the claimed robust accuracy",
            claim,
            (&threshold, finding),
            "it lies above everything that agrees with what this audit found",
        ));
    }
    let worst = checks.iter().map(|check| check.finding).max().unwrap_or(Finding::Pass);
    let verdict = match worst {
        Finding::Fail => Verdict::NotTrusted,
        _ if right < ENOUGH => Verdict::Undecided,
        Finding::Warn => Verdict::Doubtful,
        Finding::Pass => Verdict::NoReasonToDoubt,
    };
    AuditReport {
        norm: options.budget.norm,
        eps: options.budget.eps,
        seed: options.budget.seed,
        spiking: subject.model.is_spiking(),
        images,
        right,
        clean_accuracy: right as f64 / images as f64,
        robust_accuracy: left as f64 / images as f64,
        interval,
        gradient_accuracy: withstood as f64 / images as f64,
        claim: options.claim,
        verdict,
        checks,
        attacks: subject.attacks.clone(),
    }
}
