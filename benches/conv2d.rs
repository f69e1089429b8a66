//! LeNet's two convolutions, and wide layers, on one thread: ours beside im2col written out + `matrixmultiply::sgemm`, beside
//! the peak.
//!
//! `cargo bench --bench conv2d`. Throughput counts floating-point operations (a multiply-add is two), so criterion's
//! `Gelem/s` is GFLOP/s. Both ways count the same operations, those on true taps: `2 x outputs x taps a sample`;
//! bias, rectifier and pooling are not counted, so the fused forward does a little more than its number says.
//!
//! The machine's peak: cores x GHz x 2 FMA ports x lanes (8 of AVX2, 16 of AVX-512) x 2 FLOP; here one core, e.g.
//! 1 x 3.3 GHz x 2 x 8 x 2 = 105.6 GFLOP/s for Zen 2. Clocks change with load and neighbors, so do not divide by that
//! formula: each group's `peak` is what independent multiply-adds in registers reach in the same run, the best of three
//! spans of 20 ms a sample. Divide the middle numbers of two lines of one group; on a machine that is not idle, run
//! again and take the median of the ratios.
//!
//! Sixteen samples (one lane block) for forward and input gradients; eight blocks (batch 128) for weight gradients, whose
//! lanes are folded once at the end. `gradient to input by pixel` is what frozen networks run (pooling's backward has
//! laid the gradient out already); `gradient to input` reorders it first, as training does.
//! `DEEPSLEEP_ISA` chooses our instruction set; `matrixmultiply` chooses its own.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use deepsleep::kernels::batch;
use deepsleep::kernels::conv2d::{
    Conv2dOptions, Geometry, Materialized, forward, forward_bias_relu_pool, input_grad,
    input_grad_by_pixel, input_grad_scratch, pack_convolve, pack_forward, pack_input_grad,
    pack_input_gradient, pool_scratch, weight_grad, weight_grad_scratch,
};
use deepsleep::simd::{Isa, LANES, Lanes, fma_peak_gflops};
use deepsleep::tensor::{Context, Region, Shape};
use std::hint::black_box;
use std::time::Duration;

const CONVOLUTIONS: [(&str, Shape, [usize; 4]); 2] = [
    ("conv2d 1->10", Shape::new(1, 28, 28), [10, 1, 5, 5]),
    ("conv2d 10->20", Shape::new(10, 12, 12), [20, 10, 5, 5]),
];

/// Wide layers of 3 x 3 kernels, channels and side, and a linear layer: all that training runs of them.
const WIDE: [(&str, usize, usize, usize); 6] = [
    ("wide 3->64", 3, 64, 32),
    ("wide 16->16", 16, 16, 32),
    ("wide 64->64", 64, 64, 32),
    ("wide 128->128", 128, 128, 16),
    ("wide 256->256", 256, 256, 8),
    ("wide 512->512", 512, 512, 4),
];

/// Blocks of a weight gradient: a batch of 128.
const BLOCKS: usize = 8;
/// Blocks of a wide layer: a batch of 64.
const WIDE_BLOCKS: usize = 4;

fn conv2d(c: &mut Criterion) {
    let isa = Isa::detect().expect("DEEPSLEEP_ISA");
    println!("our instruction set: {}", isa.name());
    for (name, input, weight) in CONVOLUTIONS {
        let g = Geometry::new(input, weight, Conv2dOptions::default()).expect("LeNet's sizes fit");
        let mut group = c.benchmark_group(name);
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
        group.throughput(Throughput::Elements((LANES * g.flops()) as u64));
        peak(&mut group, isa, LANES * g.flops());
        forwards(&mut group, isa, &g);
        input_grads(&mut group, isa, &g);
        weight_grads(&mut group, isa, &g);
        group.finish();
    }
}

