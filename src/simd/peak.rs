//! Measures the processor's multiply-add peak, the yardstick for kernels.

#![forbid(unsafe_code)]

use super::{Isa, LANES, Lanes, Simd, dispatch};
use std::hint::black_box;
use std::sync::{Barrier, OnceLock};
use std::time::{Duration, Instant};

/// Repetitions of [`SPAN`] each; the best one counts, since other work on the machine can only slow one down.
const REPETITIONS: usize = 3;
const SPAN: Duration = Duration::from_millis(20);

/// Looks at the clock once in this many steps of all accumulators: 15 microseconds or more, against its 30 ns.
const STEPS: u32 = 10_000;

/// The measured peak of all threads together, in 10^9 floating-point operations a second; a multiply-add is two.
///
/// Runs `threads` (at least one) threads on independent accumulators in registers, enough of them to hide the latency
/// of a multiply-add, for about 60 milliseconds. On a machine that is busy elsewhere the number is lower than its peak.
pub fn fma_peak_gflops(isa: Isa, threads: usize) -> f64 {
    let threads = threads.max(1);
    // Of all threads that there are, which is known when they are.
    let start: OnceLock<Barrier> = OnceLock::new();
    let one_thread = || {
        std::array::from_fn::<f64, REPETITIONS, _>(|_| {
            start.wait().wait();
            dispatch!(isa, s => flops_per_second(s))
        })
    };
    let rates: Vec<[f64; REPETITIONS]> = std::thread::scope(|scope| {
        let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, one_thread).ok();
        let others: Vec<_> = (1..threads).map_while(spawn).collect();
        start.get_or_init(|| Barrier::new(others.len() + 1));
        let own = one_thread();
        let rates = others.into_iter().map(|t| t.join().expect("the measuring loop cannot panic"));
        rates.chain([own]).collect()
    });
    let together = |repetition: usize| rates.iter().map(|rate| rate[repetition]).sum::<f64>();
    (0..REPETITIONS).map(together).fold(0.0, f64::max) / 1e9
}

#[inline(always)]
fn flops_per_second<S: Simd>(s: S) -> f64 {
    // An associated constant cannot be an array's length yet.
    if S::ACCUMULATORS >= 20 { measure::<S, 20>(s) } else { measure::<S, 5>(s) }
}

#[inline(always)]
fn measure<S: Simd, const ACCUMULATORS: usize>(s: S) -> f64 {
    // The compiler knows neither the operands, nor that all sums start from the same number, nor what becomes of
    // them, so it has to do the work. The sums tend to 2: no overflow, no denormal numbers.
    let factor = s.load(black_box(&Lanes::splat(0.5)));
    let summand = s.load(black_box(&Lanes::splat(1.0)));
    let mut sums: [S::F32; ACCUMULATORS] = [s.load(black_box(&Lanes::ZERO)); ACCUMULATORS];
    let start = Instant::now();
    let mut rounds = 0u64;
    let seconds = loop {
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = s.mul_add(*sum, factor, summand);
            }
        }
        rounds += 1;
        let elapsed = start.elapsed();
        if elapsed >= SPAN {
            break elapsed.as_secs_f64();
        }
    };
    for sum in sums {
        let mut lanes = Lanes::ZERO;
        s.store(sum, &mut lanes);
        black_box(lanes);
    }
    let flops = 2 * LANES as u64 * ACCUMULATORS as u64 * u64::from(STEPS) * rounds;
    flops as f64 / seconds
}
