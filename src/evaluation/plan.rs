//! An evaluation in portions: every attack at every radius on a few samples at a time, so that it can stop anywhere and
//! resume to the same bits.

use super::cell::{Cell, ThreatModel};
use super::crafted::Crafted;
use crate::attack::{
    Attack, AttackReport, AttackSpec, Budget, Classifier, Diagnostics, Norm, Outcome, Samples,
    check_attack, run_attack,
};
use crate::tensor::Context;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What is to be evaluated.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Attacks.
    pub attacks: Vec<AttackSpec>,
    /// How perturbations are measured.
    pub norm: Norm,
    /// The radii.
    pub radii: Vec<f32>,
    /// The seed of all random numbers.
    pub seed: u64,
    /// Samples attacked together. Nothing but `seconds` depends on it.
    pub portion: usize,
}

crate::options::with!(Plan);

impl Default for Plan {
    /// Nothing yet, in Linf, 256 samples at a time.
    fn default() -> Self {
        Self { attacks: Vec::new(), norm: Norm::Linf, radii: Vec::new(), seed: 0, portion: 256 }
    }
}

/// Who is attacked, and on what.
#[derive(Clone, Copy)]
pub struct Models<'a> {
    /// The model whose robustness is in question.
    pub target: &'a dyn Classifier,
    /// The model that images are crafted on, if it is another.
    pub source: Option<&'a dyn Classifier>,
}

impl Models<'_> {
    /// Attacks the target itself or, if there is a source, shows it the images that are crafted there.
    ///
    /// # Errors
    /// Those of [`run_attack`].
    pub fn attack(
        &self,
        context: &Context,
        samples: &Samples,
        attack: &dyn Attack,
        budget: Budget,
    ) -> Result<AttackReport> {
        match self.source {
            None => run_attack(context, self.target, samples, attack, budget),
            Some(source) => {
                Crafted::craft(context, source, samples, attack, budget)?.show(context, self.target)
            }
        }
    }

    /// As [`attack`](Self::attack), `portion` samples at a time: the result is the same. `observe` hears of every
    /// portion's report.
    ///
    /// # Errors
    /// Those of [`attack`](Self::attack), and if there are no samples.
    pub fn attack_in_portions(
        &self,
        context: &Context,
        samples: &Samples,
        attack: &dyn Attack,
        budget: Budget,
        portion: usize,
        observe: &mut dyn FnMut(&AttackReport),
    ) -> Result<AttackReport> {
        let all = in_portions(samples.len(), portion, |_, which| {
            let report = self.attack(context, &samples.select(which)?, attack, budget)?;
            observe(&report);
            Ok(report)
        })?;
        all.ok_or_else(|| Error::argument("attack", "there are no images"))
    }

    /// What an attack knows of the target.
    fn threat(&self) -> ThreatModel {
        if self.source.is_some() { ThreatModel::Transfer } else { ThreatModel::WhiteBox }
    }
}

/// Measures samples a portion at a time, by their places, and puts the reports together. None if there are no samples.
fn in_portions(
    samples: usize,
    portion: usize,
    mut measure: impl FnMut(usize, &[usize]) -> Result<AttackReport>,
) -> Result<Option<AttackReport>> {
    let all: Vec<usize> = (0..samples).collect();
    let portions = all.chunks(portion.max(1)).enumerate();
    let reports = portions.map(|(p, which)| measure(p, which)).collect::<Result<Vec<_>>>()?;
    Ok(AttackReport::merge(reports))
}

/// One attack at one radius on one portion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PortionResult {
    /// The attack's place in the plan.
    pub attack: usize,
    /// The radius' place in the plan.
    pub radius: usize,
    /// The portion, counted from 0.
    pub portion: usize,
    /// One a sample.
    pub outcomes: Vec<Outcome>,
    /// Diagnostics collected during the attack.
    pub diagnostics: Diagnostics,
    /// The time that it took.
    pub seconds: f64,
}

impl PortionResult {
    fn of(
        (attack, radius, portion): (usize, usize, usize),
        report: AttackReport,
        start: Instant,
    ) -> Self {
        let outcomes = report.outcomes.into_iter().map(Outcome::without_image).collect();
        let diagnostics = report.diagnostics;
        let seconds = start.elapsed().as_secs_f64();
        Self { attack, radius, portion, outcomes, diagnostics, seconds }
    }

    /// Refuses a portion of other samples than these.
    fn check(&self, samples: &Samples, which: &[usize]) -> Result<()> {
        let ids = self.outcomes.iter().map(|outcome| outcome.id);
        if ids.eq(which.iter().map(|&i| samples.ids()[i])) {
            return Ok(());
        }
        Err(Error::argument("evaluation", "a finished portion belongs to other samples"))
    }
}

impl Plan {
    /// The number of portions for `samples` samples, of all attacks at all radii.
    pub fn portions(&self, samples: usize) -> usize {
        self.attacks.len() * self.radii.len() * samples.div_ceil(self.portion.max(1))
    }

