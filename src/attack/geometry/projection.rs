//! Back into the ball around the clean image and the box of images, 0 to 1 a pixel.

use crate::attack::geometry::norm::{Norm, sum_of};

/// Memory of [`into_ball`], kept between calls.
#[derive(Clone, Debug, Default)]
pub struct Breakpoints(Vec<(f32, f32)>);

/// The share of the radius that is given up in L2 and L1, where the length of a difference depends on the order in
/// which its pixels are added: in none of them does the sum exceed the radius.
pub(super) const ROUNDING: f32 = 1e-6;

/// `clean + step`, in the box, and no farther than `step`: the difference to `clean`, evaluated in f32, does not exceed
/// it. (The nearest float may lie a bit beyond; the one before it does not.)
#[inline(always)]
pub fn moved(clean: f32, step: f32) -> f32 {
    let x = (clean + step).clamp(0.0, 1.0);
    let beyond = (x - clean).abs() > step.abs();
    // Pixels are not negative, so the next float is the next number of its bits.
    let inward = if step > 0.0 { u32::MAX } else { 1 };
    f32::from_bits(x.to_bits().wrapping_add(if beyond { inward } else { 0 }))
}

/// Moves `x` into the `norm` ball of radius `eps` around `clean` and into the box `[0, 1]`. The ball is closed in f32:
/// no difference that is evaluated in f32 exceeds `eps`.
///
/// For Linf and L1 this is the nearest point of the intersection (in L2). For L2 it is the ball first and the box
/// after, which is feasible for both: `clean` lies in the box, so clamping shortens every coordinate of the difference.
pub fn into_ball(norm: Norm, eps: f32, clean: &[f32], x: &mut [f32], scratch: &mut Breakpoints) {
    match norm {
        Norm::Linf => {
            for (x, &c) in x.iter_mut().zip(clean) {
                *x = x.max(moved(c, -eps)).min(moved(c, eps));
            }
        }
        Norm::L2 => {
            let eps = eps * (1.0 - ROUNDING);
            let length = Norm::L2.distance(x, clean);
            if length > eps {
                let factor = eps / length;
                x.iter_mut().zip(clean).for_each(|(x, &c)| *x = moved(c, (*x - c) * factor));
            }
            into_box(x);
        }
        Norm::L1 => into_l1(eps * (1.0 - ROUNDING), clean, x, scratch),
        Norm::L0 => into_l0(eps, clean, x, scratch),
    }
}

/// The box, and of the pixels that differ the `eps` that differ most; of equals the first.
fn into_l0(eps: f32, clean: &[f32], x: &mut [f32], scratch: &mut Breakpoints) {
    into_box(x);
    let changes = &mut scratch.0;
    changes.clear();
    let pairs = x.iter().zip(clean).enumerate().filter(|(_, (x, c))| x != c);
    changes.extend(pairs.map(|(i, (x, c))| ((x - c).abs(), i as f32)));
    changes.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)));
    for &(_, i) in changes.iter().skip(eps as usize) {
        x[i as usize] = clean[i as usize];
    }
}

/// Clamps every pixel to 0..=1.
pub fn into_box(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = x.clamp(0.0, 1.0));
}

/// The nearest point of the L1 ball and the box together (Croce & Hein 2021, "Mind the box", section 3).
///
/// With room `M = 1 - c` upward and `c` downward, every change becomes `max(min(M, |d| - lambda), 0)`; the smallest
/// lambda for which these sum to `eps` at most lies between two of the values at which a term starts or stops to
/// depend on it.
fn into_l1(eps: f32, clean: &[f32], x: &mut [f32], scratch: &mut Breakpoints) {
    let inside = sum_of(x, clean, |x, c| (x - c).abs().min(room(x, c)));
    let mut lambda = 0.0;
    if inside > eps {
        // (lambda, change of the number of terms that shrink as lambda grows)
        let breakpoints = &mut scratch.0;
        breakpoints.clear();
        let mut shrinking = 0.0f64;
        for (&x, &c) in x.iter().zip(clean) {
            let (length, room) = ((x - c).abs(), room(x, c));
            if length > 0.0 && room > 0.0 {
                if length > room {
                    breakpoints.push((length - room, 1.0));
                } else {
                    shrinking += 1.0;
                }
                breakpoints.push((length, -1.0));
            }
        }
        breakpoints.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (mut sum, mut at) = (f64::from(inside), 0.0f64);
        for &(next, change) in breakpoints.iter() {
            let after = sum - shrinking * (f64::from(next) - at);
            if after <= f64::from(eps) {
                break;
            }
            (sum, at) = (after, f64::from(next));
            shrinking += f64::from(change);
        }
        lambda = (at + (sum - f64::from(eps)) / shrinking.max(1.0)) as f32;
        // Every number so far was rounded. What is too much goes from one pixel at least; once or twice is enough.
        loop {
            let length = |(&x, &c): (&f32, &f32)| f64::from((shrunk(x, c, lambda) - c).abs());
            let beyond = x.iter().zip(clean).map(length).sum::<f64>() - f64::from(eps);
            if beyond <= 0.0 {
                break;
            }
            lambda = lambda.next_up().max(lambda + beyond as f32);
        }
    }
    x.iter_mut().zip(clean).for_each(|(x, &c)| *x = shrunk(*x, c, lambda));
}

/// How far a pixel can go from `c` in the direction of `x`.
#[inline(always)]
fn room(x: f32, c: f32) -> f32 {
    if x > c { 1.0 - c } else { c }
}

/// `x`, nearer to `c` by `lambda` and inside the box.
#[inline(always)]
fn shrunk(x: f32, c: f32, lambda: f32) -> f32 {
    let length = ((x - c).abs() - lambda).min(room(x, c)).max(0.0);
    moved(c, if x > c { length } else { -length })
}
