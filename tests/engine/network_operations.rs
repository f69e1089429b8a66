//! The operations that networks of all kinds need: against central differences and references of a few lines, with equal
//! bits on every instruction set, dead lanes zero.

use crate::common::{bits, dead_lanes_are_zero, isas, numbers};
use deepsleep::Result;
use deepsleep::autodiff::{FrozenConv, Labels, Seed, Tape, Var, check_gradients};
use deepsleep::kernels::activation::Activation;
use deepsleep::kernels::conv2d::{Conv2dOptions, Geometry};
use deepsleep::kernels::pool::PoolOptions;
use deepsleep::kernels::robust_loss::PairLoss;
use deepsleep::tensor::{Context, Shape, Tensor};
use ndarray::Array4;
use std::sync::Arc;

fn images(seed: u64, size: (usize, usize, usize, usize), factor: f32) -> Array4<f32> {
    let count = size.0 * size.1 * size.2 * size.3;
    let values = numbers(seed, count).into_iter().map(|v| v * factor).collect();
    Array4::from_shape_vec(size, values).unwrap()
}

/// Output and input gradient of the sum, with equal bits on every instruction set.
fn run(x: &Array4<f32>, f: impl Fn(&mut Tape, Var) -> Result<Var>) -> (Array4<f32>, Array4<f32>) {
    let mut first: Option<(Tensor, Tensor)> = None;
    for (isa, threads) in isas().into_iter().flat_map(|isa| [(isa, 1), (isa, 2)]) {
        let mut tape = Tape::new(Context::with_isa(isa, threads).unwrap());
        let input = tape.input(Tensor::from_array(x.view()));
        let y = f(&mut tape, input).unwrap();
        tape.backward(y, Seed::Sum).unwrap();
        let (y, grad) = (tape.value(y).clone(), tape.gradient(input).unwrap().clone());
        assert!(dead_lanes_are_zero(&y) && dead_lanes_are_zero(&grad), "{}", isa.name());
        let (y0, grad0) = first.get_or_insert_with(|| (y.clone(), grad.clone()));
        assert_eq!(bits(y.lanes()), bits(y0.lanes()), "{}", isa.name());
        assert_eq!(bits(grad.lanes()), bits(grad0.lanes()), "{}", isa.name());
    }
    let (y, grad) = first.unwrap();
    (y.to_array(), grad.to_array())
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The normal distribution function by Simpson's rule.
fn normal(x: f64) -> f64 {
    let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let (n, h) = (2000, x / 2000.0);
    let weight = |i: usize| if i == 0 || i == n { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
    0.5 + (0..=n).map(|i| weight(i) * density(i as f64 * h)).sum::<f64>() * h / 3.0
}

fn reference(activation: Activation, x: f64) -> f64 {
    let hard = (x / 6.0 + 0.5).clamp(0.0, 1.0);
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::LeakyRelu { slope } => {
            if x > 0.0 {
                x
            } else {
                f64::from(slope) * x
            }
        }
        Activation::Elu { alpha } => {
            if x > 0.0 {
                x
            } else {
                f64::from(alpha) * x.exp_m1()
            }
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Mish => x * x.exp().ln_1p().tanh(),
        Activation::Softplus => x.exp().ln_1p(),
        Activation::Gelu => x * normal(x),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            x * (1.0 + inner.tanh()) / 2.0
        }
        Activation::HardSigmoid => hard,
        Activation::HardSwish => x * hard,
        Activation::Clamp { low, high } => x.clamp(f64::from(low), f64::from(high)),
    }
}

const ALL: [Activation; 13] = [
    Activation::Relu,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::LeakyRelu { slope: 0.1 },
    Activation::Elu { alpha: 1.5 },
    Activation::Silu,
    Activation::Mish,
    Activation::Softplus,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::HardSigmoid,
    Activation::HardSwish,
    Activation::Clamp { low: 0.25, high: 1.0 },
];

#[test]
fn activations_and_their_derivatives_are_their_f64_references() {
    // Odd hundredths: away from every kink, where no difference quotient means anything.
    let x = Array4::from_shape_fn((19, 1, 7, 7), |(n, _, y, x)| {
        ((n * 49 + y * 7 + x) as f32 - 465.0) * 0.02 + 0.0093
    });
    for activation in ALL {
        let (y, grad) = run(&x, |tape, x| Ok(tape.activate(x, activation)));
        for ((&x, &y), &grad) in x.iter().zip(&y).zip(&grad) {
            let x = f64::from(x);
            let expected = reference(activation, x);
            let slope = (reference(activation, x + 1e-5) - reference(activation, x - 1e-5)) / 2e-5;
            let tolerance = 2e-6 * (1.0 + x.abs());
            assert!(
                (f64::from(y) - expected).abs() < tolerance,
                "{activation:?} {x}: {y} {expected}"
            );
            assert!(
                (f64::from(grad) - slope).abs() < 2.0 * tolerance,
                "{activation:?} {x}: {grad} {slope}"
            );
        }
    }
}

#[test]
fn next_to_zero_the_exponential_unit_keeps_its_digits() {
    let x = Array4::from_elem((1, 1, 1, 1), -1e-6);
    let (y, _) = run(&x, |tape, x| Ok(tape.activate(x, Activation::Elu { alpha: 1.0 })));
    assert!((f64::from(y[[0, 0, 0, 0]]) / (-1e-6_f64).exp_m1() - 1.0).abs() < 1e-6);
}

/// A pooling of one plane by its definition: maximum, or mean; PyTorch's rule for which windows there are.
fn pooled(x: &Array4<f32>, window: usize, o: PoolOptions, mean: bool) -> Array4<f32> {
    let (n, c, height, width) = x.dim();
    let (k, s, p) = (window as i64, o.stride[0] as i64, o.padding[0] as i64);
    let outputs = |size: usize| {
        let room = size as i64 + 2 * p - k;
        let mut count = if o.ceil { (room + s - 1) / s + 1 } else { room / s + 1 };
        if o.ceil && (count - 1) * s >= size as i64 + p {
            count -= 1;
        }
        count as usize
    };
    Array4::from_shape_fn((n, c, outputs(height), outputs(width)), |(n, c, oy, ox)| {
        let (top, left) = (oy as i64 * s - p, ox as i64 * s - p);
        let inside = |i: i64, size: usize| (0..size as i64).contains(&i);
        let all: Vec<f32> = (top..top + k)
            .flat_map(|y| (left..left + k).map(move |x| (y, x)))
            .filter(|&(y, x)| inside(y, height) && inside(x, width))
            .map(|(y, x_)| x[[n, c, y as usize, x_ as usize]])
            .collect();
        let with_border = |at: i64, size: usize| (at + k).min(size as i64 + p) - at;
        let count = match o.count_include_pad {
            true => (with_border(top, height) * with_border(left, width)) as usize,
            false => all.len(),
        };
        match mean {
            true => all.iter().sum::<f32>() / count as f32,
            false => all.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        }
    })
}

#[test]
fn pools_with_borders_are_their_definition() {
    let x = images(3, (18, 2, 7, 6), 1.0);
    for (window, stride, padding) in
        [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 1), (4, 3, 2), (5, 2, 0)]
    {
        for (ceil, count_include_pad) in
            [(false, true), (true, true), (true, false), (false, false)]
        {
            let mut options = PoolOptions::of_stride([stride; 2]);
            options.padding = [padding; 2];
            options.ceil = ceil;
            options.count_include_pad = count_include_pad;
            let (max, grad) = run(&x, |tape, x| tape.max_pool_with(x, [window; 2], options));
            assert_eq!(max, pooled(&x, window, options, false), "{window} {options:?}");
            // Every window gives its gradient away, all of it.
            assert_eq!(grad.sum(), max.len() as f32, "{window} {options:?}");
            let (mean, _) = run(&x, |tape, x| tape.avg_pool_with(x, [window; 2], options));
            let expected = pooled(&x, window, options, true);
            assert_eq!(mean.dim(), expected.dim());
            let error = mean.iter().zip(&expected).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(error < 1e-6, "{window} {options:?}: {error}");
            let small = images(4, (2, 1, 7, 6), 1.0);
            let report = check_gradients(small.view(), &[], |tape, x, _| {
                let y = tape.avg_pool_with(x, [window; 2], options)?;
                Ok(tape.tanh(y))
            });
            assert!(report.unwrap().worst() < 1e-2);
        }
    }
    let mut tape = Tape::new(Context::new(1).unwrap());
    let x = tape.input(Tensor::from_array(x.view()));
    let mut options = PoolOptions::of_stride([1, 1]);
    options.padding = [2, 2];
    let error = tape.max_pool_with(x, [3, 3], options).unwrap_err().to_string();
    assert!(error.contains("borders of at most half a window"), "{error}");
    assert!(error.contains("padding [2, 2]"), "{error}");
}

