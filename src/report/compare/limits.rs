//! What no deterministic classifier can withstand: at eps of a half and above every image can be made uniform grey, so
//! that one class is all it can get right. A larger white-box number is an attack that failed.

use crate::experiment::{Results, ThreatModel};
use crate::report::noise;

/// The share of the largest class among MNIST's test images.
const OF_MNIST: f64 = 0.1135;

/// The share of the largest class among the images of the white-box attacks, as the results have it, or as it was observed.
/// Where neither is known it is taken to be MNIST's, as in all results that do not say of which images they are.
pub fn bound(results: &Results, observed: Option<f64>) -> f64 {
    results.largest_class.or(observed).unwrap_or(OF_MNIST)
}

/// The white-box accuracies above the bound where it holds. Attacks without a noise scale are none of its business.
pub fn above(results: &Results, bound: f64) -> Vec<String> {
    let white_box = results.cells.iter().filter(|cell| {
        cell.threat_model == ThreatModel::WhiteBox
            && !cell.is_clean()
            && !cell.spec().is_some_and(|attack| attack.is_minimal_norm().unwrap_or_default())
            && noise(&cell.scale).is_some_and(|eps| eps >= 0.5)
            && cell.accuracy > bound + 1e-9
    });
    let sentence = |cell: &crate::experiment::TableCell| {
        format!(
            "{}, seed {}, {}, `{}`: {:.4} is above {bound:.4}; this attack failed to find what exists.",
            cell.method, cell.seed, cell.scale, cell.attack, cell.accuracy
        )
    };
    white_box.map(sentence).collect()
}
