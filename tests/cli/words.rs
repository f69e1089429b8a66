//! What is said: numbers as people write them, advice that helps, names in any spelling, doubts in every command.

use crate::{Folder, Run, cli, run};
use deepsleep::checkpoint::StateDict;

const ROBUST: &str = "tests/golden/lenet_robust.safetensors";
const PLAIN: &str = "tests/golden/lenet_weights.safetensors";

#[test]
fn radii_are_shown_as_they_are_written() {
    let base = ["evaluate", "--model", ROBUST, "--images", "8", "--attack", "fgsm"];
    let text = run(&[&base[..], &["--eps", "64/255,0.00001,0.1,2/255"]].concat()).stdout;
    for eps in ["  64/255 ", " 0.00001 ", "   0.1 ", "  2/255 "] {
        assert_eq!(text.matches(eps).count(), 2, "a cell and a worst case of {eps}: {text}");
    }
    let base = ["attack", "--model", PLAIN, "--images", "8", "--attack", "pgd:steps=3", "--eps"];
    let text = run(&[&base[..], &["0.00001"]].concat()).stdout;
    assert!(text.contains("eps 0.00001)"), "{text}");
}

#[test]
fn a_radius_that_is_none_is_spoken_of_as_a_radius() {
    for (eps, words) in [
        ("-0.1", &["`-0.1` is not a radius in (0, 1]"][..]),
        ("-1/255", &["`-1/255` is not a radius in (0, 1]"]),
        ("8", &["`8` is not a radius", "8/255"]),
        ("2,16", &["`2`", "2/255"]),
    ] {
        for command in ["attack", "evaluate"] {
            let base = [command, "--model", PLAIN, "--attack", "fgsm", "--eps", eps];
            run(&base).assert_fails(2, words);
        }
    }
    for eps in ["64/255", "0.5", "1.9", "0", "785"] {
        let base = ["attack", "--model", PLAIN, "--attack", "pgd", "--norm", "l0", "--eps", eps];
        run(&base).assert_fails(2, &["is not a number of values to change, 1 to 784"]);
    }
    run(&["train", "--lr", "-0.1"]).assert_fails(2, &["'-0.1'", "--lr", "above 0"]);
    run(&["train", "--seed", "-1"]).assert_fails(2, &["'-1'", "--seed"]);
}

