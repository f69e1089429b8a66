//! Forward convolution: for each output pixel, a tile of up to five output channels in registers.

use super::{Geometry, tiles};
use crate::kernels::pool::{Winners, window_max, window_winners};
use crate::simd::{Isa, Lanes, Simd, array, dispatch};
use crate::tensor::Region;
use std::ops::Range;

/// Output channels whose sums are in registers together: with sixteen lanes that is ten AVX2 registers, enough to hide
/// the latency of a multiply-add (two ports, five cycles), with six left for inputs and weights.
const TILE: usize = 5;

/// Reorders weights `[out][in][ky][kx]` so that those of a tile's channels lie together: `[tile][in][ky][kx][channel]`.
pub fn pack_forward(g: &Geometry, weight: &[f32], packed: &mut Vec<f32>) {
    packed.clear();
    let taps = g.fan_in();
    for group in weight.chunks(g.out_channels() * taps) {
        for (first, channels) in tiles(g.out_channels(), TILE) {
            let tile = &group[first * taps..][..channels * taps];
            for tap in 0..taps {
                packed.extend((0..channels).map(|channel| tile[channel * taps + tap]));
            }
        }
    }
}

/// Convolves one block. `x` has `g.input`, `out` has `g.output`; `packed` comes from [`pack_forward`].
pub fn forward(isa: Isa, g: &Geometry, x: &[Lanes], packed: &[f32], out: &mut [Lanes]) {
    dispatch!(isa, s => forward_body(s, g, x, packed, out));
}

#[inline(always)]
fn forward_body<S: Simd>(s: S, g: &Geometry, x: &[Lanes], packed: &[f32], out: &mut [Lanes]) {
    let pixels = g.output.pixels();
    for_each_tile(
        g,
        packed,
        #[inline(always)]
        |group, first, channels, weight| {
            let x = &x[group * g.in_channels() * g.input.pixels()..];
            let out = &mut out[first * pixels..][..channels * pixels];
            rows(s, g, x, weight, channels, 0..g.output.height, 0..g.output.width, out);
        },
    );
}

/// Convolves one block of a frozen network, adds the folded bias, rectifies and takes the maximum of every 2 x 2
/// window, in one pass. The output's sides are even; `out` has halved sides, and of it only `region` is written.
///
/// `winners`, wanted if a backward is to follow, gets one [`Winners`] a window, the rectifier's closed lanes left out.
/// `scratch` holds two rows of a tile: [`pool_scratch`] lanes.
#[expect(clippy::too_many_arguments, reason = "what the kernel reads, writes and borrows")]
pub fn forward_bias_relu_pool(
    isa: Isa,
    g: &Geometry,
    x: &[Lanes],
    packed: &[f32],
    bias: &[f32],
    region: &Region,
    out: &mut [Lanes],
    winners: Option<&mut [Winners]>,
    scratch: &mut [Lanes],
) {
    if region.x.is_empty() {
        return;
    }
    dispatch!(isa, s => match winners {
        Some(winners) => pool_body::<_, true>(s, g, x, packed, bias, region, out, winners, scratch),
        None => pool_body::<_, false>(s, g, x, packed, bias, region, out, &mut [], scratch),
    });
}

/// Lanes of scratch memory that [`forward_bias_relu_pool`] needs.
pub fn pool_scratch(g: &Geometry) -> usize {
    2 * TILE * g.output.width
}

