//! Checks of a model's answers: are they repeatable, do they depend on the image alone, are they logits?

use super::gradients::{along, signs};
use super::report::{Check, Finding};
use super::statistics::{bootstrap, interval, median};
use super::subject::{NumberCheck, ShareCheck, Subject};
use crate::Result;
use crate::attack::{Answer, Point, are_probabilities, direction_distance};
use crate::simd::LANES;
use rand::Rng;

/// Whether the answer to an image is one: asked again, in another order, and alone.
pub(super) fn determinism(subject: &Subject<'_>) -> Result<Check> {
    let which = Subject::some(&subject.all(), 256);
    let point = |&i: &usize| subject.point(i, subject.samples.image(i));
    let points: Vec<Point<'_>> = which.iter().map(point).collect();
    let first = subject.probe().logits(&points)?;
    let again = subject.probe().logits(&points)?;
    let reversed: Vec<Point<'_>> = points.iter().rev().copied().collect();
    let mut turned = subject.probe().logits(&reversed)?;
    turned.reverse();
    let mut differ = 0;
    for k in 0..which.len() {
        let mut same = alike(&first[k], &again[k]) && alike(&first[k], &turned[k]);
        // Alone costs a block a sample.
        if same && k % 8 == 0 {
            same = alike(&first[k], &subject.probe().logits(&points[k..=k])?[0]);
        }
        // Noise that does not come from its key: a model that does not say that it is random.
        if same && !subject.model.is_random() {
            let other = Point { noise: subject.key("other noise", which[k]), ..points[k] };
            let batch = [other; LANES];
            same = k % 8 != 0 || alike(&first[k], &subject.probe().logits(&batch)?[3]);
        }
        differ += usize::from(!same);
    }
    let check = ShareCheck {
        name: "determinism",
        catches: "noise, batch statistics",
        measures: "images whose answer changes when they are shown again, in another order, alone, or with other noise",
        fail: Some(0.0),
        warn: Some(0.0),
        meaning: "answers depend on chance or on the batch: attacks see one network and are judged by another; evaluate \
                  the expected answer (autoattack:version=rand, draws=N), or make its draws depend on a key",
    };
    Ok(check.check(differ, which.len(), 1.0))
}

/// Whether two answers have one direction, to 1e-4.
fn alike(a: &Answer, b: &Answer) -> bool {
    // Not by `>`: what is no number is not alike.
    direction_distance(&a.logits, &b.logits) <= 1e-4
}

/// Marks the samples near which the model has no answers: logits that are not finite at a random corner of a cube around the
/// image, small or as large as the ball. Other checks would take these for something else.
pub(super) fn mark_unanswered(subject: &mut Subject<'_>) -> Result<()> {
    let reach = subject.reach();
    let distances = [1e-6, reach / 10.0, reach / 4.0, reach].map(|d| [d, -d]);
    let distances = distances.as_flattened();
    for some in subject.all().chunks(32) {
        let near = |&i: &usize| {
            let clean = subject.samples.image(i);
            let signs = signs(subject.key("finite", i), clean.len());
            distances.iter().map(|&d| (i, along(clean, &signs, d))).collect::<Vec<_>>()
        };
        let images: Vec<(usize, Vec<f32>)> = some.iter().flat_map(near).collect();
        let points: Vec<Point<'_>> = images.iter().map(|(i, x)| subject.point(*i, x)).collect();
        let answers = subject.probe().logits(&points)?;
        for ((i, _), answer) in images.iter().zip(answers) {
            subject.invalid[*i] |= answer.logits.iter().any(|z| !z.is_finite());
        }
    }
    Ok(())
}

/// Images in whose ball the model's logits are not finite somewhere, or at which they are not.
pub(super) fn finite(subject: &Subject<'_>) -> Check {
    let share = ShareCheck {
        name: "finite answers",
        catches: "logits that overflow or divide by zero, which attacks count as failures",
        measures: "images at which, or in whose ball, the model's logits are not finite (NaN or infinite)",
        fail: Some(0.0),
        warn: Some(0.0),
        meaning: "the model has no answer to these images: they count neither as robust nor as fooled, and attacks that \
                  meet such logits end there; find the operation that overflows or divides by zero, and audit again",
    };
    let near = subject.invalid.iter().filter(|&&invalid| invalid).count();
    let at = subject.chosen.invalid;
    share.check(near + at, subject.len() + at, 1.0)
}

/// Whether an image that hardly differs gets an unrelated answer: noise that is drawn from the pixels.
pub(super) fn hidden_noise(subject: &Subject<'_>) -> Result<Check> {
    let which = Subject::some(&subject.answered(), 128);
    let mut logits = vec![Vec::new(); which.len()];
    let image = |k: usize, n: usize| -> Vec<f32> {
        let clean = subject.samples.image(which[k]);
        let distance = [0.0, 1e-6, subject.reach() / 10.0][n];
        let random = &mut subject.key("near", which[k]).generator();
        let mut sign = || if random.next_u32() >> 31 == 0 { 1.0 } else { -1.0 };
        let moved = |x: &f32| (x + distance * sign()).clamp(0.0, 1.0);
        if n == 0 { clean.to_vec() } else { clean.iter().map(moved).collect() }
    };
    subject.logits(&which, 3, image, |k, answer| logits[k].push(answer))?;
    let mut ratios = Vec::new();
    for answers in logits {
        let far = |a: &[f32]| -> f64 {
            let squares = a.iter().zip(&answers[0]);
            squares.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
        };
        let near = far(&answers[1]);
        ratios.push(if near == 0.0 { 0.0 } else { near / far(&answers[2]).max(1e-300) });
    }
    let ratio = median(ratios.clone());
    let interval =
        bootstrap(ratios.len(), |some| median(some.iter().map(|&i| ratios[i]).collect()));
    let finding = if ratio <= 0.3 { Finding::Pass } else { Finding::Fail };
    let number = NumberCheck {
        name: "hidden noise",
        catches: "noise drawn from the pixels",
        measures: "how far logits move over 1e-6, as a share of how far over eps / 10 (median)",
        meaning: "two images that hardly differ get unrelated answers: the model draws its noise from the pixels, so averaging over \
         draws averages nothing; draw it from a key",
    };
    let check = number.check(ratio.min(1e9), ("fails above 0.3", finding));
    Ok(Check { interval: interval.map(|at| at.map(|ratio| ratio.min(1e9))), ..check })
}

/// Whether outputs are probabilities, whose gradients vanish.
pub(super) fn probabilities(subject: &Subject<'_>) -> Result<Check> {
    let which = subject.all();
    let answers = subject.gradients(&which[..which.len().min(64)])?;
    let count = answers.iter().filter(|answer| are_probabilities(&answer.logits)).count();
    let interval = Some(interval(count, answers.len()));
    let share = count as f64 / answers.len() as f64;
    let finding = if count == answers.len() { Finding::Fail } else { Finding::Pass };
    let number = NumberCheck {
        name: "output type",
        catches: "softmax in the model",
        measures: "images whose outputs lie in 0..=1 and sum to 1",
        meaning: "the outputs are probabilities, which lose gradient and order where the network is certain: attack the logits",
    };
    let check = number.check(share, ("fails if all do", finding));
    Ok(Check { interval, ..check })
}
