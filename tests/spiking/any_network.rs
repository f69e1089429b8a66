//! Random networks, residual ones among them: their spiking form against a node and a step at a time, frozen against
//! trained, bits that depend on nothing but numbers; and all kinds of sleep.

use crate::common::networks::{drawn, node};
use crate::common::{best, bits, isas, numbers, tensor};
use deepsleep::autodiff::{Normalization, Tape, Var};
use deepsleep::data::Dataset;
use deepsleep::kernels::conv2d::{Conv2dOptions, Geometry};
use deepsleep::kernels::lif::NeuronState;
use deepsleep::nn::architecture::{Algorithm, Architecture, Node, Op, Pair};
use deepsleep::nn::{Freeze, FrozenNetwork, Mode, Model, Network, Trainer, TrainingOptions};
use deepsleep::simd::Isa;
use deepsleep::simd::random::Key;
use deepsleep::sleep::{
    Layers, Plasticity, ReplayOptions, SlowWave, SlowWaveOptions, StdpConv, StdpLinear, replay,
    replay_with,
};
use deepsleep::snn::{
    Encoder, Neuron, Reset, SpikingModel, SpikingOptions, Statistics, firing_rates, spike_trains,
};
use deepsleep::tensor::{Context, Shape, Tensor};
use proptest::prelude::*;
use std::collections::HashMap;

/// A node of a network without dropout, at one time step.
fn one_node(tape: &mut Tape, model: &Model, i: usize, inputs: &[Var], norm: usize) -> Var {
    let node = &model.architecture().nodes()[i];
    let mut weight = |suffix: &str| {
        let parameter = model.parameters().get(&format!("{}.{suffix}", node.name))?;
        Some(tape.fixed_weight(&parameter.shape, &parameter.values).unwrap())
    };
    let (weight, bias) = (weight("weight"), weight("bias"));
    let x = inputs[0];
    let biased = |tape: &mut Tape, y| bias.map_or(y, |bias| tape.bias(y, bias).unwrap());
    let pool = node.op.pool(model.architecture().input_of(i)).unwrap();
    match &node.op {
        Op::Conv2d { stride, padding, groups, .. } => {
            let options = Conv2dOptions::new(stride.0, padding.0, *groups);
            let y = tape.conv2d(x, weight.unwrap(), options).unwrap();
            biased(tape, y)
        }
        Op::Linear { .. } => {
            let y = tape.linear(x, weight.unwrap()).unwrap();
            biased(tape, y)
        }
        Op::BatchNorm { eps, .. } => {
            let of = &model.statistics()[norm];
            let by = Normalization::Given { mean: &of.mean, variance: &of.variance };
            tape.batch_norm(x, weight.unwrap(), bias.unwrap(), by, *eps).unwrap()
        }
        Op::Normalize { mean, std } => {
            let scale: Vec<f32> = std.iter().map(|s| (1.0 / f64::from(*s)) as f32).collect();
            let shift = mean.iter().zip(std).map(|(m, s)| (-f64::from(*m) / f64::from(*s)) as f32);
            tape.affine(x, &scale, &shift.collect::<Vec<f32>>()).unwrap()
        }
        Op::MaxPool { window, .. } => {
            tape.max_pool_with(x, window.0, pool.unwrap().options).unwrap()
        }
        Op::AvgPool { .. } | Op::GlobalAvgPool {} => {
            let g = pool.unwrap();
            tape.avg_pool_with(x, g.window, g.options).unwrap()
        }
        Op::Flatten {} => tape.flatten(x),
        Op::Add {} => tape.add(x, inputs[1]).unwrap(),
        Op::Concat {} => tape.concat(inputs).unwrap(),
        Op::Scale { factor } => tape.scale(x, *factor).unwrap(),
        Op::Dropout { .. } => x,
        other => tape.activate(x, other.activation().unwrap()),
    }
}

