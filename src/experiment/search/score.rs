//! How likely the printed numbers are under a hypothesis.

use super::super::replication::Replication;
use super::CHOSEN_AT;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The standard deviation of a cell is at least this, so that none decides alone.
const FLOOR: f64 = 0.01;

/// Half of the logarithm of two pi.
const HALF_LOG_TAU: f64 = 0.918_938_533_204_672_8;

/// A half of the printed cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Tables 1 and 2 at 64/255: what a hypothesis is chosen by.
    Choosing,
    /// All others: Tables 1 and 2 at 128/255 and Table 3, which took no part in that.
    Confirming,
}

/// How likely some printed cells are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The sum over the cells of the logarithm of the printed number's normal density.
    pub log_density: f64,
    /// The cells, each once.
    pub cells: usize,
    /// Those that lie in the interval of one more run.
    pub inside: usize,
}

/// The score of one half. The control's row counts by itself, and the others given the control, where the seeds are enough
/// for that: together this is the density of them all. A printed number that stands in several tables counts once, in the
/// half where it stands first.
pub fn of(seen: &[Replication], half: Half) -> Score {
    let mut counted = HashSet::new();
    let chosen = |cell: &&Replication| cell.table < 3 && cell.scale == CHOSEN_AT;
    let rest = |cell: &&Replication| !chosen(cell);
    let mut score = Score::default();
    for (cells, is_of) in [
        (seen.iter().filter(chosen).collect::<Vec<_>>(), Half::Choosing),
        (seen.iter().filter(rest).collect(), Half::Confirming),
    ] {
        for cell in cells {
            // The control is one model, and an attack may be the same at two scales: the number is the same, too.
            let mean = cell.verdict.prediction.mean.to_bits();
            let number = (&cell.method, &cell.column, cell.printed.to_bits(), mean);
            if !counted.insert(number) || is_of != half {
                continue;
            }
            score.cells += 1;
            score.inside += usize::from(cell.verdict.replicated);
            score.log_density += log_density(cell);
        }
    }
    // Logarithms may differ in the last bit from system to system.
    score.log_density = (score.log_density * 1e6).round() / 1e6;
    score
}

fn log_density(cell: &Replication) -> f64 {
    let prediction = cell.given_control.unwrap_or(cell.verdict).prediction;
    let deviation = prediction.deviation.max(FLOOR);
    let z = (cell.printed - prediction.mean) / deviation;
    -0.5 * z * z - deviation.ln() - HALF_LOG_TAU
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Prediction, PrintedVerdict};

    fn cell(table: usize, scale: &str, mean: f64, deviation: f64) -> Replication {
        let interval = [mean - 2.0 * deviation, mean + 2.0 * deviation];
        let prediction = Prediction { mean, deviation, interval };
        let printed = 0.6;
        let replicated = prediction.contains(printed);
        Replication {
            table,
            scale: scale.into(),
            method: "DeepSleep".into(),
            column: "fgsm".into(),
            printed,
            seeds: 3,
            verdict: PrintedVerdict { prediction, z: prediction.z(printed), replicated },
            given_control: None,
        }
    }

    /// SciPy's `norm.logpdf(0.6, 0.55, 0.04)` and `norm.logpdf(0.6, 0.55, 0.01)`.
    #[test]
    fn a_score_is_a_sum_of_log_densities() {
        let wide = cell(1, "64/255", 0.55, 0.04);
        let mut narrow = cell(1, "128/255", 0.55, 0.001);
        narrow.column = "pgd".into();
        let seen = [wide.clone(), narrow];
        let [choosing, confirming] = [Half::Choosing, Half::Confirming].map(|half| of(&seen, half));
        assert_eq!((choosing.log_density, choosing.cells, choosing.inside), (1.518_687, 1, 1));
        // No cell is surer than 0.01.
        assert_eq!((confirming.log_density, confirming.inside), (-8.813_768, 0));
        // Printed twice, counted once, and not in both halves.
        let seen = [
            wide.clone(),
            Replication { table: 2, ..wide.clone() },
            Replication { table: 3, ..wide },
        ];
        assert_eq!((of(&seen, Half::Choosing).cells, of(&seen, Half::Confirming).cells), (1, 0));
    }

    #[test]
    fn what_is_given_by_the_control_counts() {
        let mut cell = cell(1, "64/255", 0.3, 0.04);
        let alone = of(std::slice::from_ref(&cell), Half::Choosing).log_density;
        let prediction = Prediction { mean: 0.55, deviation: 0.04, interval: [0.4, 0.7] };
        cell.given_control = Some(PrintedVerdict { prediction, z: 1.0, replicated: true });
        let given = of(&[cell], Half::Choosing).log_density;
        assert!(alone < given && given == 1.518_687, "{alone} {given}");
    }
}
