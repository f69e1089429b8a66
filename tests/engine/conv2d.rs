//! Convolution in all three directions against a naive f64 reference and the materialized im2col.

use crate::common::{
    best, bits, dead_lanes_are_zero, isas, numbers, relative, tensor, wide, widen,
};
use deepsleep::autodiff::Tape;
use deepsleep::kernels::conv2d::{
    self as kernel, Algorithm, Conv2dOptions, Geometry, Materialized,
};
use deepsleep::simd::{Isa, Lanes};
use deepsleep::tensor::{Context, Shape, Tensor};
use proptest::prelude::*;

/// Sums of up to 12 x 7 x 7 products (forward), or of all pixels of 49 samples (weight gradient), in f32.
const TOLERANCE: f64 = 2e-6;

#[derive(Clone, Debug)]
struct Case {
    samples: usize,
    input: Shape,
    weight: [usize; 4],
    options: Conv2dOptions,
}

/// Calls `f(output index, input index, weight index)` for every product of a convolution of one sample.
fn for_each_product(case: &Case, mut f: impl FnMut(usize, usize, usize)) {
    let [out_channels, per_group, ky, kx] = case.weight;
    let Conv2dOptions { stride: [sy, sx], padding: [py, px], groups, .. } = case.options;
    let Shape { height, width, .. } = case.input;
    let (rows, columns) = ((height + 2 * py - ky) / sy + 1, (width + 2 * px - kx) / sx + 1);
    for o in 0..out_channels {
        for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
            for c in 0..per_group {
                for (i, j) in (0..ky).flat_map(|i| (0..kx).map(move |j| (i, j))) {
                    let (v, u) = (y * sy + i, x * sx + j);
                    if v < py || v >= height + py || u < px || u >= width + px {
                        continue;
                    }
                    let channel = o / (out_channels / groups) * per_group + c;
                    let at = (channel * height + v - py) * width + u - px;
                    f((o * rows + y) * columns + x, at, ((o * per_group + c) * ky + i) * kx + j);
                }
            }
        }
    }
}

/// Output, input gradient and weight gradient in f64.
fn reference(case: &Case, g: &Geometry, x: &[f64], w: &[f64], grad: &[f64]) -> [Vec<f64>; 3] {
    let (inputs, outputs) = (case.input.features(), g.output.features());
    let mut all = [vec![0.0; grad.len()], vec![0.0; x.len()], vec![0.0; w.len()]];
    let [out, x_grad, w_grad] = &mut all;
    for n in 0..case.samples {
        for_each_product(case, |o, i, t| {
            let (o, i) = (n * outputs + o, n * inputs + i);
            out[o] += x[i] * w[t];
            x_grad[i] += grad[o] * w[t];
            w_grad[t] += grad[o] * x[i];
        });
    }
    all
}

/// The same three through the tape.
fn on_tape(
    context: &Context,
    case: &Case,
    x: &Tensor,
    w: &[f32],
    grad: &Tensor,
) -> (Tensor, Tensor, Vec<f32>) {
    let mut tape = Tape::new(context.clone());
    let input = tape.input(x.clone());
    let weight = tape.weight(&case.weight, w).unwrap();
    let out = tape.conv2d(input, weight, case.options).unwrap();
    tape.backward_from(out, grad.clone()).unwrap();
    let x_grad = tape.gradient(input).unwrap().clone();
    let w_grad = tape.weight_gradient(weight).unwrap().to_vec();
    (tape.value(out).clone(), x_grad, w_grad)
}

