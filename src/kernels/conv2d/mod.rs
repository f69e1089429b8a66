//! Two-dimensional convolution by implicit im2col: the matrix that im2col would write out is only a way of indexing.
//!
//! The kernels convolve without borders ("valid"); padding is a copy beforehand ([`super::pad`]). A linear layer is the
//! convolution whose kernel covers its whole input (`1 x F` on an input of 1 x 1 x F).
//!
//! Every number a kernel sums is summed in one order, the same for all instruction sets and tile sizes:
//! forward over (input channel, ky, kx); input gradient over (ky, output channel), kernel columns in chunks of 5;
//! weight gradient per lane over (block, y, x), then the lanes by the fixed tree.
//!
//! Wide layers have kernels of their own, chosen by the sizes alone: 3 x 3 kernels of stride 1 with eight channels or
//! more on both sides go by Winograd's F(2 x 2, 3 x 3), forward and to the input, large linear layers take several blocks
//! at a time, and weight gradients whose output channels fill vectors take vectors of channels, of a linear layer vectors of
//! inputs. [`convolve`] and [`input_gradient`] make that choice; [`forward`] and [`input_grad`] are the direct kernels.
//! [`Algorithm::Im2col`] is a way that only the caller chooses.

#[forbid(unsafe_code)]
pub(super) mod by_sample;
#[forbid(unsafe_code)]
mod dense;
#[forbid(unsafe_code)]
mod dense_weight_grad;
mod forward;
#[forbid(unsafe_code)]
mod input_grad;
mod materialized;
#[forbid(unsafe_code)]
mod pass;
#[forbid(unsafe_code)]
mod weight_grad;
#[forbid(unsafe_code)]
mod weight_grad_wide;
#[forbid(unsafe_code)]
mod winograd;

pub use dense_weight_grad::DenseWeightGrad;
pub use forward::{forward, forward_bias_relu_pool, pack_forward, pool_scratch};
pub use input_grad::{input_grad, input_grad_by_pixel, input_grad_scratch, pack_input_grad};
pub use materialized::Materialized;
pub use pass::{
    adds_products, convolve, convolve_scratch, input_gradient, input_gradient_scratch, is_direct,
    pack_convolve, pack_input_gradient, packed_once, together,
};
pub use weight_grad::{weight_grad, weight_grad_scratch};
pub use weight_grad_wide::WideWeightGrad;

use crate::simd::Lanes;
use crate::tensor::{Region, Shape};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// The kernels of this module, over sixteen samples at a time: the same bits on every machine.
    #[default]
    Lanes,
    /// The im2col matrix of one sample at a time, written out and multiplied by `matrixmultiply::sgemm`: what many engines do,
    /// for comparison. The bits are those of the processor's own multiplication.
    Im2col,
}

impl Algorithm {
    /// Whether it is the default, which files do not mention.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a convolution may choose besides its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conv2dOptions {
    /// Step between neighboring outputs, [y, x].
    pub stride: [usize; 2],
    /// Zeros added on either side, [y, x].
    pub padding: [usize; 2],
    /// Groups of channels that do not see one another: input and output channels are cut into as many parts.
    pub groups: usize,
    /// How it is computed.
    pub algorithm: Algorithm,
}

crate::options::with!(Conv2dOptions);

impl Default for Conv2dOptions {
    /// Stride 1, no padding, one group.
    fn default() -> Self {
        Self::new([1, 1], [0, 0], 1)
    }
}

impl Conv2dOptions {
    /// With this stride, padding and number of groups.
    pub const fn new(stride: [usize; 2], padding: [usize; 2], groups: usize) -> Self {
        Self { stride, padding, groups, algorithm: Algorithm::Lanes }
    }
}

/// Cuts `channels` into tiles of at most `most`, as equal as possible: (first channel, channels).
fn tiles(channels: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = channels.div_ceil(most);
    (0..count).map(move |i| {
        let first = i * channels / count;
        (first, (i + 1) * channels / count - first)
    })
}

/// The sizes of a convolution, checked once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The input *with* its zero border.
    pub input: Shape,
    /// The output.
    pub output: Shape,
    /// Kernel size, [y, x].
    pub kernel: [usize; 2],
    /// Step between neighboring outputs, [y, x]; at most one past the last window.
    pub stride: [usize; 2],
    /// The zero border, [y, x].
    pub padding: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
    /// How it is computed.
    pub algorithm: Algorithm,
}

