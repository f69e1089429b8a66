//! Results: one attack at one radius.

use super::interval::wilson;
use super::named_attack::NamedAttack;
use super::none_as_empty;
use super::random::RandomAccuracy;
use super::warning::Warning;
use crate::attack::{AttackReport, Budget, Cost, FoundBy, Norm, Outcome, Status, outside};
use serde::{Deserialize, Serialize};

/// What the attacker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThreatModel {
    /// Everything: the images are crafted on the model itself.
    WhiteBox,
    /// Another model, on which the images are crafted.
    Transfer,
}

impl ThreatModel {
    /// Both, in the order of tables.
    pub const ALL: [Self; 2] = [Self::Transfer, Self::WhiteBox];

    /// Its name, for people and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::WhiteBox => "white-box",
            Self::Transfer => "transfer",
        }
    }
}

/// One attack at one radius.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cell {
    /// The attack with its options; None for clean images. In files an empty text stands for none.
    #[serde(with = "none_as_empty")]
    pub attack: Option<NamedAttack>,
    /// Whether the radius bounded it; in JSON only where it did not.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub bounded: bool,
    /// The norm.
    pub norm: Norm,
    /// The radius.
    pub eps: f32,
    /// The seed of all random numbers.
    pub seed: u64,
    /// What the attacker knows.
    pub threat_model: ThreatModel,
    /// The share of samples classified correctly, clean and attacked.
    pub robust_accuracy: f64,
    /// Where the robust accuracy on all images of this kind lies, with 95 % confidence; None in files of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robust_interval: Option<[f64; 2]>,
    /// Of a random model, what its single draws make of the same images; None of others.
    #[serde(flatten)]
    pub random: Option<RandomAccuracy>,
    /// Identities of the samples that stayed robust.
    pub robust_indices: Vec<u64>,
    /// How many samples were invalid.
    pub invalid: usize,
    /// How many samples, right when clean, were shown an image that lies outside of the box or the ball: they count
    /// neither as robust nor as fooled. Only images that were crafted elsewhere may.
    #[serde(default)]
    pub outside: usize,
    /// Identities of the samples that were shown such an image.
    #[serde(default)]
    pub outside_indices: Vec<u64>,
    /// Forward passes for all samples.
    pub forward_passes: u64,
    /// Backward passes for all samples.
    pub backward_passes: u64,
    /// The share of backward passes whose gradient was exactly zero; None if there were none.
    pub zero_gradient_share: Option<f64>,
    /// The time that it took, all sittings together.
    pub seconds: f64,
    /// What gives reason to doubt the result.
    pub warnings: Vec<Warning>,
    /// Of an ensemble, who found what of what those before it left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found_by: Vec<FoundBy>,
    /// Whether an image counts wherever it lies (see [`Crafted::show_wherever`](super::Crafted::show_wherever)).
    #[serde(skip)]
    pub(super) anywhere: bool,
    /// One a sample, without its image; not in the JSON of a result, so empty in a cell that was read from one.
    #[serde(skip)]
    pub outcomes: Vec<Outcome>,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_yes(value: &bool) -> bool {
    *value
}

impl Cell {
    /// Of a whole report. `bounded`: whether the radius bounded the attack.
    pub fn of_report(
        attack: impl Into<NamedAttack>,
        threat_model: ThreatModel,
        report: &AttackReport,
        bounded: bool,
        seconds: f64,
    ) -> Self {
        let cell = Self::measured(Some(attack.into()), threat_model, report);
        Self { seconds, ..cell }.with_bound(bounded)
    }

    /// Of the report on clean images that [`classify`](super::classify) makes. The time that it took is not known here: 0
    /// seconds.
    pub fn of_clean(report: &AttackReport) -> Self {
        Self::measured(None, ThreatModel::WhiteBox, report)
    }

    /// Of certificates in linf: the report on clean images that [`classify`](super::classify) makes, and for each of them a lower
    /// bound of its margin within `eps`. The certified images survive.
    pub fn of_certificates(clean: &AttackReport, margins: &[f32], eps: f32) -> Self {
        let certificate = |(outcome, &margin): (&Outcome, &f32)| {
            let status = match outcome.status {
                Status::Survived if margin > 0.0 => Status::Survived,
                Status::Survived => Status::Uncertified,
                other => other,
            };
            Outcome { status, margin, ..outcome.clone().without_image() }
        };
        let outcomes = clean.outcomes.iter().zip(margins).map(certificate).collect();
        let budget = Budget { norm: Norm::Linf, eps, seed: clean.budget.seed };
        Self::of_outcomes(None, ThreatModel::WhiteBox, budget, outcomes, Vec::new())
    }

