//! Repeats a variable that is constant over time for every step, where it meets one that changes.

use super::mean_steps::sum_steps;
use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::{Error, Result};

#[derive(Default)]
struct RepeatSteps;

impl Tape {
    /// `x`, which has one time step, at each of `steps` steps.
    ///
    /// # Errors
    /// If `x` has several time steps, or `steps` is 0.
    pub fn repeat_steps(&mut self, x: Var, steps: usize) -> Result<Var> {
        let value = self.value(x);
        let (shape, samples, found) = (value.shape(), value.samples(), value.steps());
        if found != 1 || steps == 0 {
            let expected = "one time step, to be repeated at least once";
            return Err(Error::shape("repeat_steps", expected, format!("{found}, {steps} times")));
        }
        let operation: Box<RepeatSteps> = self.reuse();
        let mut out = self.tensor(shape, samples, steps);
        let (context, value) = (self.context(), self.value(x));
        context.chunks(out.lanes_mut(), shape.features(), |i, out| {
            out.copy_from_slice(value.block(i / steps));
        });
        Ok(self.record(operation, &[x], &[], out))
    }
}

impl Operation for RepeatSteps {
    fn name(&self) -> &'static str {
        "repeat_steps"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let grad = pass.grad();
        pass.give_blocks(0, |isa, _, block, out| sum_steps(isa, grad, block, out));
    }
}
