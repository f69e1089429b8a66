//! Recognizes activations that an exporter wrote as arithmetic (GELU, SiLU, hard swish) by the function they compute.

use super::network::{Draft, DraftKind, DraftNetwork, ScalarFunction};
use crate::nn::architecture::Op;
use std::collections::{BTreeSet, HashMap};

/// Drafts that one activation is made of, at most.
const MOST_DRAFTS: usize = 24;

/// An activation that drafts amount to: `factor op(inner x)` of the place `of`.
#[derive(Debug)]
pub struct Recognized {
    pub of: usize,
    pub inner: f64,
    pub op: Op,
    pub factor: f64,
}

/// What may be written in parts: the function, and by which factor its argument may be multiplied.
const KNOWN: [(Op, f64); 8] = [
    (Op::Silu {}, 1.0),
    (Op::Gelu { tanh: false }, 1.0),
    (Op::Gelu { tanh: true }, 1.0),
    (Op::HardSwish {}, 1.0),
    (Op::Mish {}, 1.0),
    (Op::Softplus {}, 1.0),
    // The logarithm of a sigmoid, with its sign changed.
    (Op::Softplus {}, -1.0),
    // An approximation of GELU.
    (Op::Silu {}, 1.702),
];

/// The activation that this place computes from another one, if it is one.
pub fn recognize(network: &DraftNetwork, place: usize) -> Option<Recognized> {
    // A few numbers tell most functions apart; the last is where the factor shows.
    let few: Vec<f64> = vec![-3.0, -0.5, 1.0, 20.0];
    let many: Vec<f64> = (-400..=400).map(|i| f64::from(i) / 20.0).collect();
    let draft = network.draft(place)?;
    let mut inputs = draft.inputs.iter().map(|&input| reached(network, input));
    let first = inputs.next()?;
    let common = inputs.fold(first, |common, next| common.intersection(&next).copied().collect());
    // The nearest first: it is the argument itself, not what that was made of.
    let at = |of: usize, (op, inner): &(Op, f64), xs: &[f64]| {
        factor(xs, &values(network, place, &mut HashMap::from([(of, xs.to_vec())]))?, op, *inner)
    };
    common.iter().rev().find_map(|&of| {
        let fits = |known: &&(Op, f64)| at(of, known, &few).is_some();
        let (op, inner) = KNOWN.iter().filter(fits).find(|known| at(of, known, &many).is_some())?;
        let factor = at(of, &(op.clone(), *inner), &many)?;
        Some(Recognized { of, inner: *inner, op: op.clone(), factor })
    })
}

/// The factor by which `ys` are the operation on the multiples of `xs`, if they are.
fn factor(xs: &[f64], ys: &[f64], op: &Op, inner: f64) -> Option<f64> {
    let expected: Option<Vec<f64>> = xs.iter().map(|&x| evaluate(op, inner * x)).collect();
    let expected = expected?;
    let factor = ys.last()? / expected.last()?;
    let near = |(y, e): (&f64, &f64)| (y - factor * e).abs() <= 1e-6 * (1.0 + e.abs());
    (factor.is_finite() && factor != 0.0 && ys.iter().zip(&expected).all(near)).then_some(factor)
}

/// The places that this one is computed from by functions of single numbers, and itself.
fn reached(network: &DraftNetwork, from: usize) -> BTreeSet<usize> {
    let (mut all, mut open) = (BTreeSet::from([from]), vec![from]);
    while let Some(place) = open.pop() {
        let Some(draft) = network.draft(place).filter(|draft| is_function(draft)) else { continue };
        for &input in &draft.inputs {
            if all.len() < MOST_DRAFTS && all.insert(input) {
                open.push(input);
            }
        }
    }
    all
}

/// The numbers at a place, from those that are known.
fn values(
    network: &DraftNetwork,
    place: usize,
    known: &mut HashMap<usize, Vec<f64>>,
) -> Option<Vec<f64>> {
    if let Some(values) = known.get(&place) {
        return Some(values.clone());
    }
    let draft = network.draft(place).filter(|draft| is_function(draft))?;
    if known.len() > MOST_DRAFTS {
        return None;
    }
    let inputs: Option<Vec<_>> =
        draft.inputs.iter().map(|&input| values(network, input, known)).collect();
    let inputs = inputs?;
    let of = |i: usize| apply(draft, inputs[0][i], inputs.last().map_or(0.0, |last| last[i]));
    let values: Option<Vec<f64>> = (0..inputs[0].len()).map(of).collect();
    known.insert(place, values.clone()?);
    values
}

fn is_function(draft: &Draft) -> bool {
    apply(draft, 0.5, 0.5).is_some()
}

/// One number of a draft from its first and last inputs'.
fn apply(draft: &Draft, x: f64, y: f64) -> Option<f64> {
    match (&draft.kind, draft.function) {
        (_, Some(function)) => Some(match function {
            ScalarFunction::Erf => erf(x),
            ScalarFunction::Exp => x.exp(),
            ScalarFunction::Log => x.ln(),
            ScalarFunction::Power(power) => x.powf(power),
            ScalarFunction::Add => x + y,
            ScalarFunction::Mul => x * y,
            ScalarFunction::Div => x / y,
        }),
        (DraftKind::Affine(scale, shift), None) if scale.len() == 1 && shift.len() == 1 => {
            Some(scale[0] * x + shift[0])
        }
        (DraftKind::Plain(op), None) => evaluate(op, x),
        _ => None,
    }
}

/// An operation on one number, if it is one.
fn evaluate(op: &Op, x: f64) -> Option<f64> {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let hard_sigmoid = |x: f64| (x / 6.0 + 0.5).clamp(0.0, 1.0);
    Some(match *op {
        Op::Relu {} => x.max(0.0),
        Op::LeakyRelu { slope } if x < 0.0 => f64::from(slope) * x,
        Op::Elu { alpha } if x < 0.0 => f64::from(alpha) * x.exp_m1(),
        Op::LeakyRelu { .. } | Op::Elu { .. } => x,
        Op::Silu {} => x * sigmoid(x),
        Op::Gelu { tanh: false } => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Op::Gelu { tanh: true } => {
            let cubic = x + 0.044715 * x.powi(3);
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * cubic).tanh())
        }
        Op::Mish {} => x * x.exp().ln_1p().tanh(),
        Op::Softplus {} => x.exp().ln_1p(),
        Op::Tanh {} => x.tanh(),
        Op::Sigmoid {} => sigmoid(x),
        Op::HardSigmoid {} => hard_sigmoid(x),
        Op::HardSwish {} => x * hard_sigmoid(x),
        Op::Clamp { low, high } => x.max(f64::from(low)).min(f64::from(high)),
        Op::Scale { factor } => f64::from(factor) * x,
        _ => return None,
    })
}

/// The error function within 2e-7 (Abramowitz and Stegun, 7.1.26): enough to tell one activation from another.
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let factors = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let polynomial = factors.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    (1.0 - polynomial * (-x * x).exp()).copysign(x)
}