    fn measured(
        attack: Option<NamedAttack>,
        threat_model: ThreatModel,
        report: &AttackReport,
    ) -> Self {
        let AttackReport { budget, diagnostics, .. } = report;
        let outcomes: Vec<Outcome> =
            report.outcomes.iter().cloned().map(Outcome::without_image).collect();
        let starts = outcomes.iter().filter(|o| o.cost.zero_starts > 0).count();
        let (invalid, cost) = (report.count(Status::Invalid), report.cost());
        let name = attack.as_ref().map_or("", NamedAttack::name);
        let mut warnings =
            diagnostics.warnings(name, budget.norm, outcomes.len(), invalid, &cost, starts);
        warnings.extend(outside(report.count(Status::Outside)));
        let warnings = warnings.into_iter().map(Warning::Text).collect();
        let found_by = diagnostics.found_by.clone();
        let cell = Self::of_outcomes(attack, threat_model, *budget, outcomes, warnings);
        Self { found_by, ..cell }
    }

    /// What follows from outcomes of an attack that the radius bounded. The time that they took is not known here: 0 seconds.
    pub(super) fn of_outcomes(
        attack: Option<NamedAttack>,
        threat_model: ThreatModel,
        Budget { norm, eps, seed }: Budget,
        outcomes: Vec<Outcome>,
        warnings: Vec<Warning>,
    ) -> Self {
        let cost = total_cost(&outcomes);
        let of = |status| outcomes.iter().filter(move |outcome| outcome.status == status);
        let ids = |status| of(status).map(|outcome| outcome.id).collect::<Vec<u64>>();
        let (robust_indices, outside_indices) = (ids(Status::Survived), ids(Status::Outside));
        let invalid = of(Status::Invalid).count();
        let backward = cost.backward_passes;
        Self {
            attack,
            bounded: true,
            norm,
            eps,
            seed,
            threat_model,
            robust_accuracy: robust_indices.len() as f64 / outcomes.len().max(1) as f64,
            robust_interval: Some(wilson(robust_indices.len(), outcomes.len())),
            random: RandomAccuracy::of(&outcomes),
            robust_indices,
            invalid,
            outside: outside_indices.len(),
            outside_indices,
            forward_passes: cost.forward_passes,
            backward_passes: backward,
            zero_gradient_share: (backward > 0)
                .then(|| cost.zero_gradients as f64 / backward as f64),
            seconds: 0.0,
            warnings,
            found_by: Vec::new(),
            anywhere: false,
            outcomes,
        }
    }

    /// The share of images, as they were shown, that the model classifies correctly: also those that it misclassifies
    /// without an attack and an attack happens to put right. Papers report this for sets that were crafted elsewhere; for
    /// an attack on the model itself, [`robust_accuracy`](Self::robust_accuracy) is the number.
    pub fn accuracy_as_shown(&self) -> f64 {
        let right = self.outcomes.iter().filter(|outcome| {
            outcome.prediction == outcome.label && outcome.status != Status::Invalid
        });
        right.count() as f64 / self.outcomes.len().max(1) as f64
    }

    /// The same of images that count wherever they lie, in the worst case too.
    #[must_use]
    pub fn anywhere(self) -> Self {
        Self { anywhere: true, ..self }
    }

    /// The same at another radius, if none bounded the attack: its images are the same at all of them, but how many lie
    /// within is not. A cell of an attack with a bound stays as it is.
    #[must_use]
    pub fn counted_within(self, eps: f32) -> Self {
        if self.bounded { self } else { Self { eps, ..self }.with_bound(false) }
    }

    /// The same with this answer to whether the radius bounded the attack. If not, a warning says how many of its images
    /// lie within.
    #[must_use]
    pub(super) fn with_bound(mut self, bounded: bool) -> Self {
        self.bounded = bounded;
        self.warnings.retain(|warning| !matches!(warning, Warning::Unbounded { .. }));
        // That ball contains the whole box.
        let everywhere = self.norm == Norm::Linf && self.eps >= 1.0;
        if bounded || everywhere {
            return self;
        }
        let budget = Budget { norm: self.norm, eps: self.eps, seed: self.seed };
        let fooled = self.outcomes.iter().filter(|outcome| outcome.status == Status::Fooled);
        let within = self.outcomes.iter().filter(|outcome| outcome.fooled_within(&budget));
        self.warnings.push(Warning::Unbounded {
            within: within.count(),
            fooled: fooled.count(),
            remedy: self
                .attack
                .as_ref()
                .and_then(|attack| attack.spec()?.bounding_option())
                .map(str::to_owned),
        });
        self
    }
}

fn total_cost(outcomes: &[Outcome]) -> Cost {
    let mut cost = Cost::default();
    outcomes.iter().for_each(|outcome| cost += outcome.cost);
    cost
}
