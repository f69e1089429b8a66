//! Operators with weights: convolutions, matrix products, batch normalization.

use super::network::{DraftKind, DraftNetwork, LayerArray};
use super::node::FileNode;
use super::pointwise::affine;
use super::value::{Features, Floats, NodeResult, Operand, checked_count};
use crate::nn::architecture::{Algorithm, Op, Pair};
use crate::tensor::Shape;
use ndarray::{Array2, Array4, ArrayD, ArrayView2, ArrayView4, Ix2, Ix4, IxDyn};

/// Sizes of a kernel and its border, [y, x].
pub struct KernelWindow {
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Zeros before and after.
    pub border: [[usize; 2]; 2],
    pub groups: usize,
}

impl KernelWindow {
    /// Every pixel by itself, from all channels.
    pub const PIXEL: Self =
        Self { stride: [1; 2], dilation: [1; 2], border: [[0; 2]; 2], groups: 1 };
}

pub fn convolution(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let weight = node.floats(1)?.clone().into_dimensionality::<Ix4>().map_err(|_| {
        let shape = node.floats(1).map(|w| w.shape().to_vec()).unwrap_or_default();
        format!("has weights of {shape:?}; four dimensions, as images have, are possible")
    })?;
    let bias = match node.optional(2) {
        Some(bias) => Some(node_vector(bias.floats()?, weight.shape()[0], "bias")?),
        None => None,
    };
    let mut place = network.image(&x)?;
    let groups = usize::try_from(node.int("group", 1)).map_err(|_| "has negative groups")?;
    let (stride, dilation) = (node.sides("strides", 1)?, node.sides("dilations", 1)?);
    let kernel = [weight.shape()[2], weight.shape()[3]];
    let spread = [0, 1].map(|i| kernel[i].saturating_sub(1).saturating_mul(dilation[i]) + 1);
    let mut border = node.pads([x.dims[1], x.dims[2]], spread, stride)?;
    // Zeros around zeros are zeros.
    if let Some(&(_, of, more)) = network.borders.iter().find(|(at, ..)| *at == place) {
        place = of;
        border = [0, 1].map(|end| [0, 1].map(|i| border[end][i].saturating_add(more[end][i])));
    }
    let name = node.parameters_name(1);
    let window = KernelWindow { stride, dilation, border, groups };
    convolve(network, &name, place, weight.view(), bias, &window)
        .map(|place| with_shape(network, place))
}

/// Adds a convolution. Ours have the same border on both sides and no gaps in their kernels: a larger kernel with zeros
/// in it computes the same.
pub fn convolve(
    network: &mut DraftNetwork,
    name: &str,
    place: usize,
    weight: ArrayView4<'_, f32>,
    bias: Option<Vec<f32>>,
    window: &KernelWindow,
) -> NodeResult<usize> {
    let &[outputs, inputs, height, width] = weight.shape() else {
        return Err("has no kernel".into());
    };
    let KernelWindow { stride, dilation, border: [before, after], groups } = *window;
    if dilation.contains(&0) || height == 0 || width == 0 {
        return Err("has a kernel without numbers".into());
    }
    let size = |i: usize, taps: usize| {
        let spread = (taps - 1).checked_mul(dilation[i])?.checked_add(1)?;
        spread.checked_add(before[i].abs_diff(after[i]))
    };
    let (Some(rows), Some(columns)) = (size(0, height), size(1, width)) else {
        return Err("has a kernel that is too large".into());
    };
    let padding = [0, 1].map(|i| before[i].max(after[i]));
    // Where the first tap lies: the border is as wide as the wider side's.
    let first = [0, 1].map(|i| padding[i] - before[i]);
    let shape = [outputs, inputs, rows, columns];
    checked_count(&shape)?;
    let kernel = match shape == [outputs, inputs, height, width] {
        true => weight.to_owned(),
        false => {
            let mut kernel = Array4::zeros(shape);
            for ((o, i, y, x), &number) in weight.indexed_iter() {
                kernel[[o, i, first[0] + y * dilation[0], first[1] + x * dilation[1]]] = number;
            }
            kernel
        }
    };
    let op = Op::Conv2d {
        out: outputs,
        kernel: Pair([rows, columns]),
        stride: Pair(stride),
        padding: Pair(padding),
        groups,
        bias: bias.is_some(),
        algorithm: Algorithm::Lanes,
    };
    let mut arrays = vec![LayerArray {
        suffix: "weight",
        shape: shape.to_vec(),
        values: kernel.iter().copied().collect(),
    }];
    arrays.extend(bias.map(|values| LayerArray { suffix: "bias", shape: vec![outputs], values }));
    let expected = network.shape(place).channels;
    if inputs.checked_mul(groups) != Some(expected) {
        return Err(format!(
            "has weights for {inputs} channels in {groups} groups, and {expected} come in"
        ));
    }
    network.add(name, DraftKind::Layer(op, arrays), &[place])
}

