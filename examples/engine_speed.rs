//! Our side of the comparison with PyTorch: the jobs of `benches/peers/engine.py`, under the same JSON keys.
//!
//! `cargo run --release --example engine_speed` prints one JSON object; `benches/peers/compare.py` runs it in turn with
//! PyTorch, and `benches/peers/README.md` says what each key counts.

use clap::Parser;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::architecture::{Architecture, BUILTIN};
use deepsleep::nn::{
    Freeze, FrozenModel, Model, PlainRegime, Trainer, TrainingOptions, input_gradients, predictions,
};
use deepsleep::simd::{fma_peak_gflops, random::Key};
use deepsleep::tensor::{Context, Shape, Tensor};
use deepsleep::{Error, Result};
use rand::Rng;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const GRADIENT_BATCHES: [usize; 3] = [128, 1000, 2000];
const EVALUATION_BATCHES: [usize; 4] = [128, 500, 1000, 2000];
/// Training steps before the clock counts.
const WARM_UP: usize = 10;
/// The same of networks that are not LeNet: each step is a hundred times as long, and larger batches are no faster.
const WIDE_BATCHES: [usize; 1] = [128];
const WIDE_WARM_UP: usize = 2;
/// Images of an epoch, of whichever data set.
const IMAGES_OF_AN_EPOCH: usize = 60_000;
const CLASSES: usize = 10;
/// Timed calls of each batch size, however slow.
const MIN_CALLS: usize = 5;

/// Our speed at training, attacking and evaluating a network.
#[derive(Parser)]
struct Options {
    /// A built-in network; LeNet gets MNIST, all others noise
    #[arg(long, default_value = "lenet")]
    architecture: String,
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
    let context = Context::new(options.threads)?;
    let steps = usize::from(options.steps);
    let lenet = options.architecture == "lenet";
    let (gradient_batches, evaluation_batches, warm_up) = match lenet {
        true => (&GRADIENT_BATCHES[..], &EVALUATION_BATCHES[..], WARM_UP),
        false => (&WIDE_BATCHES[..], &WIDE_BATCHES[..], WIDE_WARM_UP),
    };
    let (model, data) = if lenet {
        let folder = locate(DatasetName::Mnist, options.data_dir.as_deref())?;
        (Model::lenet(0), Dataset::load(folder, Split::Train)?)
    } else {
        let images = TrainingOptions::default().batch_size * (warm_up + steps);
        wide(&options.architecture, images)?
    };

    let (step, epoch_run) = training(&context, &model, &data, warm_up, steps)?;
    let steps_per_epoch = IMAGES_OF_AN_EPOCH / TrainingOptions::default().batch_size;
    let frozen = model.freeze()?;
    let rate = |size: usize, seconds: f64| size as f64 / seconds;
    let mut gradients = 0.0_f64;
    for &size in gradient_batches {
        let seconds = gradient_seconds(&context, &frozen, &data.slice(0..size)?, span)?;
        gradients = gradients.max(rate(size, seconds));
    }
    let mut evaluations = 0.0_f64;
    for &size in evaluation_batches {
        let data = data.slice(0..size)?;
        let seconds = median_seconds(span, || predictions(&context, &frozen, black_box(&data)))?;
        evaluations = evaluations.max(rate(size, seconds));
    }

    let result = serde_json::json!({
        "deepsleep": env!("CARGO_PKG_VERSION"),
        "isa": context.isa().name(),
        "architecture": options.architecture,
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

/// A built-in network and as many images of noise for it.
fn wide(name: &str, images: usize) -> Result<(Model, Dataset)> {
    let input = BUILTIN.iter().find(|builtin| builtin.name == name);
    let input = input.map_or(Shape::new(3, 32, 32), |builtin| builtin.input);
    let architecture = Architecture::named(name, input, CLASSES)?;
    let mut pixels = vec![0; images * input.features()];
    Key::new(0).generator().fill_bytes(&mut pixels);
    let labels = (0..images).map(|i| (i % CLASSES) as u8).collect();
    Ok((Model::new(architecture, 0)?, Dataset::new(pixels, labels, input, CLASSES)?))
}

fn rounded(value: f64, digits: i32) -> f64 {
    (value * 10_f64.powi(digits)).round() / 10_f64.powi(digits)
}

/// Median seconds of a training step, and those of the whole epoch that the steps are the beginning of.
fn training(
    context: &Context,
    model: &Model,
    data: &Dataset,
    warm_up: usize,
    steps: usize,
) -> Result<(f64, f64)> {
    let mut model = model.clone();
    let mut trainer = Trainer::new(&model, TrainingOptions::default())?;
    let start = Instant::now();
    let (mut last, mut times) = (start, Vec::new());
    trainer.epoch_with(context, &mut model, data, &mut PlainRegime, |_| {
        let now = Instant::now();
        times.push(now - last);
        last = now;
    })?;
    let epoch = start.elapsed().as_secs_f64();
    Ok((median(times.into_iter().skip(warm_up).take(steps)), epoch))
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
