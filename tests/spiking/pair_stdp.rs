//! Pair-based plasticity against one synapse at a time: SpikingJelly's update, and the exponential window of a pair.

use crate::common::{isas, portable};
use deepsleep::autodiff::Tape;
use deepsleep::kernels::conv2d::{Conv2dOptions, Geometry};
use deepsleep::simd::Isa;
use deepsleep::simd::random::{Key, uniform_from_bits};
use deepsleep::sleep::{PairLayer, PairOptions, poisson_trains};
use deepsleep::snn::Neuron;
use deepsleep::tensor::{Context, Shape, Tensor};
use ndarray::Array4;
use rand_xoshiro::rand_core::Rng;

fn draw(key: Key) -> impl FnMut() -> f32 {
    let mut generator = key.generator();
    move || uniform_from_bits(generator.next_u32())
}

fn weights(count: usize) -> Vec<f32> {
    let mut draw = draw(Key::new(5));
    (0..count).map(|_| 1.4 * draw() - 0.5).collect()
}

/// A convolution without border, of stride 1.
fn plain(input: Shape, channels: usize, kernel: usize) -> Geometry {
    let weight = [channels, input.channels, kernel, kernel];
    Geometry::new(input, weight, Conv2dOptions::default()).unwrap()
}

/// Poisson trains of random images.
fn trains(context: &Context, shape: Shape, samples: usize, steps: usize, key: u64) -> Tensor {
    let mut draw = draw(Key::new(4));
    let Shape { channels, height, width } = shape;
    let images = Array4::from_shape_fn((samples, channels, height, width), |_| draw());
    let images = Tensor::from_array(images.view());
    poisson_trains(context, &images, 0.6, steps, Key::new(key)).unwrap()
}

/// One neuron, two synapses; spikes `(pre, post)` at each step are forced: the second input is the one that fires.
fn one_synapse(isa: Isa, options: PairOptions, spikes: &[(bool, bool)], weight: f32) -> f32 {
    let context = Context::serial(isa);
    let mut layer = PairLayer::new(Geometry::linear(2, 1), &[weight, 2.0], options).unwrap();
    let image = Tensor::from_array(Array4::zeros((1, 2, 1, 1)).view());
    let steps = spikes.len();
    let mut x = poisson_trains(&context, &image, 0.0, steps, Key::new(0)).unwrap();
    for (t, &(pre, post)) in spikes.iter().enumerate() {
        x.lanes_mut()[2 * t].0[0] = f32::from(pre);
        x.lanes_mut()[2 * t + 1].0[0] = f32::from(post);
    }
    layer.simulate(&context, &x).unwrap();
    let fired: Vec<bool> =
        (0..steps).map(|t| layer.spikes().sample(t, 0).next() == Some(1.0)).collect();
    assert_eq!(fired, spikes.iter().map(|s| s.1).collect::<Vec<_>>());
    layer.update();
    layer.weight()[0] - weight
}

/// A neuron that fires at a current of 2 and forgets everything else.
fn relay() -> Neuron {
    Neuron { tau: Some(1.0), threshold: 1.5, ..Neuron::default() }
}

/// The window of a pair as Brian2 has it: `a+ exp(-dt / tau+)` for post after pre, `-a- exp(-dt / tau-)` for pre after
/// post. A trace that is lowered by its tau-th part a step is one that decays with `1 - 1/tau = exp(-1/tau_exponential)`.
#[test]
fn a_pair_of_spikes_has_an_exponential_window() {
    let discrete = |tau: f32| 1.0 / (1.0 - (-1.0 / tau).exp());
    let options = PairOptions::default().with(|o| {
        o.neuron = relay();
        o.tau_pre = discrete(20.0);
        o.tau_post = discrete(12.0);
        o.potentiation = 0.01;
        o.depression = 0.0105;
        o.exponent = 0.0;
    });
    for isa in isas() {
        for dt in 1..40 {
            let mut spikes = vec![(false, false); 45];
            (spikes[2].0, spikes[2 + dt].1) = (true, true);
            let expected = 0.01 * (-(dt as f32) / 20.0).exp();
            let found = one_synapse(isa, options, &spikes, 0.25);
            assert!((found - expected).abs() < 1e-6, "{dt}: {found}, {expected}");
            let mut spikes = vec![(false, false); 45];
            (spikes[2].1, spikes[2 + dt].0) = (true, true);
            let expected = -0.0105 * (-(dt as f32) / 12.0).exp();
            let found = one_synapse(isa, options, &spikes, 0.25);
            assert!((found - expected).abs() < 1e-6, "-{dt}: {found}, {expected}");
        }
    }
}

