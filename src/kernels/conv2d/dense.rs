//! Linear layers with many weights, several blocks of samples at a time, so that weights are read once for all of them.
//!
//! Both directions are one product: an output is the sum over inputs, in their order, of input times weight. That is the
//! order of the direct kernels as well, and the bits are theirs.

use super::Geometry;
use crate::simd::{Isa, Lanes, Simd, array, dispatch};
use std::ops::Range;

/// Outputs whose sums are in registers together, of one block with AVX2, of four with AVX-512.
const TILE: usize = 5;
/// Layers with fewer weights find them in the cache anyway.
const FEWEST_WEIGHTS: usize = 1 << 14;

/// `out[o] = sum over i of x[i] weight(o, i)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dense {
    inputs: usize,
    outputs: usize,
}

impl Dense {
    /// The forward pass of a layer that is linear and large; decided by the sizes alone, never by the machine.
    pub(super) fn forward(g: &Geometry) -> Option<Self> {
        let covers = !g.is_padded()
            && g.groups == 1
            && g.output.pixels() == 1
            && g.kernel == [g.input.height, g.input.width];
        let this = Self { inputs: g.fan_in(), outputs: g.output.channels };
        (covers && g.weights() >= FEWEST_WEIGHTS).then_some(this)
    }

    /// The gradient to its input.
    pub(super) fn backward(g: &Geometry) -> Option<Self> {
        let Self { inputs, outputs } = Self::forward(g)?;
        Some(Self { inputs: outputs, outputs: inputs })
    }

    /// Tiles of outputs; the last is filled up with zeros.
    pub(super) fn tiles(&self) -> usize {
        self.outputs.div_ceil(TILE)
    }

    /// Numbers of a packed tile, `[input][output of the tile]`.
    pub(super) fn tile(&self) -> usize {
        TILE * self.inputs
    }

    /// Packs the tiles from `first` on, as many as `packed` has room for, of weights `[output][input]`.
    pub(super) fn pack_rows(&self, first: usize, weight: &[f32], packed: &mut [f32]) {
        for (tile, packed) in packed.chunks_exact_mut(self.tile()).enumerate() {
            let rows = self.outputs_of(first + tile);
            for (channel, row) in weight[rows.start * self.inputs..rows.end * self.inputs]
                .chunks_exact(self.inputs)
                .enumerate()
            {
                for (to, value) in packed.as_chunks_mut::<TILE>().0.iter_mut().zip(row) {
                    to[channel] = *value;
                }
            }
        }
    }

    /// [`pack_rows`](Self::pack_rows) of weights `[input][output]`.
    pub(super) fn pack_columns(&self, first: usize, weight: &[f32], packed: &mut [f32]) {
        // Inputs outside of tiles: what is read of a row is then several cache lines.
        for (input, row) in weight.chunks_exact(self.outputs).enumerate() {
            for (tile, packed) in packed.chunks_exact_mut(self.tile()).enumerate() {
                let columns = &row[self.outputs_of(first + tile)];
                packed[TILE * input..][..columns.len()].copy_from_slice(columns);
            }
        }
    }

    /// The outputs of a tile.
    fn outputs_of(&self, tile: usize) -> Range<usize> {
        tile * TILE..((tile + 1) * TILE).min(self.outputs)
    }

    /// The outputs of all blocks that `x` holds.
    pub(super) fn run(&self, isa: Isa, x: &[Lanes], packed: &[f32], out: &mut [Lanes]) {
        dispatch!(isa, s => self.body(s, x, packed, out));
    }

    #[inline(always)]
    fn body<S: Simd>(&self, s: S, x: &[Lanes], packed: &[f32], out: &mut [Lanes]) {
        let blocks = x.len() / self.inputs;
        for tile in 0..self.tiles() {
            let weight = packed[tile * self.tile()..][..self.tile()].as_chunks::<TILE>().0;
            let mut block = 0;
            while block < blocks {
                if S::ACCUMULATORS >= 4 * TILE && block + 4 <= blocks {
                    self.sums::<S, 4>(s, x, weight, block, tile, out);
                    block += 4;
                } else if S::ACCUMULATORS >= 2 * TILE && block + 2 <= blocks {
                    self.sums::<S, 2>(s, x, weight, block, tile, out);
                    block += 2;
                } else {
                    self.sums::<S, 1>(s, x, weight, block, tile, out);
                    block += 1;
                }
            }
        }
    }

    /// One tile's outputs of `B` blocks.
    #[inline(always)]
    fn sums<S: Simd, const B: usize>(
        &self,
        s: S,
        x: &[Lanes],
        weight: &[[f32; TILE]],
        block: usize,
        tile: usize,
        out: &mut [Lanes],
    ) {
        let x: [&[Lanes]; B] = array::from_fn(
            #[inline(always)]
            |b| &x[(block + b) * self.inputs..][..weight.len()],
        );
        let mut sums = [[s.zero(); TILE]; B];
        for input in 0..weight.len() {
            let weight = &weight[input];
            for b in 0..B {
                let x = s.load(&x[b][input]);
                for c in 0..TILE {
                    sums[b][c] = s.mul_add(x, s.splat(weight[c]), sums[b][c]);
                }
            }
        }
        let channels = self.outputs_of(tile).len();
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
