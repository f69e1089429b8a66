//! Recognizes activations that an exporter wrote as arithmetic (GELU, SiLU, hard swish) by the function they compute.

use super::network::{Draft, DraftKind, DraftNetwork, Inequality, ScalarFunction};
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
    let draft = network.draft(place)?;
    let mut inputs = draft.inputs.iter().map(|&input| reached(network, input));
    let first = inputs.next()?;
    let common = inputs.fold(first, |common, next| common.intersection(&next).copied().collect());
    // The nearest first: it is the argument itself, not what that was made of.
    common.iter().rev().filter(|&&of| of != place).find_map(|&of| {
        let at = |xs: &[f64]| values(network, place, &mut HashMap::from([(of, xs.to_vec())]));
        let ys = at(&few)?;
        let fits = KNOWN.iter().filter(|(op, inner)| factor(&few, &ys, op, *inner).is_some());
        // What has steps no layer computes part by part; of a rectifier the slope shows left of 0.
        let slope = (ys[0] / few[0] / ys[2]) as f32;
        let rectifier = match slope {
            0.0 => Op::Relu {},
            _ => Op::LeakyRelu { slope },
        };
        let rectifies = slope.is_finite() && factor(&few, &ys, &rectifier, 1.0).is_some();
        let mut fits = fits.peekable();
        if fits.peek().is_none() && !rectifies {
            return None;
        }
        let steps = steps(network, place, of)?;
        let is_stepped = !steps.is_empty();
        let many = (-400..=400).map(|i| f64::from(i) / 20.0);
        let many: Vec<f64> = steps.into_iter().chain(many).collect();
        let ys = at(&many)?;
        let rectifier = (rectifies && is_stepped).then_some((rectifier, 1.0));
        fits.cloned().chain(rectifier).find_map(|(op, inner)| {
            let factor = factor(&many, &ys, &op, inner)?;
            Some(Recognized { of, inner, op, factor })
        })
    })
}

/// Whether two places give the same for any numbers that both are computed from.
pub fn are_same(network: &DraftNetwork, place: usize, other: usize) -> bool {
    let common: Vec<usize> =
        reached(network, place).intersection(&reached(network, other)).copied().collect();
    common.into_iter().rev().any(|of| {
        let same = || {
            let many = (-400..=400).map(|i| f64::from(i) / 10.0);
            let many: Vec<f64> = steps(network, place, of)?.into_iter().chain(many).collect();
            let at =
                |place: usize| values(network, place, &mut HashMap::from([(of, many.clone())]));
            let pairs = at(place)?.into_iter().zip(at(other)?);
            Some(pairs.into_iter().all(|(a, b)| (a - b).abs() <= 1e-7 * (1.0 + a.abs())))
        };
        same() == Some(true)
    })
}

/// Numbers next to the steps of a function of a place; None if a step is of something else.
fn steps(network: &DraftNetwork, place: usize, of: usize) -> Option<Vec<f64>> {
    let mut all = Vec::new();
    let (mut seen, mut open) = (BTreeSet::from([place]), vec![place]);
    while let Some(inner) = open.pop() {
        let draft = network.draft(inner)?;
        if let Some(ScalarFunction::Compare(_, number)) = draft.function {
            // Of the argument itself, or of a multiple of it.
            let number =
                match network.draft(draft.inputs[0]).map(|draft| (&draft.kind, &draft.inputs)) {
                    _ if draft.inputs == [of] => number,
                    Some((DraftKind::Affine(scale, shift), inputs))
                        if *inputs == [of] && scale.len() == 1 && shift.len() == 1 =>
                    {
                        (number - shift[0]) / scale[0]
                    }
                    _ => return None,
                };
            let near = [0.0, 1e-4, 1e-3, 1e-2].into_iter();
            all.extend(near.flat_map(|step| [number - step, number + step]));
        }
        let further = draft.inputs.iter().filter(|&&input| input > of);
        open.extend(further.filter(|&&input| seen.insert(input)));
        if seen.len() > MOST_DRAFTS {
            return None;
        }
    }
    Some(all)
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
    let of = |i: usize| apply(draft, &inputs.iter().map(|input| input[i]).collect::<Vec<_>>());
    let values: Option<Vec<f64>> = (0..inputs[0].len()).map(of).collect();
    known.insert(place, values.clone()?);
    values
}

fn is_function(draft: &Draft) -> bool {
    apply(draft, &vec![0.5; draft.inputs.len()]).is_some()
}

/// One number of a draft from its inputs'.
fn apply(draft: &Draft, inputs: &[f64]) -> Option<f64> {
    let (x, y) = (*inputs.first()?, *inputs.last()?);
    match (&draft.kind, draft.function) {
        (_, Some(function)) => Some(match function {
            ScalarFunction::Erf => erf(x),
            ScalarFunction::Exp => x.exp(),
            ScalarFunction::Log => x.ln(),
            ScalarFunction::Power(power) => x.powf(power),
            ScalarFunction::Add => x + y,
            ScalarFunction::Mul => x * y,
            ScalarFunction::Div => x / y,
            ScalarFunction::Compare(kind, number) => f64::from(match kind {
                Inequality::Greater => x > number,
                Inequality::GreaterOrEqual => x >= number,
                Inequality::Less => x < number,
                Inequality::LessOrEqual => x <= number,
            }),
            ScalarFunction::Choose([yes, no]) => match (x != 0.0, yes, no) {
                (true, Some(number), _) | (false, _, Some(number)) => number,
                (true, None, _) => *inputs.get(1)?,
                (false, _, None) => y,
            },
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
