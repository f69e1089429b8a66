//! Time-step throughput of spiking layers: neuron updates a second (criterion's elements), on the threads of the
//! machine. One update of a LIF neuron is two multiply-adds, a comparison and a selection; the machine's FMA peak
//! (printed by `cargo bench --bench simd`, and by `deepsleep-cli info`) bounds it by a quarter of its FLOP/s.
//!
//! - `lif forward`, `lif forward + bptt`: a layer of 8 steps x 128 samples x 5,760 neurons, a current for every step,
//!   fused over time; beside `lif unfused`, the same arithmetic one step and one operation at a time.
//! - `lif backward`: the backward pass of the same layer alone, by the name of the estimator of its gradients.
//! - `stdp conv 1->10`: the published slow-wave layer, batch 128, 200 steps: simulation and update.
//! - `fast-wave step`: one training step of the spiking Model, batch 128, with a dream (elements are images).

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use deepsleep::autodiff::{Seed, Tape};
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::kernels::conv2d::{Conv2dOptions, Geometry};
use deepsleep::kernels::elementwise;
use deepsleep::kernels::lif::Estimate;
use deepsleep::nn::Model;
use deepsleep::simd::Lanes;
use deepsleep::sleep::{DreamSource, FastWave, FastWaveOptions, StdpConv};
use deepsleep::snn::{Neuron, Surrogate};
use deepsleep::tensor::{Context, Shape, Tensor};
use std::hint::black_box;
use std::time::{Duration, Instant};

const STEPS: usize = 8;
const SAMPLES: usize = 128;
const NEURONS: usize = 5760;

fn lif(c: &mut Criterion) {
    let mut group = c.benchmark_group("lif 8x128x5760");
    group.throughput(Throughput::Elements((STEPS * SAMPLES * NEURONS) as u64));
    group.sample_size(20);
    let context = Context::new(0).expect("threads");
    let dynamics = Neuron::default().dynamics().expect("the published neuron");
    let surrogate = Surrogate::default();
    let shape = Shape::new(10, 24, 24);
    let mut tape = Tape::new(context.clone());
    group.bench_function("lif forward", |b| {
        b.iter(|| {
            let mut current = tape.tensor(shape, SAMPLES, STEPS);
            black_box(current.lanes_mut());
            let x = tape.constant(current);
            tape.lif(x, dynamics, surrogate, STEPS).expect("shapes fit");
            tape.reset();
        });
    });
    group.bench_function("lif forward + bptt", |b| {
        let mut first = tape.tensor(shape, SAMPLES, STEPS);
        fill(&mut first);
        b.iter(|| {
            let mut current = tape.tensor(shape, SAMPLES, STEPS);
            black_box(current.lanes_mut());
            let x = tape.input(current);
            let spikes = tape.lif(x, dynamics, surrogate, STEPS).expect("shapes fit");
            tape.backward(spikes, Seed::Sum).expect("a gradient is wanted");
            tape.reset();
        });
    });
    group.bench_function("lif unfused (one thread)", |b| {
        let isa = context.isa();
        let mut current = Tensor::zeros(shape, SAMPLES);
        fill(&mut current);
        let mut membrane = vec![Lanes::ZERO; current.lanes().len()];
        let mut spikes = membrane.clone();
        let mut half = membrane.clone();
        b.iter(|| {
            for _ in 0..STEPS {
                elementwise::scale(isa, 0.5, &membrane, &mut half);
                elementwise::scale(isa, 0.5, current.lanes(), &mut membrane);
                elementwise::add_assign(isa, &half, &mut membrane);
                for (m, s) in membrane.iter_mut().zip(&mut spikes) {
                    for (m, s) in m.0.iter_mut().zip(&mut s.0) {
                        *s = f32::from(u8::from(*m > 0.5));
                        *m *= 1.0 - *s;
                    }
                }
            }
            black_box(&mut spikes);
        });
    });
}

