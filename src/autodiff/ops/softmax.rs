//! Softmax as a variable, for losses that need probabilities.

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
        let out = self.map_blocks(x, self.value(x).shape(), |isa, x, block, out| {
            kernel::softmax(isa, x.live(block), x.block(block), temperature, out);
        });
        Ok(self.record(operation, &[x], &[], out))
    }
}

impl Operation for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let (value, grad) = (pass.value(), pass.grad());
        pass.give_blocks(0, |isa, _, block, out| {
            kernel::softmax_grad(isa, value.block(block), grad.block(block), self.temperature, out);
        });
    }
}
