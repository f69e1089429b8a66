//! Evaluates nodes whose inputs are all constants, such as shape arithmetic and constants that were not folded.

use super::arrange::{arrange, sides};
use super::elementwise::{arithmetic, choose, clip, function, whole};
use super::fold;
use super::node::FileNode;
use super::proto::data_type;
use super::tensor;
use super::value::{MOST_COMPUTED, NodeResult, Operand, Whole, axis, checked_count, count, zip};
use ndarray::{ArcArray, Array, ArrayD, ArrayViewD, Axis, IxDyn, concatenate};
use std::path::Path;

/// What such a node gives.
pub fn evaluate(node: &FileNode<'_>, path: &Path) -> NodeResult<Operand> {
    match node.op() {
        "Constant" => constant(node, path),
        "Identity" | "Dropout" => Ok(node.input(0)?.clone()),
        "Cast" => cast(node.input(0)?, node.int("to", i64::from(data_type::FLOAT))),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "Equal" | "Greater" | "GreaterOrEqual"
        | "Less" | "LessOrEqual" => arithmetic(node, node.input(0)?, node.input(1)?),
        "Max" | "Min" | "Sum" => {
            let first = node.input(0)?.clone();
            let mut computed = 0;
            (1..node.inputs.len()).try_fold(first, |all, i| {
                let all = arithmetic(node, &all, node.input(i)?)?;
                computed += count(&all);
                if computed > MOST_COMPUTED {
                    return Err(format!("computes more than {MOST_COMPUTED} numbers"));
                }
                Ok(all)
            })
        }
        "Neg" | "Sqrt" | "Reciprocal" | "Exp" | "Log" | "Abs" | "Relu" | "Sigmoid" | "Tanh"
        | "Softplus" => function(node),
        "Clip" => clip(node),
        "Where" => choose(node),
        "Shape" => {
            let shape: &[usize] = match node.input(0)? {
                Operand::Floats(floats) => floats.shape(),
                Operand::Wholes(wholes) => wholes.shape(),
                _ => return Err("needs numbers of the file".into()),
            };
            let sides = shape.iter().map(|&side| Whole::Known(side as i64));
            Ok(Operand::Wholes(Array::from_iter(sides).into_dyn().into_shared()))
        }
        "ConstantOfShape" => filled(node, path),
        "Range" => range(node),
        "Expand" => expand(node),
        "ReduceProd" | "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceL1"
        | "ReduceL2" => match node.input(0)? {
            Operand::Floats(all) if node.op() != "ReduceProd" => {
                fold::reduce(node, all).map(Operand::Floats)
            }
            _ => reduce(node),
        },
        "MatMul" => fold::product(node.floats(0)?, node.floats(1)?).map(Operand::Floats),
        "Tile" => fold::tile(node),
        "Concat" => joined(node),
        _ => match node.input(0)? {
            Operand::Floats(floats) => arrange(node, floats.clone()).map(Operand::Floats),
            Operand::Wholes(wholes) => arrange(node, wholes.clone()).map(Operand::Wholes),
            _ => Err("needs numbers of the file".into()),
        },
    }
}

fn constant(node: &FileNode<'_>, path: &Path) -> NodeResult<Operand> {
    let wholes = |numbers: &[i64], shape: &[usize]| {
        let numbers = numbers.iter().map(|&number| Whole::Known(number)).collect();
        ArcArray::from_shape_vec(IxDyn(shape), numbers)
            .map(Operand::Wholes)
            .map_err(|e| e.to_string())
    };
    let floats = |numbers: &[f32], shape: &[usize]| {
        let array = ArcArray::from_shape_vec(IxDyn(shape), numbers.to_vec());
        array.map(Operand::Floats).map_err(|e| e.to_string())
    };
    for attribute in &node.proto.attribute {
        match (attribute.name.as_deref(), &attribute.t) {
            (Some("value"), Some(tensor)) => return tensor::read(tensor, path),
            (Some("value_float"), _) => return floats(&[attribute.f.unwrap_or(0.0)], &[]),
            (Some("value_int"), _) => return wholes(&[attribute.i.unwrap_or(0)], &[]),
            (Some("value_floats"), _) => {
                return floats(&attribute.floats, &[attribute.floats.len()]);
            }
            (Some("value_ints"), _) => return wholes(&attribute.ints, &[attribute.ints.len()]),
            _ => {}
        }
    }
    Err("holds no numbers that are read".into())
}

fn cast(value: &Operand, to: i64) -> NodeResult<Operand> {
    const FLOATS: [i32; 4] =
        [data_type::FLOAT, data_type::DOUBLE, data_type::FLOAT16, data_type::BFLOAT16];
    let to_floats = FLOATS.iter().any(|&kind| i64::from(kind) == to);
    Ok(match value {
        Operand::Floats(_) if to_floats => value.clone(),
        Operand::Floats(floats) if to == i64::from(data_type::BOOL) => {
            let is = |&number: &f32| Whole::Known(i64::from(number != 0.0));
            Operand::Wholes(floats.map(is).into_shared())
        }
        Operand::Floats(floats) => {
            Operand::Wholes(floats.map(|&number| Whole::Known(number as i64)).into_shared())
        }
        Operand::Wholes(wholes) if to_floats => {
            let numbers = value.wholes()?.into_iter().map(|number| number as f32).collect();
            let floats = ArcArray::from_shape_vec(wholes.raw_dim(), numbers);
            Operand::Floats(floats.map_err(|e| e.to_string())?)
        }
        Operand::Wholes(wholes) if to == i64::from(data_type::BOOL) => {
            let is = |&number: &Whole| Whole::Known(i64::from(number != Whole::Known(0)));
            Operand::Wholes(wholes.map(is).into_shared())
        }
        Operand::Wholes(_) => value.clone(),
        _ => return Err("needs numbers of the file".into()),
    })
}

