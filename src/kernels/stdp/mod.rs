//! The published slow-wave layers (docs/method.md, section 3): integrate-and-fire neurons that compete, over all time steps at
//! once, and the pieces of their plasticity.
//!
//! All channels of a pixel (or all outputs of a linear layer) compete: of those that spike in a step one wins, chosen
//! at random where several do, and every other is inhibited. Their membranes stay in registers and L1 while time runs;
//! random numbers are drawn only where there is a tie.
//!
//! The convolution layer runs in units of its threshold: there its dynamics do not depend on the scale of the weights,
//! and the threshold is 1 for all channels.

mod current;
mod few;
mod many;

pub use current::{channel_max, normalize, squash, squash_grad};

use crate::simd::{Isa, Lanes, dispatch};
use crate::tensor::Shape;

/// Channels in a word of a set of candidates.
const WORD: usize = u32::BITS as usize;

/// A competition's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Competition<'a> {
    /// Channels x pixels; every pixel competes by itself.
    pub shape: Shape,
    /// Time steps.
    pub steps: usize,
    /// Share of the membrane that is left a step later.
    pub decay: f32,
    /// What a membrane must exceed to spike, one number a channel.
    pub threshold: &'a [f32],
}

/// Lets the channels of every pixel of a block compete for all time steps.
///
/// `current` drives the membranes, constant in time; `membrane` is the state before and after; `inhibition` is what a
/// loser's membrane is lowered by, one number a sample; `count` gets the number of wins. `tie(pixel, lane, step,
/// candidates)` chooses one of the channels whose bits are set: channel c is bit c % 32 of word c / 32.
#[expect(clippy::too_many_arguments, reason = "what the kernel reads, writes and borrows")]
pub fn compete(
    isa: Isa,
    competition: &Competition<'_>,
    live: usize,
    current: &[Lanes],
    inhibition: &Lanes,
    membrane: &mut [Lanes],
    count: &mut [Lanes],
    mut tie: impl FnMut(usize, usize, usize, &[u32]) -> usize,
) {
    // LeNet's two layers by name, so that their loops are unrolled.
    dispatch!(isa, s => match competition.shape.channels {
        10 => few::run::<_, 10>(s, competition, live, current, inhibition, membrane, count, &mut tie),
        20 => few::run::<_, 20>(s, competition, live, current, inhibition, membrane, count, &mut tie),
        _ => many::run(s, competition, live, current, inhibition, membrane, count, &mut tie),
    });
}

/// The bit of `candidates` that a uniform random number of 64 bits points at.
#[inline]
pub fn choose(candidates: &[u32], random: u64) -> usize {
    let count: u32 = candidates.iter().map(|word| word.count_ones()).sum();
    let mut skip = ((u128::from(random) * u128::from(count)) >> 64) as u32;
    for (i, &word) in candidates.iter().enumerate() {
        let ones = word.count_ones();
        if skip < ones {
            let mut rest = word;
            for _ in 0..skip {
                rest &= rest - 1;
            }
            return i * WORD + rest.trailing_zeros() as usize;
        }
        skip -= ones;
    }
    // There was no candidate.
    0
}
