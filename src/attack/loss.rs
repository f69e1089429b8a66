//! What attacks maximize: functions of the logits, with their gradients, sixteen samples at a time.
//!
//! Every loss is one sample's own, never a mean over a batch, so a sample's gradient does not know how many others
//! there are. z are the logits, y the label, t a target class, z(1) >= z(2) >= ... the sorted logits; of equal logits
//! the first class counts as the larger one, as everywhere in this crate.

use crate::simd::{Isa, Lanes, LanesU32, Simd, dispatch, math};

/// A function of the logits to be maximized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// The cross-entropy `-ln softmax(z)[y]`, as its log-odds `ln(sum_{i != y} exp(z_i)) - z_y`.
    ///
    /// The cross-entropy is `ln(1 + exp(.))` of these, so both rise together and their gradients have one direction;
    /// the factor between the gradients is `1 - p_y`. In f32 that factor, and with it the direction, vanishes where a
    /// network is certain; the log-odds vanish nowhere. Logits whose upper half (the largest to the sixth of ten, at most)
    /// spreads by more than 11 are scaled down to that first: beyond it the soft-max over the other classes knows but one
    /// of them, and what is left is [`Margin`](Self::Margin).
    CrossEntropy,
    /// [`CrossEntropy`](Self::CrossEntropy) of `11 z / (z(1) - z(6))`, of ten classes: the same for all networks whose
    /// logits differ by a factor. Cross-entropy itself becomes another loss where logits lie close together.
    ScaledCrossEntropy,
    /// `-ln softmax(z)[y]` with the gradient `softmax(z) - onehot(y)` as PyTorch computes it in f32: what published
    /// attacks ran. It loses the label's part where `p_y` rounds to 1.
    CrossEntropyF32,
    /// `ln softmax(z)[t]`, as its log-odds `z_t - ln(sum_{i != t} exp(z_i))`.
    TargetedCrossEntropy,
    /// Difference of logits ratio, `-(z_y - max_{i != y} z_i) / (z(1) - z(3))` (Croce & Hein 2020, "Reliable evaluation",
    /// eq. 6): unchanged by `z -> a z + b`. Needs three classes; with two it is [`Loss::Margin`].
    Dlr,
    /// `-(z_y - z_t) / (z(1) - (z(3) + z(4)) / 2)` (eq. 7). Needs four classes; with fewer it is
    /// [`Loss::Difference`].
    TargetedDlr,
    /// `-(z_y - max_{i != y} z_i)`: positive where the sample is misclassified. Carlini & Wagner's f6 turned round;
    /// where it stops to count (their hinge and confidence) is the attack's business.
    Margin,
    /// `z_t - z_y`
    Difference,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::CrossEntropy,
        Self::ScaledCrossEntropy,
        Self::CrossEntropyF32,
        Self::Dlr,
        Self::Margin,
        Self::TargetedCrossEntropy,
        Self::TargetedDlr,
        Self::Difference,
    ];

    /// Its name, as an attack's option.
    pub fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "ce",
            Self::ScaledCrossEntropy => "ce-scaled",
            Self::CrossEntropyF32 => "ce-f32",
            Self::Dlr => "dlr",
            Self::Margin => "margin",
            Self::TargetedCrossEntropy => "targeted-ce",
            Self::TargetedDlr => "targeted-dlr",
            Self::Difference => "difference",
        }
    }

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

    /// The loss, and its gradient, for an attack that wants `class` and nothing else. A targeted loss is as it is; of any
    /// other what is to fall is the loss of the class in the label's place.
    pub(super) fn evaluate_toward(
        self,
        isa: Isa,
        logits: &[Lanes],
        label: &LanesU32,
        class: &LanesU32,
        value: &mut Lanes,
        grad: &mut [Lanes],
    ) {
        if self.is_targeted() {
            return self.evaluate(isa, logits, label, class, value, grad);
        }
        self.evaluate(isa, logits, class, class, value, grad);
        dispatch!(isa, s => {
            for lanes in grad.iter_mut().chain([value]) {
                s.store(s.neg(s.load(lanes)), lanes);
            }
        });
    }

    /// Whether it flattens, and becomes another loss, where all logits lie close together.
    pub fn flattens(self) -> bool {
        matches!(self, Self::CrossEntropy | Self::CrossEntropyF32 | Self::TargetedCrossEntropy)
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
            Self::CrossEntropy => dispatch!(isa, s => {
                let scale = LossScale::AtMost(SPREAD);
                scaled_log_odds(s, scale, logits, s.load_u32(label), value, grad);
            }),
            Self::ScaledCrossEntropy => dispatch!(isa, s => {
                let scale = LossScale::To(SPREAD);
                scaled_log_odds(s, scale, logits, s.load_u32(label), value, grad);
            }),
            Self::TargetedCrossEntropy => {
                dispatch!(isa, s => {
                    let scale = LossScale::AtMost(SPREAD);
                    scaled_log_odds(s, scale, logits, s.load_u32(target), value, grad);
                    for lanes in grad.iter_mut().chain([value]) {
                        s.store(s.neg(s.load(lanes)), lanes);
                    }
                });
            }
            Self::CrossEntropyF32 => {
                dispatch!(isa, s => cross_entropy_f32(s, logits, label, value, grad));
            }
            other => dispatch!(isa, s => ratio(s, other, logits, label, target, value, grad)),
        }
    }
}

