//! The reverse sweep over a tape, and the gradients that it leaves.

use super::operation::{Backward, give};
use super::{Tape, Var, Weight};
use crate::simd::Lanes;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// What the backward sweep starts from, for every number of the variable it starts at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// 1: the gradient of the sum over samples. Attacks want this: no sample's gradient depends on how many there are.
    Sum,
    /// 1 / samples: the gradient of the mean over samples, as in training.
    Mean,
}

impl Tape {
    /// Sweeps backward from `from`; every wanted gradient of inputs and weights is there afterwards. Gradients of a
    /// second sweep add to those of the first.
    ///
    /// # Errors
    /// If `from` depends on nothing whose gradient is wanted.
    pub fn backward(&mut self, from: Var, seed: Seed) -> Result<()> {
        let index = self.index(from);
        let value = &self.nodes[index].value;
        let (shape, samples, steps) = (value.shape(), value.samples(), value.steps());
        let start = match seed {
            Seed::Sum => 1.0,
            Seed::Mean => 1.0 / samples as f32,
        };
        let mut grad = self.tensor(shape, samples, steps);
        let features = shape.features();
        let work = grad.lanes().len();
        self.context.chunks_of_work(work, grad.lanes_mut(), features.max(1), |block, lanes| {
            let live = crate::tensor::live_lanes(samples, steps, block);
            let mut one = Lanes::ZERO;
            one.0[..live].fill(start);
            lanes.fill(one);
        });
        self.backward_from(from, grad)
    }

    /// Sweeps backward from `from` with a gradient of the caller's.
    ///
    /// # Errors
    /// If the gradient has another shape than `from`, or `from` depends on nothing whose gradient is wanted.
    pub fn backward_from(&mut self, from: Var, grad: Tensor) -> Result<()> {
        let index = self.index(from);
        let value = &self.nodes[index].value;
        if (grad.shape(), grad.samples(), grad.steps())
            != (value.shape(), value.samples(), value.steps())
        {
            return Err(Error::shape(
                "backward",
                format!("a gradient of {} samples x {}", value.samples(), value.shape()),
                format!("{} samples x {}", grad.samples(), grad.shape()),
            ));
        }
        if !self.nodes[index].wants_grad {
            return Err(Error::argument(
                "backward",
                "nothing before this variable wants a gradient; make its source with `input` or `weight`",
            ));
        }
        give(&self.context, &mut self.buffers, &mut self.nodes[index].grad, grad);
        for id in (0..=index).rev() {
            let (before, rest) = self.nodes.split_at_mut(id);
            let (node, origin) = (&mut rest[0], &mut self.origins[id]);
            let Some(operation) = origin.operation.as_mut().filter(|_| node.wants_grad) else {
                continue;
            };
            let Some(grad) = node.grad.take() else { continue };
            operation.backward(&mut Backward {
                context: &self.context,
                estimators: &mut self.estimators,
                buffers: &mut self.buffers,
                nodes: before,
                weights: &mut self.weights,
                inputs: &self.edges[origin.inputs.clone()],
                weight_ids: &self.weight_edges[origin.weights.clone()],
                value: &node.value,
                grad: &grad,
            });
            self.buffers.give_lanes(grad.into_lanes());
        }
        self.hand_on_sizes();
        Ok(())
    }

    /// Hands the gradients of sizes on to the parameters that they are the sizes of.
    fn hand_on_sizes(&mut self) {
        // The last first: sizes of sizes come before what they are the sizes of.
        for i in (0..self.weights.len()).rev() {
            // Only theirs are taken away: the others are what the caller asks for.
            let Some(source) = self.weights[i].sizes_of else { continue };
            let Some(mut grad) = self.weights[i].grad.take() else { continue };
            let source = &mut self.weights[source as usize];
            for (grad, value) in grad.iter_mut().zip(&source.value) {
                *grad *= if *value == 0.0 { 0.0 } else { value.signum() };
            }
            match &mut source.grad {
                None => source.grad = Some(grad),
                Some(sum) => {
                    sum.iter_mut().zip(&grad).for_each(|(sum, grad)| *sum += grad);
                    self.buffers.give_floats(grad);
                }
            }
        }
    }

    /// The gradient of an [`input`](Self::input) after [`backward`](Self::backward); `None` if nothing reached it.
    pub fn gradient(&self, var: Var) -> Option<&Tensor> {
        self.nodes[self.index(var)].grad.as_ref()
    }

    /// Takes the gradient of an [`input`](Self::input) away, so that the next sweep over the same recording starts
    /// from nothing; [`recycle`](Self::recycle) takes its memory back.
    pub fn take_gradient(&mut self, var: Var) -> Option<Tensor> {
        let index = self.index(var);
        self.nodes[index].grad.take()
    }

    /// The gradient of a [`weight`](Self::weight) after [`backward`](Self::backward); `None` if nothing reached it.
    pub fn weight_gradient(&self, weight: Weight) -> Option<&[f32]> {
        self.weights[self.weight_index(weight)].grad.as_deref()
    }

    /// Whether the gradient of this variable is wanted by anything before it.
    pub fn wants_gradient(&self, var: Var) -> bool {
        self.nodes[self.index(var)].wants_grad
    }
}
