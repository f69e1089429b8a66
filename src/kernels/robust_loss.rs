//! Losses of adversarial training that compare the logits of an image with those of its adversarial example, with both
//! gradients; and the gradient of the margin.

use super::cross_entropy::softmax;
use crate::simd::{Isa, Lanes, LanesU32, Simd, dispatch, math};

/// A loss of a clean image and its adversarial example, p and q their probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PairLoss {
    /// The cross-entropy of the clean image, plus this factor times KL(p, q) (Zhang et al. 2019).
    Trades(f32),
    /// The cross-entropy of the adversarial example, minus the logarithm of what its likeliest wrong class leaves, plus so
    /// many times KL(p, q) by how sure the clean image is not of its label (Wang et al. 2020).
    Mart(f32),
}

/// Soft-max probabilities of a block and their logarithms.
fn probabilities(isa: Isa, live: usize, logits: &[Lanes], p: &mut [Lanes], ln_p: &mut [Lanes]) {
    softmax(isa, live, logits, 1.0, p);
    dispatch!(isa, s => {
        let (mut largest, mut likeliest) = (s.splat(f32::NEG_INFINITY), s.zero());
        for (z, p) in logits.iter().zip(&*p) {
            largest = s.max(s.load(z), largest);
            likeliest = s.max(s.load(p), likeliest);
        }
        // The likeliest class has a probability of at least one in all classes: its logarithm is safe.
        let shift = s.sub(math::ln(s, likeliest), largest);
        for (z, ln_p) in logits.iter().zip(ln_p) {
            s.store(s.keep_first(s.add(s.load(z), shift), live), ln_p);
        }
    });
}

/// The loss of a block with `live` samples, and its gradients by the logits of the clean images and of the others.
pub fn pair_loss(
    isa: Isa,
    live: usize,
    kind: PairLoss,
    labels: &LanesU32,
    logits: [&[Lanes]; 2],
    loss: &mut Lanes,
    grads: [&mut [Lanes]; 2],
) {
    let classes = logits[0].len();
    let mut all = vec![Lanes::ZERO; 4 * classes];
    let (clean, other) = all.split_at_mut(2 * classes);
    let ((p, ln_p), (q, ln_q)) = (clean.split_at_mut(classes), other.split_at_mut(classes));
    probabilities(isa, live, logits[0], p, ln_p);
    probabilities(isa, live, logits[1], q, ln_q);
    let [to_clean, to_other] = grads;
    dispatch!(isa, s => {
        let (mut divergence, mut own_p, mut own_q) = (s.zero(), s.zero(), s.zero());
        let (mut own_ln_p, mut own_ln_q, mut rival) = (s.zero(), s.zero(), s.zero());
        let label = s.load_u32(labels);
        for i in 0..classes {
            let own = s.eq_u32(label, s.splat_u32(i as u32));
            let (pi, qi) = (s.load(&p[i]), s.load(&q[i]));
            let (ln_pi, ln_qi) = (s.load(&ln_p[i]), s.load(&ln_q[i]));
            divergence = s.mul_add(pi, s.sub(ln_pi, ln_qi), divergence);
            own_p = s.select(own, pi, own_p);
            own_q = s.select(own, qi, own_q);
            own_ln_p = s.select(own, ln_pi, own_ln_p);
            own_ln_q = s.select(own, ln_qi, own_ln_q);
            rival = s.select(own, rival, s.max(qi, rival));
        }
        let one = s.splat(1.0);
        match kind {
            PairLoss::Trades(beta) => {
                let beta = s.splat(beta);
                let value = s.mul_add(beta, divergence, s.neg(own_ln_p));
                s.store(s.keep_first(value, live), loss);
                for i in 0..classes {
                    let own = s.select(s.eq_u32(label, s.splat_u32(i as u32)), one, s.zero());
                    let (pi, qi) = (s.load(&p[i]), s.load(&q[i]));
                    let ratio = s.sub(s.sub(s.load(&ln_p[i]), s.load(&ln_q[i])), divergence);
                    let clean = s.mul_add(s.mul(beta, pi), ratio, s.sub(pi, own));
                    s.store(s.keep_first(clean, live), &mut to_clean[i]);
                    s.store(s.keep_first(s.mul(beta, s.sub(qi, pi)), live), &mut to_other[i]);
                }
            }
            PairLoss::Mart(beta) => {
                // As its authors' code: what is left of a sure wrong class is not quite nothing.
                let left = s.sub(s.splat(1.0001), rival);
                let doubt = s.sub(one, own_p);
                let weight = s.mul(s.splat(beta), doubt);
                let value = s.neg(s.add(own_ln_q, math::ln(s, left)));
                s.store(s.keep_first(s.mul_add(weight, divergence, value), live), loss);
                let push = s.div(rival, left);
                let mut open = s.splat(1.0);
                for i in 0..classes {
                    let is_own = s.eq_u32(label, s.splat_u32(i as u32));
                    let own = s.select(is_own, one, s.zero());
                    let (pi, qi) = (s.load(&p[i]), s.load(&q[i]));
                    let ratio = s.sub(s.sub(s.load(&ln_p[i]), s.load(&ln_q[i])), divergence);
                    // The first of equal rivals counts.
                    let is_rival = s.mask_and(s.mask_not(is_own), s.eq(qi, rival));
                    let chosen = s.select(is_rival, open, s.zero());
                    open = s.sub(open, chosen);
                    let wrong = s.mul(push, s.sub(chosen, qi));
                    let other = s.add(s.sub(qi, own), wrong);
                    let other = s.mul_add(weight, s.sub(qi, pi), other);
                    s.store(s.keep_first(other, live), &mut to_other[i]);
                    let sureness = s.mul(s.mul(divergence, own_p), s.sub(own, pi));
                    let clean = s.sub(s.mul(s.mul(doubt, pi), ratio), sureness);
                    s.store(s.keep_first(s.mul(s.splat(beta), clean), live), &mut to_clean[i]);
                }
            }
        }
    });
}

