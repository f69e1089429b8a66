//! Confidence intervals for accuracies measured on a sample of images.

/// The standard normal's 97.5 % quantile.
pub(crate) const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % confidence interval of a share of which `successes` of `trials` were seen; 0..1 if there were none.
/// Unlike the normal approximation it stays within 0..1 and has a width where all or none succeeded (Wilson, 1927,
/// <https://doi.org/10.1080/01621459.1927.10502953>).
///
/// ```
/// use deepsleep::evaluation::wilson;
///
/// let [low, high] = wilson(79, 100);
/// assert!((low - 0.7002).abs() < 1e-4 && (high - 0.8583).abs() < 1e-4);
/// assert!(wilson(100, 100)[0] < 0.97);
/// ```
pub fn wilson(successes: usize, trials: usize) -> [f64; 2] {
    if trials == 0 {
        return [0.0, 1.0];
    }
    score_interval((successes as f64 / trials as f64).min(1.0), trials as f64)
}

/// The 95 % confidence interval of the mean of numbers in 0..=1; 0..1 if there are none. It is Wilson's for as many trials
/// as would leave a share just as uncertain as the numbers leave their mean: for numbers that are all 0 or 1 it is [`wilson`],
/// for numbers that vary less it is narrower.
///
/// ```
/// use deepsleep::evaluation::{mean_interval, wilson};
///
/// assert_eq!(mean_interval(&[0.0, 1.0, 1.0, 1.0]), wilson(3, 4));
/// let [low, high] = mean_interval(&[0.25, 0.75].repeat(50));
/// assert!((low - 0.4512).abs() < 1e-4 && (high - 0.5488).abs() < 1e-4);
/// ```
pub fn mean_interval(values: &[f64]) -> [f64; 2] {
    if values.is_empty() {
        return [0.0, 1.0];
    }
    let n = values.len() as f64;
    let mean = (values.iter().sum::<f64>() / n).clamp(0.0, 1.0);
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    // Equal numbers are no proof that all are equal.
    let trials = if variance > 0.0 { n * (mean * (1.0 - mean) / variance).max(1.0) } else { n };
    score_interval(mean, trials)
}

/// Wilson's interval of a share that was seen in `n` trials.
fn score_interval(share: f64, n: f64) -> [f64; 2] {
    let squared = NORMAL_QUANTILE * NORMAL_QUANTILE;
    let center = share + squared / (2.0 * n);
    let spread = NORMAL_QUANTILE * (share * (1.0 - share) / n + squared / (4.0 * n * n)).sqrt();
    let scale = 1.0 + squared / n;
    [((center - spread) / scale).max(0.0), ((center + spread) / scale).min(1.0)]
}
