//! Batch normalization, in training (statistics of the batch) and in evaluation (given statistics).

use crate::autodiff::{Backward, Operation, Tape, Var, Weight};
use crate::kernels::batch_norm::{self as kernel, InputGrad};
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result};

/// Whose mean and variance a batch normalization takes out.
#[derive(Clone, Copy, Debug)]
pub enum Normalization<'a> {
    /// The batch's own, over samples and pixels; at every time step that step's.
    Batch,
    /// Given ones, such as running statistics: a fixed affine map.
    Given {
        /// One number a channel.
        mean: &'a [f32],
        /// One number a channel.
        variance: &'a [f32],
    },
}

/// Mean and variance that a [`Normalization::Batch`] found, `[step][channel]`.
#[derive(Clone, Copy, Debug)]
pub struct BatchMoments<'a> {
    /// Mean.
    pub mean: &'a [f32],
    /// Biased variance (divided by `count`).
    pub variance: &'a [f32],
    /// Numbers that a channel had at each step: samples x pixels.
    pub count: usize,
}

/// What both forms of batch normalization keep: per step and channel, statistics and the affine map they make.
#[derive(Default)]
pub(super) struct NormStatistics {
    pub(super) of_batch: bool,
    pub(super) count: usize,
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
    inverse_deviation: Vec<f32>,
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
    /// Two sums of every block and channel.
    pub(super) sums: Vec<[f32; 2]>,
    pub(super) input_grad: Vec<InputGrad>,
}

impl NormStatistics {
    /// Takes the statistics of `x` and makes the affine map of all steps.
    pub(super) fn take(
        &mut self,
        tape: &Tape,
        x: &Tensor,
        (weight, bias): (&[f32], &[f32]),
        normalization: Normalization<'_>,
        eps: f32,
    ) {
        let Shape { channels, .. } = x.shape();
        let pixels = x.shape().pixels();
        self.count = x.samples() * pixels;
        self.of_batch = matches!(normalization, Normalization::Batch);
        self.mean.clear();
        self.variance.clear();
        match normalization {
            Normalization::Given { mean, variance } => {
                for _ in 0..x.steps() {
                    self.mean.extend_from_slice(mean);
                    self.variance.extend_from_slice(variance);
                }
            }
            Normalization::Batch => {
                self.sums.resize(x.blocks() * channels, [0.0; 2]);
                let isa = tape.context().isa();
                tape.context().chunks(&mut self.sums, channels, |block, out| {
                    kernel::moments(isa, pixels, x.live(block), x.block(block), out);
                });
                for step in 0..x.steps() {
                    for channel in 0..channels {
                        let of_blocks = (step..x.blocks())
                            .step_by(x.steps())
                            .map(|block| (x.live(block), self.sums[block * channels + channel]));
                        let (mean, variance) = kernel::combine(pixels, of_blocks);
                        self.mean.push(mean);
                        self.variance.push(variance);
                    }
                }
            }
        }
        self.inverse_deviation.clear();
        self.scale.clear();
        self.shift.clear();
        for (i, (&mean, &variance)) in self.mean.iter().zip(&self.variance).enumerate() {
            let inverse = (1.0 / (f64::from(variance) + f64::from(eps)).sqrt()) as f32;
            let scale = weight[i % channels] * inverse;
            self.inverse_deviation.push(inverse);
            self.scale.push(scale);
            self.shift.push(bias[i % channels] - mean * scale);
        }
    }

    /// The channels of the step that a block belongs to.
    pub(super) fn of_block(&self, block: usize, channels: usize) -> std::ops::Range<usize> {
        let step = block % (self.mean.len() / channels);
        step * channels..(step + 1) * channels
    }

    /// From `self.sums` (each block's sums of gradient and of gradient x deviation): the gradients of weight and bias,
    /// and the coefficients of the input's.
    pub(super) fn gradients(
        &mut self,
        steps: usize,
        weight_grad: &mut [f32],
        bias_grad: &mut [f32],
    ) {
        let channels = weight_grad.len();
        let blocks = self.sums.len() / channels;
        weight_grad.fill(0.0);
        bias_grad.fill(0.0);
        self.input_grad.clear();
        for step in 0..steps {
            for channel in 0..channels {
                let (mut grads, mut products) = (0.0_f64, 0.0_f64);
                for block in (step..blocks).step_by(steps) {
                    let [grad, product] = self.sums[block * channels + channel];
                    grads += f64::from(grad);
                    products += f64::from(product);
                }
                let at = step * channels + channel;
                let inverse = f64::from(self.inverse_deviation[at]);
                weight_grad[channel] += (products * inverse) as f32;
                bias_grad[channel] += grads as f32;
                let share = if self.of_batch { 1.0 / self.count as f64 } else { 0.0 };
                self.input_grad.push(InputGrad {
                    scale: self.scale[at],
                    mean: self.mean[at],
                    center: (grads * share) as f32,
                    slope: (products * inverse * inverse * share) as f32,
                });
            }
        }
    }
}