#[test]
fn joined_and_scaled_channels_are_theirs() {
    let x = images(5, (17, 2, 3, 2), 1.0);
    let (y, grad) = run(&x, |tape, x| {
        let scaled = tape.affine(x, &[2.0, -3.0], &[0.5, 0.25])?;
        let joined = tape.concat(&[x, scaled, x])?;
        Ok(tape.flatten(joined))
    });
    assert_eq!(y.dim(), (17, 36, 1, 1));
    for (n, c, i) in (0..17).flat_map(|n| (0..2).flat_map(move |c| (0..6).map(move |i| (n, c, i))))
    {
        let value = x[[n, c, i / 2, i % 2]];
        let (scale, shift) = [(2.0, 0.5), (-3.0, 0.25)][c];
        let found = [0, 12, 24].map(|part| y[[n, part + 6 * c + i, 0, 0]]);
        assert_eq!(found, [value, value.mul_add(scale, shift), value]);
        assert_eq!(grad[[n, c, i / 2, i % 2]], scale + 2.0);
    }
}

#[test]
fn frozen_convolutions_with_borders_are_the_trained_ones() {
    for (groups, stride, padding, kernel) in [
        (1, 1, [1, 1], [3, 3]),
        (2, 2, [1, 2], [3, 5]),
        (1, 2, [2, 0], [5, 1]),
        (4, 1, [1, 1], [3, 3]),
    ] {
        let options = Conv2dOptions::default().with(|o| {
            o.stride = [stride; 2];
            o.padding = padding;
            o.groups = groups;
        });
        let (x, shape) = (images(6, (18, 4, 8, 6), 1.0), [8, 4 / groups, kernel[0], kernel[1]]);
        let (w, b) = (numbers(7, shape.iter().product()), numbers(8, 8));
        let g = Geometry::new(Shape::new(4, 8, 6), shape, options).unwrap();
        let frozen = Arc::new(FrozenConv::new(g, &w, b.clone()).unwrap());
        let trained = |tape: &mut Tape, x| {
            let (w, b) = (tape.weight(&shape, &w)?, tape.weight(&[8], &b)?);
            let maps = tape.conv2d(x, w, options)?;
            tape.bias(maps, b)
        };
        assert_eq!(run(&x, |tape, x| tape.frozen(x, &frozen)), run(&x, trained));
        if g.output.height.is_multiple_of(2) && g.output.width.is_multiple_of(2) {
            let (y, grad) = run(&x, |tape, x| tape.frozen_relu_pool(x, &frozen));
            let (expected, expected_grad) = run(&x, |tape, x| {
                let maps = trained(tape, x)?;
                let maps = tape.relu(maps);
                tape.max_pool(maps, [2, 2], [2, 2])
            });
            assert_eq!(y, expected);
            let error = (&grad - &expected_grad).iter().fold(0.0_f32, |m, e| m.max(e.abs()));
            assert!(error < 1e-5, "{error}");
        }
    }
}

