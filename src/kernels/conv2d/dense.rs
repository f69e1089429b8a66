//! Linear layers with many weights, several blocks of samples at a time, so that weights are read once for all of them.
//!
//! Both directions are one product: an output is the sum over inputs, in their order, of input times weight. That is the
//! order of the direct kernels as well, and the bits are theirs. Inputs are taken a chunk at a time, whose values stay in
//! the cache while the weights stream by; the sums wait in the output. Weights `[output][input]` are read as they lie, a row
//! for each output of a tile; weights `[input][output]` are packed, as every input would be of another page.

use super::Geometry;
use crate::simd::{Isa, Lanes, Simd, array, dispatch};
use std::ops::Range;

/// Outputs whose sums are in registers together, of one block with AVX2, of four with AVX-512.
const TILE: usize = 5;
/// Inputs of a chunk of packed weights: of four blocks, 24 KiB.
const CHUNK: usize = 96;
/// Layers with fewer weights find them in the cache anyway.
const FEWEST_WEIGHTS: usize = 1 << 14;

/// Inputs of a chunk where weights are read as they lie: a KiB of each row, and 64 KiB of four blocks.
const ROWS_CHUNK: usize = 256;

/// The weights of one tile of outputs and some inputs.
trait TileWeights: Copy {
    /// Inputs.
    fn len(self) -> usize;
    /// Those of one input.
    fn at(self, input: usize) -> [f32; TILE];
}

impl TileWeights for &[[f32; TILE]] {
    #[inline(always)]
    fn len(self) -> usize {
        <[_]>::len(self)
    }

    #[inline(always)]
    fn at(self, input: usize) -> [f32; TILE] {
        self[input]
    }
}

/// A slice of each output's row, all of one length.
#[derive(Clone, Copy)]
struct Rows<'a>([&'a [f32]; TILE]);

impl TileWeights for Rows<'_> {
    #[inline(always)]
    fn len(self) -> usize {
        self.0[0].len()
    }

    #[inline(always)]
    fn at(self, input: usize) -> [f32; TILE] {
        array::from_fn(
            #[inline(always)]
            |c| self.0[c][input],
        )
    }
}

/// `out[o] = sum over i of x[i] weight(o, i)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dense {
    inputs: usize,
    outputs: usize,
}

impl Dense {
    /// The forward pass of a layer that is linear and large; decided by the sizes alone, never by the machine.
    pub(super) fn forward(g: &Geometry) -> Option<Self> {
        let this = Self { inputs: g.fan_in(), outputs: g.output.channels };
        (g.is_linear() && g.weights() >= FEWEST_WEIGHTS).then_some(this)
    }

    /// The gradient to its input.
    pub(super) fn backward(g: &Geometry) -> Option<Self> {
        let Self { inputs, outputs } = Self::forward(g)?;
        Some(Self { inputs: outputs, outputs: inputs })
    }

    /// Packed numbers, `[chunk][tile][input of the chunk][output of the tile]`; the last tile and the last chunk are as
    /// large as the others.
    pub(super) fn packed(&self) -> usize {
        self.inputs.div_ceil(CHUNK) * self.chunk()
    }

    /// Packed numbers of a chunk.
    pub(super) fn chunk(&self) -> usize {
        self.outputs.div_ceil(TILE) * CHUNK * TILE
    }

    /// Packs a chunk of weights `[input][output]`.
    pub(super) fn pack_columns(&self, chunk: usize, weight: &[f32], packed: &mut [f32]) {
        for (at, input) in self.inputs_of(chunk).enumerate() {
            let row = &weight[input * self.outputs..][..self.outputs];
            let tiles = packed.as_chunks_mut::<{ CHUNK * TILE }>().0;
            // Whole tiles are copied as values; a slice of any length is a call.
            let (whole, rest) = row.as_chunks::<TILE>();
            for (packed, row) in tiles.iter_mut().zip(whole) {
                packed.as_chunks_mut::<TILE>().0[at] = *row;
            }
            if let Some(packed) = tiles.get_mut(whole.len()) {
                packed[TILE * at..][..rest.len()].copy_from_slice(rest);
            }
        }
    }

    fn inputs_of(&self, chunk: usize) -> Range<usize> {
        chunk * CHUNK..((chunk + 1) * CHUNK).min(self.inputs)
    }

