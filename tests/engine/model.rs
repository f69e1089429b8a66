//! Networks of any architecture: what files may say, LeNet's bits, and random networks, whose frozen form must be the
//! trained one and whose bits must not depend on anything but their numbers.

use crate::common::networks::drawn;
use crate::common::{best, bits, dead_lanes_are_zero, isas, relative, tensor, wide};
use deepsleep::autodiff::{Labels, Seed, Tape, check_gradients};
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::architecture::{Architecture, Op};
use deepsleep::nn::{
    Freeze, FrozenNetwork, Mode, Model, Network, Trainer, TrainingOptions, input_gradients,
};
use deepsleep::simd::Isa;
use deepsleep::simd::random::Key;
use deepsleep::tensor::{Context, Shape, Tensor};
use proptest::prelude::*;
use sha2::Digest;

/// Logits, input gradients, and those of the parameters, of the mean loss (or the sum, frozen).
fn unfrozen(
    model: &Model,
    isa: Isa,
    threads: usize,
    x: &Tensor,
    mode: Mode,
) -> (Tensor, Tensor, Vec<Vec<f32>>) {
    let mut model = model.clone();
    let mut tape = Tape::new(Context::with_isa(isa, threads).unwrap());
    let (samples, classes) = (x.samples(), model.classes());
    tape.set_noise((0..samples).map(|i| Key::new(1).with(i as u64)));
    let x = tape.input(x.clone());
    let mut weights = Vec::new();
    model.parameters().record(&mut tape, &mut weights).unwrap();
    let logits = model.forward(&mut tape, x, &weights, mode).unwrap();
    let labels =
        Labels::new(&(0..samples).map(|i| i % classes).collect::<Vec<_>>(), classes).unwrap();
    let loss = tape.cross_entropy(logits, &labels, 1.0).unwrap();
    tape.backward(loss, Seed::Sum).unwrap();
    assert!(
        dead_lanes_are_zero(tape.value(logits)) && dead_lanes_are_zero(tape.gradient(x).unwrap())
    );
    let grads = weights.iter().map(|&w| tape.weight_gradient(w).unwrap().to_vec()).collect();
    (tape.value(logits).clone(), tape.gradient(x).unwrap().clone(), grads)
}

