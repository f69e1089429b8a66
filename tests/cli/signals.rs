//! Signals at pseudo-random moments: nothing half under a final name, a line that says how to go on, and in the end the
//! same bytes as without.
#![cfg(unix)]

use crate::robustness::timeless;
use crate::{Folder, Run, cli, points, read, run};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const ROBUST: &str = "tests/golden/lenet_robust.safetensors";

/// Starts the binary, sends it a signal after that time, and says how it ended.
fn interrupted(arguments: &[&str], signal: &str, after: Duration) -> (ExitStatus, String) {
    let child = Command::new(assert_cmd::cargo_bin!("deepsleep-cli"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("DEEPSLEEP_DATA")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    // One that is done already is not there to be killed: no harm.
    let _ = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).output();
    let output = child.wait_with_output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

/// Interrupts a command again and again, `--resume`d once `resumable` says so; after each, `check` looks at what there
/// is, and at what was said. `time` is what the whole takes.
fn interrupt(
    base: &[&str],
    seed: u64,
    time: Duration,
    resumable: &dyn Fn() -> bool,
    check: &dyn Fn(&str),
) {
    for (point, signal) in points(seed).zip(["INT", "KILL", "TERM", "KILL", "INT", "TERM"]) {
        let resume: &[&str] = if resumable() { &["--resume"] } else { &[] };
        let after = time.min(Duration::from_secs(8)).mul_f64(0.7 * point);
        let (status, stderr) = interrupted(&[base, &["--quiet"], resume].concat(), signal, after);
        let number = if signal == "INT" { 2 } else { 15 };
        match (status.code(), status.signal()) {
            // It was faster.
            (Some(0), None) => {}
            (None, Some(9)) if signal == "KILL" => {}
            // Before it listened.
            (None, Some(other)) if other == number => {}
            (Some(code), None) => {
                assert_eq!((code, signal == "KILL"), (128 + number, false), "{stderr}");
                assert!(
                    stderr.starts_with("interrupted: ") && stderr.lines().count() == 1,
                    "{stderr}"
                );
            }
            other => panic!("{signal}: {other:?}, {stderr}"),
        }
        check(&stderr);
    }
}

/// Of what an interrupted command said, if it came to that.
fn assert_says_how_to_go_on(said: &str, checkpoint: bool) {
    let words = if checkpoint {
        "the same command with --resume to continue"
    } else {
        "nothing to go on from"
    };
    assert!(said.is_empty() || said.contains(words), "{said}");
}

/// What a folder may hold besides these names: a temporary file under a hidden name, if it was killed while writing.
fn assert_only(folder: &Folder, inner: &str, names: &[&str], killed: usize) {
    let others: Vec<String> =
        folder.names(inner).into_iter().filter(|name| !names.contains(&name.as_str())).collect();
    // The locks of a killed process block no other.
    let others: Vec<String> = others.into_iter().filter(|name| !name.ends_with(".lock")).collect();
    assert!(others.iter().all(|name| name.starts_with(".deepsleep-")), "{others:?}");
    assert!(others.len() <= killed, "{others:?}");
}

#[test]
fn a_training_ends_in_the_same_bytes() {
    let folder = Folder::new();
    let data = folder.small_data(512, 100);
    for name in ["whole", "parts"] {
        std::fs::create_dir(folder.path(name)).unwrap();
    }
    let [whole, parts] = ["whole/model", "parts/model"].map(|name| folder.argument(name));
    let base = ["train", "--data-dir", &data, "--epochs", "8", "--batch-size", "32", "--out"];
    let start = Instant::now();
    assert_eq!(run(&[&base[..], &[&whole, "--quiet"]].concat()).code, Some(0));
    let expected = read(&whole);
    let (model, checkpoint) = (folder.path("parts/model"), folder.path("parts/model.checkpoint"));
    let arguments = [&base[..], &[&parts]].concat();
    interrupt(&arguments, 1, start.elapsed(), &|| checkpoint.exists() || model.exists(), &|said| {
        assert!(!model.exists() || read(&model) == expected);
        assert_says_how_to_go_on(said, checkpoint.exists());
        assert_only(&folder, "parts", &["model", "model.checkpoint"], 2);
    });
    let more: &[&str] = if checkpoint.exists() || model.exists() { &["--resume"] } else { &[] };
    let done = run(&[&arguments[..], &["--quiet"], more].concat());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(read(&model) == expected && !checkpoint.exists());
}

#[test]
fn an_evaluation_ends_in_the_same_result() {
    let folder = Folder::new();
    for name in ["whole", "parts"] {
        std::fs::create_dir(folder.path(name)).unwrap();
    }
    let [whole, parts] =
        ["whole/result.json", "parts/result.json"].map(|name| folder.argument(name));
    let base =
        ["evaluate", "--model", ROBUST, "--images", "32", "--portion", "4", "--eps", "0.1,64/255"];
    let attacks = ["--attack", "pgd:steps=40", "--attack", "square:queries=200", "--out"];
    let base = [&base[..], &attacks].concat();
    let start = Instant::now();
    assert_eq!(run(&[&base[..], &[&whole, "--quiet"]].concat()).code, Some(0));
    let json = |path: &str| timeless(serde_json::from_slice(&read(path)).unwrap());
    let expected = json(&whole);
    let result = folder.path("parts/result.json");
    let checkpoint = folder.path("parts/result.json.checkpoint");
    let arguments = [&base[..], &[&parts]].concat();
    interrupt(
        &arguments,
        2,
        start.elapsed(),
        &|| checkpoint.exists() || result.exists(),
        &|said| {
            assert!(!result.exists() || json(&parts) == expected);
            assert_says_how_to_go_on(said, checkpoint.exists());
            assert_only(&folder, "parts", &["result.json", "result.json.checkpoint"], 2);
        },
    );
    let more: &[&str] = if checkpoint.exists() || result.exists() { &["--resume"] } else { &[] };
    let done = run(&[&arguments[..], &["--quiet"], more].concat());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(json(&parts), expected);
    assert!(!checkpoint.exists());
}

#[test]
fn crafted_images_are_there_whole_or_not_at_all() {
    let folder = Folder::new();
    for name in ["whole", "parts"] {
        std::fs::create_dir(folder.path(name)).unwrap();
    }
    let [whole, parts] = ["whole/set.npz", "parts/set.npz"].map(|name| folder.argument(name));
    let base =
        ["attack", "--model", ROBUST, "--images", "64", "--attack", "pgd:steps=60", "--eps", "0.1"];
    let start = Instant::now();
    assert_eq!(run(&[&base[..], &["--quiet", "--save", &whole]].concat()).code, Some(0));
    let set = folder.path("parts/set.npz");
    interrupt(&[&base[..], &["--save", &parts]].concat(), 3, start.elapsed(), &|| false, &|_| {
        assert!(!set.exists() || read(&set) == read(&whole));
        assert_only(&folder, "parts", &["set.npz"], 2);
    });
    assert_eq!(run(&[&base[..], &["--quiet", "--save", &parts]].concat()).code, Some(0));
    assert!(read(&set) == read(&whole));
}

/// A control, a defense and two variants of it, one column: seconds.
const SWEEP: &str = "all = false\nscales = ['64/255']\ncolumns = ['clean', 'fgsm']\nseeds = 1\n\
    [[method]]\nlabel = 'Fast-wave only'\nid = 'fast-wave'\ndefense = 'fast-wave'\n\
    [[axis]]\nsetting = 'conversion'\nvalues = ['carry']\n";

#[test]
fn a_reproduction_ends_in_the_same_answers() {
    let folder = Folder::new();
    let data = folder.small_data(384, 40);
    let sweep = folder.argument("sweep.toml");
    std::fs::write(&sweep, SWEEP).unwrap();
    let settings = ["control.epochs=3", "fast_wave.epochs=2", "fast_wave.spiking.steps=2"];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
    let base = ["reproduce", "--quick", "--images", "32", "--data-dir", &data, "--sweep", &sweep];
    let base = [&base[..], &settings].concat();
    let [whole, parts] = ["whole", "parts"].map(|name| folder.argument(name));
    let start = Instant::now();
    let done = run(&[&base[..], &["--quiet", "--out", &whole]].concat());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let expected = read(folder.path("whole/sweep.json"));
    let arguments = [&base[..], &["--out", &parts]].concat();
    let answers = folder.path("parts/sweep.json");
    interrupt(&arguments, 4, start.elapsed(), &|| false, &|said| {
        assert!(
            said.is_empty() || said.contains("to continue") || said.contains("nothing to go on")
        );
        assert!(!answers.exists() || read(&answers) == expected);
        if folder.path("parts").exists() {
            assert_only(&folder, "parts", &["sweep.json", "store", "lock"], 2);
            let hidden =
                folder.names("parts/store").into_iter().filter(|name| name.starts_with('.'));
            assert!(hidden.count() <= 2, "one a kill at most");
        }
    });
    let done = Run::of(cli(&arguments).arg("--quiet"));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(read(&answers) == expected);
}

/// Ctrl-C at a terminal goes to the whole group of processes; the transfer is not to look like a broken one.
#[test]
fn a_download_keeps_what_came() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut stalled = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").unwrap();
            stalled.push(stream);
        }
    });
    let folder = Folder::new();
    let part = folder.path("sets/mnist/train-images-idx3-ubyte.gz.part");
    let child = Command::new(assert_cmd::cargo_bin!("deepsleep-cli"))
        .args(["data", "fetch", "mnist", "--base-url", &url, "--into", &folder.argument("sets")])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let start = Instant::now();
    while std::fs::read(&part).unwrap_or_default() != b"abc" {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing came");
        std::thread::sleep(Duration::from_millis(10));
    }
    let group = format!("-{}", child.id());
    // To the whole group, as Ctrl-C; SIGINT itself is ignored where tests run in the background of a shell.
    assert!(Command::new("kill").args(["-TERM", "--", &group]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(143), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    let last = lines[lines.len() - 1];
    assert!(last.starts_with("interrupted: ") && last.ends_with("to continue"), "{stderr}");
    assert!(!stderr.contains("failed") && !stderr.contains("error: "), "{stderr}");
    assert_eq!(folder.names("sets/mnist"), ["train-images-idx3-ubyte.gz.part"]);
    assert_eq!(read(&part), b"abc");
}
