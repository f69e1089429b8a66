//! The active test (Zimmermann et al. 2022, "Increasing confidence in adversarial robustness evaluations"): the network gets
//! another last layer, for which an adversarial point is known to be in the ball. An attack that cannot find it is too weak for
//! this network, even if no other attack is stronger.

use super::gradients::{along, signs};
use super::report::{Check, Finding};
use super::statistics::interval;
use super::subject::{NumberCheck, Subject};
use crate::Result;
use crate::attack::geometry::random::symmetric;
use crate::attack::{
    Apgd, Attack, Budget, Classifier, Estimated, Estimator, Norm, Pgd, Point, Probe, Samples,
    Status, run_attack,
};
use crate::nn::{FrozenNetwork, predict};
use crate::simd::random::{Key, uniform_from_bits};
use rand::Rng;

/// Points inside of the ball, and how far they lie out in it.
const INNER: usize = 999;
const INSIDE: f32 = 0.95;

/// Random points that try to cross.
const TRIES: usize = 200;

/// Numbers before the last layer at most.
const MOST_FEATURES: usize = 4096;

/// Whether the attacks that the audit counts on find what is there to be found. None where the last layer cannot be
/// exchanged.
pub(super) fn active(subject: &mut Subject<'_>, images: usize) -> Result<Option<Check>> {
    let Some(network) = subject.model.as_network() else { return Ok(None) };
    let features = network.features();
    if !(2..=MOST_FEATURES).contains(&features) || network.is_random() {
        return Ok(None);
    }
    let mut identity = vec![0.0; features * features];
    (0..features).for_each(|i| identity[i * (features + 1)] = 1.0);
    let Some(bare) = network.with_head(&identity, vec![0.0; features])? else { return Ok(None) };
    let (mut tried, mut found, mut by_chance) = (0, 0, 0);
    for i in Subject::some(&subject.all(), images) {
        let planted = Planted::new(subject, i, bare.as_ref())?;
        let Some(head) = planted.head(subject.spread(i)?) else { continue };
        let (weight, bias) = head;
        let Some(model) = network.with_head(&weight, bias)? else { return Ok(None) };
        tried += 1;
        by_chance += usize::from(planted.is_crossed_by_chance(subject, model.as_ref())?);
        found += usize::from(is_found(subject, i, model.as_ref())?);
    }
    if tried == 0 {
        return Ok(None);
    }
    let [rate, chance] = [found, by_chance].map(|count| count as f64 / tried as f64);
    let [_, high] = interval(found, tried);
    let finding = if high < 0.95 && chance < 0.5 { Finding::Fail } else { Finding::Pass };
    let measures = format!(
        "planted adversarial points that the attacks find, of {tried} (random search: {:.2})",
        chance
    );
    let number = NumberCheck {
        name: "active test",
        catches: "attacks too weak for this network",
        measures: &measures,
        meaning: "with another last layer the attacks do not find a point that is known to fool the network: they are too weak for it, \
         even if nothing stronger is at hand",
    };
    let mut check =
        number.check(rate, ("fails surely below 0.95, where chance finds less than half", finding));
    check.interval = Some(interval(found, tried));
    Ok(Some(check))
}

/// Points around an image, all of one class but the last, which lies at the ball's surface.
struct Planted {
    sample: usize,
    points: Vec<Vec<f32>>,
    /// What the network makes of them before its last layer.
    features: Vec<Vec<f32>>,
}

impl Planted {
    fn new(subject: &Subject<'_>, sample: usize, bare: &dyn FrozenNetwork) -> Result<Self> {
        let clean = subject.samples.image(sample);
        let mut points = vec![clean.to_vec()];
        let key = subject.key("active", sample);
        points.extend((1..INNER).map(|n| inside(subject.budget, clean, key.with(n as u64))));
        points.push(at_surface(subject.budget, clean, key.named("surface")));
        let features = answers(subject, bare, sample, &points)?;
        Ok(Self { sample, points, features })
    }

    /// The last layer that tells the last point from the others, its two logits as far apart as those of the network
    /// itself: weights `[2][feature]` and biases. None if no plane was found that does.
    fn head(&self, spread: f32) -> Option<(Vec<f32>, Vec<f32>)> {
        let (last, inner) = self.features.split_last()?;
        let plane = separating(last, inner)?;
        let value = |f: &[f32]| f.iter().zip(&plane).map(|(f, w)| f64::from(*f) * w).sum::<f64>();
        let (top, most) = (value(last), inner.iter().map(|f| value(f)).fold(f64::MIN, f64::max));
        if top.partial_cmp(&most) != Some(std::cmp::Ordering::Greater) {
            return None;
        }
        let clean = value(&inner[0]);
        // Half of the way between: neither side is nearer to the boundary.
        let (middle, scale) = (0.5 * (top + most), f64::from(spread) / (top - clean).max(1e-12));
        let weight = plane.iter().map(|w| (0.5 * scale * w) as f32);
        let row: Vec<f32> = weight.collect();
        let bias = (0.5 * scale * middle) as f32;
        let weight = row.iter().map(|w| -w).chain(row.iter().copied()).collect();
        Some((weight, vec![bias, -bias]))
    }

