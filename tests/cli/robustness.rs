//! `evaluate` under attack, interrupted and not.

use crate::{Folder, Run, read, run};
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ROBUST: &str = "tests/golden/lenet_robust.safetensors";
const PLAIN: &str = "tests/golden/lenet_weights.safetensors";

#[test]
fn every_attack_at_every_radius_and_the_worst_case() {
    let attacks =
        ["--attack", "fgsm", "--attack", "bim:step=2/255", "--attack", "square:queries=50"];
    let base = ["evaluate", "--model", ROBUST, "--images", "64", "--eps", "16/255,64/255"];
    let result = run(&[&base[..], &attacks, &["--json"]].concat()).json();
    let cells = result["results"].as_array().unwrap();
    assert_eq!((cells.len(), &result["images"]), (6, &64.into()));
    let clean = result["clean_accuracy"].as_f64().unwrap();
    for cell in cells {
        let robust = cell["robust_accuracy"].as_f64().unwrap();
        assert!(robust <= clean);
        assert_eq!(cell["robust_indices"].as_array().unwrap().len() as f64 / 64.0, robust);
        assert_eq!((&cell["norm"], &cell["threat_model"]), (&"linf".into(), &"white-box".into()));
        assert!(cell["forward_passes"].as_u64().unwrap() > 64);
        let gradients = cell["attack"] != "square:queries=50";
        assert_eq!(cell["backward_passes"].as_u64().unwrap() > 0, gradients);
        assert_eq!(cell["zero_gradient_share"].is_number(), gradients, "always said");
        assert!(cell["seconds"].is_number());
    }
    let reach = |i: usize| cells[i]["warnings"].to_string().contains("is needed to cross the ball");
    assert_eq!([0, 1, 2, 3].map(reach), [false, false, false, true]);
    for (worst, eps) in result["worst_case"].as_array().unwrap().iter().zip([0, 1]) {
        let robust = worst["robust_accuracy"].as_f64().unwrap();
        let of = |i: usize| cells[2 * i + eps]["robust_accuracy"].as_f64().unwrap();
        assert!((0..3).all(|i| robust <= of(i)));
        assert!(worst["strongest"].is_string() && worst["fooled_only_by"].is_object());
    }
    let text = run(&[&base[..], &attacks].concat()).stdout;
    for words in ["clean accuracy", "fgsm", "worst case", "warning: bim", "zero grad"] {
        assert!(text.contains(words), "{words}: {text}");
    }

    let source = ["--source", PLAIN, "--attack", "fgsm", "--json"];
    let transfer = run(&[&base[..], &source].concat()).json();
    assert_eq!(transfer["results"][1]["threat_model"], "transfer");
    let robust = |result: &Value| result["results"][1]["robust_accuracy"].as_f64().unwrap();
    assert!(robust(&transfer) > robust(&result), "transfer is the weaker threat");
}

#[test]
fn wrong_evaluations_are_refused() {
    let base = ["evaluate", "--model", ROBUST, "--images", "2"];
    for (more, words) in [
        (&["--attack", "fgms", "--eps", "0.1"][..], &["did you mean `fgsm`"][..]),
        (&["--attack", "fgsm", "--eps", "0.1,1.5"], &["`1.5`", "(0, 1]"]),
        (&["--attack", "fgsm", "--eps", "0.1,0.1"], &["twice"]),
        (&["--attack", "fgsm", "--attack", "fgsm", "--eps", "0.1"], &["twice"]),
        (&["--attack", "fgsm"], &["--eps"]),
        (&["--eps", "0.1"], &["--attack"]),
        (&["--source", PLAIN], &["--eps", "--attack"]),
        (&["--attack", "fgsm", "--eps", "0.1", "--resume"], &["--out"]),
        (&["--crafted", "x.npz"], &["--crafted", "--images"]),
    ] {
        run(&[&base[..], more].concat()).assert_fails(2, words);
    }
    run(&["evaluate", "--model", ROBUST, "--crafted", "x.npz"])
        .assert_fails(1, &["x.npz: cannot read"]);
}

