//! Dropout: replaces a random share of the numbers by zeros.

use crate::simd::random::{Key, RandomLanes};
use crate::simd::{Isa, LANES, Lanes, Simd, dispatch};

/// `x / (1 - rate)` with probability `1 - rate`, else 0; features beyond those of one time step (`features`) are treated
/// as those of the first. Lane i draws the stream of `noise[i]` and nothing else. With the same keys it is its own
/// gradient.
pub fn dropout(
    isa: Isa,
    rate: f32,
    noise: &[Key; LANES],
    features: usize,
    x: &[Lanes],
    out: &mut [Lanes],
) {
    let generators = RandomLanes::new(noise);
    dispatch!(isa, s => {
        let (rate, factor) = (s.splat(rate), s.splat(1.0 / (1.0 - rate)));
        for (x, out) in x.chunks(features).zip(out.chunks_mut(features)) {
            let mut random = generators.load(s);
            for (x, out) in x.iter().zip(out) {
                let gone = s.lt(random.uniform(s), rate);
                s.store(s.select(gone, s.zero(), s.mul(s.load(x), factor)), out);
            }
        }
    });
}
