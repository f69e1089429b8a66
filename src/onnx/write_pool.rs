//! How poolings are written.

use super::attributes::{int, ints};
use super::proto::Attribute;
use crate::kernels::pool::PoolOptions;
use crate::nn::architecture::Op;
use crate::tensor::Shape;
use crate::{Error, Result};

/// The operator of a pooling of such images.
pub fn pool(op: &Op, input: Shape) -> Result<(&'static str, Vec<Attribute>)> {
    let geometry = match op {
        Op::MaxPool { .. } | Op::AvgPool { .. } => op.pool(input)?,
        _ => None,
    };
    let Some(geometry) = geometry else { return Ok(("GlobalAveragePool", Vec::new())) };
    let (size, sides) = (geometry.window, [input.height, input.width]);
    let PoolOptions { stride, padding, ceil, count_include_pad } = geometry.options;
    let is_mean = matches!(op, Op::AvgPool { .. });
    let windows = [geometry.output.height, geometry.output.width];
    // PyTorch leaves out a window that would begin in the border behind, and ONNX has no such rule: the border behind says as
    // well how many windows there are.
    let behind = [0, 1].map(|i| {
        let end = (windows[i] - 1) * stride[i] + size[i];
        let least = end.saturating_sub(sides[i] + padding[i]);
        if (sides[i] + 2 * padding[i] - size[i]) / stride[i] + 1 == windows[i] {
            padding[i]
        } else {
            least
        }
    });
    let counts = is_mean && count_include_pad;
    // Pixels behind the border do not count; those of a border do.
    let rounds_up = counts && behind != padding;
    let mixed = rounds_up
        && (0..2).any(|i| {
            let room = sides[i] + 2 * padding[i] - size[i];
            room.div_ceil(stride[i]) + 1 != windows[i]
        });
    if mixed {
        let problem = format!(
            "averages with their border over {sides:?} by windows of {size:?}, which ONNX has no form for; use count_include_pad = false"
        );
        return Err(Error::argument("ONNX", problem));
    }
    let behind = if rounds_up { padding } else { behind };
    let pads = [padding, behind].concat();
    let mut all = vec![ints("kernel_shape", size), ints("strides", stride), ints("pads", pads)];
    all.push(int("ceil_mode", (rounds_up && ceil).into()));
    if !is_mean {
        return Ok(("MaxPool", all));
    }
    all.push(int("count_include_pad", count_include_pad.into()));
    Ok(("AveragePool", all))
}
