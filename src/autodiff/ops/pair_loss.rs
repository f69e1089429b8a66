//! Picks samples of a batch, and computes losses that compare images with their adversarial examples.

use super::cross_entropy::Labels;
use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::elementwise;
use crate::kernels::robust_loss::{self as kernel, PairLoss};
use crate::simd::Lanes;
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result};
use std::ops::Range;

#[derive(Default)]
struct TakeSamples {
    first: usize,
}

#[derive(Default)]
struct Pairs {
    grads: [Vec<Lanes>; 2],
}

impl Tape {
    /// The samples of this range, of one time step.
    ///
    /// # Errors
    /// If their number differs, or there are several time steps.
    pub fn samples(&mut self, x: Var, range: Range<usize>) -> Result<Var> {
        let value = self.value(x);
        let (shape, samples, steps) = (value.shape(), value.samples(), value.steps());
        if range.is_empty() || range.end > samples || steps != 1 {
            let found = format!("{samples} samples, {steps} steps");
            return Err(Error::shape("samples", format!("samples {range:?} of one step"), found));
        }
        let mut operation: Box<TakeSamples> = self.reuse();
        operation.first = range.start;
        let mut out = self.tensor(shape, range.len(), 1);
        out.lanes_mut().fill(Lanes::ZERO);
        out.copy_samples(0, self.value(x), range.start, range.len());
        Ok(self.record(operation, &[x], &[], out))
    }

    /// A loss of clean images and their adversarial examples, from the logits of both; one number a sample.
    ///
    /// # Errors
    /// If the logits differ in shape, or there are not as many labels as samples.
    pub fn pair_loss(
        &mut self,
        clean: Var,
        adversarial: Var,
        labels: &Labels,
        kind: PairLoss,
    ) -> Result<Var> {
        let size = |t: &Tensor| (t.samples(), t.steps(), t.shape().features());
        let (expected, found) = (size(self.value(clean)), size(self.value(adversarial)));
        if expected != found || expected.1 != 1 || labels.samples() != expected.0 {
            return Err(Error::shape(
                "pair_loss",
                format!(
                    "twice the logits (samples, steps, classes) {expected:?}, and as many labels"
                ),
                format!("{found:?}, {} labels", labels.samples()),
            ));
        }
        let mut operation: Box<Pairs> = self.reuse();
        let (samples, _, classes) = expected;
        let mut out = self.tensor(Shape::flat(1), samples, 1);
        let (isa, values) = (self.context().isa(), [self.value(clean), self.value(adversarial)]);
        let [to_clean, to_other] = &mut operation.grads;
        to_clean.resize(values[0].lanes().len(), Lanes::ZERO);
        to_other.resize(values[0].lanes().len(), Lanes::ZERO);
        for (block, loss) in out.lanes_mut().iter_mut().enumerate() {
            let range = block * classes..(block + 1) * classes;
            let grads = [&mut to_clean[range.clone()], &mut to_other[range]];
            let logits = values.map(|value| value.block(block));
            let live = values[0].live(block);
            kernel::pair_loss(isa, live, kind, labels.block(block), logits, loss, grads);
        }
        Ok(self.record(operation, &[clean, adversarial], &[], out))
    }
}

impl Operation for TakeSamples {
    fn name(&self) -> &'static str {
        "samples"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let mut out = pass.like_input(0);
        out.lanes_mut().fill(Lanes::ZERO);
        out.copy_samples(self.first, pass.grad(), 0, pass.grad().samples());
        pass.give_input(0, out);
    }
}

impl Operation for Pairs {
    fn name(&self) -> &'static str {
        "pair_loss"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        for (i, grads) in self.grads.iter().enumerate() {
            let mut out = pass.like_input(i);
            let (isa, classes) = (pass.context().isa(), out.shape().features());
            elementwise::multiply(isa, classes, grads, pass.grad().lanes(), out.lanes_mut());
            pass.give_input(i, out);
        }
    }
}
