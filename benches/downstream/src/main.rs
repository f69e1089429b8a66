//! How fast the engine trains and attacks in the build that this was compiled in: one job a line, with the least CPU
//! milliseconds of its repetitions on one thread. `benches/downstream/run` compares builds.

use deepsleep::attack::{Budget, Norm, Samples, parse_attack, run_attack};
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{Freeze, Model, Trainer, TrainingOptions};
use deepsleep::tensor::Context;
use std::time::Instant;

/// Name, attack, images.
const ATTACKS: [(&str, &str, usize); 3] = [
    ("pgd-40", "pgd:steps=40", 64),
    ("apgd-ce", "apgd-ce:steps=40", 64),
    ("square", "square:queries=300", 64),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let repetitions = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let folder = locate(DatasetName::Mnist, None)?;
    let train = Dataset::load(&folder, Split::Train)?.slice(0..1024)?;
    let test = Dataset::load(&folder, Split::Test)?;
    let context = Context::new(1)?;

    let mut lenet = Model::lenet(0);
    let mut trainer = Trainer::new(&lenet, TrainingOptions::default())?;
    let mut failure = None;
    report("train", repetitions, || {
        failure = trainer.epoch(&context, &mut lenet, &train).err();
    });
    failure.map_or(Ok(()), Err)?;

    let model = lenet.freeze()?;
    for (name, attack_name, images) in ATTACKS {
        let attack = parse_attack(attack_name)?;
        let samples = Samples::from_dataset(&test, 0..images)?;
        let budget = Budget { norm: Norm::Linf, eps: 0.05, seed: 0 };
        let mut failure = None;
        report(name, repetitions, || {
            failure = run_attack(&context, &model, &samples, attack.as_ref(), budget).err();
        });
        failure.map_or(Ok(()), Err)?;
    }
    Ok(())
}

/// Runs a job once unmeasured, then so many times, and prints the least.
fn report(name: &str, repetitions: usize, mut job: impl FnMut()) {
    job();
    let mut least = f64::INFINITY;
    for _ in 0..repetitions {
        let start = Clock::start();
        job();
        least = least.min(start.milliseconds());
    }
    println!("{name} {least:.2}");
}

/// The time that all threads spent on a processor, where the system says it (Linux); else the wall clock.
struct Clock {
    wall: Instant,
    on_processor: Option<u64>,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), on_processor: Self::on_processor() }
    }

    fn milliseconds(&self) -> f64 {
        match (self.on_processor, Self::on_processor()) {
            (Some(start), Some(end)) => (end - start) as f64 / 1e6,
            _ => self.wall.elapsed().as_secs_f64() * 1e3,
        }
    }

    fn on_processor() -> Option<u64> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir("/proc/self/task").ok()? {
            let line = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            nanoseconds += line.split_whitespace().next()?.parse::<u64>().ok()?;
        }
        Some(nanoseconds)
    }
}
