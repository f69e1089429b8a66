//! Dropout.

use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::dropout as kernel;
use crate::simd::LANES;
use crate::simd::random::Key;
use crate::{Error, Result};

#[derive(Default)]
struct Dropout {
    rate: f32,
    /// One for every block of samples.
    noise: Vec<[Key; LANES]>,
}

impl Tape {
    /// Zeros in place of a share `rate` of the numbers, the others divided by `1 - rate`; the same ones at every time step.
    ///
    /// Which of a sample's numbers are dropped follows from its key ([`set_noise`](Self::set_noise)), and from nothing
    /// else: not from its place in the batch, or the other samples.
    ///
    /// # Errors
    /// If the rate is not in 0..1, or the tape has no key for each sample.
    pub fn dropout(&mut self, x: Var, rate: f32) -> Result<Var> {
        let value = self.value(x);
        let (shape, samples, steps) = (value.shape(), value.samples(), value.steps());
        if !(0.0..1.0).contains(&rate) {
            let problem = format!("rate {rate}; it must be at least 0 and below 1");
            return Err(Error::argument("dropout", problem));
        }
        let mut operation: Box<Dropout> = self.reuse();
        operation.rate = rate;
        self.draw("dropout", samples, &mut operation.noise)?;
        let mut out = self.tensor(shape, samples, steps);
        let (context, value) = (self.context(), self.value(x));
        let (isa, noise, features) = (context.isa(), &operation.noise, shape.features());
        let size = steps * features;
        context.chunks(out.lanes_mut(), size, |i, out| {
            kernel::dropout(
                isa,
                rate,
                &noise[i],
                features,
                &value.lanes()[i * size..][..size],
                out,
            );
        });
        Ok(self.record(operation, &[x], &[], out))
    }
}

impl Operation for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let mut out = pass.like_input(0);
        let (context, grad) = (pass.context(), pass.grad());
        let (isa, features) = (context.isa(), grad.shape().features());
        let size = grad.steps() * features;
        context.chunks(out.lanes_mut(), size, |i, out| {
            let grad = &grad.lanes()[i * size..][..size];
            kernel::dropout(isa, self.rate, &self.noise[i], features, grad, out);
        });
        pass.give_input(0, out);
    }
}
