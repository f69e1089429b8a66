//! Whether the gradient of a model tells where its loss rises.

use super::report::{Check, Finding};
use super::statistics::{bootstrap, deviation, interval, median, surely_more};
use super::subject::{NumberCheck, ShareCheck, Subject};
use crate::Result;
use crate::attack::Answer;
use crate::attack::geometry::random::{sign, symmetric};
use crate::simd::random::Key;

/// Images of a random model that are looked at, however many draws decide about each.
const FEWEST: usize = 32;

/// Gradients at the images, which several checks look at.
pub(super) struct Gradients {
    pub which: Vec<usize>,
    pub answers: Vec<Answer>,
}

impl Gradients {
    pub fn of(subject: &Subject<'_>, most: usize) -> Result<Self> {
        // Every draw of a random model costs as much as an image.
        let most = most.div_ceil(subject.model.draws()).max(most.min(FEWEST));
        let which = Subject::some(&subject.answered(), most);
        let answers = subject.gradients(&which)?;
        Ok(Self { which, answers })
    }

    /// The sign of the gradient, zero of what is none.
    fn signs(&self, k: usize) -> Vec<f32> {
        let sign = |&g: &f32| match g {
            g if g > 0.0 => 1.0,
            g if g < 0.0 => -1.0,
            _ => 0.0,
        };
        self.answers[k].gradient.iter().map(sign).collect()
    }
}

/// A random corner of a cube around zero.
pub(super) fn signs(key: Key, count: usize) -> Vec<f32> {
    let random = &mut key.generator();
    (0..count).map(|_| sign(random)).collect()
}

/// An image moved along a direction, in the box.
pub(super) fn along(image: &[f32], direction: &[f32], distance: f32) -> Vec<f32> {
    let moved = image.iter().zip(direction);
    moved.map(|(x, d)| (x + distance * d).clamp(0.0, 1.0)).collect()
}

/// Gradients that are zero, or no numbers.
pub(super) fn vanishing(gradients: &Gradients) -> Check {
    let none = |answer: &&Answer| {
        let g = &answer.gradient;
        g.iter().all(|&g| g == 0.0) || g.iter().any(|g| !g.is_finite())
    };
    let count = gradients.answers.iter().filter(none).count();
    let check = ShareCheck {
        name: "zero gradient",
        catches: "rounding, encoders without a gradient, needle-thin surrogates",
        measures: "images whose gradient is zero at every pixel, or not finite",
        fail: Some(0.01),
        warn: Some(0.0),
        meaning: "gradient attacks do not move: a layer has no gradient (rounding, an encoder, a sign), or a surrogate is so \
                  narrow that no membrane potential lies within it; supply one (straight-through, gradient=straight-through), and \
                  see what square and rays find",
    };
    check.check(count, gradients.which.len(), 1.0)
}

/// Random directions that a gradient is compared with.
const RANDOM: usize = 100;

/// Answers to the image itself, of a model that draws on its own.
const REPEATS: usize = 20;

/// Where the loss along the gradient stands among those along random directions.
pub(super) struct Ascent {
    /// For each image, how many of these are below it.
    above: Vec<usize>,
    /// Whether the model's own draws change the loss of most images about as much as a random direction does.
    is_hidden: bool,
}

impl Ascent {
    pub fn of(subject: &Subject<'_>, gradients: &Gradients) -> Result<Self> {
        let distance = subject.reach() / 4.0;
        let which = &gradients.which;
        let repeats = if subject.model.draws_by_key() { 0 } else { REPEATS };
        // That along the gradient first, the image itself last.
        let losses = subject.losses(which, 1 + RANDOM + repeats, |k, n| {
            let clean = subject.samples.image(which[k]);
            let random = |draw| subject.key("ascent", which[k]).with(draw as u64);
            let direction = match n.checked_sub(1) {
                None => gradients.signs(k),
                Some(draw) if draw < RANDOM => signs(random(draw), clean.len()),
                Some(_) => return clean.to_vec(),
            };
            along(clean, &direction, distance)
        })?;
        let (mut above, mut hidden) = (Vec::with_capacity(which.len()), 0);
        for losses in losses {
            let (random, repeated) = losses[1..].split_at(RANDOM);
            above.push(random.iter().filter(|&&loss| losses[0] > loss).count());
            let (moved, own) = (deviation(random), deviation(repeated));
            hidden += usize::from(moved * moved < 2.0 * own * own);
        }
        let is_hidden = 2 * hidden > which.len();
        Ok(Self { above, is_hidden })
    }

