//! State dicts as bytes: what goes in comes out, damage is an error, PyTorch's variants are read.

use crate::common::numbers;
use deepsleep::checkpoint::StateDict;
use deepsleep::nn::{Model, Network, Rule, Trainer, TrainingOptions};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};

fn golden() -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    std::fs::read(format!("{folder}/lenet_weights.safetensors")).unwrap()
}

fn noted_state() -> StateDict {
    let mut state = Model::lenet(3).state();
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
                let _ = Model::open(&state);
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
fn floats_of_every_width_are_read_and_integers_are_known_to_be_there() {
    let doubles: Vec<u8> = [0.1_f64, -2.0, 1e-60].iter().flat_map(|v| v.to_le_bytes()).collect();
    // What PyTorch makes of 0.1, -2, 6e-8 and 65504 in 16 bits.
    let halves: Vec<u8> = [0x2e66_u16, 0xc000, 1, 0x7bff].map(u16::to_le_bytes).concat();
    let brains: Vec<u8> = [0x3dcd_u16, 0xc000, 0x3381, 0x4780].map(u16::to_le_bytes).concat();
    let count = 7_i64.to_le_bytes();
    let views = [
        ("weight", TensorView::new(Dtype::F64, vec![3, 1], &doubles).unwrap()),
        ("half", TensorView::new(Dtype::F16, vec![4], &halves).unwrap()),
        ("brain", TensorView::new(Dtype::BF16, vec![2, 2], &brains).unwrap()),
        ("bn1.num_batches_tracked", TensorView::new(Dtype::I64, vec![], &count).unwrap()),
        ("classes", TensorView::new(Dtype::I64, vec![1], &count).unwrap()),
    ];
    let file = safetensors::serialize(views, None).unwrap();
    let state = StateDict::from_bytes(&file, "model").unwrap();
    assert_eq!(state.names().collect::<Vec<_>>(), ["brain", "half", "weight"]);
    assert_eq!(state.get("weight").unwrap().values, [0.1_f32, -2.0, 0.0]);
    let half = [0.099_975_586, -2.0, 5.960_464_5e-8, 65504.0];
    assert_eq!(state.get("half").unwrap().values, half);
    let brain = [0.100_097_656, -2.0, 6.007_030_6e-8, 65536.0];
    assert_eq!(state.get("brain").unwrap().values, brain);
    let message = state.expect("classes", &[1]).unwrap_err().to_string();
    assert!(message.contains("`classes` is of type I64, expected floats"), "{message}");
    // Of what is left over, only PyTorch's count is ignored.
    let message = state.expect_only("this", ["brain", "half", "weight"]).unwrap_err().to_string();
    assert!(
        message.contains("model: `classes` is not part of this, which takes brain, half, weight")
    );
    state.expect_only("this", ["brain", "half", "weight", "classes"]).unwrap();
}

#[test]
fn arrays_that_nothing_uses_are_refused_by_whoever_loads() {
    let extra = |state: &StateDict, name: &str| {
        let mut state = state.clone();
        state.insert(name, vec![10], vec![0.0; 10]).unwrap();
        state
    };
    let good = StateDict::from_bytes(&golden(), "golden").unwrap();
    for name in ["fc.bias", "conv1.bias", "fc2.weight", "optimiser.0.fc.weight", "ema.fc.weight"] {
        let message = Model::open(&extra(&good, name)).unwrap_err().to_string();
        let expected = format!("golden: `{name}` is not part of lenet, which takes bn1.bias, ");
        assert!(message.starts_with(&expected), "{message}");
    }
    Model::open(&extra(&good, "bn1.num_batches_tracked")).unwrap();

    let options = TrainingOptions::default().with(|o| o.rule = Rule::ADAM);
    let mut lenet = Model::lenet(0);
    let mut trainer = Trainer::new(&lenet, options).unwrap();
    let checkpoint = trainer.checkpoint(&lenet).unwrap();
    trainer.resume(&mut lenet, &checkpoint).unwrap();
    for name in ["fc.bias", "optimiser.2.fc.weight", "optimiser.0.fc.bias"] {
        let message = trainer.resume(&mut lenet, &extra(&checkpoint, name)).unwrap_err();
        let name = name.trim_start_matches("optimiser.");
        assert!(message.to_string().contains(&format!("`{name}` is not part of")), "{message}");
    }
}

#[test]
fn what_pytorch_wraps_is_unwrapped() {
    let good = StateDict::from_bytes(&golden(), "golden").unwrap();
    for prefix in ["module.", "_orig_mod.", "module._orig_mod.", "module.module."] {
        let mut wrapped = StateDict::default();
        wrapped.absorb(prefix.trim_end_matches('.'), good.clone());
        let (state, removed) = wrapped.unwrapped();
        assert_eq!((removed.as_str(), Model::open(&state).is_ok()), (prefix, true));
    }
    // Not where an array stands beside.
    let mut half = StateDict::default();
    half.absorb("module", good.clone());
    half.insert("ema", vec![1], vec![0.0]).unwrap();
    assert_eq!(half.unwrapped().1, "");
    assert_eq!(StateDict::default().unwrapped().1, "");
}

#[test]
fn long_lists_and_hostile_names_stay_in_one_short_line() {
    let mut state = StateDict::default();
    for i in 0..3000 {
        state.insert(&format!("layer{i}.weight"), vec![1], vec![0.0]).unwrap();
    }
    state.insert("\u{1b}[2J\nerror: all is well", vec![1], vec![0.0]).unwrap();
    let bytes = state.to_bytes().unwrap();
    let message = || {
        let state = StateDict::from_bytes(&bytes, "resnet").unwrap();
        Model::open(&state).unwrap_err().to_string()
    };
    let first = message();
    assert!(
        first.len() < 420 && first.contains(" more; a file that names no architecture"),
        "{first}"
    );
    assert!(first.contains(r"it has \u001b[2J\nerror: all is well, layer0.weight"), "{first}");
    assert!((0..5).all(|_| message() == first));
}

#[test]
fn files_of_other_kinds_are_named_with_the_way_to_convert_them() {
    for (content, words) in [
        (&b""[..], "it is empty"),
        (
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
            "PyTorch file (torch.save); convert it in Python",
        ),
        (b"\x08\x08\x12\x07pytorch", "an ONNX network; convert it"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"<!doctype html><title>404", "a web page (HTML)"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x1f\x8b\x08\0", "packed by gzip; unpack it first"),
        (b"\0\0\x08\x03\0\0\x27\x10", "an IDX file"),
        (b"{\"conv1.weight\": [[1.5]]}", "it is JSON"),
    ] {
        let message = StateDict::from_bytes(content, "net").unwrap_err().to_string();
        assert!(message.starts_with("net: not a readable safetensors file: it is "), "{message}");
        assert!(message.contains(words) && message.len() < 300, "{message}");
    }
}

#[test]
fn what_a_network_cannot_take_is_named_and_changes_nothing() {
    let good = StateDict::from_bytes(&golden(), "golden").unwrap();
    Model::open(&good).unwrap();
    let refuse = |change: &dyn Fn(&mut StateDict), part: &str| {
        let mut state = good.clone();
        change(&mut state);
        let mut lenet = Model::lenet(1);
        let message = lenet.load_state(&state).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("golden"), "{message}");
        assert_eq!(lenet.state(), Model::lenet(1).state());
    };
    refuse(&|s| s.insert("fc.weight", vec![10, 32], vec![0.0; 320]).unwrap(), "[10, 32]");
    refuse(
        &|s| s.insert("bn2.running_var", vec![20], vec![f32::NAN; 20]).unwrap(),
        "bn2.running_var",
    );
    refuse(&|s| s.insert("bn2.running_var", vec![20], vec![-1.0; 20]).unwrap(), "bn2.running_var");
    let mut empty = StateDict::default();
    empty.insert("conv1.weight", vec![10, 1, 5, 5], vec![0.0; 250]).unwrap();
    let message = Model::open(&empty).unwrap_err().to_string();
    assert!(message.contains("bn1.weight") && message.contains("conv1.weight"), "{message}");
}

#[test]
fn a_training_goes_on_from_counts_that_can_be() {
    let (mut lenet, options) = (Model::lenet(0), TrainingOptions::default());
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

/// A safetensors file with this header and metadata as they stand.
fn raw(metadata: &str, arrays: &str, numbers: usize) -> Vec<u8> {
    let header = format!("{{\"__metadata__\": {metadata}{arrays}}}");
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &vec![0; 4 * numbers]].concat()
}

#[test]
fn contradictions_in_a_file_are_refused() {
    let nodes = |mean: &str, out: usize| {
        format!(
            r#"{{"input":[1,1,2],"classes":{out},"nodes":[{{"name":"n","op":"normalize",{mean},"std":[0.5]}},{{"name":"fc","op":"linear","out":{out},"bias":false}}]}}"#
        )
    };
    let quoted = |text: &str| serde_json::to_string(text).expect("text");
    let one = r#", "fc.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}"#;
    let good = nodes(r#""mean":[0.1]"#, 2);
    let noted = |architecture: &str| quoted(&format!(r#"{{"architecture": {architecture}}}"#));
    let read = |metadata: &str, arrays: &str| {
        let state = StateDict::from_bytes(&raw(metadata, arrays, 4), "net.safetensors")?;
        Model::open(&state).map(|_| ())
    };
    let only = |key: &str, text: &str| format!("{{\"{key}\": {text}}}");
    read(&only("architecture", &quoted(&good)), one).expect("a network");
    let both = |theirs: &str| {
        format!(r#"{{"deepsleep": {}, "architecture": {}}}"#, noted(&good), quoted(theirs))
    };
    read(&both(&good), one).expect("the same network twice");
    let twice = nodes(r#""mean":[0.1],"mean":[0.2]"#, 2);
    let again = format!("{one}{one}");
    let keys = format!(r#"{{"format": "pt", "format": "np", "architecture": {}}}"#, quoted(&good));
    for (metadata, arrays, words) in [
        (both(&nodes(r#""mean":[0.2]"#, 2)), one, "holds two architectures"),
        (only("architecture", &quoted(&twice)), one, "`mean` is there twice"),
        (only("deepsleep", &noted(&twice)), one, "`mean` is there twice"),
        (only("architecture", &quoted(&good)), again.as_str(), "`fc.weight` is there twice"),
        (keys, one, "`format` is there twice"),
        (
            only("architecture", &quoted(&nodes(r#""mean":[0.1]"#, 3))),
            one,
            "`fc.weight` has shape [2, 2], expected [3, 2]",
        ),
    ] {
        let error = read(&metadata, arrays).expect_err(words).to_string();
        assert!(error.starts_with("net.safetensors: ") && error.contains(words), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}
