//! Gradient of a convolution to its input, visiting valid taps only.
//!
//! A pixel of the input receives from the outputs `(y - ky, x - kx)` that exist. Written as a full correlation over a
//! zero-padded gradient, most of the work at LeNet's sizes is on zeros (2.25x for 12x12 from 8x8). Here a row of
//! accumulators, one for each kernel column, slides along an input row: at each output column all of its taps are
//! valid, the leftmost accumulator is complete and leaves, and a zero enters on the right.
//!
//! A stride of s splits the input into s x s *phases*, the pixels of equal remainder; each is a stride-1 problem with
//! the taps of that remainder.

use super::Geometry;
use crate::simd::{Isa, Lanes, Simd, array, dispatch};

/// Kernel columns that slide together.
const COLUMNS: usize = 5;

/// Kernel taps of remainder `phase`, of `kernel` taps at this `stride`.
fn phase_taps(kernel: usize, stride: usize, phase: usize) -> usize {
    kernel.saturating_sub(phase).div_ceil(stride)
}

/// Calls `f(phase y, phase x, first tap column, tap columns)` for every chunk of kernel columns of every phase.
#[inline(always)]
fn for_each_chunk(g: &Geometry, mut f: impl FnMut(usize, usize, usize, usize)) {
    // Phases past the kernel's end have no taps.
    for phase_y in 0..g.stride[0].min(g.kernel[0]) {
        for phase_x in 0..g.stride[1].min(g.kernel[1]) {
            let taps = phase_taps(g.kernel[1], g.stride[1], phase_x);
            for first in (0..taps).step_by(COLUMNS) {
                f(phase_y, phase_x, first, COLUMNS.min(taps - first));
            }
        }
    }
}

/// Reorders weights `[out][in][ky][kx]` for the sliding accumulators:
/// `[group][phase and chunk][in][ky of the phase][out][kx of the chunk]`.
pub fn pack_input_grad(g: &Geometry, weight: &[f32], packed: &mut Vec<f32>) {
    packed.clear();
    let [kernel_y, kernel_x] = g.kernel;
    for weight in weight.chunks(g.out_channels() * g.fan_in()) {
        for_each_chunk(g, |phase_y, phase_x, first, columns| {
            for input in 0..g.in_channels() {
                for ky in (phase_y..kernel_y).step_by(g.stride[0]) {
                    for output in 0..g.out_channels() {
                        let row = (output * g.in_channels() + input) * kernel_y + ky;
                        let at = row * kernel_x + phase_x + first * g.stride[1];
                        packed.extend((0..columns).map(|i| weight[at + i * g.stride[1]]));
                    }
                }
            }
        });
    }
}

/// Lanes of scratch memory that [`input_grad`] needs.
pub fn input_grad_scratch(g: &Geometry) -> usize {
    g.output.features()
}

/// Gradient of one block. `grad` has `g.output`, `out` has `g.input` (border included) and is overwritten; `packed`
/// comes from [`pack_input_grad`].
pub fn input_grad(
    isa: Isa,
    g: &Geometry,
    grad: &[Lanes],
    packed: &[f32],
    out: &mut [Lanes],
    scratch: &mut [Lanes],
) {
    for (channel, plane) in grad.chunks(g.output.pixels()).enumerate() {
        let by_pixel = scratch[channel..].iter_mut().step_by(g.output.channels);
        for (value, to) in plane.iter().zip(by_pixel) {
            *to = *value;
        }
    }
    input_grad_by_pixel(isa, g, scratch, packed, out);
}

/// [`input_grad`] of a gradient laid out `[y][x][channel]`. The inner loop runs over output channels; with planes of
/// 8x8 pixels, 4096 bytes, all channels of a pixel would fight for one set of the L1 cache.
pub fn input_grad_by_pixel(
    isa: Isa,
    g: &Geometry,
    grad: &[Lanes],
    packed: &[f32],
    out: &mut [Lanes],
) {
    dispatch!(isa, s => body(s, g, grad, packed, out));
}

