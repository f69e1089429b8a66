//! Interval bounds of a network in training, recorded on the tape: what IBP training learns from.

use super::Model;
use super::plan::{StatelessLayer, TrainingLayer};
use crate::autodiff::{Labels, Normalization, Tape, Var, Weight};
use crate::nn::architecture::Op;
use crate::{Error, Result};

/// A lower and an upper limit.
type VarBounds = [Var; 2];

impl Model {
    /// Whether bounds of it can be recorded.
    ///
    /// # Errors
    /// If a function in it does not only rise, or two features are multiplied, or its last node is no linear layer.
    pub(crate) fn check_bounds(&self) -> Result<()> {
        let fail = |problem: String| Err(Error::argument("interval bounds", problem));
        for node in self.architecture.nodes() {
            let rises = match node.op {
                Op::Mul {} | Op::Silu {} | Op::Gelu { .. } | Op::Mish {} | Op::HardSwish {} => {
                    false
                }
                Op::LeakyRelu { slope: factor } | Op::Elu { alpha: factor } => factor >= 0.0,
                Op::Normalize { .. }
                | Op::Conv2d { .. }
                | Op::Linear { .. }
                | Op::BatchNorm { .. }
                | Op::Relu {}
                | Op::Lif { .. }
                | Op::Softplus {}
                | Op::Tanh {}
                | Op::Sigmoid {}
                | Op::HardSigmoid {}
                | Op::Clamp { .. }
                | Op::Scale { .. }
                | Op::MaxPool { .. }
                | Op::AvgPool { .. }
                | Op::GlobalAvgPool {}
                | Op::Flatten {}
                | Op::Add {}
                | Op::Concat {}
                | Op::Dropout { .. } => true,
            };
            if !rises {
                return fail(format!(
                    "node `{}` is a {}; training by them takes functions that only rise",
                    node.name,
                    node.op.name()
                ));
            }
        }
        match self.plan.steps.last().map(|step| &step.layer) {
            Some(TrainingLayer::Convolution { options: None, .. }) => Ok(()),
            _ => fail("training by them takes a network that ends in a linear layer".into()),
        }
    }

    /// Records what the logits can be at worst for images between two limits: of every class the most that its logit can
    /// be above the label's. Batch normalizations take the moments of the last forward pass in training mode, as constants.
    ///
    /// # Errors
    /// If the limits or labels do not fit the network, or [`check_bounds`](Self::check_bounds) refuses it.
    pub(crate) fn record_worst(
        &self,
        tape: &mut Tape,
        images: VarBounds,
        weights: &[Weight],
        labels: &Labels,
    ) -> Result<Var> {
        self.check_bounds()?;
        let steps = &self.plan.steps;
        let places = steps.iter().map(|step| step.output + 1).max().unwrap_or(1);
        let mut limits = vec![images; places];
        for (i, step) in steps.iter().enumerate() {
            let inputs: Vec<VarBounds> = step.inputs.iter().map(|&input| limits[input]).collect();
            let x = inputs[0];
            limits[step.output] = match step.layer {
                TrainingLayer::Convolution { weight, biased, options: None }
                    if i + 1 == steps.len() =>
                {
                    let [center, radius] = spread(tape, x)?;
                    let bias = biased.then(|| weights[weight + 1]);
                    return tape.worst_margins([center, radius], weights[weight], bias, labels);
                }
                TrainingLayer::Convolution { weight, biased, options } => {
                    let [center, radius] = spread(tape, x)?;
                    let (weight, sizes) = (weights[weight], tape.weight_sizes(weights[weight]));
                    let [mut center, radius] = match options {
                        Some(options) => [
                            tape.conv2d(center, weight, options)?,
                            tape.conv2d(radius, sizes, options)?,
                        ],
                        None => [tape.linear(center, weight)?, tape.linear(radius, sizes)?],
                    };
                    if biased && let TrainingLayer::Convolution { weight, .. } = step.layer {
                        center = tape.bias(center, weights[weight + 1])?;
                    }
                    around(tape, center, radius)?
                }
                TrainingLayer::Norm { norm, relu } => {
                    let x = self.normalized_limits(tape, norm, x, weights)?;
                    match relu {
                        Some(relu) => both(x, |x| relu.record(tape, x, &mut None))?,
                        None => x,
                    }
                }
                TrainingLayer::Rectifier(relu) => both(x, |x| relu.record(tape, x, &mut None))?,
                TrainingLayer::Dropout(_) => x,
                TrainingLayer::Plain(StatelessLayer::Scale(factor)) if factor < 0.0 => {
                    both([x[1], x[0]], |x| tape.scale(x, factor))?
                }
                TrainingLayer::Plain(ref plain) => {
                    let side = |i: usize| -> Vec<Var> { inputs.iter().map(|x| x[i]).collect() };
                    [plain.record(tape, &side(0))?, plain.record(tape, &side(1))?]
                }
            };
        }
        Err(Error::argument("interval bounds", "the network has no layers"))
    }

    /// Through a batch normalization by the moments of the last forward pass.
    fn normalized_limits(
        &self,
        tape: &mut Tape,
        norm: usize,
        x: VarBounds,
        weights: &[Weight],
    ) -> Result<VarBounds> {
        let of = &self.plan.norms[norm];
        let recorded = self.normalized.iter().find(|(number, _)| *number == norm);
        let moments = recorded.and_then(|&(_, var)| tape.batch_moments(var));
        let Some((mean, variance)) = moments.map(|m| (m.mean.to_vec(), m.variance.to_vec())) else {
            return Err(Error::argument("interval bounds", "no batch was normalized before"));
        };
        let zeros = vec![0.0; of.channels];
        let [center, radius] = spread(tape, x)?;
        let by = Normalization::Given { mean: &mean, variance: &variance };
        let center =
            tape.batch_norm(center, weights[of.weight], weights[of.weight + 1], by, of.eps)?;
        let sizes = tape.weight_sizes(weights[of.weight]);
        let nothing = tape.fixed_weight(&[of.channels], &zeros)?;
        let by = Normalization::Given { mean: &zeros, variance: &variance };
        let radius = tape.batch_norm(radius, sizes, nothing, by, of.eps)?;
        around(tape, center, radius)
    }
}

/// The middle of two limits, and half of their distance.
fn spread(tape: &mut Tape, [low, high]: VarBounds) -> Result<[Var; 2]> {
    let (half_low, half_high) = (tape.scale(low, 0.5)?, tape.scale(high, 0.5)?);
    let minus = tape.scale(low, -0.5)?;
    Ok([tape.add(half_high, half_low)?, tape.add(half_high, minus)?])
}

fn around(tape: &mut Tape, center: Var, radius: Var) -> Result<VarBounds> {
    let minus = tape.scale(radius, -1.0)?;
    Ok([tape.add(center, minus)?, tape.add(center, radius)?])
}

fn both([low, high]: VarBounds, mut f: impl FnMut(Var) -> Result<Var>) -> Result<VarBounds> {
    Ok([f(low)?, f(high)?])
}
