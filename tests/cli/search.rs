//! `reproduce --search`: one hypothesis for the whole paper, found again by whoever was interrupted.

use crate::reproduce::{killed_after, moments};
use crate::{Folder, as_options, read};
use std::fs;
use std::time::Instant;

/// Trainings of a second, on few images.
const TINY: &str = "--images 32 control.epochs=1 slow_wave.initial_rate=0.1 slow_wave.batches=2 fast_wave.epochs=1 \
    fast_wave.spiking.steps=3 adversarial_training.epochs=1 distillation.student_epochs=1 \
    sleep.steps=10 sleep.passes=1";

/// Two recipes of the control, scored by few methods.
const SEARCH: &str = "seeds = 2\nfinalists = 1\nfinal_seeds = 2\nrounds = 1\n\
    skip = ['Adversarial Train', 'Defense Distillation', 'Sleep Defense', 'DeepSleep', 'DeepSleep (without noise)', \
    'DeepSleep (depth=3)', 'DeepSleep (length=2)', 'DeepSleep (cycles=2)']\n\
    [[axis]]\nsetting = 'control.epochs'\nvalues = ['1', '2']\n";

#[test]
fn a_search_that_was_killed_ends_in_the_same_bytes() {
    let folder = Folder::new();
    let data = folder.small_data(384, 40);
    let file = folder.argument("search.toml");
    fs::write(&file, SEARCH).unwrap();
    let command = |out: &str| {
        let fixed = ["reproduce", "--search", &file, "--data-dir", &data, "--out", out, "--quiet"];
        [&fixed[..], &as_options(TINY), &["--threads", "2"]]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let run = |out: &str| {
        let command = command(out);
        crate::run(&command.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let [whole, killed] = ["whole", "killed"].map(|name| folder.argument(name));
    let start = Instant::now();
    let done = run(&whole);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let time = start.elapsed();
    let found: serde_json::Value =
        serde_json::from_slice(&read(folder.path("whole/search.json"))).unwrap();
    // The start, and another recipe; the start is the value that it has.
    let log = found["log"].as_array().unwrap();
    assert_eq!(log.len(), 2, "{log:?}");
    assert_eq!((&log[0]["round"], &log[1]["value"]), (&0.into(), &"2".into()));
    // Control, slow-wave and fast-wave only, six columns each; clean images, BIM and CW of Table 2's control are Table 1's.
    assert_eq!(log[0]["score"]["cells"], 18);
    // The start is a finalist, whatever came out.
    let finalists = found["finalists"].as_array().unwrap();
    assert!(finalists.iter().any(|f| f["hypothesis"].as_object().unwrap().is_empty()), "{found}");
    assert!(finalists.iter().all(|f| f["cells"] == 204), "{finalists:?}");
    let report = String::from_utf8(read(folder.path("whole/report.md"))).unwrap();
    assert!(report.contains("## One hypothesis for the whole paper"), "{report}");

    let arguments = command(&killed);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for moment in moments(time, 0).into_iter().skip(3).step_by(4) {
        killed_after(&arguments, moment);
    }
    let done = run(&killed);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for name in ["search.json", "results.json"] {
        assert!(
            read(folder.path("killed").join(name)) == read(folder.path("whole").join(name)),
            "{name}"
        );
    }
}

/// A learning rate at which nothing is learned but infinity would have ended the search for good.
#[test]
fn a_value_whose_training_diverges_is_passed_over() {
    let folder = Folder::new();
    let data = folder.small_data(384, 40);
    let file = folder.argument("search.toml");
    let axis = "[[axis]]\nsetting = 'control.learning_rate'\nvalues = ['1e30', '0.05']\n";
    let more = SEARCH.split_once("[[axis]]").unwrap().0;
    fs::write(&file, format!("{more}{axis}")).unwrap();
    let command = |out: &str| {
        let fixed = ["reproduce", "--search", &file, "--data-dir", &data, "--out", out, "--quiet"];
        [&fixed[..], &as_options(TINY), &["--threads", "2"]]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let [whole, killed] = ["whole", "killed"].map(|name| folder.argument(name));
    let run = |out: &str| {
        let command = command(out);
        crate::run(&command.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let start = Instant::now();
    let done = run(&whole);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let time = start.elapsed();
    let why = "train control, seed 0: training, epoch 1";
    assert!(
        done.stdout.contains("passed over: `control.learning_rate` = 1e30: "),
        "{}",
        done.stdout
    );
    let found: serde_json::Value =
        serde_json::from_slice(&read(folder.path("whole/search.json"))).unwrap();
    // The other value is tried.
    let log = found["log"].as_array().unwrap();
    assert_eq!((log.len(), &log[1]["value"]), (2, &"0.05".into()), "{log:?}");
    let passed = found["passed_over"].as_array().unwrap();
    assert_eq!(passed.len(), 1, "{passed:?}");
    assert_eq!(passed[0]["hypothesis"]["control.learning_rate"], "1e30");
    assert!(passed[0]["why"].as_str().unwrap().starts_with(why), "{passed:?}");
    for page in ["report.md", "index.html"] {
        let page = String::from_utf8(read(folder.path("whole").join(page))).unwrap();
        assert!(page.contains("Passed over: values that cannot be together"), "{page}");
        assert_eq!(page.matches("learning rate usually helps").count(), 1, "{page}");
    }
    let arguments = command(&killed);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for moment in moments(time, 1).into_iter().skip(5).take(1) {
        killed_after(&arguments, moment);
    }
    let done = run(&killed);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(read(folder.path("killed/search.json")) == read(folder.path("whole/search.json")));
}

#[test]
fn a_search_says_what_there_is_to_do_and_what_it_cannot() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
    let file = folder.argument("search.toml");
    let run = |text: &str, more: &[&str]| {
        fs::write(&file, text).unwrap();
        let fixed =
            ["reproduce", "--search", &file, "--data-dir", &data, "--out", &out, "--dry-run"];
        crate::run(&[&fixed[..], &as_options(TINY), more].concat())
    };
    let plan = run(SEARCH, &["--json"]).json();
    assert_eq!((&plan[0]["hypotheses"], &plan[1]["hypotheses"]), (&2.into(), &2.into()));
    assert!(plan[0]["estimated_seconds"].as_f64().unwrap() > 0.0);
    for (from, to, words) in [
        ("seeds = 2\nfinalists", "seeds = 1\nfinalists", "`seeds` is 1"),
        ("'DeepSleep',", "'Deep',", "`skip` names `Deep`"),
        ("control.epochs", "control.epoch", "control.epochs"),
        ("control.epochs", "sleep.steps", "which no row here reads"),
        ("['1', '2']", "['2', '2']", "which are the same"),
    ] {
        run(&SEARCH.replace(from, to), &[]).assert_fails(1, &["search.toml", words]);
    }
    // What switches an axis off is named.
    let dreams = SEARCH.replace("control.epochs", "fast_wave.dream.source");
    let without = ["--set", "fast_wave.dream.ratio=0"];
    run(&dreams.replace("['1', '2']", "['live']"), &without).assert_fails(
        1,
        &[
            "over `fast_wave.dream.source`",
            "while `fast_wave.dream.ratio` is 0: change that, or leave",
        ],
    );
    run(SEARCH, &["--seeds", "3"]).assert_fails(2, &["--seeds"]);
    run(SEARCH, &["--set", "lucid.patches=2"]).assert_fails(2, &["no model that was asked for"]);
    run(SEARCH, &["--set", "seed=3"])
        .assert_fails(2, &["`seeds` and `final_seeds` in", "search.toml"]);
    assert!(!folder.path("out").exists());
}

#[test]
fn the_search_that_comes_with_the_sources_can_be_run() {
    let (folder, search) = (Folder::new(), "experiments/search.toml");
    let out = folder.argument("out");
    let plan = crate::run(&["reproduce", "--search", search, "--dry-run", "--out", &out]);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert!(plan.stdout.contains("hypotheses with 10 seeds"), "{}", plan.stdout);
}