#[test]
fn products_have_both_gradients() {
    // 20 samples: a block that is full, and one that is not.
    let (a, b) = (images(1, (20, 3, 2, 2), 1.0), images(2, (20, 3, 2, 2), 1.0));
    let gate = images(3, (20, 3, 1, 1), 1.0);
    for b in [b, gate] {
        let fixed = Tensor::from_array(b.view());
        let (y, grad) = run(&a, |tape, x| {
            let b = tape.constant(fixed.clone());
            tape.mul(x, b)
        });
        let of = |n: usize, c: usize, y: usize, x: usize| {
            b[[n, c, y.min(b.shape()[2] - 1), x.min(b.shape()[3] - 1)]]
        };
        for ((n, c, i, j), &a) in a.indexed_iter() {
            assert_eq!(y[[n, c, i, j]], a * of(n, c, i, j));
            assert_eq!(grad[[n, c, i, j]], of(n, c, i, j));
        }
        let fixed = Tensor::from_array(a.view());
        let (_, grad) = run(&b, |tape, x| {
            let a = tape.constant(fixed.clone());
            tape.mul(a, x)
        });
        for ((n, c, i, j), &found) in grad.indexed_iter() {
            let expected: f32 = match b.shape()[2] {
                1 => a.slice(ndarray::s![n, c, .., ..]).sum(),
                _ => a[[n, c, i, j]],
            };
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
    let mut tape = Tape::new(Context::new(1).unwrap());
    let x = tape.input(Tensor::from_array(a.view()));
    let y = tape.input(Tensor::from_array(images(4, (20, 2, 1, 1), 1.0).view()));
    let error = tape.mul(x, y).unwrap_err().to_string();
    assert!(error.contains("mul") && error.contains("3x1x1") && error.contains("2x1x1"), "{error}");
    // Squares, whose one variable gets both gradients.
    let (y, grad) = run(&a, |tape, x| tape.mul(x, x));
    assert!(y.iter().zip(&a).all(|(y, a)| *y == a * a));
    assert!(grad.iter().zip(&a).all(|(grad, a)| *grad == 2.0 * a));
}

/// Soft-max in f64.
fn probabilities(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().fold(f64::NEG_INFINITY, |m, z| m.max(*z));
    let sum: f64 = logits.iter().map(|z| (z - most).exp()).sum();
    logits.iter().map(|z| (z - most).exp() / sum).collect()
}

fn pair_loss_in_f64(kind: PairLoss, label: usize, clean: &[f64], other: &[f64]) -> f64 {
    let (p, q) = (probabilities(clean), probabilities(other));
    let divergence: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
    match kind {
        PairLoss::Trades(beta) => f64::from(beta) * divergence - p[label].ln(),
        PairLoss::Mart(beta) => {
            let wrong = q.iter().enumerate().filter(|&(i, _)| i != label);
            let rival = wrong.fold(0.0_f64, |most, (_, q)| most.max(*q));
            let weight = f64::from(beta) * (1.0 - p[label]);
            weight * divergence - q[label].ln() - (1.0001 - rival).ln()
        }
    }
}

#[test]
fn losses_of_pairs_are_theirs_in_f64_and_their_gradients_the_differences() {
    // 19 images and their examples, one after the other: lanes of a pair are not the same.
    let (pairs, classes) = (19, 5);
    let logits = images(4, (2 * pairs, classes, 1, 1), 4.0);
    let labels: Vec<usize> = (0..pairs).map(|i| i % classes).collect();
    let all = Labels::new(&labels, classes).unwrap();
    let row =
        |n: usize| -> Vec<f64> { (0..classes).map(|i| f64::from(logits[[n, i, 0, 0]])).collect() };
    for kind in [PairLoss::Trades(6.0), PairLoss::Mart(5.0), PairLoss::Trades(0.0)] {
        let (losses, gradient) = run(&logits, |tape, x| {
            let clean = tape.samples(x, 0..pairs)?;
            let other = tape.samples(x, pairs..2 * pairs)?;
            tape.pair_loss(clean, other, &all, kind)
        });
        for n in 0..pairs {
            let expected = pair_loss_in_f64(kind, labels[n], &row(n), &row(pairs + n));
            let found = f64::from(losses[[n, 0, 0, 0]]);
            assert!((found - expected).abs() < 2e-5 * (1.0 + expected.abs()), "{found} {expected}");
            for (which, at) in [n, pairs + n].into_iter().enumerate() {
                for i in 0..classes {
                    let moved = |step: f64| {
                        let mut rows = [row(n), row(pairs + n)];
                        rows[which][i] += step;
                        pair_loss_in_f64(kind, labels[n], &rows[0], &rows[1])
                    };
                    let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    let found = f64::from(gradient[[at, i, 0, 0]]);
                    let close = (found - expected).abs() < 1e-4 * (1.0 + expected.abs());
                    assert!(close, "{kind:?} pair {n}, {which}, {i}: {found} {expected}");
                }
            }
        }
    }
}

#[test]
fn worst_margins_are_those_of_corners_and_their_gradients_the_differences() {
    let (samples, features, classes) = (18, 7, 4);
    let center = images(1, (samples, features, 1, 1), 1.0);
    let radius: Vec<f32> = numbers(2, samples * features).iter().map(|x| 0.1 * x.abs()).collect();
    let radius = Array4::from_shape_vec((samples, features, 1, 1), radius).unwrap();
    let (weight, bias) = (numbers(3, classes * features), numbers(4, classes));
    let labels: Vec<usize> = (0..samples).map(|i| i % classes).collect();
    let all = Labels::new(&labels, classes).unwrap();
    let record = |tape: &mut Tape, x, w: &[deepsleep::autodiff::Weight]| {
        let radius = tape.constant(Tensor::from_array(radius.view()));
        let out = tape.worst_margins([x, radius], w[0], Some(w[1]), &all)?;
        tape.cross_entropy(out, &all, 1.0)
    };
    let parameters: [(&[usize], &[f32]); 2] =
        [(&[classes, features], &weight), (&[classes], &bias)];
    let report = check_gradients(center.view(), &parameters, record).unwrap();
    assert!(report.worst() < 1e-2, "{report:?}");
    let (found, _) = run(&center, |tape, x| {
        let w = tape.weight(&[classes, features], &weight)?;
        let b = tape.weight(&[classes], &bias)?;
        let radius = tape.constant(Tensor::from_array(radius.view()));
        tape.worst_margins([x, radius], w, Some(b), &all)
    });
    for n in 0..samples {
        for i in 0..classes {
            let label = labels[n];
            let terms = (0..features).map(|f| {
                let w = weight[i * features + f] - weight[label * features + f];
                let corner = center[[n, f, 0, 0]] + w.signum() * radius[[n, f, 0, 0]];
                f64::from(w) * f64::from(corner)
            });
            let expected = terms.sum::<f64>() + f64::from(bias[i] - bias[label]);
            assert!((f64::from(found[[n, i, 0, 0]]) - expected).abs() < 1e-5);
        }
    }
}

#[test]
fn gradients_of_sizes_go_on_with_the_signs_of_the_numbers() {
    let x = images(5, (3, 2, 4, 4), 1.0);
    // No difference quotient means anything at 0.
    let weight: Vec<f32> = numbers(6, 4 * 2 * 9).iter().map(|w| w + 0.1 * w.signum()).collect();
    let head = numbers(7, 16);
    let report = check_gradients(x.view(), &[(&[4, 2, 3, 3], &weight)], |tape, x, w| {
        let sizes = tape.weight_sizes(w[0]);
        let a = tape.conv2d(x, w[0], Conv2dOptions::default())?;
        let b = tape.conv2d(x, sizes, Conv2dOptions::default())?;
        let sum = tape.add(a, b)?;
        let sum = tape.tanh(sum);
        let head = tape.fixed_weight(&[1, 16], &head)?;
        tape.linear(sum, head)
    });
    assert!(report.unwrap().worst() < 1e-2);
}
