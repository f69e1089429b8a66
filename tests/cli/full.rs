//! A full disk, and a limit on the size of files, which stands for a quota where nothing can be mounted: what was
//! finished before stays as it is, nothing appears half, and with room again the work goes on.
#![cfg(target_os = "linux")]

use crate::robustness::timeless;
use crate::{Folder, Run, read};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const MODEL: &str = "tests/golden/lenet_weights.safetensors";
const ATTACK: [&str; 6] = ["--model", MODEL, "--attack", "fgsm", "--eps", "0.1"];

/// Every command that writes, into this folder.
fn writers(data: &str, into: &str) -> Vec<Vec<String>> {
    let of = |arguments: &[&str], outputs: &[(&str, &str)]| {
        let outputs = outputs
            .iter()
            .flat_map(|(option, name)| [(*option).to_owned(), format!("{into}/{name}")]);
        let arguments = arguments.iter().map(|a| (*a).to_owned());
        arguments.chain(["--data-dir".to_owned(), data.to_owned()]).chain(outputs).collect()
    };
    let fast =
        ["train", "--defense", "fast-wave", "--from", MODEL, "--set", "fast_wave.batch_size=16"];
    let short = ["--set", "fast_wave.epochs=1", "--set", "fast_wave.spiking.steps=2"];
    vec![
        of(&["train", "--epochs", "1", "--batch-size", "16"], &[("--out", "control")]),
        of(&[&fast[..], &short].concat(), &[("--out", "defended")]),
        of(&[&["evaluate", "--portion", "2"], &ATTACK[..]].concat(), &[("--out", "result.json")]),
        of(&[&["attack"], &ATTACK[..]].concat(), &[("--save", "crafted.npz")]),
        of(&[&["attack"], &ATTACK[..]].concat(), &[("--grid", "grid.png")]),
        of(&["inspect", MODEL], &[("--filters", "filters.svg")]),
        of(&["inspect", MODEL], &[("--raster", "raster.svg")]),
    ]
}

fn run(arguments: &[String]) -> Run {
    crate::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Runs with files of at most this many blocks (of 512 bytes, or of 1024: shells differ).
fn limited(blocks: &str, arguments: &[String]) -> Run {
    let script = format!("ulimit -f {blocks} && exec \"$0\" \"$@\"");
    let mut command = assert_cmd::Command::new("sh");
    command.args(["-c", &script]).arg(assert_cmd::cargo_bin!("deepsleep-cli")).args(arguments);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("DEEPSLEEP_DATA");
    Run::of(&mut command)
}

/// Names and contents of all files, hidden ones too.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), read(e.path()))).collect()
}

#[test]
fn a_file_that_outgrows_its_limit_leaves_what_was_there() {
    let folder = Folder::new();
    let data = folder.small_data(32, 8);
    std::fs::create_dir(folder.path("into")).unwrap();
    let all = writers(&data, &folder.argument("into"));
    // Where there was nothing, there is nothing; but for a journal of the parts that fitted.
    for arguments in &all {
        limited("1", arguments).assert_fails(1, &["cannot write: File too large"]);
    }
    let _ = std::fs::remove_file(folder.path("into/result.json.checkpoint"));
    assert!(folder.names("into").is_empty(), "{:?}", folder.names("into"));
    for arguments in &all {
        let done = run(arguments);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }
    let finished = contents(&folder.path("into"));
    assert_eq!(finished.len(), all.len());
    for arguments in &all {
        limited("1", arguments).assert_fails(1, &["cannot write: File too large"]);
    }
    let _ = std::fs::remove_file(folder.path("into/result.json.checkpoint"));
    assert!(contents(&folder.path("into")) == finished, "{:?}", folder.names("into"));
}

#[test]
fn an_evaluation_goes_on_after_its_journal_had_no_room() {
    let folder = Folder::new();
    let data = folder.small_data(2, 40);
    let [whole, full] = ["whole.json", "full.json"].map(|name| folder.argument(name));
    let base = ["evaluate", "--quiet", "--portion", "1", "--data-dir", &data];
    let base: Vec<&str> = [&base[..], &ATTACK].concat();
    let with = |out: &str, more: &[&str]| -> Vec<String> {
        [&base[..], &["--out", out], more].concat().iter().map(|a| (*a).to_owned()).collect()
    };
    let expected = timeless(run(&with(&whole, &["--json"])).json());
    limited("8", &with(&full, &[]))
        .assert_fails(1, &["full.json.checkpoint: cannot write: File too large"]);
    let checkpoint = folder.path("full.json.checkpoint");
    let parts = read(&checkpoint).iter().filter(|&&byte| byte == b'\n').count();
    assert!((2..40).contains(&parts) && !folder.path("full.json").exists(), "{parts}");
    // Beginning anew without room leaves the old journal.
    let before = read(&checkpoint);
    limited("0", &with(&full, &[])).assert_fails(1, &["cannot write"]);
    assert!(read(&checkpoint) == before);
    let resumed = timeless(run(&with(&full, &["--resume", "--json"])).json());
    assert_eq!(resumed, expected);
    assert!(!checkpoint.exists());
}

/// A small file system of its own, taken down at the end.
struct Mounted(Folder);

impl Mounted {
    /// None where mounting is not allowed.
    fn new() -> Option<Self> {
        let folder = Folder::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder.path(""));
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(folder)),
            _ => None,
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path("")).output();
    }
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    let Some(disk) = Mounted::new() else {
        println!(
            "NOT TESTED on a full disk: nothing can be mounted here; the limit on the size of files was tested"
        );
        return;
    };
    let (folder, inputs) = (&disk.0, Folder::new());
    let data = inputs.small_data(32, 8);
    let all = writers(&data, &folder.argument(""));
    for arguments in &all {
        let done = run(arguments);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }
    let finished = contents(&folder.path(""));
    // What is left of the room goes into one more file.
    let filler = folder.path("filler");
    assert!(
        std::fs::write(&filler, vec![1; 1 << 23]).is_err(),
        "the disk has more room than it should"
    );
    for arguments in &all {
        run(arguments).assert_fails(1, &["No space left on device"]);
    }
    std::fs::remove_file(&filler).unwrap();
    let _ = std::fs::remove_file(folder.path("result.json.checkpoint"));
    assert!(contents(&folder.path("")) == finished, "{:?}", folder.names(""));
    for arguments in &all {
        let done = run(arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
    }
}

#[test]
fn a_result_that_cannot_be_printed_is_a_failure() {
    for command in ["info", "train --print-config", "data list", "attack --list"] {
        let mut shell = assert_cmd::Command::new("sh");
        shell.args(["-c", &format!("exec \"$0\" {command} > /dev/full")]);
        shell.arg(assert_cmd::cargo_bin!("deepsleep-cli")).current_dir(env!("CARGO_MANIFEST_DIR"));
        Run::of(&mut shell).assert_fails(1, &["cannot write to stdout: No space left on device"]);
    }
}