    /// Images whose loss rises more than along nearly all random directions: above the 95th of 100.
    fn rises(&self) -> usize {
        self.above.iter().filter(|&&above| above > RANDOM * 95 / 100).count()
    }

    /// Whether the loss falls along the gradient, and that is no chance.
    fn falls(&self) -> bool {
        let below = self.above.iter().filter(|&&above| above < RANDOM / 2).count();
        let over = self.above.iter().filter(|&&above| above > RANDOM / 2).count();
        surely_more(below, over, 1)
    }

    /// Whether a gradient that was turned round is seen to be worse; where draws hide steps, that cannot be seen.
    pub fn beats(&self, turned: &Self) -> bool {
        let sum = |all: &[usize]| all.iter().sum::<usize>();
        self.is_hidden || sum(&turned.above) < sum(&self.above)
    }

    /// Whether the loss rises along the gradient more than along nearly all random directions.
    pub fn check(&self, subject: &Subject<'_>) -> Check {
        // Chance is 5 %. Between draws of spikes, a mean of a few says of so small a step little more than the direction.
        let least = match (subject.model.is_random(), subject.model.estimates_gradients()) {
            (true, _) => 0.1,
            (false, true) => 0.5,
            (false, false) => 0.75,
        };
        let (rises, count) = (self.rises(), self.above.len());
        let share = rises as f64 / count.max(1) as f64;
        // A handful of images says little.
        let [low, most] = interval(rises, count);
        let finding = match share {
            _ if subject.model.is_random() && self.falls() => Finding::Fail,
            _ if self.is_hidden => Finding::Pass,
            _ if most < least => Finding::Fail,
            share if share < least => Finding::Warn,
            _ => Finding::Pass,
        };
        let threshold = match self.is_hidden {
            true => {
                "fails where the loss falls at most images: the model's own draws hide more".into()
            }
            false => format!("fails where no more than {} % are likely", 100.0 * least),
        };
        let number = NumberCheck {
            name: "ascent",
            catches: "wrong, random, negated, shattered gradients",
            measures: "images whose loss rises more along the gradient's sign, by eps / 4, than along 95 of 100 random signs",
            meaning: "the gradient does not say where the loss rises: it is wrong, random, negated, another network's, or shattered into \
             pieces smaller than a step; what attacks along it leave is no robustness (square, rays, nes-pgd, jitter=)",
        };
        let check = number.check(share, (&threshold, finding));
        Check { interval: Some([low, most]), ..check }
    }
}

