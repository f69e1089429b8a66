//! Decisions from logits, by the one rule for ties.

/// `z_y - max_{i != y} z_i`: negative where the sample is misclassified. A tie is no success: the label is kept.
pub fn margin(logits: &[f32], label: usize) -> f32 {
    let others = logits.iter().enumerate().filter(|&(i, _)| i != label).map(|(_, &z)| z);
    logits[label] - others.fold(f32::NEG_INFINITY, f32::max)
}

/// The predicted class: the largest logit's; of equals the label, else the first.
pub fn predict(logits: &[f32], label: usize) -> usize {
    let mut best = label;
    for (i, &z) in logits.iter().enumerate() {
        if z > logits[best] {
            best = i;
        }
    }
    best
}

/// The classes other than the label, the likeliest first (the first of equals before the others).
pub fn rivals(logits: &[f32], label: usize, into: &mut Vec<usize>) {
    into.clear();
    into.extend((0..logits.len()).filter(|&i| i != label));
    into.sort_unstable_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
}
