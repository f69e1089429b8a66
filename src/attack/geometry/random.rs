//! Random directions and starting points, from the stream of a key.

use crate::attack::geometry::norm::Norm;
use crate::simd::random::uniform_from_bits;
use crate::simd::{Isa, LANES, Lanes, Simd, dispatch, math};
use rand::Rng;
use rand_xoshiro::Xoshiro128PlusPlus;

/// A number in -1..1.
pub fn symmetric(random: &mut Xoshiro128PlusPlus) -> f32 {
    2.0 * uniform_from_bits(random.next_u32()) - 1.0
}

/// A whole number below `bound` (at least 1), every one as likely up to one part in 2^32 / bound.
pub fn below(random: &mut Xoshiro128PlusPlus, bound: usize) -> usize {
    ((u64::from(random.next_u32()) * bound as u64) >> 32) as usize
}

/// 1 or -1.
pub fn sign(random: &mut Xoshiro128PlusPlus) -> f32 {
    if random.next_u32() >> 31 == 0 { 1.0 } else { -1.0 }
}

/// Fills with numbers of the standard normal distribution, by Marsaglia's polar method.
pub fn normals(isa: Isa, random: &mut Xoshiro128PlusPlus, out: &mut [f32]) {
    for out in out.chunks_mut(2 * LANES) {
        let mut points = [[0.0; 2]; LANES];
        let mut squares = Lanes::ZERO;
        for (point, square) in points.iter_mut().zip(&mut squares.0) {
            while *square <= 0.0 || *square >= 1.0 {
                *point = [symmetric(random), symmetric(random)];
                *square = point[0] * point[0] + point[1] * point[1];
            }
        }
        let mut factors = Lanes::ZERO;
        dispatch!(isa, s => {
            let r = s.load(&squares);
            let f = s.div(s.mul(math::ln(s, r), s.splat(-2.0)), r);
            s.store(s.sqrt(f), &mut factors);
        });
        for (i, out) in out.iter_mut().enumerate() {
            *out = points[i / 2][i % 2] * factors.0[i / 2];
        }
    }
}

/// Adds to `x` a random step of length `radius` in this norm: in Linf uniform numbers of which the largest touches the
/// sphere, else a normal direction.
pub fn add_to_sphere(
    norm: Norm,
    radius: f32,
    isa: Isa,
    random: &mut Xoshiro128PlusPlus,
    step: &mut [f32],
    x: &mut [f32],
) {
    match norm {
        Norm::Linf => step.iter_mut().for_each(|step| *step = symmetric(random)),
        Norm::L2 | Norm::L1 | Norm::L0 => normals(isa, random, step),
    }
    let factor = radius / (norm.of(step) + 1e-12);
    x.iter_mut().zip(step).for_each(|(x, step)| *x += factor * *step);
}
