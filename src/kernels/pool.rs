//! Max and average pooling, general windows and the fused 2 x 2 one.

use crate::simd::{Isa, Lanes, LanesU32, Simd, array, dispatch};
use crate::tensor::Shape;
use crate::{Error, Result};

/// For one 2 x 2 window and each of its positions (top left, top right, bottom left, bottom right), the lanes in which
/// that position is the (first) maximum and receives the gradient.
pub type Winners = [u16; 4];

/// The sizes of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolGeometry {
    /// The input.
    pub input: Shape,
    /// The output.
    pub output: Shape,
    /// Window, [y, x].
    pub window: [usize; 2],
    /// Step between windows, [y, x].
    pub stride: [usize; 2],
}

impl PoolGeometry {
    /// The sizes for an input; rows and columns that fill no window are left out, as elsewhere.
    ///
    /// # Errors
    /// If the window is empty or larger than the input, or a stride is 0.
    pub fn new(input: Shape, window: [usize; 2], stride: [usize; 2]) -> Result<Self> {
        let fits = window[0] <= input.height && window[1] <= input.width;
        if window.contains(&0) || stride.contains(&0) || !fits {
            return Err(Error::shape(
                "pool",
                format!(
                    "a window of 1x1 to {}x{}, strides of at least 1",
                    input.height, input.width
                ),
                format!("window {window:?}, stride {stride:?}"),
            ));
        }
        let rows = (input.height - window[0]) / stride[0] + 1;
        let columns = (input.width - window[1]) / stride[1] + 1;
        let output = Shape::new(input.channels, rows, columns);
        Ok(Self { input, output, window, stride })
    }

    /// Calls `f(output index, index of the window's first input)` for every window.
    #[inline(always)]
    fn for_each_window(&self, mut f: impl FnMut(usize, usize)) {
        let mut out = 0;
        for channel in 0..self.input.channels {
            for y in 0..self.output.height {
                for x in 0..self.output.width {
                    let row = channel * self.input.height + y * self.stride[0];
                    f(out, row * self.input.width + x * self.stride[1]);
                    out += 1;
                }
            }
        }
    }

    /// Calls `f(position in the window, index in the input)` for a window that starts at `first`.
    #[inline(always)]
    fn for_each_in_window(&self, first: usize, mut f: impl FnMut(usize, usize)) {
        for y in 0..self.window[0] {
            for x in 0..self.window[1] {
                f(y * self.window[1] + x, first + y * self.input.width + x);
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
    dispatch!(isa, s => g.for_each_window(#[inline(always)] |o, first| {
        let mut best = s.load(&x[first]);
        let mut place = s.splat_u32(0);
        g.for_each_in_window(first, #[inline(always)] |position, i| {
            let value = s.load(&x[i]);
            let larger = s.gt(value, best);
            best = s.select(larger, value, best);
            place = s.select_u32(larger, s.splat_u32(position as u32), place);
        });
        s.store(best, &mut out[o]);
        s.store_u32(place, &mut winner[o]);
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
    dispatch!(isa, s => g.for_each_window(#[inline(always)] |o, first| {
        let (grad, place) = (s.load(&grad[o]), s.load_u32(&winner[o]));
        g.for_each_in_window(first, #[inline(always)] |position, i| {
            let won = s.eq_u32(place, s.splat_u32(position as u32));
            let share = s.select(won, grad, s.zero());
            s.store(s.add(s.load(&out[i]), share), &mut out[i]);
        });
    }));
}

/// Mean of every window of a block.
pub fn avg_pool(isa: Isa, g: &PoolGeometry, x: &[Lanes], out: &mut [Lanes]) {
    let scale = 1.0 / (g.window[0] * g.window[1]) as f32;
    dispatch!(isa, s => g.for_each_window(#[inline(always)] |o, first| {
        let mut sum = s.zero();
        g.for_each_in_window(first, #[inline(always)] |_, i| sum = s.add(sum, s.load(&x[i])));
        s.store(s.mul(sum, s.splat(scale)), &mut out[o]);
    }));
}

/// Gradient of [`avg_pool`] to its input.
pub fn avg_pool_grad(isa: Isa, g: &PoolGeometry, grad: &[Lanes], out: &mut [Lanes]) {
    out.fill(Lanes::ZERO);
    let scale = 1.0 / (g.window[0] * g.window[1]) as f32;
    dispatch!(isa, s => g.for_each_window(#[inline(always)] |o, first| {
        let share = s.mul(s.load(&grad[o]), s.splat(scale));
        g.for_each_in_window(first, #[inline(always)] |_, i| {
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