/// Logits, the mean over time, of a network whose images are encoded directly; and how near a membrane came to its
/// threshold.
fn reference(model: &Model, options: &SpikingOptions, x: &Tensor) -> (Vec<f32>, f32) {
    let d = options.neuron.dynamics().unwrap();
    let architecture = model.architecture();
    let mut cells: HashMap<usize, Vec<[NeuronState; 16]>> = HashMap::new();
    let (mut sum, mut nearest) = (Vec::new(), f32::INFINITY);
    for step in 0..options.steps {
        let mut tape = Tape::new(Context::serial(best()));
        let mut values = vec![tape.constant(x.clone())];
        let mut norm = 0;
        for (i, node) in architecture.nodes().iter().enumerate() {
            let inputs: Vec<Var> = architecture.sources(i).iter().map(|&s| values[s]).collect();
            if !node.op.is_rectifier() {
                values.push(one_node(&mut tape, model, i, &inputs, norm));
                norm += usize::from(matches!(node.op, Op::BatchNorm { .. }));
                continue;
            }
            let mut spikes = tape.value(inputs[0]).clone();
            let live: Vec<usize> = (0..spikes.blocks()).map(|b| spikes.live(b)).collect();
            let (size, count) = (spikes.shape().features(), spikes.lanes().len());
            let cells = cells.entry(i).or_insert_with(|| vec![[d.start(); 16]; count]);
            for (at, lanes) in spikes.lanes_mut().iter_mut().enumerate() {
                for (cell, x) in cells[at].iter_mut().zip(&mut lanes.0).take(live[at / size]) {
                    let (u, spiked) = d.step(cell, *x);
                    nearest = nearest.min((u - d.threshold).abs());
                    *x = f32::from(spiked);
                }
            }
            values.push(tape.constant(spikes));
        }
        let logits = tape.value(*values.last().unwrap()).to_array();
        sum = if step == 0 {
            logits.iter().copied().collect()
        } else {
            sum.iter().zip(&logits).map(|(sum, x)| sum + x).collect()
        };
    }
    let scale = 1.0 / options.steps as f32;
    (sum.iter().map(|sum| scale * sum).collect(), nearest)
}

fn options(seed: u64) -> SpikingOptions {
    let neuron = match seed % 3 {
        0 => Neuron::default(),
        1 => Neuron { reset: Reset::Soft, synapse_tau: Some(2.0), ..Neuron::default() },
        _ => Neuron { tau: Some(3.0), threshold: 0.2, ..Neuron::default() },
    };
    SpikingOptions::default().with(|o| {
        o.steps = 1 + (seed % 5) as usize;
        o.neuron = neuron;
    })
}

/// The spiking form of a random network; none if nothing of it spikes.
fn spiking(seed: u64, options: SpikingOptions) -> Option<SpikingModel> {
    SpikingModel::from_model(&drawn(seed), options, Statistics::Carry).ok()
}

fn unfrozen(network: &mut SpikingModel, x: &Tensor) -> Tensor {
    let mut tape = Tape::new(Context::serial(best()));
    let x = tape.constant(x.clone());
    let mut weights = Vec::new();
    network.parameters().record(&mut tape, &mut weights).unwrap();
    let logits = network.forward(&mut tape, x, &weights, Mode::Evaluate).unwrap();
    tape.value(logits).clone()
}

/// Logits and gradients of their sum to the images.
fn frozen(
    network: &SpikingModel,
    isa: Isa,
    threads: usize,
    x: &Tensor,
    keys: &[u64],
) -> [Tensor; 2] {
    let network = network.freeze().unwrap();
    let mut tape = Tape::new(Context::with_isa(isa, threads).unwrap());
    tape.set_noise(keys.iter().map(|&key| Key::new(key)));
    let x = tape.input(x.clone());
    let logits = network.logits(&mut tape, x).unwrap();
    let value = tape.value(logits).clone();
    tape.backward(logits, deepsleep::autodiff::Seed::Sum).unwrap();
    let gradient = tape.take_gradient(x).unwrap();

    // Without a gradient, layers compute in the memory of those before them.
    let image = tape.value(x).clone();
    tape.reset();
    tape.set_noise(keys.iter().map(|&key| Key::new(key)));
    let x = tape.constant(image);
    let logits = network.logits(&mut tape, x).unwrap();
    assert_eq!(bits(tape.value(logits).lanes()), bits(value.lanes()));
    [value, gradient]
}

