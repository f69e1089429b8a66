//! Convolutions of a frozen model, as attacks and evaluations run them: batch normalization folded in, weights packed
//! once, convolution + bias + rectifier + pooling in one pass, gradients to the input only.

use super::norm_relu_pool::halved;
use crate::Error;
use crate::Result;
use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::conv2d::{self as kernel, Geometry};
use crate::kernels::pool::{self, Winners};
use crate::kernels::{batch, elementwise, pad};
use crate::simd::{Isa, LANES, Lanes, Portable};
use crate::tensor::{Context, Region, Shape};
use std::sync::Arc;

/// A convolution (or linear layer) whose weights do not change any more.
#[derive(Clone, Debug)]
pub struct FrozenConv {
    geometry: Geometry,
    packed: Vec<f32>,
    packed_grad: Vec<f32>,
    /// One number an output channel.
    bias: Vec<f32>,
}

impl FrozenConv {
    /// Packs weights `[out][in / groups][ky][kx]` (`[out][features]` for [`Geometry::linear`]) and a bias.
    ///
    /// # Errors
    /// If the numbers of weights or biases are not the geometry's.
    pub fn new(geometry: Geometry, weight: &[f32], bias: Vec<f32>) -> Result<Self> {
        let g = &geometry;
        if weight.len() != g.weights() || bias.len() != g.output.channels {
            return Err(Error::shape(
                "frozen convolution",
                format!("{} weights, {} biases", g.weights(), g.output.channels),
                format!("{}, {}", weight.len(), bias.len()),
            ));
        }
        let (mut packed, mut packed_grad) = (Vec::new(), Vec::new());
        // Freezing has no threads: what it packs, it packs on the calling one.
        let context = Context::serial(Isa::Portable(Portable));
        kernel::pack_convolve(&context, g, weight, &mut packed);
        kernel::pack_input_gradient(&context, g, weight, &mut packed_grad);
        Ok(Self { geometry, packed, packed_grad, bias })
    }

    /// Its sizes.
    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Lanes of scratch memory that [`affine`](Self::affine) of so many blocks and [`relu_pool`](Self::relu_pool) need.
    pub(crate) fn scratch(&self, blocks: usize) -> usize {
        let g = &self.geometry;
        let affine = blocks * g.output.features() + kernel::convolve_scratch(g, blocks);
        affine.max(self.border() + kernel::pool_scratch(g))
    }

    /// Whether there is a kernel that pools in the same pass, [`relu_pool`](Self::relu_pool).
    pub(crate) fn is_fused(&self) -> bool {
        kernel::is_direct(&self.geometry)
    }

    /// Lanes of scratch memory for the input with its zero border; none without one.
    fn border(&self) -> usize {
        if self.geometry.is_padded() { self.geometry.input.features() } else { 0 }
    }

    /// The input with its zero border, and the rest of the scratch memory.
    fn padded<'a>(
        &self,
        x: &'a [Lanes],
        scratch: &'a mut [Lanes],
    ) -> (&'a [Lanes], &'a mut [Lanes]) {
        let g = &self.geometry;
        let (padded, rest) = scratch.split_at_mut(self.border());
        if !g.is_padded() {
            return (x, rest);
        }
        pad::pad(g.unpadded(), g.padding, x, padded);
        (padded, rest)
    }

    /// The output pixels that see any of these pixels of the input, which are counted without the border.
    pub(crate) fn reach(&self, changed: &Region) -> Region {
        let g = &self.geometry;
        let shifted = |i: usize, range: &std::ops::Range<usize>| {
            range.start + g.padding[i]..range.end + g.padding[i]
        };
        g.reach(&Region { y: shifted(0, &changed.y), x: shifted(1, &changed.x) })
    }

    /// Convolution and bias of as many blocks as `out` has room for; of block `i`, `live(i)` lanes are alive.
    pub(crate) fn affine(
        &self,
        isa: Isa,
        live: impl Fn(usize) -> usize,
        x: &[Lanes],
        out: &mut [Lanes],
        scratch: &mut [Lanes],
    ) {
        let g = &self.geometry;
        let (features, pixels) = (g.output.features(), g.output.pixels());
        let (sums, scratch) = scratch.split_at_mut(out.len());
        kernel::convolve(isa, g, x, &self.packed, sums, scratch);
        let blocks = sums.chunks(features).zip(out.chunks_mut(features));
        for (block, (sums, out)) in blocks.enumerate() {
            elementwise::add_bias(isa, pixels, live(block), sums, &self.bias, out);
        }
    }

    /// Convolution, bias, rectifier and 2 x 2 maximum of a block, in a region of the result; for layers that are
    /// [fused](Self::is_fused).
    pub(crate) fn relu_pool(
        &self,
        isa: Isa,
        x: &[Lanes],
        region: &Region,
        out: &mut [Lanes],
        winners: Option<&mut [Winners]>,
        scratch: &mut [Lanes],
    ) {
        let (g, packed, bias) = (&self.geometry, &self.packed, &self.bias);
        let (x, scratch) = self.padded(x, scratch);
        kernel::forward_bias_relu_pool(isa, g, x, packed, bias, region, out, winners, scratch);
    }

    /// Writes a gradient to the input with its border, and takes what lies inside of it.
    fn without_border(
        &self,
        border: &mut [Lanes],
        out: &mut [Lanes],
        write: impl FnOnce(&mut [Lanes]),
    ) {
        let g = &self.geometry;
        if g.is_padded() {
            write(border);
            pad::crop(g.unpadded(), g.padding, border, out);
        } else {
            write(out);
        }
    }

    /// Whether it takes an input of this shape.
    pub(crate) fn check(&self, operation: &'static str, shape: Shape) -> Result<()> {
        let g = &self.geometry;
        // What Geometry::linear makes takes its features in any shape.
        let linear = g.input == Shape::new(1, 1, g.kernel[1]) && !g.is_padded();
        let input = g.unpadded();
        if shape != input && !(linear && shape.features() == input.features()) {
            return Err(Error::shape(
                operation,
                format!("an input of {input}"),
                format!("{shape}"),
            ));
        }
        Ok(())
    }
}

