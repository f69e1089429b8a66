//! What a few runs say of one more: mean, spread and prediction intervals. Additions, products and roots only, so that
//! every machine comes to the same bits.

use crate::evaluation::{NORMAL_QUANTILE, wilson};
use serde::{Deserialize, Serialize};

/// Student's t, 97.5 % quantiles for 1 to 12 degrees of freedom.
const STUDENT: [f64; 12] = [
    12.706_204_736_175,
    4.302_652_729_749,
    3.182_446_305_284,
    2.776_445_105_198,
    2.570_581_835_636,
    2.446_911_851_145,
    2.364_624_251_593,
    2.306_004_135_204,
    2.262_157_162_798,
    2.228_138_851_986,
    2.200_985_160_092,
    2.178_812_829_667,
];

/// How far a standard t variable lies from 0 in one of twenty cases: the 97.5 % quantile. From 13 degrees of freedom on by
/// the expansion in their inverse (Abramowitz and Stegun 26.7.5), which errs by less than 3e-6 there.
pub fn student(freedom: usize) -> f64 {
    if let Some(at) = freedom.checked_sub(1).and_then(|place| STUDENT.get(place)) {
        return *at;
    }
    let (z, n) = (NORMAL_QUANTILE, freedom.max(1) as f64);
    let z2 = z * z;
    let terms = [
        (z2 + 1.0) / 4.0,
        ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0,
        (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0,
        ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92_160.0,
    ];
    z + z * terms.iter().rev().fold(0.0, |sum, term| (sum + term) / n)
}

/// One accuracy over several seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Seeds.
    pub seeds: usize,
    /// Test images; where seeds differ, the fewest.
    pub images: usize,
    /// Mean over the seeds.
    pub mean: f64,
    /// Standard deviation over the seeds, of one degree of freedom less than there are seeds; none with one seed.
    pub deviation: Option<f64>,
    /// The smallest.
    pub smallest: f64,
    /// The largest.
    pub largest: f64,
}

/// Where one more run would end up, in 19 of 20 cases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// What is expected of it.
    pub mean: f64,
    /// The standard deviation around that.
    pub deviation: f64,
    /// The lower and the upper end of the interval, within 0..=1.
    pub interval: [f64; 2],
}

