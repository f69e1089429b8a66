//! Whether a robust accuracy can be trusted: checks that find masked gradients and weak attacks (after Athalye et al. 2018,
//! "Obfuscated gradients give a false sense of security", Carlini et al. 2019, "On evaluating adversarial robustness", and
//! Pintor et al. 2022, "Indicators of attack failure").
//!
//! ```
//! use deepsleep::attack::{Budget, Norm, Samples};
//! use deepsleep::audit::{AuditOptions, run_audit};
//! use deepsleep::data::{Dataset, DatasetName, Split, locate};
//! use deepsleep::nn::{Freeze, Model};
//! use deepsleep::tensor::Context;
//!
//! let test = Dataset::load(locate(DatasetName::Mnist, None)?, Split::Test)?;
//! let samples = Samples::from_dataset(&test, 0..16)?;
//! let model = Model::lenet(7).freeze()?; // untrained; any `Classifier`
//! let options = AuditOptions::default().with(|o| {
//!     o.budget = Budget { norm: Norm::Linf, eps: 0.05, seed: 0 };
//!     o.search = 2;
//! });
//! let report = run_audit(&Context::new(0)?, &model, &samples, &options)?;
//! println!("{}, {:.3}", report.verdict, report.robust_accuracy);
//! # Ok::<(), deepsleep::Error>(())
//! ```

mod active;
mod altered;
mod answers;
mod attacked;
mod attacks;
mod batches;
mod claim;
mod controls;
mod convergence;
mod gradients;
mod known;
mod luck;
mod noise;
mod report;
mod silence;
mod stage;
mod stages;
mod statistics;
mod subject;

pub use report::{Attacked, AuditReport, AuditVerdict, Check, Finding};
pub use stage::{AuditStage, Chosen};

use crate::attack::{AttackSpec, Budget, Classifier, Norm, Pgd, Samples, check_attack};
use crate::evaluation::wilson;
use crate::tensor::Context;
use crate::{Error, Result};
use stages::StageKind;
use subject::{NumberCheck, ShareCheck, Subject};

/// Images below which an audit that finds nothing decides nothing.
pub const ENOUGH: usize = 500;

/// What is audited how.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AuditOptions {
    /// Norm, radius, seed.
    pub budget: Budget,
    /// Rightly classified images to audit.
    pub images: usize,
    /// The robust accuracy that is claimed.
    pub claim: Option<f64>,
    /// Images that withstood gradients and are searched without: these searches take ten thousand evaluations an image.
    pub search: usize,
    /// Random points an image.
    pub random: usize,
    /// Images of the active test.
    pub active: usize,
    /// The attack that the claim comes from.
    pub claimed_by: Option<AttackSpec>,
    /// Leaves out the long tail of attacks with gradients.
    pub fast: bool,
}

crate::options::with!(AuditOptions);

impl Default for AuditOptions {
    /// 500 images at 8/255 in Linf.
    fn default() -> Self {
        Self {
            budget: Budget { norm: Norm::Linf, eps: 8.0 / 255.0, seed: 0 },
            images: ENOUGH,
            claim: None,
            search: 100,
            random: 1024,
            active: 48,
            claimed_by: None,
            fast: false,
        }
    }
}

/// Audits a model on the first of these samples that it classifies correctly. An [`AuditTask`] can also be shown images of other
/// networks, tell what is going on, and be resumed.
///
/// # Errors
/// If model, samples and budget do not fit one another, or no sample is classified correctly.
pub fn run_audit(
    context: &Context,
    model: &dyn Classifier,
    samples: &Samples,
    options: &AuditOptions,
) -> Result<AuditReport> {
    let task = AuditTask { context, model, samples, options, twins: &[] };
    task.run()
}

/// An audit to be done, in stages that can be kept.
#[derive(Clone, Copy)]
pub struct AuditTask<'a> {
    /// Instruction set and threads.
    pub context: &'a Context,
    /// The model.
    pub model: &'a dyn Classifier,
    /// Images, of which the first that it classifies correctly are audited.
    pub samples: &'a Samples,
    /// How.
    pub options: &'a AuditOptions,
    /// Other networks for the same task.
    pub twins: &'a [&'a dyn Classifier],
}