/// Whether the gradient predicts differences.
pub(super) fn differences(subject: &Subject<'_>, gradients: &Gradients) -> Result<Check> {
    const DIRECTIONS: usize = 20;
    // The smallest where kinks lie close together, as in a network trained against attacks; larger ones where a function is
    // rough at a small scale, or f32 rounds differences away.
    let steps = [1e-5, 1e-4, 1e-3, 1e-2, subject.reach() / 4.0];
    let mut correlations = steps.map(|_| Vec::new());
    let which = Subject::some(&gradients.which, 64);
    // Far enough from the box's ends that both sides of a difference lie in it, and not where pixels are equal: there
    // the windows of a pooling tie, and the function has no derivative.
    let room = steps.iter().fold(0.0f32, |room, &h| room.max(h)).min(0.4);
    let middle = |&i: &usize| -> Vec<f32> {
        let random = &mut subject.key("difference point", i).generator();
        let inner =
            |x: &f32| x.clamp(1.2 * room, 1.0 - 1.2 * room) + 0.2 * room * symmetric(random);
        subject.samples.image(i).iter().map(inner).collect()
    };
    let middles: Vec<Vec<f32>> = which.iter().map(middle).collect();
    let points = which.iter().zip(&middles).map(|(&i, middle)| subject.point(i, middle));
    let answers = subject.gradients_at(&points.collect::<Vec<_>>())?;
    let direction = |k: usize, n: usize| {
        signs(subject.key("difference", which[k]).with(n as u64), middles[k].len())
    };
    // Of every step the directions, of every direction both sides.
    let losses = subject.losses(&which, steps.len() * 2 * DIRECTIONS, |k, n| {
        let (step, side) = (steps[n / (2 * DIRECTIONS)], if n % 2 == 0 { 1.0 } else { -1.0 });
        along(&middles[k], &direction(k, n / 2 % DIRECTIONS), side * step)
    })?;
    for (k, (answer, losses)) in answers.iter().zip(losses).enumerate() {
        let slope = |n| {
            let terms = direction(k, n).into_iter().zip(&answer.gradient);
            terms.map(|(v, g)| f64::from(v * g)).sum()
        };
        let predicted: Vec<f64> = (0..DIRECTIONS).map(slope).collect();
        let mut flat = predicted.iter().all(|&change| change == 0.0);
        for (losses, correlations) in losses.chunks(2 * DIRECTIONS).zip(&mut correlations) {
            let found: Vec<f64> =
                losses.chunks(2).map(|pair| f64::from(pair[0] - pair[1])).collect();
            flat &= found.iter().all(|&change| change == 0.0);
            correlations.push(cosine(&predicted, &found));
        }
        // Where nothing changes at any step, a gradient of zero is the derivative.
        if flat {
            correlations.iter_mut().filter_map(|all| all.last_mut()).for_each(|last| *last = 1.0);
        }
    }
    let best_of = |some: &[usize]| {
        let medians = correlations.iter().map(|all| median(some.iter().map(|&i| all[i]).collect()));
        medians.fold(-1.0, f64::max)
    };
    let best = best_of(&(0..which.len()).collect::<Vec<usize>>());
    let interval = bootstrap(which.len(), best_of);
    // Spikes have no derivative that differences could show, nor do they show one through noise that cannot be drawn twice.
    let estimated = subject.model.estimates_gradients() || !subject.model.draws_by_key();
    let fails = !estimated && best < 0.9;
    let threshold = if estimated { "for information" } else { "fails below 0.9" };
    let number = NumberCheck {
        name: "directional derivative",
        catches: "the gradient of another function",
        measures: "correlation of gradients with central differences along 20 directions (median over images, at the best of five steps)",
        meaning: "the gradient is not this network's derivative: a layer's backward stands for another function (as in BPDA), or the \
         function is not smooth at any of these scales",
    };
    let check = number.check(best, (threshold, if fails { Finding::Fail } else { Finding::Pass }));
    Ok(Check { interval, ..check })
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scale = (dot(a, a) * dot(b, b)).sqrt();
    if scale > 0.0 { dot(a, b) / scale } else { 0.0 }
}