/// The log-odds against `class`, and in the place of the logits their gradient: the soft-max over the other classes,
/// and -1.
#[inline(always)]
fn log_odds<S: Simd>(s: S, class: S::U32, logits: &mut [Lanes], value: &mut Lanes) {
    let (mut own, mut largest) = (s.zero(), s.splat(f32::NEG_INFINITY));
    for (i, z) in logits.iter().enumerate() {
        let (z, is_own) = (s.load(z), s.eq_u32(class, s.splat_u32(i as u32)));
        own = s.select(is_own, z, own);
        largest = s.select(is_own, largest, s.max(z, largest));
    }
    let mut sum = s.zero();
    for (i, z) in logits.iter_mut().enumerate() {
        let e = math::exp(s, s.sub(s.load(z), largest));
        let is_own = s.eq_u32(class, s.splat_u32(i as u32));
        let e = s.select(is_own, s.zero(), e);
        sum = s.add(sum, e);
        s.store(e, z);
    }
    s.store(s.sub(s.add(largest, math::ln(s, sum)), own), value);
    for (i, e) in logits.iter_mut().enumerate() {
        let share = s.div(s.load(e), sum);
        let is_own = s.eq_u32(class, s.splat_u32(i as u32));
        s.store(s.select(is_own, s.splat(-1.0), share), e);
    }
}

/// How far the upper half of the logits spreads after [`Loss::ScaledCrossEntropy`] has scaled them, and how far it may spread
/// before [`Loss::CrossEntropy`] scales them down: about as far as a trained LeNet's.
const SPREAD: f32 = 11.0;

/// Which of the largest logits of so many classes the spread ends at: half of the classes may lie anywhere below, as those that
/// a model was told never to answer do.
fn decisive(classes: usize) -> usize {
    (classes / 2 + 1).clamp(3, 6).min(classes)
}

/// What logits are multiplied by before their log-odds are taken.
#[derive(Clone, Copy)]
enum LossScale {
    /// To a spread of this.
    To(f32),
    /// To a spread of this at most. The gradient takes the factor for a constant: by way of the spread it would lead to
    /// where all logits shrink.
    AtMost(f32),
}

