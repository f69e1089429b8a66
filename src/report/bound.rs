//! What no deterministic classifier can withstand: at eps of a half and above every image can be made uniform grey, so
//! that one class is all it can get right. A larger white-box number is an attack that failed.

use super::noise;
use crate::data::Dataset;
use crate::experiment::{Results, ThreatModel};

/// The share of the largest class among MNIST's test images.
const OF_MNIST: f64 = 0.1135;

/// The share of the largest class among the images of the white-box attacks.
pub fn bound(results: &Results, test: Option<&Dataset>) -> f64 {
    let images = results.white_box_images;
    let Some(labels) = test.and_then(|test| test.labels().get(..images)) else { return OF_MNIST };
    let count = |class: u8| labels.iter().filter(|&&label| label == class).count();
    let most = (0..=9).map(count).max().unwrap_or(0);
    if images == 0 { OF_MNIST } else { most as f64 / images as f64 }
}

/// The white-box accuracies above the bound where it holds. Attacks without a noise scale are none of its business.
pub fn above(results: &Results, bound: f64) -> Vec<String> {
    let white_box = results.cells.iter().filter(|cell| {
        cell.threat_model == ThreatModel::WhiteBox
            && !["clean", "cw"].contains(&cell.column.as_str())
            && noise(&cell.scale).is_some_and(|eps| eps >= 0.5)
            && cell.accuracy > bound + 1e-9
    });
    let sentence = |cell: &crate::experiment::Cell| {
        format!(
            "{}, seed {}, {}, `{}`: {:.4} is above {bound:.4}; this attack failed to find what exists.",
            cell.method, cell.seed, cell.scale, cell.attack, cell.accuracy
        )
    };
    white_box.map(sentence).collect()
}
