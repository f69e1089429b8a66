//! Gradient to the weights of wide layers: vectors of output channels instead of samples, so no lanes are folded.
//!
//! The gradient is transposed beforehand, so that a vector holds sixteen output channels of one sample at one pixel. A
//! register tile of such vectors times input channels then takes one number of the input for all lanes at a time, read
//! where it lies. At one kernel tap the pixels that see the input and not its border are a rectangle: the border is
//! neither written out nor multiplied by.
//!
//! A weight's sum runs over (row, column, sample) within a band of rows, and the bands are added in order, block after
//! block. With a single pixel it runs over all samples at once.

use super::Geometry;
use crate::simd::{Isa, LANES, Lanes, Simd, array, dispatch};
use std::ops::Range;

/// Vectors of output channels that lie together for a pixel and sample.
const VECTORS: usize = 4;
/// Input channels whose sums are in registers together.
const INPUTS: usize = 6;
/// Pixels of a band: its transposed gradient (4 KiB a pixel) stays in the second-level cache.
const BAND_PIXELS: usize = 32;

/// Fewer weights an output channel than this do not pay for transposing the gradient.
const FEWEST_WEIGHTS: usize = 64;

/// The sizes of one group, a linear layer seen as a 1 x 1 kernel on as many channels as it has features.
#[derive(Clone, Copy, Debug)]
pub struct WideWeightGrad {
    groups: usize,
    inputs: usize,
    outputs: usize,
    /// Height and width without the border.
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    border: [usize; 2],
}

impl WideWeightGrad {
    /// For layers whose output channels fill at least two thirds of their vectors, with enough weights a channel to pay
    /// for the transposing; decided by the sizes alone. In the others, lanes are samples.
    pub fn new(g: &Geometry) -> Option<Self> {
        let outputs = g.out_channels();
        let input = g.unpadded();
        let this = Self {
            groups: g.groups,
            inputs: g.in_channels(),
            outputs,
            input: [input.height, input.width],
            output: [g.output.height, g.output.width],
            kernel: g.kernel,
            stride: g.stride,
            border: g.padding,
        };
        let this = match g.is_linear() {
            true => Self { inputs: g.fan_in(), input: [1, 1], kernel: [1, 1], ..this },
            false => this,
        };
        let filled = 3 * outputs >= 2 * LANES * outputs.div_ceil(LANES);
        (filled && g.fan_in() >= FEWEST_WEIGHTS).then_some(this)
    }

