//! `audit`.

use crate::{Folder, read, run};
use deepsleep::nn::architecture::Architecture;
use deepsleep::nn::{Model, Network};
use deepsleep::tensor::Shape;

const PLAIN: &str = "tests/golden/lenet_weights.safetensors";
const ROBUST: &str = "tests/golden/lenet_robust.safetensors";
const SHORT: [&str; 9] =
    ["audit", "--model", PLAIN, "--eps", "16/255", "--images", "16", "--search", "4"];

#[test]
fn it_says_what_was_measured_and_what_that_means() {
    let folder = Folder::new();
    let out = folder.argument("audit.json");
    let audit = run(&[&SHORT[..], &["--fast", "--json", "--out", &out]].concat()).json();
    // Nothing is wrong with this network, but sixteen images show little.
    assert_eq!(audit["verdict"], "undecided");
    assert_eq!((&audit["right"], &audit["norm"]), (&16.into(), &"linf".into()));
    let checks = audit["checks"].as_array().unwrap();
    assert!(checks.len() >= 15, "{}", checks.len());
    for check in checks {
        assert!(check["statistic"].is_number() && check["threshold"].is_string(), "{check}");
        assert_ne!(check["finding"], "fail", "{check}");
    }
    let written: serde_json::Value = serde_json::from_slice(&read(&out)).unwrap();
    assert_eq!(written["checks"], audit["checks"]);
    let attacks = audit["attacks"].as_array().unwrap();
    assert!(attacks.iter().any(|attack| attack["attack"] == "apgd-ce"));

    // A claim above all that agrees with what was found.
    let text = run(&[&SHORT[..], &["--fast", "--claim", "1"]].concat()).stdout;
    assert!(text.starts_with("verdict: not trusted") && text.contains("FAIL  claim"), "{text}");
}

#[test]
fn what_cannot_be_audited_is_refused() {
    let folder = Folder::new();
    let of_three = folder.argument("three.safetensors");
    let network = Architecture::named("mlp:8", Shape::new(1, 28, 28), 3).unwrap();
    Model::new(network, 0).unwrap().state().save(&of_three).unwrap();
    let show = ["evaluate", "--model", PLAIN, "--source", &of_three, "--attack", "fgsm"];
    run(&[&show[..], &["--eps", "0.1", "--images", "20"]].concat())
        .assert_fails(1, &["--source", "three.safetensors: ", "the network has 3"]);
    for (more, said) in [
        (&["--claim", "62"][..], "share in 0..=1"),
        (&["--first", "10000"], "test images"),
        (&["--images", "0"], "at least 1"),
        (&["--images", "20", "--first", "9990"], "10 test images from --first 9990"),
        (&["--claim", "0.5", "--attack", "pgd:draws=7"], "7 draws would all be the same"),
        (&["--twin", "nothing.safetensors"], "nothing.safetensors"),
        (&["--twin", PLAIN], "the network that is audited"),
        (&["--twin", &of_three], "three.safetensors: "),
        (&["--twin", &of_three], "the network has 3"),
        (&["--claim", "0.5", "--attack", "square:refill=yes"], "refill is of l2"),
        (&["--twin", ROBUST, "--twin", ROBUST], "given twice"),
        (&["--attack", "pgd"], "--claim"),
        (&["--claim", "0.5", "--attack", "pdg"], "did you mean `pgd`"),
        (&["--resume"], "--out"),
    ] {
        let run = run(&[&["audit", "--model", PLAIN, "--eps", "16/255"], more].concat());
        assert!(run.code.is_some_and(|code| code != 0), "{more:?}");
        assert!(run.stderr.contains(said), "{more:?}: {}", run.stderr);
    }
}

