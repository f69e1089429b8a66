//! `evaluate`.

use crate::{Folder, read, run};
use deepsleep::checkpoint::StateDict;
use deepsleep::nn::{Model, Network};

/// Trained by PyTorch.
const PYTORCH: &str = "tests/golden/lenet_weights.safetensors";

#[test]
fn a_network_from_pytorch_scores_what_it_scores_there() {
    let all = run(&["evaluate", "--model", PYTORCH, "--json"]).json();
    let correct = all["correct"].as_u64().unwrap();
    assert!((9896..=9898).contains(&correct), "{correct} instead of 9897 of 10000");
    assert_eq!(all["images"], 10_000);
    assert_eq!(all["clean_accuracy"].as_f64(), Some(correct as f64 / 10_000.0));
    assert!(all["images_per_second"].as_f64().unwrap() > 0.0);

    // Parts of it add up, whatever their size.
    let part = |first: &str, images: &[&str]| {
        let part = [&["evaluate", "--json", "--model", PYTORCH, "--first", first][..], images];
        run(&part.concat()).json()["correct"].as_u64().unwrap()
    };
    let parts = part("0", &["--images", "2049"]) + part("2049", &["--images", "7950"]);
    assert_eq!(parts + part("9999", &[]), correct);
    let text = run(&["evaluate", "--model", PYTORCH, "--images", "100"]).stdout;
    assert!(text.starts_with("clean accuracy ") && text.contains("of 100 images"), "{text}");
}

#[test]
fn images_that_are_not_there_are_refused() {
    for (first, images, words) in [
        ("10000", "1", &["--first 10000", "10000 test images"][..]),
        ("18446744073709551615", "1", &["--first", "10000 test images"]),
        ("9999", "2", &["--images 2", "1 test images"]),
        ("0", "10001", &["--images 10001", "10000 test images"]),
    ] {
        run(&["evaluate", "--model", PYTORCH, "--first", first, "--images", images])
            .assert_fails(2, words);
    }
}

#[test]
fn what_is_no_network_fails_in_a_line_that_names_it() {
    let folder = Folder::new();
    let whole = read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(PYTORCH));
    let other = |change: &dyn Fn(&mut StateDict)| {
        let mut state = Model::lenet(0).state();
        change(&mut state);
        state.to_bytes().unwrap()
    };
    let nan = other(&|state| {
        let mut values = vec![0.5; 3200];
        values[7] = f32::NAN;
        state.insert("fc.weight", vec![10, 320], values).unwrap();
    });
    let huge = other(&|state| {
        state.insert("fc.weight", vec![10, 320], vec![1e38; 3200]).unwrap();
    });
    let shape = other(&|state| state.insert("fc.weight", vec![2, 3], vec![0.0; 6]).unwrap());
    let mut lacking = StateDict::default();
    lacking.insert("weight", vec![1], vec![0.0]).unwrap();
    for (name, content, words) in [
        ("truncated", &whole[..whole.len() - 1], &["not a readable safetensors file"][..]),
        ("header-only", &whole[..100], &["not a readable safetensors file"]),
        ("empty", &[][..], &["not a readable safetensors file"]),
        ("noise", &[0xff; 1000][..], &["not a readable safetensors file"]),
        ("nan", &nan, &["fc.weight", "NaN at position 7"]),
        ("shape", &shape, &["fc.weight", "[2, 3]", "[10, 320]"]),
        ("lacking", &lacking.to_bytes().unwrap(), &["has no `conv1.weight`"]),
    ] {
        std::fs::write(folder.path(name), content).unwrap();
        let run = run(&["evaluate", "--model", &folder.argument(name)]);
        run.assert_fails(1, &[words, &[name]].concat());
    }
    std::fs::write(folder.path("huge"), &huge).unwrap();
    let images = ["--images", "20"];
    run(&[&["evaluate", "--model", &folder.argument("huge")][..], &images].concat())
        .assert_incomplete(&["huge", "not finite for 20 of 20"]);
    let run = run(&["evaluate", "--model", &folder.argument("missing")]);
    run.assert_fails(1, &["missing: cannot read: No such file"]);
    let once = run.stderr.matches("No such file").count();
    assert_eq!(once, 1, "said twice: {}", run.stderr);
}

