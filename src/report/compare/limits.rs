//! What no deterministic classifier can withstand: at eps of a half and above, in linf, every image can be made uniform gray, so
//! that one class is all it can get right. A larger white-box number is an attack that failed.

use crate::attack::Norm;
use crate::evaluation::ThreatModel;
use crate::experiment::{Results, TableCell};
use crate::report::noise;

/// The share of the largest class among MNIST's test images.
const OF_MNIST: f64 = 0.1135;

/// The share of the largest class among the images of the white-box attacks. Where it is not known it is taken to be MNIST's,
/// as in all results that do not say of which images they are.
pub fn bound(results: &Results) -> f64 {
    let is_mnist = results.data.as_ref().is_none_or(|data| data.name == "mnist");
    results.largest_class.unwrap_or(if is_mnist { OF_MNIST } else { 1.0 })
}

/// Whether the bound says anything of these results.
pub fn applies(results: &Results) -> bool {
    results.cells.iter().any(|cell| is_white_box(cell) && cell.norm == Norm::Linf)
}

/// Whether a model was attacked with gradients of its own.
pub fn is_white_box(cell: &TableCell) -> bool {
    cell.threat_model == ThreatModel::WhiteBox && cell.is_attack()
}

/// The white-box accuracies above the bound where it holds. Attacks without a noise scale are none of its business.
pub fn above(results: &Results, bound: f64) -> Vec<String> {
    let white_box = results.cells.iter().filter(|cell| {
        is_white_box(cell)
            // Of other norms half the range of every pixel is out of reach.
            && cell.norm == Norm::Linf
            && !cell.spec().is_some_and(|attack| attack.is_unbounded().unwrap_or_default())
            && noise(&cell.scale).is_some_and(|eps| eps >= 0.5)
            && cell.accuracy > bound + 1e-9
    });
    let sentence = |cell: &TableCell| {
        let attack = cell.attack.as_ref().map_or(String::new(), ToString::to_string);
        format!(
            "{}, seed {}, {}, `{attack}`: {:.4} is above {bound:.4}; this attack failed to find what exists.",
            cell.method, cell.seed, cell.scale, cell.accuracy
        )
    };
    white_box.map(sentence).collect()
}
