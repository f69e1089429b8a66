//! Batch normalization: moments over all samples and pixels of a channel, the affine map that they define, and its
//! gradient; and the same fused with the rectifier and the 2 x 2 maximum that follow it in LeNet.
//!
//! Moments are taken per block and channel (two passes over a plane that is in cache), then combined over the blocks,
//! in order and in f64, by the pairwise formula of Chan, Golub and LeVeque (1983): no cancellation, no dependence on
//! threads.

use super::pool::{Winners, window_max, window_winners};
use crate::simd::{Isa, Lanes, Simd, dispatch};
use crate::tensor::Shape;

/// Independent sums that hide the latency of an addition; part of the fixed order of summation.
const SUMS: usize = 4;

/// Folds the independent sums and then the first `live` lanes.
#[inline(always)]
fn fold<S: Simd>(s: S, sums: [S::F32; SUMS], live: usize) -> f32 {
    let sum = s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]));
    s.reduce_add(s.keep_first(sum, live))
}

/// Sum and sum of squared deviations from the block's own mean, of every channel of a block.
pub fn moments(isa: Isa, pixels: usize, live: usize, x: &[Lanes], out: &mut [[f32; 2]]) {
    dispatch!(isa, s => {
        for (plane, out) in x.chunks(pixels).zip(out) {
            *out = plane_moments(s, live, plane);
        }
    });
}

#[inline(always)]
fn plane_moments<S: Simd>(s: S, live: usize, plane: &[Lanes]) -> [f32; 2] {
    let (chunks, rest) = plane.as_chunks::<SUMS>();
    let mut sums = [s.zero(); SUMS];
    for chunk in chunks {
        for i in 0..SUMS {
            sums[i] = s.add(sums[i], s.load(&chunk[i]));
        }
    }
    for (i, value) in rest.iter().enumerate() {
        sums[i] = s.add(sums[i], s.load(value));
    }
    let sum = fold(s, sums, live);
    let mean = s.splat(sum / (plane.len() * live) as f32);
    let mut squares = [s.zero(); SUMS];
    for chunk in chunks {
        for i in 0..SUMS {
            let deviation = s.sub(s.load(&chunk[i]), mean);
            squares[i] = s.mul_add(deviation, deviation, squares[i]);
        }
    }
    for (i, value) in rest.iter().enumerate() {
        let deviation = s.sub(s.load(value), mean);
        squares[i] = s.mul_add(deviation, deviation, squares[i]);
    }
    [sum, fold(s, squares, live)]
}

/// Mean and biased variance of one channel from the moments of its blocks: (live lanes, [sum, squares]) each.
pub fn combine(pixels: usize, blocks: impl Iterator<Item = (usize, [f32; 2])>) -> (f32, f32) {
    let (mut count, mut mean, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (live, [block_sum, block_squares]) in blocks {
        let block_count = (live * pixels) as f64;
        let total = count + block_count;
        let distance = f64::from(block_sum) / block_count - mean;
        mean += distance * (block_count / total);
        squares += f64::from(block_squares) + distance * distance * (count * block_count / total);
        count = total;
    }
    (mean as f32, (squares / count) as f32)
}

/// x scale + shift per channel of a block; dead lanes stay zero.
pub fn affine(
    isa: Isa,
    pixels: usize,
    live: usize,
    x: &[Lanes],
    (scale, shift): (&[f32], &[f32]),
    out: &mut [Lanes],
) {
    dispatch!(isa, s => {
        let planes = x.chunks(pixels).zip(out.chunks_mut(pixels)).zip(scale.iter().zip(shift));
        for ((x, out), (&scale, &shift)) in planes {
            // Masked through the coefficients: 0 x + 0 is the zero that a dead lane holds.
            let scale = s.keep_first(s.splat(scale), live);
            let shift = s.keep_first(s.splat(shift), live);
            for (x, out) in x.iter().zip(out) {
                s.store(s.mul_add(s.load(x), scale, shift), out);
            }
        }
    });
}

/// Per channel of a block, the sums over lanes and pixels of `grad` and of `grad (x - mean)`.
pub fn grad_sums(
    isa: Isa,
    pixels: usize,
    x: &[Lanes],
    grad: &[Lanes],
    mean: &[f32],
    out: &mut [[f32; 2]],
) {
    dispatch!(isa, s => {
        let planes = x.chunks(pixels).zip(grad.chunks(pixels)).zip(mean.iter().zip(out));
        for ((x, grad), (&mean, out)) in planes {
            let mean = s.splat(mean);
            let mut sums = [[s.zero(); SUMS]; 2];
            for (i, (x, grad)) in x.iter().zip(grad).enumerate() {
                let grad = s.load(grad);
                let x = s.sub(s.load(x), mean);
                sums[0][i % SUMS] = s.add(sums[0][i % SUMS], grad);
                sums[1][i % SUMS] = s.mul_add(grad, x, sums[1][i % SUMS]);
            }
            // Dead lanes have no gradient, so all lanes may be folded.
            *out = [fold(s, sums[0], crate::simd::LANES), fold(s, sums[1], crate::simd::LANES)];
        }
    });
}

/// The gradient of a normalized channel to its input is `scale (grad - center - (x - mean) slope)`: with batch
/// statistics, which depend on the input, `center` and `slope` take out what would move their mean and variance; with
/// fixed statistics both are zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputGrad {
    /// Weight / standard deviation.
    pub scale: f32,
    /// Mean of the channel.
    pub mean: f32,
    /// Mean of the gradient.
    pub center: f32,
    /// Mean of gradient x deviation, over the variance.
    pub slope: f32,
}