fn cases() -> impl Strategy<Value = Case> {
    let samples = prop::sample::select(vec![1_usize, 2, 15, 16, 17, 31, 33]);
    let groups = prop::sample::select(vec![1_usize, 1, 1, 2, 3]);
    let algorithm =
        prop::sample::select(vec![Algorithm::Lanes, Algorithm::Lanes, Algorithm::Im2col]);
    let pair = |range: std::ops::RangeInclusive<usize>| [range.clone(), range];
    let sides = (pair(1..=7), pair(1..=3), pair(0..=3), pair(0..=5));
    (samples, groups, algorithm, sides).prop_flat_map(
        |(samples, groups, algorithm, ([ky, kx], stride, padding, [more_y, more_x]))| {
            // The smallest input that the kernel fits, and up to five pixels more.
            let height = (ky.saturating_sub(2 * padding[0])).max(1) + more_y;
            let width = (kx.saturating_sub(2 * padding[1])).max(1) + more_x;
            (1..=12 / groups, 1..=12 / groups).prop_map(move |(out, input)| Case {
                samples,
                input: Shape::new(input * groups, height, width),
                weight: [out * groups, input, ky, kx],
                options: Conv2dOptions::new(stride, padding, groups)
                    .with(|options| options.algorithm = algorithm),
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_direction_is_the_f64_reference_with_equal_bits_everywhere(case in cases(), seed: u64) {
        let g = Geometry::new(case.input, case.weight, case.options).unwrap();
        let x = tensor(seed, case.samples, case.input);
        let grad = tensor(seed ^ 1, case.samples, g.output);
        let w = numbers(seed ^ 2, g.weights());
        let [out, x_grad, w_grad] = reference(&case, &g, &wide(&x), &widen(&w), &wide(&grad));
        let mut first: Option<[Vec<u32>; 3]> = None;
        for (isa, threads) in isas().into_iter().flat_map(|isa| [(isa, 1), (isa, 2)]) {
            let context = Context::with_isa(isa, threads).unwrap();
            let found = on_tape(&context, &case, &x, &w, &grad);
            prop_assert_eq!(found.0.shape(), g.output);
            prop_assert!(dead_lanes_are_zero(&found.0) && dead_lanes_are_zero(&found.1));
            let errors = [
                relative(found.0.to_array(), out.iter().copied()),
                relative(found.1.to_array(), x_grad.iter().copied()),
                relative(found.2.iter().copied(), w_grad.iter().copied()),
            ];
            prop_assert!(errors.iter().all(|&e| e < TOLERANCE), "{} {errors:?}", isa.name());
            let found_bits = [
                bits(found.0.lanes()),
                bits(found.1.lanes()),
                found.2.iter().map(|x| x.to_bits()).collect(),
            ];
            prop_assert_eq!(&found_bits, first.get_or_insert_with(|| found_bits.clone()), "{}", isa.name());
        }
    }

    /// The materialized way shares nothing with the kernels but the geometry; both take the input with its border.
    #[test]
    fn the_kernels_agree_with_materialized_im2col(case in cases(), seed: u64) {
        let g = Geometry::new(case.input, case.weight, case.options).unwrap();
        let x = tensor(seed, case.samples, g.input);
        let grad = tensor(seed ^ 1, case.samples, g.output);
        let w = numbers(seed ^ 2, g.weights());
        let mut columns = vec![0.0; Materialized::room(&g)];
        let mut dense = Materialized::new(g, &mut columns);
        let mut expected = [Vec::new(), Vec::new(), vec![0.0; g.weights()]];
        let mut one = [vec![0.0; g.output.features()], vec![0.0; g.input.features()]];
        for n in 0..case.samples {
            let x: Vec<f32> = x.sample(0, n).collect();
            let grad: Vec<f32> = grad.sample(0, n).collect();
            dense.forward(&x, &w, &mut one[0]);
            dense.input_grad(&grad, &w, &mut one[1]);
            dense.add_weight_grad(&x, &grad, &mut expected[2]);
            expected[0].extend(&one[0]);
            expected[1].extend(&one[1]);
        }
        for isa in isas() {
            let found = through_kernels(isa, &g, &x, &grad, &w);
            for (found, expected) in found.into_iter().zip(&expected) {
                let error = relative(found, widen(expected));
                prop_assert!(error < 2.0 * TOLERANCE, "{} {error:e}", isa.name());
            }
        }
    }

    #[test]
    fn linear_is_the_f64_reference(
        samples in 1_usize..40, input in (1_usize..6, 1_usize..6, 1_usize..6), outputs in 1_usize..13, seed: u64,
    ) {
        let shape = Shape::new(input.0, input.1, input.2);
        let features = shape.features();
        let (x, grad) = (tensor(seed, samples, shape), tensor(seed ^ 1, samples, Shape::flat(outputs)));
        let w = numbers(seed ^ 2, outputs * features);
        let case = Case {
            samples,
            input: Shape::flat(features),
            weight: [outputs, features, 1, 1],
            options: Conv2dOptions::default(),
        };
        let g = Geometry::new(case.input, case.weight, case.options).unwrap();
        let [out, x_grad, w_grad] = reference(&case, &g, &wide(&x), &widen(&w), &wide(&grad));
        let mut first = None;
        for isa in isas() {
            let mut tape = Tape::new(Context::serial(isa));
            let input = tape.input(x.clone());
            let weight = tape.weight(&[outputs, features], &w).unwrap();
            let y = tape.linear(input, weight).unwrap();
            tape.backward_from(y, grad.clone()).unwrap();
            let (value, gradient) = (tape.value(y), tape.gradient(input).unwrap());
            let weight_gradient = tape.weight_gradient(weight).unwrap();
            prop_assert_eq!((value.shape(), gradient.shape()), (Shape::flat(outputs), shape));
            prop_assert!(relative(value.to_array(), out.iter().copied()) < TOLERANCE);
            prop_assert!(relative(gradient.to_array(), x_grad.iter().copied()) < TOLERANCE);
            prop_assert!(relative(weight_gradient.iter().copied(), w_grad.iter().copied()) < TOLERANCE);
            let all = (bits(value.lanes()), bits(gradient.lanes()), weight_gradient.to_vec());
            prop_assert_eq!(&all, first.get_or_insert_with(|| all.clone()));
        }
    }
}

fn through_kernels(isa: Isa, g: &Geometry, x: &Tensor, grad: &Tensor, w: &[f32]) -> [Vec<f32>; 3] {
    let (mut packed, mut packed_grad) = (Vec::new(), Vec::new());
    kernel::pack_forward(g, w, &mut packed);
    kernel::pack_input_grad(g, w, &mut packed_grad);
    let mut scratch = vec![Lanes::splat(f32::NAN); kernel::input_grad_scratch(g)];
    let mut out = Tensor::zeros(g.output, x.samples());
    let mut x_grad = Tensor::zeros(g.input, x.samples());
    for block in 0..x.blocks() {
        let to = &mut out.lanes_mut()[block * g.output.features()..][..g.output.features()];
        kernel::forward(isa, g, x.block(block), &packed, to);
        let to = &mut x_grad.lanes_mut()[block * g.input.features()..][..g.input.features()];
        kernel::input_grad(isa, g, grad.block(block), &packed_grad, to, &mut scratch);
    }
    let mut w_grad = vec![f32::NAN; g.weights()];
    // Shares of all sizes: a number does not depend on who else is in its tile.
    let mut first = 0;
    for share in (1..).map(|share| share % 7 + 1) {
        let in_group = g.out_channels() - first % g.out_channels();
        let share = share.min(in_group);
        let to = &mut w_grad[first * g.fan_in()..][..share * g.fan_in()];
        let needed = kernel::weight_grad_scratch(isa, g, share);
        let mut scratch = vec![Lanes::splat(f32::NAN); needed];
        kernel::weight_grad(isa, g, x.lanes(), grad.lanes(), first, to, &mut scratch);
        first += share;
        if first == g.output.channels {
            break;
        }
    }
    let values = |tensor: &Tensor| tensor.to_array().iter().copied().collect();
    [values(&out), values(&x_grad), w_grad]
}

/// Layers that go by Winograd, by vectors of channels or as large linear layers, with channels that fill no tile, odd sides,
/// every border, strides and groups; and one of each kind that is just not wide enough.
#[test]
fn wide_layers_are_the_f64_reference_with_equal_bits_everywhere() {
    // Samples, input, weight, stride, padding, groups.
    type Sizes = (usize, [usize; 3], [usize; 4], usize, [usize; 2], usize);
    let sizes: [Sizes; 22] = [
        (17, [8, 7, 6], [8, 8, 3, 3], 1, [1, 1], 1),
        (16, [13, 5, 9], [22, 13, 3, 3], 1, [0, 2], 1),
        (33, [16, 9, 4], [16, 16, 3, 3], 1, [2, 1], 1),
        (5, [40, 2, 2], [35, 40, 3, 3], 1, [1, 1], 1),
        (3, [9, 3, 8], [31, 9, 3, 3], 1, [0, 0], 1),
        (17, [18, 6, 6], [26, 9, 3, 3], 1, [1, 1], 2),
        (16, [7, 8, 8], [16, 7, 3, 3], 1, [1, 1], 1),
        (20, [64, 5, 5], [70, 64, 1, 1], 1, [0, 0], 1),
        (16, [9, 9, 8], [24, 9, 3, 3], 2, [1, 1], 1),
        (31, [5, 9, 9], [32, 5, 5, 5], 1, [2, 2], 1),
        (16, [36, 7, 7], [48, 12, 3, 3], 3, [2, 1], 3),
        (49, [70, 1, 1], [100, 70, 1, 1], 1, [0, 0], 1),
        (16, [4, 5, 5], [16, 4, 5, 5], 1, [0, 0], 1),
        (2, [16, 40, 3], [12, 16, 3, 3], 1, [1, 1], 1),
        (16, [128, 4, 4], [64, 128, 3, 3], 1, [1, 1], 1),
        (16, [12, 5, 5], [12, 1, 3, 3], 1, [1, 1], 12),
        // Large linear layers, and layers that take several blocks at a time.
        (20, [150, 1, 1], [113, 150, 1, 1], 1, [0, 0], 1),
        (130, [10, 3, 5], [121, 10, 3, 5], 1, [0, 0], 1),
        (85, [300, 1, 1], [219, 300, 1, 1], 1, [0, 0], 1),
        (40, [96, 3, 4], [80, 96, 3, 3], 1, [1, 1], 1),
        // Kernels of many taps around a single pixel.
        (33, [10, 1, 1], [16, 10, 3, 3], 1, [1, 1], 1),
        (20, [24, 1, 2], [32, 12, 3, 4], 1, [1, 1], 2),
    ];
    for (seed, (samples, [channels, height, width], weight, stride, padding, groups)) in
        (0..).zip(sizes)
    {
        let options = Conv2dOptions::default().with(|o| {
            o.stride = [stride; 2];
            o.padding = padding;
            o.groups = groups;
        });
        let input = Shape::new(channels, height, width);
        let case = Case { samples, input, weight, options };
        let g = Geometry::new(input, weight, options).unwrap();
        let (x, grad) = (tensor(seed, samples, input), tensor(seed ^ 64, samples, g.output));
        let w = numbers(seed ^ 128, g.weights());
        let expected = reference(&case, &g, &wide(&x), &widen(&w), &wide(&grad));
        let mut first: Option<[Vec<u32>; 3]> = None;
        for (isa, threads) in isas().into_iter().flat_map(|isa| [(isa, 1), (isa, 3)]) {
            let context = Context::with_isa(isa, threads).unwrap();
            let (out, x_grad, w_grad) = on_tape(&context, &case, &x, &w, &grad);
            assert!(dead_lanes_are_zero(&out) && dead_lanes_are_zero(&x_grad), "{case:?}");
            let errors = [
                relative(out.to_array(), expected[0].iter().copied()),
                relative(x_grad.to_array(), expected[1].iter().copied()),
                relative(w_grad.iter().copied(), expected[2].iter().copied()),
            ];
            assert!(errors.iter().all(|&e| e < TOLERANCE), "{} {case:?} {errors:?}", isa.name());
            let found = [
                bits(out.lanes()),
                bits(x_grad.lanes()),
                w_grad.iter().map(|x| x.to_bits()).collect(),
            ];
            let first = first.get_or_insert_with(|| found.clone());
            assert!(&found == first, "{} with {threads} threads: {case:?}", isa.name());
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors_that_name_both() {
    let mut tape = Tape::new(Context::serial(best()));
    let x = tape.input(tensor(1, 3, Shape::new(2, 5, 6)));
    let refused = |tape: &mut Tape, weight: &[usize], options: Conv2dOptions, parts: &[&str]| {
        let w = tape.weight(weight, &numbers(2, weight.iter().product())).unwrap();
        let message = tape.conv2d(x, w, options).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{message}: no {part}");
        }
    };
    let plain = Conv2dOptions::default();
    refused(&mut tape, &[4, 3, 3, 3], plain, &["conv2d", "2x5x6", "[4, 3, 3, 3]"]);
    refused(&mut tape, &[4, 2, 6, 3], plain, &["conv2d", "2x5x6", "[4, 2, 6, 3]"]);
    refused(&mut tape, &[4, 2, 3, 7], plain, &["conv2d", "2x5x6", "[4, 2, 3, 7]"]);
    let options = |stride, padding, groups| Conv2dOptions::new(stride, padding, groups);
    refused(&mut tape, &[3, 1, 3, 3], options([1, 1], [0, 0], 2), &["[3, 1, 3, 3]", "groups 2"]);
    refused(&mut tape, &[4, 2, 3, 3], options([1, 1], [0, 0], 0), &["2x5x6", "groups 0"]);
    refused(&mut tape, &[4, 2, 3, 3], options([0, 1], [0, 0], 1), &["2x5x6", "stride [0, 1]"]);
    // Numbers that overflow when multiplied or added.
    let huge = usize::MAX / 2 + 1;
    refused(&mut tape, &[4, 2, 3, 3], options([1, 1], [0, 0], huge), &["2x5x6", "groups"]);
    refused(&mut tape, &[4, 2, 3, 3], options([1, 1], [huge, 0], 1), &["2x5x6", "padding"]);
    refused(&mut tape, &[4, 2, 3, 3], options([1, 1], [0, huge], 1), &["2x5x6", "padding"]);
    // A stride beyond the input is a convolution with one output.
    let w = tape.weight(&[4, 2, 3, 3], &numbers(2, 72)).unwrap();
    let out = tape.conv2d(x, w, options([usize::MAX, usize::MAX], [0, 0], 1)).unwrap();
    assert_eq!(tape.value(out).shape(), Shape::new(4, 1, 1));
    tape.backward_from(out, tensor(3, 3, Shape::new(4, 1, 1))).unwrap();

    let w = tape.weight(&[3, 59], &numbers(2, 177)).unwrap();
    let message = tape.linear(x, w).unwrap_err().to_string();
    assert!(message.contains("2x5x6") && message.contains("[3, 59, 1, 1]"), "{message}");
    for (shape, count) in
        [(&[2, 3][..], 5), (&[], 1), (&[1, 1, 1, 1, 1], 1), (&[huge, 2], 0), (&[0, 60], 0)]
    {
        let message = tape.weight(shape, &vec![0.0; count]).unwrap_err().to_string();
        assert!(message.contains(&format!("{shape:?}")), "{message}");
    }
}
