//! A LIF layer and the spiking LeNet against PyTorch's numbers (tests/golden, made by make_golden.py there).

use crate::common::isas;
use deepsleep::autodiff::{Labels, Seed, Tape};
use deepsleep::checkpoint::StateDict;
use deepsleep::nn::{Mode, Model, Network};
use deepsleep::snn::{Neuron, SpikingModel, SpikingOptions, Statistics, Surrogate};
use deepsleep::tensor::{Context, Shape, Tensor};
use ndarray::Array4;

fn golden(file: &str) -> StateDict {
    StateDict::load(format!("tests/golden/{file}.safetensors")).unwrap()
}

/// The largest difference, relative to the largest expected number.
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0_f32, |m, e| m.max(e.abs()));
    let worst = found.iter().zip(expected).fold(0.0_f32, |m, (f, e)| m.max((f - e).abs()));
    worst / scale
}

#[test]
fn a_lif_layer_spikes_and_learns_as_in_pytorch() {
    let golden = golden("lif");
    let [steps, samples, features] = golden.get("current").unwrap().shape[..] else { panic!() };
    let shape = Shape::flat(features);
    let fill = |tensor: &mut Tensor, name: &str| {
        let values = &golden.get(name).unwrap().values;
        for t in 0..steps {
            for n in 0..samples {
                for f in 0..features {
                    let block = (n / 16 * steps + t) * features + f;
                    tensor.lanes_mut()[block].0[n % 16] = values[(t * samples + n) * features + f];
                }
            }
        }
    };
    let flat = |tensor: &Tensor| -> Vec<f32> {
        (0..steps).flat_map(|t| (0..samples).flat_map(move |n| tensor.sample(t, n))).collect()
    };
    for isa in isas() {
        let mut tape = Tape::new(Context::with_isa(isa, 1).unwrap());
        let mut current = tape.tensor(shape, samples, steps);
        current.lanes_mut().fill(Default::default());
        let mut upstream = current.clone();
        fill(&mut current, "current");
        fill(&mut upstream, "upstream");
        let x = tape.input(current);
        let dynamics = Neuron::default().dynamics().unwrap();
        let spikes = tape.lif(x, dynamics, Surrogate::default(), steps).unwrap();
        assert_eq!(flat(tape.value(spikes)), golden.get("spikes").unwrap().values);
        tape.backward_from(spikes, upstream).unwrap();
        let grad = flat(tape.gradient(x).unwrap());
        let off = distance(&grad, &golden.get("current_grad").unwrap().values);
        assert!(off < 1e-5, "{}: {off}", isa.name());
    }
}

#[test]
fn the_spiking_lenet_is_pytorchs() {
    let golden = golden("spiking_lenet");
    let mut weights = Model::lenet(0);
    let file = StateDict::load("tests/golden/lenet_weights.safetensors").unwrap();
    weights.load_state(&file).unwrap();
    let images = golden.get("images").unwrap();
    let samples = images.shape[0];
    let array = Array4::from_shape_vec((samples, 1, 28, 28), images.values.clone()).unwrap();
    let labels: Vec<usize> = [7, 2, 1, 0, 4].to_vec();
    for isa in isas() {
        let context = Context::with_isa(isa, 2).unwrap();
        let options = SpikingOptions::default();
        let mut network = SpikingModel::from_model(&weights, options, Statistics::Reset).unwrap();
        let mut tape = Tape::new(context);
        let x = tape.input(Tensor::from_array(array.view()));
        let mut parameters = Vec::new();
        network.parameters().record(&mut tape, &mut parameters).unwrap();
        let (logits, _) = network.forward_steps(&mut tape, x, &parameters, Mode::Train).unwrap();
        let value = tape.value(logits).clone();
        let found: Vec<f32> = (0..8)
            .flat_map(|t| (0..samples).flat_map(|n| value.sample(t, n)).collect::<Vec<_>>())
            .collect();
        let off = distance(&found, &golden.get("train.logits").unwrap().values);
        assert!(off < 1e-4, "{}: logits {off}", isa.name());
        let mean = tape.mean_steps(logits);
        let loss = tape.cross_entropy(mean, &Labels::new(&labels, 10).unwrap(), 1.0).unwrap();
        let off = distance(&[tape.mean(loss)], &golden.get("train.loss").unwrap().values);
        assert!(off < 1e-5, "{}: loss {off}", isa.name());
        tape.backward(loss, Seed::Mean).unwrap();
        let names: Vec<String> = network.parameters().iter().map(|p| p.name.clone()).collect();
        for (name, &weight) in names.iter().zip(&parameters) {
            let expected = &golden.get(&format!("train.grad.{name}")).unwrap().values;
            let off = distance(tape.weight_gradient(weight).unwrap(), expected);
            assert!(off < 1e-4, "{}: {name} {off}", isa.name());
        }
        let grad: Vec<f32> = tape.gradient(x).unwrap().to_array().iter().copied().collect();
        let off = distance(&grad, &golden.get("train.input_grad").unwrap().values);
        assert!(off < 1e-4, "{}: input gradient {off}", isa.name());
        network.update_statistics(&tape);
        for (i, statistics) in network.model().statistics().iter().enumerate() {
            for (what, values) in [("mean", &statistics.mean), ("var", &statistics.variance)] {
                let name = format!("train.after.bn{}.running_{what}", i + 1);
                let off = distance(values, &golden.get(&name).unwrap().values);
                assert!(off < 1e-4, "{}: {name} {off}", isa.name());
            }
        }
    }
}
