//! Bernoulli spikes with probability proportional to intensity (a Poisson train in discrete time).

use super::mean_steps::sum_steps;
use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::{elementwise, encode};
use crate::simd::LANES;
use crate::simd::random::Key;
use crate::{Error, Result};

#[derive(Default)]
struct Poisson {
    rate: f32,
    /// One for every block of samples.
    noise: Vec<[Key; LANES]>,
}

impl Tape {
    /// At each of `steps` time steps, 1 with probability `rate * x`, else 0. The gradient goes straight through, as if
    /// the output were its expectation `rate * x`.
    ///
    /// A sample's draws are those of its key ([`set_noise`](Self::set_noise)), and depend on nothing else: not on its
    /// pixels, its place in the batch, or the other samples.
    ///
    /// # Errors
    /// If the rate is not in 0..=1, there are no steps, `x` has time steps already, or the tape has no key for each
    /// sample.
    pub fn poisson(&mut self, x: Var, rate: f32, steps: usize) -> Result<Var> {
        let value = self.value(x);
        let (shape, samples) = (value.shape(), value.samples());
        if !(0.0..=1.0).contains(&rate) || steps == 0 || value.steps() != 1 {
            return Err(Error::argument(
                "poisson",
                format!(
                    "rate {rate} (0 to 1), {steps} steps (at least 1), input of {} steps (1)",
                    value.steps()
                ),
            ));
        }
        let mut operation: Box<Poisson> = self.reuse();
        operation.rate = rate;
        self.draw("poisson", samples, &mut operation.noise)?;
        let mut out = self.tensor(shape, samples, steps);
        let (context, value) = (self.context(), self.value(x));
        let (isa, noise) = (context.isa(), &operation.noise);
        context.chunks(out.lanes_mut(), steps * shape.features(), |block, out| {
            encode::poisson(isa, rate, &noise[block], value.block(block), out);
        });
        Ok(self.record(operation, &[x], &[], out))
    }
}

impl Operation for Poisson {
    fn name(&self) -> &'static str {
        "poisson"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let grad = pass.grad();
        pass.give_blocks(0, |isa, _, block, out| {
            sum_steps(isa, grad, block, out);
            elementwise::scale_in_place(isa, self.rate, out);
        });
    }
}
