//! The step that the simple gradient attacks share.

use super::norm::Norm;

/// The sign, with that of zero being zero.
pub fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

/// `x += step * direction`: the sign of the gradient for Linf, the gradient divided by its norm for L2 and L1. The
/// larger `floor` is, the less is made of a gradient that is almost zero.
pub fn ascend(norm: Norm, step: f32, floor: f32, gradient: &[f32], x: &mut [f32]) {
    match norm {
        Norm::Linf => {
            x.iter_mut().zip(gradient).for_each(|(x, &g)| *x += step * sign(g));
        }
        Norm::L2 | Norm::L1 => {
            let factor = step / (norm.of(gradient) + floor);
            x.iter_mut().zip(gradient).for_each(|(x, &g)| *x += factor * g);
        }
    }
}