/// [`log_odds`] against `class` of scaled logits.
#[inline(always)]
fn scaled_log_odds<S: Simd>(
    s: S,
    scale: LossScale,
    logits: &[Lanes],
    class: S::U32,
    value: &mut Lanes,
    grad: &mut [Lanes],
) {
    let top = largest::<S, 6>(s, logits);
    let (high, low) = (top[0], top[decisive(logits.len()) - 1]);
    let spread = or_one(s, s.sub(high.0, low.0));
    let (LossScale::To(to) | LossScale::AtMost(to)) = scale;
    let factor = s.div(s.splat(to), spread);
    let factor = match scale {
        LossScale::To(_) => factor,
        LossScale::AtMost(_) => s.min(factor, s.splat(1.0)),
    };
    for (z, out) in logits.iter().zip(grad.iter_mut()) {
        s.store(s.mul(s.sub(s.load(z), high.0), factor), out);
    }
    log_odds(s, class, grad, value);
    if let LossScale::AtMost(_) = scale {
        return;
    }
    let mut along = s.zero();
    for (z, grad) in logits.iter().zip(grad.iter()) {
        let scaled = s.mul(s.sub(s.load(z), high.0), factor);
        along = s.mul_add(s.load(grad), scaled, along);
    }
    let by_spread = s.div(along, s.splat(to));
    for (i, grad) in grad.iter_mut().enumerate() {
        let end = s.sub(one_hot(s, high.1, i), one_hot(s, low.1, i));
        s.store(s.mul(s.neg_mul_add(by_spread, end, s.load(grad)), factor), grad);
    }
}

/// A spread to divide by: 1 where all logits are equal.
#[inline(always)]
fn or_one<S: Simd>(s: S, spread: S::F32) -> S::F32 {
    s.select(s.gt(spread, s.zero()), spread, s.splat(1.0))
}

/// The cross-entropy in PyTorch's arithmetic.
#[inline(always)]
fn cross_entropy_f32<S: Simd>(
    s: S,
    logits: &[Lanes],
    label: &LanesU32,
    value: &mut Lanes,
    grad: &mut [Lanes],
) {
    let label = s.load_u32(label);
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
    let mut own = s.zero();
    for (i, (z, grad)) in logits.iter().zip(grad.iter_mut()).enumerate() {
        let log_p = s.sub(s.sub(s.load(z), largest), log_sum);
        let is_own = s.eq_u32(label, s.splat_u32(i as u32));
        own = s.select(is_own, log_p, own);
        let p = math::exp(s, log_p);
        s.store(s.select(is_own, s.sub(p, s.splat(1.0)), p), grad);
    }
    s.store(s.neg(own), value);
}

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
    // The best of the others, with its class.
    let mut other = (lowest, s.splat_u32(0));
    let top = largest::<S, 4>(s, logits);
    for (i, z) in logits.iter().enumerate() {
        let (z, class) = (s.load(z), s.splat_u32(i as u32));
        let is_own = s.eq_u32(class, label);
        own = s.select(is_own, z, own);
        let better = s.mask_and(s.gt(z, other.0), s.mask_not(is_own));
        other = (s.select(better, z, other.0), s.select_u32(better, class, other.1));
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
        Loss::Dlr => or_one(s, s.sub(top[0].0, top[2].0)),
        Loss::TargetedDlr => {
            let low = s.mul(s.add(top[2].0, top[3].0), s.splat(0.5));
            or_one(s, s.sub(top[0].0, low))
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

/// The largest logits and their classes, from the first on; of fewer classes the rest are negative infinity.
#[inline(always)]
fn largest<S: Simd, const K: usize>(s: S, logits: &[Lanes]) -> [(S::F32, S::U32); K] {
    let mut top = [(s.splat(f32::NEG_INFINITY), s.splat_u32(0)); K];
    for (i, z) in logits.iter().enumerate() {
        let mut new = (s.load(z), s.splat_u32(i as u32));
        for place in &mut top {
            let larger = s.gt(new.0, place.0);
            let old = *place;
            *place = (s.select(larger, new.0, old.0), s.select_u32(larger, new.1, old.1));
            new = (s.select(larger, old.0, new.0), s.select_u32(larger, old.1, new.1));
        }
    }
    top
}

/// 1 in the lanes whose class is `i`, else 0.
#[inline(always)]
fn one_hot<S: Simd>(s: S, class: S::U32, i: usize) -> S::F32 {
    s.select(s.eq_u32(class, s.splat_u32(i as u32)), s.splat(1.0), s.zero())
}
