//! Attacks on the robust LeNet of tests/golden, in samples a second, on all threads: what the peers in benches/peers
//! are asked to do, with the same images and radius.
//!
//! Every attack gets images that survive it, so each runs to its end: that is the cost that matters.
//! `cargo bench --bench attacks`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use deepsleep::attack::geometry::{SortBuffer, onto_hyperplane};
use deepsleep::attack::{Budget, Norm, Samples, parse_attack, run_attack};
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{Freeze, Model};
use deepsleep::simd::Isa;
use deepsleep::simd::random::Key;
use deepsleep::tensor::Context;
use rand::RngExt;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

/// Eight blocks: enough that no thread waits for the last one for long.
const SAMPLES: usize = 128;

/// AutoAttack takes as long as all the others together.
const FEW: usize = 32;

const BUDGET: Budget = Budget { norm: Norm::Linf, eps: 0.1, seed: 0 };

fn attacks(c: &mut Criterion) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let state = StateDict::load(golden.join("lenet_robust.safetensors")).expect("weights");
    let model = Model::open(&state).and_then(|lenet| lenet.freeze()).expect("a LeNet");
    let folder = locate(DatasetName::Mnist, None).expect("MNIST");
    let test = Dataset::load(folder, Split::Test).expect("MNIST");
    let context = Context::new(0).expect("threads");
    let run = |name: &str, samples: &Samples| {
        let a = parse_attack(name).expect("an attack");
        run_attack(&context, &model, samples, a.as_ref(), BUDGET).expect("a result")
    };
    let all = Samples::from_dataset(&test, 0..2 * SAMPLES).expect("images");
    let robust = run("apgd-t:steps=30", &all).robust_indices();
    let chosen: Vec<usize> = robust.iter().take(SAMPLES).map(|&id| id as usize).collect();
    let samples = all.select(&chosen).expect("images");

    let mut group = c.benchmark_group("attacks");
    group.sample_size(10).warm_up_time(Duration::from_secs(1));
    group.throughput(Throughput::Elements(samples.len() as u64));
    for (label, name) in [
        ("PGD-10", "pgd:steps=10"),
        ("CW-100", "cw:form=published"),
        ("APGD-CE", "apgd-ce"),
        ("FAB-T, one target", "fab-t:targets=1"),
        ("Square-1000", "square:queries=1000"),
        ("Square-5000", "square"),
    ] {
        group.bench_function(label, |b| b.iter(|| run(name, &samples)));
    }
    // As images come: at this radius most fall, many of them at once, and free lanes wait for the others of their block.
    let wide = Budget { eps: 0.2, ..BUDGET };
    let square = parse_attack("square").expect("an attack");
    group.throughput(Throughput::Elements(all.len() as u64));
    group.bench_function("Square-5000, all images, eps 0.2", |b| {
        b.iter(|| run_attack(&context, &model, &all, square.as_ref(), wide).expect("a result"));
    });
    let few = samples.select(&(0..FEW).collect::<Vec<_>>()).expect("images");
    group.throughput(Throughput::Elements(FEW as u64));
    group.bench_function("AutoAttack, standard", |b| b.iter(|| run("autoattack", &few)));
    group.finish();
}

/// FAB's inner loop on one thread: two of these a step. Throughput counts pixels.
fn hyperplane(c: &mut Criterion) {
    const PIXELS: usize = 784;
    let isa = Isa::detect().expect("an instruction set");
    let mut random = Key::new(0).generator();
    let mut numbers = |low: f32, high: f32| -> Vec<f32> {
        (0..PIXELS).map(|_| random.random_range(low..high)).collect()
    };
    // A third of MNIST's pixels is not black.
    let point: Vec<f32> = numbers(-2.0, 1.0).into_iter().map(|x| x.max(0.0)).collect();
    let normal = numbers(-1.0, 1.0);
    let (mut step, mut order) = (vec![0.0; PIXELS], SortBuffer::default());
    let mut group = c.benchmark_group("onto a hyperplane");
    group.throughput(Throughput::Elements(PIXELS as u64));
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        group.bench_function(norm.to_string(), |b| {
            b.iter(|| {
                let (point, normal) = (black_box(&point), black_box(&normal));
                onto_hyperplane(isa, norm, point, normal, 3.0, &mut step, &mut order);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, attacks, hyperplane);
criterion_main!(benches);
