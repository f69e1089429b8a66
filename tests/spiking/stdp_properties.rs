//! The published slow-wave layers: known counts, the fused competition against a loop over neurons, fair ties, state
//! that carries over, and gradients against differences.

use crate::common::{isas, portable};
use deepsleep::kernels::conv2d::{Conv2dOptions, Geometry};
use deepsleep::kernels::stdp::{Competition, choose, compete, squash};
use deepsleep::simd::random::{Key, uniform_from_bits};
use deepsleep::simd::{Isa, Lanes};
use deepsleep::sleep::{StdpConv, StdpLinear};
use deepsleep::tensor::{Context, Shape, Tensor};
use ndarray::Array4;
use proptest::prelude::*;
use rand_xoshiro::rand_core::Rng;

/// exp(-1/100)
const DECAY: f32 = 0.990_049_8;

fn draw(key: Key) -> impl FnMut() -> f32 {
    let mut generator = key.generator();
    move || uniform_from_bits(generator.next_u32())
}

/// docs/method.md, section 3: one neuron alone, by current over threshold.
#[test]
fn one_neuron_alone() {
    let r = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0];
    let mut u = Lanes::ZERO;
    u.0[..9].copy_from_slice(&r);
    for isa in isas() {
        let mut current = [Lanes::ZERO];
        squash(isa, 1, 9, &[u], &[1.0], &mut current);
        assert_eq!(current[0].0[9..], [0.0; 7]);
        let (mut membrane, mut count) = ([Lanes::ZERO], [Lanes::ZERO]);
        let (mut total, mut first) = ([0; 9], [0; 9]);
        for step in 1..=200 {
            let competition =
                Competition { shape: Shape::flat(1), steps: 1, decay: DECAY, threshold: &[1.0] };
            let tie = |_, _, _, _: &[u32]| unreachable!("one channel");
            let inhibition = Lanes::splat(1.625);
            compete(isa, &competition, 9, &current, &inhibition, &mut membrane, &mut count, tie);
            for n in (0..9).filter(|&n| count[0].0[n] > 0.0) {
                total[n] += 1;
                first[n] = if first[n] == 0 { step } else { first[n] };
            }
        }
        assert_eq!(first, [30, 13, 7, 4, 3, 2, 2, 2, 2], "{}", isa.name());
        assert_eq!(total, [6, 15, 28, 50, 66, 100, 100, 100, 100], "{}", isa.name());
    }
}

/// What a competition starts from.
#[derive(Clone, Debug)]
struct Case {
    channels: usize,
    pixels: usize,
    live: usize,
    steps: usize,
    decay: f32,
    threshold: Vec<f32>,
    current: Vec<Lanes>,
    membrane: Vec<Lanes>,
    inhibition: Lanes,
}

fn case(seed: u64, channels: usize, pixels: usize, live: usize, steps: usize) -> Case {
    let mut draw = draw(Key::new(seed));
    // Few different numbers, so that neurons tie often.
    let mut number = |scale: f32, low: f32| (draw() * 8.0).floor() / 8.0 * scale + low;
    let threshold = (0..channels).map(|_| number(2.0, -0.5)).collect();
    let mut block = |scale, low, dead: f32| -> Vec<Lanes> {
        let lane = |n: usize, x: f32| if n < live { x } else { dead };
        (0..channels * pixels)
            .map(|_| Lanes(std::array::from_fn(|n| lane(n, number(scale, low)))))
            .collect()
    };
    let current = block(1.5, -0.25, 0.0);
    let membrane = block(2.0, -1.0, 0.0);
    let inhibition = Lanes(std::array::from_fn(|_| number(2.0, -0.25)));
    Case { channels, pixels, live, steps, decay: 0.75, threshold, current, membrane, inhibition }
}

/// A fair coin that depends on where it is thrown.
fn tie(pixel: usize, lane: usize, step: usize, candidates: &[u32]) -> usize {
    let key = Key::new(9).with(pixel as u64).with(lane as u64).with(step as u64);
    let key = candidates.iter().fold(key, |key, &word| key.with(word.into()));
    choose(candidates, key.to_u64())
}

