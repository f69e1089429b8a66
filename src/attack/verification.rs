//! Fresh forward passes: what a model says about images, whoever found them.

use super::job::Job;
use super::search::Attack;
use super::transpose::to_lanes;
use super::trial::Trial;
use crate::Result;
use crate::nn::predict;
use crate::simd::random::Key;
use crate::simd::{LANES, Lanes};

/// For every trial, whether a fresh forward pass misclassifies its image, which must lie in box and ball; and the
/// logits of all images found, one after the other.
pub(super) fn confirm(
    job: &Job<'_>,
    attack: &dyn Attack,
    trials: &[Trial],
) -> Result<(Vec<bool>, Vec<f32>)> {
    let found = || trials.iter().filter_map(|trial| Some((trial, trial.hit.as_ref()?)));
    let images: Vec<&[f32]> = found().map(|(_, hit)| hit.image.as_slice()).collect();
    let ids: Vec<u64> = found().map(|(trial, _)| job.samples.ids()[trial.sample]).collect();
    let logits = verify(job, &images, &ids, attack.draws(), "verification")?;
    let mut rows = logits.chunks(job.classifier.classes());
    let confirmed = trials.iter().map(|trial| {
        let Some((hit, row)) = trial.hit.as_ref().and_then(|hit| Some((hit, rows.next()?))) else {
            return false;
        };
        let distance = job.budget.norm.distance(&hit.image, job.samples.image(trial.sample));
        let boxed = hit.image.iter().all(|pixel| (0.0..=1.0).contains(pixel));
        boxed
            && (!attack.is_bounded() || job.budget.admits(distance))
            && row.iter().all(|z| z.is_finite())
            && predict(row) != job.samples.labels()[trial.sample]
    });
    let confirmed = confirmed.collect();
    Ok((confirmed, logits))
}

/// The mean logits of `draws` forward passes of each image, `[image][class]`, with noise of this `purpose`.
pub(super) fn verify(
    job: &Job<'_>,
    images: &[&[f32]],
    ids: &[u64],
    draws: usize,
    purpose: &str,
) -> Result<Vec<f32>> {
    let (classes, features) = (job.classifier.classes(), job.samples.shape().features());
    let root = Key::new(job.budget.seed).named(purpose);
    let draws = draws.max(1);
    let mut logits = vec![0.0; images.len() * classes];
    let workers = job.context.workers(|context| {
        let session = job.classifier.session(context);
        (session, vec![0.0; LANES * features], vec![Lanes::ZERO; features])
    });
    workers.chunks(&mut logits, LANES * classes, |(session, rows, block), i, out| {
        let count = out.len() / classes;
        rows.fill(0.0);
        for (row, image) in rows.chunks_mut(features).zip(&images[i * LANES..][..count]) {
            row.copy_from_slice(image);
        }
        to_lanes(rows, block);
        let mut z = vec![Lanes::ZERO; classes];
        for draw in 0..draws {
            let key = |lane: usize| {
                let id = ids.get(i * LANES + lane).copied().unwrap_or(0);
                root.with(id).with(draw as u64)
            };
            session.logits(block, &std::array::from_fn(key), false, &mut z)?;
            for (lane, row) in out.chunks_mut(classes).enumerate() {
                row.iter_mut().zip(&z).for_each(|(to, z)| *to += z.0[lane] / draws as f32);
            }
        }
        Ok(())
    })?;
    Ok(logits)
}