/// The loops over blocks that tapes run, packing of weights included.
fn wide(c: &mut Criterion) {
    let context = Context::serial(Isa::detect().expect("DEEPSLEEP_ISA"));
    let options = Conv2dOptions::default().with(|o| o.padding = [1, 1]);
    let mut layers: Vec<(&str, Geometry)> = WIDE
        .map(|(name, from, to, side)| {
            let g = Geometry::new(Shape::new(from, side, side), [to, from, 3, 3], options);
            (name, g.expect("the sizes fit"))
        })
        .to_vec();
    layers.push(("linear 3136->1024", Geometry::linear(3136, 1024)));
    for (name, g) in layers {
        let flops = WIDE_BLOCKS * LANES * g.flops();
        let mut group = c.benchmark_group(name);
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
        group.throughput(Throughput::Elements(flops as u64));
        peak(&mut group, context.isa(), flops);
        group.sample_size(10);
        let mut weight = numbers(g.weights(), 1);
        let mut x = lanes(WIDE_BLOCKS * g.unpadded().features(), 3);
        let mut out = lanes(WIDE_BLOCKS * g.output.features(), 2);
        let (mut packed, mut memory) = (Vec::new(), Vec::new());
        group.bench_function("forward", |b| {
            b.iter(|| {
                pack_convolve(&context, &g, black_box(&weight), &mut packed);
                batch::convolve(&context, &g, black_box(&x), &packed, black_box(&mut out));
            });
        });
        group.bench_function("gradient to input", |b| {
            b.iter(|| {
                pack_input_gradient(&context, &g, black_box(&weight), &mut packed);
                batch::input_gradient(&context, &g, black_box(&out), &packed, black_box(&mut x));
            });
        });
        group.bench_function("gradient to weights", |b| {
            b.iter(|| {
                let (x, grad) = (black_box(&x), black_box(&out));
                batch::weight_gradient(&context, &g, x, grad, &mut weight, &mut memory);
            });
        });
        group.finish();
    }
}

/// Says how long that many operations would take at the measured peak.
fn peak(group: &mut BenchmarkGroup<'_, WallTime>, isa: Isa, flops: usize) {
    group.sample_size(20); // of at least 60 ms each, whatever criterion thinks
    group.bench_function("peak", |b| {
        b.iter_custom(|iterations| {
            let flops = iterations as f64 * flops as f64;
            Duration::from_secs_f64(flops / (fma_peak_gflops(isa, 1) * 1e9))
        });
    });
    group.sample_size(100);
}

fn forwards(group: &mut BenchmarkGroup<'_, WallTime>, isa: Isa, g: &Geometry) {
    let weight = numbers(g.weights(), 1);
    let bias = numbers(g.output.channels, 2);
    let mut packed = Vec::new();
    pack_forward(g, &weight, &mut packed);

    let x = lanes(g.input.features(), 3);
    let mut out = lanes(g.output.features(), 0);
    let mut pooled = lanes(g.output.features() / 4, 0);
    let mut scratch = lanes(pool_scratch(g), 0);
    let all = Region { y: 0..g.output.height / 2, x: 0..g.output.width / 2 };
    group.bench_function("forward", |b| {
        b.iter(|| forward(isa, g, black_box(&x), black_box(&packed), black_box(&mut out)));
    });
    group.bench_function("forward+bias+relu+pool", |b| {
        b.iter(|| {
            let (x, pooled) = (black_box(&x), black_box(&mut pooled));
            forward_bias_relu_pool(isa, g, x, &packed, &bias, &all, pooled, None, &mut scratch);
        });
    });

    let x = numbers(LANES * g.input.features(), 3);
    let mut out = numbers(LANES * g.output.features(), 0);
    let mut pooled = numbers(out.len() / 4, 0);
    let mut columns = vec![0.0; Materialized::room(g)];
    let mut materialized = Materialized::new(*g, &mut columns);
    group.bench_function("forward, im2col + sgemm", |b| {
        b.iter(|| {
            for (x, out) in samples(&x, &mut out, g.input, g.output) {
                materialized.forward(black_box(x), black_box(&weight), black_box(out));
            }
        });
    });
    group.bench_function("forward+bias+relu+pool, im2col + sgemm", |b| {
        b.iter(|| {
            let pooled = black_box(&mut pooled).chunks_mut(g.output.features() / 4);
            for ((x, out), pooled) in samples(&x, &mut out, g.input, g.output).zip(pooled) {
                materialized.forward(black_box(x), black_box(&weight), out);
                bias_relu_pool(g.output, out, &bias, pooled);
            }
        });
    });
}

