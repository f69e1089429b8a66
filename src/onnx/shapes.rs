//! Operators that reshape and permute features.

use super::network::DraftNetwork;
use super::node::FileNode;
use super::value::{Features, NodeResult, Operand, Whole, axis, feature_axis};

/// The dimensions of features, the number of images first.
pub fn shape(node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?;
    let known = x.dims.iter().map(|&side| Whole::Known(side as i64));
    let all: Vec<Whole> = std::iter::once(Whole::Batch).chain(known).collect();
    let place = |name, default: usize| {
        let at = node.int(name, default as i64);
        let at = if at < 0 { at.saturating_add(all.len() as i64) } else { at };
        at.clamp(0, all.len() as i64) as usize
    };
    let (start, end) = (place("start", 0), place("end", all.len()));
    let part = all.get(start..end).unwrap_or_default().to_vec();
    Ok(Operand::Wholes(ndarray::Array::from_vec(part).into_dyn().into_shared()))
}

/// Reshape: of each image on its own.
pub fn reshape(node: &FileNode<'_>, images: Option<usize>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let Operand::Wholes(target) = node.input(1)? else { return Err("has a computed shape".into()) };
    let target: Vec<Whole> = target.iter().copied().collect();
    let keeps = node.int("allowzero", 0) == 0;
    let fail = || {
        let text: Vec<String> = target
            .iter()
            .map(|whole| match whole {
                Whole::Known(number) => number.to_string(),
                Whole::Batch => "batch".into(),
            })
            .collect();
        let text = text.join(", ");
        Err(format!(
            "gives features of {:?} the shape [{text}]; the images have to stay apart, as in x.flatten(1)",
            x.dims
        ))
    };
    let Some((first, others)) = target.split_first() else { return fail() };
    let all = images.and_then(|images| images.checked_mul(x.count()));
    let all = all.map(|all| Whole::Known(all as i64));
    if others.is_empty() && (*first == Whole::Known(-1) || Some(*first) == all) && x.count() > 1 {
        return Ok(Operand::Row(x));
    }
    let mut dims = Vec::new();
    let mut open = None;
    for (i, whole) in others.iter().enumerate() {
        let side = match *whole {
            Whole::Known(-1) if open.is_none() => {
                open = Some(i);
                1
            }
            Whole::Known(0) if keeps && i < x.dims.len() => x.dims[i],
            Whole::Known(side) if side > 0 => side as usize,
            _ => return fail(),
        };
        dims.push(side);
    }
    let product = dims.iter().try_fold(1_usize, |product, &side| product.checked_mul(side));
    let Some(product) = product else { return fail() };
    // Which numbers can stand for the images: any, if it is certain that the others make up one image.
    let stands = match *first {
        Whole::Batch => true,
        Whole::Known(0) => keeps,
        Whole::Known(-1) => open.is_none(),
        Whole::Known(number) => match images {
            Some(images) => number == images as i64,
            None => number == 1,
        },
    };
    if let Some(open) = open.filter(|_| stands && product != 0 && x.count() % product == 0) {
        dims[open] = x.count() / product;
    } else if open.is_some() || product != x.count() {
        return fail();
    }
    Ok(Operand::Features(Features { dims, ..x }))
}

/// Flatten: of each image on its own.
pub fn flatten(node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    match axis(node.int("axis", 1), x.dims.len() + 2)? {
        1 => Ok(Operand::Features(Features { dims: vec![x.count()], ..x })),
        at => Err(format!("flattens from axis {at}; 1 is possible, which keeps images apart")),
    }
}

/// Unsqueeze
pub fn unsqueeze(node: &FileNode<'_>) -> NodeResult<Operand> {
    let (x, images) = node.with_images(0)?;
    let given = node.given("axes", 1)?.unwrap_or_default();
    let rank = x.dims.len() + 1 + given.len();
    let given = given.into_iter().map(|a| axis(a, rank)).collect::<NodeResult<Vec<_>>>()?;
    let (mut dims, mut at, mut old) = (Vec::new(), 0, 0);
    for i in 0..rank {
        if given.contains(&i) {
            dims.push(1);
            continue;
        }
        match feature_axis(old, images) {
            Some(old) => dims.push(*x.dims.get(old).ok_or("adds an axis twice")?),
            None => at = i,
        }
        old += 1;
    }
    Ok(Operand::turned(Features { dims, ..x.clone() }, at))
}

/// Squeeze
pub fn squeeze(node: &FileNode<'_>) -> NodeResult<Operand> {
    let (x, images) = node.with_images(0)?;
    let rank = x.dims.len() + 1;
    let is_one = |at: usize| feature_axis(at, images).is_some_and(|at| x.dims[at] == 1);
    let axes = node.axes(1, rank)?.unwrap_or_else(|| (0..rank).filter(|&at| is_one(at)).collect());
    if let Some(at) = axes.iter().find(|&&at| !is_one(at)) {
        return Err(format!("takes axis {at} out of {:?} (and the images')", x.dims));
    }
    let left = (0..rank).filter(|at| !axes.contains(at));
    let dims = left.filter_map(|at| feature_axis(at, images)).map(|at| x.dims[at]).collect();
    let before = (0..images).filter(|at| !axes.contains(at)).count();
    Ok(Operand::turned(Features { dims, ..x.clone() }, before))
}

/// Transpose: the file's positions hold other features than before.
pub fn transpose(network: &DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let (x, images) = node.with_images(0)?;
    let rank = x.dims.len() + 1;
    let given = node.ints("perm").unwrap_or_else(|| (0..rank as i64).rev().collect());
    let all = given.iter().map(|&a| axis(a, rank)).collect::<NodeResult<Vec<usize>>>()?;
    let mut sorted = all.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return Err(format!("has perm {given:?} for {rank} axes"));
    }
    let axes: Vec<usize> = all.iter().filter_map(|&at| feature_axis(at, images)).collect();
    let images = all.iter().position(|&at| at == images).unwrap_or(0);
    let permuted = x.indices()?.permuted_axes(axes);
    Ok(Operand::turned(network.ordered(x.place, &permuted), images))
}
