//! Memory that a tape uses again: of tensors, and of lists of variables.

use super::{Tape, Var};
use crate::tensor::{Shape, Tensor};

impl Tape {
    /// Variables of this recording so far.
    pub(crate) fn recorded(&self) -> usize {
        self.nodes.len()
    }

    /// Takes the memory of all variables from the `first` on but those in `kept`: neither a later operation nor a backward
    /// sweep may read them. (The next operations get this memory, which is still in the cache.)
    pub(crate) fn release_since(&mut self, first: usize, kept: &[Var]) {
        for (index, node) in self.nodes.iter_mut().enumerate().skip(first) {
            if !node.released && kept.iter().all(|var| var.index as usize != index) {
                let value = std::mem::replace(&mut node.value, Tensor::zeros(Shape::flat(0), 0));
                self.buffers.give_lanes(value.into_lanes());
                node.released = true;
            }
        }
    }

    /// Takes the memory of a tensor that is no longer needed.
    pub fn recycle(&mut self, tensor: Tensor) {
        self.buffers.give_lanes(tensor.into_lanes());
    }

    /// An empty list of variables that keeps its memory from recording to recording, if [`recycle_vars`](Self::recycle_vars)
    /// gets it back.
    pub(crate) fn lend_vars(&mut self) -> Vec<Var> {
        std::mem::take(&mut self.vars)
    }

    /// Takes back a list that was lent.
    pub(crate) fn recycle_vars(&mut self, mut vars: Vec<Var>) {
        vars.clear();
        self.vars = vars;
    }

    /// A tensor with unspecified content from recycled memory, for the output of an operation or the next input.
    pub fn tensor(&mut self, shape: Shape, samples: usize, steps: usize) -> Tensor {
        let length = crate::tensor::blocks_of(samples) * steps * shape.features();
        Tensor::with_steps(shape, samples, steps, self.buffers.lanes(length))
    }
}
