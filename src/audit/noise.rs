//! What averaging over its draws shows of a random model.

use super::AuditOptions;
use super::altered::Altered;
use super::report::{Check, Finding};
use super::statistics::{beyond, interval, surely_more};
use super::subject::{NumberCheck, ShareCheck, Subject};
use crate::Result;
use crate::attack::{Budget, Pgd, Start, Status, run_attack};

/// Of a random model: whether attacks that average over draws find more, and whether it falls where it draws the same every
/// time.
pub(super) fn averaging(subject: &mut Subject<'_>, options: &AuditOptions) -> Result<Vec<Check>> {
    if !subject.model.is_random() {
        return Ok(Vec::new());
    }
    let some = Subject::some(&subject.all(), 128);
    let mut fooled = |draws| {
        let pgd = Pgd { draws, steps: 20, ..Pgd::default() };
        subject.attack(&pgd, &some)
    };
    let (one, many) = (fooled(1)?, fooled(20)?);
    let more = many.len().saturating_sub(one.len());
    let gap = more as f64 / some.len() as f64;
    // The audit itself averages: what an attack of single draws misses casts doubt on a claimed number.
    let claimed = options.claim.is_some();
    let surely = surely_more(beyond(&many, &one), beyond(&one, &many), 1);
    let warns = claimed && surely && gap > 0.01;
    let threshold = if claimed { "warns if significantly above 1 %" } else { "for information" };
    let number = NumberCheck {
        name: "averaged draws",
        catches: "accuracies from single draws",
        measures: "images that an attack fools that averages 20 draws a step, beyond those of an attack that takes one",
        meaning: "attacks that look at one draw a step follow its noise: report numbers of attacks that average (draws=20, \
         autoattack:version=rand)",
    };
    let averaged =
        number.check(gap, (threshold, if warns { Finding::Warn } else { Finding::Pass }));
    let interval = Some(interval(more, some.len()));
    let averaged = Check { interval, ..averaged };
    if !subject.model.draws_by_key() {
        return Ok(vec![averaged]);
    }
    let fixed = Altered::fixed_draws(subject.model);
    let samples = subject.samples.select(&some)?;
    let guided = Pgd { steps: 100, start: Start::Clean, ..Pgd::default() };
    let budget = Budget { eps: subject.whole(), ..subject.budget };
    let report = run_attack(subject.context, &fixed, &samples, &guided, budget)?;
    let right = report.outcomes.iter().filter(|o| o.status != Status::CleanWrong).count();
    let check = ShareCheck {
        name: "fixed draws",
        catches: "masks behind the noise",
        measures: "images that withstand gradients where every image is allowed and the model draws the same every time",
        fail: Some(0.0),
        warn: Some(0.0),
        meaning: "it is not the noise alone that keeps gradients from leading anywhere",
    };
    Ok(vec![averaged, check.check(report.count(Status::Survived), right, 1.0)])
}
