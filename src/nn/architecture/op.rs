//! The operations of nodes, and their parameters.

use super::{Algorithm, Pair};
use crate::Result;
use crate::kernels::activation::Activation;
use crate::kernels::lif::Neuron;
use crate::kernels::surrogate::Surrogate;
use crate::nn::network::BATCH_NORM_EPS;
use crate::tensor::Shape;
use serde::{Deserialize, Serialize};

/// What a node computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// `(x - mean) / std` per channel: the network then takes pixels from 0 to 1.
    Normalize {
        /// One number a channel.
        mean: Vec<f32>,
        /// One number a channel.
        std: Vec<f32>,
    },
    /// A convolution.
    Conv2d {
        /// Output channels.
        out: usize,
        /// Kernel size.
        kernel: Pair,
        /// Step between outputs.
        #[serde(default = "one")]
        stride: Pair,
        /// Zeros on either side.
        #[serde(default = "none")]
        padding: Pair,
        /// Groups of channels.
        #[serde(default = "one_group")]
        groups: usize,
        /// Whether there is a number to add for each output channel.
        #[serde(default = "yes")]
        bias: bool,
        /// How it is computed.
        #[serde(default, skip_serializing_if = "Algorithm::is_default")]
        algorithm: Algorithm,
    },
    /// A linear layer; it takes its input in any shape, channels first.
    Linear {
        /// Outputs.
        out: usize,
        /// Whether there is a number to add for each output.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// Batch normalization with weight and bias.
    BatchNorm {
        /// Added to the variance.
        #[serde(default = "eps")]
        eps: f32,
        /// Share of a new batch in the running statistics.
        #[serde(default = "momentum")]
        momentum: f32,
    },
    /// max(0, x)
    Relu {},
    /// Neurons that spike, where the network does; elsewhere max(0, x).
    Lif {
        /// The neurons; those of all other rectifiers if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        neuron: Option<Neuron>,
        /// What stands for the derivative of a spike; that of all other rectifiers if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        surrogate: Option<Surrogate>,
    },
    /// x above 0, else `slope x`.
    LeakyRelu {
        /// Slope left of 0.
        slope: f32,
    },
    /// x above 0, else `alpha (exp(x) - 1)`.
    Elu {
        /// The limit on the left, with its sign changed.
        alpha: f32,
    },
    /// x sigmoid(x)
    Silu {},
    /// x times the normal distribution function.
    Gelu {
        /// Whether by the approximation with a hyperbolic tangent.
        #[serde(default)]
        tanh: bool,
    },
    /// x tanh(ln(1 + exp(x)))
    Mish {},
    /// ln(1 + exp(x))
    Softplus {},
    /// Hyperbolic tangent.
    Tanh {},
    /// 1 / (1 + exp(-x))
    Sigmoid {},
    /// x / 6 + 1/2, limited to 0..=1.
    HardSigmoid {},
    /// x hard_sigmoid(x)
    HardSwish {},
    /// x, limited to a range.
    Clamp {
        /// The lower limit.
        low: f32,
        /// The upper limit.
        high: f32,
    },
    /// `factor x`
    Scale {
        /// The factor.
        factor: f32,
    },
    /// Maximum of windows.
    MaxPool {
        /// Window.
        window: Pair,
        /// Step between windows; that of the window if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<Pair>,
        /// Border, which never wins.
        #[serde(default = "none")]
        padding: Pair,
        /// Whether last windows that are not full count.
        #[serde(default)]
        ceil: bool,
    },
    /// Mean of windows.
    AvgPool {
        /// Window.
        window: Pair,
        /// Step between windows; that of the window if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<Pair>,
        /// Border of zeros.
        #[serde(default = "none")]
        padding: Pair,
        /// Whether last windows that are not full count.
        #[serde(default)]
        ceil: bool,
        /// Whether the border counts in the mean.
        #[serde(default = "yes")]
        count_include_pad: bool,
    },
    /// Mean of each channel.
    GlobalAvgPool {},
    /// As a vector, channels first.
    Flatten {},
    /// Sum of two nodes.
    Add {},
    /// Product of two nodes; the second may give one number for each channel of the first.
    Mul {},
    /// Channels of several nodes behind one another.
    Concat {},
    /// In training, zeros in place of a share of the numbers, anew for each sample and step, and the others larger to make
    /// up for it; otherwise nothing.
    Dropout {
        /// The share.
        rate: f32,
    },
}

fn one() -> Pair {
    Pair([1; 2])
}

fn none() -> Pair {
    Pair([0; 2])
}

