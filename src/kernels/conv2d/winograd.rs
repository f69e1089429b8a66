//! Winograd's F(2 x 2, 3 x 3): four outputs of a 3 x 3 kernel from sixteen multiplications instead of thirty-six.
//!
//! A 4 x 4 window of the input and the kernel are transformed by additions, multiplied element by element and summed
//! over input channels, and the sums transformed back (Lavin and Gray, 2015). With sixteen samples in a vector the
//! transforms are additions of neighboring pixels, without a shuffle, and the sums are sixteen matrix products.
//!
//! The order of all sums is fixed, so the bits are the same everywhere, but they are not those of the direct kernel. The
//! error against f64 is below 2e-6 of the largest output on numbers of either sign (`tests/engine/conv2d.rs`).
//! The zero border is never written out; what lies outside of the input is a zero in the window.

use super::{Geometry, tiles};
use crate::simd::{Isa, LANES, Lanes, Simd, array, dispatch};

/// Numbers in a transformed window.
const POINTS: usize = 16;
/// Output channels whose sums are in registers together, of one window with AVX2, of four with AVX-512.
const TILE: usize = 6;
/// Channels, input and output together, times windows transformed at a time: about 1 MiB, a second-level cache.
const CHANNEL_WINDOWS: usize = 1024;
/// Fewer channels than this on either side do not pay for the transforms.
const FEWEST_CHANNELS: usize = 8;

/// A convolution by 3 x 3 kernels of one group, or the gradient of one to its input, which is another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Winograd {
    groups: usize,
    /// Channels of a group.
    inputs: usize,
    outputs: usize,
    /// Height and width without the border.
    input: [usize; 2],
    output: [usize; 2],
    border: [usize; 2],
}

impl Winograd {
    /// The forward pass, if it is worth it: decided by the sizes alone, never by the machine.
    pub(super) fn forward(g: &Geometry) -> Option<Self> {
        let input = g.unpadded();
        Self {
            groups: g.groups,
            inputs: g.in_channels(),
            outputs: g.out_channels(),
            input: [input.height, input.width],
            output: [g.output.height, g.output.width],
            border: g.padding,
        }
        .if_worth_it(g)
    }

    /// The gradient to the input (its border left out): the forward pass of flipped kernels on the output's gradient.
    pub(super) fn backward(g: &Geometry) -> Option<Self> {
        let forward = Self::forward(g)?;
        Self {
            inputs: forward.outputs,
            outputs: forward.inputs,
            input: forward.output,
            output: forward.input,
            border: [2 - g.padding[0], 2 - g.padding[1]],
            ..forward
        }
        .if_worth_it(g)
    }

    fn if_worth_it(self, g: &Geometry) -> Option<Self> {
        let fits = g.kernel == [3, 3] && g.stride == [1, 1] && g.padding.iter().all(|&p| p <= 2);
        let wide = self.inputs.min(self.outputs) >= FEWEST_CHANNELS;
        let windows = self.output.iter().chain(&self.input).all(|&side| side >= 2);
        (fits && wide && windows).then_some(self)
    }

    fn windows(&self) -> [usize; 2] {
        self.output.map(|side| side.div_ceil(2))
    }

    /// Windows transformed at a time, of `blocks` blocks.
    fn together(&self, blocks: usize) -> usize {
        let fit = CHANNEL_WINDOWS / (self.inputs + self.outputs);
        let all = blocks * self.windows()[0] * self.windows()[1];
        (fit / 4 * 4).clamp(4, 32).min(all)
    }

    /// Lanes of scratch memory that [`run`](Self::run) needs for `blocks`.
    pub(super) fn scratch(&self, blocks: usize) -> usize {
        let together = self.together(blocks);
        POINTS * (stride(self.inputs * together) + stride(self.outputs * together))
    }

    /// Tiles of output channels of all groups.
    pub(super) fn tiles(&self) -> usize {
        self.groups * self.outputs.div_ceil(TILE)
    }

    /// Numbers of a packed tile, `[point][in][channel of the tile]`.
    pub(super) fn tile(&self) -> usize {
        POINTS * self.point()
    }

    /// From one point's numbers to the next: a cache line more than there are, so that the points of a kernel are in
    /// different sets of the cache.
    fn point(&self) -> usize {
        (self.inputs * TILE).next_multiple_of(LANES) + LANES
    }

