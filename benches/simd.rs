//! Elementary functions and random numbers in elements a second, in the first-level cache, on the instruction set that
//! `DEEPSLEEP_ISA` asks for (else the best tested one), one thread.
//!
//! The machine's peak: cycles a second x 2 multiply-add units x 8 lanes (AVX2) x 2 FLOP; what of it can be reached is
//! measured and printed first. `cargo bench --bench simd`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use deepsleep::simd::math::{atan, exp, ln, sigmoid, tanh};
use deepsleep::simd::random::{Key, RandomLanes};
use deepsleep::simd::{Isa, LANES, Lanes, Simd, dispatch, fma_peak_gflops};
use std::hint::black_box;

/// 8 KiB to read and 8 KiB to write.
const VECTORS: usize = 128;

macro_rules! on_slices {
    ($($name:ident: $function:ident),*) => {$(
        fn $name(isa: Isa, from: &[Lanes], to: &mut [Lanes]) {
            #[inline(always)]
            fn body<S: Simd>(s: S, from: &[Lanes], to: &mut [Lanes]) {
                for (from, to) in from.iter().zip(to) {
                    s.store($function(s, s.load(from)), to);
                }
            }
            dispatch!(isa, s => body(s, from, to))
        }
    )*};
}
on_slices!(exps: exp, lns: ln, tanhs: tanh, sigmoids: sigmoid, atans: atan);

fn uniforms(isa: Isa, random: &mut RandomLanes, to: &mut [Lanes]) {
    #[inline(always)]
    fn body<S: Simd>(s: S, random: &mut RandomLanes, to: &mut [Lanes]) {
        let mut registers = random.load(s);
        for to in to {
            s.store(registers.uniform(s), to);
        }
        registers.store(s, random);
    }
    dispatch!(isa, s => body(s, random, to))
}

fn simd(c: &mut Criterion) {
    let isa = Isa::detect().expect("DEEPSLEEP_ISA");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, threads] {
        let peak = fma_peak_gflops(isa, threads);
        println!("{}: {peak:.1} GFLOP/s multiply-add peak, {threads} thread(s)", isa.name());
    }

    let mut group = c.benchmark_group("simd");
    group.throughput(Throughput::Elements((VECTORS * LANES) as u64));
    let at = |f: &dyn Fn(f32) -> f32| -> Vec<Lanes> {
        let lanes = |v| Lanes(std::array::from_fn(|i| f((v * LANES + i) as f32 / 2048.0)));
        (0..VECTORS).map(lanes).collect()
    };
    let signed = at(&|x| 20.0 * x - 10.0);
    let positive = at(&|x| 1e-3 + 100.0 * x);
    let mut to = vec![Lanes::ZERO; VECTORS];

    type OnSlices = fn(Isa, &[Lanes], &mut [Lanes]);
    let functions: [(&str, OnSlices, &[Lanes]); 5] = [
        ("exp", exps, &signed),
        ("ln", lns, &positive),
        ("tanh", tanhs, &signed),
        ("sigmoid", sigmoids, &signed),
        ("atan", atans, &signed),
    ];
    for (name, function, from) in functions {
        group.bench_function(BenchmarkId::new(name, isa.name()), |b| {
            b.iter(|| function(isa, black_box(from), black_box(&mut to)));
        });
    }

    let mut random =
        RandomLanes::new(&std::array::from_fn(|sample| Key::new(1).with(sample as u64)));
    group.bench_function(BenchmarkId::new("xoshiro128++ uniform", isa.name()), |b| {
        b.iter(|| uniforms(isa, black_box(&mut random), black_box(&mut to)));
    });
    group.finish();
}

criterion_group!(benches, simd);
criterion_main!(benches);
