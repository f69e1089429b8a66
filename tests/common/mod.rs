//! What the tests share: the instruction sets to run on, numbers worth trying, and how results are compared.

#![allow(dead_code)] // every test binary uses its own part of it

pub mod masks;
pub mod models;
pub mod networks;
pub mod plain;
pub mod surrogates;

use deepsleep::simd::{Isa, LANES, Lanes};
use deepsleep::tensor::{Shape, Tensor};
use ndarray::ArrayView4;

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

/// The fastest instruction set to test: a processor lists them from slow to fast.
pub fn best() -> Isa {
    isas().pop().expect("there is always the portable one")
}

/// `count` numbers in -1..1, different for every seed, the same on every machine.
pub fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// [`numbers`] as a tensor of one time step.
pub fn tensor(seed: u64, samples: usize, shape: Shape) -> Tensor {
    let values = numbers(seed, samples * shape.features());
    let dimensions = (samples, shape.channels, shape.height, shape.width);
    Tensor::from_array(ArrayView4::from_shape(dimensions, &values).expect("as many numbers"))
}

/// A tensor's numbers, sample after sample (at every time step), in f64.
pub fn wide(tensor: &Tensor) -> Vec<f64> {
    tensor.to_array().iter().map(|&x| f64::from(x)).collect()
}

/// f32 to f64.
pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

/// The error of a tensor: max |found - expected| / max |expected|. NaN counts as infinite.
pub fn relative(
    found: impl IntoIterator<Item = f32>,
    expected: impl IntoIterator<Item = f64>,
) -> f64 {
    let (mut difference, mut scale) = (0.0_f64, 0.0_f64);
    let (mut found, mut expected) = (found.into_iter(), expected.into_iter());
    loop {
        match (found.next(), expected.next()) {
            (Some(a), Some(b)) => {
                let d = (f64::from(a) - b).abs();
                difference = if d.is_nan() { f64::INFINITY } else { difference.max(d) };
                scale = scale.max(b.abs());
            }
            (None, None) => return if difference == 0.0 { 0.0 } else { difference / scale },
            _ => panic!("not as many numbers as expected"),
        }
    }
}

/// The bits of all lanes, dead ones included.
pub fn bits(lanes: &[Lanes]) -> Vec<u32> {
    lanes.iter().flat_map(|lanes| lanes.0.map(f32::to_bits)).collect()
}

/// Whether every dead lane of a tensor holds a zero (of either sign).
pub fn dead_lanes_are_zero(tensor: &Tensor) -> bool {
    (0..tensor.blocks()).all(|block| {
        let live = tensor.live(block);
        tensor.block(block).iter().all(|lanes| lanes.0[live..].iter().all(|&x| x == 0.0))
    })
}
