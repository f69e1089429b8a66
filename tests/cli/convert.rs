//! `convert`, and ONNX files wherever a network goes.

use crate::{Folder, run};

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
