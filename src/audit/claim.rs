//! The attack behind a claim: whether it can reach what it is to reach, and what it leaves.

use super::AuditOptions;
use super::report::{Check, Finding};
use super::subject::{NumberCheck, ShareCheck, Subject};
use crate::Result;

/// Nothing where no attack was named.
pub(super) fn behind(subject: &mut Subject<'_>, options: &AuditOptions) -> Result<Vec<Check>> {
    let Some(spec) = &options.claimed_by else { return Ok(Vec::new()) };
    let attack = spec.build()?;
    let warnings = attack.option_warnings(&subject.budget);
    let finding = if warnings.is_empty() { Finding::Pass } else { Finding::Warn };
    let number = NumberCheck {
        name: "reach",
        catches: "steps that fall short",
        measures: "doubts about the options of the attack behind the claim",
        meaning: &warnings.join("; "),
    };
    let reach = number.check(warnings.len() as f64, ("warns above 0", finding));
    // Of all samples, and then of those that something else fooled before.
    let others = subject.survivors().len();
    let fooled = subject.fooled.clone();
    let found = subject.attack(attack.as_ref(), &subject.all())?;
    let ran = subject.attacks.last_mut();
    let invalid = ran.map_or(0, |ran| {
        ran.attack = spec.to_string();
        ran.invalid
    });
    let missed = (0..subject.len()).filter(|i| fooled[*i] && !found.contains(i)).count();
    let measures = format!(
        "images that this audit fools and the attack behind the claim does not ({spec} leaves {} of {}, the audit {others})",
        subject.len() - found.len() - invalid,
        subject.len()
    );
    let share = ShareCheck {
        name: "attack of the claim",
        catches: "weak attacks",
        measures: "",
        fail: None,
        warn: Some(0.01),
        meaning: "the claim rests on an attack that is weaker than others: report what the union leaves",
    };
    // Each look at a random model may fool another few.
    let weaker = Check { measures, ..subject.share(share, missed, subject.len()) };
    Ok(vec![reach, weaker])
}
