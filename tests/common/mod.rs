//! What the tests share: the instruction sets to run on, and numbers worth trying.

#![allow(dead_code)] // every test binary uses its own part of it

pub mod models;

use deepsleep::simd::{Isa, LANES, Lanes};

/// The instruction set that `DEEPSLEEP_ISA` asks for, if it does.
pub fn asked_for() -> Option<String> {
    std::env::var("DEEPSLEEP_ISA").ok().filter(|name| !name.is_empty())
}

/// The instruction sets to test: the one that `DEEPSLEEP_ISA` asks for, else all that the processor has.
///
/// An asked-for one that cannot run fails the test instead of passing it unseen.
pub fn isas() -> Vec<Isa> {
    match asked_for() {
        Some(name) => vec![Isa::by_name(&name).unwrap_or_else(|error| panic!("{error}"))],
        None => Isa::available(),
    }
}

/// The one that every other is compared with.
pub fn portable() -> Isa {
    Isa::by_name("portable").expect("every processor has it")
}

/// Numbers at which implementations differ: zeros, denormal numbers, ties, the ends of the range, infinities, NaN.
pub const EDGES: [f32; 36] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    -1.5,
    2.5,
    -2.5,
    0.499_999_97,
    0.1,
    -0.1,
    3.0,
    -7.25,
    1e-30,
    -1e-30,
    1e30,
    -1e30,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    1.1e-38,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    8_388_607.5,
    8_388_608.0,
    16_777_215.0,
    16_777_216.0,
    -2_147_483_648.0,
    2_147_483_520.0,
    f32::EPSILON,
];

/// All pairs of [`EDGES`], sixteen pairs at a time.
pub fn edge_pairs() -> Vec<(Lanes, Lanes)> {
    let pairs: Vec<(f32, f32)> =
        EDGES.iter().flat_map(|&a| EDGES.iter().map(move |&b| (a, b))).collect();
    assert_eq!(pairs.len() % LANES, 0);
    let split = |pairs: &[(f32, f32)]| {
        (Lanes(std::array::from_fn(|i| pairs[i].0)), Lanes(std::array::from_fn(|i| pairs[i].1)))
    };
    pairs.chunks_exact(LANES).map(split).collect()
}

/// The same number to the last bit, or both NaN (whose sign and payload processors choose differently).
pub fn same_bits(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}
