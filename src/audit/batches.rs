//! Many images in the places of samples, asked about in batches that a model's own fill.

use super::subject::{Subject, batch};
use crate::Result;
use crate::attack::{Answer, Point};

impl Subject<'_> {
    /// The negative margins of `count` images in the place of each of these samples, sample by sample; of a random model those
    /// of the mean logits, which decide. `image(k, n)` is the `n`-th in the place of the `k`-th of them.
    pub fn losses(
        &self,
        which: &[usize],
        count: usize,
        image: impl Fn(usize, usize) -> Vec<f32>,
    ) -> Result<Vec<Vec<f32>>> {
        let mut losses = vec![Vec::with_capacity(count); which.len()];
        let ask =
            |points: &[Point<'_>]| self.mean_answers(points, |some| self.probe().logits(some));
        self.in_batches(which, count, image, ask, |k, answer| {
            losses[k].push(answer.loss(self.samples.labels()[which[k]]));
        })?;
        Ok(losses)
    }

    /// The logits of such images, by one draw of a random model: `hear(k, logits)` gets them in the images' order.
    pub fn logits(
        &self,
        which: &[usize],
        count: usize,
        image: impl Fn(usize, usize) -> Vec<f32>,
        mut hear: impl FnMut(usize, Vec<f32>),
    ) -> Result<()> {
        let ask = |points: &[Point<'_>]| self.probe().logits(points);
        self.in_batches(which, count, image, ask, |k, answer| hear(k, answer.logits))
    }

    /// Asks about all of these images, in order, so many at a time that the batches of a model that is asked in batches are
    /// full.
    fn in_batches(
        &self,
        which: &[usize],
        count: usize,
        image: impl Fn(usize, usize) -> Vec<f32>,
        ask: impl Fn(&[Point<'_>]) -> Result<Vec<Answer>>,
        mut hear: impl FnMut(usize, Answer),
    ) -> Result<()> {
        let (all, batch) = (which.len() * count, batch(self.context));
        for first in (0..all).step_by(batch) {
            let places: Vec<usize> = (first..all.min(first + batch)).collect();
            let images: Vec<Vec<f32>> =
                places.iter().map(|j| image(j / count, j % count)).collect();
            let points = places.iter().zip(&images).map(|(j, x)| self.point(which[j / count], x));
            let answers = ask(&points.collect::<Vec<_>>())?;
            places.iter().zip(answers).for_each(|(j, answer)| hear(j / count, answer));
        }
        Ok(())
    }
}
