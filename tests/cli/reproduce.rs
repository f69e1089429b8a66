//! `reproduce` and `merge`: the same results however often they were interrupted, and however they were shared out.

use crate::{Folder, Run, as_options, cli, full, read};
use deepsleep::simd::random::Key;
use rand_xoshiro::rand_core::Rng;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Table 1 in a few seconds: 384 training images, an epoch of everything, 32 test images.
const TINY: &str = "--quick --table 1 --images 32 --white-box-images 4 control.epochs=2 slow_wave.initial_rate=0.1 \
    slow_wave.batches=2 fast_wave.epochs=1 fast_wave.spiking.steps=3 adversarial_training.epochs=2 \
    distillation.student_epochs=1";

fn reproduce(data: &str, out: &str, more: &[&str]) -> Run {
    Run::of(
        cli(&["reproduce", "--data-dir", data, "--out", out])
            .args(as_options(TINY))
            .arg("--quiet")
            .args(more),
    )
}

fn reproduce_plainly(data: &str, out: &str, more: &[&str]) -> Run {
    Run::of(cli(&["reproduce", "--quick", "--data-dir", data, "--out", out]).args(more))
}

/// Controls alone, of one to three epochs: seconds.
const CONTROLS: &str = "all = false\nscales = ['64/255']\ncolumns = ['clean']\nseeds = 1\n\
    [[method]]\nlabel = 'Control'\nid = 'control'\ndefense = 'none'\n\
    [[axis]]\nsetting = 'control.epochs'\nvalues = ['1', '2']\n";

/// A sweep over the epochs of the control.
fn sweep(folder: &Folder, data: &str, out: &str, more: &[&str]) -> Run {
    let file = folder.argument("sweep.toml");
    fs::write(&file, CONTROLS).unwrap();
    let arguments = ["--sweep", &file, "--images", "32", "--set", "control.epochs=3"];
    reproduce_plainly(data, out, &[&arguments[..], more].concat())
}

fn results(folder: &Path) -> Vec<u8> {
    read(folder.join("results.json"))
}

