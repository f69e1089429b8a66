//! Gradient to the weights of large linear layers: vectors of inputs instead of samples, so no lanes are folded, and the sums
//! are the rows of the weights as they lie.
//!
//! The inputs are transposed beforehand, so that a vector holds sixteen inputs of one sample. A register tile of such vectors
//! times outputs then takes one number of the gradient for all lanes at a time. A weight's sum runs over all samples, block
//! after block.

use super::{Geometry, WideWeightGrad};
use crate::simd::{Isa, LANES, Lanes, Simd, array, dispatch};

/// Vectors of inputs that are in registers together, at most.
const MOST_VECTORS: usize = 4;
/// Outputs whose sums are in registers together.
const OUTPUTS: usize = 6;

/// The sizes of a linear layer.
#[derive(Clone, Copy, Debug)]
pub struct DenseWeightGrad {
    inputs: usize,
    outputs: usize,
}

impl DenseWeightGrad {
    /// For linear layers that [`WideWeightGrad`] would serve: the sums are the same.
    pub fn new(g: &Geometry) -> Option<Self> {
        WideWeightGrad::new(g)?;
        g.is_linear().then_some(Self { inputs: g.fan_in(), outputs: g.output.channels })
    }

    /// Lanes of a block's transposed inputs.
    pub fn transposed(&self) -> usize {
        LANES * self.inputs.div_ceil(LANES).next_multiple_of(MOST_VECTORS)
    }

    /// Transposes a block's inputs to `[vectors, as many as a tile has][sample][vector]`; beyond the last input are zeros.
    pub fn transpose(&self, isa: Isa, x: &[Lanes], out: &mut [Lanes]) {
        dispatch!(isa, s => match vectors(s) {
            MOST_VECTORS => self.transpose_body::<_, MOST_VECTORS>(s, x, out),
            _ => self.transpose_body::<_, 1>(s, x, out),
        });
    }

    #[inline(always)]
    fn transpose_body<S: Simd, const V: usize>(&self, s: S, x: &[Lanes], out: &mut [Lanes]) {
        let strips = out.as_chunks_mut::<V>().0.as_chunks_mut::<LANES>().0;
        for (i, strip) in strips.iter_mut().enumerate() {
            for v in 0..V {
                let x = &x[self.inputs.min((i * V + v) * LANES)..];
                let rows = array::from_fn(
                    #[inline(always)]
                    |i| if i < x.len() { s.load(&x[i]) } else { s.zero() },
                );
                let columns = s.transpose(rows);
                for sample in 0..LANES {
                    s.store(columns[sample], &mut strip[sample][v]);
                }
            }
        }
    }

    /// The gradient to the weights `[output][input]` of the outputs `first..`, as many as `out` has room for. `x` holds all
    /// blocks as [`transpose`](Self::transpose) made them, `grad` as they are.
    pub fn run(&self, isa: Isa, x: &[Lanes], grad: &[Lanes], first: usize, out: &mut [f32]) {
        dispatch!(isa, s => match vectors(s) {
            MOST_VECTORS => self.body::<_, MOST_VECTORS>(s, x, grad, first, out),
            _ => self.body::<_, 1>(s, x, grad, first, out),
        });
    }

    #[inline(always)]
    fn body<S: Simd, const V: usize>(
        &self,
        s: S,
        x: &[Lanes],
        grad: &[Lanes],
        first: usize,
        out: &mut [f32],
    ) {
        for strip in 0..self.inputs.div_ceil(LANES * V) {
            for (i, out) in out.chunks_mut(OUTPUTS * self.inputs).enumerate() {
                let grad = &grad[first + i * OUTPUTS..];
                match out.len() / self.inputs {
                    1 => self.tile::<S, 1, V>(s, x, grad, strip, out),
                    2 => self.tile::<S, 2, V>(s, x, grad, strip, out),
                    3 => self.tile::<S, 3, V>(s, x, grad, strip, out),
                    4 => self.tile::<S, 4, V>(s, x, grad, strip, out),
                    5 => self.tile::<S, 5, V>(s, x, grad, strip, out),
                    _ => self.tile::<S, OUTPUTS, V>(s, x, grad, strip, out),
                }
            }
        }
    }

    /// The sums of `O` outputs and a strip of inputs. The first of `grad` is the first output's in the first block.
    #[inline(always)]
    fn tile<S: Simd, const O: usize, const V: usize>(
        &self,
        s: S,
        x: &[Lanes],
        grad: &[Lanes],
        strip: usize,
        out: &mut [f32],
    ) {
        let mut total = [[s.zero(); V]; O];
        let size = self.transposed();
        for block in 0..x.len() / size {
            let x = x[block * size..][..size].as_chunks::<V>().0.as_chunks::<LANES>().0;
            let x: &[[Lanes; V]; LANES] = &x[strip];
            let Some(grad) = grad[block * self.outputs..].first_chunk::<O>() else { return };
            for sample in 0..LANES {
                for o in 0..O {
                    let grad = s.splat(grad[o].0[sample]);
                    for v in 0..V {
                        let x = s.load(&x[sample][v]);
                        total[o][v] = s.mul_add(grad, x, total[o][v]);
                    }
                }
            }
        }
        let from = strip * V * LANES;
        let count = (V * LANES).min(self.inputs - from);
        for o in 0..O {
            let out = &mut out[o * self.inputs + from..][..count];
            // No iterator: sums that it took the address of would not stay in registers.
            #[expect(clippy::needless_range_loop, reason = "see above")]
            for v in 0..V {
                let mut sum = Lanes::ZERO;
                // A sum of no samples, and of negative zeros, is zero.
                s.store(s.add(s.zero(), total[o][v]), &mut sum);
                let Some(out) = out.get_mut(v * LANES..) else { continue };
                // A whole vector, all but once a row, is a store; a slice of any length is a call.
                match out.first_chunk_mut::<LANES>() {
                    Some(out) => *out = sum.0,
                    None => out.copy_from_slice(&sum.0[..out.len()]),
                }
            }
        }
    }
}

/// Vectors of inputs that a tile has: four of six outputs are 24 sums, where there are so many registers.
fn vectors<S: Simd>(_: S) -> usize {
    if S::ACCUMULATORS >= 20 { MOST_VECTORS } else { 1 }
}
