//! Certificates by linear bounds: against explicit matrices in f64, points of the ball and attacks, and never below those
//! of intervals.

use super::certify::{logits, points, samples};
use crate::common::models::{golden, test_images};
use crate::common::networks::{conv, drawn, node};
use crate::common::{best, isas};
use deepsleep::Error;
use deepsleep::attack::{Budget, Norm, Samples, Status, parse_attack, run_attack};
use deepsleep::certify::{BoundMethod, Certifier};
use deepsleep::nn::architecture::{Architecture, INPUT, Node, Op, Pair};
use deepsleep::nn::{Freeze, Model, Network, margin};
use deepsleep::tensor::{Context, Shape, Stop};
use proptest::prelude::*;

/// By intervals and by CROWN.
fn both(model: &Model, samples: &Samples, eps: f32) -> [Vec<f32>; 2] {
    let context = Context::with_isa(best(), 1).unwrap();
    [BoundMethod::Interval, BoundMethod::Crown].map(|method| {
        let certifier = Certifier::new(model).unwrap().with_method(method);
        assert_eq!(certifier.method(), method);
        certifier.margins(&context, samples, eps).unwrap()
    })
}

fn crown(model: &Model, samples: &Samples, eps: f32) -> Vec<f32> {
    let [interval, crown] = both(model, samples, eps);
    for (interval, crown) in interval.iter().zip(&crown) {
        assert!(crown >= interval, "{crown} below {interval} {:?}", model.architecture());
    }
    crown
}

/// A rectifier network with a residual block, a pooling of overlapping windows and groups.
fn branched(seed: u64) -> Model {
    let of = |name: &str, op: Op, inputs: &[&str]| Node {
        inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
        ..node(name, op)
    };
    let mut grouped = conv(4, [3, 2], [2, 1], [1, 1]);
    if let Op::Conv2d { groups, .. } = &mut grouped {
        *groups = 2;
    }
    let (window, stride, padding) = (Pair([3; 2]), Some(Pair([2, 1])), Pair([1; 2]));
    let pool = Op::MaxPool { window, stride, padding, ceil: true };
    let nodes = vec![
        of("a", conv(4, [3, 3], [1, 1], [1, 1]), &[INPUT]),
        of("norm", Op::BatchNorm { eps: 1e-5, momentum: 0.1 }, &["a"]),
        of("b", Op::Relu {}, &["norm"]),
        of("c", conv(4, [1, 1], [1, 1], [0, 0]), &["b"]),
        of("d", Op::Add {}, &["c", "b"]),
        of("twice", Op::Add {}, &["d", "d"]),
        of("e", Op::LeakyRelu { slope: 0.2 }, &["twice"]),
        of("f", Op::Concat {}, &["e", "norm"]),
        of("g", grouped, &["f"]),
        of("h", pool, &["g"]),
        of("i", Op::Scale { factor: -0.8 }, &["h"]),
        of("j", Op::Flatten {}, &["i"]),
        of("k", Op::Linear { out: 9, bias: true }, &["j"]),
        of("l", Op::Relu {}, &["k"]),
        of("m", Op::Linear { out: 4, bias: true }, &["l"]),
    ];
    Model::new(Architecture::new(Shape::new(2, 7, 6), 4, nodes).unwrap(), seed).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_point_of_the_ball_beats_linear_bounds(seed in 0_u64..1_000_000, exponent in 1_i32..14) {
        for model in [drawn(seed), branched(seed)] {
            let samples = samples(&model, seed, 9);
            let eps = 0.5_f32.powi(exponent);
            let bounds = crown(&model, &samples, eps);
            for draw in 0..24 {
                let images = points(&samples, seed * 31 + draw, eps);
                for (i, z) in logits(&model, &images).iter().enumerate() {
                    let margin = margin(z, samples.labels()[i]);
                    prop_assert!(
                        margin >= bounds[i],
                        "{margin} below {} at {eps}, {:?}", bounds[i], model.architecture()
                    );
                }
            }
        }
    }

    #[test]
    fn linear_bounds_have_the_same_bits_everywhere(seed in 0_u64..1_000_000) {
        let model = drawn(seed);
        let samples = samples(&model, seed, 7);
        let certifier = Certifier::new(&model).unwrap().with_method(BoundMethod::Crown);
        let all = |isa, threads, samples: &Samples| -> Vec<u32> {
            let context = Context::with_isa(isa, threads).unwrap();
            let margins = certifier.margins(&context, samples, 0.01).unwrap();
            margins.iter().map(|m| m.to_bits()).collect()
        };
        let first = all(best(), 1, &samples);
        for isa in isas() {
            prop_assert!(all(isa, 2, &samples) == first, "{} {:?}", isa.name(), model.architecture());
        }
        let last = samples.select(&[6]).unwrap();
        prop_assert_eq!(all(best(), 1, &last)[0], first[6]);
    }

    #[test]
    fn no_attack_beats_linear_bounds(seed in 0_u64..1_000_000, exponent in 3_i32..12) {
        for model in [drawn(seed), branched(seed)] {
            let samples = samples(&model, seed, 8);
            let eps = 0.5_f32.powi(exponent);
            let bounds = crown(&model, &samples, eps);
            survive(&model, &samples, &bounds, eps, &["pgd:steps=10", "pgd:start=gray,steps=10"]);
        }
    }
}

