//! ONNX files of PyTorch's exporters against onnxruntime's logits (`tests/golden/make_onnx.py`), and files that cannot be
//! read.

use deepsleep::autodiff::Tape;
use deepsleep::checkpoint::{StateArray, StateDict};
use deepsleep::kernels::lif::Neuron;
use deepsleep::nn::architecture::{Architecture, Node, Op, Pair};
use deepsleep::nn::{Freeze, FrozenNetwork, Model, Network as _};
use deepsleep::onnx::{self, Onnx};
use deepsleep::tensor::{Context, Shape, Tensor};
use ndarray::ArrayView4;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx").join(name)
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Vec<(String, PathBuf)> {
    let paths =
        std::fs::read_dir(folder).expect("golden files").map(|file| file.expect("a file").path());
    let mut named: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "onnx"))
        .map(|path| (path.file_stem().expect("a name").to_string_lossy().into_owned(), path))
        .collect();
    named.sort();
    named
}

/// The logits of a network for images.
fn logits(network: &dyn FrozenNetwork, images: &StateArray) -> Vec<f32> {
    let Shape { channels, height, width } = network.input_shape();
    let sides = (images.shape[0], channels, height, width);
    let images = ArrayView4::from_shape(sides, &images.values).expect("images of the input's size");
    let mut tape = Tape::new(Context::new(1).expect("a context"));
    let x = tape.constant(Tensor::from_array(images));
    let y = network.logits(&mut tape, x).expect("images that fit");
    tape.value(y).to_array().into_iter().collect()
}

fn check(name: &str, network: &dyn FrozenNetwork, golden: &StateDict) {
    let get = |what: &str| golden.get(&format!("{name}.{what}")).expect("golden arrays");
    let (found, expected) = (logits(network, get("input")), &get("logits").values);
    let largest = expected.iter().fold(0.0, |most: f32, e| most.max(e.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-4 * largest, "{name}: {found} {expected}");
    }
    assert_eq!(found.len(), expected.len(), "{name}");
}

fn model(read: &Onnx) -> Model {
    Model::from_state(read.architecture.clone(), &read.state).expect("its own arrays")
}

#[test]
fn exports_have_the_logits_of_onnxruntime() {
    let golden = StateDict::load(folder("served.safetensors")).expect("golden arrays");
    let files = files(&folder(""));
    assert!(files.len() >= 15, "{}", files.len());
    for (name, path) in files {
        let read = onnx::read(&path).unwrap_or_else(|error| panic!("{error}"));
        check(&name, &model(&read).freeze().expect("a model"), &golden);
    }
}

#[test]
fn what_is_written_is_read_again() {
    let golden = StateDict::load(folder("served.safetensors")).expect("golden arrays");
    for (name, path) in files(&folder("")) {
        let mut read = onnx::read(&path).expect("a file that is read");
        read.state.note("seed", 7);
        let bytes = onnx::to_bytes(&read.architecture, &read.state).expect("written");
        let again =
            onnx::from_bytes(&bytes, "again.onnx").unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(again.state.noted("seed"), Some(7));
        let moves = |note: &String| note.starts_with("to pad, pick or move features");
        assert!(again.notes.iter().all(moves), "{:?}", again.notes);
        check(&name, &model(&again).freeze().expect("a model"), &golden);
        let names = |state: &StateDict| state.names().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names(&again.state), names(&read.state), "{name}");
    }
}

#[test]
fn names_are_those_of_pytorch() {
    let read = onnx::read(folder("unfolded.onnx")).expect("a file that is read");
    for name in
        ["conv1.weight", "layer2.0.bn2.running_var", "layer2.0.shortcut.0.weight", "fc.bias"]
    {
        assert!(read.state.get(name).is_some(), "{name}");
    }
    // Batch normalization was folded into the convolutions, whose weights lost their names.
    let read = onnx::read(folder("residual.onnx")).expect("a file that is read");
    assert!(read.state.get("layer2.0.shortcut.0.weight").is_some());
}