/// The gradient by the logits of `max z_i - z_y` (i the wrong classes, y the label): 1 at the first of the largest, -1 at
/// the label.
pub fn margin_grad(live: usize, labels: &LanesU32, logits: &[Lanes], out: &mut [Lanes]) {
    out.fill(Lanes::ZERO);
    for lane in 0..live {
        let label = labels.0[lane] as usize;
        let mut rival = None;
        for (i, z) in logits.iter().enumerate().filter(|&(i, _)| i != label) {
            if rival.is_none_or(|(_, most)| z.0[lane] > most) {
                rival = Some((i, z.0[lane]));
            }
        }
        if let Some((rival, _)) = rival {
            out[rival].0[lane] = 1.0;
            out[label].0[lane] = -1.0;
        }
    }
}

/// A last linear layer.
#[derive(Clone, Copy, Debug)]
pub struct Worst<'a> {
    /// `[class][feature]`
    pub weight: &'a [f32],
    /// One number a class.
    pub bias: &'a [f32],
}

/// Of every class i the most that `z_i - z_y` can be, over inputs within a radius of a center; a block with `live` samples.
/// `x` is center and radius.
pub fn worst_margins(
    Worst { weight, bias }: Worst<'_>,
    live: usize,
    labels: &LanesU32,
    [center, radius]: [&[Lanes]; 2],
    out: &mut [Lanes],
) {
    let features = center.len();
    for (class, (row, out)) in weight.chunks(features).zip(out).enumerate() {
        *out = Lanes::ZERO;
        for lane in 0..live {
            let label = labels.0[lane] as usize;
            let own = &weight[label * features..][..features];
            let mut sum = bias[class] - bias[label];
            for i in 0..features {
                let difference = row[i] - own[i];
                sum += difference * center[i].0[lane] + difference.abs() * radius[i].0[lane];
            }
            out.0[lane] = sum;
        }
    }
}

/// The gradients of [`worst_margins`] to center and radius, which are overwritten, and to weights and biases, which are added
/// to.
pub fn worst_margins_grad(
    weight: &[f32],
    live: usize,
    labels: &LanesU32,
    [center, radius]: [&[Lanes]; 2],
    grad: &[Lanes],
    ([to_center, to_radius], [to_weight, to_bias]): ([&mut [Lanes]; 2], [&mut [f32]; 2]),
) {
    let features = center.len();
    to_center.fill(Lanes::ZERO);
    to_radius.fill(Lanes::ZERO);
    for (class, grad) in grad.iter().enumerate() {
        for lane in 0..live {
            let (label, grad) = (labels.0[lane] as usize, grad.0[lane]);
            if label == class {
                continue;
            }
            to_bias[class] += grad;
            to_bias[label] -= grad;
            for i in 0..features {
                let difference = weight[class * features + i] - weight[label * features + i];
                let sign = if difference == 0.0 { 0.0 } else { difference.signum() };
                to_center[i].0[lane] += grad * difference;
                to_radius[i].0[lane] += grad * difference.abs();
                let share = grad * (center[i].0[lane] + sign * radius[i].0[lane]);
                to_weight[class * features + i] += share;
                to_weight[label * features + i] -= share;
            }
        }
    }
}
