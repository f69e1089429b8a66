//! What attacks maximise: functions of the logits, with their gradients, sixteen samples at a time.
//!
//! Every loss is one sample's own, never a mean over a batch, so a sample's gradient does not know how many others
//! there are. z are the logits, y the label, t a target class, z(1) >= z(2) >= ... the sorted logits; of equal logits
//! the first class counts as the larger one, as everywhere in this crate.

use crate::simd::{Isa, Lanes, LanesU32, Simd, dispatch, math};

/// A function of the logits to be maximised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// `-ln softmax(z)[y]`, by log-sum-exp.
    CrossEntropy,
    /// `ln softmax(z)[t]`
    TargetedCrossEntropy,
    /// Difference of logits ratio, `-(z_y - max_{i != y} z_i) / (z(1) - z(3) + 1e-12)` (Croce & Hein 2020, "Reliable
    /// evaluation", eq. 6): unchanged by `z -> a z + b`. Needs three classes; with two it is [`Loss::Margin`].
    Dlr,
    /// `-(z_y - z_t) / (z(1) - (z(3) + z(4)) / 2 + 1e-12)` (eq. 7). Needs four classes; with fewer it is
    /// [`Loss::Difference`].
    TargetedDlr,
    /// `-(z_y - max_{i != y} z_i)`: positive where the sample is misclassified. Carlini & Wagner's f6 turned round;
    /// where it stops to count (their hinge and confidence) is the attack's business.
    Margin,
    /// `z_t - z_y`
    Difference,
}

impl Loss {
    /// The loss that takes this one's place where there are too few classes for it.
    pub fn for_classes(self, classes: usize) -> Self {
        match self {
            Self::Dlr if classes < 3 => Self::Margin,
            Self::TargetedDlr if classes < 4 => Self::Difference,
            other => other,
        }
    }

    /// Whether the target class matters.
    pub fn is_targeted(self) -> bool {
        matches!(self, Self::TargetedCrossEntropy | Self::TargetedDlr | Self::Difference)
    }

    /// The loss of sixteen samples and its gradient to their logits, `[class]` of at least two classes. Where logits
    /// are not finite, nor are loss and gradient.
    pub fn evaluate(
        self,
        isa: Isa,
        logits: &[Lanes],
        label: &LanesU32,
        target: &LanesU32,
        value: &mut Lanes,
        grad: &mut [Lanes],
    ) {
        match self.for_classes(logits.len()) {
            Self::CrossEntropy => {
                dispatch!(isa, s => cross_entropy(s, logits, label, 1.0, value, grad));
            }
            Self::TargetedCrossEntropy => {
                dispatch!(isa, s => cross_entropy(s, logits, target, -1.0, value, grad));
            }
            other => dispatch!(isa, s => ratio(s, other, logits, label, target, value, grad)),
        }
    }
}

/// `sign` times the cross-entropy with `class`.
#[inline(always)]
fn cross_entropy<S: Simd>(
    s: S,
    logits: &[Lanes],
    class: &LanesU32,
    sign: f32,
    value: &mut Lanes,
    grad: &mut [Lanes],
) {
    let (class, sign) = (s.load_u32(class), s.splat(sign));
    let mut largest = s.splat(f32::NEG_INFINITY);
    for z in logits {
        largest = s.max(s.load(z), largest);
    }
    // Eight sums, then a tree: the order in which PyTorch adds. Where a probability is almost 1, the last bit of this
    // sum is what is left of the gradient, and attacks are compared to the bit of their signs.
    let mut sums = [s.zero(); 8];
    for (i, z) in logits.iter().enumerate() {
        let e = math::exp(s, s.sub(s.load(z), largest));
        sums[i % 8] = s.add(sums[i % 8], e);
    }
    for half in [4, 2, 1] {
        for i in 0..half {
            sums[i] = s.add(sums[i], sums[i + half]);
        }
    }
    let log_sum = math::ln(s, sums[0]);
    let (mut own, mut others) = (s.zero(), s.zero());
    for (i, (z, grad)) in logits.iter().zip(grad.iter_mut()).enumerate() {
        let log_p = s.sub(s.sub(s.load(z), largest), log_sum);
        let p = math::exp(s, log_p);
        let is_own = s.eq_u32(class, s.splat_u32(i as u32));
        own = s.select(is_own, log_p, own);
        others = s.add(others, s.select(is_own, s.zero(), p));
        s.store(p, grad);
    }
    s.store(s.neg(s.mul(own, sign)), value);
    for (i, grad) in grad.iter_mut().enumerate() {
        let is_own = s.eq_u32(class, s.splat_u32(i as u32));
        let p = s.load(grad);
        // p - 1 is zero where the others' sum is less than half an ulp of 1: then that sum.
        let lost = s.lt(others, s.splat(NEARLY_CERTAIN));
        let own = s.select(lost, s.neg(others), s.sub(p, s.splat(1.0)));
        s.store(s.mul(s.select(is_own, own, p), sign), grad);
    }
}

