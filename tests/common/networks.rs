//! Random networks: chains of layers of all kinds, with residual blocks and concatenations.

use super::numbers;
use deepsleep::nn::architecture::{Algorithm, Architecture, INPUT, Node, Op, Pair};
use deepsleep::nn::{Model, Network};
use deepsleep::simd::random::Key;
use deepsleep::tensor::Shape;
use rand::Rng;

/// A node that computes from the one before it.
pub fn node(name: impl Into<String>, op: Op) -> Node {
    Node { name: name.into(), op, inputs: Vec::new() }
}

pub fn conv(out: usize, kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Op {
    let (kernel, stride, padding) = (Pair(kernel), Pair(stride), Pair(padding));
    Op::Conv2d { out, kernel, stride, padding, groups: 1, bias: true, algorithm: Algorithm::Lanes }
}

/// Draws architectures: chains of layers of all kinds, with residual blocks and concatenations.
struct Draw {
    random: Box<dyn FnMut(usize) -> usize>,
    nodes: Vec<Node>,
    shape: Shape,
}

impl Draw {
    fn new(seed: u64) -> Self {
        let mut generator = Key::new(seed).named("architecture").generator();
        let mut random = move |n: usize| generator.next_u32() as usize % n;
        let shape = Shape::new(1 + random(3), 6 + random(5), 6 + random(5));
        Self { random: Box::new(random), nodes: Vec::new(), shape }
    }

    fn pick(&mut self, n: usize) -> usize {
        (self.random)(n)
    }

    fn last(&self) -> String {
        self.nodes.last().map_or(INPUT.into(), |node| node.name.clone())
    }

    /// Adds a node; returns its name. One that does not fit is left out.
    fn add(&mut self, op: Op) -> String {
        let name = format!("layers.{}", self.nodes.len());
        if let Ok(shape) = op.output(&[self.shape]) {
            self.shape = shape;
            self.nodes.push(node(&name, op));
        }
        self.last()
    }

    fn join(&mut self, op: Op, inputs: [&str; 2], shape: Shape) {
        let name = format!("join.{}", self.nodes.len());
        self.nodes.push(Node { name, op, inputs: inputs.map(str::to_owned).to_vec() });
        self.shape = shape;
    }

    fn layer(&mut self) {
        let Shape { channels, height, width } = self.shape;
        let [a, b, c] = [3, 3, 2].map(|n| self.pick(n));
        match self.pick(12) {
            0..=2 => {
                let (kernel, stride, padding) =
                    (Pair([1 + a, 1 + b]), Pair([1 + c, 1]), Pair([a / 2, c]));
                let groups = if channels.is_multiple_of(2) && a == 0 { 2 } else { 1 };
                let (out, bias) = (2 * (1 + b), c == 0);
                let algorithm = if (a, b) == (1, 1) { Algorithm::Im2col } else { Algorithm::Lanes };
                self.add(Op::Conv2d { out, kernel, stride, padding, groups, bias, algorithm });
                if a > 0 {
                    self.add(Op::BatchNorm { eps: 1e-4, momentum: 0.2 });
                }
                if b > 0 {
                    self.add(Op::Relu {});
                }
                if c > 0 && height > 3 {
                    let (window, padding) = (Pair([2; 2]), Pair([0; 2]));
                    self.add(Op::MaxPool { window, stride: None, padding, ceil: false });
                }
            }
            3 => {
                let (window, stride, padding) =
                    (Pair([2 + c, 2]), Some(Pair([1 + c, 1 + a])), Pair([c, 0]));
                self.add(Op::MaxPool { window, stride, padding, ceil: b == 0 });
            }
            4 => {
                let (window, stride, padding) =
                    (Pair([2, 3]), Some(Pair([1 + a, 1])), Pair([1, c]));
                let (ceil, count_include_pad) = (b == 0, a == 0);
                self.add(Op::AvgPool { window, stride, padding, ceil, count_include_pad });
            }
            5 => {
                // A residual block.
                let before = self.last();
                self.add(conv(channels, [3, 3], [1, 1], [1, 1]));
                self.add(Op::BatchNorm { eps: 1e-5, momentum: 0.1 });
                let after = self.add(Op::Relu {});
                self.join(Op::Add {}, [&after, &before], self.shape);
            }
            6 => {
                let before = self.last();
                let after = self.add(conv(1 + a, [1, 1], [1, 1], [0, 0]));
                let joined = Shape::new(channels + self.shape.channels, height, width);
                self.join(Op::Concat {}, [&before, &after], joined);
            }
            7 => drop(self.add(Op::Dropout { rate: 0.3 })),
            8 => {
                let mean = numbers(a as u64, channels);
                let std = mean.iter().map(|m| 0.5 + m.abs()).collect();
                self.add(Op::Normalize { mean, std });
            }
            9 => drop(self.add(Op::BatchNorm { eps: 1e-3, momentum: 0.1 })),
            10 => drop(self.add([Op::Scale { factor: 0.7 }, Op::GlobalAvgPool {}][c].clone())),
            _ => {
                let all = [
                    Op::Relu {},
                    Op::LeakyRelu { slope: 0.1 },
                    Op::Elu { alpha: 1.0 },
                    Op::Silu {},
                    Op::Gelu { tanh: c == 0 },
                    Op::Mish {},
                    Op::Softplus {},
                    Op::Tanh {},
                    Op::Sigmoid {},
                    Op::HardSwish {},
                    Op::Clamp { low: -0.5, high: 0.75 },
                ];
                let i = self.pick(all.len());
                self.add(all[i].clone());
            }
        }
    }

    fn architecture(seed: u64) -> Architecture {
        let mut draw = Self::new(seed);
        let input = draw.shape;
        for _ in 0..2 + draw.pick(5) {
            draw.layer();
        }
        if draw.pick(2) == 0 {
            draw.add(Op::Flatten {});
            draw.add(Op::Linear { out: 5, bias: false });
            draw.add(Op::BatchNorm { eps: 1e-5, momentum: 0.1 });
            draw.add(Op::Relu {});
        }
        let classes = 2 + draw.pick(4);
        draw.add(Op::Linear { out: classes, bias: true });
        Architecture::new(input, classes, draw.nodes).unwrap()
    }
}

/// A network whose statistics and normalizations are not the ones that it began with.
pub fn drawn(seed: u64) -> Model {
    let mut model = Model::new(Draw::architecture(seed), seed).unwrap();
    for (i, statistics) in model.statistics_mut().iter_mut().enumerate() {
        let count = statistics.mean.len();
        statistics.mean = numbers(seed + i as u64, count).iter().map(|x| 0.3 * x).collect();
        statistics.variance =
            numbers(seed * 7 + i as u64, count).iter().map(|x| 1.0 + x / 2.0).collect();
    }
    for (i, parameter) in model.parameters_mut().iter_mut().enumerate() {
        if parameter.shape.len() == 1 {
            let noise = numbers(seed * 3 + i as u64, parameter.values.len());
            parameter.values.iter_mut().zip(noise).for_each(|(value, x)| *value += 0.3 * x);
        }
    }
    model
}