    /// Whether a random point of the ball has the planted class.
    fn is_crossed_by_chance(
        &self,
        subject: &Subject<'_>,
        model: &dyn FrozenNetwork,
    ) -> Result<bool> {
        let clean = &self.points[0];
        let key = subject.key("chance", self.sample);
        let budget = Budget { eps: subject.budget.eps / INSIDE, ..subject.budget };
        let tries: Vec<Vec<f32>> =
            (0..TRIES).map(|n| inside(budget, clean, key.with(n as u64))).collect();
        let answers = answers(subject, model, self.sample, &tries)?;
        Ok(answers.iter().any(|z| predict(z) == 1))
    }
}

/// Whether the attacks that stand for those of the audit find a point of the planted class.
fn is_found(subject: &Subject<'_>, i: usize, model: &dyn FrozenNetwork) -> Result<bool> {
    let one = subject.samples.select(&[i])?;
    let one = Samples::new(one.to_array().view(), vec![0], one.ids().to_vec())?;
    let mut attacks: Vec<Box<dyn Attack>> =
        vec![Box::new(Apgd::default()), Box::new(Pgd::default())];
    if subject.model.is_spiking() {
        let attack = Box::new(Apgd::default());
        attacks.push(Box::new(Estimated { attack, estimator: Estimator::pdsg() }));
    }
    for attack in attacks {
        let report = run_attack(subject.context, model, &one, attack.as_ref(), subject.budget)?;
        if report.outcomes[0].status == Status::Fooled {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The logits of a network for points in the place of a sample.
fn answers(
    subject: &Subject<'_>,
    network: &dyn FrozenNetwork,
    sample: usize,
    points: &[Vec<f32>],
) -> Result<Vec<Vec<f32>>> {
    let model: &dyn Classifier = network;
    let noise = subject.key("noise", sample);
    let points: Vec<Point<'_>> =
        points.iter().map(|image| Point { image, label: 0, noise }).collect();
    let answers = Probe { context: subject.context, model }.logits(&points)?;
    Ok(answers.into_iter().map(|answer| answer.logits).collect())
}

/// A random point of the ball, uniform up to the share [`INSIDE`] of its radius in Linf, of a random length elsewhere.
fn inside(budget: Budget, clean: &[f32], key: Key) -> Vec<f32> {
    let random = &mut key.generator();
    let noise: Vec<f32> = clean.iter().map(|_| symmetric(random)).collect();
    let length = match budget.norm {
        Norm::Linf => 1.0,
        norm => norm.of(&noise).max(f32::MIN_POSITIVE) / uniform_from_bits(random.next_u32()),
    };
    along(clean, &noise, INSIDE * budget.eps / length)
}

/// A random point of the ball's surface; in Linf one of its corners.
fn at_surface(budget: Budget, clean: &[f32], key: Key) -> Vec<f32> {
    let corner = signs(key, clean.len());
    let length = if budget.norm == Norm::Linf { 1.0 } else { budget.norm.of(&corner) };
    along(clean, &corner, budget.eps / length)
}

/// The normal of a plane that has `last` on one side and all others on the other, by a perceptron that is corrected by the
/// point that is worst, features counted by how far they vary; None if there seems to be none.
fn separating(last: &[f32], others: &[Vec<f32>]) -> Option<Vec<f64>> {
    let features = last.len();
    let differences: Vec<Vec<f64>> = others
        .iter()
        .map(|f| last.iter().zip(f).map(|(a, b)| f64::from(a - b)).collect())
        .collect();
    // A feature counts by how far it varies.
    let scale: Vec<f64> = (0..features)
        .map(|j| {
            let square = differences.iter().map(|d| d[j] * d[j]).sum::<f64>();
            1.0 / (square / differences.len() as f64).sqrt().max(1e-9)
        })
        .collect();
    let scaled: Vec<Vec<f64>> =
        differences.iter().map(|d| d.iter().zip(&scale).map(|(d, s)| d * s).collect()).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut w = vec![0.0; features];
    scaled.iter().for_each(|d| w.iter_mut().zip(d).for_each(|(w, d)| *w += d));
    // All differences have to be on the plane's upper side: the one that is lowest is corrected.
    for _ in 0..2000 {
        let length = dot(&w, &w).sqrt().max(1e-300);
        let values = scaled.iter().map(|d| dot(&w, d) / length);
        let (worst, value) =
            values.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, f64::INFINITY));
        if value > 1e-3 {
            let plane = w.iter().zip(&scale).map(|(w, s)| w / length * s);
            return Some(plane.collect());
        }
        w.iter_mut().zip(&scaled[worst]).for_each(|(w, d)| *w += d);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_outside_of_a_hull_is_told_from_it() {
        let random = &mut Key::new(3).generator();
        let mut point = |size: f32| -> Vec<f32> {
            (0..20).map(|_| size * (uniform_from_bits(random.next_u32()) - 0.5)).collect()
        };
        let others: Vec<Vec<f32>> = (0..50).map(|_| point(1.0)).collect();
        let last = point(3.0);
        let plane = separating(&last, &others).expect("fifty points of twenty numbers");
        let value = |f: &[f32]| f.iter().zip(&plane).map(|(f, w)| f64::from(*f) * w).sum::<f64>();
        assert!(others.iter().all(|other| value(other) < value(&last)));
        // What lies among the others cannot be.
        let mean: Vec<f32> =
            (0..20).map(|j| others.iter().map(|o| o[j]).sum::<f32>() / 50.0).collect();
        assert!(separating(&mean, &others).is_none());
    }
}
