//! The input of a file that is an image.

use super::network::{DraftNetwork, IMAGE};
use super::proto;
use super::value::{Features, NodeResult};
use crate::tensor::Shape;
use crate::wording::{list, shown};
use ndarray::{ArrayD, IxDyn};

/// Features of an image, at most.
const MOST_FEATURES: usize = 1 << 26;

/// An input that is an image, as the file has it.
pub struct ImageInput<'a> {
    pub name: &'a str,
    /// Dimensions without that of the images: three of an image, or one of a vector.
    shape: Vec<usize>,
    /// How many the file was made for, if it says so.
    pub images: Option<usize>,
}

impl<'a> ImageInput<'a> {
    /// The only input of a file.
    pub fn of(graph: &'a proto::GraphProto) -> NodeResult<Self> {
        let is_array =
            |name: Option<&str>| graph.initializer.iter().any(|a| a.name.as_deref() == name);
        let mut inputs = graph.input.iter().filter(|input| !is_array(input.name.as_deref()));
        let input = inputs.next().ok_or("has no input")?;
        let name = input.name.as_deref().unwrap_or_default();
        let more: Vec<&str> = inputs.map(|input| input.name.as_deref().unwrap_or("?")).collect();
        if !more.is_empty() {
            return Err(format!(
                "has other inputs than the image `{}`: {}",
                shown(name),
                list(more)
            ));
        }
        let of = input.r#type.as_ref().and_then(|of| of.tensor_type.as_ref());
        let of = of.ok_or_else(|| format!("its input `{}` is not an array", shown(name)))?;
        use proto::data_type::{BFLOAT16, DOUBLE, FLOAT, FLOAT16};
        if !matches!(of.elem_type, Some(FLOAT | DOUBLE | FLOAT16 | BFLOAT16)) {
            return Err(format!(
                "its input `{}` is of type {}; floats from 0 to 1 are attacked (type {FLOAT})",
                shown(name),
                of.elem_type.unwrap_or(0)
            ));
        }
        let dims = of.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
        let side = |dim: &proto::Dimension| {
            dim.dim_value.and_then(|side| usize::try_from(side).ok()).filter(|&side| side > 0)
        };
        let sides: Option<Vec<usize>> = dims.iter().skip(1).map(side).collect();
        match sides.filter(|sides| matches!(sides.len(), 1 | 3)) {
            Some(shape) => Ok(Self { name, shape, images: side(&dims[0]) }),
            None => {
                let text: Vec<String> = dims
                    .iter()
                    .map(|dim| match (side(dim), &dim.dim_param) {
                        (Some(side), _) => side.to_string(),
                        (None, Some(name)) => shown(name),
                        (None, None) => "?".into(),
                    })
                    .collect();
                Err(format!(
                    "its input `{}` has the shape [{}]; export it for images [batch, channels, height, width] of which only the \
                     first may be open",
                    shown(name),
                    text.join(", ")
                ))
            }
        }
    }

    /// Whether its last axis is probably that of the channels: that is turned into the first at once, or is shorter than the
    /// two others, as in sets of images; or, of axes of any length, the last has one or three.
    pub fn is_channels_last(&self, graph: &proto::GraphProto) -> bool {
        let &[first, second, last] = &self.shape[..] else { return false };
        let turns = graph.node.iter().any(|node| {
            let perm = node.attribute.iter().find(|a| a.name.as_deref() == Some("perm"));
            node.op_type.as_deref() == Some("Transpose")
                && node.input.first().is_some_and(|input| input == self.name)
                && perm.is_some_and(|perm| perm.ints == [0, 3, 1, 2])
        });
        let is_usual = |side: usize| matches!(side, 1 | 3);
        let is_first = first < second.min(last) || is_usual(first);
        turns || last < first.min(second) || !is_first && is_usual(last)
    }

    /// A network of nothing yet, and the image as its nodes get it; the network's has its channels first.
    pub fn draft(&self, channels_last: bool) -> NodeResult<(DraftNetwork, Features)> {
        let features = self.shape.iter().try_fold(1_usize, |all, &side| all.checked_mul(side));
        let features = features.filter(|features| (1..=MOST_FEATURES).contains(features));
        let features = features.ok_or_else(|| format!("takes images of {:?}", self.shape))?;
        let input = match (&self.shape[..], channels_last) {
            (&[height, width, channels], true) => Some(Shape::new(channels, height, width)),
            (&[channels, height, width], false) => Some(Shape::new(channels, height, width)),
            _ => None,
        };
        let network = DraftNetwork {
            input,
            features,
            drafts: Vec::new(),
            numbers: 0,
            borders: Vec::new(),
            soft_maxes: Vec::new(),
        };
        let (Some(Shape { channels, height, width }), true) = (input, channels_last) else {
            return Ok((network, Features::new(IMAGE, self.shape.clone())));
        };
        let own =
            ArrayD::from_shape_vec(IxDyn(&[channels, height, width]), (0..features).collect());
        let own: ArrayD<usize> = own.map_err(|error| error.to_string())?;
        let turned = own.permuted_axes(IxDyn(&[1, 2, 0]));
        let features = network.ordered(IMAGE, &turned);
        Ok((network, features))
    }
}
