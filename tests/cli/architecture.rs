//! Networks of one's own: named, in files, in models.

use crate::{Folder, run};
use deepsleep::checkpoint::StateDict;
use deepsleep::nn::architecture::Architecture;
use deepsleep::nn::{Model, Network};
use deepsleep::tensor::Shape;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;

const NET: &str = r#"
input = [1, 28, 28]
classes = 10
nodes = [
    { name = "norm", op = "normalize", mean = [0.1307], std = [0.3081] },
    { name = "c", op = "conv2d", out = 4, kernel = 3, stride = 2, padding = 1 },
    { name = "r", op = "relu" },
    { name = "d", op = "dropout", rate = 0.1 },
    { name = "fc", op = "linear", out = 10 },
]
"#;

/// The file of a state as PyTorch would write it: arrays, and this metadata.
fn bytes(state: &StateDict, metadata: Option<HashMap<String, String>>) -> Vec<u8> {
    let arrays: Vec<(&str, Vec<u8>)> = state
        .names()
        .map(|name| {
            let values = &state.get(name).unwrap().values;
            (name, values.iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let views = arrays.iter().map(|(name, bytes)| {
        let shape = state.get(name).unwrap().shape.clone();
        (*name, TensorView::new(Dtype::F32, shape, bytes).unwrap())
    });
    safetensors::serialize(views, metadata).unwrap()
}

#[test]
fn networks_are_listed_shown_and_checked() {
    let folder = Folder::new();
    let listed = run(&["architecture", "list", "--json"]).json();
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["lenet", "lenet-bias", "madry", "vgg9", "vgg11", "resnet20"]);
    assert_eq!(listed[5]["parameters"], 272_474);
    for name in names.iter().chain(&["mlp:32,16"]) {
        let shown = run(&["architecture", "show", name, "--json"]).json();
        let file = folder.argument("net.toml");
        let toml = run(&["architecture", "show", name, "--toml"]).stdout;
        std::fs::write(&file, toml).unwrap();
        assert_eq!(run(&["architecture", "check", &file, "--json"]).json(), shown, "{name}");
    }
    let small = run(&["architecture", "show", "lenet", "--input", "3x32x32", "--classes", "7"]);
    assert!(
        small.stdout.contains("lenet, 3x32x32 to 7 classes, 9310 parameters"),
        "{}",
        small.stdout
    );
    run(&["architecture", "show", "lenett"]).assert_fails(2, &["lenett", "did you mean `lenet`?"]);
    run(&["architecture", "show", "lenet", "--input", "1x4x4"]).assert_fails(2, &["node `conv1`"]);
    run(&["architecture", "show", "lenet", "--input", "28"]).assert_fails(2, &["3x32x32"]);
    run(&["architecture", "check", "net.toml"]).assert_fails(1, &["net.toml", "cannot read"]);
    let check = |text: &str, words: &[&str]| {
        let file = folder.argument("bad.toml");
        std::fs::write(&file, text).unwrap();
        run(&["architecture", "check", &file]).assert_fails(1, &[&["bad.toml"], words].concat());
    };
    check(&NET.replace("padding", "pading"), &["line", "`pading`"]);
    check(&NET.replace("\"relu\"", "\"rleu\""), &["rleu"]);
    check(&NET.replace("kernel = 3", "kernel = 99"), &["node `c`", "99"]);
    check("nodes = 3", &["line 1"]);
    check("{\"input\": [1]}", &["line 1"]);
    check("", &["`input` is missing"]);
}

#[test]
fn a_network_of_ones_own_is_trained_continued_attacked_and_described() {
    let folder = Folder::new();
    let data = folder.small_data(192, 40);
    let (net, model) = (folder.argument("net.toml"), folder.argument("model.safetensors"));
    std::fs::write(&net, NET).unwrap();
    let train = |out: &str, epochs: &str, more: &[&str]| {
        let all = [
            "train",
            "--architecture",
            &net,
            "--data-dir",
            &data,
            "--batch-size",
            "32",
            "--out",
            out,
        ];
        run(&[&all[..], &["--epochs", epochs, "--json"], more].concat())
    };
    let trained = train(&model, "3", &[]).json();
    assert!(trained["network"].as_str().unwrap().starts_with("5 nodes, 1x28x28 to 10 classes"));
    // The dropout too follows from seed, step and image.
    let again = folder.argument("again.safetensors");
    train(&again, "3", &["--threads", "3"]).json();
    assert_eq!(std::fs::read(&model).unwrap(), std::fs::read(&again).unwrap());
    train(&model, "3", &["--resume"]).json();
    let other = [
        "train",
        "--data-dir",
        &data,
        "--batch-size",
        "32",
        "--epochs",
        "3",
        "--resume",
        "--out",
        &model,
    ];
    run(&other).assert_fails(2, &["another network (5 nodes"]);

    let evaluated = run(&["evaluate", "--model", &model, "--data-dir", &data, "--json"]).json();
    assert_eq!(evaluated["clean_accuracy"], trained["clean_accuracy"]);
    let of = |command: &str, more: &[&str]| {
        let all = [command, "--model", &model, "--data-dir", &data, "--images", "20", "--json"];
        run(&[&all[..], more].concat())
    };
    let attack = ["--attack", "pgd", "--eps", "0.1"];
    assert_eq!(of("attack", &attack).json()["images"], 20);
    of("evaluate", &["--architecture", "madry"])
        .assert_fails(1, &["another network than is asked for"]);
    of("evaluate", &["--architecture", &net]).json();
    let described = run(&["inspect", &model, "--data-dir", &data, "--json"]).json();
    assert_eq!(described["parameters"], 4 * 9 + 4 + 10 * (4 * 14 * 14 + 1));
    let shown = run(&["architecture", "show", &model]).stdout;
    assert!(shown.contains("dropout") && shown.contains("5 nodes"), "{shown}");
}

#[test]
fn a_file_that_names_no_architecture_is_asked_for_it() {
    let folder = Folder::new();
    let data = folder.small_data(2, 20);
    let model = folder.argument("model.safetensors");
    let bias = Model::new(Architecture::named("lenet-bias", Shape::new(1, 28, 28), 10).unwrap(), 3);
    let state = bias.unwrap().state();
    std::fs::write(&model, bytes(&state, None)).unwrap();
    let evaluate = |more: &[&str]| {
        run(&[&["evaluate", "--model", &model, "--data-dir", &data, "--json"], more].concat())
    };
    evaluate(&[])
        .assert_fails(1, &["conv1.bias", "not part of lenet", "architecture lenet-bias fits it"]);
    let named = evaluate(&["--architecture", "lenet-bias"]).json();
    evaluate(&["--architecture", "madry"])
        .assert_fails(1, &["conv1.weight", "expected [32, 1, 5, 5]"]);
    evaluate(&["--architecture", "lenet-biased"]).assert_fails(2, &["did you mean `lenet-bias`?"]);
    // As Python writes it: `save_file(state, path, metadata={"architecture": text})`.
    let text = run(&["architecture", "show", "lenet-bias", "--json"]).stdout;
    let metadata = HashMap::from([("architecture".to_owned(), text)]);
    std::fs::write(&model, bytes(&state, Some(metadata))).unwrap();
    assert_eq!(evaluate(&[]).json()["correct"], named["correct"]);
    let metadata = HashMap::from([("architecture".to_owned(), "lenet-bias".to_owned())]);
    std::fs::write(&model, bytes(&state, Some(metadata))).unwrap();
    evaluate(&[]).assert_fails(1, &["architecture", "JSON"]);
    // An array that no layer has.
    let mut more = state.clone();
    more.insert("fc2.bias", vec![1], vec![0.0]).unwrap();
    std::fs::write(&model, bytes(&more, None)).unwrap();
    evaluate(&["--architecture", "lenet-bias"])
        .assert_fails(1, &["`fc2.bias` is not part of lenet-bias"]);
    // Images of another size are not its images.
    more = state.clone();
    std::fs::write(&model, more.to_bytes().unwrap()).unwrap();
    let digits = "tests/golden/digits";
    run(&["evaluate", "--model", &model, "--data", digits])
        .assert_fails(1, &["the network takes 1x28x28"]);
}

/// Arrays without a word about their network are another network with another `--architecture`: no result of the one is taken
/// for the other's.
#[test]
fn results_belong_to_the_architecture_that_was_asked_for() {
    let folder = Folder::new();
    let data = folder.small_data(8, 24);
    let (model, out, set) =
        (folder.argument("m.safetensors"), folder.argument("r.json"), folder.argument("set.npz"));
    let state = StateDict::load("tests/golden/lenet_weights.safetensors").unwrap();
    std::fs::write(&model, bytes(&state, None)).unwrap();
    let toml = run(&["architecture", "show", "lenet", "--toml"]).stdout;
    let [relu, silu] = ["relu", "silu"].map(|rectifier| {
        let file = folder.argument(&format!("{rectifier}.toml"));
        std::fs::write(&file, toml.replace("relu", rectifier)).unwrap();
        file
    });
    let of = |command: &str, architecture: &str, more: &[&str]| {
        let all = [command, "--model", &model, "--data-dir", &data, "--architecture", architecture];
        run(&[&all[..], more].concat())
    };
    let attack = ["--attack", "fgsm", "--eps", "0.1"];
    for (command, more) in [("evaluate", &attack[..]), ("audit", &["--eps", "0.1", "--fast"])] {
        let more = [more, &["--out", &out]].concat();
        let again = [&more[..], &["--resume"]].concat();
        assert_eq!(of(command, &relu, &more).code, Some(0), "{command}");
        of(command, &silu, &again).assert_fails(2, &["architecture of --model"]);
        // A name that means the same network.
        assert_eq!(of(command, "lenet", &again).code, Some(0), "{command}");
        std::fs::remove_file(&out).unwrap();
    }
    of("attack", &relu, &[&attack[..], &["--save", &set]].concat());
    let shown = |architecture: &str| {
        let shown = ["evaluate", "--model", &model, "--architecture", architecture];
        let shown = run(&[&shown[..], &["--crafted", &set, "--json"]].concat()).json();
        shown["results"][0]["threat_model"].as_str().unwrap().to_owned()
    };
    assert_eq!([shown("lenet"), shown(&silu)], ["white-box", "transfer"]);
    let source = ["--source", &model, "--source-architecture", &relu];
    let transfer =
        |architecture: &str| of("attack", architecture, &[&attack[..], &source].concat()).stderr;
    assert!(transfer("lenet").contains("the network itself"));
    assert!(!transfer(&silu).contains("the network itself"));
}
