//! Linear layers with many weights, several blocks of samples at a time, so that weights are read once for all of them.
//!
//! Both directions are one product: an output is the sum over inputs, in their order, of input times weight. That is the
//! order of the direct kernels as well, and the bits are theirs. Inputs are taken a chunk at a time, whose values stay in
//! the first-level cache while the weights stream by, in the order in which they are packed; the sums wait in the output.

use super::Geometry;
use crate::simd::{Isa, Lanes, Simd, array, dispatch};
use std::ops::Range;

/// Outputs whose sums are in registers together, of one block with AVX2, of four with AVX-512.
const TILE: usize = 5;
/// Inputs of a chunk: of four blocks, 24 KiB.
const CHUNK: usize = 96;
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

    /// Packs a chunk of weights `[output][input]`.
    pub(super) fn pack_rows(&self, chunk: usize, weight: &[f32], packed: &mut [f32]) {
        let inputs = self.inputs_of(chunk);
        for (tile, packed) in packed.as_chunks_mut::<{ CHUNK * TILE }>().0.iter_mut().enumerate() {
            for (channel, output) in self.outputs_of(tile).enumerate() {
                let row = &weight[output * self.inputs..][inputs.clone()];
                for (to, value) in packed.as_chunks_mut::<TILE>().0.iter_mut().zip(row) {
                    to[channel] = *value;
                }
            }
        }
    }

    /// [`pack_rows`](Self::pack_rows) of weights `[input][output]`.
    pub(super) fn pack_columns(&self, chunk: usize, weight: &[f32], packed: &mut [f32]) {
        for (at, input) in self.inputs_of(chunk).enumerate() {
            let row = &weight[input * self.outputs..][..self.outputs];
            let tiles = packed.as_chunks_mut::<{ CHUNK * TILE }>().0;
            for (packed, row) in tiles.iter_mut().zip(row.chunks(TILE)) {
                packed[TILE * at..][..row.len()].copy_from_slice(row);
            }
        }
    }

    fn inputs_of(&self, chunk: usize) -> Range<usize> {
        chunk * CHUNK..((chunk + 1) * CHUNK).min(self.inputs)
    }

    fn outputs_of(&self, tile: usize) -> Range<usize> {
        tile * TILE..((tile + 1) * TILE).min(self.outputs)
    }

    /// The outputs of all blocks that `x` holds.
    pub(super) fn run(&self, isa: Isa, x: &[Lanes], packed: &[f32], out: &mut [Lanes]) {
        dispatch!(isa, s => self.body(s, x, packed, out));
    }

    #[inline(always)]
    fn body<S: Simd>(&self, s: S, x: &[Lanes], packed: &[f32], out: &mut [Lanes]) {
        out.fill(Lanes::ZERO);
        let blocks = x.len() / self.inputs;
        for chunk in 0..self.inputs.div_ceil(CHUNK) {
            let inputs = self.inputs_of(chunk);
            let packed = &packed[chunk * self.chunk()..][..self.chunk()];
            for tile in 0..self.outputs.div_ceil(TILE) {
                let weight = packed[tile * CHUNK * TILE..].as_chunks::<TILE>().0;
                let weight = &weight[..inputs.len()];
                let mut block = 0;
                while block < blocks {
                    let at = [block, inputs.start, tile];
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
        }
    }

    /// Adds what a chunk's inputs, from `first` on, give to one tile of `B` blocks.
    #[inline(always)]
    fn add<S: Simd, const B: usize>(
        &self,
        s: S,
        x: &[Lanes],
        weight: &[[f32; TILE]],
        [block, first, tile]: [usize; 3],
        out: &mut [Lanes],
    ) {
        let x: [&[Lanes]; B] = array::from_fn(
            #[inline(always)]
            |b| &x[(block + b) * self.inputs + first..][..weight.len()],
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
        for input in 0..weight.len() {
            let weight = &weight[input];
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
