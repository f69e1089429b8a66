//! Certificates: against plain loops in f64, against points of the ball and attacks, and the same bits everywhere.

use crate::common::models::{golden, test_images};
use crate::common::networks::{drawn, node};
use crate::common::{best, isas, numbers};
use deepsleep::attack::{Budget, Norm, Samples, parse_attack, run_attack};
use deepsleep::certify::Certifier;
use deepsleep::nn::architecture::{Algorithm, Architecture, Op, Pair};
use deepsleep::nn::{Freeze, FrozenNetwork, Model, Network, margin};
use deepsleep::tensor::{Context, Shape, Tensor};
use ndarray::{Array4, s};
use proptest::prelude::*;

/// Random images with pixels in 0..=1, many of them black or white, with the labels that the network gives them.
pub(super) fn samples(model: &Model, seed: u64, count: usize) -> Samples {
    let shape = model.input_shape();
    let pixels = numbers(seed, count * shape.features());
    let pixels = pixels.iter().map(|x| (1.5 * x + 0.5).clamp(0.0, 1.0)).collect();
    let size = (count, shape.channels, shape.height, shape.width);
    let images = Array4::from_shape_vec(size, pixels).unwrap();
    let z = logits(model, &images);
    let labels = z.iter().map(|z| deepsleep::nn::predict(z)).collect();
    Samples::new(images.view(), labels, (0..count as u64).collect()).unwrap()
}

pub(super) fn logits(model: &Model, images: &Array4<f32>) -> Vec<Vec<f32>> {
    use deepsleep::autodiff::Tape;
    let network = model.freeze().unwrap();
    let mut tape = Tape::new(Context::with_isa(best(), 1).unwrap());
    let x = tape.constant(Tensor::from_array(images.view()));
    let z = network.logits(&mut tape, x).unwrap();
    let z = tape.value(z);
    (0..z.samples()).map(|n| z.sample(0, n).collect()).collect()
}

fn margins(model: &Model, samples: &Samples, eps: f32) -> Vec<f32> {
    let context = Context::with_isa(best(), 1).unwrap();
    Certifier::new(model).unwrap().margins(&context, samples, eps).unwrap()
}

/// Points of the ball: corners, and anything between.
pub(super) fn points(samples: &Samples, seed: u64, eps: f32) -> Array4<f32> {
    let mut images = samples.to_array();
    let noise = numbers(seed, images.len());
    for (pixel, noise) in images.iter_mut().zip(noise) {
        let step = if seed.is_multiple_of(2) { noise.signum() } else { noise };
        *pixel = (*pixel + eps * step).clamp(0.0, 1.0);
    }
    images
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_point_of_the_ball_beats_a_certificate(seed in 0_u64..1_000_000, exponent in 1_i32..14) {
        let model = drawn(seed);
        let samples = samples(&model, seed, 19);
        let eps = 0.5_f32.powi(exponent);
        let bounds = margins(&model, &samples, eps);
        for draw in 0..24 {
            let images = points(&samples, seed * 31 + draw, eps);
            for (i, z) in logits(&model, &images).iter().enumerate() {
                let margin = margin(z, samples.labels()[i]);
                prop_assert!(
                    margin >= bounds[i], "{margin} below {} at {eps}, {:?}", bounds[i], model.architecture()
                );
            }
        }
        // At the radius of rounding alone the bound is nearly the margin itself.
        let point = margins(&model, &samples, 0.0);
        let clean = logits(&model, &samples.to_array());
        for (i, z) in clean.iter().enumerate() {
            let (margin, size) = (margin(z, samples.labels()[i]), z.iter().fold(0.0_f32, |m, z| m.max(z.abs())));
            prop_assert!(point[i] <= margin, "{} above {margin}", point[i]);
            let loose = 0.02 * (1.0 + size);
            prop_assert!(margin - point[i] < loose, "{} far below {margin} {:?}", point[i], model.architecture());
        }
    }

    #[test]
    fn bounds_have_the_same_bits_everywhere(seed in 0_u64..1_000_000) {
        let model = drawn(seed);
        let samples = samples(&model, seed, 21);
        let certifier = Certifier::new(&model).unwrap();
        let all = |isa, threads| -> Vec<u32> {
            let context = Context::with_isa(isa, threads).unwrap();
            certifier.margins(&context, &samples, 0.01).unwrap().iter().map(|m| m.to_bits()).collect()
        };
        let first = all(best(), 1);
        for isa in isas() {
            prop_assert!(all(isa, 2) == first, "{} {:?}", isa.name(), model.architecture());
        }
        // Without the others.
        let last = samples.select(&[20]).unwrap();
        prop_assert_eq!(margins(&model, &last, 0.01)[0].to_bits(), first[20]);
    }

    #[test]
    fn no_attack_beats_a_certificate(seed in 0_u64..1_000_000, exponent in 3_i32..12) {
        let model = drawn(seed);
        let samples = samples(&model, seed, 16);
        let eps = 0.5_f32.powi(exponent);
        let bounds = margins(&model, &samples, eps);
        let budget = Budget { norm: Norm::Linf, eps, seed };
        let context = Context::with_isa(best(), 1).unwrap();
        for text in ["fgsm", "pgd:steps=10", "pgd:start=gray,steps=10", "square:queries=50"] {
            let attack = parse_attack(text).unwrap();
            let network = model.freeze().unwrap();
            let report = run_attack(&context, &network, &samples, attack.as_ref(), budget).unwrap();
            for (outcome, bound) in report.outcomes.iter().zip(&bounds) {
                let survived = outcome.status == deepsleep::attack::Status::Survived;
                prop_assert!(survived || *bound <= 0.0, "{text} {:?}", model.architecture());
            }
        }
    }
}