impl Spread {
    /// Of (accuracy, images) pairs, one per seed; None if there are none.
    pub fn of(values: impl IntoIterator<Item = (f64, usize)>) -> Option<Self> {
        let values: Vec<_> = values.into_iter().collect();
        let accuracies: Vec<f64> = values.iter().map(|(accuracy, _)| *accuracy).collect();
        let mean = mean(&accuracies);
        let freedom = values.len().checked_sub(1).filter(|freedom| *freedom > 0);
        Some(Self {
            seeds: values.len(),
            images: values.iter().map(|(_, images)| *images).min()?,
            mean,
            deviation: freedom.map(|n| (squares(&accuracies, mean) / n as f64).sqrt()),
            smallest: accuracies.iter().copied().fold(f64::INFINITY, f64::min),
            largest: accuracies.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }

    /// The 95 % prediction interval of one more run with another seed on all `test_images`: `mean +- t s sqrt(1 + 1/n)`,
    /// wider if only the first of these images were measured. None with one seed, which says nothing of another.
    pub fn prediction(&self, test_images: usize) -> Option<Prediction> {
        let deviation = self.deviation?;
        let one_more = deviation * (1.0 + 1.0 / self.seeds as f64).sqrt();
        let images = self.of_images(test_images);
        Some(Prediction::new(self.mean, one_more, student(self.seeds - 1), images))
    }

    /// With one seed, the 95 % interval of the same model's accuracy on other images of this kind (Wilson's). What another seed
    /// would give, it does not say.
    pub fn of_other_images(&self) -> Option<[f64; 2]> {
        let right = (self.mean * self.images as f64).round() as usize;
        (self.seeds == 1).then(|| wilson(right, self.images))
    }

    /// The standard deviation of an accuracy on all test images around that on the first ones, with two more right and two
    /// more wrong (Agresti and Coull, 1998), so that it is not 0 where all or none were right; 0 if these are all.
    pub fn of_images(&self, test_images: usize) -> f64 {
        let (n, all) = (self.images as f64, test_images.max(1) as f64);
        let share = (self.mean * n + 2.0) / (n + 4.0);
        let left_out = (1.0 - n / all).max(0.0);
        (share * (1.0 - share) / (n + 4.0) * left_out).sqrt()
    }
}

impl Prediction {
    /// Half of the last digit of print: a number within this of an interval may lie in it.
    const ROUNDING: f64 = 0.000_05 + 1e-9;

    fn new(mean: f64, one_more: f64, quantile: f64, images: f64) -> Self {
        let half = together(quantile * one_more, NORMAL_QUANTILE * images);
        let deviation = together(one_more, images);
        let interval = [mean - half, mean + half].map(|end| end.clamp(0.0, 1.0));
        Self { mean, deviation, interval }
    }

    /// Where y would end up beside an x of `at`, by a straight line through the pairs (x, y) of some runs. None of fewer than
    /// four runs, or if x is the same in all of them.
    pub fn beside(pairs: &[(f64, f64)], at: f64, images: f64) -> Option<Self> {
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let (mean_x, mean_y) = (mean(&x), mean(&y));
        let of_x = squares(&x, mean_x);
        if pairs.len() < 4 || of_x < 1e-8 {
            return None;
        }
        let both: f64 = pairs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        let slope = both / of_x;
        let left: f64 =
            pairs.iter().map(|(x, y)| y - mean_y - slope * (x - mean_x)).map(|r| r * r).sum();
        let (n, freedom) = (pairs.len() as f64, pairs.len() - 2);
        let far = (at - mean_x) * (at - mean_x) / of_x;
        let one_more = (left / freedom as f64 * (1.0 + 1.0 / n + far)).sqrt();
        let expected = (mean_y + slope * (at - mean_x)).clamp(0.0, 1.0);
        Some(Self::new(expected, one_more, student(freedom), images))
    }

    /// How many standard deviations a printed number is above what is expected. Where runs do not differ, the last digit of
    /// print is the deviation.
    pub fn z(&self, printed: f64) -> f64 {
        (printed - self.mean) / self.deviation.max(Self::ROUNDING)
    }

    /// Whether a printed number lies in the interval.
    pub fn contains(&self, printed: f64) -> bool {
        let [low, high] = self.interval;
        (low - Self::ROUNDING..=high + Self::ROUNDING).contains(&printed)
    }
}

/// The standard deviation of the sum of two things that do not depend on each other.
fn together(a: f64, b: f64) -> f64 {
    (a * a + b * b).sqrt()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn squares(values: &[f64], around: f64) -> f64 {
    values.iter().map(|value| (value - around) * (value - around)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: [f64; 6] = [0.11, 0.16, 0.2, 0.25, 0.13, 0.22];
    const DEFENDED: [f64; 6] = [0.5, 0.55, 0.61, 0.66, 0.52, 0.6];

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 3e-6, "{a} is not {b}");
    }

    /// SciPy's `t.ppf(0.975, n)`.
    #[test]
    fn quantiles_are_students() {
        for (freedom, expected) in [
            (1, 12.706_204_736_432),
            (2, 4.302_652_729_911),
            (9, 2.262_157_162_854),
            (12, 2.178_812_829_663),
            (13, 2.160_368_656_461),
            (31, 2.039_513_446_396),
            (100, 1.983_971_518_523),
            (999, 1.962_341_461_133),
        ] {
            near(student(freedom), expected);
        }
    }

    #[test]
    fn a_spread_is_over_the_seeds() {
        let spread = Spread::of([(0.5, 1000), (0.75, 500), (0.25, 1000)]).expect("three seeds");
        assert_eq!((spread.mean, spread.smallest, spread.largest), (0.5, 0.25, 0.75));
        assert_eq!((spread.seeds, spread.images, spread.deviation), (3, 500, Some(0.25)));
        assert_eq!(Spread::of([]), None);
        let one = Spread::of([(0.5, 10)]).expect("one seed");
        assert_eq!((one.deviation, one.prediction(10)), (None, None));
    }

    /// By hand in NumPy with SciPy's quantiles.
    #[test]
    fn a_prediction_is_of_one_more_run() {
        let spread = Spread::of(DEFENDED.map(|y| (y, 10_000))).expect("six seeds");
        near(spread.deviation.expect("six seeds"), 0.060_553_007);
        let prediction = spread.prediction(10_000).expect("six seeds");
        near(prediction.interval[0], 0.405_205_141);
        near(prediction.interval[1], 0.741_461_526);
        assert!(prediction.contains(0.741_5) && !prediction.contains(0.741_6));
        near(prediction.z(0.7), (0.7 - 0.573_333_333) / (0.060_553_007 * (7.0f64 / 6.0).sqrt()));
        // A tenth of the images: their own spread too.
        let few = Spread::of(DEFENDED.map(|y| (y, 1000))).expect("six seeds");
        near(few.of_images(10_000), (0.573_041_2f64 * 0.426_958_8 / 1004.0 * 0.9).sqrt());
        assert!(few.prediction(10_000).expect("six").interval[1] > prediction.interval[1]);
    }

    #[test]
    fn runs_that_do_not_differ_predict_their_number() {
        let none = Spread::of([(0.0, 100); 3]).and_then(|s| s.prediction(100)).expect("three");
        assert!(none.contains(0.0) && !none.contains(0.0029));
        assert!(none.z(0.0029) > 50.0 && none.z(0.0029).is_finite());
    }

    #[test]
    fn what_is_expected_beside_another_control_follows_the_line() {
        let pairs: Vec<(f64, f64)> = CONTROL.into_iter().zip(DEFENDED).collect();
        let prediction = Prediction::beside(&pairs, 0.343, 0.0).expect("six runs");
        near(prediction.mean, 0.754_261_067);
        near(prediction.deviation, 0.021_380_584);
        near(prediction.interval[0], 0.694_899_048);
        near(prediction.interval[1], 0.813_623_086);
        assert_eq!(Prediction::beside(&pairs[..3], 0.343, 0.0), None);
        assert_eq!(Prediction::beside(&[(0.0, 0.5); 6], 0.343, 0.0), None);
    }
}
