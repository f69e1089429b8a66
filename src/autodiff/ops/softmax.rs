//! Soft-max as values of its own, for losses that need probabilities.

use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::cross_entropy as kernel;
use crate::{Error, Result};

#[derive(Default)]
struct Softmax {
    temperature: f32,
}

impl Tape {
    /// `softmax(x / temperature)` over all features of a sample.
    ///
    /// # Errors
    /// If the temperature is not positive.
    pub fn softmax(&mut self, x: Var, temperature: f32) -> Result<Var> {
        if !(temperature > 0.0 && temperature.is_finite()) {
            let problem = format!("temperature {temperature} is not a positive number");
            return Err(Error::argument("softmax", problem));
        }
        let mut operation: Box<Softmax> = self.reuse();
        operation.temperature = temperature;
        let value = self.value(x);
        let (shape, samples, steps) = (value.shape(), value.samples(), value.steps());
        let mut out = self.tensor(shape, samples, steps);
        let (isa, value) = (self.context().isa(), self.value(x));
        for (block, out) in out.lanes_mut().chunks_mut(shape.features().max(1)).enumerate() {
            kernel::softmax(isa, value.live(block), value.block(block), temperature, out);
        }
        Ok(self.record(operation, &[x], &[], out))
    }
}

impl Operation for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let mut out = pass.like_input(0);
        let isa = pass.context().isa();
        let (value, grad) = (pass.value(), pass.grad());
        let features = value.shape().features();
        for (block, out) in out.lanes_mut().chunks_mut(features).enumerate() {
            kernel::softmax_grad(isa, value.block(block), grad.block(block), self.temperature, out);
        }
        pass.give_input(0, out);
    }
}
