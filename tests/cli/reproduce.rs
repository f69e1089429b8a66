//! `reproduce` and `merge`: the same results however often they were interrupted, and however they were shared out.

use crate::{Folder, Run, cli, full, read};
use deepsleep::simd::random::Key;
use rand_xoshiro::rand_core::Rng;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Table 1 in a few seconds: 384 training images, an epoch of everything, 32 test images.
const TINY: [&str; 22] = [
    "--quick",
    "--table",
    "1",
    "--images",
    "32",
    "--white-box-images",
    "4",
    "--set",
    "control.epochs=2",
    "--set",
    "slow_wave.initial_rate=0.1",
    "--set",
    "slow_wave.batches=2",
    "--set",
    "fast_wave.epochs=1",
    "--set",
    "fast_wave.spiking.steps=3",
    "--set",
    "adversarial_training.epochs=2",
    "--set",
    "distillation.student_epochs=1",
    "--quiet",
];

fn reproduce(data: &str, out: &str, more: &[&str]) -> Run {
    Run::of(cli(&["reproduce", "--data-dir", data, "--out", out]).args(TINY).args(more))
}

fn results(folder: &Path) -> Vec<u8> {
    read(folder.join("results.json"))
}

/// Some file of the store.
fn stored(folder: &Path, ending: &str) -> PathBuf {
    let entries = fs::read_dir(folder.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let mut fitting: Vec<PathBuf> =
        entries.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    fitting.sort();
    fitting.swap_remove(0)
}

/// Starts it and sends SIGKILL after a while, so that nothing can be tidied up; whether it was still at work.
fn killed_after(arguments: &[&str], time: Duration) -> bool {
    let mut child = Command::new(assert_cmd::cargo_bin!("deepsleep-cli"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(time);
    let at_work = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    at_work
}

/// Ten moments at random in as many equal parts of a duration, as the times between them.
fn moments(whole: Duration, seed: u64) -> Vec<Duration> {
    let mut random = Key::new(seed).generator();
    let share = |i: u32| (f64::from(i) + f64::from(random.next_u32()) / 2f64.powi(32)) / 10.0;
    let shares: Vec<f64> = (0..10).map(share).collect();
    let before = std::iter::once(0.0).chain(shares.iter().copied());
    shares.iter().zip(before).map(|(&share, before)| whole.mul_f64(share - before)).collect()
}

#[test]
fn killed_at_ten_moments_it_ends_in_the_same_results() {
    let folder = Folder::new();
    let data = folder.small_data(384, 40);
    let tiny = [&TINY[..], &["--data-dir", &data]].concat();
    let graph = if full() { &["--quick", "--quiet"][..] } else { &tiny };
    let [whole, killed] = ["whole", "killed"].map(|name| folder.argument(name));
    let start = Instant::now();
    let run = crate::run(&[&["reproduce", "--out", &whole][..], graph].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let mut time = start.elapsed();

    // On a machine less busy than just now it may be done before the last moment: then anew, with closer ones.
    let arguments = [&["reproduce", "--out", &killed][..], graph].concat();
    let all_hit = (0..4).any(|attempt| {
        let hit = |time| killed_after(&arguments, time);
        if moments(time, attempt).into_iter().all(hit) {
            return true;
        }
        fs::remove_dir_all(&killed).unwrap();
        time /= 2;
        false
    });
    assert!(all_hit, "it was always faster than we could kill it");
    let run = crate::run(&arguments);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(results(&folder.path("killed")) == results(&folder.path("whole")));
}

#[test]
fn side_by_side_damaged_and_shared_out_it_ends_in_the_same_results() {
    let folder = Folder::new();
    let data = folder.small_data(384, 40);
    let [whole, beside, merged] = ["whole", "beside", "merged"].map(|name| folder.argument(name));
    let run = reproduce(&data, &whole, &["--threads", "1"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("QUICK") && run.stdout.contains("Table 1"), "{}", run.stdout);
    let expected = results(&folder.path("whole"));
    let json: serde_json::Value = serde_json::from_slice(&expected).unwrap();
    // Five models, two scales, six columns, two threat models.
    assert_eq!(json["cells"].as_array().unwrap().len(), 5 * 2 * 6 * 2);
    assert_eq!(json["quick"], true);

    // Three jobs on five threads: one each, and all five where there is only one job.
    let run = reproduce(&data, &beside, &["--threads", "5", "--jobs", "3"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(results(&folder.path("beside")) == expected);

    // A damaged model and a damaged entry are computed again.
    for ending in [".safetensors", ".json"] {
        let path = stored(&folder.path("beside"), ending);
        let mut bytes = read(&path);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&path, bytes).unwrap();
    }
    let arguments = ["reproduce", "--data-dir", &data, "--out", &beside];
    let run = Run::of(cli(&arguments).args(&TINY[..TINY.len() - 1]));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.matches("damaged, computed again").count() >= 2, "{}", run.stderr);
    assert!(results(&folder.path("beside")) == expected);

    // Two shards in folders of their own.
    let shards = ["first", "second"].map(|name| folder.argument(name));
    for (i, shard) in shards.iter().enumerate() {
        let run = reproduce(&data, shard, &["--shard", &format!("{}/2", i + 1)]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(!Path::new(shard).join("results.json").exists());
    }
    let arguments = ["merge", &shards[0], &shards[1], "--data-dir", &data, "--out", &merged];
    let run = Run::of(cli(&arguments).args(TINY));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(results(&folder.path("merged")) == expected);
    let facts: serde_json::Value =
        serde_json::from_slice(&read(folder.path("merged/run.json"))).unwrap();
    let jobs = facts["jobs"].as_array().unwrap();
    assert!(jobs.iter().all(|job| job["reused"] == true), "nothing is left to compute");
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let folder = Folder::new();
    let data = folder.small_data(384, 40);
    fs::create_dir_all(folder.path("out")).unwrap();
    let lock = fs::File::create(folder.path("out/lock")).unwrap();
    lock.lock().unwrap();
    let run = reproduce(&data, &folder.argument("out"), &[]);
    run.assert_fails(1, &["another process", "--out"]);
}

#[test]
fn what_cannot_be_asked_for_is_refused_before_any_work() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
    for (arguments, words) in [
        (&["--table", "4"][..], &["table 4", "1, 2 and 3"][..]),
        (&["--figure", "1"], &["figure 3"]),
        (&["--shard", "3/2"], &["I/N"]),
        (&["--shard", "half"], &["half"]),
        (&["--images", "41"], &["--images 41", "40"]),
        (&["--set", "fast_wave.epoch=1"], &["fast_wave.epochs"]),
        (&["--profile", "paperr"], &["published"]),
    ] {
        let fixed = ["reproduce", "--data-dir", &data, "--out", &out];
        crate::run(&[&fixed[..], arguments].concat()).assert_fails(2, words);
    }
    let sweep = ["reproduce", "--data-dir", &data, "--out", &out, "--sweep", "nowhere.toml"];
    crate::run(&sweep).assert_fails(1, &["nowhere.toml"]);
}

#[test]
fn a_dry_run_says_what_there_is_to_do_and_does_nothing() {
    let folder = Folder::new();
    let out = folder.argument("out");
    let plan = crate::run(&["reproduce", "--dry-run", "--json", "--out", &out]).json();
    let jobs = plan.as_array().unwrap();
    assert_eq!(jobs.iter().filter(|job| job["kind"] == "train").count(), 11);
    assert!(jobs.iter().all(|job| job["in_store"] == false));
    assert!(!Path::new(&out).exists());
}