/// Below this sum of the other classes' probabilities, `p - 1` has lost more than a tenth of its value to rounding.
const NEARLY_CERTAIN: f32 = 6e-7;

/// The losses that are a difference of logits, over a spread of logits for the ratios.
#[inline(always)]
fn ratio<S: Simd>(
    s: S,
    loss: Loss,
    logits: &[Lanes],
    label: &LanesU32,
    target: &LanesU32,
    value: &mut Lanes,
    grad: &mut [Lanes],
) {
    let label = s.load_u32(label);
    let (one, lowest) = (s.splat(1.0), s.splat(f32::NEG_INFINITY));
    let mut own = s.zero();
    // The best of the others, and the largest four of all, with their classes.
    let mut other = (lowest, s.splat_u32(0));
    let mut top = [(lowest, s.splat_u32(0)); 4];
    for (i, z) in logits.iter().enumerate() {
        let (z, class) = (s.load(z), s.splat_u32(i as u32));
        let is_own = s.eq_u32(class, label);
        own = s.select(is_own, z, own);
        let better = s.mask_and(s.gt(z, other.0), s.mask_not(is_own));
        other = (s.select(better, z, other.0), s.select_u32(better, class, other.1));
        let mut new = (z, class);
        for place in &mut top {
            let larger = s.gt(new.0, place.0);
            let old = *place;
            *place = (s.select(larger, new.0, old.0), s.select_u32(larger, new.1, old.1));
            new = (s.select(larger, old.0, new.0), s.select_u32(larger, old.1, new.1));
        }
    }
    let rival = if loss.is_targeted() {
        let class = s.load_u32(target);
        let mut z = s.zero();
        for (i, logit) in logits.iter().enumerate() {
            z = s.select(s.eq_u32(class, s.splat_u32(i as u32)), s.load(logit), z);
        }
        (z, class)
    } else {
        other
    };
    let excess = s.sub(rival.0, own);
    let spread = match loss {
        Loss::Dlr => s.add(s.sub(top[0].0, top[2].0), s.splat(1e-12)),
        Loss::TargetedDlr => {
            let low = s.mul(s.add(top[2].0, top[3].0), s.splat(0.5));
            s.add(s.sub(top[0].0, low), s.splat(1e-12))
        }
        _ => one,
    };
    let scale = s.div(one, spread);
    let result = s.div(excess, spread);
    s.store(result, value);
    // d(result)/d(spread), shared by the logits that make up the spread.
    let by_spread = s.neg(s.mul(result, scale));
    for (i, grad) in grad.iter_mut().enumerate() {
        let mut sum = s.sub(one_hot(s, rival.1, i), one_hot(s, label, i));
        sum = s.mul(sum, scale);
        let part = match loss {
            Loss::Dlr => s.sub(one_hot(s, top[0].1, i), one_hot(s, top[2].1, i)),
            Loss::TargetedDlr => {
                let low = s.add(one_hot(s, top[2].1, i), one_hot(s, top[3].1, i));
                s.neg_mul_add(low, s.splat(0.5), one_hot(s, top[0].1, i))
            }
            _ => s.zero(),
        };
        sum = s.mul_add(part, by_spread, sum);
        s.store(sum, grad);
    }
}

/// 1 in the lanes whose class is `i`, else 0.
#[inline(always)]
fn one_hot<S: Simd>(s: S, class: S::U32, i: usize) -> S::F32 {
    s.select(s.eq_u32(class, s.splat_u32(i as u32)), s.splat(1.0), s.zero())
}
