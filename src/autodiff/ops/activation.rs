//! Activations: functions of one feature at a time.

use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::activation::{self as kernel, Activation};

struct Activate(Activation);

impl Default for Activate {
    fn default() -> Self {
        Self(Activation::Relu)
    }
}

impl Tape {
    /// max(x, 0)
    pub fn relu(&mut self, x: Var) -> Var {
        self.activate(x, Activation::Relu)
    }

    /// Hyperbolic tangent.
    pub fn tanh(&mut self, x: Var) -> Var {
        self.activate(x, Activation::Tanh)
    }

    /// 1 / (1 + exp(-x))
    pub fn sigmoid(&mut self, x: Var) -> Var {
        self.activate(x, Activation::Sigmoid)
    }

    /// Any [`Activation`].
    pub fn activate(&mut self, x: Var, activation: Activation) -> Var {
        let mut operation: Box<Activate> = self.reuse();
        operation.0 = activation;
        let out = self.map_blocks(x, self.value(x).shape(), |isa, x, block, out| {
            kernel::activate(isa, activation, x.live(block), x.block(block), out);
        });
        self.record(operation, &[x], &[], out)
    }
}

impl Operation for Activate {
    fn name(&self) -> &'static str {
        match self.0 {
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
            Activation::LeakyRelu { .. } => "leaky_relu",
            Activation::Elu { .. } => "elu",
            Activation::Silu => "silu",
            Activation::Gelu | Activation::GeluTanh => "gelu",
            Activation::Mish => "mish",
            Activation::Softplus => "softplus",
            Activation::HardSigmoid => "hard_sigmoid",
            Activation::HardSwish => "hard_swish",
            Activation::Clamp { .. } => "clamp",
        }
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let (value, grad) = (pass.value(), pass.grad());
        pass.give_blocks(0, |isa, x, block, out| {
            let ends = (x.block(block), value.block(block));
            kernel::activation_grad(isa, self.0, ends, grad.block(block), out);
        });
    }
}
