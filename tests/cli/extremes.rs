//! Settings at the ends of what is allowed work.

use crate::{Folder, read, run};
use deepsleep::checkpoint::StateDict;
use deepsleep::method::{Profile, Settings};

const MODEL: &str = "tests/golden/lenet_weights.safetensors";

/// Trains a defense with settings that keep it short, and these.
fn defend(data: &str, out: &str, defense: &str, settings: &[&str], more: &[&str]) -> StateDict {
    let slow = ["slow_wave.initial_rate=0.5", "slow_wave.batch_size=16"];
    let fast = ["fast_wave.batch_size=16", "fast_wave.epochs=1", "fast_wave.spiking.steps=2"];
    let short = match defense {
        "slow-wave" => slow.to_vec(),
        "sleep" => vec!["slow_wave.batch_size=16"],
        "fast-wave" => fast.to_vec(),
        "deepsleep" => [&slow[..], &fast].concat(),
        _ => vec!["adversarial_training.batch_size=16"],
    };
    // Every setting is given once.
    let name = |setting: &str| setting.split('=').next().map(str::to_owned);
    let again = |short: &&&str| settings.iter().any(|setting| name(setting) == name(short));
    let short = short.iter().filter(|setting| !again(setting));
    let settings = short.chain(settings).flat_map(|setting| ["--set", *setting]);
    let base = ["train", "--quiet", "--data-dir", data, "--out", out, "--from", MODEL];
    let arguments = base.into_iter().chain(["--defense", defense]).chain(settings);
    let arguments: Vec<&str> = arguments.chain(more.iter().copied()).collect();
    let done = run(&arguments);
    assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
    StateDict::load(out).unwrap()
}

fn stages(state: &StateDict) -> usize {
    state.noted::<Vec<serde_json::Value>>("history").unwrap().len()
}

#[test]
fn short_long_shallow_and_repeated_sleeps() {
    let folder = Folder::new();
    let data = folder.small_data(40, 10);
    let out = folder.argument("model");
    for (defense, settings, stages_expected) in [
        ("fast-wave", &["fast_wave.spiking.steps=1"][..], 2),
        ("slow-wave", &["slow_wave.depth=1"], 4),
        ("slow-wave", &["slow_wave.batch_size=1", "slow_wave.batches=2"], 10),
        ("slow-wave", &["slow_wave.batch_size=17"], 10),
        ("deepsleep", &["cycles=3"], 3 * (9 + 1) + 1),
        ("sleep", &["sleep.steps=1"], 10),
        ("fast-wave", &["fast_wave.dream.eps=1", "fast_wave.dream.ratio=1"], 2),
    ] {
        let state = defend(&data, &out, defense, settings, &[]);
        assert_eq!(stages(&state), stages_expected, "{defense}, {settings:?}");
        let accuracy: f64 = state.noted("clean_accuracy").unwrap();
        assert!((0.0..=1.0).contains(&accuracy));
    }
}

#[test]
fn two_thousand_time_steps_of_one_image() {
    let folder = Folder::new();
    let data = folder.small_data(2, 1);
    let model = folder.argument("model");
    let mut settings = Settings::new(Profile::Published);
    settings.fast_wave.spiking.steps = 2000;
    let mut state = StateDict::load(MODEL).unwrap();
    state.note("settings", &settings);
    state.save(&model).unwrap();
    let arguments = ["evaluate", "--model", &model, "--model-kind", "snn", "--data-dir", &data];
    assert_eq!(run(&[&arguments[..], &["--json"]].concat()).json()["correct"], 1);
}

#[test]
fn one_image_and_seventeen_on_one_thread_and_sixty_four() {
    let folder = Folder::new();
    let data = folder.small_data(17, 17);
    for images in ["1", "17"] {
        let (mut results, mut sets) = (Vec::new(), Vec::new());
        for threads in ["1", "64"] {
            let set = folder.argument(&format!("{images}-{threads}.npz"));
            let base =
                ["--model", MODEL, "--data-dir", &data, "--images", images, "--threads", threads];
            let attack = ["attack", "--attack", "pgd:steps=3", "--eps", "1", "--save", &set];
            assert_eq!(run(&[&attack[..], &base].concat()).code, Some(0));
            sets.push(read(set));
            let attack = ["evaluate", "--attack", "autoattack", "--eps", "1", "--json"];
            let result = run(&[&attack[..], &base].concat()).json();
            results
                .push((result["correct"].clone(), result["results"][0]["robust_indices"].clone()));
        }
        assert!(sets[0] == sets[1] && results[0] == results[1], "{images} images");
    }
    let train = |images: &str, threads: &str| {
        let out = folder.argument("model");
        let base = ["train", "--epochs", "2", "--data-dir", &data, "--out", &out, "--quiet"];
        let more = ["--limit-train", images, "--batch-size", images, "--threads", threads];
        let done = run(&[&base[..], &more].concat());
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        read(out)
    };
    for images in ["2", "17"] {
        assert!(train(images, "1") == train(images, "64"), "{images} images");
    }
}

/// What does not fit into the memory that the process may have is refused, and does not abort it.
#[test]
#[cfg(target_os = "linux")]
fn a_batch_larger_than_memory_is_refused_in_a_line() {
    let folder = Folder::new();
    let out = folder.argument("model");
    let program = assert_cmd::cargo_bin!("deepsleep-cli").display().to_string();
    let limited = |command: &str| {
        let text = format!("ulimit -v 700000; exec {program} {command} --threads 2 --quiet");
        let mut shell = assert_cmd::Command::new("sh");
        crate::Run::of(shell.args(["-c", &text]).current_dir(env!("CARGO_MANIFEST_DIR")))
    };
    let train = format!("train --batch-size 60000 --epochs 1 --out {out}");
    limited(&train).assert_fails(2, &["a batch of 60000 images", "GB are needed", "smaller batch"]);
    assert_eq!(limited(&format!("evaluate --model {MODEL} --images 64")).code, Some(0));
}