const WORK: [&str; 14] = [
    "evaluate",
    "--quiet",
    "--images",
    "48",
    "--portion",
    "16",
    "--eps",
    "0.1,64/255",
    "--attack",
    "pgd:steps=150,restarts=2",
    "--attack",
    "square:queries=400",
    "--seed",
    "4",
];

fn evaluate(model: &str, out: &str, more: &[&str]) -> Run {
    run(&[&WORK[..], &["--model", model, "--out", out], more].concat())
}

fn start(out: &str, more: &[&str]) -> Child {
    Command::new(assert_cmd::cargo_bin!("deepsleep-cli"))
        .args(WORK)
        .args(["--model", ROBUST, "--out", out])
        .args(more)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("DEEPSLEEP_DATA")
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// A result without its times.
pub fn timeless(mut result: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("seconds");
                map.remove("images_per_second");
                map.values_mut().for_each(strip);
            }
            Value::Array(all) => all.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut result);
    result
}

#[test]
fn killed_and_resumed_is_uninterrupted_to_the_last_bit() {
    let folder = Folder::new();
    let [whole, killed] = ["whole.json", "killed.json"].map(|name| folder.argument(name));
    let expected = timeless(evaluate(ROBUST, &whole, &["--json", "--threads", "1"]).json());
    assert_eq!(timeless(serde_json::from_slice(&read(&whole)).unwrap()), expected);

    // Killed twice, whenever there are more parts than before.
    let checkpoint = folder.path("killed.json.checkpoint");
    let lines =
        || std::fs::read(&checkpoint).map_or(0, |b| b.iter().filter(|&&c| c == b'\n').count());
    for more in [&[][..], &["--resume"]] {
        let before = lines();
        let mut child = start(&killed, more);
        while lines() < before.max(1) + 1 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(checkpoint.exists() && !folder.path("killed.json").exists(), "done too soon");
    }
    // As if it had been killed in the middle of a line.
    let content = [&read(&checkpoint)[..], b"{\"attack\":1,\"rad"].concat();
    std::fs::write(&checkpoint, &content).unwrap();

    for (model, more, words) in [
        (ROBUST, &["--seed", "5"][..], &["--seed 4, not 5"][..]),
        (ROBUST, &["--first", "1"], &["images"]),
        (ROBUST, &["--attack", "fgsm"], &["--attack", "fgsm"]),
        (ROBUST, &["--norm", "l2"], &["--norm linf, not l2"]),
        (ROBUST, &["--source", PLAIN], &["no note of its --source, not"]),
        (PLAIN, &[], &["--model"]),
    ] {
        // The last of an option counts where it may be given once; clap refuses it twice.
        let given = more.first().filter(|name| **name == "--seed");
        let run = match given {
            Some(_) => {
                let work: Vec<&str> = WORK[..12].to_vec();
                run(&[&work[..], &["--model", model, "--out", &killed, "--resume"], more].concat())
            }
            None => evaluate(model, &killed, &[&["--resume"][..], more].concat()),
        };
        run.assert_fails(2, &[words, &["cannot resume", "killed.json.checkpoint"]].concat());
    }
    assert_eq!(read(&checkpoint), content, "a refused one stays");

    let resumed = timeless(evaluate(ROBUST, &killed, &["--resume", "--json"]).json());
    let same = |mut value: Value| {
        value.as_object_mut().unwrap().remove("model");
        value
    };
    assert_eq!(same(resumed), same(expected.clone()));
    assert!(!checkpoint.exists());
    assert_eq!(timeless(serde_json::from_slice(&read(&killed)).unwrap()), expected);

    // What is finished is found finished; of other settings it is refused.
    let again = evaluate(ROBUST, &killed, &["--resume", "--json"]).json();
    assert_eq!(timeless(again), expected);
    evaluate(PLAIN, &killed, &["--resume"]).assert_fails(2, &["cannot resume", "--model"]);
    let nothing = folder.argument("nothing.json");
    evaluate(ROBUST, &nothing, &["--resume"]).assert_fails(1, &["nothing to resume"]);
}
