//! Feeds every target its seeds, then mutations of them for some seconds: `cargo run --bin replay -- [SECONDS [NAME...]]`.
//! Neither a nightly compiler nor libFuzzer is needed, and the same inputs come in the same order every time. What a target
//! panics at, or takes more than a second for, is written to a file, and ends the run with an error.

use deepsleep_fuzz::mutation::Random;
use deepsleep_fuzz::{TARGETS, seeds, target};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(2, |text| text.parse().expect("whole seconds"));
    let mut names: Vec<String> = arguments.collect();
    if names.is_empty() {
        names = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    }
    for name in &names {
        let seeds = seeds::of(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let (mut random, start, mut inputs) = (Random(0), Instant::now(), seeds.len());
        let mut failed = seeds.iter().find(|seed| fails(name, seed)).cloned();
        while failed.is_none() && start.elapsed() < Duration::from_secs(seconds) {
            let mutant = random.mutant(&seeds);
            inputs += 1;
            failed = fails(name, &mutant).then_some(mutant);
        }
        if let Some(input) = failed {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(name);
            let path = folder.join(format!("replay-{inputs}"));
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&path, input))
                .expect("saved");
            eprintln!("error: {name} failed; the input is {}", path.display());
            return ExitCode::FAILURE;
        }
        println!("{name}: {} seeds, {inputs} inputs", seeds.len());
    }
    ExitCode::SUCCESS
}

/// Whether a target panics at this, or takes too long for it three times.
fn fails(name: &str, input: &[u8]) -> bool {
    let run = || {
        let start = Instant::now();
        let done = std::panic::catch_unwind(|| target(name)(input));
        (done.is_err(), start.elapsed() > LIMIT)
    };
    // A busy machine is slow at any time, but not three times in turn.
    let (panicked, slow) = run();
    panicked || slow && (0..2).all(|_| run().1)
}