/// What is for spiking networks is refused for others, and runs on them.
#[test]
fn estimators_are_for_spiking_networks() {
    let attack = |kind: &str, text: &str| {
        let options = ["--model-kind", kind, "--attack", text, "--eps", "0.05", "--images", "4"];
        run(&[&["attack", "--model", PLAIN, "--json"], &options[..]].concat())
    };
    for text in ["pgd:gradient=rga", "pgd:pool=all", "autoattack:version=spiking-fast"] {
        attack("cnn", text).assert_fails(2, &["no spikes"]);
        assert!(attack("snn", text).json()["robust_accuracy"].is_number(), "{text}");
    }
    // Nor is there a pooling window over the neurons of a perceptron.
    let folder = Folder::new();
    let (data, model) = (folder.small_data(32, 8), folder.argument("mlp.safetensors"));
    let train = ["train", "--architecture", "mlp:8", "--epochs", "1", "--batch-size", "8"];
    run(&[&train[..], &["--data-dir", &data, "--out", &model]].concat());
    let windows = ["attack", "--model", &model, "--model-kind", "snn", "--data-dir", &data];
    let windows = run(&[&windows[..], &["--attack", "pgd:pool=all", "--eps", "0.1"]].concat());
    windows.assert_fails(2, &["2 x 2 windows"]);
    attack("snn", "pgd:gradient=tirangle").assert_fails(2, &["tirangle", "triangle"]);
    attack("snn", "square:gradient=rga").assert_fails(2, &["no option `gradient`"]);
}

/// An audit that was killed goes on, and says the same as one that was not; it is a page too.
#[test]
fn a_killed_audit_goes_on() {
    let folder = Folder::new();
    let [whole, killed, page] =
        ["whole.json", "killed.json", "audit.html"].map(|name| folder.argument(name));
    let audit =
        |out: &str, more: &[&str]| run(&[&SHORT[..], &["--fast", "--out", out], more].concat());
    let done = audit(&whole, &["--page", &page]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let html = String::from_utf8(read(&page)).unwrap();
    for words in [
        "Verdict: <b>undecided</b>",
        "radius curve",
        "pgd:steps=100,start=clean",
        "catastrophic overfitting",
        "<svg",
    ] {
        assert!(html.contains(words), "{words}");
    }
    // Half of its parts, as a killed one leaves them.
    let result = |path: &str| -> serde_json::Value {
        let mut json: serde_json::Value = serde_json::from_slice(&read(path)).unwrap();
        json.as_object_mut().unwrap().remove("seconds");
        json
    };
    let mut child = std::process::Command::new(assert_cmd::cargo_bin!("deepsleep-cli"))
        .args(SHORT)
        .args(["--fast", "--out", &killed])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let checkpoint = folder.path("killed.json.checkpoint");
    let killed_checkpoint = folder.argument("killed.json.checkpoint");
    let lines =
        || std::fs::read(&checkpoint).map_or(0, |b| b.iter().filter(|&&b| b == b'\n').count());
    while lines() < 4 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    if !checkpoint.exists() {
        // It was done before it could be killed.
        return;
    }
    // How long the parts took that are done.
    let kept = String::from_utf8(read(&killed_checkpoint)).unwrap();
    let parts =
        kept.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let before: f64 = parts.filter_map(|part| part["seconds"].as_f64()).sum();
    assert!(before > 0.0);
    audit(&killed, &["--resume", "--seed", "1"])
        .assert_fails(2, &["cannot resume", "--seed 0, not 1"]);
    run(&[
        "evaluate", "--model", PLAIN, "--attack", "fgsm", "--eps", "0.1", "--images", "2", "--out",
        &killed,
    ])
    .assert_fails(2, &["an audit's, and an evaluation would replace it"]);
    let resumed = audit(&killed, &["--resume"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    assert!(resumed.stderr.contains("continuing after"), "{}", resumed.stderr);
    assert!(!checkpoint.exists());
    assert_eq!(result(&killed), result(&whole));
    let resumed: serde_json::Value = serde_json::from_slice(&read(&killed)).unwrap();
    assert!(resumed["seconds"].as_f64().unwrap() > before);
    assert!(audit(&killed, &["--resume"]).stderr.contains("finished already"));
}
