//! Checks gradients against central differences.

use super::{Seed, Tape, Var, Weight};
use crate::Result;
use crate::tensor::{Context, Tensor};
use ndarray::ArrayView4;

/// How far gradients are from central differences: for the input and every weight, the largest difference relative to
/// the largest gradient of that tensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GradientReport {
    /// For the input.
    pub input: f32,
    /// For each weight.
    pub weights: Vec<f32>,
}

impl GradientReport {
    /// The largest of all.
    pub fn worst(&self) -> f32 {
        self.weights.iter().copied().fold(self.input, f32::max)
    }
}

/// Step of the differences. Losses carry f32 rounding of about 1e-7; this step makes both that (divided by it) and the
/// curvature (times its square) about 1e-4 for well-scaled networks.
const STEP: f32 = 1e-2 / 4.0;

/// Compares the tape's gradients of `sum over samples of network(x, weights)` with central differences, number by
/// number, for the input `x` and every weight `(shape, values)`. `network` records any computation that ends in one
/// variable; all of its features are summed.
///
/// The differences are f32's, so expect agreement to about 1e-3 of the largest gradient away from kinks (a rectifier's
/// zero, a tie in a maximum), where no difference quotient means anything.
///
/// # Errors
/// Those of `network`.
pub fn check_gradients(
    x: ArrayView4<'_, f32>,
    weights: &[(&[usize], &[f32])],
    mut network: impl FnMut(&mut Tape, Var, &[Weight]) -> Result<Var>,
) -> Result<GradientReport> {
    let mut tape = Tape::new(Context::new(1)?);
    let mut inputs = x.to_owned();
    let mut values: Vec<Vec<f32>> = weights.iter().map(|(_, values)| values.to_vec()).collect();
    let mut run = |tape: &mut Tape, inputs: &ndarray::Array4<f32>, values: &[Vec<f32>]| {
        tape.reset();
        let x = tape.input(Tensor::from_array(inputs.view()));
        let vars = weights
            .iter()
            .zip(values)
            .map(|((shape, _), values)| tape.weight(shape, values))
            .collect::<Result<Vec<_>>>()?;
        let out = network(tape, x, &vars)?;
        Ok::<_, crate::Error>((x, vars, out))
    };
    let (input, vars, out) = run(&mut tape, &inputs, &values)?;
    tape.backward(out, Seed::Sum)?;
    let input_grad: Option<Vec<f32>> =
        tape.gradient(input).map(|grad| grad.to_array().iter().copied().collect());
    let weight_grads: Vec<Option<Vec<f32>>> =
        vars.iter().map(|&var| tape.weight_gradient(var).map(<[f32]>::to_vec)).collect();

    // (f(+) - f(-)) / 2 step, the numbers of the output subtracted one by one before they are summed.
    let mut difference = |plus: (&ndarray::Array4<f32>, &[Vec<f32>]),
                          minus: (&ndarray::Array4<f32>, &[Vec<f32>])|
     -> Result<f32> {
        let (_, _, out) = run(&mut tape, plus.0, plus.1)?;
        let above = tape.value(out).to_array();
        let (_, _, out) = run(&mut tape, minus.0, minus.1)?;
        let below = tape.value(out).to_array();
        let sum: f64 = above.iter().zip(&below).map(|(a, b)| f64::from(*a) - f64::from(*b)).sum();
        Ok((sum / (2.0 * f64::from(STEP))) as f32)
    };

    let mut report = GradientReport::default();
    let mut expected = Vec::new();
    let indices: Vec<_> = inputs.indexed_iter().map(|(index, _)| index).collect();
    for index in indices {
        let at = inputs[index];
        let mut other = inputs.clone();
        inputs[index] = at + STEP;
        other[index] = at - STEP;
        expected.push(difference((&inputs, &values), (&other, &values))?);
        inputs[index] = at;
    }
    report.input = worst(input_grad.as_deref(), &expected);
    for w in 0..values.len() {
        expected.clear();
        for i in 0..values[w].len() {
            let at = values[w][i];
            let mut other = values.clone();
            values[w][i] = at + STEP;
            other[w][i] = at - STEP;
            expected.push(difference((&inputs, &values), (&inputs, &other))?);
            values[w][i] = at;
        }
        report.weights.push(worst(weight_grads[w].as_deref(), &expected));
    }
    Ok(report)
}

/// The largest difference, relative to the largest expected number. A gradient that did not arrive counts as zeros.
fn worst(found: Option<&[f32]>, expected: &[f32]) -> f32 {
    let scale = expected.iter().fold(0.0_f32, |m, e| m.max(e.abs())).max(1e-6);
    let found = |i: usize| found.map_or(0.0, |found| found[i]);
    let difference = expected.iter().enumerate().map(|(i, e)| (found(i) - e).abs());
    // NaN must not hide in a maximum.
    difference.fold(0.0, |m: f32, d| if d.is_nan() { f32::INFINITY } else { m.max(d) }) / scale
}
