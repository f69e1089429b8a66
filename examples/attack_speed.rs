//! Our side of `benches/peers/attacks.py`: attacks on the robust LeNet of tests/golden, timed. Prints JSON.
//!
//! `cargo run --release --example attack_speed -- THREADS JOBS`, where JOBS is a JSON list of
//! `{"name": ..., "attack": "pgd:steps=10", "images": 256}`.

use deepsleep::attack::{Budget, Norm, Samples, parse_attack, run_attack};
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{Freeze, Model};
use deepsleep::simd::fma_peak_gflops;
use deepsleep::tensor::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

#[derive(Deserialize)]
struct Job {
    name: String,
    attack: String,
    eps: f32,
    images: usize,
}

#[derive(Serialize)]
struct Timed {
    seconds: f64,
    robust_accuracy: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().ok_or("THREADS missing")?.parse()?;
    let jobs: Vec<Job> = serde_json::from_str(&arguments.next().ok_or("JOBS missing")?)?;

    let context = Context::new(threads)?;
    let weights =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lenet_robust.safetensors");
    let model = Model::open(&StateDict::load(weights)?)?.freeze()?;
    let test = Dataset::load(locate(DatasetName::Mnist, None)?, Split::Test)?;

    let mut timed = BTreeMap::new();
    for job in jobs {
        let samples = Samples::from_dataset(&test, 0..job.images)?;
        let chosen = parse_attack(&job.attack)?;
        let budget = Budget { norm: Norm::Linf, eps: job.eps, seed: 0 };
        let start = Instant::now();
        let report = run_attack(&context, &model, &samples, chosen.as_ref(), budget)?;
        let seconds = start.elapsed().as_secs_f64();
        timed.insert(job.name, Timed { seconds, robust_accuracy: report.robust_accuracy() });
    }
    println!(
        "{}",
        serde_json::json!({
            "isa": context.isa().name(),
            "threads": context.threads(),
            "fma_peak_gflops": fma_peak_gflops(context.isa(), context.threads()),
            "jobs": timed,
        })
    );
    Ok(())
}