fn fused(isa: Isa, case: &Case) -> (Vec<Lanes>, Vec<Lanes>) {
    let mut membrane = case.membrane.clone();
    let mut count = vec![Lanes::splat(7.0); membrane.len()];
    let competition = Competition {
        shape: Shape::new(case.channels, 1, case.pixels),
        steps: case.steps,
        decay: case.decay,
        threshold: &case.threshold,
    };
    let (current, inhibition) = (&case.current, &case.inhibition);
    compete(isa, &competition, case.live, current, inhibition, &mut membrane, &mut count, tie);
    (membrane, count)
}

fn naive(case: &Case) -> (Vec<Lanes>, Vec<Lanes>) {
    let mut membrane = vec![Lanes::ZERO; case.membrane.len()];
    let mut count = membrane.clone();
    for (lane, pixel) in (0..case.live).flat_map(|n| (0..case.pixels).map(move |p| (n, p))) {
        let at = |c: usize| c * case.pixels + pixel;
        for c in 0..case.channels {
            membrane[at(c)].0[lane] = case.membrane[at(c)].0[lane];
        }
        for step in 0..case.steps {
            let mut spiked = vec![0_u32; case.channels.div_ceil(32)];
            for c in 0..case.channels {
                let m = &mut membrane[at(c)].0[lane];
                *m = m.mul_add(case.decay, case.current[at(c)].0[lane]);
                if *m > case.threshold[c] {
                    *m = 0.0;
                    spiked[c / 32] |= 1 << (c % 32);
                }
            }
            let spikes = |c: &usize| spiked[c / 32] >> (c % 32) & 1 == 1;
            let winner = match (0..case.channels).filter(spikes).collect::<Vec<_>>()[..] {
                [] => continue,
                [alone] => alone,
                _ => tie(pixel, lane, step, &spiked),
            };
            for c in 0..case.channels {
                if c == winner {
                    count[at(c)].0[lane] += 1.0;
                } else {
                    membrane[at(c)].0[lane] -= case.inhibition.0[lane];
                }
            }
        }
    }
    (membrane, count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_fused_competition_is_the_naive_one(
        seed in any::<u64>(),
        channels in 1_usize..=100,
        pixels in 1_usize..4,
        live in 1_usize..=16,
        steps in 0_usize..12,
    ) {
        let case = case(seed, channels, pixels, live, steps);
        let expected = naive(&case);
        for isa in isas() {
            prop_assert_eq!(&fused(isa, &case), &expected, "{}", isa.name());
        }
    }
}

/// Every number of channels, by name.
#[test]
fn every_number_of_channels() {
    for channels in (1..=66).chain([128, 500]) {
        let case = case(channels as u64, channels, 2, 13, 9);
        let expected = naive(&case);
        assert!(channels == 1 || expected.1.iter().any(|n| n.0.iter().any(|&n| n > 0.0)));
        for isa in isas() {
            assert_eq!(fused(isa, &case), expected, "{} channels, {}", channels, isa.name());
        }
    }
}

/// Chi-squared over its degrees of freedom beyond which one draw in 10,000 lies, about (Wilson and Hilferty).
fn limit(freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    (1.0 - spread + 3.72 * spread.sqrt()).powi(3)
}

/// Sets of 2 to 10 of 32 channels.
fn sets() -> impl Iterator<Item = (usize, u32)> {
    (2..=10_usize).flat_map(|n| {
        [(1_u32 << n) - 1, ((1 << n) - 1) << (32 - n), (0..n).fold(0, |set, i| set | 1 << (3 * i))]
            .map(|set| (n, set))
    })
}

#[test]
fn ties_are_broken_fairly() {
    let draws = 20_000;
    let mut generator = Key::new(3).generator();
    for (n, set) in sets() {
        assert_eq!(set.count_ones() as usize, n);
        let members: Vec<u32> = (0..32).filter(|c| set >> c & 1 == 1).collect();
        let (mut ours, mut theirs) = (vec![0.0; n], vec![0.0; n]);
        let place = |c: u32| members.iter().position(|&m| m == c).unwrap();
        for _ in 0..draws {
            ours[place(choose(&[set], generator.next_u64()) as u32)] += 1.0;
            // The published way: the spikes times uniform noise, and the largest stays.
            let noise: [f32; 32] = std::array::from_fn(|_| uniform_from_bits(generator.next_u32()));
            let value = |c: &u32| noise[*c as usize] * (set >> c & 1) as f32;
            let largest = (0..32).max_by(|a, b| value(a).total_cmp(&value(b))).unwrap();
            theirs[place(largest)] += 1.0;
        }
        let (expected, freedom) = (draws as f64 / n as f64, n as f64 - 1.0);
        let chi = |counts: &[f64]| -> f64 {
            counts.iter().map(|c| (c - expected).powi(2) / expected).sum::<f64>() / freedom
        };
        assert!(chi(&ours) < limit(freedom), "{n}: {ours:?}");
        assert!(chi(&theirs) < limit(freedom), "{n}: {theirs:?}");
        // Homogeneity: two samples of one distribution.
        let pairs = ours.iter().zip(&theirs);
        let both: f64 = pairs.map(|(a, b)| (a - b).powi(2) / (a + b)).sum::<f64>() / freedom;
        assert!(both < limit(freedom), "{n}: {ours:?} {theirs:?}");
    }
    // The ends of the range, and a lone candidate.
    let two = [0b1010];
    assert_eq!((choose(&two, 0), choose(&two, u64::MAX), choose(&[1 << 31], 5)), (1, 3, 31));
    // In words, as if they were one.
    let words = [0, 0b1010, 0, 1 << 31];
    let places = [0, u64::MAX / 2, u64::MAX].map(|random| choose(&words, random));
    assert_eq!(places, [33, 35, 127]);
}

fn images(samples: usize, shape: Shape) -> Tensor {
    let mut draw = draw(Key::new(4));
    let Shape { channels, height, width } = shape;
    let pixels = Array4::from_shape_fn((samples, channels, height, width), |_| {
        (2.0 * draw() - 0.7).max(0.0)
    });
    Tensor::from_array(pixels.view())
}

/// A convolution without border, of stride 1.
fn plain(input: Shape, channels: usize, kernel: usize) -> Geometry {
    let weight = [channels, input.channels, kernel, kernel];
    Geometry::new(input, weight, Conv2dOptions::default()).unwrap()
}

fn weights(count: usize) -> Vec<f32> {
    let mut draw = draw(Key::new(5));
    (0..count).map(|_| 2.0 * draw() - 1.0).collect()
}

/// Ties by sample, pixel and the step since `first`.
fn tie_from(first: usize) -> impl Fn(usize, usize, usize, &[u32]) -> usize {
    move |sample, pixel, step, candidates: &[u32]| tie(pixel, sample, first + step, candidates)
}

#[test]
fn membranes_carry_over_and_are_forgotten_on_demand() {
    let shape = Shape::new(1, 8, 8);
    let (x, w) = (images(19, shape), weights(3 * 9));
    let context = Context::serial(Isa::detect().unwrap());
    let new = || StdpConv::new(plain(shape, 3, 3), &w).unwrap();
    let run = |layer: &mut StdpConv, steps: usize, first: usize| -> Vec<f32> {
        layer.simulate(&context, &x, steps, &tie_from(first)).unwrap();
        layer.counts().lanes().iter().flat_map(|lanes| lanes.0).collect()
    };
    let whole = run(&mut new(), 24, 0);
    let mut layer = new();
    let (first, second) = (run(&mut layer, 10, 0), run(&mut layer, 14, 10));
    let sum: Vec<f32> = first.iter().zip(&second).map(|(a, b)| a + b).collect();
    assert_eq!(sum, whole);
    assert_ne!(run(&mut layer, 10, 0), first);
    layer.reset();
    assert_eq!(run(&mut layer, 10, 0), first);

    let x = images(19, Shape::flat(12));
    let w: Vec<f32> = weights(4 * 12).iter().map(|w| w.abs()).collect();
    let new = || StdpLinear::new(12, 4, &w).unwrap();
    let run = |layer: &mut StdpLinear, steps: usize, first: usize| -> Vec<f32> {
        layer.simulate(&context, &x, steps, &tie_from(first)).unwrap();
        layer.counts().lanes().iter().flat_map(|lanes| lanes.0).collect()
    };
    let whole = run(&mut new(), 24, 0);
    assert!(whole.iter().sum::<f32>() > 10.0);
    let mut layer = new();
    let (first, second) = (run(&mut layer, 10, 0), run(&mut layer, 14, 10));
    let sum: Vec<f32> = first.iter().zip(&second).map(|(a, b)| a + b).collect();
    assert_eq!(sum, whole);
    // Thresholds are the first batch's until an update moves them.
    let before = layer.threshold().to_vec();
    layer.update(&context, &x);
    assert!(layer.threshold().iter().zip(&before).any(|(a, b)| a > b));
    let rows = layer.weight().chunks(12).map(|row| row.iter().fold(0.0_f32, |a, &b| a.max(b)));
    assert!(rows.into_iter().all(|largest| (largest - 0.1).abs() < 1e-6));
}

/// Convolutions of every kind: with borders and strides, in groups, with kernels that are not square, wide.
fn geometries() -> [Geometry; 6] {
    let of = |input, weight, stride, padding, groups| {
        Geometry::new(input, weight, Conv2dOptions::new(stride, padding, groups)).unwrap()
    };
    [
        of(Shape::new(2, 7, 6), [4, 2, 3, 3], [1, 1], [0, 0], 1),
        of(Shape::new(2, 5, 6), [3, 2, 3, 3], [1, 1], [1, 1], 1),
        of(Shape::new(4, 7, 6), [6, 2, 3, 2], [2, 1], [1, 0], 2),
        of(Shape::new(3, 4, 9), [3, 1, 1, 5], [1, 2], [0, 3], 3),
        of(Shape::new(2, 6, 5), [5, 2, 4, 1], [3, 2], [2, 1], 1),
        // By Winograd's way.
        of(Shape::new(8, 4, 4), [40, 8, 3, 3], [1, 1], [1, 1], 1),
    ]
}

/// The convolution of one sample at one place, by its definition.
fn at_place(
    g: &Geometry,
    w: &[f64],
    image: impl Fn([usize; 3]) -> f64,
    [c, y, x]: [usize; 3],
) -> f64 {
    let group = c / g.out_channels();
    let mut sum = 0.0;
    for k in 0..g.fan_in() {
        let (i, ky, kx) =
            (k / (g.kernel[0] * g.kernel[1]), k / g.kernel[1] % g.kernel[0], k % g.kernel[1]);
        let place = [(y, ky, 0), (x, kx, 1)];
        let [y, x] =
            place.map(|(at, tap, side)| (at * g.stride[side] + tap).wrapping_sub(g.padding[side]));
        if y < g.unpadded().height && x < g.unpadded().width {
            sum += w[c * g.fan_in() + k] * image([group * g.in_channels() + i, y, x]);
        }
    }
    sum
}

/// the G of docs/method.md, section 3: the counts are constants, the threshold is differentiated.
#[test]
fn the_gradient_is_that_of_current_times_count() {
    let samples = 18;
    for g in geometries() {
        let x = images(samples, g.unpadded());
        let w = weights(g.weights());
        for isa in isas() {
            let context = Context::with_isa(isa, 2).unwrap();
            let mut layer = StdpConv::new(g, &w).unwrap();
            layer.simulate(&context, &x, 30, &tie_from(0)).unwrap();
            let found = layer.gradient(&context, &x);
            let counts = layer.counts().to_array().mapv(f64::from);
            let images = x.to_array().mapv(f64::from);
            let Shape { channels, height, width } = g.output;
            // mean over samples and pixels of th sigmoid(8 max(u, 0) / th - 3.2) count
            let closed = |w: &[f64], c: usize| -> f64 {
                let u = Array4::from_shape_fn((samples, 1, height, width), |(n, _, y, x)| {
                    at_place(&g, w, |[i, y, x]| images[[n, i, y, x]], [c, y, x])
                });
                let th = u.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b)) + 1e-4;
                let counts = counts.index_axis(ndarray::Axis(1), c);
                let terms = u.iter().zip(counts);
                let terms = terms
                    .map(|(u, count)| count * th / (1.0 + (3.2 - 8.0 * u.max(0.0) / th).exp()));
                terms.sum::<f64>() / (samples * g.output.pixels()) as f64
            };
            assert_eq!(counts.dim(), (samples, channels, height, width));
            let mut w64: Vec<f64> = w.iter().map(|&w| f64::from(w)).collect();
            let scale = found.iter().fold(0.0_f32, |a, g| a.max(g.abs()));
            // All weights of a small layer, some of a wide one.
            for i in (0..found.len()).step_by(1 + found.len() / 200) {
                let (middle, channel) = (w64[i], i / g.fan_in());
                w64[i] = middle + 1e-6;
                let above = closed(&w64, channel);
                w64[i] = middle - 1e-6;
                let below = closed(&w64, channel);
                w64[i] = middle;
                let expected = (above - below) / 2e-6;
                let off = (f64::from(found[i]) - expected).abs();
                assert!(off < 1e-4 * f64::from(scale), "{} {i}: {off}, {g:?}", isa.name());
            }
        }
    }
}

