//! Numbers that differ between images: PyTorch's newer exporter picks features of images whose channels come last by
//! their places in memory, which are those of the first image and a stride for each further one.

use super::network::DraftNetwork;
use super::node::FileNode;
use super::value::{Features, NodeResult, Operand, Whole, Wholes, axis, zip};
use ndarray::{ArcArray, Axis, IxDyn};

/// What a node gives that computes such numbers, or picks by them; None of any other node.
pub fn evaluate(
    network: &DraftNetwork,
    node: &FileNode<'_>,
    images: Option<usize>,
) -> Option<NodeResult<Operand>> {
    let input = |i: usize| node.optional(i);
    let (op, first, second) = (node.op(), input(0), input(1));
    if let (Some(Operand::Row(x)), "Gather") = (first, op) {
        return Some(gather(network, node, x, images));
    }
    if op == "Range" {
        let is = |i: usize, whole: Whole| matches!(input(i), Some(Operand::Wholes(all)) if all.len() == 1 && all.iter().all(|&number| number == whole));
        let counts = is(0, Whole::Known(0)) && is(1, Whole::Batch) && is(2, Whole::Known(1));
        let none = ArcArray::from_elem(IxDyn(&[]), Whole::Known(0));
        return counts.then_some(Ok(Operand::PerImage(1, none)));
    }
    let (stride, offsets, other) = match (first, second) {
        (Some(Operand::PerImage(stride, offsets)), other) => (*stride, offsets, other),
        (Some(other), Some(Operand::PerImage(stride, offsets))) => (*stride, offsets, Some(other)),
        _ => return None,
    };
    Some(match (op, other) {
        ("Cast" | "Identity", None) => Ok(Operand::PerImage(stride, offsets.clone())),
        ("Unsqueeze", _) => unsqueeze(node, stride, offsets),
        ("Mul", Some(Operand::Wholes(other))) if other.len() == 1 => scaled(stride, offsets, other),
        ("Add", Some(Operand::Wholes(other))) => shifted(stride, offsets, other),
        _ => Err("computes with numbers that differ between images".into()),
    })
}

const TOO_LARGE: &str = "computes with numbers that are too large";

fn known(whole: Whole) -> NodeResult<i64> {
    match whole {
        Whole::Known(number) => Ok(number),
        Whole::Batch => Err("computes with the number of images".into()),
    }
}

fn unsqueeze(node: &FileNode<'_>, stride: i64, offsets: &Wholes) -> NodeResult<Operand> {
    let given = node.given("axes", 1)?.unwrap_or_default();
    let rank = offsets.ndim() + 1 + given.len();
    let mut axes = given.iter().map(|&a| axis(a, rank)).collect::<NodeResult<Vec<_>>>()?;
    axes.sort_unstable();
    let inserted = axes.iter().try_fold(offsets.clone(), |all, &at| {
        let at = at.checked_sub(1).filter(|&at| at <= all.ndim())?;
        Some(all.insert_axis(Axis(at)))
    });
    let inserted = inserted.ok_or_else(|| format!("adds axes {given:?}"))?;
    Ok(Operand::PerImage(stride, inserted))
}

fn scaled(stride: i64, offsets: &Wholes, other: &Wholes) -> NodeResult<Operand> {
    let factor = known(other.first().copied().unwrap_or(Whole::Batch))?;
    let stride = stride.checked_mul(factor).ok_or(TOO_LARGE)?;
    combined(stride, offsets, other, i64::checked_mul)
}

fn shifted(stride: i64, offsets: &Wholes, other: &Wholes) -> NodeResult<Operand> {
    let mut other = other.clone();
    // The first axis is that of the images, for which the numbers are the same.
    if other.ndim() == offsets.ndim() + 1 && other.len_of(Axis(0)) == 1 {
        other = other.index_axis_move(Axis(0), 0);
    }
    combined(stride, offsets, &other, i64::checked_add)
}

fn combined(
    stride: i64,
    offsets: &Wholes,
    other: &Wholes,
    f: impl Fn(i64, i64) -> Option<i64>,
) -> NodeResult<Operand> {
    if other.ndim() > offsets.ndim() && other.len() != 1 {
        return Err("has numbers for each image".into());
    }
    let other = if other.len() == 1 {
        ArcArray::from_elem(IxDyn(&[]), other[IxDyn(&vec![0; other.ndim()])])
    } else {
        other.clone()
    };
    let results = zip(&offsets.view(), &other.view(), |&a, &b| {
        Ok(Whole::Known(f(known(a)?, known(b)?).ok_or(TOO_LARGE)?))
    })?;
    let shape = results.raw_dim();
    let results: Vec<Whole> = results.into_iter().collect::<NodeResult<_>>()?;
    let array = ArcArray::from_shape_vec(shape, results).map_err(|error| error.to_string())?;
    Ok(Operand::PerImage(stride, array))
}

/// Features of each image, picked by their places among those of all images.
fn gather(
    network: &DraftNetwork,
    node: &FileNode<'_>,
    x: &Features,
    images: Option<usize>,
) -> NodeResult<Operand> {
    let count = x.count();
    let problem = "picks features of all images together; they have to stay apart";
    let picks = match node.input(1)? {
        Operand::PerImage(stride, offsets) if *stride == count as i64 => offsets.clone(),
        Operand::Wholes(all) if all.ndim() > 0 && images == Some(all.len_of(Axis(0))) => {
            let first = all.index_axis(Axis(0), 0).to_shared();
            let follows = all.outer_iter().enumerate().all(|(i, row)| {
                let behind = i.checked_mul(count).and_then(|n| i64::try_from(n).ok());
                row.iter().zip(&first).all(|pair| match (pair, behind) {
                    ((Whole::Known(a), Whole::Known(b)), Some(behind)) => {
                        b.checked_add(behind) == Some(*a)
                    }
                    _ => false,
                })
            });
            if !follows {
                return Err(problem.into());
            }
            first
        }
        _ => return Err(problem.into()),
    };
    if node.int("axis", 0) != 0 {
        return Err(problem.into());
    }
    let own: Vec<usize> = x.indices()?.into_iter().collect();
    let pick = |&whole: &Whole| {
        let pick = usize::try_from(known(whole)?).ok().and_then(|pick| own.get(pick).copied());
        pick.ok_or_else(|| problem.to_owned())
    };
    let picked: Vec<usize> = picks.iter().map(pick).collect::<NodeResult<_>>()?;
    let picked = ndarray::ArrayD::from_shape_vec(picks.raw_dim(), picked);
    Ok(Operand::Features(network.ordered(x.place, &picked.map_err(|e| e.to_string())?)))
}
