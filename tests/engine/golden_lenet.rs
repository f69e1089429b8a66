//! LeNet against PyTorch: `tests/golden/lenet.safetensors` holds what PyTorch computed for 19 images (not a multiple of
//! sixteen) with the weights of `lenet_weights.safetensors`; `make_golden.py` beside them made both.
//!
//! The measure, for each tensor: max |ours - PyTorch's| / max |PyTorch's|, at most 1e-4.

use crate::common::{isas, relative, widen};
use deepsleep::autodiff::{Labels, Seed, Tape};
use deepsleep::checkpoint::{StateArray, StateDict};
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{Freeze, FrozenNetwork, Mode, Model, Network, accuracy, input_gradients};
use deepsleep::simd::Isa;
use deepsleep::tensor::{Context, Tensor};
use ndarray::ArrayView4;
use safetensors::SafeTensors;

const TOLERANCE: f64 = 1e-4;

struct Golden {
    entries: StateDict,
    images: Tensor,
    labels: Vec<usize>,
    lenet: Model,
}

fn path(name: &str) -> String {
    format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn golden() -> Golden {
    let entries = StateDict::load(path("lenet.safetensors")).unwrap();
    let StateArray { shape, values } = entries.get("images").unwrap();
    assert_eq!(shape[..], [19, 1, 28, 28]);
    let images = Tensor::from_array(ArrayView4::from_shape((19, 1, 28, 28), values).unwrap());
    // Integers, which a state dict leaves out.
    let bytes = std::fs::read(path("lenet.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let labels = file.tensor("labels").unwrap().data().as_chunks().0.iter();
    let labels = labels.map(|b| i64::from_le_bytes(*b) as usize).collect();
    let weights = StateDict::load(path("lenet_weights.safetensors")).unwrap();
    Golden { entries, images, labels, lenet: Model::open(&weights).unwrap() }
}

impl Golden {
    /// Holds an array against PyTorch's of this name.
    fn compare(&self, isa: Isa, name: &str, found: impl IntoIterator<Item = f32>) {
        let expected = &self.entries.get(name).unwrap_or_else(|| panic!("no {name}")).values;
        let error = relative(found, widen(expected));
        println!("{:>8} {name}: {error:.1e}", isa.name());
        assert!(error <= TOLERANCE, "{} {name}: {error:.1e}", isa.name());
    }
}

#[test]
fn evaluation_mode_gives_pytorchs_logits_and_input_gradients_on_the_tape() {
    for isa in isas() {
        let mut golden = golden();
        let mut lenet = golden.lenet.clone();
        let mut tape = Tape::new(Context::with_isa(isa, 1).unwrap());
        let x = tape.input(golden.images.clone());
        let mut weights = Vec::new();
        lenet.parameters().record(&mut tape, &mut weights).unwrap();
        let logits = lenet.forward(&mut tape, x, &weights, Mode::Evaluate).unwrap();
        golden.compare(isa, "eval.logits", tape.value(logits).to_array());
        let labels = Labels::new(&golden.labels, 10).unwrap();
        let loss = tape.cross_entropy(logits, &labels, 1.0).unwrap();
        tape.backward(loss, Seed::Sum).unwrap();
        golden.compare(isa, "eval.input_grad", tape.gradient(x).unwrap().to_array());
        // Evaluation leaves the statistics alone.
        lenet.update_statistics(&tape);
        assert_eq!(lenet.statistics(), golden.lenet.statistics_mut());
    }
}

#[test]
fn evaluation_mode_gives_pytorchs_logits_and_input_gradients_frozen() {
    let golden = golden();
    let frozen = golden.lenet.freeze().unwrap();
    for isa in isas() {
        let mut tape = Tape::new(Context::serial(isa));
        let x = tape.constant(golden.images.clone());
        let logits = frozen.logits(&mut tape, x).unwrap();
        golden.compare(isa, "eval.logits", tape.value(logits).to_array());
        for threads in [1, 2] {
            let context = Context::with_isa(isa, threads).unwrap();
            let (images, labels) = (&golden.images, &golden.labels);
            let gradients = input_gradients(&context, &frozen, images, labels).unwrap();
            golden.compare(isa, "eval.input_grad", gradients.to_array());
        }
    }
}

#[test]
fn training_mode_gives_pytorchs_loss_gradients_and_running_statistics() {
    for isa in isas() {
        let golden = golden();
        let mut lenet = golden.lenet.clone();
        let mut tape = Tape::new(Context::with_isa(isa, 2).unwrap());
        let x = tape.input(golden.images.clone());
        let mut weights = Vec::new();
        lenet.parameters().record(&mut tape, &mut weights).unwrap();
        let logits = lenet.forward(&mut tape, x, &weights, Mode::Train).unwrap();
        golden.compare(isa, "train.logits", tape.value(logits).to_array());
        let labels = Labels::new(&golden.labels, 10).unwrap();
        let loss = tape.cross_entropy(logits, &labels, 1.0).unwrap();
        golden.compare(isa, "train.loss", [tape.mean(loss)]);
        tape.backward(loss, Seed::Mean).unwrap();
        golden.compare(isa, "train.input_grad", tape.gradient(x).unwrap().to_array());
        assert_eq!(lenet.parameters().len(), 7);
        for (parameter, &weight) in lenet.parameters().iter().zip(&weights) {
            let grad = tape.weight_gradient(weight).unwrap().iter().copied();
            golden.compare(isa, &format!("train.grad.{}", parameter.name), grad);
        }
        lenet.update_statistics(&tape);
        for (i, statistics) in lenet.statistics().iter().enumerate() {
            let name = |what| format!("train.after.bn{}.running_{what}", i + 1);
            golden.compare(isa, &name("mean"), statistics.mean.iter().copied());
            golden.compare(isa, &name("var"), statistics.variance.iter().copied());
        }
    }
}

/// On every instruction set but, where there is a faster one, the portable one: ten thousand images take it minutes.
#[test]
fn a_network_trained_by_pytorch_scores_the_same_on_the_test_set() {
    let frozen = golden().lenet.freeze().unwrap();
    let test = Dataset::load(locate(DatasetName::Mnist, None).unwrap(), Split::Test).unwrap();
    let all = isas();
    for &isa in &all[usize::from(all.len() > 1)..] {
        let context = Context::with_isa(isa, 2).unwrap();
        let right = accuracy(&context, &frozen, &test).unwrap() * 10_000.0;
        assert!((right - 9_897.0).abs() < 1.5, "{}: {right} of 10,000", isa.name());
    }
    let some = test.slice(0..200).unwrap();
    let shares = all
        .iter()
        .map(|&isa| accuracy(&Context::with_isa(isa, 2).unwrap(), &frozen, &some).unwrap());
    assert!(shares.map(f64::to_bits).collect::<std::collections::HashSet<_>>().len() == 1);
}