/// Samples of a batch.
fn pick(x: &Tensor, order: &[usize]) -> Tensor {
    Tensor::from_array(x.to_array().select(ndarray::Axis(0), order).view())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn spiking_over_time_is_one_node_and_one_step_at_a_time(seed in 0_u64..1_000_000, samples in 1_usize..20) {
        let options = options(seed);
        let Some(mut network) = spiking(seed, options) else { return Ok(()) };
        let x = tensor(seed, samples, network.input_shape());
        let (expected, nearest) = reference(network.model(), &options, &x);
        let found: Vec<f32> = unfrozen(&mut network, &x).to_array().into_iter().collect();
        prop_assert_eq!(&found, &expected, "{:?}", network.model().architecture());

        // Folding changes currents by roundings, and those may change a spike.
        if nearest > 1e-4 {
            let [logits, _] = frozen(&network, best(), 1, &x, &[]);
            let scale = expected.iter().fold(1e-3_f32, |m, x| m.max(x.abs()));
            for (found, expected) in logits.to_array().iter().zip(&expected) {
                prop_assert!((found - expected).abs() <= 1e-4 * scale, "{found} {expected}");
            }
        }
    }

    #[test]
    fn bits_depend_on_nothing_but_numbers(seed in 0_u64..1_000_000, samples in 2_usize..35) {
        let encoder = if seed % 2 == 0 { Encoder::Direct } else { Encoder::Poisson { rate: 0.7 } };
        let options = options(seed).with(|o| o.encoder = encoder);
        let Some(network) = spiking(seed, options) else { return Ok(()) };
        let x = tensor(seed, samples, network.input_shape());
        let keys: Vec<u64> = (0..samples as u64).collect();
        let all = |isa, threads| frozen(&network, isa, threads, &x, &keys).map(|t| bits(t.lanes()));
        let first = all(best(), 1);
        for isa in isas() {
            prop_assert!(all(isa, 2) == first, "{} {:?}", isa.name(), network.model().architecture());
        }
        let order: Vec<usize> = (0..samples).rev().collect();
        let keys: Vec<u64> = order.iter().map(|&i| i as u64).collect();
        let whole = frozen(&network, best(), 1, &x, &(0..samples as u64).collect::<Vec<_>>());
        let turned = frozen(&network, best(), 1, &pick(&x, &order), &keys);
        for (whole, turned) in whole.iter().zip(&turned) {
            for (place, &n) in order.iter().enumerate() {
                let of = |t: &Tensor, n| t.sample(0, n).map(f32::to_bits).collect::<Vec<_>>();
                prop_assert_eq!(of(turned, place), of(whole, n));
            }
        }
    }
}

