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

    /// What an attack knows of the target.
    fn threat(&self) -> ThreatModel {
        if self.source.is_some() { ThreatModel::Transfer } else { ThreatModel::WhiteBox }
    }
}

/// One attack at one radius on one portion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortionResult {
    /// The attack's place in the plan.
    pub attack: usize,
    /// The radius' place in the plan.
    pub radius: usize,
    /// The portion, counted from 0.
    pub portion: usize,
    /// One a sample.
    pub outcomes: Vec<Outcome>,
    /// What was noticed by the way.
    pub diagnostics: Diagnostics,
    /// The time that it took.
    pub seconds: f64,
}

impl Plan {
    /// The number of parts for `samples` samples.
    pub fn parts(&self, samples: usize) -> usize {
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
            Budget { norm: self.norm, eps: *eps, seed: self.seed }.check()?;
            if self.radii[..i].contains(eps) {
                return refuse(format!("eps {eps} is given twice"));
            }
        }
        Ok(())
    }
}

impl Plan {
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

/// Runs what of the plan is not among the parts `done`, and tells `save` every new part as soon as it is there. The
/// cells come in the plan's order, all radii of one attack after the other.
///
/// # Errors
/// Those of [`Plan::check`], of the attacks, and of `save`; or if a part is not of this plan and these samples.
pub fn evaluate(
    context: &Context,
    models: Models<'_>,
    samples: &Samples,
    plan: &Plan,
    done: Vec<PortionResult>,
    save: &mut dyn FnMut(&PortionResult) -> Result<()>,
) -> Result<Vec<Cell>> {
    plan.check(context, models, samples)?;
    let threat = models.threat();
    let attacks = plan.built(threat)?;
    let portions: Vec<Vec<usize>> = {
        let all: Vec<usize> = (0..samples.len()).collect();
        all.chunks(plan.portion).map(<[usize]>::to_vec).collect()
    };
    let mut done: Vec<Option<PortionResult>> = done.into_iter().map(Some).collect();
    let mut cells = Vec::new();
    for (a, (spec, method)) in attacks.iter().enumerate() {
        for (r, &eps) in plan.radii.iter().enumerate() {
            let budget = Budget { norm: plan.norm, eps, seed: plan.seed };
            let (mut outcomes, mut diagnostics, mut seconds) =
                (Vec::new(), Diagnostics::default(), 0.0);
            for (p, portion) in portions.iter().enumerate() {
                let place = done.iter_mut().find(|part| {
                    part.as_ref().is_some_and(|d| (d.attack, d.radius, d.portion) == (a, r, p))
                });
                let part = if let Some(part) = place.and_then(Option::take) {
                    let ids = part.outcomes.iter().map(|outcome| outcome.id);
                    if !ids.eq(portion.iter().map(|&i| samples.ids()[i])) {
                        let problem = "a finished part belongs to other samples";
                        return Err(Error::argument("evaluation", problem));
                    }
                    part
                } else {
                    let start = Instant::now();
                    let some = samples.select(portion)?;
                    let report = models.attack(context, &some, method.as_ref(), budget)?;
                    let part = PortionResult {
                        attack: a,
                        radius: r,
                        portion: p,
                        outcomes: report.outcomes.into_iter().map(Outcome::without_image).collect(),
                        diagnostics: report.diagnostics,
                        seconds: start.elapsed().as_secs_f64(),
                    };
                    save(&part)?;
                    part
                };
                outcomes.extend(part.outcomes);
                diagnostics.merge(&part.diagnostics);
                seconds += part.seconds;
            }
            let info = method.info();
            let report = AttackReport {
                attack: info.name,
                budget,
                outcomes,
                diagnostics,
                warnings: Vec::new(),
            };
            cells.push(Cell::of_report(spec.clone(), threat, &report, info.bounded, seconds));
        }
    }
    Ok(cells)
}