fn one_group() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn eps() -> f32 {
    BATCH_NORM_EPS
}

fn momentum() -> f32 {
    0.1
}

/// An array that a node learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterShape {
    /// What stands behind the node's name, e.g. `weight`.
    pub suffix: &'static str,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// How it begins.
    pub start: InitialValues,
}

/// How a parameter begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialValues {
    /// Uniform in -1/sqrt(fan_in) .. 1/sqrt(fan_in).
    Uniform {
        /// Inputs of a number.
        fan_in: usize,
    },
    /// All the same number.
    Constant(u8),
}

impl Op {
    /// Whether it is a rectifier, which neurons take the place of in a spiking network.
    pub fn is_rectifier(&self) -> bool {
        matches!(self, Self::Relu {} | Self::Lif { .. })
    }

    /// The activation that it is, if it is one.
    pub fn activation(&self) -> Option<Activation> {
        Some(match *self {
            Self::Relu {} | Self::Lif { .. } => Activation::Relu,
            Self::LeakyRelu { slope } => Activation::LeakyRelu { slope },
            Self::Elu { alpha } => Activation::Elu { alpha },
            Self::Silu {} => Activation::Silu,
            Self::Gelu { tanh: false } => Activation::Gelu,
            Self::Gelu { tanh: true } => Activation::GeluTanh,
            Self::Mish {} => Activation::Mish,
            Self::Softplus {} => Activation::Softplus,
            Self::Tanh {} => Activation::Tanh,
            Self::Sigmoid {} => Activation::Sigmoid,
            Self::HardSigmoid {} => Activation::HardSigmoid,
            Self::HardSwish {} => Activation::HardSwish,
            Self::Clamp { low, high } => Activation::Clamp { low, high },
            _ => return None,
        })
    }

    /// As files name it, e.g. `conv2d`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Normalize { .. } => "normalize",
            Self::Conv2d { .. } => "conv2d",
            Self::Linear { .. } => "linear",
            Self::BatchNorm { .. } => "batch_norm",
            Self::Relu {} => "relu",
            Self::Lif { .. } => "lif",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Elu { .. } => "elu",
            Self::Silu {} => "silu",
            Self::Gelu { .. } => "gelu",
            Self::Mish {} => "mish",
            Self::Softplus {} => "softplus",
            Self::Tanh {} => "tanh",
            Self::Sigmoid {} => "sigmoid",
            Self::HardSigmoid {} => "hard_sigmoid",
            Self::HardSwish {} => "hard_swish",
            Self::Clamp { .. } => "clamp",
            Self::Scale { .. } => "scale",
            Self::MaxPool { .. } => "max_pool",
            Self::AvgPool { .. } => "avg_pool",
            Self::GlobalAvgPool {} => "global_avg_pool",
            Self::Flatten {} => "flatten",
            Self::Add {} => "add",
            Self::Mul {} => "mul",
            Self::Concat {} => "concat",
            Self::Dropout { .. } => "dropout",
        }
    }

    /// Whether it is a batch normalization.
    pub fn is_norm(&self) -> bool {
        matches!(self, Self::BatchNorm { .. })
    }

    /// Whether it is a convolution.
    pub fn is_convolution(&self) -> bool {
        matches!(self, Self::Conv2d { .. })
    }

    /// Whether it is a convolution or a linear layer with a number to add for each output.
    pub fn is_biased(&self) -> bool {
        matches!(self, Self::Conv2d { bias: true, .. } | Self::Linear { bias: true, .. })
    }

    /// The arrays that it learns on this input, in the order of a PyTorch state dict.
    ///
    /// # Errors
    /// If the input does not fit.
    pub fn parameters(&self, input: Shape) -> Result<Vec<ParameterShape>> {
        if let Self::BatchNorm { .. } = self {
            let of = |suffix, start| ParameterShape {
                suffix,
                shape: vec![input.channels],
                start: InitialValues::Constant(start),
            };
            return Ok(vec![of("weight", 1), of("bias", 0)]);
        }
        let Some(g) = self.geometry(input)? else { return Ok(Vec::new()) };
        let start = InitialValues::Uniform { fan_in: g.fan_in() };
        let outputs = g.output.channels;
        let shape = match self {
            Self::Linear { .. } => vec![outputs, g.fan_in()],
            _ => vec![outputs, g.in_channels(), g.kernel[0], g.kernel[1]],
        };
        let mut all = vec![ParameterShape { suffix: "weight", shape, start }];
        if self.is_biased() {
            all.push(ParameterShape { suffix: "bias", shape: vec![outputs], start });
        }
        Ok(all)
    }
}