impl AuditTask<'_> {
    /// Refuses what cannot be audited so, before any work.
    ///
    /// # Errors
    /// If samples and budget do not fit the model or a twin, or the attack behind the claim cannot be run on the model.
    pub fn check(&self) -> Result<()> {
        let Self { context, model, samples, options, twins } = *self;
        options.budget.validate()?;
        if options.budget.norm == Norm::L0 {
            let problem = "an audit in l0 has no attacks to compare; linf, l2 and l1 have";
            return Err(Error::argument("audit", problem));
        }
        if let Some(claimed_by) = &options.claimed_by {
            let attack = claimed_by.build()?;
            check_attack(context, model, samples, attack.as_ref(), options.budget)?;
        }
        let pgd = Pgd::default();
        twins
            .iter()
            .try_for_each(|twin| check_attack(context, *twin, samples, &pgd, options.budget))
    }

    /// Does it.
    ///
    /// # Errors
    /// As for [`run_audit`].
    pub fn run(&self) -> Result<AuditReport> {
        self.run_with(Vec::new(), &mut |_| {}, &mut |_| Ok(()))
    }

    /// Does what is not among the stages `done`; `say` hears what is going on, `save` gets every new stage. The report is the
    /// same wherever an earlier run ended.
    ///
    /// # Errors
    /// As for [`run_audit`], those of `save`, and if the stages are of another audit.
    pub fn run_with(
        &self,
        done: Vec<AuditStage>,
        say: &mut dyn FnMut(&str),
        save: &mut dyn FnMut(&AuditStage) -> Result<()>,
    ) -> Result<AuditReport> {
        self.check()?;
        let Self { context, model, samples, options, twins } = *self;
        let chosen = match done.first().map(|stage| &stage.chosen) {
            Some(chosen) if !chosen.right.is_empty() => chosen.clone(),
            _ => Subject::choose(context, model, samples, (options.images, options.budget))?,
        };
        let mut subject = Subject::new(context, model, samples, options.budget, chosen)?;
        let guided = attacks::with_gradients(options.budget.norm, model, options.fast);
        let (mut checks, mut withstood) = (Vec::new(), subject.len());
        let mut done = done.into_iter();
        for kind in StageKind::all(guided.len()) {
            let name = kind.name(&guided);
            let stage = match done.next() {
                Some(stage) if stage.name == name => {
                    subject.take(&stage)?;
                    stage
                }
                Some(stage) => {
                    let problem =
                        format!("`{}` was done before in the place of `{name}`", stage.name);
                    return Err(Error::argument("audit", problem));
                }
                None => {
                    say(&name);
                    let run =
                        |subject: &mut Subject<'_>| kind.run(subject, options, &guided, twins);
                    let stage = subject.stage(name, run)?;
                    save(&stage)?;
                    stage
                }
            };
            checks.extend(stage.checks);
            if matches!(kind, StageKind::Guided(_)) {
                withstood = subject.survivors().len();
            }
        }
        checks.push(second_look(&subject));
        checks.push(answers::finite(&subject));
        Ok(conclude(&subject, options, withstood, checks))
    }
}

/// Images that attacks said to fool, looked at again.
fn second_look(subject: &Subject<'_>) -> Check {
    let share = ShareCheck {
        name: "second look",
        catches: "false successes",
        measures: "images that an attack returned as successes but that do not fool the network, or lie outside the box or the ball",
        fail: Some(0.0),
        warn: Some(0.0),
        meaning: "some successes do not hold: the network is random, its answers are not finite, or the attack is faulty",
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
    options: &AuditOptions,
    withstood: usize,
    mut checks: Vec<Check>,
) -> AuditReport {
    let (images, right) = (subject.chosen.images, subject.len());
    let left = subject.survivors().len();
    let interval = wilson(left, images);
    if let Some(claim) = options.claim {
        let finding = if claim > interval[1] { Finding::Fail } else { Finding::Pass };
        let threshold = format!("fails above {:.4}", interval[1]);
        let number = NumberCheck {
            name: "claim",
            catches: "claims beyond what attacks leave",
            measures: "the claimed robust accuracy",
            meaning: "it lies above everything that agrees with what this audit found",
        };
        checks.push(number.check(claim, (&threshold, finding)));
    }
    let worst = checks.iter().map(|check| check.finding).max().unwrap_or(Finding::Pass);
    let verdict = match worst {
        Finding::Fail => AuditVerdict::NotTrusted,
        Finding::Warn => AuditVerdict::Doubtful,
        Finding::Pass if right < ENOUGH => AuditVerdict::Undecided,
        Finding::Pass => AuditVerdict::NoReasonToDoubt,
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
        invalid: (0..right).filter(|&i| subject.invalid[i] && !subject.fooled[i]).count(),
        gradient_accuracy: withstood as f64 / images as f64,
        claim: options.claim,
        verdict,
        checks,
        attacks: subject.attacks.clone(),
    }
}