/// Features of the shape of a place.
pub fn with_shape(network: &DraftNetwork, place: usize) -> Operand {
    let shape = network.shape(place);
    Operand::Features(Features::new(place, vec![shape.channels, shape.height, shape.width]))
}

/// `alpha x W + beta c`
pub fn gemm(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    if node.int("transA", 0) != 0 {
        return Err("transposes features (transA = 1)".into());
    }
    let x = node.features(0)?.clone();
    let mut weight = matrix(node.floats(1)?)?;
    if node.int("transB", 0) == 0 {
        weight.swap_axes(0, 1);
    }
    let alpha = node.float("alpha", 1.0);
    if alpha != 1.0 {
        weight.mapv_inplace(|number| alpha * number);
    }
    let y = linear(network, node, &x, weight.view())?;
    let Some(bias) = node.optional(2) else { return Ok(Operand::Features(y)) };
    let beta = f64::from(node.float("beta", 1.0));
    let (y, bias) = super::pointwise::numbers(network, node, bias.floats()?, &y)?;
    let bias = bias.iter().map(|number| beta * number).collect();
    affine(network, node, &y, vec![1.0], bias).map(Operand::Features)
}

/// `x W`, whose bias may follow as an addition.
pub fn product(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    let x = node.features(0)?.clone();
    let weight = matrix(node.floats(1)?)?;
    let y = linear(network, node, &x, weight.t())?;
    Ok(Operand::Features(y))
}

fn matrix(floats: &Floats) -> NodeResult<ndarray::ArcArray2<f32>> {
    let matrix = floats.clone().into_dimensionality::<Ix2>();
    matrix.map_err(|_| {
        format!("multiplies by an array of {:?}; a matrix is possible", floats.shape())
    })
}

/// A linear layer with weights [out, in].
fn linear(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    x: &Features,
    weight: ArrayView2<'_, f32>,
) -> NodeResult<Features> {
    let &[out, inputs] = weight.shape() else { return Err("has no matrix".into()) };
    let (last, others) =
        x.dims.split_last().ok_or("takes a number for each image, not a vector")?;
    if *last != inputs {
        return Err(format!("multiplies {last} features by a matrix for {inputs}"));
    }
    if others.iter().any(|&side| side != 1) {
        return pixels(network, node, x, weight)?.ok_or_else(|| {
            format!(
                "multiplies each row of {:?} by a matrix; rows that are the channels of a pixel are possible, or flatten the \
                 features first",
                x.dims
            )
        });
    }
    let features = network.shape(x.place).features();
    let weight = match &x.order {
        None => weight.to_owned(),
        // What is picked several times has the sum of the weights, and what is not has none.
        Some(order) => {
            if features > order.len() {
                checked_count(&[out, features])?;
            }
            let mut own = Array2::zeros([out, features]);
            for (position, &feature) in order.iter().enumerate() {
                let mut column = own.column_mut(feature);
                column += &weight.column(position);
            }
            own
        }
    };
    // It takes an image as it is, channels first.
    let place = match network.draft(x.place).is_some() || network.input.is_some() {
        true => x.place,
        false => network.vector(&Features::new(x.place, vec![features]), node.name())?,
    };
    let values = weight.iter().copied().collect();
    let shape = weight.shape().to_vec();
    let arrays = vec![LayerArray { suffix: "weight", shape, values }];
    let op = Op::Linear { out, bias: false };
    let place = network.add(&node.parameters_name(1), DraftKind::Layer(op, arrays), &[place])?;
    let dims = others.iter().copied().chain([out]).collect();
    Ok(Features::new(place, dims))
}

