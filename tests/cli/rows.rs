//! Rows of a sheet that are run as spiking networks.

use crate::{Folder, read};
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

/// A value that every row replaces by its own would not be in any number.
#[test]
fn a_setting_that_every_row_has_for_itself_is_refused() {
    let folder = Folder::new();
    let data = folder.small_data(384, 40);
    let file = folder.argument("sheet.toml");
    let rows = "defense = 'fast-wave'\n";
    let own = SHEET
        .replace("'fast_wave.epochs' = '1'\n", "")
        .replace(rows, &format!("{rows}set = {{ 'fast_wave.epochs' = '2' }}\n"));
    let run = |sheet: &str, more: &[&str]| {
        fs::write(&file, sheet).unwrap();
        let fixed = ["reproduce", "--dry-run", "--sheet", &file, "--data-dir", &data];
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
