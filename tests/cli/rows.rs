//! Rows of a sheet that are run as spiking networks.

use crate::{Folder, read};
use deepsleep::evaluation::{ThreatModel, Warning};
use deepsleep::experiment::Results;
use std::fs;

const SHEET: &str = "scales = ['64/255']\ncolumns = ['clean', 'autoattack']\n\
    [set]\n'control.epochs' = '1'\n'fast_wave.epochs' = '1'\n'fast_wave.spiking.steps' = '3'\n\
    [[method]]\nlabel = 'Fast-wave only'\nid = 'fast-wave'\ndefense = 'fast-wave'\n\
    [[method]]\nlabel = 'Fast-wave only (spiking)'\nid = 'fast-wave-spiking'\ndefense = 'fast-wave'\nspiking = true\n";

#[test]
fn a_row_is_run_as_the_spiking_network_of_the_same_training() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
    let file = folder.argument("sheet.toml");
    fs::write(&file, SHEET).unwrap();
    let fixed =
        ["reproduce", "--sheet", &file, "--data-dir", &data, "--out", &out, "--images", "16"];
    let run = crate::run(&[&fixed[..], &["--white-box-images", "4", "--quiet"]].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let results: serde_json::Value =
        serde_json::from_slice(&read(folder.path("out/results.json"))).unwrap();
    let models = results["models"].as_array().unwrap();
    assert_eq!(models.len(), 2);
    assert_eq!(models[0]["file"], models[1]["file"], "one training");
    let cells = results["cells"].as_array().unwrap();
    let of = |model: &str, column: &str, threat: &str| {
        let here = |cell: &&serde_json::Value| {
            (&cell["model"], &cell["column"], &cell["threat_model"])
                == (&model.into(), &column.into(), &threat.into())
        };
        cells.iter().find(here).unwrap()
    };
    let attack =
        |model| of(model, "autoattack", "white-box")["attack"].as_str().unwrap().to_owned();
    assert_eq!(attack("fast-wave"), "autoattack");
    assert_eq!(attack("fast-wave-spiking"), "autoattack:version=spiking-fast");
    let evidence = |model| of(model, "clean", "transfer")["evidence"].clone();
    assert_ne!(evidence("fast-wave"), evidence("fast-wave-spiking"));
}

/// Which attack it was, and whether eps bounded it, is the same whoever crafted the images; it was read out of the attack's
/// name, which stood without its options where they were crafted elsewhere.
#[test]
fn evidence_says_which_attack_it_was_and_whether_eps_bounded_it() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
    let file = folder.argument("sheet.toml");
    let attacks = [
        ("cw-linf:steps=20", Some("bounded=yes")),
        ("cw-linf:steps=20,bounded=yes", None),
        ("rays:queries=60", None),
        ("rays:queries=60,return=nearest", Some("return=first")),
    ];
    let sheet = format!(
        "scales = ['64/255']\ncolumns = {:?}\n[set]\n'control.epochs' = '1'\n\
         [[method]]\nlabel = 'Control'\nid = 'control'\ndefense = 'none'\n",
        attacks.map(|(attack, _)| attack)
    );
    fs::write(&file, sheet).unwrap();
    let fixed =
        ["reproduce", "--sheet", &file, "--data-dir", &data, "--out", &out, "--images", "16"];
    let run = crate::run(&[&fixed[..], &["--white-box-images", "16", "--quiet"]].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let results = Results::load(&folder.path("out")).unwrap();
    for (attack, expected) in attacks {
        for threat in ThreatModel::ALL {
            let here = results.cells.iter().filter(|cell| cell.threat_model == threat);
            let cell = { here }.find(|cell| cell.column == attack).unwrap();
            let evidence = cell.evidence(&folder.path("out")).unwrap();
            let place = format!("{attack}, {}", threat.name());
            assert_eq!(evidence.attack, cell.attack, "{place}");
            assert_eq!(evidence.attack.unwrap().to_string(), attack, "{place}");
            assert_eq!(evidence.bounded, expected.is_none(), "{place}");
            let remedy = evidence.warnings.iter().find_map(|warning| match warning {
                Warning::Unbounded { remedy, .. } => remedy.as_deref(),
                _ => None,
            });
            assert_eq!(remedy, expected, "{place}");
            let stored = read(folder.path("out").join(cell.evidence.as_ref().unwrap()));
            let stored: serde_json::Value = serde_json::from_slice(&stored).unwrap();
            let stored = &stored["entry"]["value"];
            assert_eq!(
                (&stored["attack"], &stored["bounded"]),
                (&attack.into(), &expected.is_none().into())
            );
        }
    }
}