fn input_grads(group: &mut BenchmarkGroup<'_, WallTime>, isa: Isa, g: &Geometry) {
    let weight = numbers(g.weights(), 1);
    let mut packed = Vec::new();
    pack_input_grad(g, &weight, &mut packed);

    let grad = lanes(g.output.features(), 2);
    let mut out = lanes(g.input.features(), 0);
    let mut scratch = lanes(input_grad_scratch(g), 0);
    group.bench_function("gradient to input", |b| {
        b.iter(|| {
            input_grad(isa, g, black_box(&grad), &packed, black_box(&mut out), &mut scratch);
        });
    });
    group.bench_function("gradient to input by pixel", |b| {
        b.iter(|| {
            input_grad_by_pixel(isa, g, black_box(&grad), black_box(&packed), black_box(&mut out));
        });
    });

    let grad = numbers(LANES * g.output.features(), 2);
    let mut out = numbers(LANES * g.input.features(), 0);
    let mut columns = vec![0.0; Materialized::room(g)];
    let mut materialized = Materialized::new(*g, &mut columns);
    group.bench_function("gradient to input, sgemm + col2im", |b| {
        b.iter(|| {
            for (grad, out) in samples(&grad, &mut out, g.output, g.input) {
                materialized.input_grad(black_box(grad), black_box(&weight), black_box(out));
            }
        });
    });
}

fn weight_grads(group: &mut BenchmarkGroup<'_, WallTime>, isa: Isa, g: &Geometry) {
    group.throughput(Throughput::Elements((BLOCKS * LANES * g.flops()) as u64));
    let mut out = numbers(g.weights(), 0);

    let x = lanes(BLOCKS * g.input.features(), 1);
    let grad = lanes(BLOCKS * g.output.features(), 2);
    let mut scratch = lanes(weight_grad_scratch(isa, g, g.output.channels), 0);
    group.bench_function("gradient to weights", |b| {
        b.iter(|| {
            let (x, grad) = (black_box(&x), black_box(&grad));
            weight_grad(isa, g, x, grad, 0, black_box(&mut out), &mut scratch);
        });
    });

    let x = numbers(BLOCKS * LANES * g.input.features(), 1);
    let grad = numbers(BLOCKS * LANES * g.output.features(), 2);
    let mut columns = vec![0.0; Materialized::room(g)];
    let mut materialized = Materialized::new(*g, &mut columns);
    group.bench_function("gradient to weights, im2col + sgemm", |b| {
        b.iter(|| {
            let (x, grad) = (black_box(&x), black_box(&grad));
            let out = black_box(&mut out);
            out.fill(0.0);
            let grads = grad.chunks(g.output.features());
            for (x, grad) in x.chunks(g.input.features()).zip(grads) {
                materialized.add_weight_grad(x, grad, out);
            }
        });
    });
}

/// Pairs of one sample's input and output.
fn samples<'a>(
    x: &'a [f32],
    out: &'a mut [f32],
    from: Shape,
    to: Shape,
) -> impl Iterator<Item = (&'a [f32], &'a mut [f32])> {
    x.chunks(from.features()).zip(out.chunks_mut(to.features()))
}

/// What follows a convolution that was multiplied out, for one sample.
fn bias_relu_pool(shape: Shape, x: &[f32], bias: &[f32], out: &mut [f32]) {
    let width = shape.width;
    let planes = x.chunks(shape.pixels()).zip(out.chunks_mut(shape.pixels() / 4));
    for ((plane, out), bias) in planes.zip(bias) {
        for (rows, out) in plane.chunks(2 * width).zip(out.chunks_mut(width / 2)) {
            let (top, bottom) = rows.split_at(width);
            let windows = top.as_chunks::<2>().0.iter().zip(bottom.as_chunks::<2>().0);
            for ((top, bottom), out) in windows.zip(out) {
                *out = (top[0].max(top[1]).max(bottom[0].max(bottom[1])) + bias).max(0.0);
            }
        }
    }
}

/// Numbers between -1 and 1; the same seed gives the same numbers.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    (0..count as u32).map(|i| ((i.wrapping_mul(2_654_435_761) ^ seed) as f32).sin()).collect()
}

fn lanes(count: usize, seed: u32) -> Vec<Lanes> {
    numbers(count * LANES, seed).as_chunks().0.iter().map(|&lanes| Lanes(lanes)).collect()
}

criterion_group!(benches, conv2d, wide);
criterion_main!(benches);
