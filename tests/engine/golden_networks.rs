//! Networks of all kinds against PyTorch: `tests/golden/networks.safetensors` holds what PyTorch computed in double
//! precision; `make_networks.py` beside it made it, and says how weights and images follow from numbers.
//!
//! The measure, for each list of numbers: max |ours - PyTorch's| / max |PyTorch's|.

use crate::common::models::golden;
use crate::common::{best, isas, numbers, relative, widen};
use deepsleep::autodiff::{Labels, Seed, Tape};
use deepsleep::checkpoint::StateDict;
use deepsleep::nn::architecture::Architecture;
use deepsleep::nn::{Freeze, FrozenNetwork, Mode, Model, Network};
use deepsleep::simd::Isa;
use deepsleep::tensor::{Context, Shape, Tensor};
use ndarray::Array4;
use std::collections::BTreeMap;

const SAMPLES: usize = 12;
const RATE: f32 = 0.1;
const TOLERANCE: f64 = 1e-4;

/// A parameter or a running statistic of this name.
fn array(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let of = |x: f32| match shape {
        _ if name.ends_with("running_mean") => x * 0.1,
        _ if name.ends_with("running_var") => 1.0 + x * 0.25,
        [_] if name.ends_with("weight") => 1.0 + x * 0.25,
        [_] => x * 0.125,
        _ => x * (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt() as f32,
    };
    numbers(seed, shape.iter().product()).into_iter().map(of).collect()
}

/// Up to [`SAMPLES`] of these numbers, evenly spread.
fn some(values: &[f32]) -> Vec<f32> {
    let count = SAMPLES.min(values.len());
    (0..count).map(|i| values[i * values.len() / count]).collect()
}

fn samples(tensor: &Tensor) -> Vec<f32> {
    some(&tensor.to_array().iter().copied().collect::<Vec<_>>())
}

struct Case {
    name: String,
    model: Model,
    images: Tensor,
    labels: Labels,
}

impl Case {
    fn new(name: &str, architecture: Architecture, count: usize) -> Self {
        let classes = architecture.classes();
        let Shape { channels, height, width } = architecture.input();
        let mut state = StateDict::default();
        let drawn = Model::new(architecture, 0).unwrap();
        for (i, (name, entry)) in entries(&drawn.state()).enumerate() {
            state.insert(name, entry.to_vec(), array(name, entry, 100 + i as u64)).unwrap();
        }
        let model = Model::from_state(drawn.architecture().clone(), &state).unwrap();
        let size = (count, channels, height, width);
        let pixels = numbers(7, count * model.input_shape().features());
        let pixels = pixels.into_iter().map(|x| (x + 1.0) / 2.0).collect();
        let images = Tensor::from_array(Array4::from_shape_vec(size, pixels).unwrap().view());
        let labels: Vec<usize> = (0..count).map(|i| i % classes).collect();
        let labels = Labels::new(&labels, classes).unwrap();
        Self { name: name.to_owned(), model, images, labels }
    }

    fn compare(&self, golden: &StateDict, isa: Isa, what: &str, found: Vec<f32>) {
        let key = format!("{}.{what}", self.name);
        let expected = &golden.get(&key).unwrap_or_else(|| panic!("no {key}")).values;
        assert_eq!(found.len(), expected.len(), "{key}");
        let error = relative(found, widen(expected));
        assert!(error <= TOLERANCE, "{} {key}: {error:.1e}", isa.name());
    }

    fn run(&self, golden: &StateDict, isa: Isa) {
        let frozen = self.model.freeze().unwrap();
        let mut tape = Tape::new(Context::with_isa(isa, 2).unwrap());
        let x = tape.input(self.images.clone());
        let logits = frozen.logits(&mut tape, x).unwrap();
        let all = tape.value(logits).to_array().iter().copied().collect();
        self.compare(golden, isa, "logits", all);
        let loss = tape.cross_entropy(logits, &self.labels, 1.0).unwrap();
        tape.backward(loss, Seed::Sum).unwrap();
        self.compare(golden, isa, "input_gradient", samples(tape.gradient(x).unwrap()));
        tape.reset();

        let mut model = self.model.clone();
        let x = tape.constant(self.images.clone());
        let mut weights = Vec::new();
        model.parameters().record(&mut tape, &mut weights).unwrap();
        let logits = model.forward(&mut tape, x, &weights, Mode::Train).unwrap();
        let loss = tape.cross_entropy(logits, &self.labels, 1.0).unwrap();
        self.compare(golden, isa, "loss", vec![tape.mean(loss)]);
        tape.backward(loss, Seed::Mean).unwrap();
        model.update_statistics(&tape);
        let mut gradients = BTreeMap::new();
        for (parameter, &weight) in model.parameters_mut().iter_mut().zip(&weights) {
            let gradient = tape.weight_gradient(weight).unwrap();
            gradients.insert(parameter.name.clone(), some(gradient));
            let pairs = parameter.values.iter_mut().zip(gradient);
            pairs.for_each(|(value, gradient)| *value -= RATE * gradient);
        }
        self.compare(golden, isa, "gradients", gradients.into_values().flatten().collect());
        let state = model.state();
        let after = state.names().flat_map(|name| some(&state.get(name).unwrap().values));
        self.compare(golden, isa, "after", after.collect());
    }
}

fn entries(state: &StateDict) -> impl Iterator<Item = (&str, &[usize])> {
    state.names().map(|name| (name, state.get(name).unwrap().shape.as_slice()))
}

#[test]
fn every_operation_gives_pytorchs_numbers() {
    let golden = golden("networks.safetensors");
    let ops: BTreeMap<String, Architecture> = golden.noted("ops").unwrap();
    assert_eq!(ops.len(), 33);
    for (name, architecture) in ops {
        let case = Case::new(&name, architecture, 5);
        isas().into_iter().for_each(|isa| case.run(&golden, isa));
    }
}

#[test]
fn built_in_networks_give_pytorchs_numbers() {
    let golden = golden("networks.safetensors");
    let networks: BTreeMap<String, [usize; 3]> = golden.noted("networks").unwrap();
    assert_eq!(networks.len(), 4);
    for (name, input) in networks {
        let architecture = Architecture::named(&name, input.into(), 10).unwrap();
        Case::new(&name, architecture, 4).run(&golden, best());
    }
}
