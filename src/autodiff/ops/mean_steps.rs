//! The mean over time steps: how spikes become logits.

use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::elementwise;
use crate::simd::{Isa, Lanes};
use crate::tensor::Tensor;

#[derive(Default)]
struct MeanSteps;

/// The sum over all steps of a block of samples, in their order.
pub(super) fn sum_steps(isa: Isa, x: &Tensor, block: usize, out: &mut [Lanes]) {
    let steps = x.steps();
    out.copy_from_slice(x.block(block * steps));
    for step in 1..steps {
        elementwise::add_assign(isa, x.block(block * steps + step), out);
    }
}

impl Tape {
    /// Mean over the time steps of `x`; one step remains.
    pub fn mean_steps(&mut self, x: Var) -> Var {
        let operation: Box<MeanSteps> = self.reuse();
        let value = self.value(x);
        let (shape, samples, steps) = (value.shape(), value.samples(), value.steps());
        let mut out = self.tensor(shape, samples, 1);
        let (context, value) = (self.context(), self.value(x));
        let isa = context.isa();
        context.chunks(out.lanes_mut(), shape.features(), |block, out| {
            sum_steps(isa, value, block, out);
            elementwise::scale_in_place(isa, 1.0 / steps as f32, out);
        });
        self.record(operation, &[x], &[], out)
    }
}

impl Operation for MeanSteps {
    fn name(&self) -> &'static str {
        "mean_steps"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let grad = pass.grad();
        pass.give_blocks(0, |isa, x, block, out| {
            let steps = x.steps();
            elementwise::scale(isa, 1.0 / steps as f32, grad.block(block / steps), out);
        });
    }
}
