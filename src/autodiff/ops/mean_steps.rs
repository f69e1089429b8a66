//! The mean over time steps: how spikes become logits.

use crate::Result;
use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::elementwise;

#[derive(Default)]
struct MeanSteps;

impl Tape {
    /// Mean over the time steps of `x`; one step remains.
    ///
    /// # Errors
    /// Never; every operation returns a `Result`.
    pub fn mean_steps(&mut self, x: Var) -> Result<Var> {
        let operation: Box<MeanSteps> = self.reuse();
        let value = self.value(x);
        let (shape, samples, steps) = (value.shape(), value.samples(), value.steps());
        let mut out = self.tensor(shape, samples, 1);
        let (context, value) = (self.context(), self.value(x));
        let isa = context.isa();
        context.chunks(out.lanes_mut(), shape.features(), |i, out| {
            out.copy_from_slice(value.block(i * steps));
            for step in 1..steps {
                elementwise::add_assign(isa, value.block(i * steps + step), out);
            }
            elementwise::scale_in_place(isa, 1.0 / steps as f32, out);
        });
        Ok(self.record(operation, &[x], &[], out))
    }
}

impl Operation for MeanSteps {
    fn name(&self) -> &'static str {
        "mean_steps"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let mut out = pass.like_input(0);
        let steps = out.steps();
        let (context, grad) = (pass.context(), pass.grad());
        let isa = context.isa();
        context.chunks(out.lanes_mut(), grad.shape().features(), |block, out| {
            elementwise::scale(isa, 1.0 / steps as f32, grad.block(block / steps), out);
        });
        pass.give_input(0, out);
    }
}
