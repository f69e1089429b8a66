//! `audit`.

use crate::{Folder, read, run};

const PLAIN: &str = "tests/golden/lenet_weights.safetensors";
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
    for (more, said) in [
        (&["--claim", "62"][..], "share in 0..=1"),
        (&["--first", "10000"], "test images"),
        (&["--images", "0"], "at least 1"),
        (&["--twin", "nothing.safetensors"], "nothing.safetensors"),
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
    attack("snn", "pgd:gradient=tirangle").assert_fails(2, &["tirangle", "triangle"]);
    attack("snn", "square:gradient=rga").assert_fails(2, &["no option `gradient`"]);
}