#[expect(clippy::too_many_arguments, reason = "the kernel's arguments, passed on")]
#[inline(always)]
fn pool_body<S: Simd, const RECORD: bool>(
    s: S,
    g: &Geometry,
    x: &[Lanes],
    packed: &[f32],
    bias: &[f32],
    region: &Region,
    out: &mut [Lanes],
    winners: &mut [Winners],
    scratch: &mut [Lanes],
) {
    let (pooled_height, pooled_width) = (g.output.height / 2, g.output.width / 2);
    let columns = 2 * region.x.start..2 * region.x.end;
    let width = columns.len();
    for_each_tile(
        g,
        packed,
        #[inline(always)]
        |group, first, channels, weight| {
            let x = &x[group * g.in_channels() * g.input.pixels()..];
            let scratch = &mut scratch[..channels * 2 * width];
            for pooled_y in region.y.clone() {
                let pair = 2 * pooled_y..2 * pooled_y + 2;
                rows(s, g, x, weight, channels, pair, columns.clone(), scratch);
                for (channel, pair) in scratch.chunks(2 * width).enumerate() {
                    let bias = s.splat(bias[first + channel]);
                    let row = ((first + channel) * pooled_height + pooled_y) * pooled_width;
                    let at = row + region.x.start;
                    let (top, bottom) = pair.split_at(width);
                    let (top, bottom) = (top.as_chunks::<2>().0, bottom.as_chunks::<2>().0);
                    for column in 0..width / 2 {
                        let (t, b) = (&top[column], &bottom[column]);
                        let window = array::map(
                            [&t[0], &t[1], &b[0], &b[1]],
                            #[inline(always)]
                            |v| s.load(v),
                        );
                        // One bias for all four, so it may wait until after the maximum.
                        let best = s.add(window_max(s, window), bias);
                        s.store(s.max(s.zero(), best), &mut out[at + column]);
                        if RECORD {
                            winners[at + column] = window_winners(s, window, s.gt(best, s.zero()));
                        }
                    }
                }
            }
        },
    );
}

/// Calls `f(group, first output channel, channels, weights of the tile)` for every tile of output channels.
#[inline(always)]
fn for_each_tile(g: &Geometry, packed: &[f32], mut f: impl FnMut(usize, usize, usize, &[f32])) {
    let taps = g.fan_in();
    let mut rest = packed;
    for group in 0..g.groups {
        for (first, channels) in tiles(g.out_channels(), TILE) {
            let (weight, after) = rest.split_at(channels * taps);
            rest = after;
            f(group, group * g.out_channels() + first, channels, weight);
        }
    }
}

/// What makes [`pixels`]' unchecked reads sound: a geometry whose output windows lie inside its input, and a block of it.
#[inline(always)]
fn check(g: &Geometry, x: &[Lanes], rows: usize, columns: usize) {
    // A geometry's fields are public: sums and products that wrap around must not pass.
    let fits = |i: usize, outputs: usize, inputs: usize| {
        let first = outputs.checked_sub(1)?.checked_mul(g.stride[i])?;
        (first.checked_add(g.kernel[i])? <= inputs).then_some(())
    };
    assert!(fits(0, g.output.height, g.input.height).is_some() && rows <= g.output.height);
    assert!(fits(1, g.output.width, g.input.width).is_some() && columns <= g.output.width);
    let pixels = g.input.height.checked_mul(g.input.width);
    let needed = pixels.and_then(|pixels| pixels.checked_mul(g.in_channels()));
    assert!(needed.is_some_and(|needed| x.len() >= needed));
}

/// These output rows and columns of a tile, into `out[channel][row][column]`.
#[expect(clippy::too_many_arguments, reason = "the kernel's arguments, passed on")]
#[inline(always)]
fn rows<S: Simd>(
    s: S,
    g: &Geometry,
    x: &[Lanes],
    weight: &[f32],
    channels: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    out: &mut [Lanes],
) {
    check(g, x, rows.end, columns.end);
    // LeNet's case by name, its kernel rows unrolled: 75 -> 84 GFLOP/s for conv 1->10 on a Zen 2 core (peak 108).
    match (channels, g.kernel[1]) {
        (TILE, 5) => rows_of::<S, TILE>(s, g, 5, x, weight, rows, columns, out),
        (1, kernel_x) => rows_of::<S, 1>(s, g, kernel_x, x, weight, rows, columns, out),
        (2, kernel_x) => rows_of::<S, 2>(s, g, kernel_x, x, weight, rows, columns, out),
        (3, kernel_x) => rows_of::<S, 3>(s, g, kernel_x, x, weight, rows, columns, out),
        (4, kernel_x) => rows_of::<S, 4>(s, g, kernel_x, x, weight, rows, columns, out),
        (_, kernel_x) => rows_of::<S, TILE>(s, g, kernel_x, x, weight, rows, columns, out),
    }
}

