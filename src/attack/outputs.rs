//! What a model's outputs look like: logits, or numbers whose gradients vanish.

use serde::{Deserialize, Serialize};

/// What a model's outputs look like. Of parts of an evaluation, the least that all of them do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outputs {
    /// Any numbers.
    Logits,
    /// Numbers in 0..=1, as sigmoids give.
    Shares,
    /// Numbers in 0..=1 with the sum 1.
    Probabilities,
}

/// What many rows of outputs look like.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputRange {
    /// What all of them do; None before the first.
    pub outputs: Option<Outputs>,
    /// Whether one came near 1 that is no rate of spikes.
    pub saturates: bool,
}

impl OutputRange {
    /// Takes a row into account.
    pub fn see<T: Copy + Into<f64>>(&mut self, row: &[T]) {
        let row: Vec<f64> = row.iter().map(|&z| z.into()).collect();
        let row = row.as_slice();
        let looks = match () {
            () if sum_to_one(row) => Outputs::Probabilities,
            () if are_shares(row) => Outputs::Shares,
            () => Outputs::Logits,
        };
        self.outputs = Some(self.outputs.map_or(looks, |outputs| outputs.min(looks)));
        self.saturates |= row.iter().any(|&z| z > 0.99 && z < 1.0) && !are_rates(row);
    }

    /// What outputs that are no logits mean for an attack by gradients.
    pub fn doubt(&self) -> Option<String> {
        let what = match self.outputs? {
            Outputs::Shares if self.saturates => {
                "lie in 0..=1 and come near 1, as those of a sigmoid do; attack the layer before it; its gradients vanish"
            }
            Outputs::Logits | Outputs::Shares => return None,
            Outputs::Probabilities => {
                "lie in 0..=1 and sum to 1: they look like probabilities; attack the logits, gradients of probabilities vanish"
            }
        };
        Some(format!("the model's outputs {what}"))
    }
}

fn are_shares(row: &[f64]) -> bool {
    row.iter().all(|z| (-1e-5..1.0 + 1e-5).contains(z))
}

/// Whether outputs look like probabilities.
pub(crate) fn are_probabilities(row: &[f32]) -> bool {
    sum_to_one(&row.iter().map(|&z| f64::from(z)).collect::<Vec<f64>>())
}

/// Whether outputs lie in 0..=1 and sum to 1, but for what they were rounded by.
fn sum_to_one(row: &[f64]) -> bool {
    // The bits after a number's first that no output uses: of the 52, bfloat16 leaves 45, float16 42. A sum of numbers that
    // summed to 1 is off by half of the last bit that is left at most; twice that is allowed.
    let unused = row.iter().map(|z| z.to_bits().trailing_zeros()).min().unwrap_or(0);
    let rounded = match unused {
        45.. => 1.0 / 256.0,
        42.. => 1.0 / 2048.0,
        _ => 1e-5,
    };
    are_shares(row) && (row.iter().sum::<f64>() - 1.0).abs() < rounded
}

/// Most time steps of a rate.
const STEPS: u32 = 1024;

/// Whether outputs are rates of spikes: multiples of 1/T, for some number of time steps T. Of a sigmoid's, hardly any row is.
fn are_rates(row: &[f64]) -> bool {
    let is_single = row.iter().all(|&z| f64::from(z as f32) == z);
    let rounding = if is_single { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let rate = |z: f64, steps: f64| {
        // A mean over time steps may be rounded at every one of a few operations.
        (z * steps - (z * steps).round()).abs() <= 2.0 * rounding * steps
    };
    (1..=STEPS).any(|steps| row.iter().all(|&z| rate(z, f64::from(steps))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubt(rows: &[Vec<f32>]) -> String {
        let mut range = OutputRange::default();
        rows.iter().for_each(|row| range.see(row));
        range.doubt().unwrap_or_default()
    }

    /// Rows of logits, drawn from a line of an odd slope.
    fn logits() -> Vec<Vec<f32>> {
        (0..50)
            .map(|i| (0..10).map(|j| ((i * 37 + j * 71) % 97) as f32 * 0.13 - 6.0).collect())
            .collect()
    }

    fn map(f: impl Fn(f32) -> f32) -> Vec<Vec<f32>> {
        logits().iter().map(|row| row.iter().map(|&z| f(z)).collect()).collect()
    }

    fn sigmoid(z: f32) -> f32 {
        1.0 / (1.0 + (-z).exp())
    }

    #[test]
    fn rates_of_many_time_steps_are_no_sigmoids() {
        assert!(doubt(&map(sigmoid)).contains("sigmoid"));
        for steps in [100, 127, 128, 200, 256, 1000, 1024] {
            let steps = steps as f32;
            assert_eq!(doubt(&map(|z| (sigmoid(z) * steps).round() / steps)), "");
            // As a sum of shares, and by the reciprocal.
            assert_eq!(doubt(&map(|z| (sigmoid(z) * steps).round() * (1.0 / steps))), "");
        }
        // A sigmoid that is nearly everywhere 0 or 1 is one.
        assert!(doubt(&map(|z| sigmoid(3.0 * z))).contains("sigmoid"));
        assert_eq!(doubt(&logits()), "");
        assert_eq!(doubt(&[]), "");
        // What float32 takes for 1 is none in float64.
        let mut range = OutputRange::default();
        range.see(&[1.0 - 1e-13, 1.0 - 1e-12]);
        assert!(range.doubt().is_some_and(|doubt| doubt.contains("sigmoid")));
        let mut range = OutputRange::default();
        range.see(&[127.0 / 128.0, 999.0 / 1000.0 - 0.999, 1.0 / 3.0]);
        (0..20).for_each(|n| range.see(&[f64::from(n) / 300.0, 299.0 / 300.0]));
        assert_eq!(range.doubt(), None);
    }

    #[test]
    fn probabilities_are_so_in_every_precision() {
        let softmax = |row: &Vec<f32>| -> Vec<f32> {
            let sum: f32 = row.iter().map(|z| z.exp()).sum();
            row.iter().map(|z| z.exp() / sum).collect()
        };
        let exact: Vec<Vec<f32>> = logits().iter().map(softmax).collect();
        assert!(doubt(&exact).contains("probabilities"));
        // To this many bits after the first, as bfloat16 and float16 have.
        for bits in [7, 10] {
            let dropped = 23 - bits;
            let half = 1u32 << (dropped - 1);
            let short = |z: &f32| f32::from_bits((z.to_bits() + half) >> dropped << dropped);
            let rows: Vec<Vec<f32>> =
                exact.iter().map(|row| row.iter().map(short).collect()).collect();
            assert!(doubt(&rows).contains("probabilities"), "{bits} bits");
            // What sums to something else is not.
            let less: Vec<Vec<f32>> =
                rows.iter().map(|row| row.iter().map(|z| z / 2.0).collect()).collect();
            assert!(!doubt(&less).contains("probabilities"));
        }
    }
}
