//! How sure a share is.

pub(super) use crate::attack::median;

/// The exact (Clopper-Pearson) interval of 95 % for `hits` of `count`: for counts of a handful, of which Wilson's lower
/// bound is several times as high.
pub fn interval(hits: usize, count: usize) -> [f64; 2] {
    if count == 0 {
        return [0.0, 1.0];
    }
    let low = if hits == 0 { 0.0 } else { solve(|p| at_least(hits, count, p) - 0.025) };
    let high = if hits == count { 1.0 } else { solve(|p| at_least(hits + 1, count, p) - 0.975) };
    [low, high]
}

/// The probability of `hits` or more of `count`.
fn at_least(hits: usize, count: usize, p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        return f64::from(u8::from(p >= 1.0 || hits == 0));
    }
    // From one term to the next by their ratio, beginning at the logarithm of the first.
    let n = count as f64;
    let choose: f64 = (0..hits).map(|i| ((n - i as f64) / (i as f64 + 1.0)).ln()).sum();
    let mut log = choose + hits as f64 * p.ln() + (n - hits as f64) * (1.0 - p).ln();
    let (ratio, mut sum) = ((p / (1.0 - p)).ln(), 0.0);
    for k in hits..=count {
        sum += log.exp();
        log += ((n - k as f64) / (k as f64 + 1.0)).ln() + ratio;
    }
    sum.min(1.0)
}

/// Where a rising function of 0..1 crosses zero.
fn solve(f: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if f(middle) < 0.0 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of SciPy's `binomtest(k, n).proportion_ci(method="exact")`.
    #[test]
    fn intervals_are_exact() {
        for (hits, count, low, high) in [
            (0, 10, 0.0, 0.308_497_1),
            (3, 10, 0.066_739_5, 0.652_452_9),
            (10, 10, 0.691_502_9, 1.0),
            (1, 500, 0.000_050_6, 0.011_092_5),
            (250, 500, 0.455_285_6, 0.544_714_4),
        ] {
            let [a, b] = interval(hits, count);
            assert!((a - low).abs() < 1e-6 && (b - high).abs() < 1e-6, "{hits}/{count}: {a} {b}");
        }
    }
}
