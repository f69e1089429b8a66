//! Networks with Poisson spikes, which draw random numbers.

use crate::{Folder, run};
use deepsleep::checkpoint::StateDict;
use deepsleep::method::{Profile, Settings};

const FIXED: &str = "tests/golden/lenet_weights.safetensors";

/// The golden LeNet, noted as the network of a defense with Poisson spikes over two steps.
fn poisson(folder: &Folder) -> String {
    let mut settings = Settings::new(Profile::Published);
    settings.set("fast_wave.spiking.encoder", r#"{"poisson":{"rate":1.0}}"#).unwrap();
    settings.set("fast_wave.spiking.steps", "2").unwrap();
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXED);
    let mut state = StateDict::load(golden).unwrap();
    state.note("settings", &settings);
    let file = folder.path("poisson.safetensors");
    state.save(&file).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn the_seed_reaches_the_noise() {
    let folder = Folder::new();
    let model = poisson(&folder);
    let base = ["--model", &model, "--model-kind", "snn", "--images", "60", "--json"];
    let evaluate = |more: &[&str]| {
        let mut all = run(&[&["evaluate"], &base[..], more].concat()).json();
        for time in ["seconds", "images_per_second"] {
            all.as_object_mut().unwrap().remove(time);
        }
        all
    };
    let default = evaluate(&[]);
    assert_eq!(default["draws"], 20);
    assert_eq!(evaluate(&["--seed", "0", "--draws", "20", "--threads", "1"]), default);
    let expected = |all: &serde_json::Value| all["expected_clean_accuracy"].as_f64().unwrap();
    let others = ["1", "2"].map(|seed| expected(&evaluate(&["--seed", seed])));
    assert!(others.iter().all(|&other| other != expected(&default)), "{others:?}");
    assert!(others.iter().all(|&other| (other - expected(&default)).abs() < 0.05), "{others:?}");
    let one = evaluate(&["--draws", "1"]);
    assert_eq!(one["clean_accuracy"], one["expected_clean_accuracy"]);

    // Under attack the clean accuracy is the same, and the expected one is said beside the robust one.
    let threat = ["--attack", "pgd:steps=3,draws=2", "--eps", "0.1"];
    let attacked = evaluate(&threat);
    assert_eq!(attacked["clean_accuracy"], default["clean_accuracy"]);
    let cell = &attacked["results"][0];
    let (robust, one) = (&cell["robust_accuracy"], &cell["expected_accuracy"]);
    assert!(robust.as_f64() < default["clean_accuracy"].as_f64(), "{cell}");
    assert!(one.as_f64().is_some_and(|share| share > 0.0 && share < 1.0), "{cell}");
    let alone = run(&[&["attack"], &base[..], &threat].concat()).json();
    for name in ["clean_accuracy", "expected_clean_accuracy", "draws"] {
        assert_eq!(alone[name], default[name], "{name}");
    }
    assert_eq!(&alone["robust_accuracy"], robust);
    for name in ["expected_accuracy", "expected_interval", "majority_accuracy", "majority_interval"]
    {
        assert_eq!(alone[name], cell[name], "{name}");
    }
    for kind in ["expected", "majority"] {
        let share = cell[format!("{kind}_accuracy")].as_f64().unwrap();
        let [low, high] = [0, 1].map(|end| cell[format!("{kind}_interval")][end].as_f64().unwrap());
        assert!(0.0 <= low && low < share && share < high && high <= 1.0, "{kind}: {cell}");
    }
    let table = run(&[&["evaluate"], &base[..6], &threat].concat()).stdout;
    assert!(
        table.contains("expected of one draw, ") && table.contains("by majority of"),
        "{table}"
    );
    let text = run(&[&["attack"], &base[..6], &threat].concat()).stdout;
    assert!(text.contains("judged by 20 draws an image"), "{text}");

    // Images made before are judged by the draws of the seed given.
    let saved = folder.path("crafted.npz").to_str().unwrap().to_owned();
    run(&[&["attack"], &base[..], &threat, &["--save", &saved]].concat()).json();
    let show = |seed: &str| {
        let model = ["--model", &model, "--model-kind", "snn", "--crafted", &saved];
        run(&[&["evaluate", "--json", "--seed", seed], &model[..]].concat()).json()
    };
    assert_eq!(show("0")["expected_clean_accuracy"], default["expected_clean_accuracy"]);
    assert_ne!(show("1")["expected_clean_accuracy"], default["expected_clean_accuracy"]);
}

#[test]
fn draws_are_refused_where_nothing_is_drawn() {
    let words = ["--draws", "same answer"];
    let more = ["--attack", "fgsm", "--eps", "0.1", "--images", "4", "--draws", "5"];
    for kind in ["cnn", "snn"] {
        let base = ["--model", FIXED, "--model-kind", kind];
        run(&[&["evaluate"], &base[..], &["--draws", "5"]].concat()).assert_fails(2, &words);
        run(&[&["evaluate"], &base[..], &more].concat()).assert_fails(2, &words);
        run(&[&["attack"], &base[..], &more].concat()).assert_fails(2, &words);
    }
    run(&["evaluate", "--model", FIXED, "--draws", "0"]).assert_fails(2, &["--draws"]);
    let report = run(&["evaluate", "--model", FIXED, "--images", "4", "--json"]).json();
    assert!(report.get("draws").is_none() && report.get("expected_clean_accuracy").is_none());
}

/// They judge the network that is tested; of a source they decide about few things, or nothing.
#[test]
fn draws_of_a_source_alone_are_told_what_they_are_for() {
    let folder = Folder::new();
    let source = poisson(&folder);
    let base = ["--model", FIXED, "--source", &source, "--source-kind", "snn", "--images", "4"];
    let draws = ["--eps", "0.1", "--draws", "3", "--attack"];
    for command in ["attack", "evaluate"] {
        let with = |attack| run(&[&[command], &base[..], &draws, &[attack]].concat());
        let all = if command == "attack" { "fgsm" } else { "fgsm:return=last" };
        with(all).assert_fails(2, &["--draws 3 would decide nothing", &source]);
        let square = with("square:queries=5");
        assert_eq!(square.code, Some(0), "{}", square.stderr);
        assert!(square.stderr.contains("note: --draws 3"), "{}", square.stderr);
    }
}

#[test]
fn a_seed_that_nothing_draws_from_is_refused() {
    let base = ["--model", FIXED, "--images", "4", "--eps", "0.1", "--seed", "5"];
    for command in ["attack", "evaluate"] {
        let with = |attack| run(&[&[command], &base[..], &["--attack", attack]].concat());
        with("fgsm").assert_fails(2, &["--seed 5 makes no difference"]);
        assert_eq!(with("pgd:steps=1").code, Some(0));
        with("apgd-t:targets=99").assert_fails(2, &["targets=99", "give 9 at most"]);
    }
    run(&["evaluate", "--model", FIXED, "--seed", "5"]).assert_fails(2, &["--seed"]);
}