/// How much the loss changes within a twentieth of the radius.
pub(super) fn roughness(subject: &Subject<'_>, gradients: &Gradients) -> Result<Check> {
    const DRAWS: usize = 50;
    let which = Subject::some(&gradients.which, 64);
    // What a model's own draws change is no roughness: it is measured where nothing is moved.
    let own_draws = !subject.model.draws_by_key();
    let count = if own_draws { 1 + 2 * DRAWS } else { 1 + DRAWS };
    // That of the image itself first, and others of it last.
    let losses = subject.losses(&which, count, |k, n| {
        let clean = subject.samples.image(which[k]);
        let Some(draw) = n.checked_sub(1).filter(|&draw| draw < DRAWS) else {
            return clean.to_vec();
        };
        let random = &mut subject.key("roughness", which[k]).with(draw as u64).generator();
        let noise: Vec<f32> = clean.iter().map(|_| symmetric(random)).collect();
        along(clean, &noise, subject.reach() / 20.0)
    })?;
    let mut changes = Vec::with_capacity(which.len());
    for losses in losses {
        let change = |loss: &f32| {
            let change =
                f64::from((loss - losses[0]).abs()) / f64::from(losses[0].abs()).max(1e-12);
            if change.is_finite() { change.min(1.0) } else { 1.0 }
        };
        let sum = |some: &[f32]| some.iter().map(change).sum::<f64>() / DRAWS as f64;
        let (moved, still) = losses[1..].split_at(DRAWS);
        changes.push(sum(moved) - sum(still));
    }
    let mean_of =
        |some: &[usize]| some.iter().map(|&k| changes[k]).sum::<f64>() / some.len().max(1) as f64;
    let mean = mean_of(&(0..changes.len()).collect::<Vec<usize>>());
    let interval = bootstrap(changes.len(), mean_of);
    let surely = if own_draws { interval.map_or(0.0, |[low, _]| low) } else { mean };
    let finding = if surely > 0.1 { Finding::Warn } else { Finding::Pass };
    let threshold = if own_draws { "warns if significantly above 0.1" } else { "warns above 0.1" };
    let beyond = if own_draws { ", beyond what its draws change" } else { "" };
    let number = NumberCheck {
        name: "roughness",
        catches: "shattering",
        measures: &format!(
            "how much the margin changes within eps / 20, as a share of itself (mean){beyond}"
        ),
        meaning: "the loss is rough at a scale that steps do not see: average gradients (jitter=) or scores (nes-pgd)",
    };
    let check = number.check(mean, (threshold, finding));
    Ok(Check { interval, ..check })
}

/// Whether the loss at half of a single step exceeds that at its end.
pub(super) fn overshoot(subject: &Subject<'_>, gradients: &Gradients) -> Result<Check> {
    const PARTS: usize = 16;
    let which = &gradients.which;
    let losses = subject.losses(which, PARTS + 1, |k, n| {
        let distance = n as f32 / PARTS as f32 * subject.reach();
        along(subject.samples.image(which[k]), &gradients.signs(k), distance)
    })?;
    let (mut back, mut sums) = (0, [0.0; PARTS + 1]);
    for losses in losses {
        back += usize::from(losses[PARTS / 2] > losses[PARTS]);
        // Every image on its own scale, from its lowest loss to its highest.
        let (low, high) =
            losses.iter().fold((f32::MAX, f32::MIN), |(a, b), &l| (a.min(l), b.max(l)));
        let height = high - low;
        let rises = height > 0.0 && height.is_finite();
        let rescaled = |loss: f32| if rises { (loss - low) / height } else { 0.0 };
        sums.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += f64::from(rescaled(loss)));
    }
    let count = gradients.which.len().max(1) as f64;
    let points = sums.iter().enumerate();
    let curve = points.map(|(n, sum)| [n as f64 / PARTS as f64, sum / count]).collect();
    let check = ShareCheck {
        name: "loss along the gradient",
        catches: "catastrophic overfitting",
        measures: "images whose loss is higher halfway along a single step than at its end",
        fail: None,
        // Of losses that are mostly noise, either one is the higher in half of the cases.
        warn: Some(if subject.model.draws_by_key() { 0.2 } else { 0.5 }),
        meaning: "the loss bends back inside the ball, as in networks trained on single-step attacks (catastrophic \
                  overfitting): single-step attacks say nothing about it",
    };
    Ok(Check { curve, ..subject.share(check, back, gradients.which.len()) })
}
