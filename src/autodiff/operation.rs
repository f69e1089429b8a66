//! What an operation is, and what its backward may see and give.

use super::tape::{Node, WeightNode};
use crate::kernels::elementwise;
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
    pub(super) buffers: &'a mut Buffers,
    /// The nodes before this one.
    pub(super) nodes: &'a mut [Node],
    pub(super) weights: &'a mut [WeightNode],
    pub(super) inputs: &'a [u32],
    pub(super) weight_ids: &'a [u32],
    pub(super) value: &'a Tensor,
    pub(super) grad: &'a Tensor,
}

impl Backward<'_> {
    /// Instruction set and threads.
    pub fn context(&self) -> &Context {
        self.context
    }

    /// The gradient of the output.
    pub fn grad(&self) -> &Tensor {
        self.grad
    }

    /// The output.
    pub fn value(&self) -> &Tensor {
        self.value
    }

    /// Input `i`.
    pub fn input(&self, i: usize) -> &Tensor {
        &self.nodes[self.inputs[i] as usize].value
    }

    /// Weight `i`.
    pub fn weight(&self, i: usize) -> &[f32] {
        &self.weights[self.weight_ids[i] as usize].value
    }

    /// Whether anybody wants the gradient of input `i`.
    pub fn wants_input(&self, i: usize) -> bool {
        self.nodes[self.inputs[i] as usize].wants_grad
    }

    /// Whether anybody wants the gradient of weight `i`.
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

    /// Gives input `i` its share of gradient: moved in if it is the first, added after.
    pub fn give_input(&mut self, i: usize, grad: Tensor) {
        let node = &mut self.nodes[self.inputs[i] as usize];
        match &mut node.grad {
            None => node.grad = Some(grad),
            Some(sum) => {
                let features = grad.shape().features();
                let isa = self.context.isa();
                self.context.chunks(sum.lanes_mut(), features, |block, sum| {
                    elementwise::add_assign(isa, grad.block(block), sum);
                });
                self.buffers.give_lanes(grad.into_lanes());
            }
        }
    }

    /// Gives weight `i` its share of gradient: moved in if it is the first, added after.
    pub fn give_weight(&mut self, i: usize, grad: Vec<f32>) {
        let weight = &mut self.weights[self.weight_ids[i] as usize];
        match &mut weight.grad {
            None => weight.grad = Some(grad),
            Some(sum) => {
                sum.iter_mut().zip(&grad).for_each(|(sum, grad)| *sum += grad);
                self.buffers.give_floats(grad);
            }
        }
    }
}
