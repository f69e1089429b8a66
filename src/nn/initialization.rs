//! Random initial weights.

use crate::simd::random::{Key, uniform_from_bits};
use rand::Rng;

/// `count` numbers uniform in -1/sqrt(fan_in) .. 1/sqrt(fan_in) (docs/method.md, section 1; PyTorch's default for convolution
/// and linear layers), from the stream of (seed, `parameter`): independent of the other parameters.
pub fn uniform_fan_in(seed: u64, parameter: &str, count: usize, fan_in: usize) -> Vec<f32> {
    // The stream's name is part of every weight's bits, its spelling too.
    let mut random = Key::new(seed).named("initialisation").named(parameter).generator();
    let bound = 1.0 / (fan_in as f32).sqrt();
    (0..count).map(|_| (2.0 * uniform_from_bits(random.next_u32()) - 1.0) * bound).collect()
}
