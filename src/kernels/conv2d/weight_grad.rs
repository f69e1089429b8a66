//! Gradient of a convolution to its weights: per lane over all blocks and pixels, the lanes folded once at the end.
//!
//! The accumulators are five kernel columns x a tile of output channels, of *one register* each. With AVX2 the tile is
//! two channels and the register half of the sixteen lanes; five inputs and two gradients then serve ten multiply-adds,
//! where whole vectors would need twelve loads for ten. With AVX-512 it is five channels, and the inputs come less often
//! from L2. A few output rows at a time, so that the gradient rows stay in L1 while all kernel rows and input channels
//! pass over them.

use super::{Geometry, tiles};
use crate::simd::{Isa, Lanes, Simd, array, dispatch};

/// Kernel columns accumulated together.
const COLUMNS: usize = 5;

/// Lanes of gradient and input in one chunk of rows, for each channel of the tile. Two channels' pass through L1 (32 KiB,
/// a third left for accumulators). What five read from L2 is hidden behind their 25 multiply-adds a pixel: larger chunks
/// were faster.
const CHUNK_LANES: usize = 160;

/// Output channels whose sums are in registers together, at most: AVX-512 has 32 of them, for 25 sums, five gradients, one
/// input.
fn tile<S: Simd>(_: S) -> usize {
    if S::ACCUMULATORS >= 20 { 5 } else { 2 }
}

/// Lanes of scratch memory that [`weight_grad`] needs for `channels` output channels.
pub fn weight_grad_scratch(isa: Isa, g: &Geometry, channels: usize) -> usize {
    dispatch!(isa, s => tile(s)).min(channels) * g.fan_in()
}

/// Gradient to the weights of neighbouring output channels (of one group), summed over all blocks.
///
/// `x` and `grad` hold all blocks, of `g.input` (border included) and `g.output`; `first` is the first output channel;
/// `out` has `fan_in` numbers for each of the channels, in the order `[in][ky][kx]`.
pub fn weight_grad(
    isa: Isa,
    g: &Geometry,
    x: &[Lanes],
    grad: &[Lanes],
    first: usize,
    out: &mut [f32],
    scratch: &mut [Lanes],
) {
    let taps = g.fan_in();
    dispatch!(isa, s => {
        for (start, channels) in tiles(out.len() / taps, tile(s)) {
            let (first, out) = (first + start, &mut out[start * taps..][..channels * taps]);
            let scratch = &mut scratch[..channels * taps];
            match channels {
                5 => body::<_, 5>(s, g, x, grad, first, out, scratch),
                4 => body::<_, 4>(s, g, x, grad, first, out, scratch),
                3 => body::<_, 3>(s, g, x, grad, first, out, scratch),
                2 => body::<_, 2>(s, g, x, grad, first, out, scratch),
                _ => body::<_, 1>(s, g, x, grad, first, out, scratch),
            }
        }
    });
}

