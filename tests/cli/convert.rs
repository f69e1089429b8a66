//! `convert`, and ONNX files wherever a network goes.

use crate::{Folder, run};
use deepsleep::nn::architecture::Architecture;
use deepsleep::nn::{Model, Network};

const LENET: &str = "tests/golden/lenet_weights.safetensors";
const REFUSED: &str = "tests/golden/onnx/refused/recurrent.onnx";

#[test]
fn an_onnx_file_is_the_same_network() {
    let folder = Folder::new();
    let (onnx, back) = (folder.argument("lenet.onnx"), folder.argument("lenet.safetensors"));
    let done = run(&["convert", LENET, &onnx]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("images of 1x28x28, 10 classes"), "{}", done.stdout);
    // An older one is replaced; what is another kind under this name is not.
    assert_eq!(run(&["convert", LENET, &onnx]).code, Some(0));
    let named = folder.argument("named.onnx");
    std::fs::copy(LENET, &named).unwrap();
    run(&["convert", LENET, &named]).assert_fails(2, &["named.onnx", "a safetensors file"]);
    assert_eq!(run(&["convert", &onnx, &back]).code, Some(0));
    let result = |model: &str| {
        let attack = ["--attack", "pgd:steps=3", "--eps", "0.1", "--images", "32", "--json"];
        let value = run(&[&["evaluate", "--model", model][..], &attack].concat()).json();
        (value["clean_accuracy"].clone(), value["results"][0]["robust_indices"].clone())
    };
    let expected = result(LENET);
    assert!(expected.0.is_number());
    assert_eq!(result(&onnx), expected);
    assert_eq!(result(&back), expected);
    let spiking = ["--model-kind", "snn", "--images", "8"];
    let done = run(&[&["evaluate", "--model", &onnx][..], &spiking].concat());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    // The shortest way to what a file holds.
    let done = run(&["architecture", "show", &onnx]);
    assert!(
        done.code == Some(0) && done.stdout.contains("conv2"),
        "{}{}",
        done.stdout,
        done.stderr
    );
}

#[test]
fn what_cannot_be_converted_is_one_line() {
    let folder = Folder::new();
    let out = folder.argument("out.safetensors");
    for (from, to, code, words) in [
        (REFUSED, out.as_str(), 1, "node `/lstm/LSTM` (LSTM) is not supported; supported are"),
        (LENET, "out.pt", 2, "ends neither in .safetensors nor in .onnx"),
        ("none.onnx", &out, 1, "none.onnx: cannot read"),
        (LENET, LENET, 2, "TO"),
    ] {
        run(&["convert", from, to]).assert_fails(code, &[words]);
    }
    assert!(!std::path::Path::new(&out).exists());
    // At every other way in for a network, too.
    for arguments in [
        vec!["evaluate", "--model", REFUSED],
        vec!["inspect", REFUSED],
        vec!["evaluate", "--model", LENET, "--source", REFUSED, "--attack", "fgsm", "--eps", "0.1"],
    ] {
        run(&arguments).assert_fails(1, &["(LSTM) is not supported"]);
    }
}

/// A file with spiking neurons says for how many time steps they run, or a note says for how many they do.
#[test]
fn the_number_of_time_steps_is_in_the_file() {
    let folder = Folder::new();
    let nodes = r#"[{"name": "flat", "op": "flatten"}, {"name": "fc", "op": "linear", "out": 10},
        {"name": "spikes", "op": "lif"}]"#;
    let text = format!(r#"{{"input": [1, 28, 28], "classes": 10, "nodes": {nodes}}}"#);
    let architecture: Architecture = serde_json::from_str(&text).unwrap();
    let silent = folder.argument("silent.safetensors");
    Model::new(architecture, 0).unwrap().state().save(&silent).unwrap();
    let inspect = |file: &str| {
        let done = run(&["inspect", file, "--images", "8", "--json"]);
        (done.json()["time_steps"].clone(), done.stderr.contains("for how many time steps"))
    };
    assert_eq!(inspect(&silent), (8.into(), true));
    let snn = ["--model-kind", "snn", "--images", "8"];
    let evaluate = |file: &str| run(&[&["evaluate", "--model", file][..], &snn].concat()).stderr;
    assert!(evaluate(&silent).contains("note: "), "{}", evaluate(&silent));
    // Noted once, it goes along to other formats and back.
    let [said, onnx, back] = ["said.safetensors", "said.onnx", "back.safetensors"];
    let [said, onnx, back] = [said, onnx, back].map(|name| folder.argument(name));
    assert_eq!(run(&["convert", &silent, &said, "--time-steps", "25"]).code, Some(0));
    assert_eq!(run(&["convert", &said, &onnx]).code, Some(0));
    assert_eq!(run(&["convert", &onnx, &back]).code, Some(0));
    for file in [&said, &onnx, &back] {
        assert_eq!(inspect(file), (25.into(), false), "{file}");
        assert!(!evaluate(file).contains("time steps"), "{}", evaluate(file));
    }
    // A network of ReLUs may say it as well, and scripts say no more than the number.
    let (lenet, words) = (folder.argument("lenet.safetensors"), ["--time-steps", "3"]);
    assert_eq!(run(&[&["convert", LENET, &lenet][..], &words].concat()).code, Some(0));
    assert_eq!(inspect(&lenet).0, 3);
    run(&["convert", LENET, &lenet, "--time-steps", "0"]).assert_fails(2, &["0 time steps"]);
}