/// The backward pass alone, by every way to estimate the gradients of spikes.
fn backward(c: &mut Criterion) {
    let mut group = c.benchmark_group("lif backward 8x128x5760");
    group.throughput(Throughput::Elements((STEPS * SAMPLES * NEURONS) as u64));
    group.sample_size(20);
    let dynamics = Neuron::default().dynamics().expect("the published neuron");
    let mut tape = Tape::new(Context::new(0).expect("threads"));
    for name in [
        "own",
        "triangle",
        "rectangle",
        "exponential",
        "arctan",
        "straight-through",
        "bptr",
        "rga",
        "relu",
        "hart",
        "pdsg",
        "assg",
    ] {
        let estimator = name.parse().expect("a known name");
        group.bench_function(name, |b| {
            b.iter_custom(|iterations| {
                let mut time = Duration::ZERO;
                for i in 0..iterations {
                    let mut current = tape.tensor(Shape::new(10, 24, 24), SAMPLES, STEPS);
                    fill(&mut current);
                    let x = tape.input(current);
                    let spikes = tape.lif(x, dynamics, Surrogate::default(), STEPS);
                    // A run of an attack begins, and goes on.
                    let fresh = if i == 0 { u16::MAX } else { 0 };
                    tape.set_estimate(Estimate { estimator, fresh, learn: true });
                    let start = Instant::now();
                    tape.backward(spikes.expect("shapes fit"), Seed::Sum)
                        .expect("a gradient is wanted");
                    time += start.elapsed();
                    tape.reset();
                }
                time
            });
        });
    }
}

/// Currents on both sides of the threshold.
fn fill(tensor: &mut Tensor) {
    for (i, lanes) in tensor.lanes_mut().iter_mut().enumerate() {
        lanes.0 = std::array::from_fn(|lane| ((i * 7 + lane * 3) % 29) as f32 / 20.0);
    }
}

fn images(count: usize) -> Dataset {
    let folder = locate(DatasetName::Mnist, None).expect("the bundled data set");
    Dataset::load(folder, Split::Train).expect("readable").slice(0..count).expect("enough")
}

fn stdp(c: &mut Criterion) {
    const TIME: usize = 200;
    let mut group = c.benchmark_group("stdp");
    group.throughput(Throughput::Elements((TIME * SAMPLES * NEURONS) as u64));
    group.sample_size(20);
    let context = Context::new(0).expect("threads");
    let x = Tensor::from_array(images(SAMPLES).images_f32(0..SAMPLES).view());
    let lenet = Model::lenet(0);
    let weight = &deepsleep::nn::Network::parameters(&lenet)[0].values;
    let input = Shape::new(1, 28, 28);
    let geometry =
        Geometry::new(input, [10, 1, 5, 5], Conv2dOptions::default()).expect("LeNet's layer");
    let mut layer = StdpConv::new(geometry, weight).expect("LeNet's layer");
    group.bench_function("stdp conv 1->10, batch 128, T 200", |b| {
        b.iter(|| {
            let tie = |_: usize, _: usize, _: usize, candidates: &[u32]| {
                candidates[0].trailing_zeros() as usize
            };
            layer.simulate(&context, &x, TIME, &tie).expect("shapes fit");
            let gradient = layer.gradient(&context, &x);
            layer.update(&gradient, 1e-3);
            layer.reset();
        });
    });
}

fn fast_wave(c: &mut Criterion) {
    let mut group = c.benchmark_group("fast-wave");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    group.sample_size(20);
    let context = Context::new(0).expect("threads");
    let (data, lenet) = (images(SAMPLES), Model::lenet(0));
    let mut options = FastWaveOptions::default();
    options.dream.source = DreamSource::Control;
    options.dream.ratio = 1.0;
    let mut sleep =
        FastWave::new(&context, &lenet, &lenet, None, &options, 0).expect("usable options");
    group.bench_function("fast-wave step with a dream, batch 128, T 8", |b| {
        b.iter(|| sleep.epoch(&context, &data).expect("finite"));
    });
}

criterion_group!(benches, lif, backward, stdp, fast_wave);
criterion_main!(benches);
