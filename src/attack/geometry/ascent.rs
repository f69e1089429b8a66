//! The steepest step in each norm, which the simple gradient attacks share.

use crate::attack::geometry::norm::{Norm, sum_of, unit_of};

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

/// Memory of [`ascend`], kept between calls.
#[derive(Clone, Debug, Default)]
pub struct RankBuffer(Vec<u64>);

/// Moves `x` by `step` in the direction in which the loss rises most, if it goes on as its gradient says.
///
/// Linf: every pixel by the gradient's sign. L2: along the gradient. L1: the pixels with the largest gradients first,
/// each as far as the box `[0, 1]` lets it go, until `step` is used up. L0: the pixels that gain most, to an end of the
/// box. The gradient's size plays no part, however small; only a gradient that is zero everywhere leads nowhere.
pub fn ascend(norm: Norm, step: f32, gradient: &[f32], x: &mut [f32], ranking: &mut RankBuffer) {
    match norm {
        Norm::Linf => {
            x.iter_mut().zip(gradient).for_each(|(x, &g)| *x += step * sign(g));
        }
        Norm::L2 => {
            let unit = unit_of(Norm::Linf.of(gradient));
            let length = sum_of(gradient, gradient, |g, _| (g * unit) * (g * unit)).sqrt();
            if length > 0.0 {
                let factor = step / length;
                x.iter_mut().zip(gradient).for_each(|(x, &g)| *x += factor * (g * unit));
            }
        }
        Norm::L1 => ascend_l1(step, gradient, x, &mut ranking.0),
        Norm::L0 => ascend_l0(step, gradient, x, &mut ranking.0),
    }
}

/// The pixels that gain most by going to an end of the box, `step` of them and at least one.
fn ascend_l0(step: f32, gradient: &[f32], x: &mut [f32], ranking: &mut Vec<u64>) {
    let room = |x: f32, g: f32| if g > 0.0 { 1.0 - x } else { x };
    let gain = |i: usize, g: f32| (g * room(x[i], g).max(0.0)).abs();
    let rank =
        |(i, &g): (usize, &f32)| u64::from(gain(i, g).to_bits()) << 32 | u64::from(!(i as u32));
    ranking.clear();
    ranking.extend(gradient.iter().enumerate().map(rank).filter(|rank| rank >> 32 > 0));
    ranking.sort_unstable_by(|a, b| b.cmp(a));
    for &rank in ranking.iter().take((step as usize).max(1)) {
        let i = !(rank as u32) as usize;
        x[i] = if gradient[i] > 0.0 { 1.0 } else { 0.0 };
    }
}

/// Exact for a linear loss, whose best step inside ball and box this is.
fn ascend_l1(step: f32, gradient: &[f32], x: &mut [f32], ranking: &mut Vec<u64>) {
    // The bits of positive floats are ordered as the floats are; of equals the first pixel comes first.
    let rank = |(i, g): (usize, &f32)| u64::from(g.abs().to_bits()) << 32 | u64::from(!(i as u32));
    ranking.clear();
    ranking.extend(gradient.iter().enumerate().filter(|(_, g)| **g != 0.0).map(rank));
    ranking.sort_unstable_by(|a, b| b.cmp(a));
    let mut left = step;
    for &rank in ranking.iter() {
        if left <= 0.0 {
            break;
        }
        let i = !(rank as u32) as usize;
        let upward = gradient[i] > 0.0;
        let room = if upward { 1.0 - x[i] } else { x[i] };
        let length = room.clamp(0.0, left);
        x[i] += if upward { length } else { -length };
        left -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(norm: Norm, step: f32, gradient: &[f32], x: &[f32]) -> Vec<f32> {
        let mut x = x.to_vec();
        ascend(norm, step, gradient, &mut x, &mut RankBuffer::default());
        x
    }

    #[test]
    fn the_size_of_the_gradient_plays_no_part() {
        let (gradient, x) = ([3.0, -1.0, 0.0, 0.25, 2.0], [0.5; 5]);
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let expected = step(norm, 0.25, &gradient, &x);
            assert!((norm.distance(&expected, &x) - 0.25).abs() < 1e-6);
            for exponent in -120..=120 {
                let scaled = gradient.map(|g| g * 2.0f32.powi(exponent));
                assert_eq!(step(norm, 0.25, &scaled, &x), expected, "{norm} 2^{exponent}");
            }
            assert_eq!(step(norm, 0.25, &[0.0; 5], &x), x, "{norm}");
        }
    }

    #[test]
    fn in_l1_the_steepest_pixels_go_first_and_no_farther_than_the_box() {
        let x = [0.9, 0.25, 0.5, 0.5, 0.5];
        let gradient = [5.0, -4.0, 3.0, -3.0, 1.0];
        let moved = step(Norm::L1, 0.75, &gradient, &x);
        let expected = [1.0, 0.0, 0.9, 0.5, 0.5];
        assert!(moved.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{moved:?}");
    }
}