#[test]
fn what_cannot_be_read_is_named() {
    let words: [(&str, &[&str]); 25] = [
        ("argmax", &["node `largest` (ArgMax) is not supported; supported are Abs, Add"]),
        ("arrays_twice", &["two of its arrays are called `w`"]),
        (
            "attention",
            &["node `node_softmax` (Softmax) is over another axis than that of the classes"],
        ),
        ("bytes", &["its input `x` is of type 2; floats from 0 to 1"]),
        ("circle", &["node `q` (Relu) takes `z`, which nothing gives"]),
        ("custom", &["node `sparkle` (Sparkle)", "an operator of `com.example`", "supported are"]),
        ("external", &["the array `1.weight`", "in the file `external.bin`", "cannot be opened"]),
        ("flipped", &["takes an image whose features", "mirrored or shuffled pixels"]),
        ("grouped", &["(InstanceNormalization) is not supported; supported are"]),
        ("maps", &["gives [batch, 3, 2, 2] and not one number for each class", "x.flatten(1)"]),
        ("mirrored", &["node `/0/Pad` (Pad) has mode `reflect`; zeros (`constant`) are possible"]),
        ("one_logit", &["gives 1 number for each image", "torch.cat([-z, z], 1)"]),
        ("recurrent", &["node `/lstm/LSTM` (LSTM) is not supported; supported are"]),
        ("resized", &["(Resize) is not supported; supported are"]),
        ("sequence", &["has the shape [3, 2, 4]; export it for images"]),
        ("sized", &["has the shape [batch, 1, height, width]; export it for images"]),
        ("subtracted", &["(Sub) subtracts features of [3, 5, 5] and [1, 1, 1]; only those of"]),
        ("surplus", &["node `two` (Relu) has 2 inputs, of which 1 can be read"]),
        ("tokens", &["gives [batch, 3, 4] and not one number for each class"]),
        ("trained", &["node `norm` (BatchNormalization) is in training mode; export after"]),
        ("transposed", &["(ConvTranspose) is not supported; supported are"]),
        ("twice", &["`z` is given twice"]),
        ("two_inputs", &["has other inputs than the image `x`: mask"]),
        ("version", &["uses version 8 of ONNX's operators; 9 or newer is read"]),
        ("waves", &["(Sin) is not supported; supported are"]),
    ];
    let files = files(&folder("refused"));
    assert_eq!(files.len(), words.len());
    for ((name, path), (expected, words)) in files.into_iter().zip(words) {
        assert_eq!(name, expected);
        let error = onnx::read(&path).expect_err("refused").to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
        assert!(!error.contains('\n'), "{error}");
        words.iter().for_each(|word| assert!(error.contains(word), "{name}: {error}"));
    }
}

#[test]
fn channels_come_last_where_the_file_has_them_last() {
    for name in ["last.onnx", "last_new.onnx"] {
        let read = onnx::read(folder(name)).expect("a file that is read");
        assert_eq!(read.architecture.input(), Shape::new(3, 5, 5), "{name}");
    }
}

#[test]
fn picked_channels_are_one_layer() {
    // A permutation is one convolution of ones, and the gray image three times another.
    for name in ["turned", "turned_new", "gray", "gray_new"] {
        let read = onnx::read(folder(&format!("{name}.onnx"))).expect("a file that is read");
        let ops: Vec<&str> = read.architecture.nodes().iter().map(|node| node.op.name()).collect();
        assert_eq!(ops[..2], ["conv2d", "conv2d"], "{name}: {ops:?}");
        let first = &read.architecture.nodes()[0].name;
        let weights = read.state.get(&format!("{first}.weight")).expect("weights");
        let expected: &[f32] = match weights.shape[1] {
            3 => &[0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0],
            _ => &[1.0; 3],
        };
        assert_eq!(weights.values, expected, "{name}");
    }
}

#[test]
fn weights_that_layers_share_are_said() {
    let read = onnx::read(folder("bordered.onnx")).expect("a file that is read");
    let note = "several layers share conv.bias, conv.weight; here each has its own, and training changes them apart";
    let moves = "to pad, pick or move features there are convolutions of zeros and ones (pad, pad_2, pad_3), which training and sleep change like any others";
    assert_eq!(read.notes, [moves, note]);
}

