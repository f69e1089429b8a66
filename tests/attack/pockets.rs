//! Spiking networks of two pixels, whose balls a grid covers: what it fools, the ensemble for spiking networks has to.

use crate::common::networks::node;
use deepsleep::attack::{
    AutoAttack, Budget, Classifier, Norm, Samples, Status, Version, run_attack,
};
use deepsleep::nn::architecture::{Architecture, Op};
use deepsleep::nn::{Freeze, Model, Network, predict};
use deepsleep::simd::random::{Key, uniform_from_bits};
use deepsleep::simd::{LANES, Lanes};
use deepsleep::snn::{FrozenSpikingModel, SpikingModel, SpikingOptions, Statistics};
use deepsleep::tensor::{Context, Shape};
use ndarray::Array4;
use rand::Rng;

/// Points along a side of the grid.
const SIDE: usize = 65;

/// Images of each network.
const IMAGES: usize = 6;

/// Two pixels, one or two layers of a few neurons, two or three classes.
struct Drawn(rand_xoshiro::Xoshiro128PlusPlus);

impl Drawn {
    fn uniform(&mut self) -> f32 {
        uniform_from_bits(self.0.next_u32())
    }

    fn below(&mut self, n: usize) -> usize {
        self.0.next_u32() as usize % n
    }

    /// Nearly normal.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }

    fn network(&mut self) -> FrozenSpikingModel {
        let (hidden, classes, deep) = (4 + self.below(8), 2 + self.below(2), self.below(2) == 1);
        let mut nodes =
            vec![node("a", Op::Linear { out: hidden, bias: true }), node("s", Op::Relu {})];
        if deep {
            nodes.push(node("b", Op::Linear { out: hidden, bias: true }));
            nodes.push(node("t", Op::Relu {}));
        }
        nodes.push(node("c", Op::Linear { out: classes, bias: true }));
        let architecture = Architecture::new(Shape::new(1, 1, 2), classes, nodes).unwrap();
        let mut model = Model::new(architecture, 0).unwrap();
        let deeper = 2.4 / (hidden as f32).sqrt();
        for parameter in model.parameters_mut().iter_mut() {
            let scale = match parameter.name.as_str() {
                "a.weight" => 2.0,
                "a.bias" => 0.7,
                "b.weight" => deeper,
                "b.bias" => 0.3,
                "c.weight" => 1.0,
                _ => 0.1,
            };
            parameter.values.iter_mut().for_each(|value| *value = scale * self.normal());
        }
        let options = SpikingOptions::default().with(|o| o.steps = 4);
        SpikingModel::from_model(&model, options, Statistics::Carry).unwrap().freeze().unwrap()
    }
}

/// The classes of these images.
fn classes(network: &FrozenSpikingModel, images: &[[f32; 2]]) -> Vec<usize> {
    let mut session = network.session(Context::serial(crate::common::best()));
    let mut z = vec![Lanes::ZERO; network.classes()];
    let mut all = Vec::new();
    for some in images.chunks(LANES) {
        let pixel = |p: usize| Lanes(std::array::from_fn(|i| some.get(i).map_or(0.0, |x| x[p])));
        session.logits(&[pixel(0), pixel(1)], &[Key::new(0); LANES], false, &mut z).unwrap();
        let row = |lane: usize| z.iter().map(|z| z.0[lane]).collect::<Vec<f32>>();
        all.extend((0..some.len()).map(|lane| predict(&row(lane))));
    }
    all
}

/// Whether a point of the grid over the ball gets another class.
fn is_fooled(
    network: &FrozenSpikingModel,
    x: [f32; 2],
    label: usize,
    norm: Norm,
    eps: f32,
) -> bool {
    let at = |i: usize| (2.0 * i as f32 / (SIDE - 1) as f32 - 1.0) * eps * (1.0 - 1e-5);
    let points = (0..SIDE * SIDE).map(|i| [at(i % SIDE), at(i / SIDE)]);
    let inside = points.filter(|d| norm == Norm::Linf || d[0].hypot(d[1]) <= eps * (1.0 - 1e-5));
    let images: Vec<[f32; 2]> =
        inside.map(|d| [0, 1].map(|p| (x[p] + d[p]).clamp(0.0, 1.0))).collect();
    classes(network, &images).iter().any(|&class| class != label)
}

/// Pockets of a hundredth of the ball and less, in which no gradient leads, are found, and by the members that look there.
#[test]
fn what_a_grid_fools_the_ensemble_fools() {
    let attack = AutoAttack { version: Version::Spiking, ..AutoAttack::default() };
    let context = Context::new(2).unwrap();
    let mut by_last = 0;
    for (norm, eps, seed) in [(Norm::Linf, 0.08, 1), (Norm::L2, 0.1, 1)] {
        let (mut by_grid, mut missed) = (0, Vec::new());
        let drawn = &mut Drawn(Key::new(seed).named("pockets").generator());
        for n in 0..NETWORKS {
            let network = drawn.network();
            let images: [[f32; 2]; IMAGES] =
                std::array::from_fn(|_| [drawn.uniform(), drawn.uniform()]);
            let labels = classes(&network, &images);
            let pixels: Vec<f32> = images.iter().flatten().copied().collect();
            let pixels = Array4::from_shape_vec((IMAGES, 1, 1, 2), pixels).unwrap();
            let ids = (0..IMAGES as u64).collect();
            let samples = Samples::new(pixels.view(), labels.clone(), ids).unwrap();
            let fooled = |&i: &usize| is_fooled(&network, images[i], labels[i], norm, eps);
            let fooled: Vec<usize> = (0..IMAGES).filter(fooled).collect();
            if fooled.is_empty() {
                continue;
            }
            let samples = samples.select(&fooled).unwrap();
            let budget = Budget { norm, eps, seed: 0 };
            let report = run_attack(&context, &network, &samples, &attack, budget).unwrap();
            by_grid += fooled.len();
            let found_by = &report.diagnostics.found_by;
            by_last += found_by[found_by.len() - 2..].iter().map(|by| by.found).sum::<usize>();
            let left = report.outcomes.iter().zip(&fooled);
            let left = left.filter(|(outcome, _)| outcome.status != Status::Fooled);
            missed.extend(left.map(|(_, &i)| (n, i)));
        }
        println!("{norm}: the grid fools {by_grid}");
        assert!(by_grid > 20, "{norm}: nothing was tested");
        assert_eq!(missed, [(0, 0); 0], "{norm}");
    }
    assert!(by_last > 0, "the others find all of these: draw other networks");
}

/// Networks in each norm.
const NETWORKS: usize = 64;
