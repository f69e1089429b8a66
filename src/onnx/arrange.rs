//! Reshapes and permutes constant arrays.

use super::node::FileNode;
use super::value::{NodeResult, Operand, axis, checked_count};
use ndarray::{ArcArray, Axis, IxDyn};

/// The same numbers in another arrangement, or some of them.
pub fn arrange<T: Clone>(
    node: &FileNode<'_>,
    array: ArcArray<T, IxDyn>,
) -> NodeResult<ArcArray<T, IxDyn>> {
    let rank = array.ndim();
    match node.op() {
        "Reshape" => {
            let target = reshaped(array.shape(), &node.input(1)?.wholes()?)?;
            array.to_shape(target).map(|a| a.to_shared()).map_err(|e| e.to_string())
        }
        "Flatten" => {
            let at = axis(node.int("axis", 1), rank + 1)?;
            let (before, behind) = array.shape().split_at(at);
            let target = IxDyn(&[before.iter().product(), behind.iter().product()]);
            array.to_shape(target).map(|a| a.to_shared()).map_err(|e| e.to_string())
        }
        "Squeeze" => {
            let ones = || (0..rank).filter(|&i| array.len_of(Axis(i)) == 1).collect();
            let mut axes = node.axes(1, rank)?.unwrap_or_else(ones);
            axes.sort_unstable();
            axes.dedup();
            if axes.iter().any(|&at| array.len_of(Axis(at)) != 1) {
                return Err(format!("takes axes {axes:?} out of {:?}", array.shape()));
            }
            Ok(axes.iter().rev().fold(array, |array, &at| array.index_axis_move(Axis(at), 0)))
        }
        "Unsqueeze" => {
            let given = node.given("axes", 1)?.unwrap_or_default();
            let rank = rank + given.len();
            let mut axes = given.iter().map(|&a| axis(a, rank)).collect::<NodeResult<Vec<_>>>()?;
            axes.sort_unstable();
            axes.iter()
                .try_fold(array, |array, &at| {
                    (at <= array.ndim()).then(|| array.insert_axis(Axis(at)))
                })
                .ok_or_else(|| format!("adds axes {given:?}"))
        }
        "Transpose" => {
            let given = node.ints("perm").unwrap_or_else(|| (0..rank as i64).rev().collect());
            let axes = given.iter().map(|&a| axis(a, rank)).collect::<NodeResult<Vec<_>>>()?;
            let mut sorted = axes.clone();
            sorted.sort_unstable();
            if sorted != (0..rank).collect::<Vec<_>>() {
                return Err(format!("has perm {given:?} for {rank} axes"));
            }
            Ok(array.permuted_axes(axes))
        }
        "Gather" => {
            let at = axis(node.int("axis", 0), rank)?;
            let side = array.len_of(Axis(at));
            let indices = node.input(1)?;
            let picks = indices.wholes()?.into_iter().map(|i| axis(i, side));
            let picks = picks.collect::<NodeResult<Vec<_>>>()?;
            match (indices, &picks[..]) {
                (Operand::Wholes(of), &[pick]) if of.ndim() == 0 => {
                    Ok(array.index_axis_move(Axis(at), pick))
                }
                (Operand::Wholes(of), _) if of.ndim() == 1 => {
                    checked_count(&[array.len() / side.max(1), picks.len()])?;
                    Ok(array.select(Axis(at), &picks).into_shared())
                }
                _ => Err("picks by an array of more than one dimension".into()),
            }
        }
        "Slice" => slice(node, array),
        _ => Err("is not supported for numbers of the file".into()),
    }
}

fn slice<T: Clone>(
    node: &FileNode<'_>,
    array: ArcArray<T, IxDyn>,
) -> NodeResult<ArcArray<T, IxDyn>> {
    let starts = node.given("starts", 1)?.ok_or("has no starts")?;
    let ends = node.given("ends", 2)?.ok_or("has no ends")?;
    let axes = node.axes(3, array.ndim())?.unwrap_or_else(|| (0..starts.len()).collect());
    let steps = match node.optional(4) {
        Some(steps) => steps.wholes()?,
        None => vec![1; starts.len()],
    };
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3]
        || axes.iter().any(|&at| at >= array.ndim())
    {
        return Err("has starts, ends, axes and steps of different numbers".into());
    }
    let mut part = array.into_owned();
    for (i, &at) in axes.iter().enumerate() {
        let picks = picked(part.len_of(Axis(at)), starts[i], ends[i], steps[i])?;
        part = part.select(Axis(at), &picks);
    }
    Ok(part.into_shared())
}

/// The indices that a slice takes, in its order.
pub fn picked(side: usize, start: i64, end: i64, step: i64) -> NodeResult<Vec<usize>> {
    let side = side as i64;
    let bound = |at: i64| if at < 0 { at.saturating_add(side) } else { at };
    let (first, last) = match step {
        0 => return Err("has a step of 0".into()),
        1.. => (bound(start).clamp(0, side), bound(end).clamp(0, side)),
        _ => (bound(start).clamp(-1, side - 1), bound(end).clamp(-1, side - 1)),
    };
    let count = (last - first).checked_mul(step.signum()).unwrap_or(0).max(0);
    let count = (count as u64).div_ceil(step.unsigned_abs());
    Ok((0..count as i64).map(|i| (first + i * step) as usize).collect())
}

/// Sides of an array.
pub fn sides(numbers: &[i64]) -> NodeResult<Vec<usize>> {
    let sides = numbers.iter().map(|&side| usize::try_from(side).ok()).collect();
    Option::ok_or_else(sides, || format!("makes an array of {numbers:?}"))
}

/// The shape that a Reshape gives an array.
fn reshaped(shape: &[usize], target: &[i64]) -> NodeResult<Vec<usize>> {
    let fail = || format!("gives an array of {shape:?} the shape {target:?}");
    let side = |(i, &side): (usize, &i64)| match side {
        0 => shape.get(i).copied().ok_or_else(fail),
        -1 => Ok(1),
        side => usize::try_from(side).map_err(|_| fail()),
    };
    let mut sides: Vec<usize> = target.iter().enumerate().map(side).collect::<NodeResult<_>>()?;
    let product = sides.iter().try_fold(1_usize, |n, &side| n.checked_mul(side));
    let (product, count) = (product.ok_or_else(fail)?, shape.iter().product::<usize>());
    match target.iter().position(|&side| side == -1) {
        Some(open) if product != 0 && count % product == 0 => sides[open] = count / product,
        None if product == count => {}
        _ => return Err(fail()),
    }
    Ok(sides)
}
