//! Convolution and the linear layer, which is a convolution whose kernel covers its input.

use crate::autodiff::{Backward, Operation, Tape, Var, Weight};
use crate::kernels::batch;
use crate::kernels::conv2d::{self as kernel, Conv2dOptions, Geometry};
use crate::simd::Lanes;
use crate::{Error, Result};

#[derive(Default)]
struct Conv2d {
    geometry: Option<Geometry>,
    packed: Vec<f32>,
    packed_grad: Vec<f32>,
    /// What the gradient to the weights needs in between.
    memory: Vec<Lanes>,
}

impl Tape {
    /// Convolution of `x` with a weight `[out, in / groups, ky, kx]`, without bias (see [`Tape::bias`]).
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn conv2d(&mut self, x: Var, weight: Weight, options: Conv2dOptions) -> Result<Var> {
        let geometry = Geometry::new(self.value(x).shape(), self.weight_shape(weight), options)?;
        Ok(self.convolve(x, weight, geometry))
    }

    /// `x W^T` for a weight `[out, features]`; `x` is flattened, channels first, without bias (see [`Tape::bias`]).
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn linear(&mut self, x: Var, weight: Weight) -> Result<Var> {
        let shape = self.value(x).shape();
        let [outputs, features, ..] = self.weight_shape(weight);
        if self.weight_value(weight).len() != outputs * features || features != shape.features() {
            return Err(Error::shape(
                "linear",
                format!("weight [out, {}] for an input of {shape}", shape.features()),
                format!("weight {:?}", self.weight_shape(weight)),
            ));
        }
        Ok(self.convolve(x, weight, Geometry::linear(features, outputs)))
    }

    fn convolve(&mut self, x: Var, weight: Weight, g: Geometry) -> Var {
        let mut operation: Box<Conv2d> = self.reuse();
        let (samples, steps) = (self.value(x).samples(), self.value(x).steps());
        let mut out = self.tensor(g.output, samples, steps);
        let context = self.context().clone();
        let weight_value = self.weight_value(weight);
        let packed = kernel::packed_once(&context, &g, weight_value, &mut operation.packed);
        batch::convolve(&context, &g, self.value(x).lanes(), packed, out.lanes_mut());
        operation.geometry = Some(g);
        self.record(operation, &[x], &[weight], out)
    }
}

impl Operation for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let Some(g) = self.geometry else { return };
        let mut weight_grad = pass.wants_weight(0).then(|| pass.like_weight(0));
        let mut x_grad = pass.wants_input(0).then(|| pass.like_input(0));
        if x_grad.is_some() {
            kernel::pack_input_gradient(pass.context(), &g, pass.weight(0), &mut self.packed_grad);
        }
        let (context, grad) = (pass.context(), pass.grad());
        let (x, packed, memory) = (pass.input(0).lanes(), &self.packed_grad, &mut self.memory);
        context.join_of_work(
            batch::work(&g, grad.blocks()),
            || {
                if let Some(out) = &mut weight_grad {
                    batch::weight_gradient(context, &g, x, grad.lanes(), out, memory);
                }
            },
            || {
                if let Some(out) = &mut x_grad {
                    batch::input_gradient(context, &g, grad.lanes(), packed, out.lanes_mut());
                }
            },
        );
        if let Some(grad) = weight_grad {
            pass.give_weight(0, grad);
        }
        if let Some(grad) = x_grad {
            pass.give_input(0, grad);
        }
    }
}
