//! LeNet from pixels to a trained step, to predictions, to gradients for attacks; on one thread and on all.
//!
//! `cargo bench --bench lenet`, on the bundled MNIST images. Throughput counts images, so criterion's `Kelem/s` is
//! thousands of images a second.
//!
//! The machine's peak: cores x GHz x 2 FMA ports x lanes (8 of AVX2, 16 of AVX-512) x 2 FLOP, e.g.
//! 2 x 3.3 GHz x 2 x 8 x 2 = 211 GFLOP/s for two Zen 2 cores. The measured peaks of one thread and of all are printed
//! first, and the images a second that would keep the multiply-adds of LeNet's convolutions and linear layer at that
//! peak: 934,400 FLOP forward (288,000 + 640,000 + 6,400), as many again for a gradient to the pixels. A training step
//! is forward, gradient to all weights and gradient to the inputs of all layers but the first. What an image takes
//! beyond that (pixels from bytes, normalization, rectifier, pooling, loss, update) counts as loss against the peak.
//!
//! `benches/peers/compare.py` runs the same three jobs in turn with PyTorch.

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{Freeze, Model, Trainer, TrainingOptions, input_gradients, predictions};
use deepsleep::simd::fma_peak_gflops;
use deepsleep::tensor::{Context, Tensor};
use std::hint::black_box;
use std::time::{Duration, Instant};

const EVALUATED: usize = 2_000;
const ATTACKED: usize = 2_048;

/// Multiply-adds, times two, of an image's forward pass: the convolutions and the linear layer.
const FORWARD: [f64; 3] = [288_000.0, 640_000.0, 6_400.0];

fn lenet(c: &mut Criterion) {
    let folder = locate(DatasetName::Mnist, None).expect("the bundled images");
    let train = Dataset::load(&folder, Split::Train).expect("the training images");
    let test = Dataset::load(&folder, Split::Test).expect("the test images");

    let mut group = c.benchmark_group("lenet");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    for (name, threads) in [("1 thread", 1), ("all threads", 0)] {
        let context = Context::new(threads).expect("DEEPSLEEP_ISA, threads");
        print_peak(&context);
        training_step(&mut group, name, &context, &train);
        evaluation(&mut group, name, &context, &test);
        input_gradient_step(&mut group, name, &context, &test);
    }
    group.finish();
}

fn print_peak(context: &Context) {
    let (threads, isa) = (context.threads(), context.isa());
    let peak = fma_peak_gflops(isa, threads);
    let [conv1, conv2, linear] = FORWARD;
    let forward = conv1 + conv2 + linear;
    let images = |flops: f64| peak * 1e9 / flops / 1e3;
    println!(
        "{}: {peak:.1} GFLOP/s multiply-add peak, {threads} thread(s): thousands of images a second at most: \
         training {:.1}, evaluation {:.1}, input gradients {:.1}",
        isa.name(),
        images(3.0 * forward - conv1),
        images(forward),
        images(2.0 * forward),
    );
}

/// Steps at the default batch of 128 over all training images in an order that jumps about, as a shuffled one does.
fn training_step(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    context: &Context,
    data: &Dataset,
) {
    let mut lenet = Model::lenet(0);
    let options = TrainingOptions::default();
    let size = options.batch_size;
    let mut trainer = Trainer::new(&lenet, options).expect("the default options");
    let order: Vec<usize> = (0..data.len()).map(|i| i * 7919 % data.len()).collect();
    let mut batches = order.chunks_exact(size).cycle();
    group.throughput(Throughput::Elements(size as u64));
    group.bench_function(BenchmarkId::new("training step", name), |b| {
        b.iter_custom(|iterations| {
            // As an epoch does: the pool is entered once.
            context.install(|| {
                let start = Instant::now();
                for batch in batches.by_ref().take(iterations as usize) {
                    let loss = trainer.step(context, &mut lenet, data, batch);
                    black_box(loss.expect("indices of the data set"));
                }
                start.elapsed()
            })
        });
    });
}

/// From bytes to predicted classes.
fn evaluation(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    context: &Context,
    data: &Dataset,
) {
    let data = data.slice(0..EVALUATED).expect("as many test images");
    let frozen = Model::lenet(0).freeze().expect("LeNet's sizes fit");
    group.throughput(Throughput::Elements(EVALUATED as u64));
    group.bench_function(BenchmarkId::new("evaluation", name), |b| {
        b.iter(|| {
            predictions(context, &frozen, black_box(&data)).expect("images of LeNet's shape")
        });
    });
}

/// From pixels to the loss and its gradient to them.
fn input_gradient_step(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    context: &Context,
    data: &Dataset,
) {
    let frozen = Model::lenet(0).freeze().expect("LeNet's sizes fit");
    let images = Tensor::from_array(data.images_f32(0..ATTACKED).view());
    let labels: Vec<usize> = (0..ATTACKED).map(|i| data.label(i)).collect();
    group.throughput(Throughput::Elements(ATTACKED as u64));
    group.bench_function(BenchmarkId::new("input gradients", name), |b| {
        b.iter(|| {
            input_gradients(context, &frozen, black_box(&images), &labels).expect("LeNet's shape")
        });
    });
}

criterion_group!(benches, lenet);
criterion_main!(benches);