/// A value that every row replaces by its own would not be in any number.
#[test]
fn a_setting_that_every_row_has_for_itself_is_refused() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
    let file = folder.argument("sheet.toml");
    let rows = "defense = 'fast-wave'\n";
    let own = SHEET
        .replace("'fast_wave.epochs' = '1'\n", "")
        .replace(rows, &format!("{rows}set = {{ 'fast_wave.epochs' = '2' }}\n"));
    let run = |sheet: &str, more: &[&str]| {
        fs::write(&file, sheet).unwrap();
        let fixed =
            ["reproduce", "--dry-run", "--sheet", &file, "--data-dir", &data, "--out", &out];
        crate::run(&[&fixed[..], more].concat())
    };
    let set = ["--set", "fast_wave.epochs=3"];
    let words = ["changes nothing", "a value of its own"];
    assert_eq!(run(&own, &[]).code, Some(0));
    run(&own, &set).assert_fails(2, &words);
    let of_sheet = own.replace("[set]\n", "[set]\n'fast_wave.epochs' = '3'\n");
    run(&of_sheet, &[]).assert_fails(1, &words);
    assert_eq!(run(SHEET, &set).code, Some(0));
}

/// What the network or the norm cannot have is found before the control is trained.
#[test]
fn rows_that_cannot_be_are_refused_before_any_work() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
    let file = folder.argument("sheet.toml");
    let linear =
        "input = [1, 28, 28]\nclasses = 10\nnodes = [{ name = 'fc', op = 'linear', out = 10 }]\n";
    let of_one_layer = folder.argument("linear.toml");
    fs::write(&of_one_layer, linear).unwrap();
    let row = |more: &str| format!("[[method]]\nlabel = 'A row'\nid = 'row'\n{more}\n");
    let head = "scales = ['64/255']\ncolumns = ['clean', 'autoattack']\n";
    let in_l0 = head.replace("'64/255'", "'10'").replace("scales", "norm = 'l0'\nscales");
    for (sheet, network, words) in [
        (format!("{head}{}", row("defense = 'lucid'")), "mlp:32", "train row, seed 0: lucid"),
        (format!("{head}{}", row("defense = 'none'\nspiking = true")), &of_one_layer, "spiking"),
        (format!("{in_l0}{}", row("defense = 'none'")), "lenet", "not in l0"),
    ] {
        fs::write(&file, &sheet).unwrap();
        for threat in ["transfer", "white-box"] {
            for more in [&["--dry-run"][..], &[]] {
                let fixed = ["reproduce", "--sheet", &file, "--data-dir", &data, "--out", &out];
                let asked = ["--architecture", network, "--threat-model", threat];
                let run = crate::run(&[&fixed[..], &asked, more].concat());
                run.assert_fails(1, &["sheet.toml", words]);
                assert!(!folder.path("out").exists(), "{sheet}");
            }
        }
    }
}

/// A setting of spiking neurons has an effect where a row spikes, though no training reads it.
#[test]
fn a_row_that_spikes_reads_how() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
    let file = folder.argument("sheet.toml");
    let sheet = |spiking: &str| {
        let head = "scales = ['64/255']\ncolumns = ['clean', 'autoattack']\n";
        format!("{head}[[method]]\nlabel = 'A row'\nid = 'row'\ndefense = 'none'\n{spiking}")
    };
    let run = |spiking: &str, more: &[&str]| {
        fs::write(&file, sheet(spiking)).unwrap();
        let fixed =
            ["reproduce", "--dry-run", "--sheet", &file, "--data-dir", &data, "--out", &out];
        crate::run(&[&fixed[..], more].concat())
    };
    let steps = ["--set", "fast_wave.spiking.steps=3"];
    assert_eq!(run("spiking = true\n", &steps).code, Some(0));
    run("", &steps).assert_fails(2, &["changes nothing"]);
    let shift = ["--set", "control.augmentation.shift=28"];
    run("", &shift).assert_fails(1, &["train control", "shift of up to 28"]);
}

/// One training, run as spiking networks that differ, is several rows.
#[test]
fn a_sweep_tells_spiking_forms_apart() {
    let folder = Folder::new();
    let [file, out] = ["sweep.toml", "out"].map(|name| folder.argument(name));
    let data = folder.small_data(384, 40);
    let sweep = "all = false\nscales = ['64/255']\ncolumns = ['clean']\nseeds = 1\n\
        [[method]]\nlabel = 'Slow-wave only'\nid = 'slow-wave'\ndefense = 'slow-wave'\nspiking = true\n\
        [[axis]]\nsetting = 'fast_wave.spiking.steps'\nvalues = ['2', '4', '8']\n";
    fs::write(&file, sweep).unwrap();
    let fixed = ["reproduce", "--dry-run", "--verbose", "--sweep", &file, "--data-dir", &data];
    let run = crate::run(&[&fixed[..], &["--images", "16", "--out", &out]].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let shown = run.stdout.lines().filter(|line| line.contains("show clean")).count();
    assert_eq!(shown, 3, "{}", run.stdout);
}