#[inline(always)]
fn body<S: Simd>(s: S, g: &Geometry, grad: &[Lanes], packed: &[f32], out: &mut [Lanes]) {
    out.fill(Lanes::ZERO);
    let mut rest = packed;
    let group_inputs = g.in_channels() * g.input.pixels();
    for (group, out) in out.chunks_mut(group_inputs).enumerate() {
        let channels = group * g.out_channels();
        for_each_chunk(
            g,
            #[inline(always)]
            |phase_y, phase_x, first, columns| {
                let rows = phase_taps(g.kernel[0], g.stride[0], phase_y);
                let size = g.in_channels() * rows * g.out_channels() * columns;
                let (weight, after) = rest.split_at(size);
                rest = after;
                let chunk = Chunk { phase: [phase_y, phase_x], first, rows, channels };
                match columns {
                    1 => chunk.slide_channels::<S, 1>(s, g, grad, weight, out),
                    2 => chunk.slide_channels::<S, 2>(s, g, grad, weight, out),
                    3 => chunk.slide_channels::<S, 3>(s, g, grad, weight, out),
                    4 => chunk.slide_channels::<S, 4>(s, g, grad, weight, out),
                    _ => chunk.slide_channels::<S, COLUMNS>(s, g, grad, weight, out),
                }
            },
        );
    }
}

/// Up to five kernel columns of one phase.
#[derive(Clone, Copy)]
struct Chunk {
    phase: [usize; 2],
    /// First kernel column, counted among those of the phase.
    first: usize,
    /// Kernel rows of the phase.
    rows: usize,
    /// First output channel of the group.
    channels: usize,
}

impl Chunk {
    #[inline(always)]
    fn slide_channels<S: Simd, const K: usize>(
        self,
        s: S,
        g: &Geometry,
        grad: &[Lanes],
        weight: &[f32],
        out: &mut [Lanes],
    ) {
        let weight = weight.as_chunks::<K>().0;
        let weights = self.rows * g.out_channels();
        let pixels = g.input.pixels();
        // As much at a time as the registers hold: two rows share their weights, two input channels their gradients.
        let together = S::ACCUMULATORS / K;
        let mut input = 0;
        if together >= 4 {
            while input + 2 <= g.in_channels() {
                let weight = array::from_fn(
                    #[inline(always)]
                    |i| &weight[(input + i) * weights..][..weights],
                );
                self.slide::<S, K, 2, 2>(s, g, grad, weight, &mut out[input * pixels..]);
                input += 2;
            }
        }
        while input < g.in_channels() {
            let weight = [&weight[input * weights..][..weights]];
            let out = &mut out[input * pixels..];
            if together >= 2 {
                self.slide::<S, K, 1, 2>(s, g, grad, weight, out);
            } else {
                self.slide::<S, K, 1, 1>(s, g, grad, weight, out);
            }
            input += 1;
        }
    }

    /// Adds what `I` input channels receive through these columns, `R` rows at a time. `weight[i]` is
    /// `[ky][out channel][kx]`.
    #[inline(always)]
    fn slide<S: Simd, const K: usize, const I: usize, const R: usize>(
        self,
        s: S,
        g: &Geometry,
        grad: &[Lanes],
        weight: [&[[f32; K]]; I],
        out: &mut [Lanes],
    ) {
        let rows = (g.input.height - self.phase[0]).div_ceil(g.stride[0]);
        let whole = rows / R * R;
        for first in (0..whole).step_by(R) {
            self.slide_rows::<S, K, I, R>(s, g, grad, weight, first, out);
        }
        for first in whole..rows {
            self.slide_rows::<S, K, I, 1>(s, g, grad, weight, first, out);
        }
    }

