//! Max and average pooling, general windows and the fused 2 x 2 one.

use crate::simd::{Isa, Lanes, LanesU32, Simd, array, dispatch};
use crate::tensor::Shape;
use crate::{Error, Result};
use std::ops::Range;

/// For one 2 x 2 window and each of its positions (top left, top right, bottom left, bottom right), the lanes in which
/// that position is the (first) maximum and receives the gradient.
pub type Winners = [u16; 4];

/// What a pooling may choose besides its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolOptions {
    /// Step between windows, [y, x].
    pub stride: [usize; 2],
    /// Border on either side, [y, x], at most half of the window: it never wins a maximum, and is 0 in a mean.
    pub padding: [usize; 2],
    /// Whether a last window that is not full counts too.
    pub ceil: bool,
    /// Whether the border counts in a mean.
    pub count_include_pad: bool,
}

impl PoolOptions {
    /// With this stride, without a border; windows that are not full are left out.
    pub const fn of_stride(stride: [usize; 2]) -> Self {
        Self { stride, padding: [0, 0], ceil: false, count_include_pad: true }
    }
}

/// The sizes of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolGeometry {
    /// The input.
    pub input: Shape,
    /// The output.
    pub output: Shape,
    /// Window, [y, x].
    pub window: [usize; 2],
    /// Everything else.
    pub options: PoolOptions,
}

/// A window: its output, and the pixels of the input that lie in it.
struct PoolWindow {
    output: usize,
    /// Its first pixel, and that pixel's position in the whole window.
    first: usize,
    position: usize,
    rows: usize,
    columns: usize,
    /// What a mean divides by.
    count: usize,
}

impl PoolGeometry {
    /// The sizes for an input; rows and columns that fill no window are left out unless the options say otherwise.
    ///
    /// # Errors
    /// If the window is empty or larger than the input with its border, a stride is 0, or a border is larger than half
    /// of the window.
    pub fn new(input: Shape, window: [usize; 2], options: PoolOptions) -> Result<Self> {
        let PoolOptions { stride, padding, .. } = options;
        let half = (0..2).all(|i| padding[i] <= window[i] / 2);
        let sides = [input.height, input.width];
        let fits = half
            && (0..2).all(|i| {
                sides[i].checked_add(2 * padding[i]).is_some_and(|side| window[i] <= side)
            });
        if window.contains(&0) || stride.contains(&0) || input.features() == 0 || !fits {
            return Err(Error::shape(
                "pool",
                format!(
                    "a window of 1x1 to {}x{} and its border, strides of at least 1, borders of at most half a window",
                    input.height, input.width
                ),
                format!("window {window:?}, stride {stride:?}, padding {padding:?}"),
            ));
        }
        let count = |i: usize| {
            let room = sides[i] + 2 * padding[i] - window[i];
            if !options.ceil {
                return room / stride[i] + 1;
            }
            let count = room.div_ceil(stride[i]) + 1;
            // A window has to begin inside the input or its border on the left.
            if (count - 1) * stride[i] >= sides[i] + padding[i] { count - 1 } else { count }
        };
        let output = Shape::new(input.channels, count(0), count(1));
        Ok(Self { input, output, window, options })
    }

    /// Where a window of this row or column begins in the whole window and in the input, how many pixels of the input it
    /// has, and how many with its border.
    #[inline(always)]
    fn span(&self, i: usize, output: usize) -> (usize, usize, usize, usize) {
        let PoolOptions { stride, padding, .. } = self.options;
        let size = [self.input.height, self.input.width][i];
        let at = output * stride[i];
        let end = (at + self.window[i]).min(size + 2 * padding[i]);
        let (from, to) = (at.max(padding[i]), end.min(size + padding[i]));
        (from - at, from - padding[i], to - from, end - at)
    }

    /// The rows and columns of the input in the window of an output pixel, and what a mean divides by.
    pub fn window_of(&self, y: usize, x: usize) -> ([Range<usize>; 2], usize) {
        let (_, top, rows, height) = self.span(0, y);
        let (_, left, columns, width) = self.span(1, x);
        let all = self.options.count_include_pad;
        let count = if all { height * width } else { rows * columns };
        ([top..top + rows, left..left + columns], count)
    }

    /// Calls `f` for every window.
    #[inline(always)]
    fn for_each_window(&self, mut f: impl FnMut(PoolWindow)) {
        let mut output = 0;
        for channel in 0..self.input.channels {
            for y in 0..self.output.height {
                let (skipped_y, top, rows, height) = self.span(0, y);
                for x in 0..self.output.width {
                    let (skipped_x, left, columns, width) = self.span(1, x);
                    let row = channel * self.input.height + top;
                    let all = self.options.count_include_pad;
                    f(PoolWindow {
                        output,
                        first: row * self.input.width + left,
                        position: skipped_y * self.window[1] + skipped_x,
                        rows,
                        columns,
                        count: if all { height * width } else { rows * columns },
                    });
                    output += 1;
                }
            }
        }
    }

    /// Calls `f(position in the window, index in the input)` for the pixels of a window.
    #[inline(always)]
    fn for_each_in_window(&self, window: &PoolWindow, mut f: impl FnMut(usize, usize)) {
        for y in 0..window.rows {
            for x in 0..window.columns {
                let position = window.position + y * self.window[1] + x;
                f(position, window.first + y * self.input.width + x);
            }
        }
    }
}

