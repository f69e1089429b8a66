//! `report`.

use crate::{Folder, read, run};
use deepsleep::experiment::Results;
use deepsleep::method::{Profile, Settings};

fn nothing_measured() -> Results {
    let mut results = Results::new(Settings::new(Profile::Published));
    results.quick = true;
    results.seeds = vec![0];
    results.images = 100;
    results.train_images = 1000;
    results
}

#[test]
fn it_names_what_it_wrote_and_what_it_left_out() {
    let folder = Folder::new();
    nothing_measured().save(&folder.path("")).unwrap();
    let done = run(&["report", &folder.argument("")]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let names: Vec<_> = done.stdout.lines().map(std::path::PathBuf::from).collect();
    let expected = ["index.html", "report.md", "results.csv"].map(|name| folder.path(name));
    assert_eq!(names, expected);
    assert!(done.stderr.contains("left out: Times and machine: run.json"), "{}", done.stderr);
    let page = String::from_utf8(read(folder.path("index.html"))).unwrap();
    assert!(page.contains("0 of 0 measured numbers (204 printed)"));

    let json = run(&["report", &folder.argument(""), "--json", "--quiet"]).json();
    assert_eq!(json["html"].as_str(), folder.path("index.html").to_str());
    assert!(json["left_out"].as_array().unwrap().len() >= 2);
}

#[test]
fn a_folder_without_results_is_a_failure_in_one_line() {
    let folder = Folder::new();
    run(&["report", &folder.argument("")]).assert_fails(1, &["no results.json in it"]);
    run(&["report"]).assert_fails(2, &["FOLDER"]);
    let made = std::process::Command::new("mkfifo").arg(folder.path("results.json")).status();
    assert!(made.unwrap().success());
    let words = ["results.json", "a pipe, socket, or device, not a file"];
    run(&["report", &folder.argument("")]).assert_fails(1, &words);
}