#[test]
fn bounds_are_soft_or_hard() {
    let mut spikes = vec![(false, false); 4];
    (spikes[0].0, spikes[1].1) = (true, true);
    let change = |exponent: f32, potentiation: f32, weight: f32| {
        let options = PairOptions::default().with(|o| {
            o.neuron = relay();
            o.exponent = exponent;
            o.potentiation = potentiation;
        });
        one_synapse(portable(), options, &spikes, weight)
    };
    // The trace of one step ago: 0.95.
    for weight in [-0.75, 0.0, 0.75] {
        let room: f32 = 1.0 - weight;
        for (exponent, bound) in [(0.0, 1.0), (0.5, room.sqrt()), (1.0, room), (2.0, room * room)] {
            let found = change(exponent, 0.1, weight);
            assert!((found - 0.1 * 0.95 * bound).abs() < 1e-6, "{exponent} {weight}: {found}");
        }
    }
    // No step crosses the bound; a weight beyond it is not dragged there at once.
    assert_eq!(change(0.0, 9.0, 0.5), 0.5);
    assert_eq!(change(1.0, 9.0, 0.5), 0.5);
    assert_eq!(change(0.0, 9.0, 1.25), 0.0);
}

/// What a synapse goes through, in f64; `spikes[t]` of both ends.
fn spikingjelly(options: &PairOptions, spikes: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let (tau_pre, tau_post) = (f64::from(options.tau_pre), f64::from(options.tau_post));
    let (mut trace_pre, mut trace_post) = (0.0, 0.0);
    let (mut up, mut down) = (0.0, 0.0);
    for (pre, post) in spikes {
        trace_pre = trace_pre - trace_pre / tau_pre + pre;
        trace_post = trace_post - trace_post / tau_post + post;
        up += trace_pre * post;
        down += trace_post * pre;
    }
    (up, down)
}

fn expected_weight(options: &PairOptions, weight: f32, up: f64, down: f64) -> f64 {
    let (w, mu) = (f64::from(weight), f64::from(options.exponent));
    let room_up = (f64::from(options.maximum) - w).max(0.0).powf(mu);
    let room_down = (w - f64::from(options.minimum)).max(0.0).powf(mu);
    w + f64::from(options.potentiation) * room_up * up
        - f64::from(options.depression) * room_down * down
}

/// The input that a tap of an output pixel sees, if it is not on the border.
fn seen(g: &Geometry, c: usize, pixel: usize, tap: usize) -> Option<usize> {
    let image = g.unpadded();
    let (taps_y, taps_x) = (g.kernel[0], g.kernel[1]);
    let i = c / g.out_channels() * g.in_channels() + tap / (taps_y * taps_x);
    let y = pixel / g.output.width * g.stride[0] + tap / taps_x % taps_y;
    let x = pixel % g.output.width * g.stride[1] + tap % taps_x;
    let (y, x) = (y.checked_sub(g.padding[0])?, x.checked_sub(g.padding[1])?);
    (y < image.height && x < image.width).then_some((i * image.height + y) * image.width + x)
}

#[test]
fn a_convolution_is_spikingjellys_rule_at_every_pixel() {
    let of = |input, weight, stride, padding, groups| {
        Geometry::new(input, weight, Conv2dOptions::new(stride, padding, groups)).unwrap()
    };
    let geometries = [
        plain(Shape::new(2, 6, 5), 3, 3),
        of(Shape::new(2, 5, 4), [3, 2, 3, 3], [1, 1], [1, 1], 1),
        of(Shape::new(4, 5, 6), [6, 2, 3, 2], [2, 1], [1, 0], 2),
        of(Shape::new(3, 3, 7), [3, 1, 1, 5], [1, 2], [0, 3], 3),
    ];
    for (isa, g) in isas().into_iter().flat_map(|isa| geometries.map(|g| (isa, g))) {
        for neuron in
            [Neuron::default(), Neuron { synapse_tau: Some(3.0), rest: 0.1, ..Neuron::default() }]
        {
            is_spikingjellys_rule(isa, &g, neuron);
        }
    }
}