/// Gradient to the input, of a block; dead lanes stay zero.
pub fn input_grad(
    isa: Isa,
    pixels: usize,
    live: usize,
    x: &[Lanes],
    grad: &[Lanes],
    channels: &[InputGrad],
    out: &mut [Lanes],
) {
    dispatch!(isa, s => {
        let planes = x.chunks(pixels).zip(grad.chunks(pixels)).zip(out.chunks_mut(pixels));
        for (((x, grad), out), channel) in planes.zip(channels) {
            let channel = Coefficients::new(s, channel, live);
            for ((x, grad), out) in x.iter().zip(grad).zip(out) {
                s.store(channel.apply(s, s.load(x), s.load(grad)), out);
            }
        }
    });
}

struct Coefficients<S: Simd> {
    scale: S::F32,
    mean: S::F32,
    center: S::F32,
    slope: S::F32,
}

impl<S: Simd> Coefficients<S> {
    #[inline(always)]
    fn new(s: S, channel: &InputGrad, live: usize) -> Self {
        Self {
            scale: s.keep_first(s.splat(channel.scale), live),
            mean: s.splat(channel.mean),
            center: s.splat(channel.center),
            slope: s.splat(channel.slope),
        }
    }

    #[inline(always)]
    fn apply(&self, s: S, x: S::F32, grad: S::F32) -> S::F32 {
        let inner = s.neg_mul_add(s.sub(x, self.mean), self.slope, s.sub(grad, self.center));
        s.mul(self.scale, inner)
    }
}

/// Affine map, rectifier and 2 x 2 maximum of a block in one pass, without writing the map itself out.
///
/// `x` has `shape` (even sides), `out`, `winner_x` and `winners` have halved sides. `winner_x` keeps, of each window,
/// the input that won (what the gradient's sums need), `winners` who won and was let through.
#[expect(clippy::too_many_arguments, reason = "what the kernel reads, writes and borrows")]
pub fn affine_relu_pool(
    isa: Isa,
    shape: Shape,
    live: usize,
    x: &[Lanes],
    (scale, shift): (&[f32], &[f32]),
    out: &mut [Lanes],
    winner_x: &mut [Lanes],
    winners: &mut [Winners],
) {
    dispatch!(isa, s => {
        let half = shape.width / 2;
        let pooled = shape.pixels() / 4;
        let outs = out.chunks_mut(pooled).zip(winner_x.chunks_mut(pooled)).zip(winners.chunks_mut(pooled));
        let planes = x.chunks(shape.pixels()).zip(outs).zip(scale.iter().zip(shift));
        for ((x, ((out, winner_x), winners)), (&scale, &shift)) in planes {
            let scale = s.keep_first(s.splat(scale), live);
            let shift = s.keep_first(s.splat(shift), live);
            let outs = out.chunks_mut(half).zip(winner_x.chunks_mut(half)).zip(winners.chunks_mut(half));
            for (pair, ((out, winner_x), winners)) in x.chunks(4 * half).zip(outs) {
                let (top, bottom) = pair.split_at(2 * half);
                let (top, bottom) = (top.as_chunks::<2>().0, bottom.as_chunks::<2>().0);
                let outs = out.iter_mut().zip(winner_x).zip(winners);
                for ((t, b), ((out, winner_x), winners)) in top.iter().zip(bottom).zip(outs) {
                    let x = [s.load(&t[0]), s.load(&t[1]), s.load(&b[0]), s.load(&b[1])];
                    let z = [
                        s.mul_add(x[0], scale, shift),
                        s.mul_add(x[1], scale, shift),
                        s.mul_add(x[2], scale, shift),
                        s.mul_add(x[3], scale, shift),
                    ];
                    let best = window_max(s, z);
                    s.store(s.max(s.zero(), best), out);
                    let right_of_top = s.select(s.gt(z[1], z[0]), x[1], x[0]);
                    let right_of_bottom = s.select(s.gt(z[3], z[2]), x[3], x[2]);
                    let bottom = s.gt(s.max(z[3], z[2]), s.max(z[1], z[0]));
                    s.store(s.select(bottom, right_of_bottom, right_of_top), winner_x);
                    *winners = window_winners(s, z, s.gt(best, s.zero()));
                }
            }
        }
    });
}