    fn vectors(&self) -> usize {
        self.outputs.div_ceil(LANES)
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Pixels of the output.
    fn pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Pixels of the input, without border.
    fn plane(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Lanes of a block's transposed gradient.
    pub fn transposed(&self) -> usize {
        self.groups * self.pixels() * LANES * self.vectors()
    }

    /// Lanes of the sums, `[group][in][tap][vector of out]`.
    pub fn sums(&self) -> usize {
        self.groups * self.inputs * self.sums_of_input()
    }

    /// Lanes of the sums of one input channel.
    pub fn sums_of_input(&self) -> usize {
        self.taps() * self.vectors()
    }

    /// Input channels of all groups.
    pub fn channels(&self) -> usize {
        self.groups * self.inputs
    }

    /// Transposes a block's gradient to `[group][vectors, four at a time][pixel][sample][vector]`.
    pub fn transpose(&self, isa: Isa, grad: &[Lanes], out: &mut [Lanes]) {
        dispatch!(isa, s => self.transpose_body(s, grad, out));
    }

    #[inline(always)]
    fn transpose_body<S: Simd>(&self, s: S, grad: &[Lanes], out: &mut [Lanes]) {
        let pixels = self.pixels();
        let strip = VECTORS * LANES * pixels;
        let group_size = LANES * self.vectors() * pixels;
        for group in 0..self.groups {
            let grad = &grad[group * self.outputs * pixels..][..self.outputs * pixels];
            let out = &mut out[group * group_size..][..group_size];
            for vector in 0..self.vectors() {
                let first = vector / VECTORS * VECTORS;
                let out = &mut out[first / VECTORS * strip..];
                let vectors = VECTORS.min(self.vectors() - first);
                let channels = LANES.min(self.outputs - vector * LANES);
                let grad = &grad[vector * LANES * pixels..];
                for pixel in 0..pixels {
                    let rows = array::from_fn(
                        #[inline(always)]
                        |i| if i < channels { s.load(&grad[i * pixels + pixel]) } else { s.zero() },
                    );
                    let columns = s.transpose(rows);
                    let out = &mut out[LANES * vectors * pixel + vector - first..];
                    for sample in 0..LANES {
                        s.store(columns[sample], &mut out[sample * vectors]);
                    }
                }
            }
        }
    }

    /// Sums over all blocks for the input channels `first..` (of all groups, one after the other) that `sums` has room
    /// for. `x` holds the blocks without border, `grad` those that [`transpose`](Self::transpose) made.
    pub fn run(&self, isa: Isa, x: &[Lanes], grad: &[Lanes], first: usize, sums: &mut [Lanes]) {
        sums.fill(Lanes::ZERO);
        let size = self.channels() * self.plane();
        // One pixel is too little to add for each block to sums that have to be read and written for it.
        let together = if self.pixels() == 1 { grad.len() / self.transposed() } else { 1 };
        let mut first = first;
        let mut rest = sums;
        while !rest.is_empty() {
            let count = (self.inputs - first % self.inputs).min(rest.len() / self.sums_of_input());
            let (sums, after) = rest.split_at_mut(count * self.sums_of_input());
            let blocks = x.chunks(together * size).zip(grad.chunks(together * self.transposed()));
            for (x, grad) in blocks {
                dispatch!(isa, s => self.blocks(s, x, grad, first, sums));
            }
            first += count;
            rest = after;
        }
    }

    /// Adds some blocks' products to the sums of input channels `first..` of one group.
    #[inline(always)]
    fn blocks<S: Simd>(&self, s: S, x: &[Lanes], grad: &[Lanes], first: usize, sums: &mut [Lanes]) {
        let group = first / self.inputs * (self.transposed() / self.groups);
        let rows = (BAND_PIXELS / self.output[1]).max(1);
        let tile = INPUTS * self.sums_of_input();
        for first_vector in (0..self.vectors()).step_by(VECTORS) {
            let vectors = VECTORS.min(self.vectors() - first_vector);
            let at = group + first_vector * LANES * self.pixels();
            for band in (0..self.output[0]).step_by(rows) {
                let band = band..(band + rows).min(self.output[0]);
                for (i, sums) in sums.chunks_mut(tile).enumerate() {
                    let x = &x[(first + i * INPUTS) * self.plane()..];
                    let strip = Strip {
                        first: first_vector,
                        vectors,
                        blocks: grad.len() / self.transposed(),
                        grad: &grad[at..],
                        band: band.clone(),
                    };
                    match sums.len() / self.sums_of_input() {
                        1 => self.inputs::<S, 1>(s, x, &strip, sums),
                        2 => self.inputs::<S, 2>(s, x, &strip, sums),
                        3 => self.inputs::<S, 3>(s, x, &strip, sums),
                        4 => self.inputs::<S, 4>(s, x, &strip, sums),
                        5 => self.inputs::<S, 5>(s, x, &strip, sums),
                        _ => self.inputs::<S, INPUTS>(s, x, &strip, sums),
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn inputs<S: Simd, const I: usize>(
        &self,
        s: S,
        x: &[Lanes],
        strip: &Strip<'_>,
        sums: &mut [Lanes],
    ) {
        // Outputs whose window's tap falls on the input, not on its border.
        let range = |i: usize, tap: usize, outputs: Range<usize>| {
            let first = self.border[i].saturating_sub(tap).div_ceil(self.stride[i]);
            let end = (self.input[i] + self.border[i]).saturating_sub(tap).div_ceil(self.stride[i]);
            first.max(outputs.start)..end.min(outputs.end)
        };
        for ky in 0..self.kernel[0] {
            let rows = range(0, ky, strip.band.clone());
            for kx in 0..self.kernel[1] {
                let columns = range(1, kx, 0..self.output[1]);
                let tap = Tap { at: [ky, kx], rows: rows.clone(), columns };
                let mut vector = 0;
                while vector < strip.vectors {
                    if S::ACCUMULATORS >= 20 && vector + 4 <= strip.vectors {
                        self.tap::<S, I, 4>(s, x, strip, &tap, vector, sums);
                        vector += 4;
                    } else if S::ACCUMULATORS >= 20 && vector + 2 <= strip.vectors {
                        self.tap::<S, I, 2>(s, x, strip, &tap, vector, sums);
                        vector += 2;
                    } else {
                        self.tap::<S, I, 1>(s, x, strip, &tap, vector, sums);
                        vector += 1;
                    }
                }
            }
        }
    }

    /// Adds one tap's products over a band to the sums of `I` input channels and `V` vectors of output channels.
    #[inline(always)]
    fn tap<S: Simd, const I: usize, const V: usize>(
        &self,
        s: S,
        x: &[Lanes],
        strip: &Strip<'_>,
        tap: &Tap,
        vector: usize,
        sums: &mut [Lanes],
    ) {
        let plane = self.plane();
        let size = strip.vectors * LANES;
        let mut total = [[s.zero(); V]; I];
        for block in 0..strip.blocks {
            let x = &x[block * self.channels() * plane..];
            let grad = &strip.grad[block * self.transposed()..];
            for y in tap.rows.clone() {
                let row = (y * self.stride[0] + tap.at[0] - self.border[0]) * self.input[1];
                for column in tap.columns.clone() {
                    let at = row + column * self.stride[1] + tap.at[1] - self.border[1];
                    let x: [&[f32; LANES]; I] = array::from_fn(
                        #[inline(always)]
                        |i| &x[i * plane + at].0,
                    );
                    let grad = &grad[(y * self.output[1] + column) * size..][..size];
                    for sample in 0..LANES {
                        let grad = &grad[sample * strip.vectors + vector..][..V];
                        let grad: [S::F32; V] = array::from_fn(
                            #[inline(always)]
                            |v| s.load(&grad[v]),
                        );
                        for i in 0..I {
                            let x = s.splat(x[i][sample]);
                            for v in 0..V {
                                total[i][v] = s.mul_add(x, grad[v], total[i][v]);
                            }
                        }
                    }
                }
            }
        }
        for (i, total) in total.iter().enumerate() {
            let at = (i * self.taps() + tap.at[0] * self.kernel[1] + tap.at[1]) * self.vectors();
            let to = &mut sums[at + strip.first + vector..][..V];
            for v in 0..V {
                s.store(s.add(s.load(&to[v]), total[v]), &mut to[v]);
            }
        }
    }

    /// The sums of the output channels `first..`, a whole number of vectors, as weights `[out][in][ky][kx]`, as many as
    /// `out` has room for.
    pub fn weights(&self, isa: Isa, sums: &[Lanes], first: usize, out: &mut [f32]) {
        dispatch!(isa, s => self.weights_body(s, sums, first, out));
    }

    #[inline(always)]
    fn weights_body<S: Simd>(&self, s: S, sums: &[Lanes], first: usize, out: &mut [f32]) {
        let (vectors, taps) = (self.vectors(), self.inputs * self.taps());
        let rows = out.len() / taps;
        let mut columns = [Lanes::ZERO; LANES];
        // Sixteen taps of all vectors at a time: a vector at a time would walk through all sums for each.
        for tap in (0..taps).step_by(LANES) {
            let count = LANES.min(taps - tap);
            let mut row = 0;
            while row < rows {
                let (group, channel) = ((first + row) / self.outputs, (first + row) % self.outputs);
                let (vector, lane) = (channel / LANES, channel % LANES);
                let channels = (LANES - lane).min(self.outputs - channel).min(rows - row);
                let sums = &sums[(group * taps + tap) * vectors + vector..];
                let turned = s.transpose(array::from_fn(
                    #[inline(always)]
                    |i| if i < count { s.load(&sums[i * vectors]) } else { s.zero() },
                ));
                for i in 0..LANES {
                    s.store(turned[i], &mut columns[i]);
                }
                for i in 0..channels {
                    let out = &mut out[(row + i) * taps + tap..][..count];
                    // A whole vector, all but once a row, is a store; a slice of any length is a call.
                    match out.as_mut_array::<LANES>() {
                        Some(out) => *out = columns[lane + i].0,
                        None => out.copy_from_slice(&columns[lane + i].0[..count]),
                    }
                }
                row += channels;
            }
        }
    }
}

/// A band of up to four vectors of output channels, of some blocks.
struct Strip<'a> {
    /// The first of the group's vectors.
    first: usize,
    vectors: usize,
    blocks: usize,
    /// From the first block's on: all pixels, `[pixel][sample][vector]`, and then those of what else is transposed.
    grad: &'a [Lanes],
    band: Range<usize>,
}

/// A kernel tap, and the outputs at which it falls on the input.
struct Tap {
    at: [usize; 2],
    rows: Range<usize>,
    columns: Range<usize>,
}