/// A certified image survives, and no image that an attack leaves has a margin below its bound.
fn survive(model: &Model, samples: &Samples, bounds: &[f32], eps: f32, attacks: &[&str]) -> usize {
    let context = Context::with_isa(best(), 2).unwrap();
    let network = model.freeze().unwrap();
    let budget = Budget { norm: Norm::Linf, eps, seed: 3 };
    let mut least = samples.len();
    for text in attacks {
        let attack = parse_attack(text).unwrap();
        let report = run_attack(&context, &network, samples, attack.as_ref(), budget).unwrap();
        let survived = report.outcomes.iter().map(|outcome| outcome.status == Status::Survived);
        for (survived, bound) in survived.clone().zip(bounds) {
            assert!(survived || *bound <= 0.0, "{text} {:?}", model.architecture());
        }
        least = least.min(survived.filter(|&survived| survived).count());
    }
    least
}

#[test]
fn a_trained_lenet_is_certified_below_what_attacks_leave() {
    let model = Model::open(&golden("lenet_robust.safetensors")).unwrap();
    let samples = test_images(0..24);
    let count = |bounds: &[f32]| bounds.iter().filter(|&&bound| bound > 0.0).count();
    for (eps, more) in [(0.02, 1), (0.1, 8)] {
        let [interval, linear] = both(&model, &samples, eps);
        let left = survive(&model, &samples, &linear, eps, &["pgd:steps=20", "fgsm"]);
        let counts = [count(&interval), count(&linear), left];
        assert!(counts[0] + more <= counts[1] && counts[1] <= left, "{counts:?} at {eps}");
    }
}

