//! The spiking LeNet computes the same bits on every instruction set, with any threads, wherever a sample is in a batch.

use crate::common::{isas, portable};
use deepsleep::autodiff::Tape;
use deepsleep::data::Dataset;
use deepsleep::nn::{Classifier, Freeze, FrozenNetwork, Model, Network, Trainer, TrainingOptions};
use deepsleep::simd::random::Key;
use deepsleep::snn::{Encoder, Neuron, Reset, SpikingModel, SpikingOptions, Statistics, Surrogate};
use deepsleep::tensor::{Context, Tensor};
use rand_xoshiro::rand_core::Rng;

/// Random images: nothing of the arithmetic cares for digits.
fn data(count: usize) -> Dataset {
    let mut generator = Key::new(8).generator();
    let images = (0..count * 784).map(|_| (generator.next_u32() >> 24) as u8).collect();
    let labels = (0..count).map(|i| (i * 7 % 10) as u8).collect();
    Dataset::new(images, labels, [1, 28, 28], 10).unwrap()
}

fn networks() -> [SpikingOptions; 2] {
    let published = SpikingOptions::default().with(|o| o.steps = 4);
    let other = SpikingOptions::default().with(|o| {
        o.steps = 3;
        o.neuron = Neuron {
            reset: Reset::Soft,
            reset_grad: true,
            synapse_tau: Some(2.0),
            ..Neuron::default()
        };
        o.surrogate = Surrogate::Arctan(2.0);
        o.encoder = Encoder::Poisson { rate: 0.8 };
    });
    [published, other]
}

fn network(options: SpikingOptions) -> SpikingModel {
    let mut lenet = Model::lenet(3);
    // Without running statistics, currents large enough for spikes need a scale.
    for (name, scale) in [("bn1.weight", 3.0), ("bn2.weight", 6.0)] {
        lenet.parameters_mut().get_mut(name).unwrap().values.fill(scale);
    }
    SpikingModel::from_model(&lenet, options, Statistics::Carry).unwrap()
}

fn logits(context: &Context, options: SpikingOptions, data: &Dataset, indices: &[usize]) -> Tensor {
    let network = network(options).freeze().unwrap();
    let mut tape = Tape::new(context.clone());
    let mut images = tape.tensor(network.input_shape(), indices.len(), 1);
    data.gather(context, indices, &mut images).unwrap();
    tape.set_noise(indices.iter().map(|&i| Key::new(i as u64)));
    let x = tape.constant(images);
    let logits = network.logits(&mut tape, x).unwrap();
    tape.value(logits).clone()
}

fn contexts() -> Vec<(String, Context)> {
    let of = |isa| [1, 2, 5].map(|threads| (isa, threads));
    let contexts = isas().into_iter().flat_map(of);
    contexts
        .map(|(isa, threads)| {
            let name = format!("{}, {threads} threads", isa.name());
            (name, Context::with_isa(isa, threads).unwrap())
        })
        .collect()
}

#[test]
fn evaluation() {
    let data = data(37);
    let all: Vec<usize> = (0..37).collect();
    let reference = Context::serial(portable());
    for options in networks() {
        let expected = logits(&reference, options, &data, &all);
        assert!(expected.lanes().iter().any(|lanes| lanes.0[0] != 0.0));
        for (name, context) in contexts() {
            assert_eq!(logits(&context, options, &data, &all), expected, "{name}");
        }
        let order: Vec<usize> = all.iter().map(|i| (i * 11 + 5) % 37).collect();
        let shuffled = logits(&reference, options, &data, &order);
        for (place, &n) in order.iter().enumerate() {
            assert!(shuffled.sample(0, place).eq(expected.sample(0, n)), "image {n}");
        }
        let alone = logits(&reference, options, &data, &[20]);
        assert!(alone.sample(0, 0).eq(expected.sample(0, 20)));
    }
}

#[test]
fn a_training_step() {
    let data = data(37);
    let all: Vec<usize> = (0..37).collect();
    for options in networks() {
        let step = |context: &Context| {
            let mut network = network(options);
            let options = TrainingOptions::default().with(|o| o.batch_size = 37);
            let mut trainer = Trainer::new(&network, options).unwrap();
            let loss = trainer.step(context, &mut network, &data, &all).unwrap();
            (loss, network.state().to_bytes().unwrap())
        };
        let expected = step(&Context::serial(portable()));
        let before = network(options).state().to_bytes().unwrap();
        assert!(expected.0.is_finite() && expected.1 != before);
        for (name, context) in contexts() {
            assert!(step(&context) == expected, "{name}");
        }
    }
}
