//! The stages of an audit, in their order, and what each of them checks.

use super::attacks::{Member, effort, gap, radii, random, rivals, scale};
use super::gradients::{Ascent, Gradients, differences, overshoot, roughness, vanishing};
use super::report::Check;
use super::subject::Subject;
use super::{AuditOptions, active, answers, claim, controls, convergence, noise, silence};
use crate::attack::Classifier;
use crate::{Error, Result};

/// What is done at a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StageKind {
    Answers,
    Gradients,
    /// The attack of this place among those that follow gradients.
    Guided(usize),
    Gap,
    Rivals,
    Random,
    Effort,
    Radii,
    Noise,
    Active,
    Claim,
    Controls,
}

/// Images whose gradients are looked at.
const LOOKED_AT: usize = 256;

impl StageKind {
    /// All stages of an audit with `guided` gradient attacks.
    pub fn all(guided: usize) -> Vec<Self> {
        let first = [Self::Answers, Self::Gradients].into_iter();
        let last = [
            Self::Gap,
            Self::Rivals,
            Self::Random,
            Self::Effort,
            Self::Radii,
            Self::Noise,
            Self::Active,
            Self::Claim,
            Self::Controls,
        ];
        first.chain((0..guided).map(Self::Guided)).chain(last).collect()
    }

    pub fn name(self, guided: &[Member]) -> String {
        match self {
            Self::Answers => "answers".into(),
            Self::Gradients => "gradients".into(),
            Self::Guided(i) => {
                guided.get(i).map_or_else(String::new, |member| member.attack.info().description)
            }
            Self::Gap => "surrogate gap".into(),
            Self::Rivals => "attacks without gradients".into(),
            Self::Random => "random points".into(),
            Self::Effort => "more effort".into(),
            Self::Radii => "other radii".into(),
            Self::Noise => "averages over draws".into(),
            Self::Active => "active test".into(),
            Self::Claim => "attack of the claim".into(),
            Self::Controls => "controls".into(),
        }
    }

    /// Does it.
    pub fn run(
        self,
        subject: &mut Subject<'_>,
        options: &AuditOptions,
        guided: &[Member],
        twins: &[&dyn Classifier],
    ) -> Result<Vec<Check>> {
        match self {
            // Of a model that has no answers near the images there is nothing to look at.
            Self::Gradients | Self::Controls if subject.answered().is_empty() => Ok(Vec::new()),
            Self::Answers => {
                let mut checks = Vec::new();
                answers::mark_unanswered(subject)?;
                // Of a model that draws on its own, and says so, no answer can be had twice.
                if subject.model.draws_by_key() {
                    checks.push(answers::determinism(subject)?);
                    checks.push(answers::hidden_noise(subject)?);
                }
                checks.push(answers::probabilities(subject)?);
                Ok(checks)
            }
            Self::Gradients => {
                let at_images = Gradients::of(subject, LOOKED_AT)?;
                let mut checks = vec![
                    vanishing(&at_images),
                    Ascent::of(subject, &at_images)?.check(subject),
                    differences(subject, &at_images)?,
                    roughness(subject, &at_images)?,
                    overshoot(subject, &at_images)?,
                ];
                checks.extend(silence::silent(subject)?);
                Ok(checks)
            }
            Self::Guided(i) => {
                let missing = || Error::failed("audit", "there is no such attack");
                let attack = guided.get(i).ok_or_else(missing)?.attack.as_ref();
                let left = subject.survivors();
                subject.attack(attack, &left)?;
                Ok(Vec::new())
            }
            Self::Gap => Ok(gap(subject, guided)),
            Self::Rivals => rivals(subject, options, twins),
            Self::Random => Ok(vec![random(subject, options.random)?]),
            Self::Effort => {
                Ok(vec![effort(subject)?, convergence::convergence(subject)?, scale(subject)?])
            }
            Self::Radii => radii(subject),
            Self::Noise => noise::averaging(subject, options),
            Self::Active => {
                let images =
                    if subject.model.is_spiking() { options.active / 2 } else { options.active };
                Ok(active::active(subject, images)?.into_iter().collect())
            }
            Self::Claim => claim::behind(subject, options),
            Self::Controls => Ok(vec![controls::controls(subject, options.fast)?]),
        }
    }
}
