//! The output shape of a node, and which inputs it refuses.

use super::Op;
use crate::kernels::conv2d::{Conv2dOptions, Geometry};
use crate::kernels::pool::{PoolGeometry, PoolOptions};
use crate::tensor::Shape;
use crate::{Error, Result};

impl Op {
    /// The sizes of a convolution or a linear layer on this input; None for any other node.
    ///
    /// # Errors
    /// If the input does not fit.
    pub fn geometry(&self, input: Shape) -> Result<Option<Geometry>> {
        Ok(match *self {
            Self::Conv2d { out, kernel, stride, padding, groups, algorithm, .. } => {
                let channels = input.channels / groups.max(1);
                let weight = [out, channels, kernel.0[0], kernel.0[1]];
                let options =
                    Conv2dOptions { stride: stride.0, padding: padding.0, groups, algorithm };
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

    /// The shape that comes out.
    ///
    /// # Errors
    /// If the inputs do not fit, or a number makes no sense.
    pub fn output(&self, inputs: &[Shape]) -> Result<Shape> {
        let fail = |problem: String| Error::argument("it", problem);
        let many = matches!(self, Self::Add {} | Self::Mul {} | Self::Concat {});
        if many && inputs.len() < 2 || !many && inputs.len() != 1 {
            let expected = if many { "at least two inputs" } else { "one input" };
            return Err(fail(format!("takes {expected}, and has {}", inputs.len())));
        }
        let input = inputs[0];
        if let Some(g) = self.geometry(input)? {
            return Ok(g.output);
        }
        if let Some(g) = self.pool(input)? {
            return Ok(g.output);
        }
        self.check_numbers(input.channels).map_err(fail)?;
        match self {
            Self::Flatten {} => Ok(Shape::flat(input.features())),
            _ if many => self.joined(inputs).map_err(fail),
            _ => Ok(input),
        }
    }

    /// What is wrong with the numbers that it computes with.
    fn check_numbers(&self, channels: usize) -> Result<(), String> {
        match self {
            Self::Normalize { mean, std } => {
                if [mean.len(), std.len()] != [channels; 2] {
                    let (mean, std) = (mean.len(), std.len());
                    return Err(format!(
                        "has {mean} means and {std} deviations for {channels} channels; give one of each a channel"
                    ));
                }
                let fits = mean.iter().all(|m| m.is_finite())
                    && std.iter().all(|&s| s.is_finite() && s > 0.0);
                if fits { Ok(()) } else { Err("needs finite means and positive deviations".into()) }
            }
            Self::BatchNorm { eps, momentum }
                if !(*eps > 0.0 && eps.is_finite() && (0.0..=1.0).contains(momentum)) =>
            {
                Err(format!(
                    "has eps {eps} (must be positive) and momentum {momentum} (must be in 0..=1)"
                ))
            }
            Self::LeakyRelu { slope: number }
            | Self::Elu { alpha: number }
            | Self::Scale { factor: number }
                if !number.is_finite() =>
            {
                Err(format!("has the number {number}, which is not finite"))
            }
            Self::Dropout { rate } if !(0.0..1.0).contains(rate) => {
                Err(format!("has rate {rate}; it must be at least 0 and below 1"))
            }
            Self::Clamp { low, high } if low.is_nan() || high.is_nan() || low > high => {
                Err(format!("has low {low} above high {high}"))
            }
            Self::Lif { neuron, surrogate } => {
                let checked = neuron.map_or(Ok(()), |neuron| neuron.dynamics().map(|_| ()));
                let checked = checked.and_then(|()| surrogate.map_or(Ok(()), |s| s.validate()));
                checked.map_err(|error| format!("has a neuron that cannot be: {error}"))
            }
            _ => Ok(()),
        }
    }

    /// The shape of a sum, a product or a concatenation of two inputs or more.
    fn joined(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (input, second) = (inputs[0], inputs[1]);
        let two = |verb: &str| match inputs.len() {
            2 => Ok(()),
            count => Err(format!("{verb} two inputs, and has {count}")),
        };
        match self {
            Self::Add {} => {
                two("adds")?;
                if second != input {
                    return Err(format!(
                        "adds {input} and {second}; give both the same channels, height and width"
                    ));
                }
                Ok(input)
            }
            Self::Mul {} => {
                two("multiplies")?;
                if second != input && second != Shape::flat(input.channels) {
                    return Err(format!(
                        "multiplies {input} by {second}; give the second the same shape, or one number a channel"
                    ));
                }
                Ok(input)
            }
            _ => {
                let sides = |shape: &Shape| (shape.height, shape.width);
                if let Some(other) = inputs.iter().find(|other| sides(other) != sides(&input)) {
                    return Err(format!(
                        "joins {input} and {other}; give both the same height and width"
                    ));
                }
                let channels = inputs.iter().map(|shape| shape.channels);
                let channels = channels.fold(0, usize::saturating_add);
                Ok(Shape::new(channels, input.height, input.width))
            }
        }
    }
}