    /// [`slide`](Self::slide) along `R` (1 or 2) rows of the phase, from its row `first` on.
    ///
    /// Loops over the sums are plain ones: whatever takes their address (`rotate_left`, an iterator that the compiler
    /// did not inline) moves them from registers to memory, in the inner loop too.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    fn slide_rows<S: Simd, const K: usize, const I: usize, const R: usize>(
        self,
        s: S,
        g: &Geometry,
        grad: &[Lanes],
        weight: [&[[f32; K]]; I],
        first: usize,
        out: &mut [Lanes],
    ) {
        const { assert!(R == 1 || R == 2) };
        let height = g.output.height;
        let taps = |row: usize| (row + 1).saturating_sub(height)..self.rows.min(row + 1);
        // Kernel rows that reach the first row alone come before those that reach all, those of the last row after.
        let (top, bottom) = (taps(first), taps(first + R - 1));
        let before = top.start..bottom.start.min(top.end);
        let common = bottom.start..top.end;
        let after = top.end.max(bottom.start)..bottom.end;
        let mut sums = [[[s.zero(); K]; I]; R];
        let mut targets: [usize; R] = array::from_fn(
            #[inline(always)]
            |row| {
                let y = self.phase[0] + (first + row) * g.stride[0];
                y * g.input.width + self.phase[1] + self.first * g.stride[1]
            },
        );
        for x in 0..g.output.width {
            let at = (first, x);
            if R > 1 {
                for ky in before.clone() {
                    self.tap::<S, K, I, R, 1, 0>(s, g, grad, weight, at, ky, &mut sums);
                }
            }
            for ky in common.clone() {
                self.tap::<S, K, I, R, R, 0>(s, g, grad, weight, at, ky, &mut sums);
            }
            if R > 1 {
                for ky in after.clone() {
                    self.tap::<S, K, I, R, 1, 1>(s, g, grad, weight, at, ky, &mut sums);
                }
            }
            for row in 0..R {
                for i in 0..I {
                    let out = &mut out[i * g.input.pixels() + targets[row]];
                    s.store(s.add(s.load(out), sums[row][i][0]), out);
                    for k in 1..K {
                        sums[row][i][k - 1] = sums[row][i][k];
                    }
                    sums[row][i][K - 1] = s.zero();
                }
                targets[row] += g.stride[1];
            }
        }
        for row in 0..R {
            for i in 0..I {
                for k in 0..K - 1 {
                    let out = &mut out[i * g.input.pixels() + targets[row] + k * g.stride[1]];
                    s.store(s.add(s.load(out), sums[row][i][k]), out);
                }
            }
        }
    }

    /// Adds one kernel row's share, all output channels of it, to `N` of the rows from `FIRST` on. `at` are the phase's
    /// row of the first of all `R`, and the output column.
    #[expect(clippy::too_many_arguments, reason = "numbers that stay in registers")]
    #[inline(always)]
    fn tap<
        S: Simd,
        const K: usize,
        const I: usize,
        const R: usize,
        const N: usize,
        const FIRST: usize,
    >(
        self,
        s: S,
        g: &Geometry,
        grad: &[Lanes],
        weight: [&[[f32; K]]; I],
        (first, x): (usize, usize),
        ky: usize,
        sums: &mut [[[S::F32; K]; I]; R],
    ) {
        let group = g.out_channels();
        let grad: [&[Lanes]; N] = array::from_fn(
            #[inline(always)]
            |row| {
                let pixel = (first + FIRST + row - ky) * g.output.width + x;
                &grad[pixel * g.output.channels + self.channels..][..group]
            },
        );
        let weight: [&[[f32; K]]; I] = array::from_fn(
            #[inline(always)]
            |i| &weight[i][ky * group..][..group],
        );
        for channel in 0..group {
            for row in 0..N {
                let value = s.load(&grad[row][channel]);
                for i in 0..I {
                    for k in 0..K {
                        let sum = &mut sums[FIRST + row][i][k];
                        *sum = s.mul_add(value, s.splat(weight[i][channel][k]), *sum);
                    }
                }
            }
        }
    }
}
