//! Softmax cross-entropy of logits, by log-sum-exp: no probability is formed before its logarithm is safe.

use crate::simd::{Isa, Lanes, LanesU32, Simd, dispatch, math};

/// What the probabilities are compared with.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// One class a sample; the probability of that class, and of each other one.
    Labels(&'a LanesU32, [f32; 2]),
    /// A distribution over the classes a sample (rows that sum to one), `[class]`.
    Soft(&'a [Lanes]),
}

/// `loss = -sum target ln softmax(logits / temperature)` of a block with `live` samples; `probability` gets the
/// soft-max. Dead lanes get zeros.
pub fn cross_entropy(
    isa: Isa,
    live: usize,
    logits: &[Lanes],
    target: Target<'_>,
    temperature: f32,
    probability: &mut [Lanes],
    loss: &mut Lanes,
) {
    dispatch!(isa, s => body(s, live, logits, target, temperature, probability, loss));
}

#[inline(always)]
fn body<S: Simd>(
    s: S,
    live: usize,
    logits: &[Lanes],
    target: Target<'_>,
    temperature: f32,
    probability: &mut [Lanes],
    loss: &mut Lanes,
) {
    let cold = s.splat(1.0 / temperature);
    let mut largest = s.splat(f32::NEG_INFINITY);
    for z in logits {
        largest = s.max(s.mul(s.load(z), cold), largest);
    }
    let mut sum = s.zero();
    // sum of target (z - largest), and sum of target, which is one for labels
    let (mut hit, mut weight) = (s.zero(), s.zero());
    for (class, (z, p)) in logits.iter().zip(probability.iter_mut()).enumerate() {
        let z = s.sub(s.mul(s.load(z), cold), largest);
        let e = math::exp(s, z);
        sum = s.add(sum, e);
        s.store(e, p);
        let t = target_of(s, target, class);
        hit = s.mul_add(t, z, hit);
        weight = s.add(weight, t);
    }
    let value = s.sub(s.mul(weight, math::ln(s, sum)), hit);
    s.store(s.keep_first(value, live), loss);
    let scale = s.keep_first(s.div(s.splat(1.0), sum), live);
    for p in probability {
        s.store(s.mul(s.load(p), scale), p);
    }
}

/// Gradient to the logits: `grad (probability sum(target) - target) / temperature`, `grad` one number a sample.
pub fn cross_entropy_grad(
    isa: Isa,
    probability: &[Lanes],
    target: Target<'_>,
    temperature: f32,
    grad: &Lanes,
    out: &mut [Lanes],
) {
    dispatch!(isa, s => {
        let grad = s.mul(s.load(grad), s.splat(1.0 / temperature));
        let mut weight = s.zero();
        for class in 0..probability.len() {
            weight = s.add(weight, target_of(s, target, class));
        }
        for (class, (p, out)) in probability.iter().zip(out).enumerate() {
            let off = s.sub(s.mul(s.load(p), weight), target_of(s, target, class));
            s.store(s.mul(grad, off), out);
        }
    });
}

#[inline(always)]
fn target_of<S: Simd>(s: S, target: Target<'_>, class: usize) -> S::F32 {
    match target {
        Target::Labels(labels, [own, other]) => {
            let hit = s.eq_u32(s.load_u32(labels), s.splat_u32(class as u32));
            s.select(hit, s.splat(own), s.splat(other))
        }
        Target::Soft(target) => s.load(&target[class]),
    }
}

/// `softmax(x / temperature)` of a block with `live` samples; dead lanes get zeros.
pub fn softmax(isa: Isa, live: usize, x: &[Lanes], temperature: f32, out: &mut [Lanes]) {
    dispatch!(isa, s => {
        let cold = s.splat(1.0 / temperature);
        let mut largest = s.splat(f32::NEG_INFINITY);
        for x in x {
            largest = s.max(s.mul(s.load(x), cold), largest);
        }
        let mut sum = s.zero();
        for (x, out) in x.iter().zip(out.iter_mut()) {
            let e = math::exp(s, s.sub(s.mul(s.load(x), cold), largest));
            sum = s.add(sum, e);
            s.store(e, out);
        }
        let scale = s.keep_first(s.div(s.splat(1.0), sum), live);
        for out in out {
            s.store(s.mul(s.load(out), scale), out);
        }
    });
}

/// Gradient of [`softmax`] from its output: `p (grad - sum(grad p)) / temperature`.
pub fn softmax_grad(isa: Isa, p: &[Lanes], grad: &[Lanes], temperature: f32, out: &mut [Lanes]) {
    dispatch!(isa, s => {
        let mut mean = s.zero();
        for (p, grad) in p.iter().zip(grad) {
            mean = s.mul_add(s.load(p), s.load(grad), mean);
        }
        let cold = s.splat(1.0 / temperature);
        for ((p, grad), out) in p.iter().zip(grad).zip(out) {
            let off = s.sub(s.load(grad), mean);
            s.store(s.mul(s.mul(s.load(p), off), cold), out);
        }
    });
}

/// The largest logit's class, the first of equals, of every sample of a block.
pub fn arg_max(isa: Isa, logits: &[Lanes], out: &mut LanesU32) {
    dispatch!(isa, s => {
        let Some((first, rest)) = logits.split_first() else { return };
        let mut best = s.load(first);
        let mut class = s.splat_u32(0);
        for (i, z) in rest.iter().enumerate() {
            let z = s.load(z);
            let larger = s.gt(z, best);
            best = s.select(larger, z, best);
            class = s.select_u32(larger, s.splat_u32(i as u32 + 1), class);
        }
        s.store_u32(class, out);
    });
}