#[derive(Default)]
struct BatchNorm {
    statistics: NormStatistics,
}

impl Tape {
    /// `weight (x - mean) / sqrt(variance + eps) + bias` per channel.
    ///
    /// # Errors
    /// If a channel does not have exactly one number of each, or `eps` is not positive.
    pub fn batch_norm(
        &mut self,
        x: Var,
        weight: Weight,
        bias: Weight,
        normalization: Normalization<'_>,
        eps: f32,
    ) -> Result<Var> {
        self.check_batch_norm(x, weight, bias, normalization, eps)?;
        let mut operation: Box<BatchNorm> = self.reuse();
        let value = self.value(x);
        let (shape, samples, steps) = (value.shape(), value.samples(), value.steps());
        let affine = (self.weight_value(weight), self.weight_value(bias));
        operation.statistics.take(self, value, affine, normalization, eps);
        let mut out = self.tensor(shape, samples, steps);
        let (context, value, statistics) = (self.context(), self.value(x), &operation.statistics);
        let isa = context.isa();
        context.chunks(out.lanes_mut(), shape.features(), |block, out| {
            let step = statistics.of_block(block, shape.channels);
            let affine = (&statistics.scale[step.clone()], &statistics.shift[step]);
            kernel::affine(isa, shape.pixels(), value.live(block), value.block(block), affine, out);
        });
        Ok(self.record(operation, &[x], &[weight, bias], out))
    }

    /// The moments that a batch normalization with [`Normalization::Batch`] found; `None` for any other variable.
    pub fn batch_moments(&self, var: Var) -> Option<BatchMoments<'_>> {
        let plain = self.operation::<BatchNorm>(var).map(|operation| &operation.statistics);
        let statistics = plain.or_else(|| self.fused_statistics(var))?;
        statistics.of_batch.then_some(BatchMoments {
            mean: &statistics.mean,
            variance: &statistics.variance,
            count: statistics.count,
        })
    }

    pub(super) fn check_batch_norm(
        &self,
        x: Var,
        weight: Weight,
        bias: Weight,
        normalization: Normalization<'_>,
        eps: f32,
    ) -> Result<()> {
        let value = self.value(x);
        let channels = value.shape().channels;
        let given = match normalization {
            Normalization::Batch => [channels; 2],
            Normalization::Given { mean, variance } => [mean.len(), variance.len()],
        };
        let [weights, biases] = [weight, bias].map(|w| self.weight_value(w).len());
        if [weights, biases, given[0], given[1]] != [channels; 4] {
            return Err(Error::shape(
                "batch_norm",
                format!("{channels} numbers each for an input of {}", value.shape()),
                format!(
                    "weight {weights}, bias {biases}, mean {}, variance {}",
                    given[0], given[1]
                ),
            ));
        }
        if !(eps > 0.0 && eps.is_finite()) {
            return Err(Error::argument(
                "batch_norm",
                format!("eps {eps} is not a positive number"),
            ));
        }
        if value.lanes().is_empty() {
            let found = format!("{} samples x {}", value.samples(), value.shape());
            return Err(Error::shape("batch_norm", "at least one number a channel", found));
        }
        Ok(())
    }
}

impl Operation for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let (mut weight_grad, mut bias_grad) = (pass.like_weight(0), pass.like_weight(1));
        let (context, x, grad) = (pass.context(), pass.input(0), pass.grad());
        let (isa, shape) = (context.isa(), x.shape());
        let statistics = &mut self.statistics;
        let mut sums = std::mem::take(&mut statistics.sums);
        sums.resize(x.blocks() * shape.channels, [0.0; 2]);
        context.chunks(&mut sums, shape.channels, |block, out| {
            let mean = &statistics.mean[statistics.of_block(block, shape.channels)];
            kernel::grad_sums(isa, shape.pixels(), x.block(block), grad.block(block), mean, out);
        });
        statistics.sums = sums;
        statistics.gradients(x.steps(), &mut weight_grad, &mut bias_grad);
        if pass.wants_input(0) {
            let mut out = pass.like_input(0);
            let (context, x, grad) = (pass.context(), pass.input(0), pass.grad());
            context.chunks(out.lanes_mut(), shape.features(), |block, out| {
                let step = statistics.of_block(block, shape.channels);
                let channels = &statistics.input_grad[step];
                let (live, x) = (x.live(block), x.block(block));
                kernel::input_grad(isa, shape.pixels(), live, x, grad.block(block), channels, out);
            });
            pass.give_input(0, out);
        }
        pass.give_weight(0, weight_grad);
        pass.give_weight(1, bias_grad);
    }
}