#[inline(always)]
fn body<S: Simd, const C: usize>(
    s: S,
    g: &Geometry,
    x: &[Lanes],
    grad: &[Lanes],
    first: usize,
    out: &mut [f32],
    scratch: &mut [Lanes],
) {
    let taps = g.fan_in();
    scratch.fill(Lanes::ZERO);
    let inputs = first / g.out_channels() * g.in_channels() * g.input.pixels();
    let most_rows = (C * CHUNK_LANES / (C * g.output.width + g.input.width)).max(1);
    let chunk_rows = g.output.height.div_ceil(g.output.height.div_ceil(most_rows));
    for (x, grad) in x.chunks(g.input.features()).zip(grad.chunks(g.output.features())) {
        let x = &x[inputs..];
        let grad = &grad[first * g.output.pixels()..];
        for first_row in (0..g.output.height).step_by(chunk_rows) {
            let rows = first_row..(first_row + chunk_rows).min(g.output.height);
            for channel in 0..g.in_channels() {
                let x = &x[channel * g.input.pixels()..][..g.input.pixels()];
                for ky in 0..g.kernel[0] {
                    let at = (channel * g.kernel[0] + ky) * g.kernel[1];
                    for column in (0..g.kernel[1]).step_by(COLUMNS) {
                        let place =
                            Place { rows: (rows.start, rows.end), ky, column, tap: at + column };
                        match (g.kernel[1] - column).min(COLUMNS) {
                            1 => place.accumulate_parts::<S, C, 1>(s, g, x, grad, scratch),
                            2 => place.accumulate_parts::<S, C, 2>(s, g, x, grad, scratch),
                            3 => place.accumulate_parts::<S, C, 3>(s, g, x, grad, scratch),
                            4 => place.accumulate_parts::<S, C, 4>(s, g, x, grad, scratch),
                            _ => place.accumulate_parts::<S, C, COLUMNS>(s, g, x, grad, scratch),
                        }
                    }
                }
            }
        }
    }
    for (sum, out) in scratch[..C * taps].iter().zip(out) {
        *out = s.reduce_add(s.load(sum));
    }
}

/// Some kernel columns of one kernel row and input channel, over some output rows.
#[derive(Clone, Copy)]
struct Place {
    rows: (usize, usize),
    ky: usize,
    column: usize,
    /// The first column's tap among `[in][ky][kx]`.
    tap: usize,
}

impl Place {
    #[inline(always)]
    fn accumulate_parts<S: Simd, const C: usize, const K: usize>(
        self,
        s: S,
        g: &Geometry,
        x: &[Lanes],
        grad: &[Lanes],
        sums: &mut [Lanes],
    ) {
        self.accumulate::<S, C, K, 0>(s, g, x, grad, sums);
        if S::PARTS > 1 {
            self.accumulate::<S, C, K, 1>(s, g, x, grad, sums);
        }
    }

    /// One register's share of the lanes.
    #[inline(always)]
    fn accumulate<S: Simd, const C: usize, const K: usize, const PART: usize>(
        self,
        s: S,
        g: &Geometry,
        x: &[Lanes],
        grad: &[Lanes],
        sums: &mut [Lanes],
    ) {
        let taps = g.fan_in();
        let (width, stride) = (g.output.width, g.stride[1]);
        let mut total: [[S::Part; K]; C] = array::from_fn(
            #[inline(always)]
            |c| {
                array::from_fn(
                    #[inline(always)]
                    |k| s.load_part(&sums[c * taps + self.tap + k], PART),
                )
            },
        );
        for y in self.rows.0..self.rows.1 {
            let grad: [&[Lanes]; C] = array::from_fn(
                #[inline(always)]
                |c| &grad[c * g.output.pixels() + y * width..][..width],
            );
            let row = &x[(y * g.stride[0] + self.ky) * g.input.width + self.column..];
            if stride == 1 {
                let x: [&[Lanes]; K] = array::from_fn(
                    #[inline(always)]
                    |k| &row[k..][..width],
                );
                for i in 0..width {
                    let grad = array::map(
                        grad,
                        #[inline(always)]
                        |grad| s.load_part(&grad[i], PART),
                    );
                    for k in 0..K {
                        let x = s.load_part(&x[k][i], PART);
                        for c in 0..C {
                            total[c][k] = s.mul_add_part(grad[c], x, total[c][k]);
                        }
                    }
                }
            } else {
                for i in 0..width {
                    let grad = array::map(
                        grad,
                        #[inline(always)]
                        |grad| s.load_part(&grad[i], PART),
                    );
                    let x = &row[i * stride..][..K];
                    for k in 0..K {
                        let x = s.load_part(&x[k], PART);
                        for c in 0..C {
                            total[c][k] = s.mul_add_part(grad[c], x, total[c][k]);
                        }
                    }
                }
            }
        }
        for c in 0..C {
            for k in 0..K {
                s.store_part(total[c][k], &mut sums[c * taps + self.tap + k], PART);
            }
        }
    }
}