/// Images beyond the radius that a set notes count apart; the command says so, and fails unless told how to count them.
#[test]
fn crafted_images_outside_of_the_ball_are_no_robustness() {
    use deepsleep::checkpoint::{Npz, NpzArray};
    let folder = Folder::new();
    let (set, rounded) = (folder.argument("set.npz"), folder.argument("rounded.npz"));
    let craft = ["--attack", "pgd:return=last", "--eps", "0.1", "--images", "20", "--save", &set];
    assert_eq!(run(&[&["attack", "--model", PYTORCH][..], &craft].concat()).code, Some(0));
    let show = |set: &str, more: &[&str]| {
        run(&[&["evaluate", "--model", PYTORCH, "--crafted", set, "--json"][..], more].concat())
    };
    let before = show(&set, &[]).json();
    assert_eq!(before["results"][0]["outside"], 0);
    let robust = before["results"][0]["robust_accuracy"].as_f64().unwrap();
    assert!(robust < 0.8, "{robust}");

    // A trip through 8 bits moves most pixels beyond 0.1, by up to half a step.
    let mut npz = Npz::load(&set).unwrap();
    let Some(NpzArray::Floats(images)) = npz.get("adversarial") else { panic!("no images") };
    let values: Vec<f32> = images.iter().map(|v| (v * 255.0).round_ties_even() / 255.0).collect();
    npz.floats("adversarial", &[20, 1, 28, 28], values).unwrap();
    npz.save(&rounded).unwrap();
    let apart = show(&rounded, &[]);
    assert_eq!(apart.code, Some(1));
    assert!(apart.stderr.contains("20 of 20 images lie outside"), "{}", apart.stderr);
    assert!(apart.stderr.contains("--allow-outside"), "{}", apart.stderr);
    let result: serde_json::Value = serde_json::from_str(&apart.stdout).unwrap();
    let cell = &result["results"][0];
    assert_eq!((&cell["outside"], &cell["robust_accuracy"]), (&20.into(), &0.0.into()));
    assert_eq!(cell["outside_indices"].as_array().unwrap().len(), 20);
    assert_eq!(result["clean_accuracy"], before["clean_accuracy"]);
    let text = run(&["evaluate", "--model", PYTORCH, "--crafted", &rounded]).stdout;
    assert!(text.contains("20 of the images lie outside"), "{text}");

    let counted = show(&rounded, &["--allow-outside"]).json();
    assert_eq!(counted["results"][0]["robust_accuracy"], robust);
    assert_eq!(counted["worst_case"][0]["robust_accuracy"], robust);
    assert!(counted["results"][0]["warnings"].to_string().contains("answer alone"));
    run(&["evaluate", "--model", PYTORCH, "--allow-outside"]).assert_fails(2, &["--crafted"]);

    // What does not fit the network is the file's fault.
    npz.integers("labels", vec![10; 20]);
    npz.save(&rounded).unwrap();
    show(&rounded, &[]).assert_fails(1, &[&rounded, "label 10 is not below"]);
}

/// Notes of other programs in a set are not printed as lines of ours.
#[test]
fn words_of_a_crafted_set_stay_on_their_line() {
    use deepsleep::checkpoint::{Npz, NpzArray};
    let folder = Folder::new();
    let set = folder.argument("set.npz");
    let craft = ["--attack", "fgsm", "--eps", "0.1", "--images", "20", "--save", &set];
    assert_eq!(run(&[&["attack", "--model", PYTORCH][..], &craft].concat()).code, Some(0));
    let mut npz = Npz::load(&set).unwrap();
    let Some(NpzArray::Bytes(notes)) = npz.get("notes") else { panic!("no notes") };
    let notes: Vec<u8> = notes.iter().copied().collect();
    let mut notes: serde_json::Value = serde_json::from_slice(&notes).unwrap();
    notes["diagnostics"]["option_warnings"] = serde_json::json!(["odd\nworst case 99 %"]);
    npz.text("notes", &notes.to_string());
    npz.save(&set).unwrap();
    let text = run(&["evaluate", "--model", PYTORCH, "--crafted", &set]).stdout;
    assert!(text.contains("odd\\nworst case 99 %"), "{text}");
}

