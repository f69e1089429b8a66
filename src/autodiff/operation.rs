//! The trait of operations, and what their backward receives and returns.

use super::estimator_memory::EstimatorMemory;
use super::node::{TapeNode, WeightNode};
use crate::kernels::elementwise;
use crate::simd::{Isa, Lanes};
use crate::tensor::{Buffers, Context, Tensor};
use std::any::Any;

/// A recorded computation: its fields are what it keeps for its backward. After a reset of the tape the value is
/// kept and handed out again ([`Tape::reuse`](super::Tape::reuse)), so its own buffers keep their memory.
pub trait Operation: Any + Send {
    /// The name that errors use.
    fn name(&self) -> &'static str;

    /// Gives every wanted gradient of its inputs and weights, from the gradient of its output.
    fn backward(&mut self, pass: &mut Backward<'_>);
}

/// One operation's view of the backward sweep.
pub struct Backward<'a> {
    pub(super) context: &'a Context,
    pub(super) estimators: &'a mut EstimatorMemory,
    pub(super) buffers: &'a mut Buffers,
    /// The nodes before this one.
    pub(super) nodes: &'a mut [TapeNode],
    pub(super) weights: &'a mut [WeightNode],
    pub(super) inputs: &'a [u32],
    pub(super) weight_ids: &'a [u32],
    pub(super) value: &'a Tensor,
    pub(super) grad: &'a Tensor,
}

impl<'a> Backward<'a> {
    /// Instruction set and threads.
    pub fn context(&self) -> &'a Context {
        self.context
    }

    /// The gradient of the output.
    pub fn grad(&self) -> &'a Tensor {
        self.grad
    }

    /// The output.
    pub fn value(&self) -> &'a Tensor {
        self.value
    }

    /// How many inputs there are.
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// How many weights there are.
    pub fn weights(&self) -> usize {
        self.weight_ids.len()
    }

    /// Input `i`.
    pub fn input(&self, i: usize) -> &Tensor {
        &self.nodes[self.inputs[i] as usize].value
    }

    /// Weight `i`.
    pub fn weight(&self, i: usize) -> &[f32] {
        &self.weights[self.weight_ids[i] as usize].value
    }

    /// Whether the gradient of input `i` is wanted.
    pub fn wants_input(&self, i: usize) -> bool {
        self.nodes[self.inputs[i] as usize].wants_grad
    }

    /// Whether the gradient of weight `i` is wanted.
    pub fn wants_weight(&self, i: usize) -> bool {
        self.weights[self.weight_ids[i] as usize].wants_grad
    }

    /// A tensor shaped like input `i`, with unspecified content, from recycled memory.
    pub fn like_input(&mut self, i: usize) -> Tensor {
        let input = &self.nodes[self.inputs[i] as usize].value;
        let (shape, samples, steps) = (input.shape(), input.samples(), input.steps());
        Tensor::with_steps(shape, samples, steps, self.buffers.lanes(input.lanes().len()))
    }

    /// Numbers as many as weight `i` has, with unspecified content, from recycled memory.
    pub fn like_weight(&mut self, i: usize) -> Vec<f32> {
        self.buffers.floats(self.weight(i).len())
    }

    /// Gives input `i` its share of gradient: moved in if it is the first, added after, dropped if it is not needed.
    ///
    /// # Panics
    /// If it does not have the input's shape: a mistake in the operation.
    pub fn give_input(&mut self, i: usize, grad: Tensor) {
        let node = &mut self.nodes[self.inputs[i] as usize];
        let size = |t: &Tensor| (t.shape(), t.samples(), t.steps());
        assert!(
            size(&grad) == size(&node.value),
            "a gradient of {} samples x {}, {} steps, for an input of {} samples x {}, {} steps",
            grad.samples(),
            grad.shape(),
            grad.steps(),
            node.value.samples(),
            node.value.shape(),
            node.value.steps()
        );
        if node.wants_grad {
            give(self.context, self.buffers, &mut node.grad, grad);
        } else {
            self.buffers.give_lanes(grad.into_lanes());
        }
    }

    /// Gives input `i` the gradient that `f(isa, input, block, out)` writes, block by block in parallel.
    #[inline(always)]
    pub fn give_blocks(
        &mut self,
        i: usize,
        f: impl Fn(Isa, &Tensor, usize, &mut [Lanes]) + Sync + Send,
    ) {
        let mut out = self.like_input(i);
        let (isa, x) = (self.context.isa(), self.input(i));
        self.context.chunks(out.lanes_mut(), x.shape().features(), |block, out| {
            f(isa, x, block, out);
        });
        self.give_input(i, out);
    }

    /// Gives weight `i` its share of gradient: moved in if it is the first, added after, dropped if it is not needed.
    ///
    /// # Panics
    /// If its length differs from the weight's: a mistake in the operation.
    pub fn give_weight(&mut self, i: usize, grad: Vec<f32>) {
        let weight = &mut self.weights[self.weight_ids[i] as usize];
        assert!(
            grad.len() == weight.value.len(),
            "a gradient of {} numbers for a weight of {}",
            grad.len(),
            weight.value.len()
        );
        match &mut weight.grad {
            None if weight.wants_grad => weight.grad = Some(grad),
            None => self.buffers.give_floats(grad),
            Some(sum) => {
                sum.iter_mut().zip(&grad).for_each(|(sum, grad)| *sum += grad);
                self.buffers.give_floats(grad);
            }
        }
    }
}

/// Moves a gradient in if it is the first, adds it after.
pub(super) fn give(
    context: &Context,
    buffers: &mut Buffers,
    to: &mut Option<Tensor>,
    grad: Tensor,
) {
    match to {
        None => *to = Some(grad),
        Some(sum) => {
            let isa = context.isa();
            context.chunks(sum.lanes_mut(), grad.shape().features(), |block, sum| {
                elementwise::add_assign(isa, grad.block(block), sum);
            });
            buffers.give_lanes(grad.into_lanes());
        }
    }
}