    /// Transforms the kernels of a tile. `kernel(group, out, in)` gives nine numbers.
    pub(super) fn pack(
        &self,
        tile: usize,
        kernel: impl Fn(usize, usize, usize) -> [f32; 9],
        packed: &mut [f32],
    ) {
        let count = self.outputs.div_ceil(TILE);
        let Some((first, channels)) = tiles(self.outputs, TILE).nth(tile % count) else { return };
        for input in 0..self.inputs {
            for channel in 0..channels {
                let kernel = kernel(tile / count, first + channel, input);
                for (point, value) in transform_kernel(&kernel).into_iter().enumerate() {
                    packed[point * self.point() + input * channels + channel] = value;
                }
            }
        }
    }

    /// Convolves blocks. `x` and `out` have no border.
    pub(super) fn run(
        &self,
        isa: Isa,
        x: &[Lanes],
        packed: &[f32],
        out: &mut [Lanes],
        scratch: &mut [Lanes],
    ) {
        dispatch!(isa, s => self.body(s, x, packed, out, scratch));
    }

    #[inline(always)]
    fn body<S: Simd>(
        &self,
        s: S,
        x: &[Lanes],
        packed: &[f32],
        out: &mut [Lanes],
        scratch: &mut [Lanes],
    ) {
        let blocks = x.len() / (self.groups * self.inputs * self.input[0] * self.input[1]);
        let windows = blocks * self.windows()[0] * self.windows()[1];
        let most = self.together(blocks);
        for group in 0..self.groups {
            let size = self.tiles() / self.groups * self.tile();
            let weight = &packed[group * size..][..size];
            for first in (0..windows).step_by(most) {
                let count = most.min(windows - first);
                let size = [stride(count * self.inputs), stride(count * self.outputs)];
                let (seen, sums) = scratch.split_at_mut(POINTS * size[0]);
                self.transform_input(s, x, group, first, count, seen);
                for point in 0..POINTS {
                    let seen = &seen[point * size[0]..][..size[0]];
                    let sums = &mut sums[point * size[1]..][..size[1]];
                    self.multiply(s, seen, &weight[point * self.point()..], count, sums);
                }
                self.transform_output(s, sums, group, first, count, out);
            }
        }
    }

    /// Block, row and column of a window, the windows of all blocks counted one after the other.
    #[inline(always)]
    fn place(&self, window: usize) -> [usize; 3] {
        let [down, across] = self.windows();
        let (block, window) = (window / (down * across), window % (down * across));
        [block, window / across, window % across]
    }

    /// The transformed windows `first..first + count` as `[point][channel][window]`.
    #[inline(always)]
    fn transform_input<S: Simd>(
        &self,
        s: S,
        x: &[Lanes],
        group: usize,
        first: usize,
        count: usize,
        seen: &mut [Lanes],
    ) {
        let [height, width] = self.input;
        let size = stride(self.inputs * count);
        for window in 0..count {
            let [block, row, column] = self.place(first + window);
            let channels = (block * self.groups + group) * self.inputs;
            for channel in 0..self.inputs {
                let plane = &x[(channels + channel) * height * width..][..height * width];
                // Of the window's first pixel in the input with its border.
                let (top, left) = (2 * row, 2 * column);
                let inside = top >= self.border[0]
                    && left >= self.border[1]
                    && top + 4 <= height + self.border[0]
                    && left + 4 <= width + self.border[1];
                let mut d = [[s.zero(); 4]; 4];
                for (i, d) in d.iter_mut().enumerate() {
                    if inside {
                        let at = (top + i - self.border[0]) * width + left - self.border[1];
                        let row = &plane[at..at + 4];
                        for j in 0..4 {
                            d[j] = s.load(&row[j]);
                        }
                    } else if (self.border[0]..height + self.border[0]).contains(&(top + i)) {
                        let row = &plane[(top + i - self.border[0]) * width..][..width];
                        for j in 0..4 {
                            if (self.border[1]..width + self.border[1]).contains(&(left + j)) {
                                d[j] = s.load(&row[left + j - self.border[1]]);
                            }
                        }
                    }
                }
                let mut rows = [[s.zero(); 4]; 4];
                for j in 0..4 {
                    rows[0][j] = s.sub(d[0][j], d[2][j]);
                    rows[1][j] = s.add(d[1][j], d[2][j]);
                    rows[2][j] = s.sub(d[2][j], d[1][j]);
                    rows[3][j] = s.sub(d[1][j], d[3][j]);
                }
                let at = channel * count + window;
                for i in 0..4 {
                    let r = rows[i];
                    s.store(s.sub(r[0], r[2]), &mut seen[4 * i * size + at]);
                    s.store(s.add(r[1], r[2]), &mut seen[(4 * i + 1) * size + at]);
                    s.store(s.sub(r[2], r[1]), &mut seen[(4 * i + 2) * size + at]);
                    s.store(s.sub(r[1], r[3]), &mut seen[(4 * i + 3) * size + at]);
                }
            }
        }
    }