#[test]
fn counts_are_handed_on_relative_to_a_samples_largest() {
    let context = Context::serial(portable());
    for g in geometries() {
        let mut layer = StdpConv::new(g, &weights(g.weights())).unwrap();
        layer.simulate(&context, &images(19, g.unpadded()), 20, &tie_from(0)).unwrap();
        let mut next = Tensor::zeros(g.output, 19);
        layer.normalize(&context, &mut next);
        for n in 0..19 {
            let counts: Vec<f32> = layer.counts().sample(0, n).collect();
            let largest = counts.iter().fold(0.0_f32, |a, &b| a.max(b));
            assert!(largest > 0.0);
            assert!(next.sample(0, n).eq(counts.iter().map(|count| count / largest)));
        }
    }
    // A sample without spikes stays silent.
    let mut layer = StdpLinear::new(4, 3, &weights(12)).unwrap();
    layer.simulate(&context, &Tensor::zeros(Shape::flat(4), 2), 5, &tie_from(0)).unwrap();
    let mut next = Tensor::zeros(Shape::flat(3), 2);
    layer.normalize(&context, &mut next);
    assert!(next.sample(0, 1).eq([0.0; 3]));
}

#[test]
fn layers_do_not_depend_on_isa_or_threads() {
    let all = geometries().into_iter().chain([plain(Shape::new(1, 8, 8), 10, 3)]);
    all.for_each(one_layer_does_not_depend_on_isa_or_threads);
}