/// Of an affine network the least margin is known exactly.
#[test]
fn affine_networks_are_bounded_exactly() {
    let pool = Op::AvgPool {
        window: Pair([2, 3]),
        stride: Some(Pair([1, 2])),
        padding: Pair([1, 1]),
        ceil: true,
        count_include_pad: false,
    };
    let nodes = vec![
        node("a", conv(3, [3, 2], [2, 1], [1, 0])),
        node("b", pool),
        node("c", Op::BatchNorm { eps: 1e-5, momentum: 0.1 }),
        node("d", Op::Flatten {}),
        node("e", Op::Linear { out: 4, bias: true }),
    ];
    let shape = Shape::new(2, 6, 5);
    let model = Model::new(Architecture::new(shape, 4, nodes).unwrap(), 11).unwrap();
    let samples = samples(&model, 2, 6);
    let eps = 0.125_f32;
    let reach = f64::from(Budget { norm: Norm::Linf, eps, seed: 0 }.reach());
    // Its matrix, from the answers to single pixels.
    let features = shape.features();
    let mut probes = ndarray::Array4::<f32>::zeros((features + 1, 2, 6, 5));
    for i in 0..features {
        probes.as_slice_mut().unwrap()[(i + 1) * features + i] = 1.0;
    }
    let answers = logits(&model, &probes);
    let bounds = crown(&model, &samples, eps);
    for (n, &bound) in bounds.iter().enumerate() {
        let label = samples.labels()[n];
        let least = |other: usize| -> f64 {
            let difference = |z: &[f32]| f64::from(z[label]) - f64::from(z[other]);
            let at_zero = difference(&answers[0]);
            let terms = samples.image(n).iter().enumerate().map(|(i, &x)| {
                let weight = difference(&answers[i + 1]) - at_zero;
                let (low, high) = (f64::from(x) - reach, f64::from(x) + reach);
                weight * if weight > 0.0 { low.max(0.0) } else { high.min(1.0) }
            });
            at_zero + terms.sum::<f64>()
        };
        let exact = (0..4).filter(|&i| i != label).map(least).fold(f64::INFINITY, f64::min);
        assert!((f64::from(bound) - exact).abs() < 2e-5, "{bound} {exact}");
    }
}

/// A layer as a matrix with a constant, row by row.
type Matrix = Vec<(Vec<f64>, f64)>;

/// One layer of the slow reference.
enum Slow {
    Affine(Matrix),
    Relu,
    /// Windows of features.
    Max(Vec<Vec<usize>>),
}

/// The least of `row . layers(x) + constant` over the box, by the rules of CROWN.
fn slow_least(layers: &[Slow], limits: &[Vec<[f64; 2]>], row: Vec<f64>, constant: f64) -> f64 {
    let (mut row, mut constant) = (row, constant);
    let by_limits = |row: &[f64], constant: f64, limits: &[[f64; 2]]| -> f64 {
        let terms = row.iter().zip(limits).map(|(a, [low, high])| (a * low).min(a * high));
        constant + terms.sum::<f64>()
    };
    let mut best = f64::NEG_INFINITY;
    for (i, layer) in layers.iter().enumerate().rev() {
        let x = &limits[i];
        if !matches!(layer, Slow::Affine(_)) {
            best = best.max(by_limits(&row, constant, &limits[i + 1]));
        }
        let mut before = vec![0.0; x.len()];
        for (o, &a) in row.iter().enumerate() {
            match layer {
                Slow::Affine(matrix) => {
                    let (weights, bias) = &matrix[o];
                    constant += a * bias;
                    before.iter_mut().zip(weights).for_each(|(to, w)| *to += a * w);
                }
                Slow::Relu => {
                    let [low, high] = x[o];
                    let chord = high / (high - low);
                    if low >= 0.0 {
                        before[o] += a;
                    } else if high > 0.0 && a < 0.0 {
                        before[o] += a * chord;
                        constant -= a * chord * low;
                    } else if high > -low {
                        before[o] += a;
                    }
                }
                Slow::Max(windows) => {
                    let window = &windows[o];
                    let by = |side: usize| {
                        let key = |&i: &usize| (x[i][side], x[i][1 - side]);
                        *window
                            .iter()
                            .rev()
                            .max_by(|a, b| key(a).partial_cmp(&key(b)).unwrap())
                            .unwrap()
                    };
                    if a >= 0.0 {
                        before[by(0)] += a;
                        continue;
                    }
                    let most = by(1);
                    let others = window.iter().filter(|&&i| i != most).map(|&i| x[i][1]);
                    let second = others.fold(f64::NEG_INFINITY, f64::max);
                    let [low, high] = x[most];
                    let slope = if low >= second { 1.0 } else { (high - second) / (high - low) };
                    before[most] += a * slope;
                    constant += if low >= second { 0.0 } else { a * (second - slope * low) };
                }
            }
        }
        row = before;
    }
    best.max(by_limits(&row, constant, &limits[0]))
}

