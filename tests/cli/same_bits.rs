//! A reproduction, with all its defenses and attacks, on every instruction set with any number of threads: the same
//! results, models and crafted images, byte for byte. So are an evaluation under attack and what `attack` saves, of the
//! spiking network too. (What a single training step, gradient or lane does: tests/determinism.rs, spiking_bits.rs.)

use crate::common::isas;
use crate::{Folder, Run, as_options, cli, full, read};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

const THREADS: [&str; 3] = ["1", "2", "5"];

/// Table 1 of next to nothing, so that the portable instruction set gets through it too: batches of two blocks.
const TINY: &str = "--quick --table 1 --images 16 --white-box-images 2 control.epochs=2 control.batch_size=32 \
    slow_wave.initial_rate=0.1 slow_wave.batches=1 slow_wave.batch_size=32 fast_wave.epochs=1 \
    fast_wave.batch_size=32 fast_wave.spiking.steps=2 adversarial_training.epochs=1 \
    adversarial_training.batch_size=32 distillation.student_epochs=1 distillation.batch_size=32 \
    sleep.steps=50 --quiet --jobs 0";

/// Every instruction set with two threads, and every number of threads with the widest, as neither knows of the other; but not
/// those for which the true quick run takes hours.
fn machines() -> impl Iterator<Item = (&'static str, &'static str)> {
    let names: Vec<&str> = isas().into_iter().map(|isa| isa.name()).collect();
    let widest = names[names.len() - 1];
    let all = names.into_iter().flat_map(|isa| THREADS.map(|threads| (isa, threads)));
    let is_slow = |isa| full() && isa == "portable";
    all.filter(move |&(isa, threads)| threads == "2" || isa == widest && !is_slow(isa))
}

fn run_on((isa, threads): (&str, &str), arguments: &[&str]) -> Run {
    let arguments = [arguments, &["--threads", threads]].concat();
    let run = Run::of(cli(&arguments).env("DEEPSLEEP_ISA", isa));
    assert_eq!(run.code, Some(0), "{isa}, {threads} threads: {}", run.stderr);
    run
}

/// Keeps a line of what a run said it ran on, in the file that `DEEPSLEEP_TEST_ISAS` names: `.ci/run` compares it with
/// what the processor has.
fn testify(isa: &str) {
    let Some(path) = std::env::var_os("DEEPSLEEP_TEST_ISAS") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    writeln!(file.expect("DEEPSLEEP_TEST_ISAS names a file"), "{isa}").expect("it can be written");
}

/// What must not differ: the results, and every model and crafted set of the store.
fn outcome(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let store = std::fs::read_dir(out.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let files = store.filter(|path| path.extension().is_some_and(|end| end != "json"));
    let files = files.chain(["results.json", "results.csv"].map(|name| out.join(name)));
    files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), read(path))).collect()
}

#[test]
fn a_reproduction_is_the_same_on_every_instruction_set_and_number_of_threads() {
    let folder = Folder::new();
    let data = folder.small_data(64, 16);
    let mut first: Option<BTreeMap<String, Vec<u8>>> = None;
    for (isa, threads) in machines() {
        let out = folder.argument(&format!("{isa}-{threads}"));
        let tiny = [&as_options(TINY)[..], &["--data-dir", &data]].concat();
        let graph = if full() { &["--quick", "--quiet"][..] } else { &tiny };
        run_on((isa, threads), &[&["reproduce", "--out", &out][..], graph].concat());
        let facts: Value = serde_json::from_slice(&read(Path::new(&out).join("run.json"))).unwrap();
        assert_eq!((&facts["isa"], facts["threads"].to_string()), (&isa.into(), threads.into()));
        testify(isa);

        let found = outcome(Path::new(&out));
        let ending = |end: &str| found.keys().filter(|name| name.ends_with(end)).count();
        assert!(ending(".safetensors") >= 5 && ending(".npz") >= 8, "{:?}", found.keys());
        let expected = first.get_or_insert_with(|| found.clone());
        let names = expected.keys().chain(found.keys());
        let other: Vec<&String> = names.filter(|&n| found.get(n) != expected.get(n)).collect();
        assert!(other.is_empty(), "{isa}, {threads} threads: {other:?} differ");
    }
}

/// JSON without the times in it.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            map.retain(|key, _| key != "seconds" && key != "images_per_second");
            map.values_mut().for_each(|value| *value = timeless(value.take()));
        }
        Value::Array(all) => all.iter_mut().for_each(|value| *value = timeless(value.take())),
        _ => {}
    }
    value
}

#[test]
fn evaluations_and_attacks_are_the_same_on_every_instruction_set_and_number_of_threads() {
    let folder = Folder::new();
    let npz = folder.argument("crafted.npz");
    let model = ["--model", "tests/golden/lenet_robust.safetensors"];
    // Two blocks and a bit.
    let budget = ["--eps", "32/255", "--images", "35", "--json"];
    let mut first = None;
    for machine in machines() {
        let of = |command: &str, kind: &[&str], more: &[&str]| {
            let parts = [&[command][..], &model, kind, &budget, more];
            timeless(run_on(machine, &parts.concat()).json())
        };
        let spiking = &["--model-kind", "snn"][..];
        let found = (
            of("evaluate", &[], &["--attack", "pgd:steps=3", "--attack", "square:queries=20"]),
            of("evaluate", spiking, &["--attack", "pgd:steps=2"]),
            of("attack", &[], &["--attack", "deepfool:steps=2", "--save", &npz]),
            read(&npz),
        );
        let accuracy = &found.1["results"][0]["robust_accuracy"];
        assert!(accuracy.as_f64().is_some_and(|share| 0.0 < share && share < 1.0), "{accuracy}");
        let expected = first.get_or_insert_with(|| found.clone());
        assert_eq!((&found.0, &found.1), (&expected.0, &expected.1), "{machine:?}");
        assert_eq!(found.2, expected.2, "{machine:?}");
        assert!(found.3 == expected.3, "{machine:?}: other images were crafted");
    }
}