/// At a radius that no attack ran at, a set's accuracy is a bound, and the result itself says so.
#[test]
fn a_larger_ball_than_the_set_was_crafted_in_is_no_attack() {
    let folder = Folder::new();
    let set = folder.argument("set.npz");
    let craft = ["--attack", "fgsm", "--eps", "0.1", "--images", "20", "--save", &set];
    assert_eq!(run(&[&["attack", "--model", PYTORCH][..], &craft].concat()).code, Some(0));
    let show = ["evaluate", "--model", PYTORCH, "--crafted", &set];
    for (ball, words) in [
        (&["--eps", "0.1"][..], None),
        (&["--eps", "0.2"], Some("no attack was run in linf, eps 0.2")),
        (&["--norm", "l2", "--eps", "5"], Some("no attack was run in l2, eps 5")),
    ] {
        let arguments = [&show[..], ball].concat();
        let result = run(&[&arguments[..], &["--json"]].concat()).json();
        let (json, text) = (result["results"][0]["warnings"].to_string(), run(&arguments).stdout);
        for said in [&json, &text] {
            match words {
                Some(words) => {
                    assert!(said.contains("crafted in linf, eps 0.1"), "{ball:?}: {said}");
                    assert!(said.contains(words) && said.contains("at most"), "{ball:?}: {said}");
                }
                None => assert!(!said.contains("no attack was run"), "{ball:?}: {said}"),
            }
        }
        assert_eq!(result["results"][0]["threat_model"], "white-box");
    }
}

#[test]
fn certificates_lie_below_what_attacks_leave() {
    const ROBUST: &str = "tests/golden/lenet_robust.safetensors";
    let evaluate = |more: &[&str]| {
        let common = ["evaluate", "--model", ROBUST, "--images", "40", "--certify", "--json"];
        run(&[&common[..], more].concat())
    };
    let both = evaluate(&["--attack", "pgd:steps=10", "--eps", "0.005,0.02"]).json();
    let certified = both["certified"].as_array().unwrap();
    assert_eq!(certified.len(), 2);
    for (certified, cell) in certified.iter().zip(both["results"].as_array().unwrap()) {
        assert_eq!((&certified["eps"], &certified["norm"]), (&cell["eps"], &cell["norm"]));
        let ids = |value: &serde_json::Value| -> Vec<u64> {
            value.as_array().unwrap().iter().filter_map(serde_json::Value::as_u64).collect()
        };
        let robust = ids(&cell["robust_indices"]);
        let sure = ids(&certified["certified_indices"]);
        assert!(sure.iter().all(|id| robust.contains(id)));
        assert_eq!(certified["margins"].as_array().unwrap().len(), 40);
        let share = certified["certified_accuracy"].as_f64().unwrap();
        assert!((share - sure.len() as f64 / 40.0).abs() < 1e-12);
    }
    assert!(certified[0]["certified_accuracy"].as_f64().unwrap() > 0.5, "{}", certified[0]);
    // Without an attack they are the same.
    let mut alone = evaluate(&["--eps", "0.005"]).json()["certified"][0].take();
    let mut first = certified[0].clone();
    (alone["seconds"], first["seconds"]) = (0.into(), 0.into());
    assert_eq!(alone, first);
    evaluate(&[]).assert_fails(2, &["--eps"]);
    evaluate(&["--eps", "0.1", "--model-kind", "snn"]).assert_fails(2, &["--certify", "snn"]);
    evaluate(&["--eps", "0.1", "--norm", "l2"]).assert_fails(2, &["--certify", "linf"]);
}

#[test]
fn linear_bounds_certify_more_than_intervals() {
    const ROBUST: &str = "tests/golden/lenet_robust.safetensors";
    let evaluate = |certify: &str, more: &[&str]| {
        let common = ["evaluate", "--model", ROBUST, "--images", "12", certify, "--eps", "0.02"];
        run(&[&common[..], more].concat())
    };
    let certified = |certify: &str| -> serde_json::Value {
        let mut certified = evaluate(certify, &["--json"]).json()["certified"][0].take();
        certified["seconds"] = 0.into();
        certified
    };
    let (plain, interval) = (certified("--certify"), certified("--certify=interval"));
    assert_eq!(plain, interval);
    assert_eq!(plain["bounds"], "interval");
    let crown = certified("--certify=CROWN");
    assert_eq!(crown["bounds"], "crown");
    let margins = |of: &serde_json::Value| -> Vec<f64> {
        of["margins"].as_array().unwrap().iter().map(|m| m.as_f64().unwrap()).collect()
    };
    let pairs: Vec<_> = margins(&crown).into_iter().zip(margins(&interval)).collect();
    assert!(pairs.iter().all(|(crown, interval)| crown > interval), "{pairs:?}");
    let said = evaluate("--certify=crown", &[]);
    assert!(said.stdout.contains("certified at eps 0.02 by CROWN: "), "{}", said.stdout);
    assert!(!evaluate("--certify", &[]).stdout.contains("CROWN"));
    evaluate("--certify=spam", &[]).assert_fails(2, &["--certify", "interval", "crown"]);
}