/// Interval bounds of LeNet in plain loops: [low, high] of every feature.
fn plain_margins(model: &Model, image: &[f32], label: usize, eps: f64) -> f64 {
    let weights = |name: &str| -> Vec<f64> {
        let values = &model.parameters().get(name).unwrap().values;
        values.iter().map(|&w| f64::from(w)).collect()
    };
    let mut x: Vec<[f64; 2]> = image
        .iter()
        .map(|&x| [(f64::from(x) - eps).max(0.0), (f64::from(x) + eps).min(1.0)])
        .collect();
    let (mut channels, mut side) = (1, 28);
    for layer in 1..=2 {
        let w = weights(&format!("conv{layer}.weight"));
        let (scale, shift) =
            (weights(&format!("bn{layer}.weight")), weights(&format!("bn{layer}.bias")));
        let statistics = &model.statistics()[layer - 1];
        let (outs, out_side) = (scale.len(), side - 4);
        let mut y = vec![[0.0; 2]; outs * out_side * out_side];
        for o in 0..outs {
            let by = scale[o] / (f64::from(statistics.variance[o]) + 1e-5).sqrt();
            let add = shift[o] - by * f64::from(statistics.mean[o]);
            for i in 0..out_side * out_side {
                let mut sum = [add; 2];
                for c in 0..channels {
                    for k in 0..25 {
                        let w = by * w[(o * channels + c) * 25 + k];
                        let at = (i / out_side + k / 5) * side + i % out_side + k % 5;
                        let [low, high] = x[c * side * side + at];
                        sum[0] += (w * low).min(w * high);
                        sum[1] += (w * low).max(w * high);
                    }
                }
                y[o * out_side * out_side + i] = sum;
            }
        }
        (channels, side) = (outs, out_side / 2);
        x = vec![[0.0_f64; 2]; channels * side * side];
        for (i, x) in x.iter_mut().enumerate() {
            let (plane, place) = (i / (side * side), i % (side * side));
            for k in 0..4 {
                let at = (2 * (place / side) + k / 2) * out_side + 2 * (place % side) + k % 2;
                let [low, high] = y[plane * out_side * out_side + at];
                (x[0], x[1]) = (x[0].max(low), x[1].max(high));
            }
        }
    }
    let w = weights("fc.weight");
    let least = |other: usize| -> f64 {
        let terms = x.iter().enumerate().map(|(i, [low, high])| {
            let w = w[label * 320 + i] - w[other * 320 + i];
            (w * low).min(w * high)
        });
        terms.sum()
    };
    (0..10).filter(|&i| i != label).map(least).fold(f64::INFINITY, f64::min)
}

#[test]
fn bounds_of_lenet_are_those_of_plain_loops() {
    let model = Model::open(&golden("lenet_robust.safetensors")).unwrap();
    let samples = test_images(0..20);
    for (eps, loose) in [(0.0, 1e-2), (0.01, 1e-2), (0.1, 1e-2), (64.0 / 255.0, 2e-2)] {
        let mut most = 0.0_f64;
        // The ball that verification admits.
        let admitted = f64::from(Budget { norm: Norm::Linf, eps, seed: 0 }.reach());
        for (i, &bound) in margins(&model, &samples, eps).iter().enumerate() {
            let exact = plain_margins(&model, samples.image(i), samples.labels()[i], admitted);
            assert!(f64::from(bound) <= exact, "{bound} above {exact}");
            most = most.max((exact - f64::from(bound)) / (1.0 + exact.abs()));
        }
        // What rounding may do at most grows with the intervals.
        assert!(most < loose, "{most} at {eps}");
    }
}