fn is_spikingjellys_rule(isa: Isa, g: &Geometry, neuron: Neuron) {
    let (samples, steps, pixels, fan_in) = (19, 17, g.output.pixels(), g.fan_in());
    let w = weights(g.weights());
    let options = PairOptions::default().with(|o| {
        o.neuron = neuron;
        o.tau_pre = 4.0;
        o.tau_post = 7.0;
    });
    let context = Context::with_isa(isa, 2).unwrap();
    let x = trains(&context, g.unpadded(), samples, steps, 1);
    let mut layer = PairLayer::new(*g, &w, options).unwrap();
    layer.simulate(&context, &x).unwrap();
    let spikes = layer.spikes().clone();
    let value = |tensor: &Tensor, t: usize, n: usize, f: usize| {
        tensor.lanes()[(n / 16 * steps + t) * tensor.shape().features() + f].0[n % 16]
    };
    // The neurons are those of the fused layer.
    let d = neuron.dynamics().unwrap();
    for (n, f) in (0..samples).flat_map(|n| (0..g.output.features()).map(move |f| (n, f))) {
        let (c, pixel) = (f / pixels, f % pixels);
        let mut cell = d.start();
        for t in 0..steps {
            let taps = (0..fan_in).filter_map(|k| Some((k, seen(g, c, pixel, k)?)));
            let current = taps
                .fold(0.0_f32, |sum, (k, at)| value(&x, t, n, at).mul_add(w[c * fan_in + k], sum));
            let spiked = d.step(&mut cell, current).1;
            assert_eq!(spiked, value(&spikes, t, n, f) == 1.0, "{} {g:?}", isa.name());
        }
    }
    for block in 0..spikes.blocks() {
        let live = spikes.live(block);
        assert!(spikes.block(block).iter().all(|x| x.0[live..] == [0.0; 16][live..]));
    }
    layer.update();
    for (i, &weight) in w.iter().enumerate() {
        let (c, k) = (i / fan_in, i % fan_in);
        let (mut up, mut down) = (0.0, 0.0);
        for (n, pixel) in (0..samples).flat_map(|n| (0..pixels).map(move |p| (n, p))) {
            let Some(pre) = seen(g, c, pixel, k) else { continue };
            let post = c * pixels + pixel;
            let pair = |t| (value(&x, t, n, pre).into(), value(&spikes, t, n, post).into());
            let (a, b) = spikingjelly(&options, (0..steps).map(pair));
            (up, down) = (up + a, down + b);
        }
        let scale = 1.0 / (samples * pixels) as f64;
        let expected = expected_weight(&options, weight, up * scale, down * scale);
        let off = (f64::from(layer.weight()[i]) - expected).abs();
        assert!(off < 1e-6, "{} {g:?} {i}: {off}", isa.name());
    }
}

/// A layer whose sums do not all fit goes through its blocks one after the other.
#[test]
fn wide_layers_learn_the_same() {
    let (features, outputs, samples, steps) = (2100, 2000, 33, 3);
    let w = weights(features * outputs);
    let context = Context::with_isa(Isa::detect().unwrap(), 2).unwrap();
    let x = trains(&context, Shape::flat(features), samples, steps, 2);
    let options = PairOptions::default();
    let mut layer = PairLayer::new(Geometry::linear(features, outputs), &w, options).unwrap();
    layer.simulate(&context, &x).unwrap();
    let spikes = layer.spikes().clone();
    layer.update();
    let at = |tensor: &Tensor, t: usize, n: usize, f: usize| {
        f64::from(tensor.block(n / 16 * steps + t)[f].0[n % 16])
    };
    for i in (0..w.len()).step_by(9973) {
        let (mut up, mut down) = (0.0, 0.0);
        for n in 0..samples {
            let pair = |t| (at(&x, t, n, i % features), at(&spikes, t, n, i / features));
            let (a, b) = spikingjelly(&options, (0..steps).map(pair));
            (up, down) = (up + a / samples as f64, down + b / samples as f64);
        }
        let expected = expected_weight(&options, w[i], up, down);
        assert!((f64::from(layer.weight()[i]) - expected).abs() < 1e-6);
    }
}

