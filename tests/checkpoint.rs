//! State dicts as bytes: what goes in comes out, damage is an error, PyTorch's variants are read.

mod common;

use common::numbers;
use deepsleep::checkpoint::StateDict;
use deepsleep::nn::{LeNet, Network, Trainer, TrainingOptions};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};

fn golden() -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    std::fs::read(format!("{folder}/lenet_weights.safetensors")).unwrap()
}

fn noted_state() -> StateDict {
    let mut state = LeNet::new(3).state();
    state.note("seed", 7);
    state.note("options", serde_json::json!({ "rate": 0.1_f32, "name": "π \"quoted\"" }));
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_goes_in_comes_out_to_the_last_bit(
        entries in prop::collection::btree_map("[a-z_.]{1,12}", (prop::collection::vec(0_usize..5, 0..4), any::<u64>()), 0..6),
        notes in prop::collection::btree_map("\\PC{1,8}", (any::<f32>(), any::<f64>(), any::<i64>(), any::<String>()), 0..4),
        special in prop::sample::select(vec![0.0, -0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE / 3.0]),
    ) {
        let mut state = StateDict::default();
        for (name, (shape, seed)) in &entries {
            let mut values = numbers(*seed, shape.iter().product());
            if let Some(first) = values.first_mut() {
                *first = special;
            }
            state.insert(name, shape.clone(), values).unwrap();
        }
        for (name, value) in &notes {
            state.note(name, value);
        }
        let bytes = state.to_bytes().unwrap();
        let back = StateDict::from_bytes(&bytes, "x").unwrap();
        prop_assert_eq!(back.names().collect::<Vec<_>>(), state.names().collect::<Vec<_>>());
        for name in state.names() {
            let (a, b) = (state.get(name).unwrap(), back.get(name).unwrap());
            prop_assert_eq!(&a.shape, &b.shape);
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&a.values), bits(&b.values));
        }
        prop_assert_eq!(back.notes(), state.notes());
        prop_assert_eq!(back.to_bytes().unwrap(), bytes);
        if !special.is_nan() {
            prop_assert_eq!(back, state, "where it was read from is no part of what it holds");
        }
    }

    #[test]
    fn truncated_or_damaged_bytes_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 0..4),
        header in prop::collection::vec((0_usize..900, 0_u8..8), 0..4),
        cut in any::<prop::sample::Index>(), whole: bool, ours: bool,
    ) {
        let mut bytes = if ours { noted_state().to_bytes().unwrap() } else { golden() };
        for (at, bit) in flips.iter().map(|(at, bit)| (at.index(bytes.len()), bit)).collect::<Vec<_>>() {
            bytes[at] ^= 1 << bit;
        }
        for (at, bit) in header {
            bytes[at] ^= 1 << bit;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        match StateDict::from_bytes(&bytes, "damaged.safetensors") {
            Err(error) => prop_assert!(error.to_string().starts_with("damaged.safetensors: "), "{}", error),
            // A flip within the numbers gives other numbers; a network takes them if they are finite.
            Ok(state) => {
                prop_assert!(whole);
                let _ = LeNet::from_state(&state);
                state.to_bytes().unwrap();
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), length in 0_u64..200) {
        let _ = StateDict::from_bytes(&bytes, "x");
        let mut framed = length.to_le_bytes().to_vec();
        framed.extend(bytes);
        let _ = StateDict::from_bytes(&framed, "x");
    }
}

#[test]
fn equal_states_give_equal_bytes_whatever_the_order_of_insertion() {
    let mut one = StateDict::default();
    let mut other = StateDict::default();
    let names = ["b", "a", "c.d", "aa"];
    for (i, name) in names.iter().enumerate() {
        one.insert(name, vec![2], vec![name.len() as f32, 1.0]).unwrap();
        one.note(name, i);
    }
    for (i, name) in names.iter().enumerate().rev() {
        other.insert(name, vec![2], vec![name.len() as f32, 1.0]).unwrap();
        other.note(name, i);
    }
    assert_eq!(one.to_bytes().unwrap(), other.to_bytes().unwrap());
    other.note("a", 5);
    assert_ne!(one.to_bytes().unwrap(), other.to_bytes().unwrap());
}

#[test]
fn doubles_are_rounded_integers_left_out_and_halves_refused() {
    let doubles: Vec<u8> = [0.1_f64, -2.0, 1e-60].iter().flat_map(|v| v.to_le_bytes()).collect();
    let count = 7_i64.to_le_bytes();
    let file = |half: Option<&'static str>| {
        let mut views = vec![
            ("weight", TensorView::new(Dtype::F64, vec![3, 1], &doubles).unwrap()),
            ("num_batches_tracked", TensorView::new(Dtype::I64, vec![], &count).unwrap()),
        ];
        views.extend(
            half.map(|name| (name, TensorView::new(Dtype::F16, vec![2], &[0_u8; 4]).unwrap())),
        );
        safetensors::serialize(views, None).unwrap()
    };
    let state = StateDict::from_bytes(&file(None), "model").unwrap();
    assert_eq!(state.names().collect::<Vec<_>>(), ["weight"]);
    assert_eq!(state.get("weight").unwrap().values, [0.1_f32, -2.0, 0.0]);
    let message = StateDict::from_bytes(&file(Some("small")), "model").unwrap_err().to_string();
    assert!(message.contains("`small`") && message.contains("F16"), "{message}");
}