#[test]
fn what_cannot_be_bounded_is_not_certified() {
    // Weights so large that logits overflow.
    let mut model = drawn(3);
    for parameter in model.parameters_mut().iter_mut() {
        parameter.values.iter_mut().for_each(|w| *w *= 1e30);
    }
    let samples = samples(&drawn(3), 3, 5);
    assert!(margins(&model, &samples, 0.1).iter().all(|m| *m == f32::NEG_INFINITY || *m <= 0.0));
}

#[test]
fn a_linear_network_is_bounded_exactly() {
    let op = Op::Linear { out: 3, bias: true };
    let architecture = Architecture::new(Shape::new(1, 2, 3), 3, vec![node("fc", op)]).unwrap();
    let model = Model::new(architecture, 5).unwrap();
    let samples = samples(&model, 9, 8);
    let weight = &model.parameters().get("fc.weight").unwrap().values;
    let clean = logits(&model, &samples.to_array());
    let eps = 0.05_f32;
    for (i, bound) in margins(&model, &samples, eps).into_iter().enumerate() {
        let label = samples.labels()[i];
        let reach = |other: usize| -> f32 {
            let terms = samples.image(i).iter().enumerate().map(|(k, &x)| {
                let w = weight[label * 6 + k] - weight[other * 6 + k];
                let moved = if w > 0.0 { (x - eps).max(0.0) } else { (x + eps).min(1.0) };
                w * (moved - x)
            });
            terms.sum()
        };
        let exact =
            (0..3).filter(|&j| j != label).map(|j| clean[i][label] - clean[i][j] + reach(j));
        let exact = exact.fold(f32::INFINITY, f32::min);
        assert!(bound <= exact && exact - bound < 1e-4, "{bound} {exact}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = Model::lenet(0);
    let context = Context::with_isa(best(), 1).unwrap();
    let certifier = Certifier::new(&model).unwrap();
    let fail = |samples: &Samples, eps: f32| {
        certifier.margins(&context, samples, eps).unwrap_err().to_string()
    };
    let digits = test_images(0..2);
    assert!(fail(&digits, 1.5).contains("1.5"));
    assert!(fail(&digits, f32::NAN).contains("NaN"));
    let images = digits.to_array();
    let small = images.slice(s![.., .., ..14, ..]);
    let small = Samples::new(small, vec![0, 1], vec![0, 1]).unwrap();
    assert!(fail(&small, 0.1).contains("1x14x28"), "{}", fail(&small, 0.1));
    let beyond = Samples::new(images.view(), vec![0, 10], vec![0, 1]).unwrap();
    assert!(fail(&beyond, 0.1).contains("label 10"));
}

#[test]
fn convolutions_by_winograd_are_bounded_as_they_are_computed() {
    let conv = |name: &str| {
        let (one, three) = (Pair([1; 2]), Pair([3; 2]));
        let (stride, padding) = (one, one);
        node(
            name,
            Op::Conv2d {
                out: 12,
                kernel: three,
                stride,
                padding,
                groups: 1,
                bias: true,
                algorithm: Algorithm::Lanes,
            },
        )
    };
    let mut nodes = vec![conv("a"), node("f", Op::Relu {}), conv("b"), node("g", Op::Relu {})];
    nodes.push(conv("c"));
    nodes.push(node("fc", Op::Linear { out: 4, bias: true }));
    let architecture = Architecture::new(Shape::new(8, 9, 7), 4, nodes).unwrap();
    for seed in 0..20 {
        let model = Model::new(architecture.clone(), seed).unwrap();
        let samples = samples(&model, seed, 16);
        let clean = logits(&model, &samples.to_array());
        for eps in [0.0, 1e-4] {
            let bounds = margins(&model, &samples, eps);
            for (i, bound) in bounds.iter().enumerate() {
                let exact = margin(&clean[i], samples.labels()[i]);
                let close = eps > 0.0 || exact - bound < 0.05;
                assert!(*bound <= exact && close, "{bound} {exact} at {eps}");
            }
        }
    }
}
