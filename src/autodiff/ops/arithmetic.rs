//! Sum and product of two variables, a fixed factor, a bias per channel.

use crate::autodiff::{Backward, Operation, Tape, Var, Weight};
use crate::kernels::elementwise;
use crate::tensor::Shape;
use crate::{Error, Result};

#[derive(Default)]
struct Add;

#[derive(Default)]
struct Mul;

#[derive(Default)]
struct Scale(f32);

#[derive(Default)]
struct Bias {
    /// Sums of each block and channel, before they are added in the blocks' order.
    partial: Vec<f32>,
}

impl Tape {
    /// a + b, as in a residual connection.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn add(&mut self, a: Var, b: Var) -> Result<Var> {
        let (left, right) = (self.value(a), self.value(b));
        let (shape, samples, steps) = (left.shape(), left.samples(), left.steps());
        if (right.shape(), right.samples(), right.steps()) != (shape, samples, steps) {
            return Err(Error::shape(
                "add",
                format!("twice {samples} samples x {shape}, {steps} steps"),
                format!("{} samples x {}, {} steps", right.samples(), right.shape(), right.steps()),
            ));
        }
        let operation: Box<Add> = self.reuse();
        let mut out = self.tensor(shape, samples, steps);
        let (context, left, right) = (self.context(), self.value(a), self.value(b));
        let isa = context.isa();
        context.chunks(out.lanes_mut(), shape.features(), |block, out| {
            elementwise::add(isa, left.block(block), right.block(block), out);
        });
        Ok(self.record(operation, &[a, b], &[], out))
    }

    /// a b, where `b` may have one number for each channel of `a`, as in squeeze-and-excitation.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn mul(&mut self, a: Var, b: Var) -> Result<Var> {
        let (left, right) = (self.value(a), self.value(b));
        let (shape, samples, steps) = (left.shape(), left.samples(), left.steps());
        let fits = right.shape() == shape || right.shape() == Shape::flat(shape.channels);
        if !fits || (right.samples(), right.steps()) != (samples, steps) {
            return Err(Error::shape(
                "mul",
                format!(
                    "{samples} samples x {shape} and as many x {shape} or {}, {steps} steps",
                    Shape::flat(shape.channels)
                ),
                format!("{} samples x {}, {} steps", right.samples(), right.shape(), right.steps()),
            ));
        }
        let operation: Box<Mul> = self.reuse();
        let mut out = self.tensor(shape, samples, steps);
        let (context, left, right) = (self.context(), self.value(a), self.value(b));
        let (isa, pixels) = (context.isa(), shape.features() / right.shape().features());
        context.chunks(out.lanes_mut(), shape.features(), |block, out| {
            elementwise::multiply(isa, pixels, left.block(block), right.block(block), out);
        });
        Ok(self.record(operation, &[a, b], &[], out))
    }

    /// factor x
    ///
    /// # Errors
    /// If the factor is not finite.
    pub fn scale(&mut self, x: Var, factor: f32) -> Result<Var> {
        if !factor.is_finite() {
            return Err(Error::argument("scale", format!("factor {factor} is not finite")));
        }
        let mut operation: Box<Scale> = self.reuse();
        operation.0 = factor;
        let out = self.map_blocks(x, self.value(x).shape(), |isa, x, block, out| {
            elementwise::scale(isa, factor, x.block(block), out);
        });
        Ok(self.record(operation, &[x], &[], out))
    }

    /// x + one number a channel; `bias` has as many numbers as `x` has channels.
    ///
    /// # Errors
    /// If it has not.
    pub fn bias(&mut self, x: Var, bias: Weight) -> Result<Var> {
        let value = self.value(x);
        let (shape, samples, steps) = (value.shape(), value.samples(), value.steps());
        if self.weight_value(bias).len() != shape.channels {
            return Err(Error::shape(
                "bias",
                format!("{} numbers for an input of {shape}", shape.channels),
                format!("{:?}", self.weight_shape(bias)),
            ));
        }
        let operation: Box<Bias> = self.reuse();
        let mut out = self.tensor(shape, samples, steps);
        let (context, value) = (self.context(), self.value(x));
        let (isa, bias_value) = (context.isa(), self.weight_value(bias));
        context.chunks(out.lanes_mut(), shape.features(), |block, out| {
            let (live, x) = (value.live(block), value.block(block));
            elementwise::add_bias(isa, shape.pixels(), live, x, bias_value, out);
        });
        Ok(self.record(operation, &[x], &[bias], out))
    }
}

impl Operation for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        for i in 0..2 {
            if pass.wants_input(i) {
                let mut out = pass.like_input(i);
                out.lanes_mut().copy_from_slice(pass.grad().lanes());
                pass.give_input(i, out);
            }
        }
    }
}

impl Operation for Mul {
    fn name(&self) -> &'static str {
        "mul"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let (whole, part) = (pass.input(0).shape().features(), pass.input(1).shape().features());
        let pixels = whole / part;
        if pass.wants_input(0) {
            let mut out = pass.like_input(0);
            let (isa, grad, b) = (pass.context().isa(), pass.grad(), pass.input(1));
            pass.context().chunks(out.lanes_mut(), whole, |block, out| {
                elementwise::multiply(isa, pixels, grad.block(block), b.block(block), out);
            });
            pass.give_input(0, out);
        }
        if pass.wants_input(1) {
            let mut out = pass.like_input(1);
            let (isa, grad, a) = (pass.context().isa(), pass.grad(), pass.input(0));
            pass.context().chunks(out.lanes_mut(), part, |block, out| {
                elementwise::multiply_grad(isa, pixels, a.block(block), grad.block(block), out);
            });
            pass.give_input(1, out);
        }
    }
}

impl Operation for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let grad = pass.grad();
        pass.give_blocks(0, |isa, _, block, out| {
            elementwise::scale(isa, self.0, grad.block(block), out);
        });
    }
}

impl Operation for Bias {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        if pass.wants_weight(0) {
            let mut out = pass.like_weight(0);
            let (context, grad) = (pass.context(), pass.grad());
            let (isa, shape) = (context.isa(), grad.shape());
            self.partial.clear();
            self.partial.resize(grad.blocks() * shape.channels, 0.0);
            context.chunks(&mut self.partial, shape.channels, |block, out| {
                elementwise::channel_sums(isa, shape.pixels(), grad.block(block), out);
            });
            out.fill(0.0);
            for block in self.partial.chunks(shape.channels) {
                out.iter_mut().zip(block).for_each(|(out, sum)| *out += sum);
            }
            pass.give_weight(0, out);
        }
        if pass.wants_input(0) {
            let mut out = pass.like_input(0);
            out.lanes_mut().copy_from_slice(pass.grad().lanes());
            pass.give_input(0, out);
        }
    }
}
