//! The sparse step of APGD in L1: only the pixels with the largest gradients move, and how many is adapted (Croce &
//! Hein 2021, "Mind the box", section 4).

use crate::attack::geometry::ascent::sign;

/// How sparse the next step is.
pub struct Sparse {
    features: usize,
    /// The share of pixels that move.
    share: f32,
    /// Pixels that the best point had changed, at the last look.
    changed: f32,
    /// |gradient|, to be put in order.
    sizes: Vec<f32>,
}

impl Sparse {
    pub fn new(features: usize) -> Self {
        Self { features, share: 0.2, changed: features as f32, sizes: vec![0.0; features] }
    }

    /// For a run from a random point.
    pub fn reset(&mut self) {
        (self.share, self.changed) = (0.2, self.features as f32);
    }

    /// For a stage from the point `x`.
    pub fn restart(&mut self, x: &[f32], clean: &[f32]) {
        self.changed = changed(x, clean);
        self.share = self.changed / self.features as f32 / 1.5;
    }

    /// Adapts to the best point; true if the search is to go on from there. `eta` is reset when the best point has
    /// become sparser, else divided by 1.5, and stays in eps / 10 ..= eps.
    pub fn look(&mut self, best: &[f32], clean: &[f32], eps: f32, eta: &mut f32) -> bool {
        let now = changed(best, clean);
        let sparser = now / self.changed < 0.95;
        self.share = now / self.features as f32 / 1.5;
        self.changed = now;
        *eta = if sparser { eps } else { (*eta / 1.5).clamp(eps / 10.0, eps) };
        sparser
    }

    /// Moves the chosen pixels by equal amounts that sum to `eta`.
    pub fn ascend(&mut self, eta: f32, gradient: &[f32], x: &mut [f32]) {
        self.sizes.iter_mut().zip(gradient).for_each(|(size, g)| *size = g.abs());
        let rank = ((1.0 - self.share) * self.features as f32) as usize;
        let rank = rank.min(self.features.saturating_sub(1));
        let (_, &mut least, _) = self.sizes.select_nth_unstable_by(rank, f32::total_cmp);
        let chosen = |g: f32| g.abs() >= least && g != 0.0;
        let count = gradient.iter().filter(|&&g| chosen(g)).count();
        let step = eta / (count as f32 + 1e-10);
        for (x, &g) in x.iter_mut().zip(gradient) {
            if chosen(g) {
                *x += step * sign(g);
            }
        }
    }
}

/// The number of pixels in which two images differ.
fn changed(x: &[f32], clean: &[f32]) -> f32 {
    x.iter().zip(clean).filter(|(x, c)| x != c).count() as f32
}
