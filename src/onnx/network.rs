//! The draft of a network while its file is read. Nodes of it may turn out not to be needed.

use super::value::{Features, NodeResult};
use crate::nn::architecture::Op;
use crate::tensor::Shape;
use ndarray::{ArrayD, IxDyn};
use std::rc::Rc;

/// Numbers of all layers that are made of a file, and nodes, at most; a file may use the same numbers many times.
const MOST_NUMBERS: usize = 1 << 28;
const MOST_DRAFTS: usize = 1 << 13;

/// The place of the image.
pub const IMAGE: usize = 0;

/// One number of each output of a node, or for all of them.
pub type PerChannel = Vec<f64>;

/// What a draft computes.
#[derive(Clone, Debug)]
pub enum DraftKind {
    /// Something without arrays.
    Plain(Op),
    /// A layer, with its arrays: suffix, shape, numbers.
    Layer(Op, Vec<LayerArray>),
    /// `scale x + shift`, one number each for all channels, or one a channel.
    Affine(PerChannel, PerChannel),
    /// What no layer computes; in words why not.
    Unknown(String),
}

/// An array of a layer.
#[derive(Clone, Debug)]
pub struct LayerArray {
    pub suffix: &'static str,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// How a draft computes each feature from the same features of its inputs, where its kind does not say so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScalarFunction {
    Erf,
    Exp,
    Log,
    Power(f64),
    Add,
    Mul,
    Div,
    /// 1 where the number stands so to this one, else 0.
    Compare(Inequality, f64),
    /// The second where the first is not 0, else the third; each of the two may be a number of the file.
    Choose([Option<f64>; 2]),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inequality {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A node that may become one of the network.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What PyTorch would call it, as far as the file says so.
    pub name: String,
    pub kind: DraftKind,
    pub inputs: Vec<usize>,
    pub shape: Shape,
    /// How it computes single numbers, if it does and its kind does not say so.
    pub function: Option<ScalarFunction>,
}

/// Drafts, each after those that it computes from.
#[derive(Debug)]
pub struct DraftNetwork {
    /// The image's channels, height and width; None as long as any that has as many features would do.
    pub input: Option<Shape>,
    pub features: usize,
    pub drafts: Vec<Draft>,
    /// Numbers of all layers' arrays.
    pub numbers: usize,
    /// Drafts that are a border of zeros around another's image: of which, and how wide (before and after, [y, x]).
    pub borders: Vec<(usize, usize, [[usize; 2]; 2])>,
    /// Drafts that are a soft-max: of which logits, under which name.
    pub soft_maxes: Vec<(usize, usize, String)>,
}

impl DraftNetwork {
    pub fn draft(&self, place: usize) -> Option<&Draft> {
        self.drafts.get(place.checked_sub(1)?)
    }

    /// The shape of what a place gives.
    pub fn shape(&self, place: usize) -> Shape {
        let image = || self.input.unwrap_or(Shape::flat(self.features));
        self.draft(place).map_or_else(image, |draft| draft.shape)
    }

    /// Adds a draft; its shape follows from its operation.
    pub fn add(&mut self, name: &str, kind: DraftKind, inputs: &[usize]) -> NodeResult<usize> {
        let shapes: Vec<Shape> = inputs.iter().map(|&place| self.shape(place)).collect();
        let shape = match &kind {
            DraftKind::Plain(op) | DraftKind::Layer(op, _) => {
                op.output(&shapes).map_err(|error| {
                    let text = error.to_string();
                    text.strip_prefix("it: ").unwrap_or(&text).to_owned()
                })?
            }
            DraftKind::Affine(..) | DraftKind::Unknown(_) => shapes[0],
        };
        if let DraftKind::Layer(_, arrays) = &kind {
            self.numbers += arrays.iter().map(|array| array.values.len()).sum::<usize>();
        }
        if self.numbers > MOST_NUMBERS || self.drafts.len() == MOST_DRAFTS {
            return Err(format!(
                "is one too many: {MOST_DRAFTS} nodes with {MOST_NUMBERS} numbers are possible"
            ));
        }
        self.drafts.push(Draft {
            name: name.to_owned(),
            kind,
            inputs: inputs.to_vec(),
            shape,
            function: None,
        });
        Ok(self.drafts.len())
    }

    /// Features of a place, of which each position holds this one.
    pub fn ordered(&self, place: usize, indices: &ArrayD<usize>) -> Features {
        let order: Vec<usize> = indices.iter().copied().collect();
        let is_own = order.iter().enumerate().all(|(position, &feature)| position == feature);
        let is_own = is_own && order.len() == self.shape(place).features();
        let order = (!is_own).then(|| Rc::new(order));
        Features { place, dims: indices.shape().to_vec(), order }
    }

    /// Of an image that repeats one number for each channel these numbers alone; None of any other.
    pub fn once_per_channel(&self, x: &Features) -> NodeResult<Option<Features>> {
        let (Some(order), &[channels, height, width]) = (&x.order, &x.dims[..]) else {
            return Ok(None);
        };
        if !order.chunks(height * width).all(|channel| channel.iter().all(|&one| one == channel[0]))
        {
            return Ok(None);
        }
        let firsts = order.iter().step_by(height * width).copied().collect();
        let firsts = ArrayD::from_shape_vec(IxDyn(&[channels, 1, 1]), firsts);
        Ok(Some(self.ordered(x.place, &firsts.map_err(|error| error.to_string())?)))
    }

    /// The place of an image: features in their own order that are channels, rows and columns.
    pub fn image(&mut self, features: &Features) -> NodeResult<usize> {
        let &[channels, height, width] = &features.dims[..] else {
            return Err(format!(
                "needs images (channels, height, width), and has {:?}",
                features.dims
            ));
        };
        // A vector is an image of one pixel.
        if height * width == 1 && features.order.is_none() {
            return self.vector(features, "flatten");
        }
        self.arranged(features, Shape::new(channels, height, width), "an image")
    }

    /// The place of a vector of features, which is made one if it is none.
    pub fn vector(&mut self, features: &Features, name: &str) -> NodeResult<usize> {
        let flat = Shape::flat(features.count());
        if features.order.is_some() {
            return self.arranged(features, flat, "a vector");
        }
        let is_open = features.place == IMAGE && self.input.is_none();
        if is_open || self.shape(features.place) == flat {
            return self.arranged(features, flat, "a vector");
        }
        self.add(name, DraftKind::Plain(Op::Flatten {}), &[features.place])
    }

    /// The place of features in the arrangement that they have.
    pub fn own(&mut self, features: &Features, name: &str) -> NodeResult<usize> {
        match features.dims.len() {
            3 => self.image(features),
            1 => self.vector(features, name),
            _ => Err(format!("needs images or vectors, and has {:?}", features.dims)),
        }
    }

    fn arranged(&mut self, features: &Features, shape: Shape, what: &str) -> NodeResult<usize> {
        if features.order.is_some() {
            return Err(format!(
                "takes {what} whose features were put into another order (turned, mirrored or shuffled pixels); only a linear \
                 layer can"
            ));
        }
        if features.place == IMAGE && self.input.is_none() {
            self.input = Some(shape);
        }
        let found = self.shape(features.place);
        if found != shape {
            return Err(format!("takes {what} of {shape}, made of {found} by a Reshape"));
        }
        Ok(features.place)
    }
}
