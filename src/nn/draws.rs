//! Random networks: which of their draws decide on an image.

use crate::simd::random::Key;

/// Draws whose mean logits decide about an image, unless a network says otherwise: one answer of a random network is
/// luck.
pub const DRAWS: usize = 20;

/// The key of one of the draws that decide about a sample. Clean accuracies and the verdicts on attacked images share
/// it, so that they differ by the image and not by luck; attacks draw from keys of their own and never see it.
pub fn decision_noise(seed: u64, id: u64, draw: usize) -> Key {
    Key::new(seed).named("verdict").with(id).with(draw as u64)
}
