//! What descents to the smallest perturbation share.

use crate::attack::geometry::random::normals;
use crate::attack::stepper::{Feedback, Sample};

/// From `first` to `last` over the steps, along half a period of the cosine.
pub(super) fn cosine(first: f32, last: f32, step: usize, steps: usize) -> f32 {
    let phase = std::f64::consts::PI * step as f64 / steps.max(1) as f64;
    last + (first - last) * (0.5 * (1.0 + phase.cos())) as f32
}

/// The gradient, or in its place where it vanishes a random direction in `noise`: without a gradient any direction is as
/// good as another.
pub(super) fn direction<'a>(
    sample: &Sample<'_>,
    answer: &Feedback<'a>,
    taken: usize,
    noise: &'a mut [f32],
) -> &'a [f32] {
    if answer.gradient.iter().any(|&g| g != 0.0) {
        return answer.gradient;
    }
    normals(sample.isa, &mut sample.key.with(taken as u64).generator(), noise);
    noise
}
