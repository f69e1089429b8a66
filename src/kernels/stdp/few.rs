//! Competition among a few channels, whose number is known at compile time.

use super::Competition;
use crate::simd::{LANES, Lanes, LanesU32, Simd, first_lanes};

/// See [`super::compete`]; `C` channels, at most 32.
#[expect(clippy::too_many_arguments, reason = "the kernel's arguments, passed on")]
#[inline(always)]
pub(super) fn run<S: Simd, const C: usize>(
    s: S,
    competition: &Competition<'_>,
    live: usize,
    current: &[Lanes],
    inhibition: &Lanes,
    membrane: &mut [Lanes],
    count: &mut [Lanes],
    tie: &mut impl FnMut(usize, usize, usize, &[u32]) -> usize,
) {
    let pixels = competition.shape.pixels();
    let (decay, inhibition) = (s.splat(competition.decay), s.load(inhibition));
    let one = s.splat(1.0);
    let nobody = s.splat_u32(0);
    let alive = s.mask_from_bits(first_lanes(live));
    let mut threshold = [s.zero(); C];
    for (to, &value) in threshold.iter_mut().zip(competition.threshold) {
        *to = s.splat(value);
    }
    for pixel in 0..pixels {
        let mut i = [s.zero(); C];
        let mut m = [s.zero(); C];
        let mut n = [s.zero(); C];
        for c in 0..C {
            // Dead lanes never reach a threshold, not even a negative one.
            let drive = s.load(&current[c * pixels + pixel]);
            i[c] = s.select(alive, drive, s.splat(f32::NEG_INFINITY));
            m[c] = s.load(&membrane[c * pixels + pixel]);
        }
        for step in 0..competition.steps {
            // The channels that spike, one bit each.
            let mut spikes = nobody;
            for c in 0..C {
                let u = s.mul_add(m[c], decay, i[c]);
                let spike = s.gt(u, threshold[c]);
                m[c] = s.select(spike, s.zero(), u);
                let with = s.or_u32(spikes, s.splat_u32(1 << c));
                spikes = s.select_u32(spike, with, spikes);
            }
            let any = s.mask_not(s.eq_u32(spikes, nobody));
            if s.mask_bits(any) == 0 {
                continue;
            }
            let without_lowest = s.and_u32(spikes, s.sub_u32(spikes, s.splat_u32(1)));
            let several = s.mask_bits(s.mask_not(s.eq_u32(without_lowest, nobody)));
            if several != 0 {
                let mut candidates = LanesU32::ZERO;
                s.store_u32(spikes, &mut candidates);
                for lane in (0..LANES).filter(|lane| several >> lane & 1 == 1) {
                    let winner = tie(pixel, lane, step, &[candidates.0[lane]]);
                    candidates.0[lane] = 1 << winner;
                }
                spikes = s.load_u32(&candidates);
            }
            // Where no channel won, nothing is subtracted.
            let inhibition = s.select(any, inhibition, s.zero());
            for c in 0..C {
                let silent = s.eq_u32(s.and_u32(spikes, s.splat_u32(1 << c)), nobody);
                m[c] = s.select(silent, s.sub(m[c], inhibition), m[c]);
                n[c] = s.select(silent, n[c], s.add(n[c], one));
            }
        }
        for c in 0..C {
            s.store(s.keep_first(m[c], live), &mut membrane[c * pixels + pixel]);
            s.store(s.keep_first(n[c], live), &mut count[c * pixels + pixel]);
        }
    }
}