/// Windows that round up have no form of their own in ONNX, whose rule for them is another one than PyTorch's.
#[test]
fn windows_that_round_up_are_written_with_their_border() {
    let pooled = |op: Op| {
        let node = |name: &str, op| Node { name: name.into(), op, inputs: Vec::new() };
        let linear = Op::Linear { out: 2, bias: false };
        let nodes = vec![node("pool", op), node("fc", linear)];
        Architecture::new(Shape::new(2, 7, 8), 2, nodes).expect("a network")
    };
    let images: Vec<f32> = (0..2 * 112).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
    let images = StateArray { shape: vec![2, 2, 7, 8], values: images };
    let (mut written, mut refused) = (0, 0);
    for (window, stride, padding) in
        [(2, 2, 0), (2, 2, 1), (3, 2, 1), (3, 3, 1), (2, 3, 1), (3, 2, 0), (4, 3, 2)]
    {
        let (window, stride, padding) =
            (Pair([window; 2]), Some(Pair([stride; 2])), Pair([padding; 2]));
        for op in [
            Op::MaxPool { window, stride, padding, ceil: true },
            Op::AvgPool { window, stride, padding, ceil: true, count_include_pad: false },
            Op::AvgPool { window, stride, padding, ceil: true, count_include_pad: true },
        ] {
            let architecture = pooled(op);
            let model = Model::new(Arc::new(architecture.clone()), 1).expect("a model");
            let Ok(bytes) = onnx::to_bytes(&architecture, &model.state()) else {
                refused += 1;
                continue;
            };
            written += 1;
            let again = self::model(&onnx::from_bytes(&bytes, "pools.onnx").expect("read"));
            let [one, other] =
                [&model, &again].map(|m| logits(&m.freeze().expect("frozen"), &images));
            assert_eq!(one, other, "{architecture:?}");
        }
    }
    assert!(written >= 19 && refused <= 2, "{written} {refused}");
}

#[test]
fn what_is_left_out_at_the_end_is_said_once() {
    for (name, op) in [("softmax", "Softmax"), ("log_softmax", "LogSoftmax")] {
        let read = onnx::read(folder(&format!("{name}.onnx"))).expect("a file that is read");
        let expected = format!("the {op} at its end is left out: attacks and margins need logits");
        assert_eq!(read.notes, [expected]);
    }
}

#[test]
fn weights_are_found_beside_the_file() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("external.onnx");
    std::fs::copy(folder("refused/external.onnx"), &path).expect("copied");
    let weights = home.path().join("external.bin");
    std::fs::write(&weights, vec![0; 1 << 17]).expect("written");
    let read = onnx::read(&path).expect("a file with its weights");
    let fingerprint = onnx::fingerprint(&path).expect("a fingerprint");
    std::fs::write(&weights, vec![1; 1 << 17]).expect("written");
    assert_ne!(onnx::fingerprint(&path).expect("a fingerprint"), fingerprint);
    assert_eq!(read.state.get("1.weight").expect("weights").values, [0.0; 48]);
    std::fs::write(&weights, vec![0; 100]).expect("written");
    let error = onnx::read(&path).expect_err("too short").to_string();
    assert!(error.contains("bytes for it, not"), "{error}");
    // What others wrote names no files outside of its folder.
    #[cfg(unix)]
    {
        std::fs::remove_file(&weights).expect("removed");
        std::os::unix::fs::symlink("/dev/zero", &weights).expect("a link");
        let error = onnx::read(&path).expect_err("a device").to_string();
        assert!(error.contains("a link that leads out of this folder"), "{error}");
    }
}

#[test]
fn borders_that_are_too_wide_are_refused() {
    let bytes = std::fs::read(folder("gated_new.onnx")).expect("a golden file");
    let pads: Vec<u8> = [0_i64, 0, 0, 1, 0, 0, 1, 2].iter().flat_map(|n| n.to_le_bytes()).collect();
    let at = bytes.windows(pads.len()).position(|part| part == pads).expect("the pads");
    for place in [1, 2, 7] {
        let mut wide = bytes.clone();
        wide[at + 8 * place..][..8].copy_from_slice(&(1_i64 << 60).to_le_bytes());
        let error = onnx::from_bytes(&wide, "wide.onnx").expect_err("too wide").to_string();
        assert!(error.contains("(Pad)") && error.contains("too large"), "{place}: {error}");
    }
}