fn one_layer_does_not_depend_on_isa_or_threads(g: Geometry) {
    let (x, w) = (images(37, g.unpadded()), weights(g.weights()));
    let run = |context: &Context| {
        let mut layer = StdpConv::new(g, &w).unwrap();
        layer.simulate(context, &x, 30, &tie_from(0)).unwrap();
        let gradient = layer.gradient(context, &x);
        layer.update(&gradient, 1e-3);
        let mut next = layer.counts().clone();
        layer.normalize(context, &mut next);
        (layer.counts().clone(), layer.weight().to_vec(), next)
    };
    let expected = run(&Context::serial(portable()));
    for isa in isas() {
        for threads in [1, 2, 5] {
            let found = run(&Context::with_isa(isa, threads).unwrap());
            assert_eq!(found, expected, "{} {threads}", isa.name());
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let context = Context::serial(portable());
    let small = plain(Shape::new(1, 8, 8), 3, 3);
    assert!(StdpConv::new(small, &weights(26)).is_err());
    assert!(StdpLinear::new(12, 4, &weights(47)).is_err());
    let mut layer = StdpConv::new(small, &weights(27)).unwrap();
    for x in [images(0, Shape::new(1, 8, 8)), images(2, Shape::new(1, 8, 7))] {
        assert!(layer.simulate(&context, &x, 3, &tie_from(0)).is_err());
    }
}
