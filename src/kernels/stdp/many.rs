//! Competition among any number of channels, with a pixel's state in the first-level cache.

use super::{Competition, WORD};
use crate::simd::{LANES, Lanes, LanesU32, Simd, first_lanes};

/// See [`super::compete`].
#[expect(clippy::too_many_arguments, reason = "the kernel's arguments, passed on")]
#[inline(always)]
pub(super) fn run<S: Simd>(
    s: S,
    competition: &Competition<'_>,
    live: usize,
    current: &[Lanes],
    inhibition: &Lanes,
    membrane: &mut [Lanes],
    count: &mut [Lanes],
    tie: &mut impl FnMut(usize, usize, usize, &[u32]) -> usize,
) {
    let (channels, pixels) = (competition.shape.channels, competition.shape.pixels());
    let words = channels.div_ceil(WORD);
    let (decay, inhibition) = (s.splat(competition.decay), s.load(inhibition));
    let (one, nobody) = (s.splat(1.0), s.splat_u32(0));
    let alive = s.mask_from_bits(first_lanes(live));
    let mut drives = vec![Lanes::ZERO; channels];
    let mut membranes = drives.clone();
    let mut counts = drives.clone();
    // The channels that spike, one bit each.
    let mut spikes = vec![LanesU32::ZERO; words];
    let mut candidates = vec![0; words];
    for pixel in 0..pixels {
        for c in 0..channels {
            // Dead lanes never reach a threshold, not even a negative one.
            let drive = s.load(&current[c * pixels + pixel]);
            s.store(s.select(alive, drive, s.splat(f32::NEG_INFINITY)), &mut drives[c]);
            membranes[c] = membrane[c * pixels + pixel];
            counts[c] = Lanes::ZERO;
        }
        for step in 0..competition.steps {
            let (mut seen, mut more) = (nobody, nobody);
            let neurons = membranes.chunks_mut(WORD).zip(drives.chunks(WORD));
            let neurons = neurons.zip(competition.threshold.chunks(WORD));
            for (((m, i), threshold), spikes) in neurons.zip(&mut spikes) {
                let mut word = nobody;
                for (bit, ((m, i), &threshold)) in m.iter_mut().zip(i).zip(threshold).enumerate() {
                    let u = s.mul_add(s.load(m), decay, s.load(i));
                    let spike = s.gt(u, s.splat(threshold));
                    s.store(s.select(spike, s.zero(), u), m);
                    let with = s.or_u32(word, s.splat_u32(1 << bit));
                    word = s.select_u32(spike, with, word);
                }
                // More than one spike: two in this word, or one here and one in an earlier word.
                let without_lowest = s.and_u32(word, s.sub_u32(word, s.splat_u32(1)));
                let again = s.select_u32(s.eq_u32(seen, nobody), nobody, word);
                more = s.or_u32(more, s.or_u32(without_lowest, again));
                seen = s.or_u32(seen, word);
                s.store_u32(word, spikes);
            }
            let any = s.mask_not(s.eq_u32(seen, nobody));
            if s.mask_bits(any) == 0 {
                continue;
            }
            let several = s.mask_bits(s.mask_not(s.eq_u32(more, nobody)));
            for lane in (0..LANES).filter(|lane| several >> lane & 1 == 1) {
                for (candidates, spikes) in candidates.iter_mut().zip(&mut spikes) {
                    *candidates = std::mem::take(&mut spikes.0[lane]);
                }
                let winner = tie(pixel, lane, step, &candidates);
                spikes[winner / WORD].0[lane] = 1 << (winner % WORD);
            }
            // Where no channel won, nothing is subtracted.
            let inhibition = s.select(any, inhibition, s.zero());
            let neurons = membranes.chunks_mut(WORD).zip(counts.chunks_mut(WORD));
            for ((m, n), spikes) in neurons.zip(&spikes) {
                let word = s.load_u32(spikes);
                for (bit, (m, n)) in m.iter_mut().zip(n).enumerate() {
                    let silent = s.eq_u32(s.and_u32(word, s.splat_u32(1 << bit)), nobody);
                    let (old, wins) = (s.load(m), s.load(n));
                    s.store(s.select(silent, s.sub(old, inhibition), old), m);
                    s.store(s.select(silent, wins, s.add(wins, one)), n);
                }
            }
        }
        for c in 0..channels {
            s.store(s.keep_first(s.load(&membranes[c]), live), &mut membrane[c * pixels + pixel]);
            s.store(s.keep_first(s.load(&counts[c]), live), &mut count[c * pixels + pixel]);
        }
    }
}
