//! Sums, products and repetitions of numbers of the file, as weights that are computed from others have them.

use super::node::FileNode;
use super::value::{Floats, NodeResult, Operand, Whole, checked_count};
use ndarray::{ArcArray, Axis, Ix2, IxDyn};

/// ReduceMean and the like over axes of floats, in double precision.
pub fn reduce(node: &FileNode<'_>, floats: &Floats) -> NodeResult<Floats> {
    let rank = floats.ndim();
    let given = node.axes(1, rank)?.filter(|axes| !axes.is_empty());
    if given.is_none() && node.int("noop_with_empty_axes", 0) != 0 {
        return Ok(floats.clone());
    }
    let mut axes = given.unwrap_or_else(|| (0..rank).collect());
    axes.sort_unstable();
    axes.dedup();
    let keeps = node.int("keepdims", 1) != 0;
    let count: usize = axes.iter().map(|&at| floats.len_of(Axis(at))).product();
    let (start, step): (f64, fn(f64, f64) -> f64) = match node.op() {
        "ReduceMax" => (f64::NEG_INFINITY, f64::max),
        "ReduceMin" => (f64::INFINITY, f64::min),
        _ => (0.0, |sum, x| sum + x),
    };
    let mut all = floats.mapv(f64::from);
    match node.op() {
        "ReduceL2" => all.mapv_inplace(|x| x * x),
        "ReduceL1" => all.mapv_inplace(f64::abs),
        _ => {}
    }
    for &at in axes.iter().rev() {
        all = all.fold_axis(Axis(at), start, |&sum, &x| step(sum, x));
        if keeps {
            all = all.insert_axis(Axis(at));
        }
    }
    let finish = |x: f64| match node.op() {
        "ReduceMean" => x / count as f64,
        "ReduceL2" => x.sqrt(),
        _ => x,
    };
    Ok(all.mapv(|x| finish(x) as f32).into_shared())
}

/// MatMul of vectors and matrices.
pub fn product(a: &Floats, b: &Floats) -> NodeResult<Floats> {
    let fail = || format!("multiplies arrays of {:?} and {:?}", a.shape(), b.shape());
    let matrix = |floats: &Floats, at: usize| {
        let floats = floats.clone();
        let floats = if floats.ndim() == 1 { floats.insert_axis(Axis(at)) } else { floats };
        floats.into_dimensionality::<Ix2>().map_err(|_| fail())
    };
    let (left, right) = (matrix(a, 0)?, matrix(b, 1)?);
    if left.ncols() != right.nrows() {
        return Err(fail());
    }
    checked_count(&[left.nrows(), right.ncols(), left.ncols()])?;
    let mut all = left.dot(&right).into_dyn();
    if b.ndim() == 1 {
        all = all.index_axis_move(Axis(1), 0);
    }
    if a.ndim() == 1 {
        all = all.index_axis_move(Axis(0), 0);
    }
    Ok(all.into_shared())
}

/// Tile. An axis of one that is repeated for each image stays as it is: what uses it repeats it anyway.
pub fn tile(node: &FileNode<'_>) -> NodeResult<Operand> {
    fn repeated<T: Clone>(
        array: &ArcArray<T, IxDyn>,
        times: &[Whole],
    ) -> NodeResult<ArcArray<T, IxDyn>> {
        let mut all = array.clone();
        for (at, whole) in times.iter().enumerate() {
            let side = all.len_of(Axis(at));
            let count = match *whole {
                Whole::Batch if side == 1 => 1,
                Whole::Known(times) if times > 0 => usize::try_from(times).unwrap_or(usize::MAX),
                _ => return Err("repeats numbers so often as there are images, or never".into()),
            };
            let side_after = side.checked_mul(count).ok_or("repeats numbers too often")?;
            checked_count(&[all.len() / side.max(1), side_after])?;
            let picks: Vec<usize> = (0..side_after).map(|i| i % side).collect();
            all = all.select(Axis(at), &picks).into_shared();
        }
        Ok(all)
    }
    let Operand::Wholes(times) = node.input(1)? else { return Err("has a computed shape".into()) };
    let times: Vec<Whole> = times.iter().copied().collect();
    let check = |rank: usize| match rank == times.len() {
        true => Ok(()),
        false => Err(format!("has {} numbers for {rank} axes", times.len())),
    };
    match node.input(0)? {
        Operand::Floats(all) => {
            check(all.ndim()).and_then(|()| repeated(all, &times)).map(Operand::Floats)
        }
        Operand::Wholes(all) => {
            check(all.ndim()).and_then(|()| repeated(all, &times)).map(Operand::Wholes)
        }
        _ => Err("needs numbers of the file".into()),
    }
}
