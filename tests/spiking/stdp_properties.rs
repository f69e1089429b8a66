//! The published slow-wave layers: known counts, the fused competition against a loop over neurons, fair ties, state
//! that carries over, and gradients against differences.

use crate::common::{isas, portable};
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

/// METHOD section 3: one neuron alone, by current over threshold.
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
            let tie = |_, _, _, _| unreachable!("one channel");
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
fn tie(pixel: usize, lane: usize, step: usize, candidates: u32) -> u32 {
    let key = Key::new(9).with(pixel as u64).with(lane as u64).with(step as u64);
    choose(candidates, key.with(candidates.into()).to_u64())
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
            let mut spiked = 0_u32;
            for c in 0..case.channels {
                let m = &mut membrane[at(c)].0[lane];
                *m = m.mul_add(case.decay, case.current[at(c)].0[lane]);
                if *m > case.threshold[c] {
                    *m = 0.0;
                    spiked |= 1 << c;
                }
            }
            let winner = match spiked.count_ones() {
                0 => continue,
                1 => spiked.trailing_zeros(),
                _ => tie(pixel, lane, step, spiked),
            };
            for c in 0..case.channels {
                if c == winner as usize {
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
        channels in 1_usize..=32,
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
    for channels in 1..=32 {
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
            ours[place(choose(set, generator.next_u64()))] += 1.0;
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
    assert_eq!((choose(0b1010, 0), choose(0b1010, u64::MAX), choose(1 << 31, 5)), (1, 3, 31));
}

fn images(samples: usize, shape: Shape) -> Tensor {
    let mut draw = draw(Key::new(4));
    let Shape { channels, height, width } = shape;
    let pixels = Array4::from_shape_fn((samples, channels, height, width), |_| {
        (2.0 * draw() - 0.7).max(0.0)
    });
    Tensor::from_array(pixels.view())
}

fn weights(count: usize) -> Vec<f32> {
    let mut draw = draw(Key::new(5));
    (0..count).map(|_| 2.0 * draw() - 1.0).collect()
}

/// Ties by sample, pixel and the step since `first`.
fn tie_from(first: usize) -> impl Fn(usize, usize, usize, u32) -> u32 {
    move |sample, pixel, step, candidates| tie(pixel, sample, first + step, candidates)
}

#[test]
fn membranes_carry_over_and_are_forgotten_on_demand() {
    let shape = Shape::new(1, 8, 8);
    let (x, w) = (images(19, shape), weights(3 * 9));
    let context = Context::serial(Isa::detect().unwrap());
    let new = || StdpConv::new(shape, 3, 3, &w).unwrap();
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

/// METHOD section 3's G: the counts are constants, the threshold is differentiated.
#[test]
fn the_gradient_is_that_of_current_times_count() {
    let (shape, samples, kernel, channels) = (Shape::new(2, 7, 6), 18, 3, 4);
    let x = images(samples, shape);
    let w = weights(channels * 18);
    for isa in isas() {
        let context = Context::with_isa(isa, 2).unwrap();
        let mut layer = StdpConv::new(shape, channels, kernel, &w).unwrap();
        layer.simulate(&context, &x, 30, &tie_from(0)).unwrap();
        let found = layer.gradient(&context, &x);
        let counts = layer.counts().to_array().mapv(f64::from);
        let images = x.to_array().mapv(f64::from);
        // mean over samples and pixels of th sigmoid(8 max(u, 0) / th - 3.2) count
        let closed = |w: &[f64]| -> f64 {
            let u = Array4::from_shape_fn((samples, channels, 5, 4), |(n, c, y, x)| {
                let tap = |(i, ky, kx)| {
                    w[((c * 2 + i) * 3 + ky) * 3 + kx] * images[[n, i, y + ky, x + kx]]
                };
                let taps = (0..18).map(|k| (k / 9, k / 3 % 3, k % 3));
                taps.map(tap).sum::<f64>()
            });
            let mut total = 0.0;
            for c in 0..channels {
                let u = u.index_axis(ndarray::Axis(1), c);
                let th = u.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b)) + 1e-4;
                for (u, count) in u.iter().zip(counts.index_axis(ndarray::Axis(1), c)) {
                    total += count * th / (1.0 + (3.2 - 8.0 * u.max(0.0) / th).exp());
                }
            }
            total / (samples * 20) as f64
        };
        let mut w64: Vec<f64> = w.iter().map(|&w| f64::from(w)).collect();
        let scale = found.iter().fold(0.0_f32, |a, g| a.max(g.abs()));
        for (i, &found) in found.iter().enumerate() {
            let middle = w64[i];
            w64[i] = middle + 1e-6;
            let above = closed(&w64);
            w64[i] = middle - 1e-6;
            let below = closed(&w64);
            w64[i] = middle;
            let expected = (above - below) / 2e-6;
            let off = (f64::from(found) - expected).abs();
            assert!(off < 1e-4 * f64::from(scale), "{} {i}: {found}, {expected}", isa.name());
        }
    }
}

#[test]
fn odd_sides_lose_their_last_row_and_column() {
    let shape = Shape::new(1, 7, 6);
    let x = images(3, shape);
    let mut layer = StdpConv::new(shape, 3, 2, &weights(12)).unwrap(); // 6 x 5
    let context = Context::serial(portable());
    layer.simulate(&context, &x, 20, &tie_from(0)).unwrap();
    let (counts, next) = (layer.counts().to_array(), layer.next_input(&context).to_array());
    assert_eq!(next.dim(), (3, 3, 3, 2));
    for ((n, c, y, x), &found) in next.indexed_iter() {
        let largest = counts.index_axis(ndarray::Axis(0), n).iter().fold(0.0_f32, |a, &b| a.max(b));
        let window = [(0, 0), (0, 1), (1, 0), (1, 1)];
        let best = window.map(|(dy, dx)| counts[[n, c, 2 * y + dy, 2 * x + dx]]);
        assert_eq!(found, best.into_iter().fold(0.0, f32::max) / largest);
    }
    // A map of one pixel has nothing left.
    let mut layer = StdpConv::new(Shape::new(1, 2, 2), 3, 2, &weights(12)).unwrap();
    layer.simulate(&context, &images(3, Shape::new(1, 2, 2)), 5, &tie_from(0)).unwrap();
    assert_eq!(layer.next_input(&context).shape().features(), 0);
}

#[test]
fn layers_do_not_depend_on_isa_or_threads() {
    let shape = Shape::new(1, 8, 8);
    let (x, w) = (images(37, shape), weights(10 * 9));
    let run = |context: &Context| {
        let mut layer = StdpConv::new(shape, 10, 3, &w).unwrap();
        layer.simulate(context, &x, 30, &tie_from(0)).unwrap();
        let gradient = layer.gradient(context, &x);
        layer.update(&gradient, 1e-3);
        (layer.counts().clone(), layer.weight().to_vec(), layer.next_input(context).clone())
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
    assert!(StdpConv::new(Shape::new(1, 8, 8), 33, 3, &weights(33 * 9)).is_err());
    assert!(StdpConv::new(Shape::new(1, 8, 8), 3, 3, &weights(26)).is_err());
    assert!(StdpLinear::new(12, 4, &weights(47)).is_err());
    let mut layer = StdpConv::new(Shape::new(1, 8, 8), 3, 3, &weights(27)).unwrap();
    for x in [images(0, Shape::new(1, 8, 8)), images(2, Shape::new(1, 8, 7))] {
        assert!(layer.simulate(&context, &x, 3, &tie_from(0)).is_err());
    }
}
