//! Random spikes from intensities.

use crate::simd::random::{Key, RandomLanes};
use crate::simd::{Isa, LANES, Lanes, Simd, dispatch};

/// 1 with probability `rate * x`, else 0, anew for every step of `out` (`[step][feature]`). Each lane draws the stream
/// of `noise` and the lane's own bits.
pub fn poisson(isa: Isa, rate: f32, noise: Key, x: &[Lanes], out: &mut [Lanes]) {
    let mut keys = [noise; LANES];
    for lanes in x {
        for (key, value) in keys.iter_mut().zip(&lanes.0) {
            *key = key.with(u64::from(value.to_bits()));
        }
    }
    let generators = RandomLanes::new(&keys);
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
