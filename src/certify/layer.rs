//! A network's layers in the form that bounds need.

use crate::kernels::activation::Activation;
use crate::kernels::conv2d::{self, Geometry};
use crate::kernels::interval::{ChannelError, Logits, sum_error};
use crate::kernels::pool::PoolGeometry;
use crate::nn::Model;
use crate::nn::architecture::Op;
use crate::{Error, Result};

/// What a node computes.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    Linear(Box<Linear>),
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    Activation(Activation),
    MaxPool(PoolGeometry),
    AvgPool(PoolGeometry),
    Add,
    Mul,
    Concat,
    /// The input itself.
    Same,
}

/// A convolution or linear layer with its batch normalization.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub geometry: Geometry,
    /// As evaluation uses them, `[out][in / groups][ky][kx]`.
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    /// The weights and their sizes, as [`conv2d::forward`] wants them.
    pub packed: [Vec<f32>; 2],
    /// The relative error of a sum; infinite where there is no bound.
    pub error: f32,
    pub channels: Vec<ChannelError>,
}

impl Linear {
    fn new(geometry: Geometry, weight: Vec<f32>, bias: Vec<f32>) -> Self {
        let taps = geometry.fan_in();
        let size: Vec<f32> = weight.iter().map(|w| w.abs()).collect();
        let mut packed = [Vec::new(), Vec::new()];
        conv2d::pack_forward(&geometry, &weight, &mut packed[0]);
        conv2d::pack_forward(&geometry, &size, &mut packed[1]);
        let error = sum_error(taps).unwrap_or(f32::INFINITY);
        // Winograd's sums: a transformed window is at most 4 times the largest input, a transformed kernel in all at most
        // 4 times the sum of its sizes, and a dozen additions transform them there and back.
        let winograd = (!conv2d::adds_products(&geometry))
            .then(|| 16.0 * sum_error(geometry.in_channels() + 16).unwrap_or(f32::INFINITY));
        let channels = size.chunks(taps).zip(&bias).map(|(size, &bias)| ChannelError {
            bias,
            fixed: 2.0 * error * bias.abs(),
            // Sums of sizes round too.
            of_largest: winograd.map_or(0.0, |w| 1.1 * w * size.iter().sum::<f32>()),
        });
        Self { geometry, channels: channels.collect(), weight, bias, packed, error }
    }

    pub fn logits(&self) -> Logits<'_> {
        Logits { weight: &self.weight, bias: &self.bias, error: self.error }
    }
}

impl Layer {
    /// All nodes of a model.
    pub fn of(model: &Model) -> Result<Vec<Self>> {
        let architecture = model.architecture();
        let mut layers: Vec<Self> = Vec::new();
        let mut folded = vec![false; architecture.nodes().len()];
        for (i, node) in architecture.nodes().iter().enumerate() {
            let input = architecture.input_of(i);
            layers.push(if let Some(linear) = model.folded(i)? {
                linear.norm.into_iter().for_each(|norm| folded[norm] = true);
                Self::Linear(Box::new(Linear::new(linear.geometry, linear.weight, linear.bias)))
            } else if let Some(activation) = node.op.activation() {
                Self::Activation(activation)
            } else if let Some(g) = node.op.pool(input)? {
                match node.op {
                    Op::MaxPool { .. } => Self::MaxPool(g),
                    _ => Self::AvgPool(g),
                }
            } else {
                match &node.op {
                    Op::BatchNorm { .. } if folded[i] => Self::Same,
                    Op::Add {} => Self::Add,
                    Op::Mul {} => Self::Mul,
                    Op::Concat {} => Self::Concat,
                    Op::Flatten {} | Op::Dropout { .. } => Self::Same,
                    op => match model.affine(i) {
                        Some((scale, shift)) => Self::Affine { scale, shift },
                        None => {
                            let (name, op) = (&node.name, op.name());
                            let problem = format!("there are no bounds for node `{name}`, a {op}");
                            return Err(Error::argument("certificate", problem));
                        }
                    },
                }
            });
        }
        Ok(layers)
    }
}
