//! How far a share of some images says what the share of all images would be.

/// The standard normal's 97.5 % quantile.
const QUANTILE: f64 = 1.959_963_984_540_054;

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
    let n = trials as f64;
    let share = (successes as f64 / n).min(1.0);
    let squared = QUANTILE * QUANTILE;
    let center = share + squared / (2.0 * n);
    let spread = QUANTILE * (share * (1.0 - share) / n + squared / (4.0 * n * n)).sqrt();
    let scale = 1.0 + squared / n;
    [((center - spread) / scale).max(0.0), ((center + spread) / scale).min(1.0)]
}
