//! The smallest step inside the box that reaches a hyperplane, in three norms (Croce & Hein 2020, "Minimally distorted
//! adversarial examples with a fast adaptive boundary attack", appendix A).

use super::norm::{Norm, sum_of};

/// Memory of [`onto_hyperplane`], kept between calls.
#[derive(Clone, Debug, Default)]
pub struct Order(Vec<u32>);

/// Writes to `step` the shortest step (in `norm`) with `point + step` in the box `[0, 1]` and
/// `gap + <normal, step> = 0`, where `gap = <normal, point> - b`.
///
/// Where the box is too small for that, every pixel goes as far as it can: the nearest corner. Pixels whose normal is
/// zero (1e-8 at most for L2 and L1, as in the original) stay.
pub fn onto_hyperplane(
    norm: Norm,
    point: &[f32],
    normal: &[f32],
    gap: f32,
    step: &mut [f32],
    order: &mut Order,
) {
    // Towards the plane: against the normal where the point lies above, along it where below.
    let towards = if gap < 0.0 { 1.0 } else { -1.0 };
    let gap = gap.abs();
    let least = if norm == Norm::Linf { 0.0 } else { 1e-8 };
    let weight = |w: f32| if w.abs() > least { w.abs() } else { 0.0 };
    let room = |t: f32, w: f32| if towards * w > 0.0 { 1.0 - t } else { t };
    let reach = sum_of(point, normal, |t, w| weight(w) * room(t, w));
    let signed = |w: f32, length: f32| (towards * w).signum() * length;
    let mut each = |length: &dyn Fn(f32, f32) -> f32| {
        for ((step, &t), &w) in step.iter_mut().zip(point).zip(normal) {
            *step = if weight(w) > 0.0 { signed(w, length(t, w)) } else { 0.0 };
        }
    };
    if reach <= gap {
        each(&room);
        return;
    }
    match norm {
        Norm::Linf => {
            let lambda = solve(
                gap,
                |l| sum_of(point, normal, |t, w| weight(w) * room(t, w).min(l)),
                |l| sum_of(point, normal, |t, w| if room(t, w) > l { weight(w) } else { 0.0 }),
            );
            each(&|t, w| room(t, w).min(lambda));
        }
        Norm::L2 => {
            let lambda = solve(
                gap,
                |l| sum_of(point, normal, |t, w| weight(w) * room(t, w).min(l * weight(w))),
                |l| {
                    sum_of(point, normal, |t, w| {
                        if room(t, w) > l * weight(w) { weight(w) * weight(w) } else { 0.0 }
                    })
                },
            );
            each(&|t, w| room(t, w).min(lambda * weight(w)));
        }
        Norm::L1 => {
            // The pixels that do most for their length first; the last one goes part of its way.
            let order = &mut order.0;
            order.clear();
            order.extend(0..point.len() as u32);
            let by_weight = |&a: &u32, &b: &u32| {
                normal[b as usize].abs().total_cmp(&normal[a as usize].abs()).then(a.cmp(&b))
            };
            order.sort_unstable_by(by_weight);
            step.fill(0.0);
            let mut left = f64::from(gap);
            for &i in order.iter() {
                let (t, w) = (point[i as usize], normal[i as usize]);
                if left <= 0.0 || weight(w) == 0.0 {
                    break;
                }
                let length = f64::from(room(t, w)).min(left / f64::from(weight(w)));
                left -= length * f64::from(weight(w));
                step[i as usize] = signed(w, length as f32);
            }
        }
    }
}

/// The `lambda` at which the concave, piecewise linear `reached` (0 at 0) meets `gap`: Newton's method from the left,
/// which never oversteps and ends at the piece that holds the solution.
#[inline(always)]
fn solve(gap: f32, reached: impl Fn(f32) -> f32, slope: impl Fn(f32) -> f32) -> f32 {
    let mut lambda = 0.0;
    // Every step leaves at least one piece behind; far fewer than this are met.
    for _ in 0..200 {
        let (short, slope) = (gap - reached(lambda), slope(lambda));
        if short <= 0.0 || slope <= 0.0 {
            break;
        }
        let next = lambda + short / slope;
        if next <= lambda {
            break;
        }
        lambda = next;
    }
    lambda
}
