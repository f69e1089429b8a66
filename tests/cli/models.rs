//! Damaged and foreign models, at every subcommand that reads one.

use crate::{Folder, Run, cli, read, run};
use deepsleep::checkpoint::StateDict;
use deepsleep::nn::{Model, Network};
use safetensors::tensor::{Dtype, TensorView};

/// Trained by PyTorch.
const GOOD: &str = "tests/golden/lenet_weights.safetensors";

/// Every way in for a model.
fn readers<'a>(model: &'a str, out: &'a str) -> Vec<Vec<&'a str>> {
    let attack = ["--attack", "fgsm", "--eps", "0.1"];
    let from = ["--limit-train", "256", "--set", "slow_wave.batches=1"];
    vec![
        vec!["evaluate", "--model", model],
        vec!["evaluate", "--model", model, "--model-kind", "snn"],
        [&["evaluate", "--model", GOOD, "--source", model][..], &attack].concat(),
        [&["attack", "--model", model, "--save", out][..], &attack].concat(),
        [&["attack", "--model", GOOD, "--source", model, "--save", out][..], &attack].concat(),
        vec!["inspect", model, "--filters", out],
        [&["train", "--defense", "slow-wave", "--from", model, "--out", out][..], &from].concat(),
    ]
}

/// A network with one array changed, in this type.
fn with(name: &str, shape: &[usize], dtype: Dtype, bytes: &[u8]) -> Vec<u8> {
    let state = Model::lenet(0).state();
    let bytes_of = |name: &str| -> Vec<u8> {
        state.get(name).unwrap().values.iter().flat_map(|v| v.to_le_bytes()).collect()
    };
    let arrays: Vec<_> = state.names().map(|name| (name, bytes_of(name))).collect();
    let views = arrays.iter().map(|(other, own)| {
        let view = match *other == name {
            true => TensorView::new(dtype, shape.to_vec(), bytes),
            false => TensorView::new(Dtype::F32, state.get(other).unwrap().shape.clone(), own),
        };
        (*other, view.unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

fn f32s(name: &str, shape: &[usize], value: f32) -> Vec<u8> {
    let count: usize = shape.iter().product();
    with(name, shape, Dtype::F32, &value.to_le_bytes().repeat(count))
}

fn lacking(name: &str) -> Vec<u8> {
    let (whole, mut state) = (Model::lenet(0).state(), StateDict::default());
    for other in whole.names().filter(|other| *other != name) {
        let entry = whole.get(other).unwrap();
        state.insert(other, entry.shape.clone(), entry.values.clone()).unwrap();
    }
    state.to_bytes().unwrap()
}

/// A network with an array more.
fn besides(name: &str) -> Vec<u8> {
    let mut state = Model::lenet(0).state();
    state.insert(name, vec![10], vec![100.0; 10]).unwrap();
    state.to_bytes().unwrap()
}

#[test]
fn damaged_and_foreign_models_are_refused_by_every_subcommand() {
    let folder = Folder::new();
    let whole = read(GOOD);
    let not_safetensors = "not a readable safetensors file";
    let f64s =
        |value: f64| with("fc.weight", &[10, 320], Dtype::F64, &value.to_le_bytes().repeat(3200));
    let cases: Vec<(&str, Option<Vec<u8>>, &str)> = vec![
        ("missing", None, "cannot read: No such file"),
        ("empty", Some(vec![]), not_safetensors),
        ("truncated", Some(whole[..whole.len() / 2].to_vec()), not_safetensors),
        ("a-byte-more", Some([&whole[..], &[0]].concat()), not_safetensors),
        ("noise", Some(vec![0xff; 1000]), not_safetensors),
        ("zeros", Some(vec![0; 1000]), not_safetensors),
        (
            "kernel",
            Some(f32s("conv1.weight", &[10, 1, 3, 3], 0.1)),
            "[10, 1, 3, 3], expected [10, 1, 5, 5]",
        ),
        ("features", Some(f32s("fc.weight", &[11, 320], 0.1)), "[11, 320], expected [10, 320]"),
        ("lacking", Some(lacking("bn2.weight")), "has no `bn2.weight`; it has bn1.bias"),
        (
            "integers",
            Some(with("fc.weight", &[10, 320], Dtype::I16, &[0; 6400])),
            "type I16, expected floats",
        ),
        ("bias", Some(besides("fc.bias")), "`fc.bias` is not part of lenet, which takes bn1.bias,"),
        (
            "torch",
            Some(
                b"PK\x03\x04"
                    .iter()
                    .copied()
                    .chain([0; 22])
                    .chain(*b"\x0c\0\0\0net/data.pkl")
                    .collect(),
            ),
            "it is a PyTorch file (torch.save); convert it in Python: safetensors",
        ),
        ("page", Some(b"<html>404</html>".to_vec()), "it is a web page (HTML)"),
        ("nan", Some(f32s("conv2.weight", &[20, 10, 5, 5], f32::NAN)), "`conv2.weight` holds NaN"),
        ("infinite", Some(f32s("bn1.bias", &[10], f32::INFINITY)), "`bn1.bias` holds inf"),
        ("variance", Some(f32s("bn1.running_var", &[10], -1.0)), "`bn1.running_var` holds -1"),
        (
            "too-large-for-f32",
            Some(f64s(1e300)),
            "`fc.weight` holds 1e300, which is more than 32 bits can",
        ),
        ("too-small-for-f32", Some(f64s(1e-50)), "`fc.weight` holds nothing above 1e-50"),
        ("folder", None, "is a directory"),
    ];
    std::fs::create_dir(folder.path("folder")).unwrap();
    std::fs::create_dir(folder.path("outputs")).unwrap();
    for (name, content, words) in cases {
        if let Some(content) = content {
            std::fs::write(folder.path(name), content).unwrap();
        }
        let (model, out) = (folder.argument(name), folder.argument("outputs/out.svg"));
        for arguments in readers(&model, &out) {
            run(&arguments).assert_fails(1, &[&model, words]);
        }
        assert!(folder.names("outputs").is_empty(), "{name}");
    }
}

#[test]
fn double_precision_is_read() {
    let folder = Folder::new();
    let data = folder.small_data(2, 20);
    let model = folder.argument("double");
    let content = with("bn1.bias", &[10], Dtype::F64, &0.25_f64.to_le_bytes().repeat(10));
    std::fs::write(&model, content).unwrap();
    let double = run(&["evaluate", "--model", &model, "--data-dir", &data, "--json"]).json();
    std::fs::write(&model, f32s("bn1.bias", &[10], 0.25)).unwrap();
    let single = run(&["evaluate", "--model", &model, "--data-dir", &data, "--json"]).json();
    assert_eq!(double["correct"], single["correct"]);
}

#[test]
fn half_precision_and_wrapped_names_are_read() {
    let folder = Folder::new();
    let data = folder.small_data(2, 20);
    let model = folder.argument("model");
    let evaluate = || run(&["evaluate", "--model", &model, "--data-dir", &data, "--json"]);
    std::fs::write(&model, f32s("bn1.bias", &[10], 0.25)).unwrap();
    let single = evaluate();
    std::fs::write(&model, with("bn1.bias", &[10], Dtype::F16, &[0, 0x34].repeat(10))).unwrap();
    assert_eq!(evaluate().json()["correct"], single.json()["correct"]);
    std::fs::write(&model, with("bn1.bias", &[10], Dtype::BF16, &[0x80, 0x3e].repeat(10))).unwrap();
    assert_eq!(evaluate().json()["correct"], single.json()["correct"]);

    std::fs::write(&model, f32s("bn1.bias", &[10], 0.25)).unwrap();
    let mut wrapped = StateDict::default();
    wrapped.absorb("module", StateDict::load(&model).unwrap());
    wrapped.save(&model).unwrap();
    let wrapped = evaluate();
    assert_eq!(wrapped.json()["correct"], single.json()["correct"]);
    assert!(wrapped.stderr.contains("begin with `module.`"), "{}", wrapped.stderr);
}

/// Names out of files are printed as text, not as commands to the terminal, and never in lines without end.
#[test]
fn hostile_names_reach_nobody() {
    let folder = Folder::new();
    let mut state = StateDict::default();
    for i in 0..3000 {
        state.insert(&format!("z{i}"), vec![1], vec![0.0]).unwrap();
    }
    state.insert("a\nerror: fine", vec![1], vec![0.0]).unwrap();
    state.insert("\u{1b}[31mred", vec![1], vec![0.0]).unwrap();
    let model = folder.argument("mo\u{1b}[2Jdel");
    state.save(folder.path("mo\u{1b}[2Jdel")).unwrap();
    let run = run(&["evaluate", "--model", &model]);
    run.assert_fails(1, &["mo\\u001b[2Jdel", "\\u001b[31mred, a\\nerror: fine, z0, z1", " more"]);
    assert!(!run.stderr.contains('\u{1b}') && run.stderr.len() < 600, "{}", run.stderr);
    let long = "a".repeat(70_000);
    let run = crate::run(&["evaluate", "--model", &model, "--model-kind", &long]);
    run.assert_fails(2, &["more letters"]);
    assert!(run.stderr.len() < 1000, "{}", run.stderr.len());
}

#[test]
fn networks_that_come_with_the_sources_have_names() {
    let images = ["--images", "1000", "--json"];
    for (name, least) in
        [("control", 0.98), ("deepsleep", 0.75), ("plain", 0.97), ("lucid", 0.97), ("bounds", 0.93)]
    {
        let clean = run(&[&["evaluate", "--model", name], &images[..]].concat()).json();
        assert!(clean["clean_accuracy"].as_f64().unwrap() >= least, "{name}: {clean}");
    }
    let attack = ["--attack", "apgd-ce:steps=20", "--eps", "64/255", "--images", "50", "--json"];
    let robust = |name: &str| {
        let result = run(&[&["attack", "--model", name], &attack[..]].concat()).json();
        result["robust_accuracy"].as_f64().unwrap()
    };
    assert!(robust("lucid") >= 0.8 && robust("control") <= 0.1);
    let certify = ["--certify", "--eps", "64/255", "--images", "1000", "--json"];
    let certified = run(&[&["evaluate", "--model", "bounds"], &certify[..]].concat()).json();
    assert_eq!(certified["certified"][0]["certified_accuracy"], 0.842);
    run(&["evaluate", "--model", "lucit"]).assert_fails(1, &["lucit: cannot read"]);
    // A file goes first.
    let folder = Folder::new();
    std::fs::write(folder.path("lucid"), "mine").unwrap();
    let mut here = cli(&["evaluate", "--model", "lucid"]);
    Run::of(here.current_dir(folder.path(""))).assert_fails(1, &["lucid"]);
}

/// A name that is no text loses no result.
#[test]
#[cfg(target_os = "linux")]
fn names_that_are_no_text_are_written_as_far_as_they_are() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let data = folder.small_data(2, 4);
    let model = folder.path("").join(std::ffi::OsStr::from_bytes(b"n\xff.safetensors"));
    std::fs::copy(GOOD, &model).unwrap();
    let attack = ["--attack", "fgsm", "--eps", "0.1", "--data-dir", &data];
    let [set, json, audit] = ["o.npz", "o.json", "a.json"].map(|name| folder.argument(name));
    for (command, more) in [
        ("attack", [&attack[..], &["--save", &set]].concat()),
        ("evaluate", [&attack[..], &["--out", &json]].concat()),
        (
            "audit",
            vec!["--eps", "0.1", "--fast", "--search", "1", "--data-dir", &data, "--out", &audit],
        ),
    ] {
        let run = Run::of(cli(&[command]).arg("--model").arg(&model).args(more));
        assert_eq!(run.code, Some(0), "{command}: {}", run.stderr);
    }
}

/// A flipped bit is an error, or another model (the format has no checksum), but never a crash.
#[test]
fn flipped_bits_are_an_error_or_another_model() {
    let folder = Folder::new();
    let data = folder.small_data(2, 4);
    let whole = read(GOOD);
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let model = folder.argument("flipped");
    let mut refused = 0;
    let mut random = crate::points(24);
    for i in 0..24 {
        // Three of four in the header, where the damage is the more varied.
        let range = if i % 4 == 3 { header..whole.len() } else { 0..header };
        let at = range.start + (random.next().unwrap() * range.len() as f64) as usize;
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (i % 8);
        std::fs::write(&model, bytes).unwrap();
        let run = run(&["evaluate", "--model", &model, "--data-dir", &data]);
        if run.code != Some(0) {
            run.assert_fails(1, &[&model]);
            refused += 1;
        }
    }
    assert!(refused > 4, "{refused}");
}

#[test]
fn a_source_without_finite_logits_is_refused() {
    let folder = Folder::new();
    let data = folder.small_data(2, 4);
    let huge = folder.argument("huge");
    std::fs::write(&huge, f32s("fc.weight", &[10, 320], 1e38)).unwrap();
    let attack = ["--attack", "fgsm", "--eps", "0.1", "--data-dir", &data];
    let arguments = ["attack", "--model", GOOD, "--source", &huge];
    run(&[&arguments[..], &attack].concat()).assert_fails(1, &["crafting by fgsm", "4 of 4"]);
    let arguments = ["evaluate", "--model", GOOD, "--source", &huge];
    run(&[&arguments[..], &attack].concat()).assert_fails(1, &["crafting by fgsm", "not finite"]);
    run(&["evaluate", "--model", &huge, "--data-dir", &data])
        .assert_incomplete(&[&huge, "not finite for 4 of 4"]);
    run(&[&["evaluate", "--model", &huge], &attack[..]].concat())
        .assert_incomplete(&[&huge, "not finite for 4 of 4"]);

    // Under attack itself, its images are neither robust nor fooled.
    let arguments = ["attack", "--model", &huge, "--json"];
    let report = run(&[&arguments[..], &attack].concat())
        .assert_incomplete(&[&huge, "not finite for 4 of 4"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    // Nor are images that were crafted elsewhere.
    let set = folder.argument("set.npz");
    let save = ["attack", "--model", GOOD, "--save", &set];
    assert_eq!(run(&[&save[..], &attack].concat()).code, Some(0));
    run(&["evaluate", "--model", &huge, "--crafted", &set])
        .assert_incomplete(&[&huge, "not finite for 4 of 4"]);
    assert_eq!(
        (&report["invalid"], &report["survived"], &report["fooled"]),
        (&4.into(), &0.into(), &0.into())
    );
    assert!(report["warnings"].to_string().contains("4 samples are invalid"), "{report}");
}

#[test]
fn settings_of_another_version_in_a_model_are_not_guessed() {
    let folder = Folder::new();
    let model = folder.argument("model");
    for (note, words) in [
        (serde_json::json!({ "depth": 1 }), "its note `settings`"),
        (serde_json::json!(7), "its note `settings`"),
    ] {
        let mut state = Model::lenet(0).state();
        state.note("settings", note);
        state.save(&model).unwrap();
        run(&["evaluate", "--model", &model, "--model-kind", "snn"])
            .assert_fails(1, &[&model, words]);
        run(&["inspect", &model]).assert_fails(1, &[&model, words]);
    }
}