#[expect(clippy::too_many_arguments, reason = "the kernel's arguments, passed on")]
#[inline(always)]
fn rows_of<S: Simd, const C: usize>(
    s: S,
    g: &Geometry,
    kernel_x: usize,
    x: &[Lanes],
    weight: &[f32],
    rows: Range<usize>,
    columns: Range<usize>,
    out: &mut [Lanes],
) {
    let weight = weight.as_chunks::<C>().0;
    let (width, plane) = (columns.len(), rows.len() * columns.len());
    for (row, y) in rows.enumerate() {
        let out = &mut out[row * width..];
        let mut column = 0;
        // As many neighboring pixels at a time as the registers hold: one for five channels with AVX2.
        let together = (S::ACCUMULATORS / C).min(4);
        if together >= 4 {
            while column + 4 <= width {
                let sums = pixels::<S, C, 4>(s, g, kernel_x, x, weight, y, columns.start + column);
                store(s, &sums, &mut out[column..], plane);
                column += 4;
            }
        }
        if together >= 2 {
            while column + 2 <= width {
                let sums = pixels::<S, C, 2>(s, g, kernel_x, x, weight, y, columns.start + column);
                store(s, &sums, &mut out[column..], plane);
                column += 2;
            }
        }
        while column < width {
            let sums = pixels::<S, C, 1>(s, g, kernel_x, x, weight, y, columns.start + column);
            store(s, &sums, &mut out[column..], plane);
            column += 1;
        }
    }
}

#[inline(always)]
fn store<S: Simd, const C: usize, const P: usize>(
    s: S,
    sums: &[[S::F32; C]; P],
    out: &mut [Lanes],
    plane: usize,
) {
    for channel in 0..C {
        let out = &mut out[channel * plane..][..P];
        for pixel in 0..P {
            s.store(sums[pixel][channel], &mut out[pixel]);
        }
    }
}

/// The sums of `C` channels at `P` neighboring pixels.
///
/// The one place outside of `simd` with unchecked indexing: the two checks a kernel row cost 10 % of the convolution
/// (conv 10->20 on a Zen 2 core: 94 GFLOP/s with them, 104 without, peak 108).
#[allow(unsafe_code)]
#[inline(always)]
fn pixels<S: Simd, const C: usize, const P: usize>(
    s: S,
    g: &Geometry,
    kernel_x: usize,
    x: &[Lanes],
    weight: &[[f32; C]],
    y: usize,
    column: usize,
) -> [[S::F32; C]; P] {
    let mut sums = [[s.zero(); C]; P];
    let at = y * g.stride[0] * g.input.width + column * g.stride[1];
    let mut tap = 0;
    for channel in 0..g.in_channels() {
        for ky in 0..g.kernel[0] {
            let row = at + channel * g.input.pixels() + ky * g.input.width;
            let x: [&[Lanes]; P] = array::from_fn(
                #[inline(always)]
                |p| {
                    let first = row + p * g.stride[1];
                    debug_assert!(first + kernel_x <= x.len());
                    // SAFETY: `check` held `x` to all of a group's channels and the output to pixels whose window lies
                    // inside the input, and every caller's `y` and `column + P - 1` are pixels of the output.
                    unsafe { x.get_unchecked(first..first + kernel_x) }
                },
            );
            // A row of the weights; stepping through `chunks_exact` would cost a division a pixel.
            let weight = &weight[tap..tap + kernel_x];
            tap += kernel_x;
            for kx in 0..kernel_x {
                let w = weight[kx];
                for p in 0..P {
                    let value = s.load(&x[p][kx]);
                    for c in 0..C {
                        sums[p][c] = s.mul_add(value, s.splat(w[c]), sums[p][c]);
                    }
                }
            }
        }
    }
    sums
}