    /// The attacks, as they are run against this threat.
    fn built(&self, threat: ThreatModel) -> Result<Vec<(AttackSpec, Box<dyn Attack>)>> {
        let build = |spec: &AttackSpec| {
            let spec = match threat {
                ThreatModel::WhiteBox => spec.clone(),
                ThreatModel::Transfer => spec.transfer_form(),
            };
            let attack = spec.build()?;
            Ok((spec, attack))
        };
        self.attacks.iter().map(build).collect()
    }

    /// Refuses what cannot be run, before any work is done.
    ///
    /// # Errors
    /// If a radius is none in the norm, there is no attack or no radius, or one of them is there twice.
    pub fn validate(&self) -> Result<()> {
        let refuse = |problem: String| Err(Error::argument("evaluation", problem));
        if self.attacks.is_empty() || self.radii.is_empty() || self.portion == 0 {
            return refuse(
                "at least one attack, one radius and one sample a portion are needed".into(),
            );
        }
        for (i, attack) in self.attacks.iter().enumerate() {
            if self.attacks[..i].contains(attack) {
                return refuse(format!("{attack} is given twice"));
            }
        }
        for (i, eps) in self.radii.iter().enumerate() {
            Budget { norm: self.norm, eps: *eps, seed: self.seed }.validate()?;
            if self.radii[..i].contains(eps) {
                return refuse(format!("eps {eps} is given twice"));
            }
        }
        Ok(())
    }

    /// [`validate`](Self::validate), and refuses attacks that these models, images or norm cannot have: the last one too, before
    /// the first has begun.
    ///
    /// # Errors
    /// If there is one, or the models do not fit the images.
    pub fn check(&self, context: &Context, models: Models<'_>, samples: &Samples) -> Result<()> {
        self.validate()?;
        let attacked = models.source.unwrap_or(models.target);
        for (_, attack) in self.built(models.threat())? {
            for &eps in &self.radii {
                let budget = Budget { norm: self.norm, eps, seed: self.seed };
                check_attack(context, attacked, samples, attack.as_ref(), budget)?;
            }
        }
        Ok(())
    }
}

/// Runs the plan. The cells come in its order, all radii of one attack after the other.
///
/// # Errors
/// Those of [`Plan::check`], and of the attacks.
pub fn evaluate(
    context: &Context,
    models: Models<'_>,
    samples: &Samples,
    plan: &Plan,
) -> Result<Vec<Cell>> {
    evaluate_with(context, models, samples, plan, Vec::new(), &mut |_| Ok(()))
}

/// As [`evaluate`], but runs what of the plan is not among the portions `done`, and tells `save` every new one as soon as it is
/// there.
///
/// # Errors
/// Those of [`evaluate`], and of `save`; or if a portion is not of this plan and these samples.
pub fn evaluate_with(
    context: &Context,
    models: Models<'_>,
    samples: &Samples,
    plan: &Plan,
    done: Vec<PortionResult>,
    save: &mut dyn FnMut(&PortionResult) -> Result<()>,
) -> Result<Vec<Cell>> {
    plan.check(context, models, samples)?;
    let threat = models.threat();
    let mut done: Vec<Option<PortionResult>> = done.into_iter().map(Some).collect();
    let mut cells = Vec::new();
    for (a, (spec, attack)) in plan.built(threat)?.into_iter().enumerate() {
        let info = attack.info();
        for (r, &eps) in plan.radii.iter().enumerate() {
            let budget = Budget { norm: plan.norm, eps, seed: plan.seed };
            let report = |outcomes, diagnostics| {
                let (attack, warnings) = (info.name.clone(), Vec::new());
                AttackReport { attack, budget, outcomes, diagnostics, warnings }
            };
            let mut seconds = 0.0;
            let measured = in_portions(samples.len(), plan.portion, |p, which| {
                let place = (a, r, p);
                let portion = if let Some(portion) = taken(&mut done, place) {
                    portion.check(samples, which)?;
                    portion
                } else {
                    let start = Instant::now();
                    let some = samples.select(which)?;
                    let report = models.attack(context, &some, attack.as_ref(), budget)?;
                    let portion = PortionResult::of(place, report, start);
                    save(&portion)?;
                    portion
                };
                seconds += portion.seconds;
                Ok(report(portion.outcomes, portion.diagnostics))
            })?;
            let measured = measured.unwrap_or_else(|| report(Vec::new(), Diagnostics::default()));
            cells.push(Cell::of_report(spec.clone(), threat, &measured, info.bounded, seconds));
        }
    }
    Ok(cells)
}

/// The portion of this place (attack, radius, portion), if it was done before.
fn taken(
    done: &mut [Option<PortionResult>],
    place: (usize, usize, usize),
) -> Option<PortionResult> {
    let is_it = |done: &PortionResult| (done.attack, done.radius, done.portion) == place;
    done.iter_mut().find(|done| done.as_ref().is_some_and(is_it))?.take()
}
