//! Linear layers with many weights, several blocks of samples at a time, so that weights are read once for all of them.
//!
//! Both directions are one product: an output is the sum over inputs, in their order, of input times weight. That is the
//! order of the direct kernels as well, and the bits are theirs. Inputs are taken a chunk at a time, whose values stay in
//! the second-level cache while the weights stream by; the sums wait in the output.

use super::Geometry;
use crate::simd::{Isa, Lanes, Simd, array, dispatch};
use std::ops::Range;

/// Outputs whose sums are in registers together, of one block with AVX2, of four with AVX-512.
const TILE: usize = 5;
/// Inputs of a chunk, which are neighbors in memory: of four blocks, 256 KiB of values.
const ROW_CHUNK: usize = 1024;
/// Inputs of a chunk, each in a row of its own.
const COLUMN_CHUNK: usize = 32;
/// Layers with fewer weights find them in the cache anyway.
const FEWEST_WEIGHTS: usize = 1 << 14;

/// Large linear layers, whose weights are read where they lie: `weight[output][input]` of the layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dense {
    features: usize,
    channels: usize,
}

impl Dense {
    /// For a layer that is linear and large; decided by the sizes alone, never by the machine.
    pub(super) fn new(g: &Geometry) -> Option<Self> {
        let this = Self { features: g.fan_in(), channels: g.output.channels };
        (g.is_linear() && g.weights() >= FEWEST_WEIGHTS).then_some(this)
    }

    /// The outputs of all blocks that `x` holds.
    pub(super) fn forward(&self, isa: Isa, x: &[Lanes], weight: &[f32], out: &mut [Lanes]) {
        let product = Product { inputs: self.features, outputs: self.channels };
        dispatch!(isa, s => product.run(
            s,
            ROW_CHUNK,
            x,
            out,
            #[inline(always)]
            |inputs, outputs| Rows::new(weight, self.features, inputs, outputs),
        ));
    }

    /// The gradient to the input of all blocks that `grad` holds.
    pub(super) fn backward(&self, isa: Isa, grad: &[Lanes], weight: &[f32], out: &mut [Lanes]) {
        let product = Product { inputs: self.channels, outputs: self.features };
        dispatch!(isa, s => product.run(
            s,
            COLUMN_CHUNK,
            grad,
            out,
            #[inline(always)]
            |inputs, outputs| Columns::new(weight, self.features, inputs, outputs),
        ));
    }
}

/// The weights between a chunk of inputs and a tile of outputs.
trait Weights: Copy {
    /// Of one input. Those past the last output are any numbers.
    fn of(self, input: usize) -> [f32; TILE];
}

/// A row an output.
#[derive(Clone, Copy)]
struct Rows<'a>([&'a [f32]; TILE]);

impl<'a> Rows<'a> {
    #[inline(always)]
    fn new(weight: &'a [f32], width: usize, inputs: Range<usize>, outputs: Range<usize>) -> Self {
        let last = outputs.end - 1;
        Self(array::from_fn(
            #[inline(always)]
            |c| &weight[(outputs.start + c).min(last) * width..][inputs.clone()],
        ))
    }
}

impl Weights for Rows<'_> {
    #[inline(always)]
    fn of(self, input: usize) -> [f32; TILE] {
        array::from_fn(
            #[inline(always)]
            |c| self.0[c][input],
        )
    }
}

/// A row an input.
#[derive(Clone, Copy)]
struct Columns<'a> {
    weight: &'a [f32],
    width: usize,
    /// Of the last tile there may be fewer.
    outputs: usize,
}

impl<'a> Columns<'a> {
    #[inline(always)]
    fn new(weight: &'a [f32], width: usize, inputs: Range<usize>, outputs: Range<usize>) -> Self {
        let weight = &weight[inputs.start * width + outputs.start..];
        Self { weight, width, outputs: outputs.len() }
    }
}

impl Weights for Columns<'_> {
    #[inline(always)]
    fn of(self, input: usize) -> [f32; TILE] {
        let row = &self.weight[input * self.width..];
        match row.first_chunk::<TILE>() {
            Some(row) => *row,
            None => array::from_fn(
                #[inline(always)]
                |c| row[c.min(self.outputs - 1)],
            ),
        }
    }
}

/// `out[o] = sum over i of x[i] weight(o, i)`.
struct Product {
    inputs: usize,
    outputs: usize,
}

impl Product {
    #[inline(always)]
    fn run<S: Simd, W: Weights>(
        &self,
        s: S,
        chunk: usize,
        x: &[Lanes],
        out: &mut [Lanes],
        weights: impl Fn(Range<usize>, Range<usize>) -> W,
    ) {
        out.fill(Lanes::ZERO);
        let blocks = x.len() / self.inputs;
        for first in (0..self.inputs).step_by(chunk) {
            let inputs = first..(first + chunk).min(self.inputs);
            for first in (0..self.outputs).step_by(TILE) {
                let outputs = first..(first + TILE).min(self.outputs);
                let weights = weights(inputs.clone(), outputs.clone());
                let mut block = 0;
                while block < blocks {
                    let at = (block, inputs.clone(), outputs.clone());
                    if S::ACCUMULATORS >= 4 * TILE && block + 4 <= blocks {
                        self.add::<S, W, 4>(s, x, weights, at, out);
                        block += 4;
                    } else if S::ACCUMULATORS >= 2 * TILE && block + 2 <= blocks {
                        self.add::<S, W, 2>(s, x, weights, at, out);
                        block += 2;
                    } else {
                        self.add::<S, W, 1>(s, x, weights, at, out);
                        block += 1;
                    }
                }
            }
        }
    }

    /// Adds what a chunk's inputs give to one tile of the outputs of `B` blocks.
    #[inline(always)]
    fn add<S: Simd, W: Weights, const B: usize>(
        &self,
        s: S,
        x: &[Lanes],
        weights: W,
        (block, inputs, outputs): (usize, Range<usize>, Range<usize>),
        out: &mut [Lanes],
    ) {
        let x: [&[Lanes]; B] = array::from_fn(
            #[inline(always)]
            |b| &x[(block + b) * self.inputs..][inputs.clone()],
        );
        let channels = outputs.len();
        let mut sums = [[s.zero(); TILE]; B];
        for b in 0..B {
            let out = &out[(block + b) * self.outputs..][outputs.clone()];
            for c in 0..TILE {
                if c < channels {
                    sums[b][c] = s.load(&out[c]);
                }
            }
        }
        for input in 0..inputs.len() {
            let weight = weights.of(input);
            for b in 0..B {
                let x = s.load(&x[b][input]);
                for c in 0..TILE {
                    sums[b][c] = s.mul_add(x, s.splat(weight[c]), sums[b][c]);
                }
            }
        }
        for b in 0..B {
            let out = &mut out[(block + b) * self.outputs..][outputs.clone()];
            for c in 0..TILE {
                if c < channels {
                    s.store(sums[b][c], &mut out[c]);
                }
            }
        }
    }
}
