//! What cannot be done is refused before any work, by the name of what asked for it.

use crate::{Folder, Run, run};
use std::fs;

const HEAD: &str = "scales = ['64/255']\ncolumns = ['clean']\n";

/// A row of a sheet.
fn row(id: &str, more: &str) -> String {
    format!("[[method]]\nlabel = 'A row'\nid = '{id}'\n{more}\n")
}

/// `reproduce` by a file, on few images.
struct Asked {
    folder: Folder,
    data: String,
    out: String,
}

impl Asked {
    fn new() -> Self {
        let folder = Folder::new();
        let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
        Self { folder, data, out }
    }

    fn by(&self, option: &str, text: &str, more: &[&str]) -> Run {
        let file = self.folder.argument("asked.toml");
        fs::write(&file, text).unwrap();
        let fixed = ["reproduce", option, &file, "--data-dir", &self.data, "--out", &self.out];
        run(&[&fixed[..], more].concat())
    }
}

/// A table has a row without noise, whatever the dreams of the others are.
#[test]
fn dreams_of_nothing_are_possible_in_all_tables() {
    let asked = Asked::new();
    for setting in ["fast_wave.dream.ratio=0", "fast_wave.dream.eps=0"] {
        let fixed = ["reproduce", "--dry-run", "--data-dir", &asked.data, "--out", &asked.out];
        let plan = run(&[&fixed[..], &["--set", setting]].concat());
        assert_eq!(plan.code, Some(0), "{setting}: {}", plan.stderr);
    }
    let sweep = format!(
        "all = true\nseeds = 1\n{HEAD}{}[[axis]]\nsetting = 'fast_wave.dream.ratio'\nvalues = ['0', '0.5']\n\
         [[axis]]\nsetting = 'fast_wave.dream.eps'\nvalues = ['0', '0.5']\n",
        row("deepsleep", "defense = 'deepsleep'").replace("A row", "DeepSleep")
    );
    let plan = asked.by("--sweep", &sweep, &["--dry-run"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
}

/// A training would have come to it after hours of earlier stages.
#[test]
fn a_defense_knows_its_images_before_its_first_stage() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
    let from = "tests/golden/lenet_weights.safetensors";
    for (defense, setting, words) in [
        ("deepsleep", "fast_wave.augmentation.shift=28", "shift of up to 28 pixels"),
        ("distillation", "distillation.augmentation.shift=28", "shift of up to 28 pixels"),
        ("deepsleep", "fast_wave.batch_size=385", "384 images do not fill one batch of 385"),
        ("slow-wave", "slow_wave.batch_size=385", "384 images do not fill one batch of 385"),
        ("lucid", "adversarial_training.batch_size=385", "384 images do not fill one batch"),
    ] {
        let profile = if defense == "lucid" { "lucid" } else { "published" };
        let fixed = ["train", "--from", from, "--data-dir", &data, "--out", &out];
        let asked = ["--defense", defense, "--profile", profile, "--set", setting];
        let run = run(&[&fixed[..], &asked].concat());
        run.assert_fails(2, &[words, setting.split_once('=').unwrap().0]);
        assert!(!run.stderr.contains("slow-wave sleep 1/"), "{}", run.stderr);
    }
    assert!(!folder.path("out").exists());
}

/// A network without such layers is the same whatever they are set to.
#[test]
fn settings_of_layers_that_a_network_has_none_of_are_refused() {
    let asked = Asked::new();
    let mlp = asked.folder.argument("mlp.safetensors");
    let fixed = ["--architecture", "mlp", "--data-dir", &asked.data];
    let control = run(&[&["train", "--epochs", "1", "--out", &mlp], &fixed[..]].concat());
    assert_eq!(control.code, Some(0), "{}", control.stderr);
    for (setting, lacking) in [
        ("conversion=carry", "no batch normalization"),
        ("slow_wave.learning_rate=0.1", "no convolution"),
        ("slow_wave.rescale=true", "no convolution"),
    ] {
        let how = ["train", "--defense", "deepsleep", "--from", &mlp, "--out", &asked.out];
        let data = ["--data-dir", &asked.data, "--set", setting];
        run(&[&how[..], &data].concat()).assert_fails(2, &[setting, lacking]);
        let how = ["reproduce", "--dry-run", "--out", &asked.out, "--set", setting];
        run(&[&how[..], &fixed].concat()).assert_fails(2, &[setting, "changes nothing"]);
    }
}

#[test]
fn batches_of_more_images_than_there_are_are_refused_before_any_training() {
    let asked = Asked::new();
    let sheet = format!(
        "{HEAD}[set]\n'slow_wave.batch_size' = '385'\n{}",
        row("sleeper", "defense = 'slow-wave'")
    );
    let sweep = format!(
        "all = false\nseeds = 1\n{HEAD}{}[[axis]]\nsetting = 'control.batch_size'\nvalues = ['385']\n",
        row("control", "defense = 'none'").replace("A row", "Control")
    );
    let search = "seeds = 2\nfinalists = 1\nfinal_seeds = 2\nrounds = 1\n\
        [[axis]]\nsetting = 'control.batch_size'\nvalues = ['32', '385']\n";
    for (option, text, words) in [
        ("--sheet", sheet.as_str(), "train sleeper, seed 0"),
        ("--sweep", &sweep, "train control of control control.batch_size=385, seed 0"),
        ("--search", search, "train control, seed 0"),
    ] {
        let refused = asked.by(option, text, &[]);
        refused.assert_fails(1, &["asked.toml", words, "384 images do not fill one batch of 385"]);
        // A look at what there is to do needs few images, and trains nothing.
        let plan = asked.by(option, text, &["--dry-run"]);
        assert_eq!(plan.code, Some(0), "{}", plan.stderr);
        // Nor is the folder another request's.
        assert!(!asked.folder.path("out").exists());
    }
}

#[test]
fn a_refusal_leaves_nothing_that_was_not_there() {
    let asked = Asked::new();
    let sheet = format!("{HEAD}{}", row("row", "defense = 'none'"));
    let out = asked.folder.path("out");
    let refused = |code: i32, words: &str| {
        let before = asked.folder.names("out");
        asked.by("--sheet", &sheet, &["--quiet"]).assert_fails(code, &[words]);
        assert_eq!(asked.folder.names("out"), before);
    };
    // A place that cannot be written to at the end, and a file of the user's.
    fs::create_dir_all(out.join("results.json")).unwrap();
    refused(1, "results.json");
    fs::remove_dir(out.join("results.json")).unwrap();
    fs::write(out.join("results.csv"), "mine").unwrap();
    refused(2, "it would be replaced");
    fs::remove_file(out.join("results.csv")).unwrap();
    // What is in the way of the lock.
    fs::create_dir(out.join("lock")).unwrap();
    refused(1, "lock");
    fs::remove_dir(out.join("lock")).unwrap();
    let store = asked.folder.argument("out/store");
    fs::write(&store, "mine").unwrap();
    refused(1, "store");
    fs::remove_file(&store).unwrap();
    // What the images or the machine do not allow, with folders that are not there yet.
    fs::remove_dir(&out).unwrap();
    let large = sheet.replace("[[method]]", "[set]\n'control.batch_size' = '385'\n[[method]]");
    let deep = Asked { out: asked.folder.argument("out/of/reach"), ..asked };
    deep.by("--sheet", &large, &["--quiet"]).assert_fails(1, &["do not fill one batch of 385"]);
    assert!(!out.exists());
}

#[test]
fn what_is_wrong_with_a_row_is_told_by_its_name() {
    let asked = Asked::new();
    for (defense, set, words) in [
        ("slow-wave", "'conversion' = 'carryy'", "does not take `carryy`"),
        ("slow-wave", "'slow_wave.depth' = '9'", "depth 9"),
        ("fast-wave", "'fast_wave.statistics' = 'recalibrate'", "it takes reset or carry"),
        ("fast-wave", "'fast_wave.dreams' = '1'", "did you mean `fast_wave.dream`?"),
        ("fast-wave", "'slow_wave.depth' = '2'", "reads no such setting"),
        ("fast-wave", "'fast_wave.augmentation.shift' = '28'", "shift of up to 28"),
        ("none", "'control.augmentation.shift' = '28'", "shift of up to 28"),
    ] {
        let bad = row("bad", &format!("defense = '{defense}'\nset = {{ {set} }}"));
        let sheet = format!("{HEAD}{}{bad}", row("good", "defense = 'none'"));
        let run = asked.by("--sheet", &sheet, &["--dry-run"]);
        run.assert_fails(1, &["asked.toml", "bad", words]);
        assert!(!run.stderr.contains("good"), "{}", run.stderr);
    }
    // The values of a search have no row: they name themselves.
    let search = "seeds = 2\nfinalists = 1\nfinal_seeds = 2\nrounds = 1\n\
        [[axis]]\nsetting = 'slow_wave.depth'\nvalues = ['2', '9']\n";
    asked.by("--search", search, &["--dry-run"]).assert_fails(1, &["`slow_wave.depth` = 9: "]);
}

/// A sheet has columns and scales; attacks and `--eps` are the command line's.
#[test]
fn advice_in_a_sheet_is_of_sheets() {
    let asked = Asked::new();
    for column in ["cw", "autoattack"] {
        let sheet = format!(
            "norm = 'l0'\nscales = ['10']\ncolumns = ['clean', '{column}']\n{}",
            row("row", "defense = 'none'")
        );
        for threat in ["transfer", "white-box"] {
            let run = asked.by("--sheet", &sheet, &["--dry-run", "--threat-model", threat]);
            let words = ["with norm = 'l0' are clean, pgd, fgsm, bim", column, "not in l0"];
            run.assert_fails(1, &words);
            assert!(!run.stderr.contains("sigma-zero"), "{}", run.stderr);
        }
        let sheet = sheet.replace(&format!(", '{column}'"), ", 'pgd', 'fgsm', 'bim'");
        let run = asked.by("--sheet", &sheet, &["--dry-run"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
    let sheet = format!("{HEAD}{}", row("row", "defense = 'none'")).replace("64/255", "8");
    asked.by("--sheet", &sheet, &["--dry-run"]).assert_fails(1, &["noise scale: `8`"]);
}

/// Each form has another place that says how many seeds there are.
#[test]
fn a_seed_is_answered_with_what_says_the_seeds() {
    let asked = Asked::new();
    let sheet = format!("{HEAD}{}", row("row", "defense = 'none'"));
    let sweep = "experiments/nearest.toml";
    let seed = ["--dry-run", "--set", "seed=3"];
    asked.by("--sheet", &sheet, &seed).assert_fails(2, &["--seeds says how many"]);
    for (option, file, words) in [
        ("--sweep", sweep, "`seeds` in experiments/nearest.toml says how many"),
        (
            "--search",
            "experiments/search.toml",
            "`seeds` and `final_seeds` in experiments/search.toml say how many",
        ),
    ] {
        let fixed = ["reproduce", option, file, "--data-dir", &asked.data, "--out", &asked.out];
        let run = run(&[&fixed[..], &seed].concat());
        run.assert_fails(2, &["--set seed=3", words]);
        assert!(!run.stderr.contains("--seeds"), "{}", run.stderr);
    }
}

/// Another engine may have taken a row that this one refuses.
#[test]
fn merge_names_the_folder_and_the_row_that_cannot_be() {
    let asked = Asked::new();
    let rows = [row("good", "defense = 'none'"), row("bad", "defense = 'none'")].concat();
    let sheet = format!("{HEAD}[set]\n'control.epochs' = '1'\n{rows}");
    let few = ["--images", "8", "--threat-model", "transfer", "--quiet"];
    assert_eq!(asked.by("--sheet", &sheet, &few).code, Some(0));
    let merged = asked.folder.argument("merged");
    let merge = || run(&["merge", &asked.out, "--out", &merged, "--dry-run"]);
    assert_eq!(merge().code, Some(0));
    let request = asked.folder.path("out/store/request.json");
    let mut noted: serde_json::Value =
        serde_json::from_slice(&crate::read(&request)).expect("a request");
    for (name, value, words) in [
        ("slow_wave.depth", "9", "depth 9"),
        ("slow_wave.augmentation", "1", "there is no `slow_wave.augmentation`"),
        ("conversion", "carryy", "does not take `carryy`"),
    ] {
        let bad = &mut noted["question"]["sheets"][0]["method"][1];
        bad["defense"] = "slow-wave".into();
        bad["set"] = serde_json::json!({ name: value });
        fs::write(&request, noted.to_string()).unwrap();
        merge().assert_fails(1, &[&asked.out, "row `bad`", words, "reproduce --out"]);
    }
}
