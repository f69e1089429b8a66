//! Poisson encoding: random spikes from intensities.

use crate::simd::random::{Key, RandomLanes};
use crate::simd::{Isa, LANES, Lanes, Simd, dispatch};

/// 1 with probability `rate * x`, else 0, anew for every step of `out` (`[step][feature]`). Lane i draws the stream of
/// `noise[i]` and nothing else: images that hardly differ get the same draws, and nearly the same spikes.
pub fn poisson(isa: Isa, rate: f32, noise: &[Key; LANES], x: &[Lanes], out: &mut [Lanes]) {
    let generators = RandomLanes::new(noise);
    dispatch!(isa, s => {
        let mut random = generators.load(s);
        let rate = s.splat(rate);
        for out in out.chunks_mut(x.len()) {
            for (x, out) in x.iter().zip(out) {
                let probability = s.mul(rate, s.load(x));
                let spike = s.lt(random.uniform(s), probability);
                s.store(s.select(spike, s.splat(1.0), s.zero()), out);
            }
        }
    });
}