/// A linear layer on the channels of each pixel, as networks have it whose channels come last; None if the rows are others.
fn pixels(
    network: &mut DraftNetwork,
    node: &FileNode<'_>,
    x: &Features,
    weight: ArrayView2<'_, f32>,
) -> NodeResult<Option<Features>> {
    let Shape { channels, height, width } = network.shape(x.place);
    let (pixels, inputs, out) = (height * width, weight.ncols(), weight.nrows());
    let own = x.indices()?;
    let rows: Vec<usize> = own.iter().copied().collect();
    let at =
        |row: usize, i: usize| (rows[row * inputs + i] / pixels, rows[row * inputs + i] % pixels);
    let count = rows.len() / inputs;
    let is_pixel = |row: usize| {
        (0..inputs).all(|i| (at(row, i).0, at(row, i).1) == (at(0, i).0, at(row, 0).1))
    };
    if inputs != channels || !(0..count).all(is_pixel) {
        return Ok(None);
    }
    let mut kernel = Array4::zeros([out, channels, 1, 1]);
    for ((out, i), &number) in weight.indexed_iter() {
        kernel[[out, at(0, i).0, 0, 0]] += number;
    }
    let name = node.parameters_name(1);
    let place = convolve(network, &name, x.place, kernel.view(), None, &KernelWindow::PIXEL)?;
    let features = (0..count).flat_map(|row| (0..out).map(move |out| (row, out)));
    let features = features.map(|(row, out)| out * pixels + at(row, 0).1).collect();
    let mut dims = x.dims.clone();
    checked_count(&[count, out])?;
    dims.pop();
    dims.push(out);
    let indices = ArrayD::from_shape_vec(IxDyn(&dims), features);
    Ok(Some(network.ordered(place, &indices.map_err(|error| error.to_string())?)))
}

pub fn batch_norm(network: &mut DraftNetwork, node: &FileNode<'_>) -> NodeResult<Operand> {
    // Before version 14 it is the outputs that tell: statistics of the batch are given in training mode alone.
    let outputs = node.proto.output.iter().filter(|name| !name.is_empty()).count();
    let in_training = node.int("training_mode", 0) != 0 || node.opset < 14 && outputs > 1;
    if in_training || node.int("is_test", 1) == 0 {
        return Err("is in training mode; export after model.eval()".into());
    }
    if node.int("spatial", 1) == 0 {
        return Err("has statistics of each pixel (spatial = 0)".into());
    }
    let x = node.features(0)?.clone();
    let place = network.own(&x, node.name())?;
    let channels = network.shape(place).channels;
    let mut arrays = Vec::new();
    for (i, suffix) in ["weight", "bias", "running_mean", "running_var"].into_iter().enumerate() {
        let values = node_vector(node.floats(i + 1)?, channels, suffix)?;
        arrays.push(LayerArray { suffix, shape: vec![channels], values });
    }
    // ONNX counts the share of the old statistics.
    let momentum = complement(node.float("momentum", 0.9)).clamp(0.0, 1.0);
    let op = Op::BatchNorm { eps: node.float("epsilon", 1e-5), momentum };
    let place = network.add(&node.parameters_name(1), DraftKind::Layer(op, arrays), &[place])?;
    Ok(Operand::Features(x.at(place)))
}

/// So many numbers in a row.
fn node_vector(floats: &Floats, count: usize, what: &str) -> NodeResult<Vec<f32>> {
    if floats.shape() != [count] {
        return Err(format!("has {what} of {:?}, expected {count} numbers", floats.shape()));
    }
    Ok(floats.iter().copied().collect())
}

/// `1 - share` of the decimals that a file's author wrote: of 0.9 it is 0.1, where f32 would have 0.100000024.
pub(super) fn complement(share: f32) -> f32 {
    let decimals = share.to_string().parse().unwrap_or(f64::from(share));
    (1.0 - decimals) as f32
}
