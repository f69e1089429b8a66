//! Sleep replay: its rule against a loop over synapses, and a whole sleep of LeNet.

use crate::common::{isas, portable};
use deepsleep::data::Dataset;
use deepsleep::kernels::conv2d::{Conv2dOptions, Geometry};
use deepsleep::nn::{Model, Network};
use deepsleep::simd::Isa;
use deepsleep::simd::random::{Key, uniform_from_bits};
use deepsleep::sleep::{ReplayLayer, ReplayOptions, ReplayProgress, replay, replay_with};
use deepsleep::tensor::{Context, Shape};
use rand_xoshiro::rand_core::Rng;

fn draw(key: Key) -> impl FnMut() -> f32 {
    let mut generator = key.generator();
    move || uniform_from_bits(generator.next_u32())
}

/// The rule as its authors state it, in f64, synapse by synapse.
struct Naive {
    weight: Vec<f64>,
    membrane: Vec<f64>,
}

impl Naive {
    /// One step; also the smallest distance of a membrane from the threshold.
    fn step(
        &mut self,
        g: &Geometry,
        (alpha, threshold): (f32, f32),
        o: &ReplayOptions,
        input: &[bool],
    ) -> (Vec<bool>, f64) {
        let (pixels, fan_in, image) = (g.output.pixels(), g.fan_in(), g.unpadded());
        let seen = |c: usize, pixel: usize, tap: usize| {
            let i = c / g.out_channels() * g.in_channels() + tap / (g.kernel[0] * g.kernel[1]);
            let y = pixel / g.output.width * g.stride[0] + tap / g.kernel[1] % g.kernel[0];
            let x = pixel % g.output.width * g.stride[1] + tap % g.kernel[1];
            let (y, x) = (y.wrapping_sub(g.padding[0]), x.wrapping_sub(g.padding[1]));
            y < image.height && x < image.width && input[(i * image.height + y) * image.width + x]
        };
        let mut spikes = vec![false; g.output.features()];
        let mut nearest = f64::INFINITY;
        for (at, v) in self.membrane.iter_mut().enumerate() {
            let (c, pixel) = (at / pixels, at % pixels);
            let impulse: f64 = (0..fan_in)
                .filter(|&k| seen(c, pixel, k))
                .map(|k| self.weight[c * fan_in + k])
                .sum();
            *v = f64::from(o.decay) * *v + f64::from(alpha) * impulse;
            nearest = nearest.min((*v - f64::from(threshold)).abs());
            spikes[at] = *v >= f64::from(threshold);
            *v = if spikes[at] { 0.0 } else { *v };
        }
        for (i, w) in self.weight.iter_mut().enumerate() {
            let (c, k) = (i / fan_in, i % fan_in);
            let phi = 2.0 * (1.0 - 1.0 / (1.0 + (-*w / f64::from(o.softness)).exp()));
            let mut change = 0.0;
            for pixel in (0..pixels).filter(|p| spikes[c * pixels + p]) {
                let rate =
                    if seen(c, pixel, k) { f64::from(o.increase) } else { -f64::from(o.decrease) };
                change += rate * phi / pixels as f64;
            }
            *w += change;
        }
        (spikes, nearest)
    }
}

