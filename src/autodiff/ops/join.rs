//! A fixed affine map per channel, and concatenation of the channels of several variables.

use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::batch_norm as kernel;
use crate::tensor::Shape;
use crate::{Error, Result};

#[derive(Default)]
struct Affine {
    scale: Vec<f32>,
    zeros: Vec<f32>,
}

#[derive(Default)]
struct Concat;

#[derive(Default)]
struct Flatten;

impl Tape {
    /// `scale x + shift` with fixed numbers, one of each a channel: the normalization of input images, for example.
    ///
    /// # Errors
    /// If a channel has not exactly one number of each.
    pub fn affine(&mut self, x: Var, scale: &[f32], shift: &[f32]) -> Result<Var> {
        let value = self.value(x);
        let (shape, samples, steps) = (value.shape(), value.samples(), value.steps());
        if [scale.len(), shift.len()] != [shape.channels; 2] {
            let expected = format!("{} numbers each for an input of {shape}", shape.channels);
            let found = format!("scale {}, shift {}", scale.len(), shift.len());
            return Err(Error::shape("affine", expected, found));
        }
        let mut operation: Box<Affine> = self.reuse();
        operation.scale.clear();
        operation.scale.extend_from_slice(scale);
        operation.zeros.clear();
        operation.zeros.resize(scale.len(), 0.0);
        let mut out = self.tensor(shape, samples, steps);
        let (context, value) = (self.context(), self.value(x));
        let isa = context.isa();
        context.chunks(out.lanes_mut(), shape.features(), |block, out| {
            let (live, x) = (value.live(block), value.block(block));
            kernel::affine(isa, shape.pixels(), live, x, (scale, shift), out);
        });
        Ok(self.record(operation, &[x], &[], out))
    }

    /// The channels of all of these, in order.
    ///
    /// # Errors
    /// If there are none, or they differ in height, width, samples or time steps.
    pub fn concat(&mut self, parts: &[Var]) -> Result<Var> {
        let size = |&var: &Var| {
            let value = self.value(var);
            let Shape { height, width, .. } = value.shape();
            (height, width, value.samples(), value.steps())
        };
        let Some(first) = parts.first().map(size) else {
            return Err(Error::argument("concat", "there is nothing to join"));
        };
        if let Some(other) = parts.iter().map(size).find(|other| *other != first) {
            return Err(Error::shape(
                "concat",
                format!("(height, width, samples, steps) of {first:?} for all"),
                format!("{other:?}"),
            ));
        }
        let channels = parts.iter().map(|&part| self.value(part).shape().channels).sum();
        let (height, width, samples, steps) = first;
        let operation: Box<Concat> = self.reuse();
        let shape = Shape::new(channels, height, width);
        let mut out = self.tensor(shape, samples, steps);
        let mut first = 0;
        for &part in parts {
            let (context, part) = (self.context(), self.value(part));
            let features = part.shape().features();
            context.chunks(out.lanes_mut(), shape.features(), |block, out| {
                out[first..][..features].copy_from_slice(part.block(block));
            });
            first += features;
        }
        Ok(self.record(operation, parts, &[], out))
    }

    /// The same numbers as a vector, channels first.
    pub fn flatten(&mut self, x: Var) -> Var {
        let value = self.value(x);
        let (shape, samples, steps) = (value.shape(), value.samples(), value.steps());
        let operation: Box<Flatten> = self.reuse();
        let mut out = self.tensor(Shape::flat(shape.features()), samples, steps);
        out.lanes_mut().copy_from_slice(self.value(x).lanes());
        self.record(operation, &[x], &[], out)
    }
}

impl Operation for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let mut out = pass.like_input(0);
        let (context, grad) = (pass.context(), pass.grad());
        let (isa, shape) = (context.isa(), grad.shape());
        context.chunks(out.lanes_mut(), shape.features(), |block, out| {
            let (live, grad) = (grad.live(block), grad.block(block));
            kernel::affine(isa, shape.pixels(), live, grad, (&self.scale, &self.zeros), out);
        });
        pass.give_input(0, out);
    }
}

impl Operation for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let mut first = 0;
        for i in 0..pass.inputs() {
            let features = pass.input(i).shape().features();
            if pass.wants_input(i) {
                let mut out = pass.like_input(i);
                let (context, grad) = (pass.context(), pass.grad());
                context.chunks(out.lanes_mut(), features, |block, out| {
                    out.copy_from_slice(&grad.block(block)[first..][..features]);
                });
                pass.give_input(i, out);
            }
            first += features;
        }
    }
}

impl Operation for Flatten {
    fn name(&self) -> &'static str {
        "flatten"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let mut out = pass.like_input(0);
        out.lanes_mut().copy_from_slice(pass.grad().lanes());
        pass.give_input(0, out);
    }
}
