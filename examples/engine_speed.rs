//! Our side of the comparison with PyTorch: the jobs of `benches/peers/engine.py`, under the same JSON keys.
//!
//! `cargo run --release --example engine_speed` prints one JSON object; `benches/peers/compare.py` runs it in turn with
//! PyTorch, and `benches/peers/README.md` says what each key counts.

use clap::Parser;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{
    Freeze, FrozenModel, Model, PlainRegime, Trainer, TrainingOptions, input_gradients, predictions,
};
use deepsleep::simd::fma_peak_gflops;
use deepsleep::tensor::{Context, Tensor};
use deepsleep::{Error, Result};
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const GRADIENT_BATCHES: [usize; 3] = [128, 1000, 2000];
const EVALUATION_BATCHES: [usize; 4] = [128, 500, 1000, 2000];
/// Training steps before the clock counts.
const WARM_UP: usize = 10;
/// Timed calls of each batch size, however slow.
const MIN_CALLS: usize = 5;

/// Our speed at training, attacking and evaluating LeNet.
#[derive(Parser)]
struct Options {
    /// Threads; 0 for every core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Training steps timed
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..))]
    steps: u16,
    /// Time spent on each batch size of the other two jobs
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Folder of MNIST; without it, the usual places
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let span = Duration::try_from_secs_f64(options.seconds)
        .map_err(|e| Error::argument("--seconds", e.to_string()))?;
    let folder = locate(DatasetName::Mnist, options.data_dir.as_deref())?;
    let data = Dataset::load(folder, Split::Train)?;
    let context = Context::new(options.threads)?;

    let (step, epoch_run) = training(&context, &data, options.steps.into())?;
    let steps_per_epoch = data.len() / TrainingOptions::default().batch_size;
    let frozen = Model::lenet(0).freeze()?;
    let rate = |size: usize, seconds: f64| size as f64 / seconds;
    let mut gradients = 0.0_f64;
    for size in GRADIENT_BATCHES {
        let seconds = gradient_seconds(&context, &frozen, &data.slice(0, size)?, span)?;
        gradients = gradients.max(rate(size, seconds));
    }
    let mut evaluations = 0.0_f64;
    for size in EVALUATION_BATCHES {
        let data = data.slice(0, size)?;
        let seconds = median_seconds(span, || predictions(&context, &frozen, black_box(&data)))?;
        evaluations = evaluations.max(rate(size, seconds));
    }

    let result = serde_json::json!({
        "deepsleep": env!("CARGO_PKG_VERSION"),
        "isa": context.isa().name(),
        "threads": context.threads(),
        "fma_peak_gflops": rounded(fma_peak_gflops(context.isa(), context.threads()), 1),
        "fma_peak_gflops_one_thread": rounded(fma_peak_gflops(context.isa(), 1), 1),
        "epoch_seconds": rounded(step * steps_per_epoch as f64, 3),
        "epoch_seconds_run": rounded(epoch_run, 3),
        "step_ms_median": rounded(1e3 * step, 3),
        "input_gradients_per_second": gradients.round(),
        "evaluations_per_second": evaluations.round(),
    });
    println!("{result}");
    Ok(())
}

fn rounded(value: f64, digits: i32) -> f64 {
    (value * 10_f64.powi(digits)).round() / 10_f64.powi(digits)
}

/// Median seconds of a training step, and those of the whole epoch that the steps are the beginning of.
fn training(context: &Context, data: &Dataset, steps: usize) -> Result<(f64, f64)> {
    let mut lenet = Model::lenet(0);
    let mut trainer = Trainer::new(&lenet, TrainingOptions::default())?;
    let start = Instant::now();
    let (mut last, mut times) = (start, Vec::new());
    trainer.epoch_with(context, &mut lenet, data, &mut PlainRegime, |_| {
        let now = Instant::now();
        times.push(now - last);
        last = now;
    })?;
    let epoch = start.elapsed().as_secs_f64();
    Ok((median(times.into_iter().skip(WARM_UP).take(steps)), epoch))
}

/// Median seconds of one forward pass and the loss's gradient with respect to the images, nothing else.
fn gradient_seconds(
    context: &Context,
    frozen: &FrozenModel,
    data: &Dataset,
    span: Duration,
) -> Result<f64> {
    let images = Tensor::from_array(data.images_f32(0..data.len()).view());
    let labels: Vec<usize> = (0..data.len()).map(|i| data.label(i)).collect();
    median_seconds(span, || input_gradients(context, frozen, black_box(&images), &labels))
}

fn median_seconds<T>(span: Duration, mut call: impl FnMut() -> Result<T>) -> Result<f64> {
    for _ in 0..3 {
        black_box(call()?);
    }
    let (mut times, start) = (Vec::new(), Instant::now());
    while times.len() < MIN_CALLS || start.elapsed() < span {
        let start = Instant::now();
        black_box(call()?);
        times.push(start.elapsed());
    }
    Ok(median(times.into_iter()))
}

/// The median in seconds; of an even number, the mean of the middle two.
fn median(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<f64> = times.map(|time| time.as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    let half = times.len() / 2;
    match times.len() % 2 {
        0 => (times[half - 1] + times[half]) / 2.0,
        _ => times[half],
    }
}