/// ConstantOfShape
fn filled(node: &FileNode<'_>, path: &Path) -> NodeResult<Operand> {
    let shape = sides(&node.input(0)?.wholes()?)?;
    checked_count(&shape)?;
    let value = node.attribute("value").and_then(|attribute| attribute.t.as_ref());
    let value = value.map(|tensor| tensor::read(tensor, path)).transpose()?;
    Ok(match value {
        Some(Operand::Wholes(all)) => {
            let number = all.first().copied().unwrap_or(Whole::Known(0));
            Operand::Wholes(ArcArray::from_elem(IxDyn(&shape), number))
        }
        Some(Operand::Floats(all)) => {
            let number = all.first().copied().unwrap_or(0.0);
            Operand::Floats(ArcArray::from_elem(IxDyn(&shape), number))
        }
        _ => Operand::Floats(ArcArray::zeros(IxDyn(&shape))),
    })
}

fn range(node: &FileNode<'_>) -> NodeResult<Operand> {
    let number = |i: usize| match node.input(i)?.wholes()?[..] {
        [number] => Ok(number),
        _ => Err("has bounds that are not single numbers".to_owned()),
    };
    let (start, end, step) = (number(0)?, number(1)?, number(2)?);
    let span = i128::from(end) - i128::from(start);
    if step == 0 {
        return Err("has a step of 0".into());
    }
    let count = (span / i128::from(step) + i128::from(span % i128::from(step) != 0)).max(0);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    checked_count(&[count])?;
    let numbers = (0..count as i64).map(|i| Whole::Known(start.wrapping_add(i.wrapping_mul(step))));
    Ok(Operand::Wholes(Array::from_iter(numbers).into_dyn().into_shared()))
}

/// Expand. Where the shape has the number of images, the array stays as it is: what uses it repeats it anyway.
fn expand(node: &FileNode<'_>) -> NodeResult<Operand> {
    let Operand::Wholes(target) = node.input(1)? else { return Err("has a computed shape".into()) };
    if target.iter().any(|&side| side == Whole::Batch) {
        return Ok(node.input(0)?.clone());
    }
    let shape = sides(&node.input(1)?.wholes()?)?;
    checked_count(&shape)?;
    let like = ArcArray::from_elem(IxDyn(&shape), ());
    Ok(match node.input(0)? {
        Operand::Floats(all) => {
            Operand::Floats(zip(&all.view(), &like.view(), |&number, ()| number)?)
        }
        Operand::Wholes(all) => {
            Operand::Wholes(zip(&all.view(), &like.view(), |&number, ()| number)?)
        }
        _ => return Err("needs numbers of the file".into()),
    })
}

/// The product or the sum of all numbers.
fn reduce(node: &FileNode<'_>) -> NodeResult<Operand> {
    let Operand::Wholes(all) = node.input(0)? else { return Err("reduces floats".into()) };
    if all.ndim() != 1 || !matches!(node.op(), "ReduceProd" | "ReduceSum") {
        return Err(format!("reduces an array of {:?}", all.shape()));
    }
    let (op, start) = if node.op() == "ReduceProd" { ("Mul", 1) } else { ("Add", 0) };
    let total = all.iter().try_fold(Whole::Known(start), |total, &next| whole(op, total, next));
    let total = total.ok_or("computes with the number of images")?;
    let shape: &[usize] = if node.int("keepdims", 1) != 0 { &[1] } else { &[] };
    Ok(Operand::Wholes(ArcArray::from_elem(IxDyn(shape), total)))
}

fn joined(node: &FileNode<'_>) -> NodeResult<Operand> {
    fn join<T: Clone>(views: &[ArrayViewD<'_, T>], at: i64) -> NodeResult<ArrayD<T>> {
        let rank = views.first().map_or(0, |view| view.ndim());
        let at = axis(at, rank)?;
        if let Some(other) = views.iter().find(|view| view.ndim() != rank) {
            return Err(format!("joins {rank} axes and {}", other.ndim()));
        }
        checked_count(&[views.iter().map(|view| view.len()).sum()])?;
        concatenate(Axis(at), views).map_err(|e| e.to_string())
    }
    let (at, inputs) = (node.int("axis", 0), node.inputs.iter().flatten());
    match node.input(0)? {
        Operand::Floats(_) => {
            let views: Vec<_> =
                inputs.map(|v| v.floats().map(|f| f.view())).collect::<NodeResult<_>>()?;
            join(&views, at).map(|all| Operand::Floats(all.into_shared()))
        }
        _ => {
            let views = inputs.map(|value| match value {
                Operand::Wholes(wholes) => Ok(wholes.view()),
                _ => Err("joins floats and whole numbers".to_owned()),
            });
            let views: Vec<_> = views.collect::<NodeResult<_>>()?;
            join(&views, at).map(|all| Operand::Wholes(all.into_shared()))
        }
    }
}
