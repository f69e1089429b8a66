//! The result of an attack, as JSON and as text.

use crate::model::ModelKind;
use crate::numbers::{confidence, percent};
use deepsleep::attack::{AttackReport, FoundBy, Norm, Outcome, Status, findings};
use deepsleep::evaluation::{Cell, RandomAccuracy, ThreatModel, Warning, worst_cases};
use deepsleep::wording::{significant, written};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub struct AttackSummary<'a> {
    #[serde(flatten)]
    subject: AttackSubject<'a>,
    attack: String,
    norm: Norm,
    eps: f32,
    seed: u64,
    threat_model: ThreatModel,
    clean_accuracy: f64,
    robust_accuracy: f64,
    robust_interval: Option<[f64; 2]>,
    /// Of a random network, what one draw has on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_clean_accuracy: Option<f64>,
    #[serde(flatten)]
    random: Option<RandomAccuracy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    draws: Option<usize>,
    /// The same, if only what lies within eps counts as fooled: another number where eps does not bound the attack.
    robust_accuracy_within_eps: Option<f64>,
    clean_wrong: usize,
    fooled: usize,
    survived: usize,
    pub invalid: usize,
    /// Images found by each part of an ensemble.
    winners: BTreeMap<std::borrow::Cow<'static, str>, usize>,
    /// The same in the ensemble's order, those who found nothing too.
    #[serde(skip_serializing_if = "<[FoundBy]>::is_empty")]
    found_by: &'a [FoundBy],
    #[serde(skip)]
    findings: Option<String>,
    /// Of the images that fool.
    mean_linf: Option<f64>,
    mean_l2: Option<f64>,
    mean_l1: Option<f64>,
    /// Pixels that changed.
    mean_l0: Option<f64>,
    forward_passes: u64,
    backward_passes: u64,
    zero_gradient_share: Option<f64>,
    seconds: f64,
    warnings: &'a [Warning],
    bounded: bool,
}

/// What was attacked.
#[derive(Serialize)]
pub struct AttackSubject<'a> {
    pub model: &'a str,
    pub model_kind: ModelKind,
    pub source: Option<&'a str>,
    pub dataset: String,
    pub first: usize,
    pub images: usize,
}

impl<'a> AttackSummary<'a> {
    pub fn new(
        subject: AttackSubject<'a>,
        report: &'a AttackReport,
        cell: &'a Cell,
        draws: Option<usize>,
    ) -> Self {
        let within = worst_cases(std::slice::from_ref(cell));
        let fooled = || report.outcomes.iter().filter(|o| o.status == Status::Fooled);
        let mean = |get: fn(&Outcome) -> f32| {
            let sum: f64 = fooled().map(|outcome| f64::from(get(outcome))).sum();
            fooled().next().map(|_| sum / fooled().count() as f64)
        };
        let mut winners = BTreeMap::new();
        for winner in fooled().filter_map(|outcome| outcome.winner.as_ref()) {
            *winners.entry(winner.attack.clone()).or_default() += 1;
        }
        Self {
            subject,
            attack: cell.attack.as_ref().map_or(String::new(), ToString::to_string),
            norm: cell.norm,
            eps: cell.eps,
            seed: cell.seed,
            threat_model: cell.threat_model,
            clean_accuracy: report.clean_accuracy(),
            robust_accuracy: report.robust_accuracy(),
            robust_interval: cell.robust_interval,
            expected_clean_accuracy: report.expected_clean_accuracy(),
            random: cell.random,
            draws,
            robust_accuracy_within_eps: within.first().map(|worst| worst.robust_accuracy),
            clean_wrong: report.count(Status::CleanWrong),
            fooled: fooled().count(),
            survived: report.count(Status::Survived),
            invalid: report.count(Status::Invalid),
            winners,
            found_by: &report.diagnostics.found_by,
            findings: findings(&report.diagnostics.found_by),
            mean_linf: mean(|outcome| outcome.linf),
            mean_l2: mean(|outcome| outcome.l2),
            mean_l1: mean(|outcome| outcome.l1),
            mean_l0: mean(|outcome| outcome.l0),
            forward_passes: cell.forward_passes,
            backward_passes: cell.backward_passes,
            zero_gradient_share: report.zero_gradient_share(),
            seconds: cell.seconds,
            warnings: &cell.warnings,
            bounded: cell.bounded,
        }
    }

    pub fn text(&self) -> String {
        let Self { norm, eps, .. } = *self;
        let mut lines = vec![format!(
            "{} ({norm}, eps {}) on {} images: robust accuracy {} ({}), clean {} ({:.1} s)",
            self.attack,
            written(eps),
            self.subject.images,
            percent(self.robust_accuracy, 1.0),
            self.robust_interval.map_or(String::new(), confidence),
            percent(self.clean_accuracy, 1.0),
            self.seconds
        )];
        if let (false, Some(within)) = (self.bounded, self.robust_accuracy_within_eps) {
            let (within, eps) = (percent(within, 1.0), written(eps));
            lines.push(format!("counting only images within eps {eps}: robust accuracy {within}"));
        }
        lines.push(format!(
            "{} fooled, {} survived, {} misclassified without an attack, {} invalid",
            self.fooled, self.survived, self.clean_wrong, self.invalid
        ));
        if let (Some(clean), Some(random), Some(draws)) =
            (self.expected_clean_accuracy, self.random, self.draws)
        {
            lines.push(format!(
                "a random network, judged by {draws} draws an image: a single draw is right in {} of the cases under attack \
                 ({}), {} clean; the majority of draws is right on {} of the images ({})",
                percent(random.expected_accuracy, 1.0),
                confidence(random.expected_interval),
                percent(clean, 1.0),
                percent(random.majority_accuracy, 1.0),
                confidence(random.majority_interval)
            ));
        }
        if let (Some(linf), Some(l2), Some(l1), Some(l0)) =
            (self.mean_linf, self.mean_l2, self.mean_l1, self.mean_l0)
        {
            lines.push(format!(
                "average distance of images that fool: linf {}, l2 {}, l1 {}, l0 {}",
                significant(linf),
                significant(l2),
                significant(l1),
                significant(l0)
            ));
        }
        let zeros = self.zero_gradient_share.map_or("no gradients".to_owned(), |share| {
            format!("{} of gradients exactly zero", percent(share, 1.0))
        });
        lines.push(format!(
            "{} forward and {} backward passes, {zeros}",
            self.forward_passes, self.backward_passes
        ));
        lines.extend(self.findings.clone());
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.join("\n")
    }
}
