//! Fresh forward passes: what a model says about images, whoever found them.

use crate::Result;
use crate::attack::candidate::Candidate;
use crate::attack::engine::transpose::{first_lanes, to_lanes};
use crate::attack::search::AttackInfo;
use crate::attack::task::AttackTask;
use crate::nn::{decision_noise, predict};
use crate::simd::random::Key;
use crate::simd::{LANES, Lanes};

/// What the model says about an image.
#[derive(Clone, Debug, Default)]
pub(super) struct DrawnLogits {
    /// The mean logits over the draws.
    pub logits: Vec<f32>,
    /// The share of the draws that by themselves give the label.
    pub right: f64,
}

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

/// The verdicts on images of the samples `which`, clean or found by an attack of so many draws. Of a random model the draws are the
/// same for both, so that they differ by the image, and such as no attack has seen.
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
    let (classes, features) = (task.classifier.classes(), task.samples.shape().features());
    let mut verdicts = vec![DrawnLogits::default(); images.len()];
    let workers = task.context.workers(|context| {
        let session = task.classifier.session(context);
        (session, vec![0.0; LANES * features], vec![Lanes::ZERO; features])
    });
    workers.chunks(&mut verdicts, LANES, |(session, rows, block), i, verdicts| {
        let (images, which) = (&images[i * LANES..], &which[i * LANES..]);
        rows.fill(0.0);
        for ((row, image), verdict) in rows.chunks_mut(features).zip(images).zip(&mut *verdicts) {
            row.copy_from_slice(image);
            verdict.logits.resize(classes, 0.0);
        }
        to_lanes(rows, block);
        session.occupy(first_lanes(verdicts.len()));
        let (mut z, mut row) = (vec![Lanes::ZERO; classes], vec![0.0; classes]);
        for draw in 0..draws {
            let key = |lane: usize| {
                let id = which.get(lane).map_or(0, |&sample| task.samples.ids()[sample]);
                noise(id, draw)
            };
            session.logits(block, &std::array::from_fn(key), false, &mut z)?;
            for (lane, (verdict, &sample)) in verdicts.iter_mut().zip(which).enumerate() {
                row.iter_mut().zip(&z).for_each(|(to, z)| *to = z.0[lane]);
                let means = verdict.logits.iter_mut().zip(&row);
                means.for_each(|(mean, z)| *mean += z / draws as f32);
                let label = task.samples.labels()[sample];
                let right = row.iter().all(|z| z.is_finite()) && predict(&row) == label;
                verdict.right += f64::from(u8::from(right));
            }
        }
        verdicts.iter_mut().for_each(|verdict| verdict.right /= draws as f64);
        Ok(())
    })?;
    Ok(verdicts)
}