/// ONNX has no neurons: they are written as rectifiers, and are neurons again when the file is read.
#[test]
fn spiking_neurons_come_back() {
    let own = Op::Lif {
        neuron: Some(Neuron {
            tau: Some(4.0),
            resistance: 2.0,
            threshold: 0.3,
            ..Neuron::default()
        }),
        surrogate: None,
    };
    let node = |name: &str, op| Node { name: name.into(), op, inputs: Vec::new() };
    let nodes = vec![
        node("flatten", Op::Flatten {}),
        node("first", Op::Linear { out: 6, bias: true }),
        node("layer.0 / neuron", own),
        node("second", Op::Linear { out: 5, bias: true }),
        node("any", Op::Lif { neuron: None, surrogate: None }),
        node("third", Op::Linear { out: 5, bias: true }),
        node("relu", Op::Relu {}),
        node("logits", Op::Linear { out: 4, bias: false }),
    ];
    let architecture = Architecture::new(Shape::new(1, 6, 6), 4, nodes).expect("a network");
    let model = Model::new(Arc::new(architecture.clone()), 3).expect("a model");
    let bytes = onnx::to_bytes(&architecture, &model.state()).expect("written");
    let read = onnx::from_bytes(&bytes, "spiking.onnx").expect("read");
    let ops = |of: &Architecture| -> Vec<Op> {
        of.nodes().iter().map(|node| node.op.clone()).filter(Op::is_rectifier).collect()
    };
    assert_eq!(ops(&read.architecture), ops(&architecture));
    assert_eq!(read.state.noted::<Architecture>("architecture"), Some(read.architecture));
    // What cannot be read in it is not left out.
    let mut cut = bytes.clone();
    let at = cut.windows(11).position(|part| part == b"{\"neurons\":").expect("the property");
    cut[at] = b'[';
    let error = onnx::from_bytes(&cut, "cut.onnx").expect_err("no JSON").to_string();
    assert!(error.contains("a property `deepsleep` that cannot be read"), "{error}");
    // A tool that changes the graph leaves the property as it was.
    let mut other = bytes.clone();
    let at = other.windows(5).rposition(|part| part == b"\x04Relu").expect("the last rectifier");
    other[at + 1..at + 5].copy_from_slice(b"Tanh");
    let error = onnx::from_bytes(&other, "changed.onnx").expect_err("another graph").to_string();
    assert!(error.contains("has 2 rectifiers, and says in its property which of 3"), "{error}");
}

/// A tool may write branches in another order: their neurons are not exchanged.
#[test]
fn neurons_go_with_their_nodes() {
    let own = |threshold| Op::Lif {
        neuron: Some(Neuron { threshold, ..Neuron::default() }),
        surrogate: None,
    };
    let branches = [("low", own(0.25)), ("high", own(0.75))];
    let written = |order: [usize; 2]| {
        let node = |name: &str, op, from: &[&str]| {
            let inputs = from.iter().map(ToString::to_string).collect();
            Node { name: name.into(), op, inputs }
        };
        let mut nodes = vec![node("flat", Op::Flatten {}, &[])];
        for (name, op) in order.map(|i| branches[i].clone()) {
            let layer = format!("{name}.layer");
            nodes.push(node(&layer, Op::Linear { out: 3, bias: true }, &["flat"]));
            nodes.push(node(name, op, &[&layer]));
        }
        nodes.push(node("sum", Op::Add {}, &["low", "high"]));
        let architecture = Architecture::new(Shape::new(1, 2, 2), 3, nodes).expect("a network");
        let model = Model::new(Arc::new(architecture.clone()), 3).expect("a model");
        onnx::to_bytes(&architecture, &model.state()).expect("written")
    };
    let note = |bytes: &[u8]| {
        let find = |what: &[u8], from: usize| {
            let at = bytes[from..].windows(what.len()).position(|part| part == what);
            from + at.expect("the property")
        };
        let start = find(b"\"neurons\":[", 0);
        start..find(b"]}", start)
    };
    let (first, mut second) = (written([0, 1]), written([1, 0]));
    let (from, to) = (note(&first), note(&second));
    assert_ne!(first[from.clone()], second[to.clone()]);
    second[to].copy_from_slice(&first[from]);
    let read = onnx::from_bytes(&second, "turned.onnx").expect("read").architecture;
    let found: Vec<_> = read.nodes().iter().filter(|node| node.op.is_rectifier()).collect();
    assert_eq!(found.len(), 2);
    for (node, (name, op)) in found.into_iter().zip([&branches[1], &branches[0]]) {
        assert!(node.name.starts_with(name) && node.op == *op, "{}: {:?}", node.name, node.op);
    }
}

#[test]
fn damaged_files_are_refused() {
    let bytes = std::fs::read(folder("residual_new.onnx")).expect("a golden file");
    for length in (0..bytes.len()).step_by(97) {
        assert!(onnx::from_bytes(&bytes[..length], "cut.onnx").is_err(), "{length}");
    }
    let endless = [0xff; 20];
    let long = b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    for head in [&endless[..], long, b"", b"hello"] {
        assert!(onnx::from_bytes(head, "head.onnx").is_err(), "{head:?}");
    }
}