#[test]
fn linear_bounds_are_those_of_explicit_matrices() {
    let nodes = vec![
        node("a", conv(3, [3, 3], [1, 1], [1, 1])),
        node("b", Op::Relu {}),
        node(
            "p",
            Op::MaxPool { window: Pair([2; 2]), stride: None, padding: Pair([0; 2]), ceil: false },
        ),
        node("c", conv(4, [2, 2], [1, 1], [0, 0])),
        node(
            "q",
            Op::MaxPool {
                window: Pair([2; 2]),
                stride: Some(Pair([1; 2])),
                padding: Pair([0; 2]),
                ceil: false,
            },
        ),
        node("d", Op::Relu {}),
        node("e", Op::Linear { out: 3, bias: true }),
    ];
    let architecture = Architecture::new(Shape::new(1, 8, 8), 3, nodes).unwrap();
    let mut tighter = 0;
    for seed in 0..12 {
        let model = Model::new(architecture.clone(), seed).unwrap();
        let samples = samples(&model, seed, 3);
        let eps = [0.01, 0.05, 0.2][seed as usize % 3];
        let layers = vec![
            matrix(&model, "a", [1, 8, 8], [3, 8, 8], [3, 1]),
            Slow::Relu,
            windows([3, 8, 8], 2, 4),
            matrix(&model, "c", [3, 4, 4], [4, 3, 3], [2, 0]),
            windows([4, 3, 3], 1, 2),
            Slow::Relu,
            matrix(&model, "e", [16, 1, 1], [3, 1, 1], [1, 0]),
        ];
        let [interval, linear] = both(&model, &samples, eps);
        for n in 0..samples.len() {
            let exact = slow_margin(&layers, samples.image(n), samples.labels()[n], eps);
            let found = f64::from(linear[n]);
            assert!(found <= exact + 1e-9 && exact - found < 1e-4, "{found} {exact}");
            tighter += usize::from(linear[n] > interval[n] + 0.01);
        }
    }
    assert!(tighter > 12, "{tighter}");
}

/// A convolution of stride 1 (or, with kernel 1, a linear layer) as a matrix.
fn matrix(
    model: &Model,
    name: &str,
    input: [usize; 3],
    output: [usize; 3],
    [kernel, border]: [usize; 2],
) -> Slow {
    let values = |of: &str| &model.parameters().get(&format!("{name}.{of}")).unwrap().values;
    let (weight, bias) = (values("weight"), values("bias"));
    let mut rows = Vec::new();
    for o in 0..output[0] {
        for y in 0..output[1] {
            for x in 0..output[2] {
                let mut row = vec![0.0; input.iter().product()];
                for c in 0..input[0] {
                    for k in 0..kernel * kernel {
                        let (iy, ix) = (y + k / kernel, x + k % kernel);
                        if (border..input[1] + border).contains(&iy)
                            && (border..input[2] + border).contains(&ix)
                        {
                            let at = (c * input[1] + iy - border) * input[2] + ix - border;
                            row[at] = f64::from(weight[(o * input[0] + c) * kernel * kernel + k]);
                        }
                    }
                }
                rows.push((row, f64::from(bias[o])));
            }
        }
    }
    Slow::Affine(rows)
}

/// Windows of 2 x 2.
fn windows([channels, height, width]: [usize; 3], stride: usize, side: usize) -> Slow {
    let mut all = Vec::new();
    for i in 0..channels * side * side {
        let (c, y, x) = (i / side / side, i / side % side * stride, i % side * stride);
        let at = |k: usize| (c * height + y + k / 2) * width + x + k % 2;
        all.push((0..4).map(at).collect());
    }
    Slow::Max(all)
}

