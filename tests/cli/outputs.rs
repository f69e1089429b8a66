//! Places that cannot be written to, and a second process on the same results.

use crate::{Folder, run};
use std::fs::File;

const MODEL: &str = "tests/golden/lenet_weights.safetensors";

/// Every option that names a file or folder to write, with a small data set.
fn writers<'a>(data: &'a str, out: &'a str) -> Vec<(Vec<&'a str>, &'a str)> {
    let attack = ["--model", MODEL, "--attack", "fgsm", "--eps", "0.1"];
    let small = ["--quick", "--table", "1", "--images", "4", "--white-box-images", "2"];
    let defense = ["--defense", "fast-wave", "--from", MODEL];
    let writers: Vec<(Vec<&str>, &str)> = vec![
        (vec!["train", "--epochs", "1", "--batch-size", "8"], "--out"),
        ([&["train"], &defense[..]].concat(), "--out"),
        ([&["evaluate"], &attack[..]].concat(), "--out"),
        ([&["attack"], &attack[..]].concat(), "--save"),
        ([&["attack"], &attack[..]].concat(), "--grid"),
        (vec!["inspect", MODEL], "--filters"),
        (vec!["inspect", MODEL], "--raster"),
        ([&["reproduce"], &small[..]].concat(), "--out"),
    ];
    let whole = |(arguments, option): (Vec<&'a str>, &'a str)| {
        ([&arguments[..], &["--data-dir", data, option, out]].concat(), option)
    };
    writers.into_iter().map(whole).collect()
}

#[test]
fn what_cannot_be_written_to_is_refused_before_any_work() {
    let folder = Folder::new();
    let data = folder.small_data(40, 8);
    std::fs::create_dir(folder.path("taken.svg")).unwrap();
    std::fs::write(folder.path("file"), "mine").unwrap();
    let mut places = vec![folder.argument("file/under.svg")];
    #[cfg(target_os = "linux")] // /proc can be written to by nobody, not even root
    places.push("/proc/out.svg".to_owned());
    for place in &places {
        for (arguments, option) in writers(&data, place) {
            let run = run(&arguments);
            run.assert_fails(1, &[place.as_str()]);
            // The results folder is made, the others are looked at.
            let words = if arguments[0] == "reproduce" { "cannot create" } else { option };
            run.assert_fails(1, &[words]);
            assert!(!run.stderr.contains("accuracy"), "worked first: {}", run.stderr);
        }
    }
    // A folder where a file should be, and the other way around.
    for (arguments, option) in writers(&data, &folder.argument("taken.svg")) {
        if arguments[0] != "reproduce" {
            run(&arguments).assert_fails(2, &[option, "this is a folder"]);
        }
    }
    assert!(folder.names("taken.svg").is_empty());
    assert_eq!(std::fs::read_to_string(folder.path("file")).unwrap(), "mine");
}

#[test]
fn a_checkpoint_that_is_a_folder_is_refused_before_any_work() {
    let folder = Folder::new();
    let data = folder.small_data(40, 8);
    std::fs::create_dir(folder.path("out.checkpoint")).unwrap();
    for (arguments, option) in writers(&data, &folder.argument("out")) {
        if option == "--out" && arguments[0] != "reproduce" {
            run(&arguments).assert_fails(2, &["out.checkpoint", "this is a folder"]);
        }
    }
    assert!(!folder.path("out").exists());
}

/// A lock of ours stands for another process: the system treats both alike.
#[test]
fn one_process_at_a_time_works_on_results() {
    let folder = Folder::new();
    let data = folder.small_data(40, 8);
    let out = folder.argument("results");
    let (reproduce, _) = writers(&data, &out).pop().unwrap();
    std::fs::create_dir_all(folder.path("results/store")).unwrap();
    std::fs::write(folder.path("results/lock"), "4711").unwrap();
    let lock = File::open(folder.path("results/lock")).unwrap();
    lock.lock().unwrap();
    run(&reproduce).assert_fails(1, &["another process (pid 4711) works on this folder", "--out"]);
    let merge = ["merge", &out, "--out", &out];
    run(&merge).assert_fails(1, &["another process (pid 4711)"]);
    drop(lock);

    let journal = folder.argument("result.json.checkpoint");
    let file = File::create(&journal).unwrap();
    file.lock().unwrap();
    let result = folder.argument("result.json");
    let attack = ["--model", MODEL, "--attack", "fgsm", "--eps", "0.1", "--data-dir", &data];
    for more in [&[][..], &["--resume"]] {
        let run = run(&[&["evaluate", "--out", &result], &attack[..], more].concat());
        run.assert_fails(1, &[&journal, "another process is at work on it"]);
    }
    drop(file);
    assert_eq!(run(&[&["evaluate", "--out", &result], &attack[..]].concat()).code, Some(0));
    assert!(folder.path("result.json").exists() && !folder.path("result.json.checkpoint").exists());
}
