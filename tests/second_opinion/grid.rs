//! Networks of two and three pixels: the whole box is looked at, point by point, and whoever says that a sample is robust
//! is held against that.

use super::cases::{NORMS, short};
use super::claims::{Rules, Tally, check};
use super::models::points;
use super::net::{Net, Numbers};
use deepsleep::attack::{ATTACKS, Budget, Norm, Samples, Status, parse_attack, run_attack};
use deepsleep::tensor::{Context, Shape};

const NETS: u64 = 200;
const SAMPLES: usize = 6;

/// By how much the grid has to fool a sample, in parts of the largest margin of the box, for it to count.
const MARGIN: f64 = 0.005;

/// The logits at every point of a grid over the box.
struct Grid {
    /// Points along a side.
    side: usize,
    features: usize,
    classes: usize,
    logits: Vec<f64>,
    /// The largest difference of two logits anywhere.
    spread: f64,
    /// The largest change of a difference of two logits from a point to its neighbor.
    change: f64,
}

impl Grid {
    fn new(net: &Net) -> Self {
        let features = net.shape.features();
        let side = if features == 2 { 129usize } else { 33 };
        let classes = net.classes();
        let mut logits = Vec::with_capacity(side.pow(features as u32) * classes);
        let (mut spread, mut change) = (0.0f64, 0.0f64);
        for i in 0..side.pow(features as u32) {
            let z = net.logits(&Self::place(side, features, i));
            let largest = z.iter().copied().fold(f64::MIN, f64::max);
            let smallest = z.iter().copied().fold(f64::MAX, f64::min);
            spread = spread.max(largest - smallest);
            for axis in 0..features {
                let stride = side.pow(axis as u32);
                if i / stride % side > 0 {
                    let before = &logits[(i - stride) * classes..][..classes];
                    let steps = z.iter().zip(before).map(|(a, b): (&f64, &f64)| a - b);
                    let most = steps.clone().fold(f64::MIN, f64::max);
                    let least = steps.fold(f64::MAX, f64::min);
                    change = change.max(most - least);
                }
            }
            logits.extend(z);
        }
        Self { side, features, classes, logits, spread, change }
    }

    /// The coordinates of a point, each `k / (side - 1)`.
    fn place(side: usize, features: usize, i: usize) -> Vec<f64> {
        let coordinate = |axis: usize| (i / side.pow(axis as u32) % side) as f64;
        (0..features).map(|axis| coordinate(axis) / (side - 1) as f64).collect()
    }

    /// The least margin of the points in the ball.
    fn least_margin(&self, clean: &[f32], label: usize, norm: Norm, eps: f64) -> f64 {
        let mut least = f64::INFINITY;
        for (i, z) in self.logits.chunks(self.classes).enumerate() {
            let (mut largest, mut squares, mut sum) = (0.0f64, 0.0f64, 0.0f64);
            let mut count = 0.0;
            let mut index = i;
            for &pixel in &clean[..self.features] {
                let at = (index % self.side) as f64 / (self.side - 1) as f64;
                let d = (at - f64::from(pixel)).abs();
                (largest, squares, sum) = (largest.max(d), squares + d * d, sum + d);
                count += f64::from(u8::from(d > 0.0));
                index /= self.side;
            }
            let size = match norm {
                Norm::Linf => largest,
                Norm::L2 => squares.sqrt(),
                Norm::L1 => sum,
                _ => count,
            };
            if size <= eps {
                let rivals = z.iter().enumerate().filter(|&(class, _)| class != label);
                let rival = rivals.fold(f64::MIN, |m, (_, &z)| m.max(z));
                least = least.min(z[label] - rival);
            }
        }
        least
    }
}

/// A net of two or three pixels, two to five classes and up to two hidden layers, and images.
fn problem(seed: u64) -> (Net, Samples) {
    let shapes =
        [Shape::new(1, 1, 2), Shape::new(1, 1, 3), Shape::new(1, 2, 1), Shape::new(3, 1, 1)];
    let shape = shapes[seed as usize % 4];
    let classes = 2 + seed as usize / 4 % 4;
    let widths = match seed / 16 % 4 {
        0 => vec![classes],
        1 => vec![8, classes],
        2 => vec![6, 6, classes],
        _ => vec![12, 12, 12, classes],
    };
    let net = Net::random(seed, shape, &widths);
    let samples = points(&net, 5000 + seed, SAMPLES);
    (net, samples)
}