fn slow_margin(layers: &[Slow], image: &[f32], label: usize, eps: f32) -> f64 {
    let reach = f64::from(Budget { norm: Norm::Linf, eps, seed: 0 }.reach());
    let around = |&x: &f32| [(f64::from(x) - reach).max(0.0), (f64::from(x) + reach).min(1.0)];
    let mut limits: Vec<Vec<[f64; 2]>> = vec![image.iter().map(around).collect()];
    for (i, layer) in layers.iter().enumerate() {
        let x = &limits[i];
        let unit = |o: usize, sign: f64, count: usize| {
            let mut row = vec![0.0; count];
            row[o] = sign;
            row
        };
        let out: Vec<[f64; 2]> = match layer {
            Slow::Affine(matrix) => (0..matrix.len())
                .map(|o| {
                    let least =
                        |sign| slow_least(&layers[..=i], &limits, unit(o, sign, matrix.len()), 0.0);
                    let by_limits = |sign: f64| -> f64 {
                        let (row, bias) = &matrix[o];
                        let terms = row
                            .iter()
                            .zip(x)
                            .map(|(w, [low, high])| (sign * w * low).min(sign * w * high));
                        sign * bias + terms.sum::<f64>()
                    };
                    [least(1.0).max(by_limits(1.0)), -least(-1.0).max(by_limits(-1.0))]
                })
                .collect(),
            Slow::Relu => x.iter().map(|[low, high]| [low.max(0.0), high.max(0.0)]).collect(),
            Slow::Max(windows) => {
                let most = |window: &Vec<usize>, side: usize| {
                    window.iter().map(|&i| x[i][side]).fold(f64::NEG_INFINITY, f64::max)
                };
                windows.iter().map(|window| [most(window, 0), most(window, 1)]).collect()
            }
        };
        limits.push(out);
    }
    let classes = limits[layers.len()].len();
    let least = |other: usize| {
        let row = (0..classes).map(|i| f64::from(i == label) - f64::from(i == other)).collect();
        slow_least(layers, &limits, row, 0.0)
    };
    (0..classes).filter(|&i| i != label).map(least).fold(f64::INFINITY, f64::min)
}

/// A bound that holds is also near: some point outside of the ball, and not far, is below it.
#[test]
fn bounds_hold_in_the_ball_and_not_far_beyond() {
    let mut fooled = 0;
    for seed in 0..30 {
        let model = branched(seed);
        let samples = samples(&model, seed, 8);
        let eps = 0.01;
        let bounds = crown(&model, &samples, eps);
        for draw in 0..8 {
            let images = points(&samples, 2 * draw + 100 * seed, 4.0 * eps);
            let far = logits(&model, &images);
            let below = |(i, z): (usize, &Vec<f32>)| margin(z, samples.labels()[i]) < bounds[i];
            fooled += far.iter().enumerate().filter(|&(i, z)| below((i, z))).count();
        }
    }
    assert!(fooled > 20, "{fooled}");
}

#[test]
fn what_overflows_is_not_certified() {
    for seed in 0..20 {
        let mut model = if seed % 2 == 0 { drawn(seed) } else { branched(seed) };
        for parameter in model.parameters_mut().iter_mut() {
            parameter.values.iter_mut().for_each(|w| *w *= 1e30);
        }
        let samples = samples(&branched(seed), seed, 3);
        if samples.shape() == model.input_shape() {
            assert!(crown(&model, &samples, 0.1).iter().all(|&bound| bound <= 0.0));
        }
    }
}

#[test]
fn linear_bounds_stop_when_they_are_asked_to() {
    let stop = Stop::default();
    stop.request();
    let context = Context::with_isa(best(), 2).unwrap().stopped_by(&stop);
    let certifier = Certifier::new(&Model::lenet(0)).unwrap().with_method(BoundMethod::Crown);
    let refused = certifier.margins(&context, &test_images(0..3), 0.01);
    assert!(matches!(refused, Err(Error::Interrupted)));
}