    /// `sums[out][window] = sum over in of weight[out][in] seen[in][window]` for one point. `weight` begins with the
    /// point's numbers in the first tile.
    #[inline(always)]
    fn multiply<S: Simd>(
        &self,
        s: S,
        seen: &[Lanes],
        weight: &[f32],
        count: usize,
        sums: &mut [Lanes],
    ) {
        let mut window = 0;
        while window < count {
            let together = if S::ACCUMULATORS >= 4 * 5 && window + 4 <= count { 4 } else { 1 };
            for (i, (first, channels)) in tiles(self.outputs, TILE).enumerate() {
                let weight = &weight[i * self.tile()..][..channels * self.inputs];
                let sums = &mut sums[first * count..][..channels * count];
                macro_rules! tile {
                    ($($channels:literal),*) => {
                        match (channels, together) {
                            $(($channels, 4) => tile::<S, $channels, 4>(s, seen, weight, count, window, sums),
                            ($channels, _) => tile::<S, $channels, 1>(s, seen, weight, count, window, sums),)*
                            _ => unreachable!("tiles have at most {TILE} channels"),
                        }
                    };
                }
                tile!(1, 2, 3, 4, 5, 6);
            }
            window += together;
        }
    }

    /// The outputs of these windows, those of the last row or column only as far as there are any.
    #[inline(always)]
    fn transform_output<S: Simd>(
        &self,
        s: S,
        sums: &[Lanes],
        group: usize,
        first: usize,
        count: usize,
        out: &mut [Lanes],
    ) {
        let [height, width] = self.output;
        let size = stride(self.outputs * count);
        for window in 0..count {
            let [block, row, column] = self.place(first + window);
            let channels = (block * self.groups + group) * self.outputs;
            for channel in 0..self.outputs {
                let plane = &mut out[(channels + channel) * height * width..][..height * width];
                let at = channel * count + window;
                let mut rows = [[s.zero(); 4]; 2];
                for j in 0..4 {
                    let m: [S::F32; 4] = array::from_fn(
                        #[inline(always)]
                        |i| s.load(&sums[(4 * i + j) * size + at]),
                    );
                    rows[0][j] = s.add(s.add(m[0], m[1]), m[2]);
                    rows[1][j] = s.sub(s.sub(m[1], m[2]), m[3]);
                }
                for i in 0..2.min(height - 2 * row) {
                    let r = rows[i];
                    let to = &mut plane[(2 * row + i) * width + 2 * column..];
                    s.store(s.add(s.add(r[0], r[1]), r[2]), &mut to[0]);
                    if 2 * column + 1 < width {
                        s.store(s.sub(s.sub(r[1], r[2]), r[3]), &mut to[1]);
                    }
                }
            }
        }
    }
}

/// Lanes from one point to the next: an odd number, so that a window's sixteen points are in different sets of the cache.
fn stride(lanes: usize) -> usize {
    lanes | 1
}

/// `G g G^T` of a kernel.
#[inline(always)]
fn transform_kernel(g: &[f32; 9]) -> [f32; POINTS] {
    let column = |a: f32, b: f32, c: f32| [a, 0.5 * ((a + c) + b), 0.5 * ((a + c) - b), c];
    let columns: [[f32; 4]; 3] = array::from_fn(|j| column(g[j], g[3 + j], g[6 + j]));
    let mut points = [0.0; POINTS];
    for i in 0..4 {
        let row = column(columns[0][i], columns[1][i], columns[2][i]);
        points[4 * i..][..4].copy_from_slice(&row);
    }
    points
}

#[inline(always)]
fn tile<S: Simd, const C: usize, const P: usize>(
    s: S,
    seen: &[Lanes],
    weight: &[f32],
    count: usize,
    window: usize,
    sums: &mut [Lanes],
) {
    let mut total = [[s.zero(); P]; C];
    let weight = weight.as_chunks::<C>().0;
    for input in 0..weight.len() {
        let (row, weight) = (&seen[input * count + window..][..P], &weight[input]);
        let x: [S::F32; P] = array::from_fn(
            #[inline(always)]
            |p| s.load(&row[p]),
        );
        for c in 0..C {
            let w = s.splat(weight[c]);
            for p in 0..P {
                total[c][p] = s.mul_add(x[p], w, total[c][p]);
            }
        }
    }
    for c in 0..C {
        let to = &mut sums[c * count + window..][..P];
        for p in 0..P {
            s.store(total[c][p], &mut to[p]);
        }
    }
}