#[derive(Default)]
struct FrozenLinear {
    layer: Option<Arc<FrozenConv>>,
}

#[derive(Default)]
struct FrozenReluPool {
    layer: Option<Arc<FrozenConv>>,
    winners: Vec<Winners>,
}

impl Tape {
    /// Frozen convolution or linear layer with its bias.
    ///
    /// # Errors
    /// If the input does not have the layer's shape.
    pub fn frozen(&mut self, x: Var, layer: &Arc<FrozenConv>) -> Result<Var> {
        layer.check("frozen", self.value(x).shape())?;
        let mut operation: Box<FrozenLinear> = self.reuse();
        let (samples, steps) = (self.value(x).samples(), self.value(x).steps());
        let g = layer.geometry;
        let mut out = self.tensor(g.output, samples, steps);
        let (context, value) = (self.context(), self.value(x));
        let together = kernel::together(&g, value.blocks(), context.threads());
        let features = g.unpadded().features();
        context.chunks(out.lanes_mut(), together * g.output.features(), |i, out| {
            let (first, blocks) = (i * together, out.len() / g.output.features());
            let x = &value.lanes()[first * features..][..blocks * features];
            let live = |block| value.live(first + block);
            context.with_scratch(layer.scratch(blocks), |scratch| {
                layer.affine(context.isa(), live, x, out, scratch);
            });
        });
        operation.layer = Some(Arc::clone(layer));
        Ok(self.record(operation, &[x], &[], out))
    }

    /// Frozen convolution with bias, rectifier and 2 x 2 maximum, in one pass where there is a kernel for it.
    ///
    /// # Errors
    /// If the input does not have the layer's shape, or the convolution's output an odd side.
    pub fn frozen_relu_pool(&mut self, x: Var, layer: &Arc<FrozenConv>) -> Result<Var> {
        layer.check("frozen_relu_pool", self.value(x).shape())?;
        let g = layer.geometry;
        let pooled = halved("frozen_relu_pool", g.output)?;
        if !layer.is_fused() {
            let x = self.frozen(x, layer)?;
            let x = self.relu(x);
            return self.max_pool(x, [2, 2], [2, 2]);
        }
        let mut operation: Box<FrozenReluPool> = self.reuse();
        let (samples, steps) = (self.value(x).samples(), self.value(x).steps());
        let wants_grad = self.wants_gradient(x);
        let mut out = self.tensor(pooled, samples, steps);
        let (context, value) = (self.context(), self.value(x));
        let (isa, features) = (context.isa(), pooled.features());
        let all = Region::all(pooled);
        let convolve = |block, out: &mut [_], winners: Option<&mut [Winners]>| {
            context.with_scratch(layer.scratch(1), |scratch| {
                layer.relu_pool(isa, value.block(block), &all, out, winners, scratch);
                if value.live(block) < LANES {
                    // Biases have filled the dead lanes.
                    for lanes in out {
                        lanes.0[value.live(block)..].fill(0.0);
                    }
                }
            });
        };
        if wants_grad {
            operation.winners.resize(out.lanes().len(), [0; 4]);
            let outs = (out.lanes_mut(), features);
            context.chunks2(outs, (&mut operation.winners, features), |block, out, winners| {
                convolve(block, out, Some(winners));
            });
        } else {
            context.chunks(out.lanes_mut(), features, |block, out| convolve(block, out, None));
        }
        operation.layer = Some(Arc::clone(layer));
        Ok(self.record(operation, &[x], &[], out))
    }
}

impl Operation for FrozenLinear {
    fn name(&self) -> &'static str {
        "frozen"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let Some(layer) = &self.layer else { return };
        let g = layer.geometry;
        let mut out = pass.like_input(0);
        batch::input_gradient(
            pass.context(),
            &g,
            pass.grad().lanes(),
            &layer.packed_grad,
            out.lanes_mut(),
        );
        pass.give_input(0, out);
    }
}

impl Operation for FrozenReluPool {
    fn name(&self) -> &'static str {
        "frozen_relu_pool"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let Some(layer) = &self.layer else { return };
        let g = layer.geometry;
        let mut out = pass.like_input(0);
        let (context, grad) = (pass.context(), pass.grad());
        let (isa, pooled) = (context.isa(), grad.shape());
        let features = pooled.features();
        context.chunks(out.lanes_mut(), g.unpadded().features(), |block, out| {
            context.with_scratch(layer.border() + g.output.features(), |scratch| {
                let (border, by_pixel) = scratch.split_at_mut(layer.border());
                let winners = &self.winners[block * features..][..features];
                pool::unpool_by_pixel(isa, pooled, grad.block(block), winners, by_pixel);
                layer.without_border(border, out, |out| {
                    kernel::input_grad_by_pixel(isa, &g, by_pixel, &layer.packed_grad, out);
                });
            });
        });
        pass.give_input(0, out);
    }
}
