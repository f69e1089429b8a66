//! Convolution and the linear layer, which is a convolution whose kernel covers its input.

use crate::autodiff::{Backward, Operation, Tape, Var, Weight};
use crate::kernels::conv2d::{self as kernel, Conv2dOptions, Geometry};
use crate::kernels::pad;
use crate::simd::Lanes;
use crate::tensor::{Context, Tensor};
use crate::{Error, Result};

#[derive(Default)]
struct Conv2d {
    geometry: Option<Geometry>,
    packed: Vec<f32>,
    packed_grad: Vec<f32>,
    /// The input with its zero border, all blocks; empty where there is no border.
    padded: Vec<Lanes>,
}

impl Tape {
    /// Convolution of `x` with a weight `[out, in / groups, ky, kx]`, without bias (see [`Tape::bias`]).
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn conv2d(&mut self, x: Var, weight: Weight, options: Conv2dOptions) -> Result<Var> {
        let geometry = Geometry::new(self.value(x).shape(), self.weight_shape(weight), options)?;
        Ok(self.convolve(x, weight, geometry))
    }

    /// `x W^T` for a weight `[out, features]`; `x` is flattened, channels first, without bias (see [`Tape::bias`]).
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn linear(&mut self, x: Var, weight: Weight) -> Result<Var> {
        let shape = self.value(x).shape();
        let [outputs, features, ..] = self.weight_shape(weight);
        if self.weight_value(weight).len() != outputs * features || features != shape.features() {
            return Err(Error::shape(
                "linear",
                format!("weight [out, {}] for an input of {shape}", shape.features()),
                format!("weight {:?}", self.weight_shape(weight)),
            ));
        }
        Ok(self.convolve(x, weight, Geometry::linear(features, outputs)))
    }

    fn convolve(&mut self, x: Var, weight: Weight, g: Geometry) -> Var {
        let mut operation: Box<Conv2d> = self.reuse();
        let (samples, steps) = (self.value(x).samples(), self.value(x).steps());
        let mut out = self.tensor(g.output, samples, steps);
        let context = self.context().clone();
        let isa = context.isa();
        kernel::pack_forward(&g, self.weight_value(weight), &mut operation.packed);
        let x_value = self.value(x);
        operation.padded.clear();
        if g.is_padded() {
            operation.padded.resize(x_value.blocks() * g.input.features(), Lanes::ZERO);
            context.chunks(&mut operation.padded, g.input.features(), |block, padded| {
                pad::pad(g.unpadded(), g.padding, x_value.block(block), padded);
            });
        }
        let input = if g.is_padded() { &operation.padded } else { x_value.lanes() };
        let features = g.input.features();
        let work = work(&g, x_value.blocks());
        context.chunks_of_work(work, out.lanes_mut(), g.output.features(), |block, out| {
            let x = &input[block * features..][..features];
            kernel::forward(isa, &g, x, &operation.packed, out);
        });
        operation.geometry = Some(g);
        self.record(operation, &[x], &[weight], out)
    }
}

impl Operation for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let Some(g) = self.geometry else { return };
        let mut weight_grad = pass.wants_weight(0).then(|| pass.like_weight(0));
        let mut x_grad = pass.wants_input(0).then(|| pass.like_input(0));
        if x_grad.is_some() {
            kernel::pack_input_grad(&g, pass.weight(0), &mut self.packed_grad);
        }
        let (context, grad) = (pass.context(), pass.grad());
        let x = if g.is_padded() { &self.padded } else { pass.input(0).lanes() };
        let packed = &self.packed_grad;
        context.join_of_work(
            work(&g, grad.blocks()),
            || {
                if let Some(out) = &mut weight_grad {
                    weight_gradient(context, &g, x, grad.lanes(), out);
                }
            },
            || {
                if let Some(out) = &mut x_grad {
                    input_gradient(context, &g, grad, packed, out);
                }
            },
        );
        if let Some(grad) = weight_grad {
            pass.give_weight(0, grad);
        }
        if let Some(grad) = x_grad {
            pass.give_input(0, grad);
        }
    }
}

/// Multiply-adds of lanes in a pass over this many blocks, in either direction.
fn work(g: &Geometry, blocks: usize) -> usize {
    g.flops() / 2 * blocks
}

/// Gradient to the input, without its border.
fn input_gradient(
    context: &Context,
    g: &Geometry,
    grad: &Tensor,
    packed: &[f32],
    out: &mut Tensor,
) {
    let isa = context.isa();
    let (scratch, border) = (kernel::input_grad_scratch(g), g.input.features());
    let work = work(g, grad.blocks());
    context.chunks_of_work(work, out.lanes_mut(), g.unpadded().features(), |block, out| {
        context.with_scratch(scratch + border, |memory| {
            let (memory, padded) = memory.split_at_mut(scratch);
            let grad = grad.block(block);
            if g.is_padded() {
                kernel::input_grad(isa, g, grad, packed, padded, memory);
                pad::crop(g.unpadded(), g.padding, padded, out);
            } else {
                kernel::input_grad(isa, g, grad, packed, out, memory);
            }
        });
    });
}

/// Gradient to the weights `[out][in / groups][ky][kx]` from all blocks of input (border included) and gradient: in
/// parallel over shares of the output channels, each over all blocks in order, so there are no partial sums to reduce.
pub(crate) fn weight_gradient(
    context: &Context,
    g: &Geometry,
    x: &[Lanes],
    grad: &[Lanes],
    out: &mut [f32],
) {
    let (isa, taps) = (context.isa(), g.fan_in());
    let share = g.out_channels().div_ceil(context.threads());
    let work = work(g, grad.len() / g.output.features());
    for (group, out) in out.chunks_mut(g.out_channels() * taps).enumerate() {
        context.chunks_of_work(work, out, share * taps, |i, out| {
            let first = group * g.out_channels() + share * i;
            context.with_scratch(kernel::weight_grad_scratch(isa, g, share), |scratch| {
                kernel::weight_grad(isa, g, x, grad, first, out, scratch);
            });
        });
    }
}
