//! The automatic checks of AutoAttack (its `checks.py` and flags_doc.md): what gives reason to doubt a robust accuracy.
//! The check for gradients that are exactly zero is made for every attack (see [`run`](crate::attack::run_attack)).

use crate::Result;
use crate::attack::outputs::OutputRange;
use crate::attack::probe::direction_distance;
use crate::attack::task::AttackTask;
use crate::attack::verification::evaluate;
use crate::simd::random::Key;

/// How often every sample is asked about for that.
pub const PASSES: u64 = 5;

/// Whether five passes over the same images agree in the direction of their logits, to 1e-4.
/// (Of all samples, not of some of the first batch: parts of an evaluation must not differ from the whole.)
pub fn randomized(task: &AttackTask<'_>, which: &[usize]) -> Result<bool> {
    let images: Vec<&[f32]> = which.iter().map(|&i| task.samples.image(i)).collect();
    let mut passes = Vec::new();
    for pass in 0..PASSES {
        let root = Key::new(task.budget.seed).named("randomness").with(pass);
        passes
            .push(evaluate(task, &images, which, 1, &|id, draw| root.with(id).with(draw as u64))?);
    }
    Ok(passes[1..].iter().any(|pass| {
        let mut rows = passes[0].iter().zip(pass);
        rows.any(|(a, b)| direction_distance(&a.logits, &b.logits) > 1e-4)
    }))
}

/// What the outputs look like.
pub fn range(task: &AttackTask<'_>, which: &[usize]) -> OutputRange {
    let (mut range, classes) = (OutputRange::default(), task.classifier.classes());
    which.iter().for_each(|&i| range.see(&task.clean_logits[i * classes..][..classes]));
    range
}

/// Whether the losses and targets asked for exist with so few classes.
pub fn classes(classes: usize, targets: usize) -> Option<String> {
    if classes < 4 {
        let losses = if classes < 3 { "DLR and targeted DLR" } else { "targeted DLR" };
        return Some(format!(
            "{classes} classes are too few for {losses}; margins of logits are used in their place"
        ));
    }
    (targets + 1 > classes).then(|| {
        format!("{targets} targets asked for, {} wrong classes exist: those are used", classes - 1)
    })
}