/// Maximum of every window of a block; `winner` gets its position in the window, the first of equals.
pub fn max_pool(
    isa: Isa,
    g: &PoolGeometry,
    x: &[Lanes],
    out: &mut [Lanes],
    winner: &mut [LanesU32],
) {
    dispatch!(isa, s => g.for_each_window(#[inline(always)] |window| {
        let mut best = s.load(&x[window.first]);
        let mut place = s.splat_u32(window.position as u32);
        g.for_each_in_window(&window, #[inline(always)] |position, i| {
            let value = s.load(&x[i]);
            let larger = s.gt(value, best);
            best = s.select(larger, value, best);
            place = s.select_u32(larger, s.splat_u32(position as u32), place);
        });
        s.store(best, &mut out[window.output]);
        s.store_u32(place, &mut winner[window.output]);
    }));
}

/// Gradient of [`max_pool`] to its input: to the winner of each window, summed where windows overlap.
pub fn max_pool_grad(
    isa: Isa,
    g: &PoolGeometry,
    grad: &[Lanes],
    winner: &[LanesU32],
    out: &mut [Lanes],
) {
    out.fill(Lanes::ZERO);
    dispatch!(isa, s => g.for_each_window(#[inline(always)] |window| {
        let o = window.output;
        let (grad, place) = (s.load(&grad[o]), s.load_u32(&winner[o]));
        g.for_each_in_window(&window, #[inline(always)] |position, i| {
            let won = s.eq_u32(place, s.splat_u32(position as u32));
            let share = s.select(won, grad, s.zero());
            s.store(s.add(s.load(&out[i]), share), &mut out[i]);
        });
    }));
}

/// Mean of every window of a block.
pub fn avg_pool(isa: Isa, g: &PoolGeometry, x: &[Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => g.for_each_window(#[inline(always)] |window| {
        let mut sum = s.zero();
        g.for_each_in_window(&window, #[inline(always)] |_, i| sum = s.add(sum, s.load(&x[i])));
        let scale = 1.0 / window.count as f32;
        s.store(s.mul(sum, s.splat(scale)), &mut out[window.output]);
    }));
}

/// Gradient of [`avg_pool`] to its input.
pub fn avg_pool_grad(isa: Isa, g: &PoolGeometry, grad: &[Lanes], out: &mut [Lanes]) {
    out.fill(Lanes::ZERO);
    dispatch!(isa, s => g.for_each_window(#[inline(always)] |window| {
        let scale = 1.0 / window.count as f32;
        let share = s.mul(s.load(&grad[window.output]), s.splat(scale));
        g.for_each_in_window(&window, #[inline(always)] |_, i| {
            s.store(s.add(s.load(&out[i]), share), &mut out[i]);
        });
    }));
}

/// The maximum of a 2 x 2 window.
#[inline(always)]
pub(super) fn window_max<S: Simd>(s: S, [a, b, c, d]: [S::F32; 4]) -> S::F32 {
    s.max(s.max(d, c), s.max(b, a))
}

/// Who wins a 2 x 2 window, the first of equals, in the lanes where `open` holds.
#[inline(always)]
pub(super) fn window_winners<S: Simd>(s: S, [a, b, c, d]: [S::F32; 4], open: S::Mask) -> Winners {
    let right_of_top = s.mask_bits(s.gt(b, a));
    let right_of_bottom = s.mask_bits(s.gt(d, c));
    let bottom = s.mask_bits(s.gt(s.max(d, c), s.max(b, a)));
    let open = s.mask_bits(open);
    let (in_top, in_bottom) = (open & !bottom, open & bottom);
    [
        in_top & !right_of_top,
        in_top & right_of_top,
        in_bottom & !right_of_bottom,
        in_bottom & right_of_bottom,
    ]
}

/// Gradient of a recorded 2 x 2 maximum to its input. `grad` and `winners` have `pooled`; `out` has twice its sides and
/// is laid out `[y][x][channel]`, as the input gradient of the convolution before it wants.
pub fn unpool_by_pixel(
    isa: Isa,
    pooled: Shape,
    grad: &[Lanes],
    winners: &[Winners],
    out: &mut [Lanes],
) {
    dispatch!(isa, s => unpool_body(s, pooled, grad, winners, out));
}

#[inline(always)]
fn unpool_body<S: Simd>(
    s: S,
    pooled: Shape,
    grad: &[Lanes],
    winners: &[Winners],
    out: &mut [Lanes],
) {
    let Shape { channels, width, .. } = pooled;
    let rows = out.chunks_mut(4 * width * channels);
    for (y, pair) in rows.enumerate() {
        let (top, bottom) = pair.split_at_mut(2 * width * channels);
        for x in 0..width {
            let top = &mut top[2 * x * channels..][..2 * channels];
            let bottom = &mut bottom[2 * x * channels..][..2 * channels];
            for channel in 0..channels {
                let at = channel * pooled.pixels() + y * width + x;
                let (grad, won) = (s.load(&grad[at]), winners[at]);
                let share = array::map(
                    won,
                    #[inline(always)]
                    |bits| s.select(s.mask_from_bits(bits), grad, s.zero()),
                );
                s.store(share[0], &mut top[channel]);
                s.store(share[1], &mut top[channels + channel]);
                s.store(share[2], &mut bottom[channel]);
                s.store(share[3], &mut bottom[channels + channel]);
            }
        }
    }
}