fn frozen(model: &Model, isa: Isa, threads: usize, x: &Tensor) -> (Tensor, Tensor) {
    let frozen = model.freeze().unwrap();
    let mut tape = Tape::new(Context::with_isa(isa, threads).unwrap());
    let (samples, classes) = (x.samples(), model.classes());
    let x = tape.input(x.clone());
    let logits = frozen.logits(&mut tape, x).unwrap();
    let labels =
        Labels::new(&(0..samples).map(|i| i % classes).collect::<Vec<_>>(), classes).unwrap();
    let loss = tape.cross_entropy(logits, &labels, 1.0).unwrap();
    tape.backward(loss, Seed::Sum).unwrap();
    (tape.value(logits).clone(), tape.gradient(x).unwrap().clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_frozen_network_is_the_network(seed in 0_u64..1_000_000, samples in 1_usize..35) {
        let model = drawn(seed);
        let x = tensor(seed, samples, model.input_shape());
        let (logits, gradient, _) = unfrozen(&model, best(), 1, &x, Mode::Evaluate);
        let (found, found_gradient) = frozen(&model, best(), 1, &x);
        let error = relative(found.to_array(), wide(&logits));
        prop_assert!(error < 2e-5, "{error:.1e} {:?}", model.architecture());
        // A rounding may open a rectifier or change a winner: rarely.
        let (found, expected) = (found_gradient.to_array(), gradient.to_array());
        let scale = expected.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        let far = found.iter().zip(&expected).filter(|(a, b)| (**a - **b).abs() > 1e-4 * scale).count();
        prop_assert!(far * 50 <= found.len(), "{far} of {} {:?}", found.len(), model.architecture());
    }

    // Without a gradient, layers compute in the memory of those before them.
    #[test]
    fn logits_without_a_gradient_are_those_with_one(seed in 0_u64..1_000_000, samples in 1_usize..35) {
        let model = drawn(seed);
        let x = tensor(seed, samples, model.input_shape());
        let expected = bits(frozen(&model, best(), 1, &x).0.lanes());
        let model = model.freeze().unwrap();
        let mut tape = Tape::new(Context::with_isa(best(), 1).unwrap());
        for _ in 0..2 {
            let image = tape.constant(x.clone());
            let logits = model.logits(&mut tape, image).unwrap();
            prop_assert!(bits(tape.value(logits).lanes()) == expected, "{:?}", model.architecture());
            prop_assert!(tape.value(image) == &x);
            tape.reset();
        }
    }

    #[test]
    fn bits_depend_on_nothing_but_numbers(seed in 0_u64..1_000_000, samples in 2_usize..35) {
        let model = drawn(seed);
        let x = tensor(seed, samples, model.input_shape());
        let all = |isa, threads| {
            let (logits, gradient, grads) = unfrozen(&model, isa, threads, &x, Mode::Train);
            let (frozen, frozen_gradient) = frozen(&model, isa, threads, &x);
            let tensors = [logits, gradient, frozen, frozen_gradient].map(|t| bits(t.lanes()));
            let grads: Vec<Vec<u32>> =
                grads.iter().map(|grad| grad.iter().map(|x| x.to_bits()).collect()).collect();
            (tensors, grads)
        };
        let first = all(best(), 1);
        for (isa, threads) in isas().into_iter().map(|isa| (isa, 2)) {
            prop_assert!(all(isa, threads) == first, "{} {:?}", isa.name(), model.architecture());
        }
        // Without the others.
        let alone = tensor_of(&x, samples - 1);
        let (logits, gradient) = frozen(&model, best(), 1, &alone);
        let (whole, whole_gradient) = frozen(&model, best(), 1, &x);
        for (one, many) in [(&logits, &whole), (&gradient, &whole_gradient)] {
            let one: Vec<u32> = one.sample(0, 0).map(f32::to_bits).collect();
            let many: Vec<u32> = many.sample(0, samples - 1).map(f32::to_bits).collect();
            // Alone, its label is 0.
            prop_assert!(one == many || (samples - 1) % model.classes() != 0);
        }
    }
}

/// One sample of a batch.
fn tensor_of(x: &Tensor, n: usize) -> Tensor {
    let array = x.to_array();
    Tensor::from_array(array.slice(ndarray::s![n..=n, .., .., ..]))
}

#[test]
fn gradients_of_networks_are_their_central_differences() {
    // No difference quotient means anything at a kink.
    let smooth = |op: &Op| {
        let kinked = matches!(op, Op::Relu {} | Op::LeakyRelu { .. } | Op::Clamp { .. });
        !kinked && !matches!(op, Op::HardSwish {} | Op::MaxPool { .. })
    };
    let (mut tried, mut seed) = (0, 0);
    while tried < 12 {
        seed += 1;
        let model = drawn(seed);
        let nodes = model.architecture().nodes();
        if !nodes.iter().all(|node| smooth(&node.op)) || nodes.len() < 4 {
            continue;
        }
        tried += 1;
        let x = tensor(seed, 3, model.input_shape()).to_array();
        let weights: Vec<(&[usize], &[f32])> =
            model.parameters().iter().map(|p| (p.shape.as_slice(), p.values.as_slice())).collect();
        // With a batch's statistics most gradients of such networks are nearly zero; golden files are for that.
        let mut network = model.clone();
        let report = check_gradients(x.view(), &weights, |tape, x, w| {
            let logits = network.forward(tape, x, w, Mode::Evaluate)?;
            let labels = Labels::new(&[0, 1, 1], network.classes())?;
            tape.cross_entropy(logits, &labels, 1.0)
        });
        let worst = report.unwrap().worst();
        assert!(worst < 2e-2, "{worst} {:?}", model.architecture());
    }
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(arrays: &deepsleep::checkpoint::StateDict) -> String {
    let mut bytes = Vec::new();
    for name in arrays.names() {
        let values = &arrays.get(name).unwrap().values;
        bytes.extend(name.as_bytes());
        values.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    }
    sha256(&bytes)
}

/// The paper's network has the numbers that it had when it was the only one: others' results depend on them.
#[test]
fn lenets_weights_and_its_training_keep_their_bits() {
    let data = Dataset::load(locate(DatasetName::Mnist, None).unwrap(), Split::Train).unwrap();
    let data = data.slice(0..320).unwrap();
    let context = Context::with_isa(best(), 2).unwrap();
    let mut lenet = Model::lenet(0);
    let begin = digest(&lenet.state());
    let options = TrainingOptions::default().with(|o| o.batch_size = 32);
    let mut trainer = Trainer::new(&lenet, options).unwrap();
    for _ in 0..2 {
        trainer.epoch(&context, &mut lenet, &data).unwrap();
    }
    let trained = digest(&lenet.state());
    let images = Tensor::from_array(data.images_f32(0..40).view());
    let labels: Vec<usize> = (0..40).map(|i| data.label(i)).collect();
    let gradients = input_gradients(&context, &lenet.freeze().unwrap(), &images, &labels).unwrap();
    let bytes: Vec<u8> = bits(gradients.lanes()).iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!([begin, trained, sha256(&bytes)], LENETS);
}

/// SHA-256 of the initial weights of seed 0, of weights and statistics after two short epochs, and of input gradients.
const LENETS: [&str; 3] = [
    "c5c937bbb4c6a2a64a5b87e564be610fc5a70af6a13cb231a1545c97cfcc59df",
    "987b391f86c6c29b51cba91367fe923706ca39d9ed46f6ef4db1e3ee2a2d3d29",
    "b56929b1c6f030b201ad39313de419bf5f0ef205f6dcb25677bd807c227a79be",
];

#[test]
fn architectures_say_what_is_wrong_with_a_file() {
    let file = |nodes: &str| format!(r#"{{"input": [1, 8, 8], "classes": 3, "nodes": [{nodes}]}}"#);
    let read = |text: &str| serde_json::from_str::<Architecture>(text);
    let fc = r#"{"name": "fc", "op": "linear", "out": 3}"#;
    let good = read(&file(&format!(
        r#"{{"name": "c", "op": "conv2d", "out": 2, "kernel": [3, 1]}}, {fc}"#
    )));
    let good = good.unwrap();
    assert_eq!(good.shape(0), Shape::new(2, 6, 8));
    assert_eq!(read(&serde_json::to_string(&good).unwrap()).unwrap(), good);
    for (nodes, words) in [
        (
            r#"{"name": "c", "op": "conv2d", "out": 2, "kernel": 3, "pading": 1}"#,
            "unknown field `pading`",
        ),
        (r#"{"name": "r", "op": "relu", "slope": 0.1}"#, "unknown field `slope`"),
        (r#"{"name": "r", "op": "rleu"}"#, "unknown variant `rleu`"),
        (r#"{"name": "r"}"#, "missing field `op`"),
        (r#"{"op": "relu"}"#, "missing field `name`"),
        (r#"{"name": "r", "op": "relu", "inputs": ["nput"]}"#, "did you mean `input`?"),
        (r#"{"name": "r", "op": "relu"}, {"name": "r", "op": "relu"}"#, "two things are named `r`"),
        (r#"{"name": "c", "op": "conv2d", "out": 2, "kernel": 9}"#, "node `c` conv2d: expected"),
        (
            r#"{"name": "r", "op": "relu"}, {"name": "f", "op": "flatten", "inputs": ["input"]}"#,
            "node `r` is used by no other",
        ),
        (r#"{"name": "a", "op": "add"}"#, "node `a` takes at least two inputs, and has 1"),
        (r#"{"name": "d", "op": "dropout", "rate": 1.0}"#, "node `d` has rate 1"),
        (r#"{"name": "f", "op": "linear", "out": 18446744073709551615}"#, "node `f` makes it"),
        (
            r#"{"name": "c", "op": "conv2d", "out": 18446744073709551615, "kernel": 1}"#,
            "memory can hold",
        ),
        (r#"{"name": "f", "op": "flatten"}"#, "the last node, `f`, gives 64x1x1 for 3 classes"),
    ] {
        let error = read(&file(nodes)).unwrap_err().to_string();
        assert!(error.contains(words), "{nodes}: {error}");
    }
    let unknown = r#"{"input": [1, 8, 8], "classes": 3, "layers": []}"#;
    assert!(read(unknown).unwrap_err().to_string().contains("unknown field `layers`"));
    let of = |classes: usize, nodes: &str| {
        read(&format!(r#"{{"input": [1, 8, 8], "classes": {classes}, "nodes": [{nodes}]}}"#))
    };
    // Of one logit the largest is always the same.
    let single = of(1, r#"{"name": "f", "op": "linear", "out": 1}"#).unwrap_err().to_string();
    assert!(single.contains("1 class, and at least 2 are needed"), "{single}");
    assert!(single.contains("out = 2 in its last layer"), "{single}");
    // A map of features is no vector of logits, whatever it has as many of as there are classes.
    let conv = r#"{"name": "c", "op": "conv2d", "out": 3, "kernel": 8}"#;
    of(3, conv).unwrap();
    of(3, &format!(r#"{conv}, {{"name": "p", "op": "flatten"}}"#)).unwrap();
    let map = r#"{"name": "c", "op": "conv2d", "out": 3, "kernel": 7}"#;
    for classes in [3, 12] {
        let error = of(classes, map).unwrap_err().to_string();
        assert!(error.contains(&format!("gives 3x2x2 for {classes} classes; end in")), "{error}");
        assert_eq!(error.contains("global_avg_pool"), classes == 3, "{error}");
    }
    of(3, &format!(r#"{map}, {{"name": "p", "op": "global_avg_pool"}}"#)).unwrap();
}