#[test]
fn the_rule_is_the_naive_one() {
    let conv = |input: Shape, weight: [usize; 4]| {
        Geometry::new(input, weight, Conv2dOptions::default()).unwrap()
    };
    let with = |input, weight, stride, padding, groups| {
        Geometry::new(input, weight, Conv2dOptions::new(stride, padding, groups)).unwrap()
    };
    let geometries = [
        conv(Shape::new(2, 5, 6), [3, 2, 3, 2]),
        conv(Shape::new(1, 7, 7), [2, 1, 5, 5]),
        Geometry::linear(40, 4),
        with(Shape::new(2, 5, 4), [3, 2, 3, 3], [1, 1], [1, 1], 1),
        with(Shape::new(4, 5, 6), [4, 2, 3, 2], [2, 1], [1, 0], 2),
        with(Shape::new(3, 3, 7), [3, 1, 1, 5], [1, 2], [0, 3], 3),
        // A border wider than the kernel.
        with(Shape::new(1, 4, 4), [2, 1, 2, 2], [2, 3], [3, 4], 1),
    ];
    for isa in isas() {
        let mut draw = draw(Key::new(1));
        for g in &geometries {
            for softness in [0.3, 1e-3] {
                let options = ReplayOptions::default().with(|o| {
                    o.softness = softness;
                    o.decay = 0.9;
                    o.increase = 0.032;
                    o.decrease = 0.02;
                });
                let weight: Vec<f32> = (0..g.weights()).map(|_| draw() - 0.4).collect();
                let (alpha, threshold) = (1.5, 0.9);
                let mut layer = ReplayLayer::new(*g, &weight, alpha, threshold, &options).unwrap();
                let mut naive = Naive {
                    weight: weight.iter().map(|&w| f64::from(w)).collect(),
                    membrane: vec![0.0; g.output.features()],
                };
                let mut fired = 0;
                for _ in 0..30 {
                    let input: Vec<bool> =
                        (0..g.unpadded().features()).map(|_| draw() < 0.3).collect();
                    let (expected, nearest) = naive.step(g, (alpha, threshold), &options, &input);
                    assert!(nearest > 1e-5, "the test's numbers are too near to a threshold");
                    assert_eq!(layer.step(isa, &input), expected, "{}", isa.name());
                    fired += expected.iter().filter(|&&s| s).count();
                    for (found, expected) in layer.weight().iter().zip(&naive.weight) {
                        assert!((f64::from(*found) - expected).abs() < 1e-5);
                    }
                    for (found, expected) in layer.membrane().iter().zip(&naive.membrane) {
                        assert!((f64::from(*found) - expected).abs() < 1e-4);
                    }
                }
                assert!(fired > 5, "{fired}");
            }
        }
    }
}

/// phi is about 2 below zero, 1 at zero, and next to nothing from 0.005 on.
#[test]
fn positive_weights_are_practically_frozen() {
    let options = ReplayOptions::default();
    let weight = [-0.5, 0.0, 0.005, 0.02, 0.3];
    for (input, rate) in [(true, options.increase), (false, -options.decrease)] {
        let g = Geometry::linear(6, 1);
        let weights = [&weight[..], &[1.0]].concat();
        let mut layer = ReplayLayer::new(g, &weights, 1.0, 0.25, &options).unwrap();
        let isa = Isa::detect().unwrap();
        assert_eq!(layer.step(isa, &[input, input, input, input, input, true]), [true]);
        let moved: Vec<f32> = layer.weight().iter().zip(&weight).map(|(a, b)| a - b).collect();
        for (moved, phi) in moved.iter().zip([2.0, 1.0, 0.013_386]) {
            assert!((moved - rate * phi).abs() < 1e-5 * rate.abs().max(1e-2), "{moved} {phi}");
        }
        assert_eq!(moved[3..], [0.0, 0.0]);
    }
}

/// Blots in the middle.
fn data(count: usize) -> Dataset {
    let mut draw = draw(Key::new(2));
    let mut image = || {
        (0..784)
            .map(|p| {
                let (y, x) = (p / 28, p % 28);
                if (6..22).contains(&y) && (6..22).contains(&x) {
                    (255.0 * draw()) as u8
                } else {
                    0
                }
            })
            .collect::<Vec<u8>>()
    };
    let images = (0..count).flat_map(|_| image()).collect();
    let labels = (0..count).map(|i| (i % 10) as u8).collect();
    Dataset::new(images, labels, [1, 28, 28], 10).unwrap()
}

