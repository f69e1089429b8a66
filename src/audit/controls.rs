//! Whether the audit itself works on these images: it has to find a mask that it planted, and to fool a model of which
//! the answer is known.

use super::altered::Altered;
use super::attacks::with_gradients;
use super::gradients::{Ascent, Gradients, vanishing};
use super::known::{NearestMean, right};
use super::report::{Check, Finding};
use super::subject::{NumberCheck, Subject};
use crate::Result;
use crate::attack::{Attack, Budget, Status, run_attack};

/// Samples that the controls look at.
const SOME: usize = 64;

/// How many of the controls went wrong.
pub(super) fn controls(subject: &Subject<'_>, fast: bool) -> Result<Check> {
    let mut wrong = Vec::new();
    let zero = Altered::gradients(subject.model, 0.0);
    let planted = subject.of_model(&zero);
    if vanishing(&Gradients::of(&planted, SOME)?).finding != Finding::Fail {
        wrong.push("a gradient that it took away was not missed".to_owned());
    }
    let turned = Altered::gradients(subject.model, -1.0);
    let planted = subject.of_model(&turned);
    // Where the own one leads downwards, the other way is the right one.
    let own = Ascent::of(subject, &Gradients::of(subject, SOME)?)?;
    let other = Ascent::of(&planted, &Gradients::of(&planted, SOME)?)?;
    // A random model's losses vary, and a few images are too few to be sure: then it is the order that counts.
    let noticed = match subject.model.is_random() {
        true => own.beats(&other),
        false => other.check(&planted).finding != Finding::Pass,
    };
    if own.check(subject).finding != Finding::Fail && !noticed {
        wrong.push("a gradient that it turned round was not noticed".to_owned());
    }
    let (known, missed) = missed(subject, fast)?;
    if missed > 0 {
        wrong.push(format!(
            "its attacks left {missed} of {known} images that can be fooled of a model whose answer is known"
        ));
    }
    let finding = if wrong.is_empty() { Finding::Pass } else { Finding::Fail };
    let meaning = format!(
        "the audit does not work on these images and this radius, so that nothing it says counts: {}",
        wrong.join("; ")
    );
    let check = NumberCheck {
        name: "controls",
        catches: "an audit that does not work here",
        measures: "controls that went wrong, of three: a gradient taken away, one turned round, and a model of the images' class means",
        meaning: &meaning,
    };
    Ok(check.check(wrong.len() as f64, ("fails above 0", finding)))
}

/// Of the samples of which a formula knows that the model of the class means can be fooled: how many there are, and how many
/// the attacks left.
fn missed(subject: &Subject<'_>, fast: bool) -> Result<(usize, usize)> {
    let model = NearestMean::new(&subject.samples, subject.model.classes());
    let Budget { norm, eps, .. } = subject.budget;
    let known = right(&model, &subject.samples).into_iter().filter(|&i| {
        model.is_fooled(subject.samples.image(i), subject.samples.labels()[i], norm, eps)
    });
    let known = Subject::some(&known.collect::<Vec<usize>>(), SOME);
    let mut left = known.clone();
    // Those of an audit of this model: of a spiking network's few go without spikes.
    for member in with_gradients(norm, &model, fast) {
        if left.is_empty() {
            break;
        }
        let some = subject.samples.select(&left)?;
        let attack: &dyn Attack = member.attack.as_ref();
        let report = run_attack(subject.context, &model, &some, attack, subject.budget)?;
        // What the engine's own arithmetic takes for another class needs no attack.
        let survived = |k: usize| report.outcomes[k].status == Status::Survived;
        left = (0..left.len()).filter(|&k| survived(k)).map(|k| left[k]).collect();
    }
    Ok((known.len(), left.len()))
}
