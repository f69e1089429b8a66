//! Sums and multiples of blocks. Dead lanes stay zero.

use crate::simd::{Isa, Lanes, Simd, dispatch};
use crate::tensor::{Region, Shape};

/// `out = a + b`
pub fn add(isa: Isa, a: &[Lanes], b: &[Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => zip(s, a, b, out, #[inline(always)] |a, b| s.add(a, b)));
}

/// `out += x`
pub fn add_assign(isa: Isa, x: &[Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => {
        for (x, out) in x.iter().zip(out) {
            s.store(s.add(s.load(out), s.load(x)), out);
        }
    });
}

/// `out = factor x`
pub fn scale(isa: Isa, factor: f32, x: &[Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => {
        let factor = s.splat(factor);
        map(s, x, out, #[inline(always)] |x| s.mul(x, factor));
    });
}

/// `out = a b`, each vector of `b` for `pixels` of `a`: 1, or those of a channel.
pub fn multiply(isa: Isa, pixels: usize, a: &[Lanes], b: &[Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => {
        for ((a, out), b) in a.chunks(pixels).zip(out.chunks_mut(pixels)).zip(b) {
            let b = s.load(b);
            map(s, a, out, #[inline(always)] |a| s.mul(a, b));
        }
    });
}

/// The gradient of [`multiply`] to `b`: of each channel, the sum of `a grad` over its pixels in their order.
pub fn multiply_grad(isa: Isa, pixels: usize, a: &[Lanes], grad: &[Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => {
        for ((a, grad), out) in a.chunks(pixels).zip(grad.chunks(pixels)).zip(out) {
            let mut sum = s.zero();
            for (a, grad) in a.iter().zip(grad) {
                sum = s.mul_add(s.load(a), s.load(grad), sum);
            }
            s.store(sum, out);
        }
    });
}

/// `x *= factor`
pub fn scale_in_place(isa: Isa, factor: f32, x: &mut [Lanes]) {
    dispatch!(isa, s => {
        let factor = s.splat(factor);
        for x in x {
            s.store(s.mul(s.load(x), factor), x);
        }
    });
}

/// A step of an L-infinity attack: `x + length sign(grad)`, back into the ball of `eps` around `clean` and into 0..=1.
/// The sign of 0 is 0. Dead lanes stay zero, as their gradient is.
pub fn sign_step(
    isa: Isa,
    length: f32,
    eps: f32,
    clean: &[Lanes],
    grad: &[Lanes],
    x: &mut [Lanes],
) {
    dispatch!(isa, s => {
        let (length, eps, one) = (s.splat(length), s.splat(eps), s.splat(1.0));
        for ((clean, grad), x) in clean.iter().zip(grad).zip(x) {
            let (clean, grad) = (s.load(clean), s.load(grad));
            let still = s.eq(grad, s.zero());
            let step = s.select(still, s.zero(), s.copy_sign(length, grad));
            let moved = s.add(s.load(x), step);
            let moved = s.min(s.max(moved, s.sub(clean, eps)), s.add(clean, eps));
            s.store(s.min(s.max(moved, s.zero()), one), x);
        }
    });
}

/// Commits a region of two blocks for the lanes in `kept` (new -> old) and rolls it back for the others (old -> new).
pub fn commit_or_roll_back(
    isa: Isa,
    shape: Shape,
    region: &Region,
    kept: u16,
    new: &mut [Lanes],
    old: &mut [Lanes],
) {
    dispatch!(isa, s => {
        let kept = s.mask_from_bits(kept);
        for row in region.rows(shape) {
            for (new, old) in new[row.clone()].iter_mut().zip(&mut old[row]) {
                let value = s.select(kept, s.load(new), s.load(old));
                s.store(value, new);
                s.store(value, old);
            }
        }
    });
}

/// Adds a number per channel to a block; dead lanes stay zero.
pub fn add_bias(
    isa: Isa,
    pixels: usize,
    live: usize,
    x: &[Lanes],
    bias: &[f32],
    out: &mut [Lanes],
) {
    dispatch!(isa, s => {
        for ((x, out), &bias) in x.chunks(pixels).zip(out.chunks_mut(pixels)).zip(bias) {
            let bias = s.keep_first(s.splat(bias), live);
            map(s, x, out, #[inline(always)] |x| s.add(x, bias));
        }
    });
}

/// Per channel of a block, the sum over lanes and pixels: the gradient of [`add_bias`] to its numbers.
pub fn channel_sums(isa: Isa, pixels: usize, x: &[Lanes], out: &mut [f32]) {
    dispatch!(isa, s => {
        for (x, out) in x.chunks(pixels.max(1)).zip(out) {
            let mut sum = s.zero();
            for x in x {
                sum = s.add(sum, s.load(x));
            }
            *out = s.reduce_add(sum);
        }
    });
}

/// `f` of every vector.
#[inline(always)]
pub(super) fn map<S: Simd>(s: S, x: &[Lanes], out: &mut [Lanes], f: impl Fn(S::F32) -> S::F32) {
    for (x, out) in x.iter().zip(out) {
        s.store(f(s.load(x)), out);
    }
}

/// `f` of every pair of vectors.
#[inline(always)]
pub(super) fn zip<S: Simd>(
    s: S,
    a: &[Lanes],
    b: &[Lanes],
    out: &mut [Lanes],
    f: impl Fn(S::F32, S::F32) -> S::F32,
) {
    for ((a, b), out) in a.iter().zip(b).zip(out) {
        s.store(f(s.load(a), s.load(b)), out);
    }
}
