//! Batch normalization, rectifier and 2 x 2 maximum as one node: the same numbers as the three, in a third of the
//! memory traffic (the normalized map is never written out, its gradient is made from the pooled one).

use super::batch_norm::NormStatistics;
use crate::autodiff::{Backward, Normalization, Operation, Tape, Var, Weight};
use crate::kernels::batch_norm as kernel;
use crate::kernels::pool::Winners;
use crate::simd::Lanes;
use crate::tensor::Shape;
use crate::{Error, Result};

#[derive(Default)]
struct NormReluPool {
    statistics: NormStatistics,
    winners: Vec<Winners>,
    /// The input that won each window.
    winner_x: Vec<Lanes>,
}

impl Tape {
    /// [`batch_norm`](Self::batch_norm), [`relu`](Self::relu) and [`max_pool`](Self::max_pool) of 2 x 2 windows.
    ///
    /// # Errors
    /// As for [`batch_norm`](Self::batch_norm), or if a side of the input is odd.
    pub fn norm_relu_pool(
        &mut self,
        x: Var,
        weight: Weight,
        bias: Weight,
        normalization: Normalization<'_>,
        eps: f32,
    ) -> Result<Var> {
        self.check_batch_norm(x, weight, bias, normalization, eps)?;
        let value = self.value(x);
        let (shape, samples, steps) = (value.shape(), value.samples(), value.steps());
        let pooled = halved("norm_relu_pool", shape)?;
        let mut operation: Box<NormReluPool> = self.reuse();
        let value = self.value(x);
        let affine = (self.weight_value(weight), self.weight_value(bias));
        operation.statistics.take(self, value, affine, normalization, eps);
        let mut out = self.tensor(pooled, samples, steps);
        operation.winners.resize(out.lanes().len(), [0; 4]);
        operation.winner_x.resize(out.lanes().len(), Lanes::ZERO);
        let (context, value) = (self.context(), self.value(x));
        let isa = context.isa();
        let NormReluPool { statistics, winners, winner_x } = operation.as_mut();
        let features = pooled.features();
        let outs = ((out.lanes_mut(), features), (winner_x.as_mut_slice(), features));
        context.chunks3(outs.0, outs.1, (winners, features), |block, out, winner_x, winners| {
            let step = statistics.of_block(block, shape.channels);
            let affine = (&statistics.scale[step.clone()], &statistics.shift[step]);
            let (live, x) = (value.live(block), value.block(block));
            kernel::affine_relu_pool(isa, shape, live, x, affine, out, winner_x, winners);
        });
        Ok(self.record(operation, &[x], &[weight, bias], out))
    }

    pub(super) fn fused_statistics(&self, var: Var) -> Option<&NormStatistics> {
        self.operation::<NormReluPool>(var).map(|operation| &operation.statistics)
    }
}

/// The shape after a 2 x 2 maximum.
pub(crate) fn halved(operation: &'static str, shape: Shape) -> Result<Shape> {
    if !shape.height.is_multiple_of(2) || !shape.width.is_multiple_of(2) {
        return Err(Error::shape(operation, "even height and width", format!("{shape}")));
    }
    Ok(Shape::new(shape.channels, shape.height / 2, shape.width / 2))
}

impl Operation for NormReluPool {
    fn name(&self) -> &'static str {
        "norm_relu_pool"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let (mut weight_grad, mut bias_grad) = (pass.like_weight(0), pass.like_weight(1));
        let Self { statistics, winners, winner_x } = self;
        let (context, x, grad, value) = (pass.context(), pass.input(0), pass.grad(), pass.value());
        let (isa, shape) = (context.isa(), x.shape());
        let (pooled, features) = (value.shape().pixels(), value.shape().features());
        let mut sums = std::mem::take(&mut statistics.sums);
        sums.resize(x.blocks() * shape.channels, [0.0; 2]);
        context.chunks(&mut sums, shape.channels, |block, out| {
            let mean = &statistics.mean[statistics.of_block(block, shape.channels)];
            let won = &winner_x[block * features..][..features];
            let (value, grad) = (value.block(block), grad.block(block));
            kernel::relu_pool_grad_sums(isa, pooled, won, value, grad, mean, out);
        });
        statistics.sums = sums;
        statistics.gradients(x.steps(), &mut weight_grad, &mut bias_grad);
        if pass.wants_input(0) {
            let mut out = pass.like_input(0);
            let (context, x, grad) = (pass.context(), pass.input(0), pass.grad());
            context.chunks(out.lanes_mut(), shape.features(), |block, out| {
                let step = statistics.of_block(block, shape.channels);
                let channels = &statistics.input_grad[step];
                let (live, x, grad) = (x.live(block), x.block(block), grad.block(block));
                let won = &winners[block * features..][..features];
                kernel::relu_pool_input_grad(isa, shape, live, x, grad, won, channels, out);
            });
            pass.give_input(0, out);
        }
        pass.give_weight(0, weight_grad);
        pass.give_weight(1, bias_grad);
    }
}