/// A `lif` node is a rectifier among rectifiers, and has neurons of its own among neurons.
#[test]
fn a_lif_node_has_neurons_of_its_own() {
    let text = |nodes: &str| {
        format!(
            r#"{{"input": [1, 4, 4], "classes": 3, "nodes": [
                {{"name": "fc1", "op": "linear", "out": 8}}, {nodes},
                {{"name": "fc2", "op": "linear", "out": 3}}]}}"#
        )
    };
    let neuron = Neuron { threshold: 0.1, tau: Some(4.0), ..Neuron::default() };
    let json = serde_json::to_string(&neuron).unwrap();
    let read = |nodes: &str| serde_json::from_str::<Architecture>(&text(nodes));
    let own = read(&format!(r#"{{"name": "n", "op": "lif", "neuron": {json}}}"#)).unwrap();
    let general = read(r#"{"name": "n", "op": "lif"}"#).unwrap();
    let rectified = read(r#"{"name": "n", "op": "relu"}"#).unwrap();
    assert_eq!(
        serde_json::from_str::<Architecture>(&serde_json::to_string(&own).unwrap()).unwrap(),
        own
    );
    let x = tensor(3, 20, own.input());
    let logits = |architecture: &Architecture, neuron: Neuron| {
        let model = Model::new(architecture.clone(), 1).unwrap();
        let options = SpikingOptions::default().with(|o| {
            o.steps = 5;
            o.neuron = neuron;
        });
        let mut network = SpikingModel::from_model(&model, options, Statistics::Carry).unwrap();
        assert_eq!(network.layers(), ["n"]);
        let [frozen, _] = frozen(&network, best(), 1, &x, &[]);
        let trained = unfrozen(&mut network, &x);
        assert_eq!(trained, frozen);
        bits(frozen.lanes())
    };
    let other = Neuron::default();
    assert_eq!(logits(&own, other), logits(&rectified, neuron));
    assert_eq!(logits(&general, other), logits(&rectified, other));
    assert_ne!(logits(&own, other), logits(&rectified, other));
    // Without time they all are rectifiers.
    let rectifiers = [&own, &general, &rectified].map(|architecture| {
        let network = Model::new(architecture.clone(), 1).unwrap().freeze().unwrap();
        let mut tape = Tape::new(Context::serial(best()));
        let x = tape.constant(x.clone());
        let logits = network.logits(&mut tape, x).unwrap();
        bits(tape.value(logits).lanes())
    });
    assert!(rectifiers[0] == rectifiers[2] && rectifiers[1] == rectifiers[2]);
    let error = read(r#"{"name": "n", "op": "lif", "surrogate": {"arctan": 0.0}}"#);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("node `n` has a neuron that cannot be"), "{error}");
}

#[test]
fn rates_and_trains_have_names() {
    let network = spiking_residual(3).freeze().unwrap();
    assert_eq!(network.layers(), ["relu1", "relu2", "relu3"]);
    let context = Context::with_isa(best(), 2).unwrap();
    let data = images(20, residual().input());
    let rates = firing_rates(&context, &network, &data).unwrap();
    let names: Vec<&str> = rates.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, network.layers());
    let mut sums = [0.0; 3];
    for image in 0..20 {
        let trains = spike_trains(&context, &network, &data, image).unwrap();
        for (sum, (_, steps)) in sums.iter_mut().zip(&trains) {
            assert_eq!(steps.len(), 3);
            let fired = steps.iter().flatten().filter(|&&spike| spike).count();
            *sum += fired as f64 / (20 * 3 * steps[0].len()) as f64;
        }
    }
    for ((name, rate), sum) in rates.iter().zip(sums) {
        assert!((rate - sum).abs() < 1e-9 && *rate > 0.0 && *rate < 1.0, "{name} {rate} {sum}");
    }
}

fn of(name: &str, op: Op, inputs: &[&str]) -> Node {
    Node { name: name.into(), op, inputs: inputs.iter().map(|&i| i.to_owned()).collect() }
}

fn conv(out: usize, stride: usize) -> Op {
    let (kernel, stride, padding) = (Pair([3; 2]), Pair([stride; 2]), Pair([1; 2]));
    Op::Conv2d { out, kernel, stride, padding, groups: 1, bias: false, algorithm: Algorithm::Lanes }
}

/// A small residual network with a hidden linear layer.
fn residual() -> Architecture {
    let norm = || Op::BatchNorm { eps: 1e-5, momentum: 0.1 };
    let nodes = vec![
        node("stem", conv(4, 1)),
        node("norm1", norm()),
        node("relu1", Op::Relu {}),
        node("block", conv(4, 1)),
        node("norm2", norm()),
        of("add", Op::Add {}, &["norm2", "relu1"]),
        node("relu2", Op::Relu {}),
        node("wide", conv(40, 2)),
        node("pool", Op::GlobalAvgPool {}),
        node("hidden", Op::Linear { out: 12, bias: true }),
        node("relu3", Op::Relu {}),
        node("out", Op::Linear { out: 3, bias: true }),
    ];
    Architecture::new(Shape::new(2, 6, 6), 3, nodes).unwrap()
}

fn spiking_residual(steps: usize) -> SpikingModel {
    let mut model = Model::new(residual(), 5).unwrap();
    for name in ["norm1.weight", "norm2.weight", "hidden.weight"] {
        let values = &mut model.parameters_mut().get_mut(name).unwrap().values;
        values.iter_mut().for_each(|x| *x *= 4.0);
    }
    let options = SpikingOptions::default().with(|o| o.steps = steps);
    SpikingModel::from_model(&model, options, Statistics::Carry).unwrap()
}

fn images(count: usize, shape: Shape) -> Dataset {
    let bytes = numbers(7, count * shape.features());
    let bytes = bytes.iter().map(|x| (127.0 * x + 127.5) as u8).collect();
    let labels = (0..count).map(|i| (i % 3) as u8).collect();
    Dataset::new(bytes, labels, [shape.channels, shape.height, shape.width], 3).unwrap()
}

/// Statistics move once a step also where a layer was computed once for all steps, and weights learn.
#[test]
fn a_residual_network_trains_over_time() {
    let data = images(32, residual().input());
    let context = Context::with_isa(best(), 2).unwrap();
    let mut network = spiking_residual(3);
    let options = TrainingOptions::default().with(|o| {
        o.epochs = 30;
        o.batch_size = 32;
        o.learning_rate = 0.2;
    });
    let mut trainer = Trainer::new(&network, options).unwrap();
    let mut losses = Vec::new();
    for _ in 0..30 {
        losses.push(trainer.epoch(&context, &mut network, &data).unwrap().loss);
    }
    assert!(losses[29] < 0.8 * losses[0], "{losses:?}");
    let before = spiking_residual(3);
    for (new, old) in network.parameters().iter().zip(before.parameters()) {
        assert_ne!(new.values, old.values, "{}", new.name);
    }
    for (new, old) in network.model().statistics().iter().zip(before.model().statistics()) {
        assert_ne!(new, old);
    }
}

fn slow_wave(plasticity: Plasticity, layers: Layers) -> SlowWaveOptions {
    SlowWaveOptions::default().with(|o| {
        o.depth = 1;
        // Twenty steps; of Poisson trains, enough for neurons to spike.
        o.initial_rate = if plasticity == Plasticity::Pair { 0.02 } else { 0.1 };
        o.batch_size = 20;
        o.layers = layers;
        o.plasticity = plasticity;
    })
}

fn asleep(model: &Model, options: &SlowWaveOptions, context: &Context, data: &Dataset) -> Model {
    let mut sleep = SlowWave::new(model, options.clone(), 3).unwrap();
    while sleep.passes_done() < sleep.passes().len() {
        sleep.pass(context, data).unwrap();
    }
    let mut model = model.clone();
    sleep.wake(&mut model);
    model
}

const WEIGHTS: [&str; 5] =
    ["stem.weight", "block.weight", "wide.weight", "hidden.weight", "out.weight"];

#[test]
fn all_layers_of_a_residual_network_sleep_or_those_that_are_named() {
    let data = images(40, residual().input());
    let model = Model::new(residual(), 5).unwrap();
    let context = Context::with_isa(best(), 2).unwrap();
    let moved = |plasticity, layers| {
        let slept = asleep(&model, &slow_wave(plasticity, layers), &context, &data);
        let weights =
            |model: &Model, name: &str| model.parameters().get(name).unwrap().values.clone();
        WEIGHTS.map(|name| weights(&model, name) != weights(&slept, name))
    };
    let named = || Layers::Named(vec!["wide".into(), "out".into()]);
    for plasticity in [Plasticity::Published, Plasticity::Pair] {
        assert_eq!(moved(plasticity, Layers::All), [true; 5], "{plasticity:?}");
        assert_eq!(moved(plasticity, named()), [false, false, true, false, true]);
    }
    // Convolutions between the first and the last layer are standardized.
    let published = moved(Plasticity::Published, Layers::Published);
    assert_eq!(published, [true, true, true, false, true]);
    assert_eq!(moved(Plasticity::Pair, Layers::Published), [true, false, false, false, true]);

    let wrong = slow_wave(Plasticity::Pair, Layers::Named(vec!["wid".into()]));
    let error = SlowWave::new(&model, wrong, 3).err().unwrap().to_string();
    assert!(error.contains("`wid`") && error.contains("did you mean `wide`"), "{error}");
    let layers: Layers = serde_json::from_str(r#"["wide", "out"]"#).unwrap();
    assert_eq!(layers, named());
}

/// The layers of a residual network, simulated and connected by hand.
#[test]
fn a_pass_simulates_the_layers_as_they_are_connected() {
    let (data, steps) = (images(20, residual().input()), 20);
    let context = Context::with_isa(best(), 2).unwrap();
    let model = Model::new(residual(), 5).unwrap();
    let options = slow_wave(Plasticity::Published, Layers::All);
    let mut sleep = SlowWave::new(&model, options, 3).unwrap();
    // Only the third layer's turn: the others before it are put back.
    let turn = sleep.passes().iter().position(|pass| pass.turn == deepsleep::sleep::Turn::Layer(2));
    assert_eq!((turn, sleep.passes()[2].steps), (Some(2), steps));
    for _ in 0..2 {
        sleep.pass(&context, &data).unwrap();
    }
    let mut model = model;
    sleep.wake(&mut model);
    sleep.pass(&context, &data).unwrap();
    let mut after = model.clone();
    sleep.wake(&mut after);

    // The batch of the third pass, in its order, and its ties.
    let key = Key::new(3).named("slow-wave").with(2);
    let order = deepsleep_order(key.named("order"), 20);
    let mut x = Tensor::zeros(data.shape(), 20);
    data.gather(&context, &order, &mut x).unwrap();
    let weight = |name: &str| model.parameters().get(name).unwrap().values.clone();
    let layer = |input, out, stride: usize, name: &str| {
        let options = Conv2dOptions::default().with(|o| {
            o.stride = [stride; 2];
            o.padding = [1, 1];
            o.groups = 1;
        });
        let geometry = Geometry::new(input, out, options).unwrap();
        StdpConv::new(geometry, &weight(name)).unwrap()
    };
    let tie = |layer: u64| {
        let (key, order) = (key.named("tie").with(layer + 1), order.clone());
        move |sample: usize, pixel: usize, step: usize, candidates: &[u32]| {
            let key = key.with(order[sample] as u64).with((pixel as u64) << 32 | step as u64);
            deepsleep::kernels::stdp::choose(candidates, key.to_u64())
        }
    };
    let mut stem = layer(Shape::new(2, 6, 6), [4, 2, 3, 3], 1, "stem.weight");
    let mut block = layer(Shape::new(4, 6, 6), [4, 4, 3, 3], 1, "block.weight");
    let mut wide = layer(Shape::new(4, 6, 6), [40, 4, 3, 3], 2, "wide.weight");
    let mut counts = [(); 2].map(|()| Tensor::zeros(Shape::new(4, 6, 6), 20));
    stem.simulate(&context, &x, steps, &tie(0)).unwrap();
    stem.normalize(&context, &mut counts[0]);
    block.simulate(&context, &counts[0], steps, &tie(1)).unwrap();
    block.normalize(&context, &mut counts[1]);
    let sum = Tensor::from_array((counts[0].to_array() + counts[1].to_array()).view());
    wide.simulate(&context, &sum, steps, &tie(2)).unwrap();
    let gradient = wide.gradient(&context, &sum);
    wide.update(&gradient, 1e-3);
    assert_eq!(wide.weight(), after.parameters().get("wide.weight").unwrap().values);
}

/// As sleep orders the images of a pass: by a hash of the image.
fn deepsleep_order(key: Key, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&i| (key.with(i as u64).to_u64(), i));
    order
}

#[test]
fn sleep_has_the_same_bits_on_any_threads_and_instruction_set() {
    let data = images(40, residual().input());
    let model = Model::new(residual(), 5).unwrap();
    let bytes = |model: &Model| model.state().to_bytes().unwrap();
    let replayed = ReplayOptions::default().with(|o| {
        o.steps = 60;
        o.window = 4;
        o.thresholds = [2.0, 1.0, 0.5];
    });
    let all = |isa, threads| {
        let context = Context::with_isa(isa, threads).unwrap();
        let by = |plasticity| {
            bytes(&asleep(&model, &slow_wave(plasticity, Layers::All), &context, &data))
        };
        let mut last = None;
        let dreamt = replay_with(&context, &model, &data, &replayed, 3, |p| last = Some(p));
        let spikes = last.unwrap().spikes;
        assert!(spikes.len() == 5 && spikes.iter().all(|&n| n > 0), "{spikes:?}");
        [by(Plasticity::Published), by(Plasticity::Pair), bytes(&dreamt.unwrap())]
    };
    let first = all(best(), 1);
    assert!(first.iter().all(|slept| *slept != bytes(&model)));
    for isa in isas() {
        assert!(all(isa, 5) == first, "{}", isa.name());
    }
}

#[test]
fn any_random_network_sleeps() {
    let context = Context::with_isa(best(), 2).unwrap();
    let (mut slept, mut seed) = (0, 0);
    while slept < 12 {
        seed += 1;
        let model = drawn(seed);
        let data = images(20, model.input_shape());
        for plasticity in [Plasticity::Published, Plasticity::Pair] {
            asleep(&model, &slow_wave(plasticity, Layers::All), &context, &data);
        }
        let options = ReplayOptions::default().with(|o| {
            o.steps = 5;
            o.window = 3;
        });
        match replay(&context, &model, &data, &options, 3) {
            Ok(_) => {}
            // A layer that nothing reaches.
            Err(error) => assert!(error.to_string().contains("no positive"), "{error}"),
        }
        slept += 1;
    }
}

#[test]
fn what_does_not_apply_is_said() {
    let nodes = vec![node("fc", Op::Linear { out: 3, bias: true })];
    let model = Model::new(Architecture::new(Shape::new(1, 4, 4), 3, nodes).unwrap(), 0).unwrap();
    let error = SpikingModel::from_model(&model, SpikingOptions::default(), Statistics::Carry);
    let error = error.err().unwrap().to_string();
    assert!(error.contains("neither `relu` nor `lif`"), "{error}");
    let error = ReplayOptions::default().check(&model).unwrap_err().to_string();
    assert!(error.contains("sleep.replay.window") && error.contains("1x4x4"), "{error}");
    // One linear layer sleeps, though.
    let mut layer = StdpLinear::new(16, 3, &numbers(1, 48)).unwrap();
    let context = Context::serial(best());
    let tie =
        |_: usize, _: usize, _: usize, candidates: &[u32]| candidates[0].trailing_zeros() as usize;
    layer.simulate(&context, &tensor(1, 5, Shape::new(1, 4, 4)), 10, &tie).unwrap();
}
