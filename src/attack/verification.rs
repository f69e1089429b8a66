//! Fresh forward passes: what a model says about images, wherever they come from.

use crate::Result;
use crate::attack::attack_info::AttackInfo;
use crate::attack::candidate::Candidate;
use crate::attack::probe::{DrawnLogits, Point, Probe};
use crate::attack::task::AttackTask;
use crate::nn::decision_noise;
use crate::simd::random::Key;

/// What a fresh look at an image that an attack found says.
pub(super) struct Confirmation {
    /// Whether it lies in box and ball and is misclassified.
    pub fools: bool,
    pub verdict: DrawnLogits,
}

/// A fresh look at the image of every candidate that has one.
pub(super) fn confirm(
    task: &AttackTask<'_>,
    attack: &AttackInfo,
    candidates: &[Candidate],
) -> Result<Vec<Option<Confirmation>>> {
    let found =
        || candidates.iter().filter_map(|candidate| Some((candidate, candidate.hit.as_ref()?)));
    let images: Vec<&[f32]> = found().map(|(_, hit)| hit.image.as_slice()).collect();
    let which: Vec<usize> = found().map(|(candidate, _)| candidate.sample).collect();
    let mut verdicts = judge(task, attack.draws, &images, &which)?.into_iter();
    let confirmed = candidates.iter().map(|candidate| {
        let (hit, verdict) = (candidate.hit.as_ref()?, verdicts.next()?);
        let distance = task.budget.norm.distance(&hit.image, task.samples.image(candidate.sample));
        let boxed = hit.image.iter().all(|pixel| (0.0..=1.0).contains(pixel));
        let fools = boxed
            && (!attack.bounded || task.budget.admits(distance))
            && verdict.logits.iter().all(|z| z.is_finite())
            && task.is_success(&verdict.logits, task.samples.labels()[candidate.sample]);
        Some(Confirmation { fools, verdict })
    });
    Ok(confirmed.collect())
}

/// The verdicts on images of the samples `which`, clean or found by an attack with `draws` draws. Of a random model the draws
/// are the same for both, so that they differ by the image, and such as no attack has seen.
pub(super) fn judge(
    task: &AttackTask<'_>,
    draws: usize,
    images: &[&[f32]],
    which: &[usize],
) -> Result<Vec<DrawnLogits>> {
    let seed = task.budget.seed;
    evaluate(task, images, which, task.draws(draws), &|id, draw| decision_noise(seed, id, draw))
}

/// The mean over `draws` forward passes of each image, with the noise of (identity, draw).
pub(super) fn evaluate(
    task: &AttackTask<'_>,
    images: &[&[f32]],
    which: &[usize],
    draws: usize,
    noise: &(dyn Fn(u64, usize) -> Key + Sync),
) -> Result<Vec<DrawnLogits>> {
    let (samples, probe) = (task.samples, Probe { context: task.context, model: task.classifier });
    let points: Vec<Point<'_>> = images
        .iter()
        .zip(which)
        .map(|(image, &i)| Point { image, label: samples.labels()[i], noise: Key::new(0) })
        .collect();
    probe.drawn(&points, draws, &|place, draw| noise(samples.ids()[which[place]], draw))
}