#[test]
fn what_a_network_cannot_take_is_named_and_changes_nothing() {
    let good = StateDict::from_bytes(&golden(), "golden").unwrap();
    LeNet::from_state(&good).unwrap();
    let refuse = |change: &dyn Fn(&mut StateDict), part: &str| {
        let mut state = good.clone();
        change(&mut state);
        let mut lenet = LeNet::new(1);
        let message = lenet.load_state(&state).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("golden"), "{message}");
        assert_eq!(lenet.state(), LeNet::new(1).state());
    };
    refuse(&|s| s.insert("fc.weight", vec![10, 32], vec![0.0; 320]).unwrap(), "[10, 32]");
    refuse(
        &|s| s.insert("bn2.running_var", vec![20], vec![f32::NAN; 20]).unwrap(),
        "bn2.running_var",
    );
    refuse(&|s| s.insert("bn2.running_var", vec![20], vec![-1.0; 20]).unwrap(), "bn2.running_var");
    let mut empty = StateDict::default();
    empty.insert("conv1.weight", vec![10, 1, 5, 5], vec![0.0; 250]).unwrap();
    let message = LeNet::from_state(&empty).unwrap_err().to_string();
    assert!(message.contains("bn1.weight") && message.contains("conv1.weight"), "{message}");
}

#[test]
fn a_training_goes_on_from_counts_that_can_be() {
    let (mut lenet, options) = (LeNet::new(0), TrainingOptions::default());
    let mut trainer = Trainer::new(&lenet, options).unwrap();
    let good = trainer.checkpoint(&lenet).unwrap();
    trainer.resume(&mut lenet, &good).unwrap();
    for (epochs, refused) in [(10_u64, false), (11, true), (u64::MAX, true)] {
        let mut state = good.clone();
        state.note("training.epochs_done", epochs);
        state.note("optimiser.steps", u64::MAX);
        let resumed = trainer.resume(&mut lenet, &state);
        assert_eq!(resumed.is_err(), refused, "{epochs}");
    }
}

#[test]
fn unusable_arrays_are_refused() {
    let mut state = StateDict::default();
    let message = state.insert("a", vec![2, 3], vec![0.0; 5]).unwrap_err().to_string();
    assert!(message.contains("a shape of 5 numbers") && message.contains("[2, 3]"), "{message}");
    assert!(state.insert("a", vec![usize::MAX, 2], vec![]).is_err());
    assert!(state.insert("a", vec![1 << 32, 1 << 32], vec![]).is_err());
    // The format's own name for its metadata.
    assert!(state.insert("__metadata__", vec![1], vec![0.0]).is_err());
    state.insert("empty", vec![0, 3], vec![]).unwrap();
    state.insert("scalar", vec![], vec![1.0]).unwrap();
    let bytes = state.to_bytes().unwrap();
    assert_eq!(StateDict::from_bytes(&bytes, "").unwrap(), state);
}
