//! `train --defense`, `inspect`, and `evaluate --model-kind`.

use crate::{Folder, as_options, read, run};

/// Trained by PyTorch.
const PYTORCH: &str = "tests/golden/lenet_weights.safetensors";

/// Settings so small that a defense takes a second, on 256 images.
const TINY: &str =
    "--limit-train 256 fast_wave.epochs=1 slow_wave.initial_rate=0.1 fast_wave.spiking.steps=3";

#[test]
fn a_defended_network_says_how_it_was_made() {
    let folder = Folder::new();
    let out = folder.argument("defended.safetensors");
    let arguments = ["train", "--defense", "deepsleep", "--from", PYTORCH, "--json", "--out", &out];
    let outcome = run(&[&arguments[..], &as_options(TINY)].concat()).json();
    assert_eq!(outcome["defense"], "deepsleep");
    assert_eq!(outcome["settings"]["profile"], "published");
    assert_eq!(outcome["settings"]["fast_wave"]["epochs"], 1);
    // Nine passes of slow-wave sleep, one epoch of fast-wave sleep, the conversion.
    assert_eq!(outcome["history"].as_array().unwrap().len(), 11);
    assert!(outcome["history"][9]["spiking_accuracy"].is_number());

    let inspected = run(&["inspect", &out, "--images", "20", "--json"]).json();
    assert_eq!(inspected["notes"]["settings"], outcome["settings"]);
    assert_eq!(inspected["time_steps"], 3);
    let clean = |kind| {
        let arguments = ["evaluate", "--model", &out, "--model-kind", kind, "--json"];
        run(&arguments).json()["clean_accuracy"].as_f64().unwrap()
    };
    assert_eq!(Some(clean("cnn")), outcome["clean_accuracy"].as_f64());
    assert!((0.0..=1.0).contains(&clean("snn")));

    // The same again gives the same bytes.
    let again = folder.argument("again.safetensors");
    let arguments = ["train", "--defense", "deepsleep", "--from", PYTORCH, "--out", &again];
    let rest = ["--threads", "3", "--quiet"];
    assert_eq!(run(&[&arguments[..], &as_options(TINY), &rest].concat()).code, Some(0));
    assert!(read(&out) == read(&again));

    // What is finished is not begun again, and only the same is the same.
    let resume = [&arguments[..], &as_options(TINY), &["--resume", "--json"]].concat();
    let finished = run(&resume).json();
    assert_eq!(finished["clean_accuracy"], outcome["clean_accuracy"]);
    assert!(finished.get("seconds").is_none());
    let other = [&resume[..], &["--set", "fast_wave.learning_rate=0.2"]].concat();
    run(&other).assert_fails(2, &["cannot resume", "fast_wave.learning_rate"]);
    let mut other = resume.clone();
    other[4] = "tests/golden/lenet_robust.safetensors";
    run(&other).assert_fails(2, &["cannot resume", "--from"]);
}

#[test]
fn settings_are_printed_and_unknown_ones_refused() {
    let printed = run(&["train", "--profile", "standard", "--print-config"]).stdout;
    assert!(printed.contains("fast_wave.dream.source = \"live\""), "{printed}");
    for (arguments, words) in [
        (&["--set", "fast_wave.epoch=3"][..], &["fast_wave.epochs"][..]),
        (&["--set", "fast_wave.epochs"], &["NAME=VALUE"]),
        (&["--set", "fast_wave.epochs=some"], &["some"]),
        (&["--profile", "papers"], &["published", "paper", "standard"]),
        (&["--epochs", "3"], &["--epochs", "--set"]),
    ] {
        let fixed = ["train", "--defense", "fast-wave", "--from", PYTORCH];
        run(&[&fixed[..], arguments].concat()).assert_fails(2, words);
    }
    run(&["train", "--defense", "fast-wave"]).assert_fails(2, &["--from"]);
    run(&["train", "--defense", "fast-wave", "--from", "nowhere"]).assert_fails(1, &["nowhere"]);
}

#[test]
fn inspect_draws_filters_and_spikes() {
    let folder = Folder::new();
    let (filters, raster) = (folder.argument("filters.svg"), folder.argument("raster.svg"));
    let drawn = ["inspect", PYTORCH, "--images", "16", "--filters", &filters, "--raster", &raster];
    let text = run(&drawn).stdout;
    for word in ["8510 parameters", "conv2.weight", "20x10x5x5", "firing rates"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    let drawing = |path: &str| String::from_utf8(read(path)).unwrap();
    assert_eq!(drawing(&filters).matches("<rect").count(), 1 + 10 * 25);
    assert!(drawing(&raster).contains("<circle"));
    run(&["inspect", PYTORCH, "--image", "10000", "--raster", &raster])
        .assert_fails(2, &["--image 10000", "10000"]);
}
