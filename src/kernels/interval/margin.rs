//! The least margin of a label, from intervals.

use super::{Bounds, LARGEST, TINY, UNIT};
use crate::simd::{Isa, Lanes, LanesU32, Simd, dispatch};

/// A linear layer that makes logits.
#[derive(Clone, Copy, Debug)]
pub struct Logits<'a> {
    /// `[class][feature]`
    pub weight: &'a [f32],
    /// One number a class.
    pub bias: &'a [f32],
    /// The relative error of its sums.
    pub error: f32,
}

/// The least that `z_y - z_i` can be over all classes i but the label y, lane by lane, where `z` is computed in f32 from
/// any point of the intervals: the difference of two logits is bounded as one sum, with the difference of their weights.
/// `center` and `radius` come from [`center_and_radius`](super::center_and_radius); `own` is memory.
pub fn least_margin(
    isa: Isa,
    layer: Logits<'_>,
    labels: &LanesU32,
    center: &[Lanes],
    radius: &[Lanes],
    own: &mut Vec<Lanes>,
    out: &mut Lanes,
) {
    let (features, Logits { weight, bias, error }) = (center.len(), layer);
    let row = |class: usize| &weight[class * features..][..features];
    own.resize(features, Lanes::ZERO);
    let mut own_bias = Lanes::ZERO;
    for (lane, &label) in labels.0.iter().enumerate() {
        own_bias.0[lane] = bias[label as usize];
        own.iter_mut().zip(row(label as usize)).for_each(|(own, &weight)| own.0[lane] = weight);
    }
    dispatch!(isa, s => {
        let (labels, own_bias) = (s.load_u32(labels), s.load(&own_bias));
        let mut least = s.splat(f32::INFINITY);
        for (class, &bias) in bias.iter().enumerate() {
            let (mut sum, mut reach, mut size) = (s.zero(), s.zero(), s.zero());
            let row = &row(class)[..features];
            for i in 0..features {
                let (own, other) = (s.load(&own[i]), s.splat(row[i]));
                let (center, radius) = (s.load(&center[i]), s.load(&radius[i]));
                let difference = s.sub(own, other);
                sum = s.mul_add(difference, center, sum);
                reach = s.mul_add(s.abs(difference), radius, reach);
                size = s.mul_add(s.add(s.abs(own), s.abs(other)), s.add(s.abs(center), radius), size);
            }
            let bias = s.splat(bias);
            let size = s.add(size, s.add(s.abs(own_bias), s.abs(bias)));
            let doubt = s.mul_add(size, s.splat(4.0 * error), s.splat(TINY));
            let (sum, reach) = (s.add(sum, s.sub(own_bias, bias)), s.add(reach, doubt));
            let slack = s.mul(s.add(s.abs(sum), reach), s.splat(4.0 * UNIT));
            let margin = s.sub(s.sub(sum, reach), slack);
            least = lower(s, labels, class, margin, size, least);
        }
        s.store(least, out);
    });
}

/// The lesser of `least` and this class's margin, where it is not the label's; one that is no number is as low as can be.
#[inline(always)]
fn lower<S: Simd>(
    s: S,
    labels: S::U32,
    class: usize,
    margin: S::F32,
    size: S::F32,
    least: S::F32,
) -> S::F32 {
    let known = s.mask_and(s.ge(margin, s.splat(-LARGEST)), s.le(size, s.splat(LARGEST)));
    let margin = s.select(known, margin, s.splat(f32::NEG_INFINITY));
    let own = s.eq_u32(labels, s.splat_u32(class as u32));
    s.select(own, least, s.min(margin, least))
}

/// [`least_margin`] from bounds of the logits themselves.
pub fn least_margin_of(isa: Isa, logits: &Bounds, labels: &LanesU32, out: &mut Lanes) {
    let mut own = Lanes::ZERO;
    for (lane, &label) in labels.0.iter().enumerate() {
        own.0[lane] = logits.low[label as usize].0[lane];
    }
    dispatch!(isa, s => {
        let (labels, own) = (s.load_u32(labels), s.load(&own));
        let mut least = s.splat(f32::INFINITY);
        for (class, high) in logits.high.iter().enumerate() {
            let difference = s.sub(own, s.load(high));
            // Rounding does not change the sign of a difference.
            least = lower(s, labels, class, difference, s.abs(difference), least);
        }
        s.store(least, out);
    });
}