fn radius(norm: Norm, seed: u64) -> f32 {
    let scale = match norm {
        Norm::Linf => 0.7,
        Norm::L2 => 0.9,
        _ => 1.1,
    };
    (scale * (0.05 + 0.25 * Numbers::new(seed + 9000).unit())) as f32
}

/// What AutoAttack leaves, the grid cannot fool; what it fools, the grid (almost) fools.
fn autoattack(norm: Norm) {
    let what = format!("AutoAttack on {NETS} nets, {norm}");
    let mut tally = Tally::default();
    let (mut missed, mut by_the_grid) = (Vec::new(), 0);
    let context = Context::new(1).unwrap();
    for seed in 0..NETS {
        let (net, samples) = problem(seed);
        let grid = Grid::new(&net);
        let eps = radius(norm, seed);
        let a = parse_attack("autoattack").unwrap();
        let budget = Budget { norm, eps, seed };
        let report = run_attack(&context, &net, &samples, a.as_ref(), budget).unwrap();
        let place = format!("net {seed}");
        tally.add(check(&report, &samples, &net, Rules::of(a.as_ref()), &what));
        for (i, outcome) in report.outcomes.iter().enumerate() {
            let clean = samples.image(i);
            let least = grid.least_margin(clean, outcome.label, norm, f64::from(eps));
            by_the_grid += usize::from(least < 0.0 && outcome.status != Status::CleanWrong);
            if outcome.status == Status::Survived && least < 0.0 {
                missed.push((-least / grid.spread, format!("{place}, sample {i}")));
            }
            if outcome.status == Status::Fooled {
                let cell = 1.0 / (grid.side - 1) as f64;
                let reach = f64::from(eps) + cell * grid.features as f64;
                let near = grid.least_margin(clean, outcome.label, norm, reach);
                if near > grid.change * grid.features as f64 {
                    let detail = format!("{place}, sample {i}: the grid has {near}");
                    tally.complain(&what, "fooled where nothing is", detail);
                }
            }
        }
    }
    missed.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("{norm}: the grid fools {by_the_grid}; missed, and by how much: {missed:?}");
    for (by, place) in missed {
        if by > MARGIN {
            tally.complain(&what, "fooled by the grid alone", format!("{place}, by {by:.4}"));
        }
    }
    tally.settle(&what);
    assert!(tally.fooled > 200 && tally.survived > 200, "one-sided");
}

#[test]
fn autoattack_leaves_nothing_to_the_grid_in_linf() {
    autoattack(Norm::Linf);
}

#[test]
fn autoattack_leaves_nothing_to_the_grid_in_l2() {
    autoattack(Norm::L2);
}

#[test]
fn autoattack_leaves_nothing_to_the_grid_in_l1() {
    autoattack(Norm::L1);
}

/// Attacks that look around one point may miss; what they find has to be there.
#[test]
fn single_attacks_find_nothing_that_is_not_there() {
    let mut tally = Tally::default();
    let context = Context::new(1).unwrap();
    for seed in 0..NETS {
        let (net, samples) = problem(seed);
        for entry in ATTACKS.iter().filter(|entry| entry.name != "autoattack") {
            // The second form is another of the same code.
            let text = short(entry.name)[0];
            let a = parse_attack(text).unwrap();
            let norm = NORMS[(seed as usize + entry.name.len()) % 3];
            let budget = Budget { norm, eps: radius(norm, seed), seed };
            // Not every attack exists in every norm.
            let Ok(report) = run_attack(&context, &net, &samples, a.as_ref(), budget) else {
                continue;
            };
            let place = format!("{text}, {norm}");
            tally.add(check(&report, &samples, &net, Rules::of(a.as_ref()), &place));
        }
    }
    tally.settle("single attacks on small nets");
    assert!(tally.fooled > 2000, "only {} fooled", tally.fooled);
}
