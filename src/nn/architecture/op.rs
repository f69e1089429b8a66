//! What a node of an architecture computes, the shape that comes out, and the parameters that it has.

use crate::kernels::activation::Activation;
use crate::kernels::conv2d::{Conv2dOptions, Geometry};
use crate::kernels::lif::Neuron;
use crate::kernels::pool::{PoolGeometry, PoolOptions};
use crate::kernels::surrogate::Surrogate;
use crate::tensor::Shape;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// [y, x]; in files one number stands for two equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrTwo", into = "OneOrTwo")]
pub struct Pair(pub [usize; 2]);

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrTwo {
    One(usize),
    Two([usize; 2]),
}

impl From<OneOrTwo> for Pair {
    fn from(from: OneOrTwo) -> Self {
        match from {
            OneOrTwo::One(one) => Self([one; 2]),
            OneOrTwo::Two(two) => Self(two),
        }
    }
}

impl From<Pair> for OneOrTwo {
    fn from(Pair([y, x]): Pair) -> Self {
        if y == x { Self::One(y) } else { Self::Two([y, x]) }
    }
}

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
    1e-5
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
    pub start: Start,
}

/// How a parameter begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
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

    /// Whether it is a convolution or a linear layer with a number to add for each output.
    pub fn is_biased(&self) -> bool {
        matches!(self, Self::Conv2d { bias: true, .. } | Self::Linear { bias: true, .. })
    }

    /// The sizes of a convolution or a linear layer on this input; None for any other node.
    ///
    /// # Errors
    /// If the input does not fit.
    pub fn geometry(&self, input: Shape) -> Result<Option<Geometry>> {
        Ok(match *self {
            Self::Conv2d { out, kernel, stride, padding, groups, .. } => {
                let channels = input.channels / groups.max(1);
                let weight = [out, channels, kernel.0[0], kernel.0[1]];
                let options = Conv2dOptions { stride: stride.0, padding: padding.0, groups };
                Some(Geometry::new(input, weight, options)?)
            }
            Self::Linear { out: 0, .. } => {
                return Err(Error::argument("linear", "out = 0; at least 1 is needed"));
            }
            Self::Linear { out, .. } => Some(Geometry::linear(input.features(), out)),
            _ => None,
        })
    }

    /// The sizes of a pooling on this input; None for any other node.
    ///
    /// # Errors
    /// If the input does not fit.
    pub fn pool(&self, input: Shape) -> Result<Option<PoolGeometry>> {
        let (window, options) = match *self {
            Self::MaxPool { window, stride, padding, ceil } => {
                let stride = stride.unwrap_or(window).0;
                let padding = padding.0;
                (window.0, PoolOptions { stride, padding, ceil, count_include_pad: true })
            }
            Self::AvgPool { window, stride, padding, ceil, count_include_pad } => {
                let stride = stride.unwrap_or(window).0;
                (window.0, PoolOptions { stride, padding: padding.0, ceil, count_include_pad })
            }
            Self::GlobalAvgPool {} => ([input.height, input.width], PoolOptions::of_stride([1, 1])),
            _ => return Ok(None),
        };
        PoolGeometry::new(input, window, options).map(Some)
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
                start: Start::Constant(start),
            };
            return Ok(vec![of("weight", 1), of("bias", 0)]);
        }
        let Some(g) = self.geometry(input)? else { return Ok(Vec::new()) };
        let start = Start::Uniform { fan_in: g.fan_in() };
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

    /// The shape that comes out.
    ///
    /// # Errors
    /// If the inputs do not fit, or a number makes no sense.
    pub fn output(&self, inputs: &[Shape]) -> Result<Shape> {
        let fail = |problem: String| Err(Error::argument("it", problem));
        let many = matches!(self, Self::Add {} | Self::Mul {} | Self::Concat {});
        if many && inputs.len() < 2 || !many && inputs.len() != 1 {
            let expected = if many { "at least two inputs" } else { "one input" };
            return fail(format!("takes {expected}, and has {}", inputs.len()));
        }
        let input = inputs[0];
        if let Some(g) = self.geometry(input)? {
            return Ok(g.output);
        }
        if let Some(g) = self.pool(input)? {
            return Ok(g.output);
        }
        match self {
            Self::Normalize { mean, std } => {
                if [mean.len(), std.len()] != [input.channels; 2] {
                    let (mean, std, channels) = (mean.len(), std.len(), input.channels);
                    return fail(format!(
                        "has {mean} means and {std} deviations for {channels} channels; give one of each a channel"
                    ));
                }
                let fits = mean.iter().all(|m| m.is_finite())
                    && std.iter().all(|&s| s.is_finite() && s > 0.0);
                if !fits {
                    return fail("needs finite means and positive deviations".into());
                }
            }
            Self::BatchNorm { eps, momentum }
                if !(*eps > 0.0 && eps.is_finite() && (0.0..=1.0).contains(momentum)) =>
            {
                return fail(format!(
                    "has eps {eps} (must be positive) and momentum {momentum} (must be in 0..=1)"
                ));
            }
            Self::LeakyRelu { slope: number }
            | Self::Elu { alpha: number }
            | Self::Scale { factor: number }
                if !number.is_finite() =>
            {
                return fail(format!("has the number {number}, which is not finite"));
            }
            Self::Dropout { rate } if !(0.0..1.0).contains(rate) => {
                return fail(format!("has rate {rate}; it must be at least 0 and below 1"));
            }
            Self::Clamp { low, high } if low.is_nan() || high.is_nan() || low > high => {
                return fail(format!("has low {low} above high {high}"));
            }
            Self::Lif { neuron, surrogate } => {
                let checked = neuron.map_or(Ok(()), |neuron| neuron.dynamics().map(|_| ()));
                let checked = checked.and_then(|()| surrogate.map_or(Ok(()), |s| s.validate()));
                if let Err(error) = checked {
                    return fail(format!("has a neuron that cannot be: {error}"));
                }
            }
            Self::Flatten {} => return Ok(Shape::flat(input.features())),
            Self::Add {} => {
                if inputs.len() > 2 {
                    return fail(format!("adds two inputs, and has {}", inputs.len()));
                }
                if inputs[1] != input {
                    return fail(format!(
                        "adds {input} and {}; give both the same channels, height and width",
                        inputs[1]
                    ));
                }
            }
            Self::Mul {} => {
                if inputs.len() > 2 {
                    return fail(format!("multiplies two inputs, and has {}", inputs.len()));
                }
                if inputs[1] != input && inputs[1] != Shape::flat(input.channels) {
                    return fail(format!(
                        "multiplies {input} by {}; give the second the same shape, or one number a channel",
                        inputs[1]
                    ));
                }
            }
            Self::Concat {} => {
                if let Some(other) =
                    inputs.iter().find(|o| (o.height, o.width) != (input.height, input.width))
                {
                    return fail(format!(
                        "joins {input} and {other}; give both the same height and width"
                    ));
                }
                let channels = inputs.iter().map(|shape| shape.channels);
                let channels = channels.fold(0, usize::saturating_add);
                return Ok(Shape::new(channels, input.height, input.width));
            }
            _ => {}
        }
        Ok(input)
    }
}