    fn outputs_of(&self, tile: usize) -> Range<usize> {
        tile * TILE..((tile + 1) * TILE).min(self.outputs)
    }

    /// The forward pass of all blocks that `x` holds, with weights as they lie, `[output][input]`.
    pub(super) fn run_rows(&self, isa: Isa, x: &[Lanes], weight: &[f32], out: &mut [Lanes]) {
        dispatch!(isa, s => self.rows_body(s, x, weight, out));
    }

    #[inline(always)]
    fn rows_body<S: Simd>(&self, s: S, x: &[Lanes], weight: &[f32], out: &mut [Lanes]) {
        out.fill(Lanes::ZERO);
        for first in (0..self.inputs).step_by(ROWS_CHUNK) {
            let inputs = first..(first + ROWS_CHUNK).min(self.inputs);
            for tile in 0..self.outputs.div_ceil(TILE) {
                let rows: [&[f32]; TILE] = array::from_fn(
                    #[inline(always)]
                    |c| {
                        let output = (tile * TILE + c).min(self.outputs - 1);
                        &weight[output * self.inputs..][inputs.clone()]
                    },
                );
                self.add_tile(s, x, Rows(rows), first, tile, out);
            }
        }
    }

    /// The outputs of all blocks that `x` holds.
    pub(super) fn run(&self, isa: Isa, x: &[Lanes], packed: &[f32], out: &mut [Lanes]) {
        dispatch!(isa, s => self.body(s, x, packed, out));
    }

    #[inline(always)]
    fn body<S: Simd>(&self, s: S, x: &[Lanes], packed: &[f32], out: &mut [Lanes]) {
        out.fill(Lanes::ZERO);
        for chunk in 0..self.inputs.div_ceil(CHUNK) {
            let inputs = self.inputs_of(chunk);
            let packed = &packed[chunk * self.chunk()..][..self.chunk()];
            for tile in 0..self.outputs.div_ceil(TILE) {
                let weight = packed[tile * CHUNK * TILE..].as_chunks::<TILE>().0;
                let weight = &weight[..inputs.len()];
                self.add_tile(s, x, weight, inputs.start, tile, out);
            }
        }
    }

    /// Adds what some inputs, from `first` on, give to one tile of all blocks.
    #[inline(always)]
    fn add_tile<S: Simd>(
        &self,
        s: S,
        x: &[Lanes],
        weight: impl TileWeights,
        first: usize,
        tile: usize,
        out: &mut [Lanes],
    ) {
        let blocks = x.len() / self.inputs;
        let mut block = 0;
        while block < blocks {
            let at = [block, first, tile];
            if S::ACCUMULATORS >= 4 * TILE && block + 4 <= blocks {
                self.add::<S, 4>(s, x, weight, at, out);
                block += 4;
            } else if S::ACCUMULATORS >= 2 * TILE && block + 2 <= blocks {
                self.add::<S, 2>(s, x, weight, at, out);
                block += 2;
            } else {
                self.add::<S, 1>(s, x, weight, at, out);
                block += 1;
            }
        }
    }

    /// Adds what a chunk's inputs, from `first` on, give to one tile of `B` blocks.
    #[inline(always)]
    fn add<S: Simd, const B: usize>(
        &self,
        s: S,
        x: &[Lanes],
        weight: impl TileWeights,
        [block, first, tile]: [usize; 3],
        out: &mut [Lanes],
    ) {
        let count = weight.len();
        let x: [&[Lanes]; B] = array::from_fn(
            #[inline(always)]
            |b| &x[(block + b) * self.inputs + first..][..count],
        );
        let channels = self.outputs_of(tile).len();
        let mut sums = [[s.zero(); TILE]; B];
        for b in 0..B {
            let out = &out[(block + b) * self.outputs + tile * TILE..][..channels];
            for c in 0..TILE {
                if c < channels {
                    sums[b][c] = s.load(&out[c]);
                }
            }
        }
        for input in 0..count {
            let weight = weight.at(input);
            for b in 0..B {
                let x = s.load(&x[b][input]);
                for c in 0..TILE {
                    sums[b][c] = s.mul_add(x, s.splat(weight[c]), sums[b][c]);
                }
            }
        }
        for b in 0..B {
            let out = &mut out[(block + b) * self.outputs + tile * TILE..][..channels];
            for c in 0..TILE {
                if c < channels {
                    s.store(sums[b][c], &mut out[c]);
                }
            }
        }
    }
}
