//! Functions of one feature at a time.

use crate::Result;
use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::elementwise::{self, Activation};

struct Activate(Activation);

impl Default for Activate {
    fn default() -> Self {
        Self(Activation::Relu)
    }
}

impl Tape {
    /// max(x, 0)
    ///
    /// # Errors
    /// Never; every operation returns a `Result`.
    pub fn relu(&mut self, x: Var) -> Result<Var> {
        self.activate(x, Activation::Relu)
    }

    /// Hyperbolic tangent.
    ///
    /// # Errors
    /// Never; every operation returns a `Result`.
    pub fn tanh(&mut self, x: Var) -> Result<Var> {
        self.activate(x, Activation::Tanh)
    }

    /// 1 / (1 + exp(-x))
    ///
    /// # Errors
    /// Never; every operation returns a `Result`.
    pub fn sigmoid(&mut self, x: Var) -> Result<Var> {
        self.activate(x, Activation::Sigmoid)
    }

    fn activate(&mut self, x: Var, activation: Activation) -> Result<Var> {
        let mut operation: Box<Activate> = self.reuse();
        operation.0 = activation;
        let value = self.value(x);
        let (shape, samples, steps) = (value.shape(), value.samples(), value.steps());
        let mut out = self.tensor(shape, samples, steps);
        let (context, value) = (self.context(), self.value(x));
        let isa = context.isa();
        context.chunks(out.lanes_mut(), shape.features(), |block, out| {
            elementwise::activate(isa, activation, value.live(block), value.block(block), out);
        });
        Ok(self.record(operation, &[x], &[], out))
    }
}

impl Operation for Activate {
    fn name(&self) -> &'static str {
        match self.0 {
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
        }
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let mut out = pass.like_input(0);
        let (context, value, grad) = (pass.context(), pass.value(), pass.grad());
        let isa = context.isa();
        context.chunks(out.lanes_mut(), value.shape().features(), |block, out| {
            elementwise::activation_grad(isa, self.0, value.block(block), grad.block(block), out);
        });
        pass.give_input(0, out);
    }
}