/// [`grad_sums`] for [`affine_relu_pool`]: only winners that were let through count. All slices are pooled.
pub fn relu_pool_grad_sums(
    isa: Isa,
    pooled_pixels: usize,
    winner_x: &[Lanes],
    out_values: &[Lanes],
    grad: &[Lanes],
    mean: &[f32],
    out: &mut [[f32; 2]],
) {
    dispatch!(isa, s => {
        let planes = winner_x.chunks(pooled_pixels).zip(grad.chunks(pooled_pixels));
        let planes = planes.zip(out_values.chunks(pooled_pixels)).zip(mean.iter().zip(out));
        for (((x, grad), value), (&mean, out)) in planes {
            let mean = s.splat(mean);
            let mut sums = [[s.zero(); SUMS]; 2];
            for (i, ((x, grad), value)) in x.iter().zip(grad).zip(value).enumerate() {
                let open = s.gt(s.load(value), s.zero());
                let grad = s.select(open, s.load(grad), s.zero());
                let x = s.sub(s.load(x), mean);
                sums[0][i % SUMS] = s.add(sums[0][i % SUMS], grad);
                sums[1][i % SUMS] = s.mul_add(grad, x, sums[1][i % SUMS]);
            }
            *out = [fold(s, sums[0], crate::simd::LANES), fold(s, sums[1], crate::simd::LANES)];
        }
    });
}

/// [`input_grad`] for [`affine_relu_pool`]: un-pools and normalizes in one pass. `x` and `out` have `shape`.
#[expect(clippy::too_many_arguments, reason = "what the kernel reads, writes and borrows")]
pub fn relu_pool_input_grad(
    isa: Isa,
    shape: Shape,
    live: usize,
    x: &[Lanes],
    grad: &[Lanes],
    winners: &[Winners],
    channels: &[InputGrad],
    out: &mut [Lanes],
) {
    dispatch!(isa, s => {
        let half = shape.width / 2;
        let pooled = shape.pixels() / 4;
        let grads = grad.chunks(pooled).zip(winners.chunks(pooled));
        let planes = x.chunks(shape.pixels()).zip(out.chunks_mut(shape.pixels())).zip(grads);
        for (((x, out), (grad, winners)), channel) in planes.zip(channels) {
            let channel = Coefficients::new(s, channel, live);
            let grads = grad.chunks(half).zip(winners.chunks(half));
            for ((x, out), (grad, winners)) in x.chunks(4 * half).zip(out.chunks_mut(4 * half)).zip(grads) {
                let (top, bottom) = x.split_at(2 * half);
                let (out_top, out_bottom) = out.split_at_mut(2 * half);
                for (i, (grad, won)) in grad.iter().zip(winners).enumerate() {
                    let grad = s.load(grad);
                    for j in 0..2 {
                        let share = s.select(s.mask_from_bits(won[j]), grad, s.zero());
                        s.store(channel.apply(s, s.load(&top[2 * i + j]), share), &mut out_top[2 * i + j]);
                        let share = s.select(s.mask_from_bits(won[2 + j]), grad, s.zero());
                        s.store(channel.apply(s, s.load(&bottom[2 * i + j]), share), &mut out_bottom[2 * i + j]);
                    }
                }
            }
        }
    });
}