impl Geometry {
    /// The sizes for an `input` (without border) and weights `[out channels, in channels / groups, ky, kx]`.
    ///
    /// # Errors
    /// If the sizes do not fit together.
    pub fn new(input: Shape, weight: [usize; 4], options: Conv2dOptions) -> Result<Self> {
        let [out_channels, in_channels, kernel_y, kernel_x] = weight;
        let Conv2dOptions { stride, padding, groups, algorithm } = options;
        let fail = |expected: String| {
            let found = format!(
                "input {input}, weight {weight:?}, stride {stride:?}, padding {padding:?}, groups {groups}"
            );
            Err(Error::shape("conv2d", expected, found))
        };
        let least = || fail("sizes, strides and groups of at least 1".into());
        if stride.contains(&0) || groups == 0 || input.features() == 0 {
            return least();
        }
        if in_channels.checked_mul(groups) != Some(input.channels) || out_channels % groups != 0 {
            return fail(format!(
                "weight [out, {}/{groups}, ky, kx] with out a multiple of the groups",
                input.channels
            ));
        }
        if weight.contains(&0) {
            return least();
        }
        let side = |size: usize, border: usize| border.checked_mul(2)?.checked_add(size);
        // Also for the output: no channel of it has more pixels than the input with its border.
        let addressable = |&(height, width): &(usize, usize)| {
            let lanes = height.checked_mul(width)?.checked_mul(input.channels.max(out_channels))?;
            lanes.checked_mul(size_of::<Lanes>()).filter(|&bytes| isize::try_from(bytes).is_ok())
        };
        let sides = side(input.height, padding[0]).zip(side(input.width, padding[1]));
        let Some((height, width)) = sides.filter(|sides| addressable(sides).is_some()) else {
            return fail("an input with border that memory can hold".into());
        };
        let padded = Shape::new(input.channels, height, width);
        if padded.height < kernel_y || padded.width < kernel_x {
            return fail(format!("an input with border of at least {kernel_y}x{kernel_x}"));
        }
        // Past the last window is past it by however much: one step more is as good as any, and no index overflows.
        let stride = [
            stride[0].min(padded.height - kernel_y + 1),
            stride[1].min(padded.width - kernel_x + 1),
        ];
        let output = Shape::new(
            out_channels,
            (padded.height - kernel_y) / stride[0] + 1,
            (padded.width - kernel_x) / stride[1] + 1,
        );
        let kernel = [kernel_y, kernel_x];
        Ok(Self { input: padded, output, kernel, stride, padding, groups, algorithm })
    }

    /// A linear layer from `features` to `outputs`, as a convolution.
    pub fn linear(features: usize, outputs: usize) -> Self {
        Self {
            input: Shape::new(1, 1, features),
            output: Shape::flat(outputs),
            kernel: [1, features],
            stride: [1, 1],
            padding: [0, 0],
            groups: 1,
            algorithm: Algorithm::Lanes,
        }
    }

    /// Whether every output sees the whole input, and there is one pixel of them.
    pub fn is_linear(&self) -> bool {
        let covers = self.kernel == [self.input.height, self.input.width];
        covers && !self.is_padded() && self.groups == 1
    }

    /// Input channels that an output channel sees.
    pub fn in_channels(&self) -> usize {
        self.input.channels / self.groups
    }

    /// Output channels of a group.
    pub fn out_channels(&self) -> usize {
        self.output.channels / self.groups
    }

    /// Weights of one output channel.
    pub fn fan_in(&self) -> usize {
        self.in_channels() * self.kernel[0] * self.kernel[1]
    }

    /// Numbers in the weights.
    pub fn weights(&self) -> usize {
        self.output.channels * self.fan_in()
    }

    /// Floating-point operations of a forward pass of one sample (a multiply-add is two).
    pub fn flops(&self) -> usize {
        2 * self.output.features() * self.fan_in()
    }

    /// The input without its border.
    pub fn unpadded(&self) -> Shape {
        Shape::new(
            self.input.channels,
            self.input.height - 2 * self.padding[0],
            self.input.width - 2 * self.padding[1],
        )
    }

    /// The output pixels that see any of these pixels of the input.
    pub fn reach(&self, changed: &Region) -> Region {
        let reach = |i: usize, range: &Range<usize>, outputs: usize| {
            let first = (range.start + 1).saturating_sub(self.kernel[i]).div_ceil(self.stride[i]);
            let last = range.end.div_ceil(self.stride[i]).min(outputs);
            first.min(last)..last
        };
        Region {
            y: reach(0, &changed.y, self.output.height),
            x: reach(1, &changed.x, self.output.width),
        }
    }

    /// Whether there is a border to add and to take away.
    pub fn is_padded(&self) -> bool {
        self.padding != [0, 0]
    }
}
