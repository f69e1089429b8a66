//! The smallest step inside the box that reaches a hyperplane, in three norms (Croce & Hein 2020, "Minimally distorted
//! adversarial examples with a fast adaptive boundary attack", appendix A).

use crate::attack::geometry::norm::{Norm, sum_of, unit_of};
use crate::simd::{Isa, dispatch};

/// Memory of [`onto_hyperplane`], kept between calls.
#[derive(Clone, Debug, Default)]
pub struct SortBuffer(Vec<u32>);

/// Writes to `step` the shortest step (in `norm`) with `point + step` in the box `[0, 1]` and
/// `gap + <normal, step> = 0`, where `gap = <normal, point> - b`.
///
/// Where the box is too small for that, every pixel goes as far as it can: the nearest corner. Pixels whose normal is
/// zero stay; in L2 and L1 also those whose normal is at most 1e-8 of the largest one (1e-8 in the original). The step
/// does not depend on the size of the normal.
pub fn onto_hyperplane(
    isa: Isa,
    norm: Norm,
    point: &[f32],
    normal: &[f32],
    gap: f32,
    step: &mut [f32],
    order: &mut SortBuffer,
) {
    // Toward the plane: against the normal where the point lies above, along it where below.
    let toward = if gap < 0.0 { 1.0 } else { -1.0 };
    let largest = Norm::Linf.of(normal);
    let unit = unit_of(largest);
    let least = if norm == Norm::Linf { 0.0 } else { 1e-8 * (largest * unit) };
    let plane = Plane { point, normal, toward, unit, least };
    // No arithmetic of the token's, but loops that a compiler can make vectors of.
    dispatch!(isa, _s => plane.reach(norm, gap.abs() * unit, step, &mut order.0));
}

/// A hyperplane seen from a point.
#[derive(Clone, Copy)]
struct Plane<'a> {
    point: &'a [f32],
    normal: &'a [f32],
    toward: f32,
    /// What the normal is multiplied by, so that nothing overflows or vanishes.
    unit: f32,
    /// What a pixel's normal in these units must exceed for the pixel to move.
    least: f32,
}

impl Plane<'_> {
    /// What a unit of a pixel's step does, 0 for those that stay.
    #[inline(always)]
    fn weight(self, normal: f32) -> f32 {
        let weight = normal.abs() * self.unit;
        if weight > self.least { weight } else { 0.0 }
    }

    /// How far a pixel can go.
    #[inline(always)]
    fn room(self, point: f32, normal: f32) -> f32 {
        if self.toward * normal > 0.0 { 1.0 - point } else { point }
    }

    #[inline(always)]
    fn signed(self, normal: f32, length: f32) -> f32 {
        (self.toward * normal).signum() * length
    }

    /// The sum of `f(room, weight)` over the pixels.
    #[inline(always)]
    fn sum(self, f: impl Fn(f32, f32) -> f32) -> f32 {
        sum_of(
            self.point,
            self.normal,
            #[inline(always)]
            |t, w| f(self.room(t, w), self.weight(w)),
        )
    }

    /// Every pixel goes `length(room, weight)`.
    #[inline(always)]
    fn go(self, step: &mut [f32], length: impl Fn(f32, f32) -> f32) {
        for ((step, &t), &w) in step.iter_mut().zip(self.point).zip(self.normal) {
            let (room, weight) = (self.room(t, w), self.weight(w));
            *step = if weight > 0.0 { self.signed(w, length(room, weight)) } else { 0.0 };
        }
    }

    #[inline(always)]
    fn reach(self, norm: Norm, gap: f32, step: &mut [f32], order: &mut Vec<u32>) {
        if self.sum(|room, weight| weight * room) <= gap {
            self.go(step, |room, _| room);
            return;
        }
        match norm {
            Norm::Linf => {
                let lambda = solve(
                    gap,
                    #[inline(always)]
                    |l| {
                        self.sum(
                            #[inline(always)]
                            |room, weight| weight * room.min(l),
                        )
                    },
                    #[inline(always)]
                    |l| {
                        self.sum(
                            #[inline(always)]
                            |room, weight| if room > l { weight } else { 0.0 },
                        )
                    },
                );
                self.go(step, |room, _| room.min(lambda));
            }
            Norm::L2 => {
                let lambda = solve(
                    gap,
                    #[inline(always)]
                    |l| {
                        self.sum(
                            #[inline(always)]
                            |room, weight| weight * room.min(l * weight),
                        )
                    },
                    #[inline(always)]
                    |l| {
                        self.sum(
                            #[inline(always)]
                            |room, weight| if room > l * weight { weight * weight } else { 0.0 },
                        )
                    },
                );
                self.go(step, |room, weight| room.min(lambda * weight));
            }
            Norm::L1 | Norm::L0 => self.greedily(gap, step, order),
        }
    }

    /// The pixels that do most for their length first; the last one goes part of its way.
    fn greedily(self, gap: f32, step: &mut [f32], order: &mut Vec<u32>) {
        let Self { point, normal, .. } = self;
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
            let weight = f64::from(self.weight(w));
            if left <= 0.0 || weight == 0.0 {
                break;
            }
            let length = f64::from(self.room(t, w)).min(left / weight);
            left -= length * weight;
            step[i as usize] = self.signed(w, length as f32);
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
