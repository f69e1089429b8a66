//! The values between nodes: constants, which are known when the file is read, and features of images.

use ndarray::{ArcArray, ArrayD, ArrayViewD, IxDyn, Zip};
use std::rc::Rc;

/// A result, or what is wrong with a node, as the end of a sentence that begins with its name.
pub type NodeResult<T> = Result<T, String>;

/// Numbers of all constants that are computed while a file is read, at most.
pub const MOST_COMPUTED: usize = 1 << 24;

/// A whole number of a shape, which may depend on how many images there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    Known(i64),
    /// The number of images.
    Batch,
}

/// Floats that are known, such as weights; views of them share memory.
pub type Floats = ArcArray<f32, IxDyn>;

/// Whole numbers that are known, such as shapes.
pub type Wholes = ArcArray<Whole, IxDyn>;

#[derive(Clone, Debug)]
pub enum Operand {
    Floats(Floats),
    Wholes(Wholes),
    Features(Features),
    /// Features whose images are at another axis than the first, this one.
    Turned(Features, usize),
    /// Features of all images in one row, those of each image behind one another.
    Row(Features),
    /// Whole numbers that differ between images: for the i-th, i times a number, and these.
    PerImage(i64, Wholes),
}

/// What a node of the network gives, and how the file arranges it.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// 0 is the image, i + 1 the i-th draft.
    pub place: usize,
    /// Dimensions without that of the images, which is always the first.
    pub dims: Vec<usize>,
    /// Which feature (channels first) each position holds; None: its own.
    pub order: Option<Rc<Vec<usize>>>,
}

impl Features {
    /// In their own order.
    pub fn new(place: usize, dims: Vec<usize>) -> Self {
        Self { place, dims, order: None }
    }

    /// With the same arrangement, out of another node.
    pub fn at(&self, place: usize) -> Self {
        Self { place, ..self.clone() }
    }

    pub fn count(&self) -> usize {
        self.dims.iter().product()
    }

    /// Which feature each position holds.
    pub fn indices(&self) -> NodeResult<ArrayD<usize>> {
        let count = checked_count(&self.dims)?;
        let order =
            self.order.as_ref().map_or_else(|| (0..count).collect(), |order| order.to_vec());
        ArrayD::from_shape_vec(IxDyn(&self.dims), order).map_err(|error| error.to_string())
    }
}

impl Operand {
    /// Whole numbers that are all known.
    pub fn wholes(&self) -> NodeResult<Vec<i64>> {
        match self {
            Self::Wholes(all) => all
                .iter()
                .map(|whole| match *whole {
                    Whole::Known(number) => Ok(number),
                    Whole::Batch => Err("computes with the number of images".into()),
                })
                .collect(),
            _ => Err("needs whole numbers that are known when the file is read".into()),
        }
    }

    /// Features with the axis of their images at this place; that of the images is not one of `features.dims`.
    pub fn turned(features: Features, images: usize) -> Self {
        match images {
            0 => Self::Features(features),
            _ => Self::Turned(features, images),
        }
    }

    /// The features that it is, and the axis of their images.
    pub fn with_images(&self) -> NodeResult<(&Features, usize)> {
        match self {
            Self::Turned(features, images) => Ok((features, *images)),
            _ => self.features().map(|features| (features, 0)),
        }
    }

    /// Whether it is known when the file is read.
    pub fn is_constant(&self) -> bool {
        matches!(self, Self::Floats(_) | Self::Wholes(_))
    }

    /// The features that it is.
    pub fn features(&self) -> NodeResult<&Features> {
        match self {
            Self::Features(features) => Ok(features),
            Self::Turned(..) | Self::Row(_) => {
                Err("takes features in which the images are not the first axis".into())
            }
            _ => Err("needs features of images, and has numbers of the file".into()),
        }
    }

    /// The floats that it is.
    pub fn floats(&self) -> NodeResult<&Floats> {
        match self {
            Self::Floats(floats) => Ok(floats),
            Self::Wholes(_) => Err("needs floats, and has whole numbers".into()),
            _ => {
                Err("needs numbers that are known when the file is read, and has computed ones"
                    .into())
            }
        }
    }
}

/// An axis, which may count from the end.
pub fn axis(axis: i64, rank: usize) -> NodeResult<usize> {
    let counted = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let found = counted.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
    found.ok_or_else(|| format!("has axis {axis} of {rank}"))
}

/// The axis of features that an axis of the file is, where the images have one too; None for theirs.
pub fn feature_axis(axis: usize, images: usize) -> Option<usize> {
    (axis != images).then(|| axis - usize::from(axis > images))
}

/// Combines two arrays position by position; sides of 1 are repeated.
pub fn zip<A, B, C: Clone>(
    a: &ArrayViewD<'_, A>,
    b: &ArrayViewD<'_, B>,
    f: impl FnMut(&A, &B) -> C,
) -> NodeResult<ArcArray<C, IxDyn>> {
    let rank = a.ndim().max(b.ndim());
    let side = |shape: &[usize], i: usize| {
        (i + shape.len()).checked_sub(rank).map_or(1, |place| shape[place])
    };
    let fail = || format!("combines arrays of {:?} and {:?}", a.shape(), b.shape());
    let mut shape = Vec::new();
    for i in 0..rank {
        shape.push(match (side(a.shape(), i), side(b.shape(), i)) {
            (one, other) if one == other => one,
            (1, other) | (other, 1) => other,
            _ => return Err(fail()),
        });
    }
    checked_count(&shape)?;
    match (a.broadcast(IxDyn(&shape)), b.broadcast(IxDyn(&shape))) {
        (Some(a), Some(b)) => Ok(Zip::from(a).and(b).map_collect(f).into_shared()),
        _ => Err(fail()),
    }
}

/// The number of numbers of a shape.
pub fn checked_count(shape: &[usize]) -> NodeResult<usize> {
    let product = shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side));
    product
        .filter(|&count| count <= MOST_COMPUTED)
        .ok_or_else(|| format!("makes an array of {shape:?}, which is too large"))
}

/// Numbers of the file that a value holds.
pub fn count(value: &Operand) -> usize {
    match value {
        Operand::Floats(floats) => floats.len(),
        Operand::Wholes(wholes) => wholes.len(),
        Operand::PerImage(_, offsets) => offsets.len(),
        _ => 0,
    }
}

/// The one number of an array.
pub fn single(floats: &Floats) -> NodeResult<f32> {
    match (floats.len(), floats.first()) {
        (1, Some(&number)) => Ok(number),
        _ => Err(format!("needs one number, and has an array of {:?}", floats.shape())),
    }
}
