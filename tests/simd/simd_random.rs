//! The sixteen generators against `rand_xoshiro`, one lane at a time.

use deepsleep::simd::random::{Key, RandomLanes, uniform_from_bits};
use deepsleep::simd::{Isa, LANES, Lanes, LanesU32, Simd, dispatch};
use rand::{Rng, RngExt};
use std::collections::HashSet;

fn keys() -> [Key; LANES] {
    std::array::from_fn(|sample| Key::new(42).named("test").with(3).with(sample as u64))
}

#[inline(always)]
fn draw_body<S: Simd>(s: S, random: &mut RandomLanes, to: &mut [LanesU32]) {
    let mut registers = random.load(s);
    for to in to {
        s.store_u32(registers.next_u32(s), to);
    }
    registers.store(s, random);
}

fn draw(isa: Isa, random: &mut RandomLanes, count: usize) -> Vec<LanesU32> {
    let mut to = vec![LanesU32::ZERO; count];
    dispatch!(isa, s => draw_body(s, random, &mut to));
    to
}

#[inline(always)]
fn uniform_body<S: Simd>(s: S, random: &mut RandomLanes, to: &mut [Lanes]) {
    let mut registers = random.load(s);
    for to in to {
        s.store(registers.uniform(s), to);
    }
    registers.store(s, random);
}

#[test]
fn lanes_draw_what_the_scalar_generator_draws() {
    for isa in crate::common::isas() {
        let mut random = RandomLanes::new(&keys());
        // In two pieces: the state survives its rest in memory.
        let mut drawn = draw(isa, &mut random, 600);
        drawn.extend(draw(isa, &mut random, 400));
        for (lane, key) in keys().into_iter().enumerate() {
            let mut scalar = key.generator();
            for (step, drawn) in drawn.iter().enumerate() {
                assert_eq!(drawn.0[lane], scalar.next_u32(), "{} {lane} {step}", isa.name());
            }
        }
    }
}

#[test]
fn a_replaced_lane_leaves_the_others_alone() {
    for isa in crate::common::isas() {
        let mut random = RandomLanes::new(&keys());
        draw(isa, &mut random, 10);
        let newcomer = Key::new(42).named("test").with(3).with(99);
        random.set(5, newcomer);
        let drawn = draw(isa, &mut random, 10);
        for (lane, key) in keys().into_iter().enumerate() {
            let mut scalar = key.generator();
            (0..10).for_each(|_| _ = scalar.next_u32());
            let mut scalar = if lane == 5 { newcomer.generator() } else { scalar };
            assert!(drawn.iter().all(|drawn| drawn.0[lane] == scalar.next_u32()));
        }
    }
}

#[test]
fn uniform_numbers_are_the_scalar_ones_and_uniform() {
    const STEPS: usize = 4096;
    for isa in crate::common::isas() {
        let mut random = RandomLanes::new(&keys());
        let mut drawn = vec![Lanes::ZERO; STEPS];
        dispatch!(isa, s => uniform_body(s, &mut random, &mut drawn));
        for (lane, key) in keys().into_iter().enumerate() {
            let (mut bits, mut floats) = (key.generator(), key.generator());
            for drawn in &drawn {
                assert_eq!(drawn.0[lane], uniform_from_bits(bits.next_u32()));
                // The convention of the crate `rand`.
                assert_eq!(drawn.0[lane], floats.random::<f32>());
            }
        }
        let all = drawn.iter().flat_map(|drawn| drawn.0);
        assert!(all.clone().all(|x| (0.0..1.0).contains(&x)));
        // 65,536 numbers: the mean's standard deviation is 0.0011, a tenth's count's is 77.
        let mean = all.clone().map(f64::from).sum::<f64>() / (STEPS * LANES) as f64;
        assert!((mean - 0.5).abs() < 0.006, "{mean}");
        for tenth in 0..10 {
            let count = all.clone().filter(|x| (x * 10.0) as usize == tenth).count();
            assert!(count.abs_diff(STEPS * LANES / 10) < 400, "{tenth}: {count}");
        }
    }
}

#[test]
fn uniform_reaches_both_ends_and_never_one() {
    assert_eq!(uniform_from_bits(0), 0.0);
    assert_eq!(uniform_from_bits(0xff), 0.0);
    assert_eq!(uniform_from_bits(0x100), 1.0 / 16_777_216.0);
    assert_eq!(uniform_from_bits(u32::MAX), 1.0 - 1.0 / 16_777_216.0);
}

#[test]
fn keys_differ_in_every_part() {
    let mut seen = HashSet::new();
    for seed in 0..10 {
        for purpose in ["", "shuffle", "poisson", "a purpose of many letters", "a purpose"] {
            for epoch in 0..10 {
                for sample in 0..10 {
                    let key = Key::new(seed).named(purpose).with(epoch).with(sample);
                    assert!(seen.insert(key.to_u64()));
                    assert!(seen.insert(key.generator().next_u64()));
                }
            }
        }
    }
    assert_ne!(Key::new(0).with(1).with(2), Key::new(0).with(2).with(1));
    assert_ne!(Key::new(0).named("a\0"), Key::new(0).named("a"));
}

/// The numbers of a published result must not change with a version of anything. The values are those of a
/// dozen lines of Python, written from the published algorithms.
#[test]
fn streams_stay_what_they_are() {
    let key = Key::new(1).named("golden").with(2).with(3);
    let mut generator = key.generator();
    let drawn = [generator.next_u32(), generator.next_u32(), generator.next_u32()];
    assert_eq!(
        (key.to_u64(), drawn),
        (5_773_256_485_542_754_764, [2_105_018_268, 3_420_989_350, 3_128_192_641])
    );
}