#[test]
fn names_are_known_in_capitals() {
    let base = ["attack", "--model", ROBUST, "--images", "4", "--eps", "0.1", "--json"];
    let small = ["--attack", "pgd:steps=3", "--norm", "linf", "--model-kind", "snn"];
    let large = ["--attack", "PGD:Steps=3", "--norm", "Linf", "--model-kind", "SNN"];
    let [small, large] = [small, large].map(|more| run(&[&base[..], &more].concat()).json());
    assert_eq!((&small["attack"], &small["fooled"]), (&large["attack"], &large["fooled"]));
    let plain = ["evaluate", "--model", PLAIN, "--images", "4", "--dataset", "MNIST"];
    assert_eq!(run(&plain).code, Some(0));
    let printed = run(&["train", "--print-config", "--profile", "Standard"]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
}

#[test]
fn an_attack_has_the_doubts_of_an_evaluation() {
    for attack in ["deepfool", "cw:steps=20"] {
        let base = ["--model", PLAIN, "--images", "24", "--attack", attack, "--eps", "0.05"];
        let evaluated = run(&[&["evaluate", "--json"], &base[..]].concat()).json();
        let attacked = run(&[&["attack", "--json"], &base[..]].concat()).json();
        assert_eq!(attacked["warnings"], evaluated["results"][0]["warnings"], "{attack}");
        let within = &attacked["robust_accuracy_within_eps"];
        assert_eq!(within, &evaluated["worst_case"][0]["robust_accuracy"], "{attack}");
        let text = run(&[&["attack"], &base[..]].concat()).stdout;
        for words in ["counting only images within eps 0.05", "does not bound this attack"] {
            assert!(text.contains(words), "{attack}: {text}");
        }
    }
}

#[test]
fn images_shown_to_their_maker_are_white_box_and_say_their_attack() {
    let folder = Folder::new();
    let (set, copy) = (folder.argument("set.npz"), folder.argument("copy"));
    let attack = ["attack", "--attack", "pgd:steps=7", "--eps", "0.1", "--images", "4"];
    let made = run(&[&attack[..], &["--model", PLAIN, "--save", &set]].concat());
    assert!(made.stderr.contains("wrote"), "{}", made.stderr);
    // The network is known by what it is, not by its name.
    std::fs::copy(PLAIN, &copy).unwrap();
    for (model, kind, threat) in [
        (PLAIN, "cnn", "white-box"),
        (&copy, "cnn", "white-box"),
        (PLAIN, "snn", "transfer"),
        (ROBUST, "cnn", "transfer"),
    ] {
        let show = ["evaluate", "--crafted", &set, "--model", model, "--model-kind", kind];
        let shown = run(&[&show[..], &["--json"]].concat()).json();
        let cell = &shown["results"][0];
        assert_eq!(
            (&cell["threat_model"], &cell["attack"]),
            (&threat.into(), &"pgd:steps=7".into())
        );
        assert_eq!(shown["dataset"], "mnist");
    }
}

/// Logits of 1e37 are numbers, and so are the steps that Carlini and Wagner's attack takes from them.
#[test]
fn large_logits_are_no_overflow_of_the_model() {
    let folder = Folder::new();
    let mut state = StateDict::load(PLAIN).unwrap();
    let fc = state.get("fc.weight").unwrap().clone();
    let values = fc.values.iter().map(|v| v * 1e36).collect();
    state.insert("fc.weight", fc.shape, values).unwrap();
    let model = folder.argument("model");
    state.save(&model).unwrap();
    let attack = ["attack", "--model", &model, "--images", "8", "--eps", "0.5", "--json"];
    let done = run(&[&attack[..], &["--attack", "cw:steps=300,search=1"]].concat()).json();
    assert_eq!((&done["invalid"], &done["clean_wrong"]), (&0.into(), &0.into()), "{done}");
    assert!(done["fooled"].as_u64().unwrap() > 0, "{done}");
}

#[test]
fn zero_gradients_met_on_the_way_are_explained() {
    let base = ["attack", "--model", PLAIN, "--images", "16", "--norm", "l1", "--eps", "10"];
    let warnings = run(&[&base[..], &["--attack", "apgd-dlr", "--json"]].concat()).json();
    let warnings = warnings["warnings"].to_string();
    assert!(warnings.contains("flat where two classes are ahead"), "{warnings}");
    assert!(warnings.contains("apgd-ce") && !warnings.contains("saturate"), "{warnings}");
}

#[test]
fn a_long_description_of_an_attack_is_a_line() {
    for digits in ["0".repeat(70_000) + "5", "9".repeat(70_000)] {
        let attack = format!("pgd:steps={digits}");
        let base =
            ["evaluate", "--model", PLAIN, "--images", "2", "--eps", "0.1", "--attack", &attack];
        let run = run(&base);
        run.assert_fails(2, &["bytes; an attack has 1000 at most"]);
        assert!(run.stderr.len() < 300);
    }
}

#[test]
fn threads_have_a_measure() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let threads = |run: Run| run.json()["threads"].as_u64().unwrap() as usize;
    let variable = Run::of(cli(&["info", "--json"]).env("RAYON_NUM_THREADS", "3000"));
    assert_eq!(threads(variable), cores);
    let many = run(&["info", "--json", "--threads", "1024"]);
    if cores < 128 {
        assert!(many.stderr.contains("note: --threads 1024"), "{}", many.stderr);
        assert_eq!(threads(many), (8 * cores).max(64));
    }
}

#[test]
fn settings_say_what_they_take() {
    for (setting, words) in [
        ("slow_wave.depth=abc", "it takes a whole number"),
        ("fast_wave.learning_rate=fast", "it takes a number"),
        ("slow_wave.rescale=7", "it takes true or false"),
        ("slow_wave=1", "it is a group of settings: batch_size"),
        ("slow_wave.plasticity=parr", "it takes `published` or `pair`"),
    ] {
        let run = run(&["train", "--print-config", "--set", setting]);
        run.assert_fails(2, &[words]);
        for jargon in ["invalid type", "u64", "struct", "variant"] {
            assert!(!run.stderr.contains(jargon), "{}", run.stderr);
        }
    }
}

#[test]
fn what_is_asked_for_beyond_what_there_is_is_refused() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(40, 8), folder.argument("out"));
    let train = ["train", "--data-dir", &data, "--out", &out, "--batch-size", "8"];
    run(&[&train[..], &["--limit-train", "41"]].concat())
        .assert_fails(2, &["--limit-train 41", "40 training images"]);
    run(&["inspect", PLAIN, "--data-dir", &data, "--images", "9"])
        .assert_fails(2, &["--images 9", "8 test images"]);
    let picture = folder.argument("a.png");
    for option in ["--filters", "--raster"] {
        run(&["inspect", PLAIN, option, &picture]).assert_fails(2, &[option, "must end in .svg"]);
    }
    assert!(!folder.path("out").exists() && !folder.path("a.png").exists());
}

#[test]
fn torchvisions_folder_is_a_folder_of_data_sets() {
    let [folder, root] = [Folder::new(), Folder::new()];
    folder.small_data(8, 4);
    std::fs::create_dir_all(root.path("MNIST")).unwrap();
    std::fs::rename(folder.path(""), root.path("MNIST/raw")).unwrap();
    let evaluate = ["evaluate", "--model", PLAIN, "--data-dir", &root.argument(""), "--json"];
    assert_eq!(run(&evaluate).json()["images"], 4);
    std::fs::create_dir(folder.path("")).unwrap();
}
