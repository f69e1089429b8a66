//! Help, and what is refused before anything is done.

use crate::{Folder, Run, cli, run};

#[test]
fn help_and_version_are_results() {
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["help", "train"],
        &["train", "--help"],
        &["evaluate", "-h"],
        &["attack", "--help"],
        &["data", "--help"],
        &["data", "fetch", "--help"],
        &["info", "--help"],
    ] {
        let run = run(arguments);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(run.stdout.contains("deepsleep-cli"), "{arguments:?}: {}", run.stdout);
    }
    assert!(run(&["--version"]).stdout.contains(env!("CARGO_PKG_VERSION")));
    for word in ["train", "evaluate", "data", "info", "DEEPSLEEP_ISA", "--threads"] {
        assert!(run(&["--help"]).stdout.contains(word), "{word}");
    }
}

#[test]
fn without_a_command_there_is_help_and_no_success() {
    let run = run(&[]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(run.stderr.contains("Usage"));
}

#[test]
fn wrong_use_is_code_2_and_says_what_would_be_right() {
    for (arguments, words) in [
        (&["evalute"][..], &["evalute", "'evaluate'"][..]),
        (&["train", "--defense", "magic"], &["magic", "--defense", "possible values", "none"]),
        (&["train", "--dataset", "mnst"], &["mnst", "mnist, fashion-mnist", "similar"]),
        (&["train", "--epochs", "0"], &["--epochs", "at least 1"]),
        (&["train", "--epochs", "-1"], &["-1"]),
        (&["train", "--batch-size", "1"], &["--batch-size", "at least 2"]),
        (&["train", "--batch-size", "x"], &["--batch-size", "whole number"]),
        (&["train", "--lr", "0"], &["--lr", "above 0"]),
        (&["train", "--lr", "-0.1"], &["-0"]),
        (&["train", "--lr", "nan"], &["--lr", "finite"]),
        (&["train", "--lr", "1e99"], &["--lr", "finite"]),
        (&["train", "--lr", "fast"], &["--lr", "not a number"]),
        (&["train", "--limit-train", "0"], &["--limit-train", "at least 1"]),
        (&["train", "--epoch", "1"], &["--epoch", "'--epochs'"]),
        (&["evaluate"], &["--model <FILE|NAME>"]),
        (&["evaluate", "--model", "x", "--images", "0"], &["--images", "at least 1"]),
        (&["info", "--threads", "100000"], &["--threads", "at most 1024"]),
        // Beyond what any memory holds.
        (&["reproduce", "--seeds", "18446744073709551615"], &["--seeds", "at most 1000"]),
        (&["reproduce", "--images", "18446744073709551615"], &["--images", "at most 1000000"]),
        (&["reproduce", "--dry-run", "--set", "cycles=99999999"], &["cycles", "at most"]),
        (&["train", "--epochs", "18446744073709551615"], &["--epochs", "at most 1000000"]),
        (&["data"], &[]),
        (&["data", "verify", "cifar"], &["cifar", "mnist, fashion-mnist"]),
        (&["data", "fetch"], &["<NAME>"]),
    ] {
        if words.is_empty() {
            assert_eq!(run(arguments).code, Some(2), "{arguments:?}");
        } else {
            run(arguments).assert_fails(2, words);
        }
    }
}

#[test]
fn an_unusable_place_for_the_result_is_refused_before_training() {
    let folder = Folder::new();
    let [missing, inside] =
        ["no/model.safetensors", "file/model.safetensors"].map(|name| folder.argument(name));
    std::fs::write(folder.path("file"), "").unwrap();
    run(&["train", "--out", &missing]).assert_fails(1, &["--out", "there is no folder"]);
    run(&["train", "--out", &inside]).assert_fails(1, &["--out", "there is no folder"]);
    run(&["train", "--out", &folder.argument("")])
        .assert_fails(2, &["--out", "this names a folder"]);
    #[cfg(target_os = "linux")] // /proc can be written to by nobody, not even root
    run(&["train", "--out", "/proc/model.safetensors"]).assert_fails(1, &["--out", "cannot write"]);
}

#[test]
fn the_instruction_set_must_be_one() {
    for arguments in [&["info"][..], &["train", "--epochs", "1"], &["evaluate", "--model", "x"]] {
        let run = Run::of(cli(arguments).env("DEEPSLEEP_ISA", "nonsense"));
        run.assert_fails(2, &["DEEPSLEEP_ISA=nonsense", "portable, avx2 or avx512"]);
    }
}
