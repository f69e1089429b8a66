//! The decision that logits stand for. Attacks, tables and pictures decide by these functions, so one network has one
//! accuracy. [`accuracy`](super::accuracy) decides sixteen samples at a time, by
//! [`arg_max`](crate::kernels::cross_entropy::arg_max); the test `lanes_decide_as_samples_do` holds the two together.

/// The predicted class: the largest logit's, the first of equals. A network whose logits are all equal predicts
/// class 0.
///
/// ```
/// use deepsleep::nn::predict;
/// assert_eq!(predict(&[0.5, 2.0, 2.0]), 1);
/// assert_eq!(predict(&[0.0; 10]), 0);
/// ```
pub fn predict(logits: &[f32]) -> usize {
    let better =
        |best: (usize, f32), (i, &z): (usize, &f32)| if z > best.1 { (i, z) } else { best };
    logits.iter().enumerate().fold((0, f32::NEG_INFINITY), better).0
}

/// `z_y - max_{i != y} z_i`: negative where another class wins, 0 at a tie, which the label wins only if it comes first
/// (see [`predict`]).
pub fn margin(logits: &[f32], label: usize) -> f32 {
    let others = logits.iter().enumerate().filter(|&(i, _)| i != label).map(|(_, &z)| z);
    logits[label] - others.fold(f32::NEG_INFINITY, f32::max)
}

/// A margin that rounding cannot have made: 1e-5 of the largest logit's size. (Not of their spread, which of two classes
/// is the margin itself.) What is decided by more than this is decided the same way in double precision and by another
/// framework, which adds in another order.
pub fn rounding(logits: &[f32]) -> f32 {
    1e-5 * logits.iter().fold(0.0f32, |largest, z| largest.max(z.abs()))
}

/// The classes other than the label, the likeliest first, the first of equals before the others.
pub fn other_classes(logits: &[f32], label: usize, into: &mut Vec<usize>) {
    into.clear();
    into.extend((0..logits.len()).filter(|&i| i != label));
    into.sort_unstable_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
}

/// The largest logit less the smallest.
pub fn spread(logits: &[f32]) -> f32 {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |m, &z| m.max(z));
    largest - logits.iter().fold(f32::INFINITY, |m, &z| m.min(z))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cross_entropy::arg_max;
    use crate::simd::{Isa, LANES, Lanes, LanesU32};
    use proptest::prelude::*;

    /// Few values, so that ties are common, with the zero of either sign and the largest numbers.
    fn logit() -> impl Strategy<Value = f32> {
        prop::sample::select(vec![-f32::MAX, -1.5, -0.0, 0.0, 1e-30, 0.5, 1.0, f32::MAX])
    }

    proptest! {
        #[test]
        fn lanes_decide_as_samples_do(
            samples in (1usize..12).prop_flat_map(|classes| {
                prop::collection::vec(prop::collection::vec(logit(), classes), LANES)
            })
        ) {
            let lanes = |class: usize| Lanes(std::array::from_fn(|lane| samples[lane][class]));
            let block: Vec<Lanes> = (0..samples[0].len()).map(lanes).collect();
            for isa in Isa::available() {
                let mut best = LanesU32::ZERO;
                arg_max(isa, &block, &mut best);
                for (best, sample) in best.0.iter().zip(&samples) {
                    prop_assert_eq!(*best as usize, predict(sample));
                }
            }
        }
    }
}