/// Some file of the store, of a job of this name.
fn stored(folder: &Path, job: &str, ending: &str) -> PathBuf {
    let entries = fs::read_dir(folder.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let of_job = |path: &PathBuf| {
        let text = fs::read_to_string(path.with_extension("json")).unwrap_or_default();
        text.contains(&format!("\"name\": \"{job}")) && path.to_str().unwrap().ends_with(ending)
    };
    let mut fitting: Vec<PathBuf> = entries.filter(of_job).collect();
    fitting.sort();
    fitting.swap_remove(0)
}

/// Starts it and sends SIGKILL after a while, so that nothing can be tidied up; whether it was still at work.
pub fn killed_after(arguments: &[&str], time: Duration) -> bool {
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
pub fn moments(whole: Duration, seed: u64) -> Vec<Duration> {
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
    let tiny = [&as_options(TINY)[..], &["--quiet", "--data-dir", &data]].concat();
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
    assert!(run.stdout.contains("Quick run: ") && run.stdout.contains("Table 1"), "{}", run.stdout);
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
    for (job, ending) in [("train deepsleep", ".safetensors"), ("show", ".json")] {
        let path = stored(&folder.path("beside"), job, ending);
        let mut bytes = read(&path);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&path, bytes).unwrap();
    }
    let arguments = ["reproduce", "--data-dir", &data, "--out", &beside];
    let run = Run::of(cli(&arguments).args(as_options(TINY)));
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
    let arguments = ["merge", &shards[0], &shards[1], "--out", &merged];
    let run = Run::of(cli(&arguments).arg("--quiet"));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(results(&folder.path("merged")) == expected);
    // Each of them observed some of the models.
    let observed = |name: &str| read(folder.path(name).join("observations.json"));
    assert!(["beside", "merged"].into_iter().all(|name| observed(name) == observed("whole")));
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
    for (arguments, words) in [
        (&["--set", "seed=1"][..], &["--seeds"][..]),
        (&["--set", "profile=paper"], &["choose it by itself"]),
        (&["--set", "control.seed=1"], &["`seed`"]),
        (&["--threat-model", "transfer", "--white-box-images", "4"], &["changes nothing"]),
        (&["--threat-model", "white-box", "--images", "4"], &["changes nothing"]),
        (&["--table", "2", "--set", "sleep.steps=1"], &["changes nothing: no model"]),
        (&["--verbose"], &["--dry-run"]),
    ] {
        let fixed = ["reproduce", "--quick", "--data-dir", &data, "--out", &out];
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

    let lines = |more: &[&str]| {
        let run = crate::run(&[&["reproduce", "--dry-run", "--out", &out][..], more].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let short = lines(&[]);
    assert!(short.len() <= 10, "{short:?}");
    assert!(short[0].starts_with("profile published") && short[1].starts_with("mnist: 60000"));
    let trainings =
        |lines: &[String]| lines.iter().find(|line| line.starts_with("train ")).cloned();
    assert!(trainings(&short).unwrap().contains(" 11 of 11 "), "{short:?}");
    let all = format!("{0} of {0} jobs to do, about", jobs.len());
    assert!(short.last().unwrap().starts_with(&all), "{short:?}");
    assert_eq!(lines(&["--verbose"]).len(), jobs.len() + short.len());
    // A shard has its own share to do.
    let shard = lines(&["--shard", "1/11"]);
    assert!(trainings(&shard).unwrap().contains(" 1 of 1 "), "{shard:?}");
    assert!(!Path::new(&out).exists());
}

#[test]
fn planning_takes_a_time_that_grows_with_the_seeds_alone() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
    let time = |seeds: &str| {
        let start = Instant::now();
        let run = reproduce_plainly(&data, &out, &["--dry-run", "--seeds", seeds]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        start.elapsed()
    };
    // Twenty times as many: four hundred times as long, if every cell was looked for among all others.
    let (few, many) = (time("20"), time("400"));
    assert!(many < few.mul_f64(60.0), "{few:?} for 20, {many:?} for 400");
}

#[test]
fn a_sweep_over_the_control_trains_as_many_as_it_has_values() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
    let plan = sweep(&folder, &data, &out, &["--dry-run", "--json"]).json();
    let trained = plan.as_array().unwrap().iter().filter(|job| job["kind"] == "train");
    assert_eq!(trained.count(), 3, "{plan}");
    let answers = sweep(&folder, &data, &out, &["--json", "--quiet"]).json();
    let variants = answers["rows"][0]["variants"].as_array().unwrap();
    let of = |id: &str| variants.iter().find(|variant| variant["variant"] == id).unwrap();
    for id in ["control", "control control.epochs=1", "control control.epochs=2"] {
        assert!(of(id)["values"][0].is_number(), "{variants:?}");
    }
}

/// The others are measured, and the command has done what can be done.
#[test]
fn a_value_of_a_sweep_whose_training_diverges_is_passed_over() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
    let file = folder.argument("rates.toml");
    let over = |values: &str| {
        let rates = format!("[[axis]]\nsetting = 'control.learning_rate'\nvalues = {values}\n");
        fs::write(&file, CONTROLS.split_once("[[axis]]").unwrap().0.to_owned() + &rates).unwrap();
        let arguments = ["--sweep", &file, "--images", "32", "--set", "control.epochs=1", "--json"];
        reproduce_plainly(&data, &out, &arguments)
    };
    let run = over("['1e30', '0.05']");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stderr.contains("passed over: control control.learning_rate=1e30: "),
        "{}",
        run.stderr
    );
    let found = run.json();
    let shard = ["--sweep", &file, "--images", "32", "--set", "control.epochs=1", "--shard", "1/1"];
    let shard = reproduce_plainly(&data, &folder.argument("shard"), &shard);
    assert_eq!(shard.code, Some(0), "{}", shard.stderr);
    assert_eq!(found["rows"][0]["variants"].as_array().unwrap().len(), 2, "{found}");
    let passed = found["passed_over"].as_array().unwrap();
    assert_eq!(passed.len(), 1, "{found}");
    assert!(passed[0]["why"].as_str().unwrap().contains("epoch 1"), "{found}");

    // How a training ends is a result of the shard too: nothing is missing when they are joined.
    let joined = folder.argument("joined");
    let shard = folder.argument("shard");
    let merge = ["merge", &shard, "--out", &joined, "--json"];
    let merged = crate::run(&merge);
    assert_eq!(merged.code, Some(0), "{}", merged.stderr);
    assert_eq!(merged.json(), found);

    // Results of other settings beside it: the report does not take it for theirs.
    let results = reproduce(&data, &out, &["--table", "2"]);
    assert_eq!(results.code, Some(0), "{}", results.stderr);
    for page in ["report.md", "index.html"] {
        let page = String::from_utf8(read(folder.path("out").join(page))).unwrap();
        assert!(page.contains("The sweep is not of these results"), "{page}");
        assert!(page.contains("learning rate usually helps"), "{page}");
        assert!(!page.contains("Mean distance from a printed row, as run and at best"), "{page}");
    }

    // Tables have no other values to go on with.
    let rate = ["--set", "control.learning_rate=1e30", "--table", "1"];
    reproduce_plainly(&data, &out, &rate).assert_fails(1, &["they fail whenever they are run"]);
}

#[test]
fn a_folder_of_other_images_profile_or_engine_is_refused() {
    let folder = Folder::new();
    let (data, out) = (folder.small_data(384, 40), folder.argument("out"));
    let done = sweep(&folder, &data, &out, &["--quiet"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let answers = read(folder.path("out/sweep.json"));
    let before = folder.names("out/store");
    // In the place of the same files: the name of the set, the number of images and all options are the same.
    let other = folder.with_other_labels();
    for more in [&[][..], &["--dry-run"], &["--table", "1"]] {
        let run = match more {
            ["--table", ..] => reproduce_plainly(&other, &out, more),
            more => sweep(&folder, &other, &out, more),
        };
        let words = ["other training images", "other test images", "name another folder"];
        run.assert_fails(2, &words);
    }
    folder.small_data(384, 40);
    sweep(&folder, &data, &out, &["--profile", "paper"])
        .assert_fails(2, &["profile published, not paper", "name another folder"]);

    // Another engine's, and one that did not say of which images its results are.
    let request = folder.path("out/store/request.json");
    let text = String::from_utf8(read(&request)).unwrap();
    fs::write(&request, text.replace("\"numerics\": 3", "\"numerics\": 1")).unwrap();
    sweep(&folder, &data, &out, &[]).assert_fails(2, &["numerics 1", "name another folder"]);
    crate::run(&["merge", &out, "--out", &folder.argument("m")]).assert_fails(1, &["numerics 1"]);
    fs::remove_file(&request).unwrap();
    sweep(&folder, &data, &out, &[]).assert_fails(2, &["older engine", "name another folder"]);
    crate::run(&["merge", &out, "--out", &folder.argument("m")])
        .assert_fails(1, &["an older engine made it"]);
    assert!(!folder.path("m").exists());
    fs::write(&request, text).unwrap();
    assert_eq!((folder.names("out/store"), read(folder.path("out/sweep.json"))), (before, answers));
}

#[test]
fn merge_joins_what_it_finds_and_computes_only_if_told() {
    let folder = Folder::new();
    let data = folder.small_data(384, 40);
    let [whole, first, second, merged] =
        ["whole", "first", "second", "merged"].map(|name| folder.argument(name));
    for (out, shard) in [(&whole, None), (&first, Some("1/2")), (&second, Some("2/2"))] {
        let shard = shard.map_or(vec![], |shard| vec!["--shard", shard]);
        let run = sweep(&folder, &data, out, &[&["--quiet"][..], &shard].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
    let expected = read(folder.path("whole/sweep.json"));
    let merge = |more: &[&str]| crate::run(&[&["merge", "--out", &merged][..], more].concat());

    let dry = merge(&[&first, &second, "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{}", dry.stderr);
    assert!(dry.stdout.contains("nothing of 6 jobs is missing"), "{}", dry.stdout);
    let plan = merge(&[&first, "--dry-run", "--json"]).json();
    assert_eq!(
        (&plan["taken"][0]["results"], plan["missing"].as_array().unwrap().len()),
        (&4.into(), 2)
    );
    assert!(!folder.path("merged").exists());

    // Without any of the shards' options; what is missing is said, not computed.
    let run = merge(&[&first]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("first: 4 results taken"), "{}", run.stderr);
    assert!(
        run.stderr.contains("2 of 6 jobs have no result (1 train, 1 transfer)"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("--compute"), "{}", run.stderr);
    merge(&[&first, "--jobs", "2"]).assert_fails(2, &["--compute"]);
    let run = merge(&[&first, &second]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("second: 2 results taken"), "{}", run.stderr);
    assert!(read(folder.path("merged/sweep.json")) == expected);

    // What is missing, of the images that the folders were made of.
    fs::remove_dir_all(&merged).unwrap();
    let relabeled = Folder::new();
    relabeled.small_data(384, 40);
    let other = relabeled.with_other_labels();
    let run = merge(&[&first, "--compute", "--data-dir", &other]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("other training images"), "{}", run.stderr);
    let run = merge(&[&first, "--compute", "--data-dir", &data, "--quiet"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(read(folder.path("merged/sweep.json")) == expected);

    // Folders of other images do not belong together.
    let foreign = folder.argument("foreign");
    let run = sweep(&folder, &other, &foreign, &["--quiet", "--shard", "2/2"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let names = [first.as_str(), &foreign, "other training images"];
    crate::run(&["merge", &first, &foreign, "--out", &folder.argument("m")])
        .assert_fails(2, &names);
    assert!(!folder.path("m").exists());
}
