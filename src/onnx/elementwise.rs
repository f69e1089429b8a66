//! Functions of single numbers of the file, and of several that stand at the same position.

use super::node::FileNode;
use super::value::{NodeResult, Operand, Whole, Wholes, zip};
use ndarray::{ArcArray, IxDyn};

/// Two arrays of numbers, combined position by position.
pub fn arithmetic(node: &FileNode<'_>, a: &Operand, b: &Operand) -> NodeResult<Operand> {
    let op = node.op();
    match (a, b) {
        (Operand::Floats(a), Operand::Floats(b)) => {
            let f = |a: &f32, b: &f32| match op {
                "Add" | "Sum" => a + b,
                "Sub" => a - b,
                "Mul" => a * b,
                "Div" => a / b,
                // Unlike those of the standard library, they keep NaN.
                "Max" | "Min" if a.is_nan() || b.is_nan() => f32::NAN,
                "Max" => a.max(*b),
                "Min" => a.min(*b),
                "Pow" => a.powf(*b),
                "Mod" => a % b,
                "Greater" => f32::from(a > b),
                "GreaterOrEqual" => f32::from(a >= b),
                "Less" => f32::from(a < b),
                "LessOrEqual" => f32::from(a <= b),
                _ => f32::from(a == b),
            };
            let floats = zip(&a.view(), &b.view(), f)?;
            Ok(match op {
                "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => {
                    Operand::Wholes(floats.mapv(|is| Whole::Known(is as i64)).into_shared())
                }
                _ => Operand::Floats(floats),
            })
        }
        (Operand::Wholes(a), Operand::Wholes(b)) => {
            // The sign of a remainder is the divisor's, or with `fmod` the dividend's.
            let truncates = node.int("fmod", 0) != 0;
            let op = if op == "Mod" && truncates { "Remainder" } else { op };
            let results = zip(&a.view(), &b.view(), |&a, &b| whole(op, a, b))?;
            let shape = results.raw_dim();
            let results = results.into_iter().collect::<Option<Vec<Whole>>>();
            let problem = "computes with the number of images, or with numbers that are too large";
            let array = ArcArray::from_shape_vec(shape, results.ok_or(problem)?);
            array.map(Operand::Wholes).map_err(|e| e.to_string())
        }
        _ => Err("combines floats with whole numbers".into()),
    }
}

/// Arithmetic of whole numbers; None if it depends on how many images there are.
pub fn whole(op: &str, a: Whole, b: Whole) -> Option<Whole> {
    use Whole::{Batch, Known};
    let known = match (op, a, b) {
        ("Mul", Batch, Known(1)) | ("Mul", Known(1), Batch) | ("Div", Batch, Known(1)) => {
            return Some(Batch);
        }
        ("Add", Batch, Known(0)) | ("Add", Known(0), Batch) | ("Sub", Batch, Known(0)) => {
            return Some(Batch);
        }
        ("Equal", Batch, Batch) => 1,
        // Numbers of images are none that a file can name.
        ("Equal", Batch, Known(_)) | ("Equal", Known(_), Batch) => 0,
        (_, Known(a), Known(b)) => match op {
            "Add" | "Sum" => a.checked_add(b)?,
            "Sub" => a.checked_sub(b)?,
            "Mul" => a.checked_mul(b)?,
            "Div" => a.checked_div(b)?,
            "Max" => a.max(b),
            "Min" => a.min(b),
            "Mod" => match a.checked_rem(b)? {
                rest if rest != 0 && (rest < 0) != (b < 0) => rest + b,
                rest => rest,
            },
            "Remainder" => a.checked_rem(b)?,
            "Pow" => a.checked_pow(u32::try_from(b).ok()?)?,
            "Equal" => i64::from(a == b),
            "Greater" => i64::from(a > b),
            "GreaterOrEqual" => i64::from(a >= b),
            "Less" => i64::from(a < b),
            "LessOrEqual" => i64::from(a <= b),
            _ => return None,
        },
        _ => return None,
    };
    Some(Known(known))
}

/// A function of each number.
pub fn function(node: &FileNode<'_>) -> NodeResult<Operand> {
    let op = node.op();
    if let ("Neg", Operand::Wholes(wholes)) = (op, node.input(0)?) {
        let zero = ArcArray::from_elem(IxDyn(&[]), Whole::Known(0));
        let negative = zip(&zero.view(), &wholes.view(), |&a, &b| whole("Sub", a, b))?;
        let negative = negative.mapv(|number| number.unwrap_or(Whole::Batch));
        return Ok(Operand::Wholes(negative.into_shared()));
    }
    Ok(Operand::Floats(
        node.floats(0)?
            .mapv(|x| match op {
                "Neg" => -x,
                "Sqrt" => x.sqrt(),
                "Reciprocal" => 1.0 / x,
                "Exp" => x.exp(),
                "Log" => x.ln(),
                "Relu" if x < 0.0 => 0.0,
                "Relu" => x,
                "Sigmoid" => 1.0 / (1.0 + (-x).exp()),
                "Tanh" => x.tanh(),
                // The logarithm of 1 + e^x, which does not overflow.
                "Softplus" => x.max(0.0) + (-x.abs()).exp().ln_1p(),
                _ => x.abs(),
            })
            .into_shared(),
    ))
}

/// Clip: no number below the first limit, then none above the second; either may be left out.
pub fn clip(node: &FileNode<'_>) -> NodeResult<Operand> {
    let [low, high] = node.limits()?;
    let clipped = node.floats(0)?.mapv(|x| {
        let x = if x < low { low } else { x };
        if x > high { high } else { x }
    });
    Ok(Operand::Floats(clipped.into_shared()))
}

/// Where: the second where the first is not 0, else the third.
pub fn choose(node: &FileNode<'_>) -> NodeResult<Operand> {
    fn chosen<T: Copy>(
        is: &Wholes,
        a: &ArcArray<T, IxDyn>,
        b: &ArcArray<T, IxDyn>,
    ) -> NodeResult<ArcArray<T, IxDyn>> {
        let pairs = zip(&a.view(), &b.view(), |&a, &b| (a, b))?;
        let pick = |is: &Whole, &(a, b): &(T, T)| if *is == Whole::Known(0) { b } else { a };
        zip(&is.view(), &pairs.view(), pick)
    }
    match (node.input(0)?, node.input(1)?, node.input(2)?) {
        (Operand::Wholes(is), Operand::Wholes(a), Operand::Wholes(b)) => {
            chosen(is, a, b).map(Operand::Wholes)
        }
        (Operand::Wholes(is), Operand::Floats(a), Operand::Floats(b)) => {
            chosen(is, a, b).map(Operand::Floats)
        }
        _ => Err("chooses between floats and whole numbers".into()),
    }
}
