//! How sure a share is.

use crate::attack::geometry::random::below;
pub(super) use crate::attack::median;
use crate::simd::random::Key;

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

/// Whether something happens more often than its opposite, and not by luck: the exact sign test at 2.5 %, of the strongest of
/// so many comparisons (Bonferroni).
pub fn surely_more(more: usize, less: usize, comparisons: usize) -> bool {
    more > less && at_least(more, more + less, 0.5) < 0.025 / comparisons.max(1) as f64
}

/// How many of `these` are not among `those`.
pub fn beyond(these: &[usize], those: &[usize]) -> usize {
    these.iter().filter(|i| !those.contains(i)).count()
}

/// The standard deviation of numbers; 0 of fewer than two.
pub fn deviation(numbers: &[f32]) -> f64 {
    let count = numbers.len() as f64;
    let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let squares = numbers.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>();
    if numbers.len() < 2 { 0.0 } else { (squares / (count - 1.0)).sqrt() }
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

/// Samples drawn with replacement, for a bootstrap.
const RESAMPLES: u64 = 1000;

/// The interval of 95 % of a statistic of `count` images, such as a median: the middle of its values on images drawn from these
/// with replacement (the percentile bootstrap), from a key of its own. None of no images.
pub fn bootstrap(count: usize, statistic: impl Fn(&[usize]) -> f64) -> Option<[f64; 2]> {
    if count == 0 {
        return None;
    }
    let random = &mut Key::new(0).named("bootstrap").generator();
    let mut drawn = vec![0; count];
    let mut values: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            drawn.iter_mut().for_each(|i| *i = below(random, count));
            statistic(&drawn)
        })
        .collect();
    values.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| values[(share * (values.len() - 1) as f64).round() as usize];
    Some([at(0.025), at(0.975)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the numbers 0 to 99 the median's interval by order statistics is that of the 40th to the 60th, and the mean's that
    /// of the normal distribution, 49.5 by 1.96 * 28.87 / 10 either way.
    #[test]
    fn bootstraps_agree_with_theory() {
        let median_of = |some: &[usize]| median(some.iter().map(|&i| i as f64).collect());
        let [low, high] = bootstrap(100, median_of).unwrap();
        assert!((low - 40.0).abs() <= 2.0 && (high - 60.0).abs() <= 2.0, "{low} {high}");
        let mean = |some: &[usize]| some.iter().sum::<usize>() as f64 / 100.0;
        let [low, high] = bootstrap(100, mean).unwrap();
        assert!((low - 43.84).abs() < 0.6 && (high - 55.16).abs() < 0.6, "{low} {high}");
        assert_eq!(bootstrap(1, |some| some[0] as f64), Some([0.0, 0.0]));
        assert_eq!(bootstrap(0, |_| 1.0), None);
        assert_eq!(bootstrap(100, median_of), bootstrap(100, median_of));
    }

    /// Of six coins all show heads at 1.6 %, of five at 3.1 %; nine heads of ten are as rare as 1.1 %.
    #[test]
    fn luck_is_told_from_more() {
        assert!(surely_more(6, 0, 1) && !surely_more(5, 0, 1));
        assert!(surely_more(9, 1, 1) && !surely_more(9, 1, 6) && !surely_more(8, 2, 1));
        assert!(!surely_more(0, 0, 1) && !surely_more(0, 9, 1) && !surely_more(1, 0, 0));
        assert_eq!((beyond(&[1, 2, 5], &[2, 3]), beyond(&[], &[1])), (2, 0));
        assert!((deviation(&[1.0, 2.0, 3.0, 4.0]) - (5.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!((deviation(&[3.0]), deviation(&[])), (0.0, 0.0));
    }

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