#[test]
fn a_linear_layer_is_spikingjellys_rule() {
    let (features, outputs, samples, steps) = (33, 5, 20, 40);
    let w = weights(features * outputs);
    let options = PairOptions::default().with(|o| o.exponent = 0.5);
    let context = Context::serial(portable());
    let x = trains(&context, Shape::flat(features), samples, steps, 2);
    let mut layer = PairLayer::new(Geometry::linear(features, outputs), &w, options).unwrap();
    layer.simulate(&context, &x).unwrap();
    let spikes = layer.spikes().clone();
    assert!(spikes.lanes().iter().any(|lanes| lanes.0[0] == 1.0));
    layer.update();
    for (i, &weight) in w.iter().enumerate() {
        let (mut up, mut down) = (0.0, 0.0);
        for n in 0..samples {
            let at = |tensor: &Tensor, t, f| f64::from(tensor.sample(t, n).nth(f).unwrap());
            let pair = |t| (at(&x, t, i % features), at(&spikes, t, i / features));
            let (a, b) = spikingjelly(&options, (0..steps).map(pair));
            (up, down) = (up + a / samples as f64, down + b / samples as f64);
        }
        let expected = expected_weight(&options, weight, up, down);
        assert!((f64::from(layer.weight()[i]) - expected).abs() < 1e-6);
    }
}

/// All bits of a run of two layers.
fn two_layers(context: &Context, pieces: &[usize]) -> (Vec<f32>, Vec<f32>, Vec<Tensor>) {
    let shape = Shape::new(1, 12, 12);
    let options = PairOptions::default();
    let mut conv = PairLayer::new(plain(shape, 4, 5), &weights(100), options).unwrap();
    let mut linear = PairLayer::new(Geometry::linear(64, 10), &weights(640), options).unwrap();
    let all = trains(context, shape, 37, pieces.iter().sum(), 3);
    let mut first = 0;
    let mut spikes = Vec::new();
    for &steps in pieces {
        let mut x = trains(context, shape, 37, steps, 3);
        for (block, to) in x.lanes_mut().chunks_mut(144).enumerate() {
            let t = block / steps * all.steps() + first + block % steps;
            to.copy_from_slice(all.block(t));
        }
        first += steps;
        conv.simulate(context, &x).unwrap();
        let mut tape = Tape::new(context.clone());
        let next = tape.constant(conv.spikes().clone());
        let next = tape.max_pool(next, [2, 2], [2, 2]).unwrap();
        let next = tape.value(next).clone();
        linear.simulate(context, &next).unwrap();
        spikes.push(next);
        spikes.push(linear.spikes().clone());
    }
    conv.update();
    linear.update();
    (conv.weight().to_vec(), linear.weight().to_vec(), spikes)
}

#[test]
fn neither_isa_nor_threads_nor_pieces_of_time_matter() {
    let expected = two_layers(&Context::serial(portable()), &[12]);
    assert!(expected.2[1].lanes().iter().any(|lanes| lanes.0[0] == 1.0));
    for isa in isas() {
        for threads in [1, 2, 5] {
            let context = Context::with_isa(isa, threads).unwrap();
            assert!(two_layers(&context, &[12]) == expected, "{} {threads}", isa.name());
        }
    }
    // In pieces: the same spikes, the same weights up to the order of sums.
    let (conv, linear, spikes) = two_layers(&Context::serial(portable()), &[5, 1, 6]);
    for (found, expected) in conv.iter().chain(&linear).zip(expected.0.iter().chain(&expected.1)) {
        assert!((found - expected).abs() < 1e-6);
    }
    for (layer, whole) in expected.2.iter().enumerate() {
        for (first, piece) in [(0, 0), (5, 1), (6, 2)] {
            let piece = &spikes[2 * piece + layer];
            for (t, n) in (0..piece.steps()).flat_map(|t| (0..37).map(move |n| (t, n))) {
                assert!(piece.sample(t, n).eq(whole.sample(first + t, n)));
            }
        }
    }
}

