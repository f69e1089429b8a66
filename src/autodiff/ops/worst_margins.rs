//! The worst logits of a last linear layer over intervals of its input.

use super::cross_entropy::Labels;
use crate::Error;
use crate::Result;
use crate::autodiff::{Backward, Operation, Tape, Var, Weight};
use crate::kernels::robust_loss::{Worst, worst_margins, worst_margins_grad};
use crate::simd::{Lanes, LanesU32};
use crate::tensor::{Shape, Tensor};

#[derive(Default)]
struct WorstMargins {
    labels: Vec<LanesU32>,
}

impl Tape {
    /// Of every class i the most that `z_i - z_y` can be (y the label; 0 for it), where `z = W x + b` and x lies within
    /// `radius` of `center` in every feature: logits of which the cross-entropy is that of the worst case. The difference of
    /// two logits is bounded as one sum, with the difference of their weights.
    ///
    /// # Errors
    /// If shapes do not fit together.
    pub fn worst_margins(
        &mut self,
        [center, radius]: [Var; 2],
        weight: Weight,
        bias: Option<Weight>,
        labels: &Labels,
    ) -> Result<Var> {
        let size = |t: &Tensor| (t.samples(), t.steps(), t.shape().features());
        let (expected, found) = (size(self.value(center)), size(self.value(radius)));
        let [classes, features, ..] = self.weight_shape(weight);
        let biases = bias.map_or(classes, |bias| self.weight_value(bias).len());
        if expected != found
            || (expected.1, expected.2) != (1, features)
            || labels.samples() != expected.0
            || biases != classes
        {
            return Err(Error::shape(
                "worst_margins",
                format!(
                    "twice inputs (samples, steps, features) of {features} features, as many labels"
                ),
                format!("{expected:?}, {found:?}, {} labels, {biases} biases", labels.samples()),
            ));
        }
        let mut operation: Box<WorstMargins> = self.reuse();
        operation.labels.clear();
        let samples = expected.0;
        let mut out = self.tensor(Shape::flat(classes), samples, 1);
        let (center_value, radius_value) = (self.value(center), self.value(radius));
        operation.labels.extend((0..center_value.blocks()).map(|block| *labels.block(block)));
        let none = vec![0.0; classes];
        let bias_value = bias.map_or(&none[..], |bias| self.weight_value(bias));
        let layer = Worst { weight: self.weight_value(weight), bias: bias_value };
        for (block, out) in out.lanes_mut().chunks_mut(classes).enumerate() {
            let x = [center_value.block(block), radius_value.block(block)];
            worst_margins(layer, center_value.live(block), &operation.labels[block], x, out);
        }
        let weights: Vec<Weight> = [Some(weight), bias].into_iter().flatten().collect();
        Ok(self.record(operation, &[center, radius], &weights, out))
    }
}

impl Operation for WorstMargins {
    fn name(&self) -> &'static str {
        "worst_margins"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let (mut to_center, mut to_radius) = (pass.like_input(0), pass.like_input(1));
        let mut to_weight = pass.like_weight(0);
        to_weight.fill(0.0);
        let classes = pass.grad().shape().features();
        let mut to_bias = vec![0.0; classes];
        let features = to_center.shape().features();
        let outs = to_center.lanes_mut().chunks_mut(features);
        for (block, outs) in outs.zip(to_radius.lanes_mut().chunks_mut(features)).enumerate() {
            let x = [pass.input(0).block(block), pass.input(1).block(block)];
            let live = pass.grad().live(block);
            let (labels, grad): (_, &[Lanes]) = (&self.labels[block], pass.grad().block(block));
            let to = ([outs.0, outs.1], [&mut to_weight[..], &mut to_bias[..]]);
            worst_margins_grad(pass.weight(0), live, labels, x, grad, to);
        }
        pass.give_input(0, to_center);
        pass.give_input(1, to_radius);
        pass.give_weight(0, to_weight);
        if pass.weights() > 1 {
            pass.give_weight(1, to_bias);
        }
    }
}