fn options() -> ReplayOptions {
    ReplayOptions::default().with(|o| {
        o.steps = 400;
        o.thresholds = [5.0, 2.0, 1.0];
    })
}

fn sleep(context: &Context, options: &ReplayOptions, seed: u64) -> (Model, ReplayProgress) {
    let mut last = None;
    let data = data(40);
    let lenet = replay_with(context, &Model::lenet(5), &data, options, seed, |progress| {
        last = Some(progress)
    });
    (lenet.unwrap(), last.unwrap())
}

#[test]
fn a_sleep_moves_the_weights_that_are_not_positive() {
    let (slept, progress) = sleep(&Context::serial(portable()), &options(), 3);
    let before = Model::lenet(5);
    assert_eq!((progress.step, progress.steps), (400, 400));
    assert!(progress.spikes.iter().all(|&spikes| spikes > 0), "{progress:?}");
    for name in ["conv1.weight", "conv2.weight", "fc.weight"] {
        let old = &before.parameters().get(name).unwrap().values;
        let new = &slept.parameters().get(name).unwrap().values;
        let mut moved = 0;
        for (old, new) in old.iter().zip(new) {
            assert!(new.is_finite());
            if *old > 0.02 {
                assert_eq!(old, new, "{name}");
            } else if *old < 0.0 {
                moved += usize::from(old != new);
            }
        }
        assert!(moved > 20, "{name}: {moved} moved");
    }
    for name in ["bn1.weight", "bn2.bias"] {
        assert_eq!(slept.parameters().get(name), before.parameters().get(name));
    }
}

#[test]
fn a_sleep_is_the_same_everywhere() {
    let options = options().with(|o| o.steps = 60);
    let bytes = |lenet: &Model| lenet.state().to_bytes().unwrap();
    let (expected, progress) = sleep(&Context::serial(portable()), &options, 3);
    for isa in isas() {
        for threads in [1, 2, 5] {
            let context = Context::with_isa(isa, threads).unwrap();
            let found = sleep(&context, &options, 3);
            assert!(bytes(&found.0) == bytes(&expected), "{} {threads}", isa.name());
            assert_eq!(found.1, progress);
        }
    }
    let other = sleep(&Context::serial(portable()), &options, 4);
    assert!(bytes(&other.0) != bytes(&expected));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let context = Context::serial(portable());
    let lenet = Model::lenet(0);
    let data = data(3);
    let run = |data: &Dataset, options: &ReplayOptions| {
        replay(&context, &lenet, data, options, 0).map(|_| ())
    };
    let good = ReplayOptions::default().with(|o| o.steps = 1);
    run(&data, &good).unwrap();
    for options in [
        good.with(|o| o.window = 0),
        good.with(|o| o.window = 29),
        good.with(|o| o.decay = 1.1),
        good.with(|o| o.softness = 0.0),
        good.with(|o| o.thresholds = [1.0, f32::NAN, 1.0]),
        good.with(|o| o.rate = -1.0),
    ] {
        assert!(run(&data, &options).is_err(), "{options:?}");
    }
    let none = Dataset::new(Vec::new(), Vec::new(), [1, 28, 28], 10).unwrap();
    assert!(run(&none, &good).is_err());
    let small = Dataset::new(vec![0; 16], vec![0], [1, 4, 4], 10).unwrap();
    assert!(run(&small, &good).is_err());
    // Nothing to scale by.
    let mut dead = lenet.clone();
    dead.parameters_mut().get_mut("conv1.weight").unwrap().values.fill(-1.0);
    dead.parameters_mut().get_mut("bn1.bias").unwrap().values.fill(-100.0);
    assert!(replay(&context, &dead, &data, &good, 0).is_err());
    // Options travel as text.
    let some: ReplayOptions = serde_json::from_str("{\"alpha-scale\": 2.0}").unwrap();
    assert_eq!(some, ReplayOptions::default().with(|o| o.alpha_scale = 2.0));
}