#[test]
fn state_is_forgotten_on_demand() {
    let context = Context::serial(portable());
    let x = trains(&context, Shape::flat(20), 3, 9, 1);
    let options = PairOptions::default();
    let mut layer = PairLayer::new(Geometry::linear(20, 4), &weights(80), options).unwrap();
    layer.simulate(&context, &x).unwrap();
    let first = layer.spikes().clone();
    layer.simulate(&context, &x).unwrap();
    assert_ne!(layer.spikes(), &first);
    layer.reset();
    layer.simulate(&context, &x).unwrap();
    assert_eq!(layer.spikes(), &first);

    // The same spikes without plasticity, and nothing learned.
    let mut layer = PairLayer::new(Geometry::linear(20, 4), &weights(80), options).unwrap();
    layer.propagate(&context, &x).unwrap();
    assert_eq!(layer.spikes(), &first);
    layer.update();
    assert_eq!(layer.weight(), weights(80));
}

#[test]
fn options_travel_as_text_and_are_checked() {
    let text = serde_json::to_string(&PairOptions::default()).unwrap();
    assert!(text.contains("\"tau_pre\":20.0"), "{text}");
    let some: PairOptions = serde_json::from_str("{\"exponent\": 0.0}").unwrap();
    assert_eq!(some, PairOptions::default().with(|o| o.exponent = 0.0));
    for options in [
        PairOptions::default().with(|o| o.tau_pre = 0.5),
        PairOptions::default().with(|o| o.maximum = -2.0),
        PairOptions::default().with(|o| o.exponent = -1.0),
        PairOptions::default().with(|o| o.depression = f32::NAN),
    ] {
        assert!(PairLayer::new(Geometry::linear(3, 2), &weights(6), options).is_err());
    }
    let context = Context::serial(portable());
    assert!(PairLayer::new(Geometry::linear(3, 2), &weights(5), PairOptions::default()).is_err());
    assert!(PairLayer::new(Geometry::linear(0, 2), &[], PairOptions::default()).is_err());
    let mut layer =
        PairLayer::new(Geometry::linear(3, 2), &weights(6), PairOptions::default()).unwrap();
    assert!(layer.simulate(&context, &Tensor::zeros(Shape::flat(4), 2)).is_err());
    assert!(layer.simulate(&context, &Tensor::zeros(Shape::flat(3), 0)).is_err());
    let image = Tensor::zeros(Shape::flat(3), 2);
    for (rate, steps) in [(1.5, 2), (f32::NAN, 2), (0.5, 0)] {
        assert!(poisson_trains(&context, &image, rate, steps, Key::new(0)).is_err());
    }
}

/// Under the mean input for a long time, without spikes, the most strongly driven neuron settles where it was told to.
#[test]
fn balanced_resistance_drives_the_strongest_neuron_to_the_given_number_of_thresholds() {
    for neuron in [
        Neuron { tau: Some(10.0), threshold: 0.7, rest: -0.2, ..Neuron::default() },
        Neuron { tau: Some(10.0), decay_input: false, synapse_tau: Some(4.0), ..Neuron::default() },
    ] {
        for (drive, spikes) in [(0.98, false), (1.05, true)] {
            let context = Context::serial(portable());
            let shape = Shape::new(2, 6, 6);
            let options = PairOptions::default().with(|o| o.neuron = neuron);
            let mut layer = PairLayer::new(plain(shape, 3, 3), &weights(54), options).unwrap();
            let mut draw = draw(Key::new(8));
            let mean = Array4::from_shape_fn((5, 2, 6, 6), |_| draw());
            let mean = Tensor::from_array(mean.view());
            layer.balance(&context, &mean, drive).unwrap();
            let mut spiked = false;
            for _ in 0..200 {
                layer.propagate(&context, &mean).unwrap();
                spiked |= layer.spikes().lanes().iter().any(|lanes| lanes.0.contains(&1.0));
            }
            assert_eq!(spiked, spikes, "{neuron:?} at {drive} thresholds");
        }
    }
}
